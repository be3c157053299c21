"""Changes to rows that have a version."""

from collections.abc import Mapping
from typing import Any, Protocol

# FOR NO KEY UPDATE locks a row against other changes, but not against foreign key checks. With FOR UPDATE, every
# new message to an organisation would wait for the transaction that edits the organisation.
FOR_NO_KEY_UPDATE: dict[str, Any] = {"key_share": True}


class Versioned(Protocol):
    """A row with a `version` column."""

    version: int


def apply_changes(row: Versioned, values: Mapping[str, Any]) -> list[str]:
    """Set the values that differ, raise the version by one if there are any, and return their names."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.version += 1
    return sorted(changed)
