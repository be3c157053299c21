"""Routes of deadlines, their extensions and SLA policies."""
