"""Routes of incidents and alerts."""
