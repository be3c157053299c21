"""SLA figures of months that have ended, counted once and kept; exactly those of the rows at every moment."""
