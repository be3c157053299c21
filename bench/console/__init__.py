"""Pages of the console beside the calls of the API that they make."""
