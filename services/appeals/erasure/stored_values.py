"""Removal of free texts from stored JSON values of appeals; codes, ids, times and numbers stay."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

# Fields with a value from a closed list, or with a text that only the system writes. All other fields lose their
# texts, so that a new field discloses nothing until it is added here.
KEPT_FIELDS = frozenset(
    {
        "status", "from", "to", "from_status", "to_status", "kind", "reply_kind", "change", "clock", "step",
        "code", "mark", "mode", "type", "outcome", "origin", "relation", "needs_answer", "urgency", "language",
        "unit", "source", "municipality", "deleted_by", "decision", "triage_reason", "assignment_kind", "rule",
        "read_by", "channel", "utility_failure", "location_source", "classified_by", "predicted_by", "network",
        "partner_status",
    }
)  # fmt: skip


def without_words(value: Any, field: str = "") -> Any:
    """Return a JSON value with its free texts replaced by empty strings."""
    if isinstance(value, Mapping):
        return {name: without_words(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_words(inner, field) for inner in value]
    if isinstance(value, str) and field not in KEPT_FIELDS and not _is_id_or_time(value):
        return ""
    return value


def without_why(value: Any) -> Any:
    """Return a JSON value with the texts of its fields `why` replaced by empty strings: they quote a message."""
    if isinstance(value, Mapping):
        return {
            name: "" if name == "why" and isinstance(inner, str) else without_why(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [without_why(inner) for inner in value]
    return value


def with_each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with each text replaced by what `change` returns for it."""
    if isinstance(value, Mapping):
        return {name: with_each_text(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_each_text(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def _is_id_or_time(value: str) -> bool:
    for read in (UUID, datetime.fromisoformat):
        try:
            read(value)
        except ValueError:
            continue
        # `UUID` and `fromisoformat` also accept digits without separators, which may be a person's number.
        return "-" in value
    return False
