"""Credentials of the networks: kept secret, spread over calls, parked when refused, mended."""
