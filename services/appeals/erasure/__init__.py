"""Erasure of a citizen's texts in appeals, at the command of ingest. Records of what was done and when stay."""
