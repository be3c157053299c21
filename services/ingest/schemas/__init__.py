"""What crosses the wire, by what it is about."""
