"""What both network emulators stand on: settings, clock, storage, limits, faults and the control API."""
