"""Templates of replies and their fields."""
