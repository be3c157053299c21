"""Receive events that networks push, and manage where they are pushed to."""
