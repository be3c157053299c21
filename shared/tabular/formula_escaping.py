"""Cells that a spreadsheet would run as a formula are written as text, and read back as they were.

A spreadsheet whose separator is `;` or a tab reads a file with commas too, and so cuts cells where nobody meant
it: a sign after a separator or a line break inside of a cell counts like one at its start, quotes and spaces
between them or not.
"""

import re

_SIGN = "[=+\\-@＝＋－＠]"
# A tab or a line break in front of the sign would not stop a spreadsheet.
_AT_START = re.compile(f"[\\t\\r\\n]|[\"\\s']*{_SIGN}")
# Takes the whole run whether a sign follows or not, so that no run is read twice.
_INSIDE = re.compile(f"([;\\t\\r\\n][;\"\\s]*+)('*)({_SIGN})?")
_MARK = "'"


def escaped(value: str) -> str:
    """The value with an apostrophe before each place where a spreadsheet might run it; one there is doubled."""
    inside = _INSIDE.sub(lambda found: f"{found[1]}{found[2]}'{found[3]}" if found[3] else found[0], value)
    return _MARK + inside if value.startswith(_MARK) or _AT_START.match(value) else inside


def unescaped(cell: str) -> str:
    """The inverse of `escaped`; an apostrophe before anything else is the author's own."""
    marked = cell.startswith(_MARK) and (cell[1:].startswith(_MARK) or _AT_START.match(cell, 1))
    return _INSIDE.sub(
        lambda found: f"{found[1]}{found[2][1:]}{found[3]}" if found[3] else found[0], cell[1:] if marked else cell
    )


def harmless(cell: str) -> str:
    """A cell of somebody's own file as it is, unless a spreadsheet might run it: then `escaped`."""
    at_start = _AT_START.match(cell) and not cell.startswith(_MARK)
    runs = at_start or any(found[3] and not found[2] for found in _INSIDE.finditer(cell))
    return escaped(cell) if runs else cell
