"""A run under fire: both networks fail a quarter of all calls, tokens die, workers and Postgres go down."""
