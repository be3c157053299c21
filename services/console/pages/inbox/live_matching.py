"""Which events of the event stream concern a list: their types, and the values that their data must have."""

import json
from typing import Any

from services.console.choices.appeal_list_query import ListQuery
from services.console.site.visit import Visit

# Filters that event data cannot express, but that all events of one type satisfy.
TYPES = {
    "overdue": "appeal.overdue",
    "on_approval": "reply.approval_requested",
    "reply_refused": "reply.refused",
    "reply_failed": "reply.failed",
}
NEW = "appeal.opened,appeal.assigned,appeal.reopened"
MOVED = "appeal.moved,appeal.opened"
ASSIGNED = "appeal.assignee_changed"
# Filters that are fields of the event data.
_EVENT_FIELDS = (
    "organisation_id",
    "urgency",
    "network",
    "municipality",
    "settlement",
    "incident_id",
    "language",
    "status",
)
_PERIOD = frozenset({"opened_from"})


async def live_bar(visit: Visit, query: ListQuery) -> dict[str, str] | None:
    """Return the event types to count for the list, and the values they must have; None if events cannot be
    matched.
    """
    if not visit.may("events:read") or query.cursor:
        return None
    types, where = NEW, {name: query.values(name) for name in _EVENT_FIELDS if query.values(name)}
    for name, value in query.filters:
        if name in TYPES and value == "true":
            types = TYPES[name]
        elif name == "assignee" and value == "me":
            types, where["assignee_id"] = ASSIGNED, [visit.me["person"]["id"]]
        elif name == "topic_id":
            where["topic_id"] = await _topics(visit, value)
        elif name == "triage_reason":
            types, where["status"] = MOVED, ["triage"]
        elif name not in where and name not in _PERIOD and (name, value) != ("assignee", "none"):
            return None
    if "status" in where and types == NEW:
        types = f"{NEW},appeal.moved"
    return {"types": types, "where": json.dumps(where)}


async def _topics(visit: Visit, topic_id: str) -> list[str]:
    """Return the topic itself and, if it is a group, the topics in it."""
    found: dict[str, Any] = await visit.api.get("/topics", {"group_id": topic_id, "limit": 200})
    return [topic_id, *(one["id"] for one in found["items"])]
