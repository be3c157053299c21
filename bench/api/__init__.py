"""Reads and writes of the appeals API beside a bare route that runs the same SQL."""
