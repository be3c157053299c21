"""Writes cells that a spreadsheet would run as a formula as text, and reads them back unchanged.

A spreadsheet whose separator is `;` or a tab also opens files with commas and then splits cells at these
characters: so a sign after a separator or a line break inside a cell is escaped like one at its start, with or
without quotes and spaces between them.
"""

import re

_SIGN = "[=+\\-@＝＋－＠]"
# A spreadsheet also runs a formula after a leading tab or line break.
_AT_START = re.compile(f"[\\t\\r\\n]|[\"\\s']*{_SIGN}")
# Matches a whole run of separators even if no sign follows, so that no run is scanned twice.
_INSIDE = re.compile(f"([;\\t\\r\\n][;\"\\s]*+)('*)({_SIGN})?")
_MARK = "'"


def escaped(value: str) -> str:
    """Return the value with an apostrophe before each possible formula; an apostrophe already there is doubled."""
    inside = _INSIDE.sub(lambda found: f"{found[1]}{found[2]}'{found[3]}" if found[3] else found[0], value)
    return _MARK + inside if value.startswith(_MARK) or _AT_START.match(value) else inside


def unescaped(cell: str) -> str:
    """Return the value that `escaped` wrote; an apostrophe before anything else is part of the value."""
    marked = cell.startswith(_MARK) and (cell[1:].startswith(_MARK) or _AT_START.match(cell, 1))
    return _INSIDE.sub(
        lambda found: f"{found[1]}{found[2][1:]}{found[3]}" if found[3] else found[0], cell[1:] if marked else cell
    )


def harmless(cell: str) -> str:
    """Return a cell of a user's own file unchanged if no spreadsheet would run it, else `escaped`."""
    at_start = _AT_START.match(cell) and not cell.startswith(_MARK)
    runs = at_start or any(found[3] and not found[2] for found in _INSIDE.finditer(cell))
    return escaped(cell) if runs else cell
