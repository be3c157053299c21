"""Made-up history for the demo: appeals of the last weeks, written as rows into a new database."""
