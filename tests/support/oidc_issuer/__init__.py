"""A small OIDC issuer, for tests of signing in with a region's own."""
