"""The registry as a table: reading files of organisations and pages, comparing, applying, and writing them out."""
