"""A small OIDC issuer for tests of sign-in with the region's issuer."""
