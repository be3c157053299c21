"""Schemas of routing rules and rule sets."""
