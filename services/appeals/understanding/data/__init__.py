"""Words of the field, as data."""
