"""Idempotent storage of incoming messages and their edits and deletions, and matching of our own replies."""
