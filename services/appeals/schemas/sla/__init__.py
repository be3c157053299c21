"""Schemas of deadlines, their extensions and SLA policies."""
