"""Coverage: which bodies owe a page, which have it, and what the others lack."""
