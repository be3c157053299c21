"""Daily page checks: what the networks report about pages, what changed, and which changes are alarming."""
