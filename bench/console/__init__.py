"""Benchmark of the console's pages against the API calls that they make."""
