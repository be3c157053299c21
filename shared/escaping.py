"""Cells that a spreadsheet would run as a formula are written as text, and read back as they were."""

# A tab or a line break in front of the sign would not stop a spreadsheet.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
_MARK = "'"


def escaped(value: str) -> str:
    """The value with an apostrophe in front when a spreadsheet might run it; an apostrophe itself is doubled."""
    return _MARK + value if value.startswith((*_DANGEROUS, _MARK)) else value


def unescaped(cell: str) -> str:
    """The inverse of `escaped`; an apostrophe before anything else is the author's own."""
    return cell[1:] if cell.startswith(_MARK) and cell[1:].startswith((*_DANGEROUS, _MARK)) else cell
