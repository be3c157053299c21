"""Changes to rows that have a version."""

from collections.abc import Mapping
from typing import Any, Protocol

# FOR NO KEY UPDATE: a row that is about to change is locked against other changes, but not against foreign key
# checks. Under FOR UPDATE every new message to an organisation would wait for the person who edits it.
FOR_NO_KEY_UPDATE: dict[str, Any] = {"key_share": True}


class Versioned(Protocol):
    """A row with a `version` column."""

    version: int


def apply_changes(row: Versioned, values: Mapping[str, Any]) -> list[str]:
    """Set the values that differ and raise the version once.

    Return the names that changed, empty when none did.
    """
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.version += 1
    return sorted(changed)
