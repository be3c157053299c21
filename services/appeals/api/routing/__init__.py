"""Routes of routing rules and rule sets."""
