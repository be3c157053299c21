"""Troubles known in a place, open incidents and those to be opened: which one a case or a burst tells of. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.appeals.incidents.spike_detection import (
    ALIKE_BY_TOPIC,
    PROFILE,
    Heard,
    belongs,
    is_of_topic,
    likenesses,
    may_be_about,
    names_fault,
)
from services.appeals.incidents.subject import Matter, agreed, matter_of
from shared.tables.appeals import Incident


@dataclass
class Trouble:
    """What an incident is about and how its last members speak; `coming` are cases on their way into it.

    Without an incident it is about to be opened, because `core` told of it at once where `expected` is usual.
    """

    about: Matter
    group_id: UUID | None
    first_at: datetime
    last_at: datetime
    incident: Incident | None = None
    core: Sequence[Heard] = ()
    expected: float = 0.0
    texts: list[str] = field(default_factory=list)
    threads: Counter[str | None] = field(default_factory=Counter)
    pages: Counter[UUID | None] = field(default_factory=Counter)
    coming: list[tuple[Heard, float | None]] = field(default_factory=list)

    @staticmethod
    def of(incident: Incident, group_id: UUID | None) -> "Trouble":
        """An open incident; who speaks in it is added by `hear`."""
        about = Matter(
            topic_id=incident.topic_id, fault=incident.fault, municipality=incident.municipality,
            settlement=incident.settlement, street=incident.street,
        )  # fmt: skip
        return Trouble(about, group_id, incident.first_at, incident.last_at, incident)

    @staticmethod
    def told_by(cases: Sequence[Heard], expected: float = 0.0) -> "Trouble":
        """What these cases, which stand out together, tell of."""
        found = Trouble(
            matter_of(cases),
            agreed(case.group_id for case in cases),
            min(case.written_at for case in cases),
            max(case.written_at for case in cases),
            core=cases,
            expected=expected,
            coming=[(case, None) for case in cases],
        )
        for case in cases[:PROFILE]:
            found.hear(case.text, case.thread_key, case.page_id)
        return found

    def hear(self, text: str, thread_key: str | None, page_id: UUID | None) -> None:
        """One of its members speaks so, there."""
        self.texts.append(text)
        self.threads[thread_key] += 1
        self.pages[page_id] += 1

    def take(self, other: "Trouble") -> None:
        """The other turned out to be this one: its cases come here, and what is out is known if it was not."""
        self.coming += other.coming
        self.first_at, self.last_at = min(self.first_at, other.first_at), max(self.last_at, other.last_at)
        self.about = replace(
            self.about,
            fault=self.about.fault or other.about.fault,
            topic_id=self.about.topic_id or other.about.topic_id,
        )

    def is_near(self, first_at: datetime, last_at: datetime, *, window: timedelta, quiet: timedelta) -> bool:
        """Whether what was written then may belong: from a window before its first voice, until it is quiet."""
        return self.first_at - window <= last_at and first_at <= self.last_at + quiet


def fits(case: Heard, trouble: Trouble, near: float) -> bool:
    """Whether a case of these hours tells of the trouble; `near` is how alike its words are to the members'."""
    about = trouble.about
    if case.municipality != about.municipality or not one_place(case.settlement, about.settlement):
        return False
    if about.fault is not None and case.fault is not None:
        return about.fault == case.fault
    if not may_be_about(case, about.fault, trouble.group_id):
        return False
    beside = trouble.threads[case.thread_key] if case.thread_key is not None else 0
    return belongs(near, beside, same_topic=is_of_topic(case, about.topic_id))


def preference(case: Heard, trouble: Trouble) -> tuple[bool, bool, int, bool, int, datetime]:
    """Of several troubles that a case fits: the one that names the place and the fault, then where the post is."""
    about = trouble.about
    return (
        case.settlement is not None and case.settlement == about.settlement,
        case.fault is not None and case.fault == about.fault,
        trouble.threads[case.thread_key],
        case.seat is not None and case.seat == about.settlement,
        trouble.pages[case.page_id],
        trouble.last_at,
    )


def is_one(known: Trouble, burst: Trouble) -> bool:
    """Whether those who burst out at these hours tell of a trouble that is known.

    They do when the same is out, or the topic is the same. Where one of them does not say what is out, the same
    group is enough, if its words name the thing or its topic is no other. Else the words have to be alike too.
    """
    one, other = known.about, burst.about
    if one.municipality != other.municipality or not one_place(one.settlement, other.settlement):
        return False
    if one.fault is not None and other.fault is not None:
        return one.fault == other.fault
    fault = one.fault or other.fault
    same_group = known.group_id is not None and known.group_id == burst.group_id
    same_topic = one.topic_id is not None and one.topic_id == other.topic_id
    vague = fault is not None and not {one.topic_id, other.topic_id}.isdisjoint({None, known.group_id})
    silent = known.texts if one.fault is None else burst.texts
    named = fault is not None and 2 * sum(names_fault(text, fault) for text in silent) > len(silent)
    told = same_group and (same_topic or vague or named)
    if told or not (same_group or named):
        return told
    places = {name for about in (one, other) for name in (about.settlement, about.street) if name}
    near = likenesses(known.texts, burst.texts, places)
    return sum(near) >= ALIKE_BY_TOPIC * len(near) > 0


def one_place(one: str | None, other: str | None) -> bool:
    """Whether two settlements, null where none is named, may be one place."""
    return one is None or other is None or one == other
