"""Check of fields that have one line, such as names."""

import re

# A text copied from a document often has them instead of spaces; nobody sees the difference.
_NO_BREAK_SPACES = re.compile("[\u00a0\u202f]")


def single_line(value: str) -> str:
    """Return the value with ordinary spaces. Raises `ValueError` for other characters that do not print."""
    value = _NO_BREAK_SPACES.sub(" ", value)
    if not value.isprintable():
        raise ValueError("only printable characters and spaces are allowed, without line breaks")
    return value
