"""Every type of event that services emit, and the right that whoever receives it must have.

The right is that of the route that shows the subject: a feed or a webhook tells nobody what the API denies them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from shared.auth.rights import Right

_BY_SUBJECT: dict[str, tuple[Right, tuple[str, ...]]] = {
    "appeal": (
        Right.APPEALS_READ,
        (
            "opened", "message_added", "assigned", "moved", "reclassified", "answered", "overdue", "closed",
            "reopened",
        ),
    ),
    "incident": (Right.APPEALS_READ, ("opened", "grown", "closed")),
    "reply": (Right.APPEALS_READ, ("queued", "failed")),
    "publication": (Right.APPEALS_READ, ("published", "delayed", "uncertain", "failed")),
    "alert": (Right.APPEALS_TRIAGE, ("raised",)),
    "message": (Right.MESSAGES_READ, ("received", "edited", "deleted", "restored")),
    "source": (Right.SOURCES_READ, ("gap_found",)),
    "token": (Right.SOURCES_INSPECT, ("state_changed",)),
    "page": (
        Right.REGISTRY_READ,
        (
            "registered", "changed", "step_reached", "step_lost", "closed", "unreachable", "renamed", "mark_lost",
            "changed_hands", "stolen",
        ),
    ),
    "organisation": (Right.REGISTRY_READ, ("registered", "changed", "succeeded")),
    "calendar": (Right.REGISTRY_READ, ("registered", "changed")),
    "person": (Right.PEOPLE_READ, ("changed",)),
    "client": (Right.CLIENTS_READ, ("changed",)),
    "webhook": (Right.WEBHOOKS_READ, ("suspended", "test")),
}  # fmt: skip

EVENT_RIGHTS: Mapping[str, Right] = MappingProxyType(
    {f"{subject}.{what}": right for subject, (right, whats) in _BY_SUBJECT.items() for what in whats}
)
