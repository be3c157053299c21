"""When to look: budgets of calls, and the page where people most likely wait."""
