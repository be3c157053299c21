"""Coverage: which organisations must keep a page, which have one, and what the others lack."""
