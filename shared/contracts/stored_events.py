"""Read the data of stored events, including events stored by the previous version."""

from typing import Any

from shared.contracts.appeal_events import AppealSnapshot
from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData
from shared.tables.common import Event

# Statuses that are no longer used, and the statuses with which migration 0025 replaced them.
_FORMER_STATUSES = {"on_approval": "in_progress"}
_STATUS_FIELDS = ("status", "from", "to")


def parse_event(event: Event) -> EventData:
    """Return the event's data as the model of its type.

    Undeclared fields are ignored: during an upgrade, a process of the next version may have written them.
    """
    return EVENT_MODELS[event.type].model_validate(current_data(event), extra="ignore")


def current_data(event: Event) -> dict[str, Any]:
    """Return the event's data as stored, with values of the previous version replaced."""
    if not issubclass(EVENT_MODELS[event.type], AppealSnapshot):
        return event.data
    former = {
        name: _FORMER_STATUSES[status]
        for name in _STATUS_FIELDS
        if (status := event.data.get(name)) in _FORMER_STATUSES
    }
    return event.data | former
