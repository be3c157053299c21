"""Erasure of citizens' personal data on request: asked for here, done in all services, remembered by digests."""
