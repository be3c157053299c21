"""Reconciliation with the networks, which finds and fills gaps, and backfill of history."""
