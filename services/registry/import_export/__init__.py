"""Import and export of the registry as a table: read the file, match it with the registry, plan, apply, write."""
