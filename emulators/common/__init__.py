"""Shared parts of both network emulators: settings, clock, storage, limits, faults and the control API."""
