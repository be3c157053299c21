"""What came in: taken once, kept exactly, changed in order, our own answers recognised."""
