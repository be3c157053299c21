"""Special days of a calendar as an iCalendar file (RFC 5545), out and in.

A day off is an event of whole days, a day with other hours one event for each working interval. What goes out
comes in again as the same days.
"""
