"""Receive events that networks push, and manage the callback registrations."""
