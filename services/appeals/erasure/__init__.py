"""Erasure of a citizen's texts in appeals, on a request by ingest. Records of what was done and when stay."""
