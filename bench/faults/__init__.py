"""A run with faults: faults hit nearly half of all calls, clocks differ, tokens fail, processes restart."""
