"""Contracts between services: one model for the data of each event type."""
