"""The tables of docs/operations/access.md, parsed: role × right → scope, scope → relations."""

from functools import cache
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "access.md"
RELATIONS = ("own", "subordinate", "foreign")


def _tables() -> list[list[list[str]]]:
    tables: list[list[list[str]]] = [[]]
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    return tables


@cache
def scopes() -> dict[tuple[str, str], str]:
    """Return the table's cell of each (role, right): `region`, `organisation` or `–`."""
    header, _, *rows = next(table for table in _tables() if table and table[0][0] == "right")
    return {(role, row[0]): cell for row in rows for role, cell in zip(header[2:], row[2:], strict=True)}


@cache
def centre() -> frozenset[str]:
    """Return the roles that are bound to the centre."""
    _, _, *rows = next(table for table in _tables() if table and table[0][:3] == ["role", "who", "bound to"])
    return frozenset(row[0] for row in rows if row[2] == "the centre")


@cache
def roles() -> tuple[str, ...]:
    """Return all roles, in the order of the table."""
    _, _, *rows = next(table for table in _tables() if table and table[0][:3] == ["role", "who", "bound to"])
    return tuple(row[0] for row in rows)


@cache
def _relations() -> dict[str, frozenset[str]]:
    header, _, *rows = next(table for table in _tables() if table and table[0][0] == "scope")
    assert tuple(header[1:]) == RELATIONS
    return {
        row[0]: frozenset(name for name, cell in zip(RELATIONS, row[1:], strict=True) if cell == "yes")
        for row in rows
    }


def has(role: str, right: str) -> bool:
    """Return whether the document gives the role this right, for the data of any organisation."""
    return scopes()[role, right] != "–"


def reached(role: str, right: str, *, include_subordinates: bool) -> frozenset[str] | None:
    """Return the documented relations of organisations whose data this right covers; None without the right."""
    cell = scopes()[role, right]
    if cell == "–":
        return None
    restricted = include_subordinates and cell == "organisation"
    return _relations()["organisation with include_subordinates" if restricted else cell]
