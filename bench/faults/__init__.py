"""A run with faults: nearly half of all calls fail, clocks differ, tokens fail, processes and Postgres restart."""
