"""The door for events that networks push."""
