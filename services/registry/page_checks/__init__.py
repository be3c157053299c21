"""Daily checks: what the networks say of the pages, what changed, and what of that is alarming."""
