"""Working calendars and their exchange as iCalendar files (RFC 5545).

A day off is an all-day event; a day with other hours is one event per working interval. Importing an exported file
results in the same days.
"""
