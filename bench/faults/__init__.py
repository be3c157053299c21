"""A run under fire: nearly half of all calls fail, clocks differ, tokens die, processes and Postgres go down."""
