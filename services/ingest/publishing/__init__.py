"""Delivery of replies to the networks, exactly once."""
