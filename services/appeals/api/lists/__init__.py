"""Routes of lists: facets, tags, saved views, exports."""
