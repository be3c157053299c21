"""Routes of appeals and of work on them: decisions, notes, bulk operations."""
