"""Look up pages in the networks at the registry's request."""
