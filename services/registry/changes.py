"""Changing a row that has a version: what was asked is compared, applied and counted once."""

from collections.abc import Mapping
from typing import Any, Protocol


class Versioned(Protocol):
    """A row with a version."""

    version: int


def apply(row: Versioned, values: Mapping[str, Any]) -> list[str]:
    """Set what differs and raise the version once; returns the names that changed, none when all was so."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.version += 1
    return sorted(changed)
