"""Erasure of a citizen's words in appeals, as ingest commands it: what was done and when stays."""
