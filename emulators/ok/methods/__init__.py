"""The REST methods, one module per section of the API."""
