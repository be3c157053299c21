"""Status of each page's sources, for the API and for metrics."""
