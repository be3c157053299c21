"""Routes of classifications, their reviews and the topics."""
