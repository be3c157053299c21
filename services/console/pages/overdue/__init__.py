"""The page of what is overdue, by municipality and organisation."""
