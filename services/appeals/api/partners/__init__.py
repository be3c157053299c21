"""Routes of other systems: partners, their events, Open311."""
