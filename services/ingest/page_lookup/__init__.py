"""Look up pages in the networks on request of the registry."""
