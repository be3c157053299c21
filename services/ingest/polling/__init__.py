"""Call budgets, and the schedule of polls by expected new messages."""
