"""Coverage: which organisations must keep a page, which have one, and why others have none."""
