"""Changing a row that has a version: what was asked is compared, applied and counted once."""

from collections.abc import Mapping
from typing import Any, Protocol

# A row that is about to change is held against other changes, not against those who only refer to it: with the
# stronger lock every message to an organisation would wait for whoever edits it.
FOR_NO_KEY_UPDATE: dict[str, Any] = {"key_share": True}


class Versioned(Protocol):
    """A row with a version."""

    version: int


def apply_changes(row: Versioned, values: Mapping[str, Any]) -> list[str]:
    """Set what differs and raise the version once; returns the names that changed, none when all was so."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.version += 1
    return sorted(changed)
