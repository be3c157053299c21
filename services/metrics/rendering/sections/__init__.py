"""The sections of the weekly report, which all formats show."""
