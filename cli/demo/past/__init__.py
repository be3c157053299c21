"""Made-up history for the demo: appeals of the past weeks, written as rows into a new database."""
