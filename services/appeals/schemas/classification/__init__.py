"""Schemas of classifications, their reviews and the topics."""
