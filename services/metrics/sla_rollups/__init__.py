"""SLA figures of past months, counted once and stored; they always equal the figures counted from rows."""
