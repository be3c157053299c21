"""Answers on their way out, exactly once."""
