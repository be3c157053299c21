"""What services tell each other: one model for the data of each event type."""
