"""Checks of a reply while it is written: hints with reasons. Pure functions of the text and of its context."""
