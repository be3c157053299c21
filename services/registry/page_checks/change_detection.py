"""Comparing what a network says of a page with what it said before. Plain data in, plain data out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.registry.schemas.page_checks import PageDescription, PageFieldChange, PageState, WatchedPageField

# What does not move by itself from day to day; members and posts do.
WATCHED_FIELDS = tuple(one.value for one in WatchedPageField if one is not WatchedPageField.STATE)
# What a community that only its members see still shows of itself.
_FIELDS_OF_CLOSED = ("name", "screen_name", "verified")
MEMBERS_ONLY = frozenset({"closed_group", "private_group"})
# Of these, null means that the network did not tell: no change.
_OPTIONAL_FIELDS = frozenset(
    {"name", "screen_name", "verified", "avatar", "cover", "description", "comments_open"}
)
SNAPSHOT_FIELDS = (*WATCHED_FIELDS, "members", "last_post_at", "posts_7_days")

PAGE_CLOSED = "page.closed"
PAGE_GONE = "page.unreachable"
PAGE_RENAMED = "page.renamed"
PAGE_TAKEOVER_SUSPECTED = "page.stolen"


@dataclass(frozen=True)
class PreviousCheck:
    """The state that the check before found, and the facts that the page told last."""

    state: str | None = None
    snapshot: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectedEvent:
    """Something that people should look at: an event to write."""

    event_type: str
    data: Mapping[str, Any]


def snapshot_of(description: PageDescription) -> dict[str, Any]:
    """What is kept of an answer."""
    return description.model_dump(mode="json", include=set(SNAPSHOT_FIELDS))


def diff(before: PreviousCheck, description: PageDescription) -> list[PageFieldChange]:
    """What is not as it was: the state, and the facts as far as both checks tell them."""
    differences = []
    if before.state is not None and before.state != description.outcome:
        differences.append(
            PageFieldChange(field=WatchedPageField.STATE, before=before.state, after=description.outcome.value)
        )
    now = snapshot_of(description)
    for name in visible_fields(description.outcome, description.reason):
        if name not in before.snapshot:
            continue
        was, became = before.snapshot[name], now[name]
        untold = name in _OPTIONAL_FIELDS and (was is None or became is None)
        if was != became and not untold:
            differences.append(PageFieldChange(field=WatchedPageField(name), before=was, after=became))
    return differences


def badge_lost(changed: list[PageFieldChange]) -> bool:
    """Whether the network has taken its mark away."""
    return any(one.field == "verified" and one.before and not one.after for one in changed)


def detect_events(
    before: PreviousCheck, description: PageDescription, changed: list[PageFieldChange]
) -> list[DetectedEvent]:
    """What to tell others. A first check tells of a page that is closed or gone already.

    A theft is suspected when name and short name change in one day, or the mark goes together with the name: the
    network takes a mark away when a page is given another name.
    """
    events = []
    if description.outcome is PageState.CLOSED and before.state != PageState.CLOSED:
        events.append(DetectedEvent(PAGE_CLOSED, {"reason": description.reason}))
    if description.outcome is PageState.GONE and before.state != PageState.GONE:
        events.append(DetectedEvent(PAGE_GONE, {"reason": description.reason}))
    fields = {one.field.value: one for one in changed}
    names: dict[str, Any] = {
        name: {"before": fields[name].before, "after": fields[name].after}
        for name in ("name", "screen_name")
        if name in fields
    }
    if names:
        events.append(DetectedEvent(PAGE_RENAMED, names))
    signs = []
    if len(names) == 2:
        signs.append("name_and_address_changed")
    if badge_lost(changed) and "name" in names:
        signs.append("mark_lost_with_name")
    if signs:
        events.append(DetectedEvent(PAGE_TAKEOVER_SUSPECTED, {**names, "signs": signs}))
    return events


def visible_fields(state: str, reason: str | None) -> tuple[str, ...]:
    """Which of the watched facts a network tells of a page in this state."""
    if state == PageState.OPEN:
        return WATCHED_FIELDS
    return _FIELDS_OF_CLOSED if reason in MEMBERS_ONLY else ()
