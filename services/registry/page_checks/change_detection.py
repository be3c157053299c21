"""Compare what a network reports about a page with the previous report. Pure functions without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.registry.schemas.page_checks import PageDescription, PageFieldChange, PageState, WatchedPageField
from shared.contracts.registry_events import (
    PageClosed,
    PageGone,
    PageReference,
    PageRenamed,
    PageTakeoverSuspected,
)

# Fields whose changes are reported, besides the state; members, posts and their audience change every day.
WATCHED_FIELDS = tuple(one.value for one in WatchedPageField if one is not WatchedPageField.STATE)
# Fields that a network shows for a community that is closed to non-members.
_FIELDS_OF_CLOSED = ("name", "screen_name", "verified")
MEMBERS_ONLY = frozenset({"closed_group", "private_group"})
# In these fields null means that the network did not report them, which does not count as a change.
_OPTIONAL_FIELDS = frozenset(
    {"name", "screen_name", "verified", "avatar", "cover", "description", "comments_open"}
)
_AUDIENCE_FIELDS = (
    "views_7_days",
    "likes_7_days",
    "comments_7_days",
    "reposts_7_days",
    "reach_7_days",
    "reach_counted_by",
    "mean_post_reach",
)
SNAPSHOT_FIELDS = (*WATCHED_FIELDS, "members", "last_post_at", "posts_7_days", *_AUDIENCE_FIELDS)


@dataclass(frozen=True)
class PreviousCheck:
    """The state that the previous check found, and the snapshot of the last check that saw the page."""

    state: str | None = None
    snapshot: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectedEvent:
    """An alarming change: the event to emit, and its fields besides those of the page."""

    model: type[PageReference]
    data: Mapping[str, Any]


def snapshot_of(description: PageDescription) -> dict[str, Any]:
    """Return the fields of a description that a check stores."""
    return description.model_dump(mode="json", include=set(SNAPSHOT_FIELDS))


def diff(before: PreviousCheck, description: PageDescription) -> list[PageFieldChange]:
    """Return the changes of the state and of the fields that were visible to both checks."""
    differences = []
    if before.state is not None and before.state != description.state:
        differences.append(
            PageFieldChange(field=WatchedPageField.STATE, before=before.state, after=description.state.value)
        )
    now = snapshot_of(description)
    for name in visible_fields(description.state, description.reason):
        if name not in before.snapshot:
            continue
        was, became = before.snapshot[name], now[name]
        unreported = name in _OPTIONAL_FIELDS and (was is None or became is None)
        if was != became and not unreported:
            differences.append(PageFieldChange(field=WatchedPageField(name), before=was, after=became))
    return differences


def badge_lost(changes: list[PageFieldChange]) -> bool:
    """Return whether the page lost the network's verification badge."""
    return any(change.field == "verified" and change.before and not change.after for change in changes)


def detect_events(
    before: PreviousCheck, description: PageDescription, changes: list[PageFieldChange]
) -> list[DetectedEvent]:
    """Return the events to emit. The first check of a page reports it if it is already closed or gone.

    A takeover is suspected when name and short name change on one day, or when the badge disappears together with
    a change of name: a network withdraws the badge of a renamed page.
    """
    events = []
    if description.state is PageState.CLOSED and before.state != PageState.CLOSED:
        events.append(DetectedEvent(PageClosed, {"reason": description.reason}))
    if description.state is PageState.GONE and before.state != PageState.GONE:
        events.append(DetectedEvent(PageGone, {"reason": description.reason}))
    fields = {change.field.value: change for change in changes}
    names: dict[str, Any] = {
        name: {"before": fields[name].before, "after": fields[name].after}
        for name in ("name", "screen_name")
        if name in fields
    }
    if names:
        events.append(DetectedEvent(PageRenamed, names))
    signals = []
    if len(names) == 2:
        signals.append("name_and_screen_name_changed")
    if badge_lost(changes) and "name" in names:
        signals.append("badge_lost_with_rename")
    if signals:
        events.append(DetectedEvent(PageTakeoverSuspected, {**names, "signals": signals}))
    return events


def visible_fields(state: str, reason: str | None) -> tuple[str, ...]:
    """Return the watched fields that a network reports for a page in this state."""
    if state == PageState.OPEN:
        return WATCHED_FIELDS
    return _FIELDS_OF_CLOSED if reason in MEMBERS_ONLY else ()
