"""Schemas of incidents and alerts."""
