"""What the networks say of pages: asked by the registry, answered at once."""
