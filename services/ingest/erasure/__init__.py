"""Erasure of citizens' personal data: requested here, done in all services, recorded by digests."""
