"""Benchmark of reads and writes of the appeals API against a bare route that runs the same SQL."""
