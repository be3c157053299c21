"""Notes of staff on appeals, and the people who watch an appeal."""
