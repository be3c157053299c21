"""Schemas of lists: facets, tags, saved views, exports."""
