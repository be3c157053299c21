"""Comparing what a network says of a page with what it said before. Plain data in, plain data out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.registry.schemas.page_checks import FactChange, PageState, Said, Watched

# What does not move by itself from day to day; members and posts do.
WATCHED = tuple(one.value for one in Watched if one is not Watched.STATE)
# What a community that only its members see still shows of itself.
_SHOWN_CLOSED = ("name", "screen_name", "verified")
MEMBERS_ONLY = frozenset({"closed_group", "private_group"})
# Of these, null means that the network did not tell: no change.
_MAY_BE_UNTOLD = frozenset({"name", "screen_name", "verified", "avatar", "cover", "description", "comments_open"})
FACTS = (*WATCHED, "members", "last_post_at", "posts_7_days")

CLOSED = "page.closed"
UNREACHABLE = "page.unreachable"
RENAMED = "page.renamed"
STOLEN = "page.stolen"


@dataclass(frozen=True)
class Before:
    """The state that the check before found, and the facts that the page told last."""

    state: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Alarm:
    """Something that people should look at: an event to write."""

    kind: str
    data: Mapping[str, Any]


def facts_of(said: Said) -> dict[str, Any]:
    """What is kept of an answer."""
    return said.model_dump(mode="json", include=set(FACTS))


def changes(before: Before, said: Said) -> list[FactChange]:
    """What is not as it was: the state, and the facts as far as both checks tell them."""
    found = []
    if before.state is not None and before.state != said.outcome:
        found.append(FactChange(field=Watched.STATE, before=before.state, after=said.outcome.value))
    now = facts_of(said)
    for name in told(said.outcome, said.reason):
        if name not in before.facts:
            continue
        was, became = before.facts[name], now[name]
        untold = name in _MAY_BE_UNTOLD and (was is None or became is None)
        if was != became and not untold:
            found.append(FactChange(field=Watched(name), before=was, after=became))
    return found


def mark_lost(changed: list[FactChange]) -> bool:
    """Whether the network has taken its mark away."""
    return any(one.field == "verified" and one.before and not one.after for one in changed)


def alarms(before: Before, said: Said, changed: list[FactChange]) -> list[Alarm]:
    """What to tell others. A first check tells of a page that is closed or gone already.

    A theft is suspected when name and short name change in one day, or the mark goes together with the name: the
    network takes a mark away when a page is given another name.
    """
    found = []
    if said.outcome is PageState.CLOSED and before.state != PageState.CLOSED:
        found.append(Alarm(CLOSED, {"reason": said.reason}))
    if said.outcome is PageState.GONE and before.state != PageState.GONE:
        found.append(Alarm(UNREACHABLE, {"reason": said.reason}))
    fields = {one.field.value: one for one in changed}
    names: dict[str, Any] = {
        name: {"before": fields[name].before, "after": fields[name].after}
        for name in ("name", "screen_name")
        if name in fields
    }
    if names:
        found.append(Alarm(RENAMED, names))
    signs = []
    if len(names) == 2:
        signs.append("name_and_address_changed")
    if mark_lost(changed) and "name" in names:
        signs.append("mark_lost_with_name")
    if signs:
        found.append(Alarm(STOLEN, {**names, "signs": signs}))
    return found


def told(state: str, reason: str | None) -> tuple[str, ...]:
    """Which of the watched facts a network tells of a page in this state."""
    if state == PageState.OPEN:
        return WATCHED
    return _SHOWN_CLOSED if reason in MEMBERS_ONLY else ()
