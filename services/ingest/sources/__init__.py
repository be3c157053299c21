"""How each page is read, for people and for metrics."""
