"""Gathering: new cases join the open incident they tell of, and many at once about one thing make a burst.

A second reader of appeals' own events, in batches, with as many statements for a thousand cases as for one. Its
cursor lets one worker at a time through; a batch also holds an advisory lock for each municipality it touches, so
that a case handled apart (an event stepped over) opens no second incident beside it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Engine,
    Select,
    Text,
    and_,
    column,
    exists,
    func,
    select,
    text,
    true,
    values,
)

from services.appeals import alerts, incidents
from services.appeals.actors import SYSTEM
from services.appeals.bursts import (
    PROFILE,
    Heard,
    Matter,
    Tally,
    belongs,
    bursts,
    is_of_topic,
    likely_members,
    likenesses,
    may_be_about,
    speakers,
    stands_out,
    usual_share,
)
from services.appeals.incidents import Voice
from services.appeals.likeness import in_words, plural
from services.appeals.settings import AppealsSettings, settings
from services.appeals.similar import PLAN_FOR_THIS
from shared.database import WriteSession
from shared.tables.appeals import Appeal, Incident, IncidentMember, Topic
from shared.tables.events import Event

TYPES = ("appeal.opened", "appeal.message_added")
# Pages that are read by polling bring an hour's messages later than it was.
LOOKS_BACK = timedelta(hours=3)
USUAL_FROM = timedelta(days=14)
USUAL_KEPT = timedelta(minutes=10)
# What is read of one place, of the region, of one burst.
SAMPLE = 2_000
MOST = 1_000
_LOCK = 0x6275  # "bu"
# In one order, so that two batches wait for each other and never crosswise.
_LOCK_PLACES = text(
    """
    SELECT pg_advisory_xact_lock(:room, place)
    FROM (SELECT DISTINCT hashtext(name) AS place FROM unnest(CAST(:names AS text[])) AS name ORDER BY 1) AS places
    """
)
_NOT_COUNTED = ("not_required", "merged")


async def handle(session: WriteSession, events: Sequence[Event]) -> None:
    """Gather the cases that these events tell of. Doing it again changes nothing."""
    await Gathering(session, settings()).run({event.subject_id for event in events})


@dataclass(frozen=True)
class _Usual:
    """What came in the last weeks, counted at `at`."""

    at: datetime
    region: Tally
    places: dict[str, Tally]


# Counted every ten minutes, not for every batch; by database, of which a process has one.
_USUAL: WeakKeyDictionary[Engine, _Usual] = WeakKeyDictionary()

_group = func.coalesce(Topic.group_id, Topic.id)


def _counted() -> tuple[ColumnElement[bool], ...]:
    """Cases that are in no incident and may still be somebody's trouble."""
    return Appeal.incident_id.is_(None), Appeal.status.not_in(_NOT_COUNTED)


def _never_joined() -> ColumnElement[bool]:
    """Whom a person took out of an incident stays out."""
    return ~exists().where(IncidentMember.appeal_id == Appeal.id)


def _heard() -> Select[Any]:
    # The place is what was read: of the words, the post above, or else of the page.
    same = (
        Appeal.id, Appeal.text, Appeal.municipality, Appeal.settlement, Appeal.street, Appeal.fault,
        Appeal.topic_id, Appeal.network, Appeal.page_id, Appeal.organisation_id, Appeal.author_key,
        Appeal.thread_key, Appeal.urgency, Appeal.written_at, Appeal.opened_at,
    )  # fmt: skip
    # Any: so many columns have no type of their own.
    query: Any = select(*same, _group.label("group_id")).outerjoin(Topic, Topic.id == Appeal.topic_id)
    found: Select[Any] = query
    return found


def _matter(fault: str | None, group_id: UUID | None) -> Matter | None:
    if fault is not None:
        return "fault", fault
    return ("group", str(group_id)) if group_id is not None else None


class Gathering:
    """One batch."""

    def __init__(self, session: WriteSession, config: AppealsSettings) -> None:
        self._session = session
        self._least = config.burst_cases
        self._window = timedelta(minutes=config.burst_minutes)
        self._quiet = timedelta(hours=config.burst_quiet_hours)

    async def run(self, appeal_ids: Collection[UUID]) -> None:
        """Join these cases to open incidents, and open incidents for what bursts with them."""
        await self._session.execute(PLAN_FOR_THIS)
        cases = await self._read(_heard().where(Appeal.id.in_(appeal_ids), *_counted(), _never_joined()))
        cases = [case for case in cases if case.municipality is not None]
        if not cases:
            return
        await self._lock({case.municipality for case in cases if case.municipality})
        left = await self._join_open(cases)
        await self._open_bursts(left)

    async def _read(self, query: Select[Any]) -> list[Heard]:
        return [Heard.of(**row._mapping) for row in await self._session.execute(query)]

    async def _lock(self, municipalities: Collection[str]) -> None:
        await self._session.execute(_LOCK_PLACES, {"room": _LOCK, "names": sorted(municipalities)})

    # Open incidents.

    async def _join_open(self, cases: Sequence[Heard]) -> list[Heard]:
        """Put cases into the open incidents that they tell of; gives those that are left."""
        open_ones = list(
            await self._session.scalars(
                select(Incident)
                .where(
                    Incident.closed_at.is_(None),
                    Incident.municipality.in_({case.municipality for case in cases}),
                    Incident.last_at >= min(case.written_at for case in cases) - self._quiet,
                )
                .order_by(Incident.id)
                .with_for_update(key_share=True)
                .execution_options(populate_existing=True)
            )
        )
        if not open_ones:
            return list(cases)
        groups = await self._groups(open_ones)
        profiles = await self._profiles(open_ones)
        joined: dict[UUID, list[tuple[Heard, float]]] = defaultdict(list)
        left: list[Heard] = []
        for case, near in self._near(cases, open_ones, profiles):
            fitting = [
                incident
                for incident in open_ones
                if self._fits(case, incident, groups.get(incident.id), near[incident.id], profiles[incident.id])
            ]
            if not fitting:
                left.append(case)
                continue
            best = max(fitting, key=lambda one: _preference(case, one, profiles[one.id]))
            joined[best.id].append((case, near[best.id]))
        for incident in open_ones:
            if found := joined[incident.id]:
                await self._join(incident, found)
        return left

    async def _groups(self, open_ones: Sequence[Incident]) -> dict[UUID, UUID]:
        rows = await self._session.execute(
            select(Topic.id, _group).where(Topic.id.in_({one.topic_id for one in open_ones if one.topic_id}))
        )
        group_of = {row[0]: row[1] for row in rows}
        return {one.id: group_of[one.topic_id] for one in open_ones if one.topic_id in group_of}

    async def _profiles(self, open_ones: Sequence[Incident]) -> dict[UUID, "_Profile"]:
        """The last members of each incident: their words and where they stand."""
        found = {one.id: _Profile([], defaultdict(int), defaultdict(int)) for one in open_ones}
        last = (
            select(IncidentMember.appeal_id)
            .where(IncidentMember.incident_id == Incident.id, IncidentMember.left_at.is_(None))
            .order_by(IncidentMember.joined_at.desc(), IncidentMember.id.desc())
            .limit(PROFILE)
            .lateral()
        )
        rows = await self._session.execute(
            select(Incident.id, Appeal.text, Appeal.thread_key, Appeal.page_id)
            .select_from(Incident)
            .join(last, true())
            .join(Appeal, Appeal.id == last.c.appeal_id)
            .where(Incident.id.in_(found))
        )
        for incident_id, words, thread_key, page_id in rows:
            profile = found[incident_id]
            profile.texts.append(words)
            profile.threads[thread_key] += 1
            profile.pages[page_id] += 1
        return found

    def _near(
        self, cases: Sequence[Heard], open_ones: Sequence[Incident], profiles: dict[UUID, "_Profile"]
    ) -> Iterable[tuple[Heard, dict[UUID, float]]]:
        near: list[dict[UUID, float]] = [{} for _ in cases]
        for incident in open_ones:
            here = [at for at, case in enumerate(cases) if case.municipality == incident.municipality]
            profile = profiles[incident.id]
            found = likenesses(
                profile.texts, [cases[at].text for at in here], (incident.settlement, incident.street)
            )
            for at, value in zip(here, found, strict=True):
                near[at][incident.id] = value
        for case, values_ in zip(cases, near, strict=True):
            yield case, defaultdict(float, values_)

    def _fits(self, case: Heard, incident: Incident, group: UUID | None, near: float, profile: "_Profile") -> bool:
        if case.municipality != incident.municipality or not _one_place(case.settlement, incident.settlement):
            return False
        if not incident.first_at - self._window <= case.written_at <= incident.last_at + self._quiet:
            return False
        if incident.fault is not None and case.fault is not None:
            return incident.fault == case.fault
        if not may_be_about(case, incident.fault, group):
            return False
        beside = profile.threads.get(case.thread_key, 0)
        return belongs(near, beside, same_topic=is_of_topic(case, incident.topic_id))

    async def _join(self, incident: Incident, found: Sequence[tuple[Heard, float]]) -> None:
        await self._lock_cases([case for case, _ in found])
        voices = [_voice(case, near, incident.fault) for case, near in found]
        await incidents.join(self._session, incident, voices, by=SYSTEM)

    async def _lock_cases(self, cases: Iterable[Heard]) -> None:
        # In the order in which everyone locks them.
        query = (
            select(Appeal.id)
            .where(Appeal.id.in_({case.id for case in cases}))
            .order_by(Appeal.id)
            .with_for_update(key_share=True)
        )
        await self._session.execute(query)

    # Bursts.

    async def _open_bursts(self, cases: Sequence[Heard]) -> None:
        """Open an incident where, with these cases, many tell of one thing at once."""
        places: dict[str, datetime] = {}
        matters: dict[str, set[Matter]] = defaultdict(set)
        for case in cases:
            if case.municipality is None or case.matter is None:
                continue
            places[case.municipality] = max(case.opened_at, places.get(case.municipality, case.opened_at))
            matters[case.municipality].add(case.matter)
        if not places:
            return
        tallies = await self._tallies(places)
        latest = max(places.values())
        usual = await self._usual(latest)
        around = await self._around(latest)
        for place in sorted(places):
            here = tallies.get(place)
            if here is None:
                continue
            known = usual.places.get(place, Tally.of(()))
            others = Tally.of((matter, count) for name, matter, count in around if name != place)
            for matter in sorted(matters[place]):
                share = usual_share(matter, here=known, region=usual.region, elsewhere=others)
                if here.is_hot(matter, self._least, share):
                    await self._burst(place, matter, places[place], share, here)

    async def _tallies(self, places: dict[str, datetime]) -> dict[str, "_Here"]:
        """How many cases of each matter and settlement came lately in each place, by the last of them."""
        asked = values(column("place", Text), column("until", DateTime(timezone=True)), name="asked").data(
            sorted(places.items())
        )
        recent = (
            select(Appeal.fault, Appeal.topic_id, Appeal.settlement, Appeal.author_key)
            .where(
                Appeal.municipality == asked.c.place,
                Appeal.opened_at > asked.c.until - LOOKS_BACK,
                Appeal.opened_at <= asked.c.until,
                *_counted(),
            )
            .order_by(Appeal.opened_at.desc())
            .limit(SAMPLE)
            .lateral()
        )
        rows = await self._session.execute(
            select(
                asked.c.place,
                recent.c.fault,
                _group,
                recent.c.settlement,
                func.count(),
                func.count(recent.c.author_key.distinct()),
            )
            .select_from(asked)
            .join(recent, true())
            .outerjoin(Topic, Topic.id == recent.c.topic_id)
            .group_by(asked.c.place, recent.c.fault, _group, recent.c.settlement)
        )
        found: dict[str, _Here] = defaultdict(_Here)
        for place, fault, group_id, settlement, count, authors in rows:
            found[place].add(_matter(fault, group_id), settlement, count, authors)
        return found

    async def _around(self, until: datetime) -> list[tuple[str | None, Matter | None, int]]:
        """What the whole region tells right now, by place."""
        recent = (
            select(Appeal.municipality, Appeal.fault, Appeal.topic_id)
            .where(Appeal.opened_at > until - LOOKS_BACK, Appeal.opened_at <= until, *_counted())
            .order_by(Appeal.opened_at.desc())
            .limit(SAMPLE)
            .subquery()
        )
        rows = await self._session.execute(
            select(recent.c.municipality, recent.c.fault, _group, func.count())
            .outerjoin(Topic, Topic.id == recent.c.topic_id)
            .group_by(recent.c.municipality, recent.c.fault, _group)
        )
        return [(place, _matter(fault, group_id), count) for place, fault, group_id, count in rows]

    async def _usual(self, now: datetime) -> _Usual:
        engine = self._session.get_bind()
        assert isinstance(engine, Engine)
        known = _USUAL.get(engine)
        if known is None or abs(now - known.at) > USUAL_KEPT:
            known = _USUAL[engine] = await self._count_usual(now)
        return known

    async def _count_usual(self, now: datetime) -> _Usual:
        rows = await self._session.execute(
            select(Appeal.municipality, Appeal.fault, _group, func.count())
            .outerjoin(Topic, Topic.id == Appeal.topic_id)
            .where(Appeal.opened_at > now - USUAL_FROM, Appeal.opened_at <= now - LOOKS_BACK, *_counted())
            .group_by(Appeal.municipality, Appeal.fault, _group)
        )
        region: list[tuple[Matter | None, int]] = []
        places: dict[str, list[tuple[Matter | None, int]]] = defaultdict(list)
        for place, fault, group_id, count in rows:
            region.append((_matter(fault, group_id), count))
            if place is not None:
                places[place].append(region[-1])
        return _Usual(now, Tally.of(region), {place: Tally.of(found) for place, found in places.items()})

    async def _burst(self, place: str, matter: Matter, until: datetime, share: float, here: "_Here") -> None:
        cases = await self._read(self._recent(place, until, self._about(matter)))
        for found in bursts(matter, cases, least=self._least, window=self._window):
            about = incidents.matter_of(found)
            likeness: dict[UUID, float | None] = {case.id: None for case in found}
            members = [*found]
            if matter[0] == "fault":
                silent = await self._silent(place, until, found, about.settlement)
                for case, near in likely_members(found, silent, about.topic_id):
                    likeness[case.id] = near
                    members.append(case)
            await self._lock_cases(members)
            voices = [_voice(case, likeness[case.id], about.fault) for case in members]
            incident = await incidents.open_about(self._session, about, voices, by=SYSTEM, origin="burst")
            await alerts.raise_burst(self._session, incident, _why(incident, members, share * here.total))

    def _about(self, matter: Matter) -> ColumnElement[bool]:
        kind, name = matter
        if kind == "fault":
            return Appeal.fault == name
        return and_(Appeal.fault.is_(None), _group == UUID(name))

    def _recent(self, place: str, until: datetime, *about: ColumnElement[bool]) -> Select[Any]:
        return (
            _heard()
            .where(
                Appeal.municipality == place,
                Appeal.opened_at > until - LOOKS_BACK,
                Appeal.opened_at <= until,
                *_counted(),
                _never_joined(),
                *about,
            )
            .order_by(Appeal.opened_at.desc())
            .limit(MOST)
        )

    async def _silent(
        self, place: str, until: datetime, members: Sequence[Heard], settlement: str | None
    ) -> list[Heard]:
        """Cases there that may be about the same and do not say that it is out."""
        group = incidents.agreed(case.group_id for case in members)
        found = await self._read(self._recent(place, until, Appeal.fault.is_(None)))
        return [
            case
            for case in found
            if _one_place(case.settlement, settlement) and may_be_about(case, members[0].fault, group)
        ]


@dataclass
class _Profile:
    """How an incident's last members speak and where they stand."""

    texts: list[str]
    threads: dict[str | None, int]
    pages: dict[UUID | None, int]


class _Here:
    """What came lately in one place."""

    def __init__(self) -> None:
        self.total = 0
        self._settlements: dict[str, int] = defaultdict(int)
        self._cells: dict[tuple[Matter, str | None], tuple[int, int]] = defaultdict(lambda: (0, 0))

    def add(self, matter: Matter | None, settlement: str | None, count: int, authors: int) -> None:
        """Count cases of a matter in a settlement, null: in one that is not named."""
        self.total += count
        if settlement is not None:
            self._settlements[settlement] += count
        if matter is not None:
            before = self._cells[matter, settlement]
            self._cells[matter, settlement] = before[0] + count, before[1] + authors

    def is_hot(self, matter: Matter, least: int, share: float) -> bool:
        """Whether the matter stands out here, or in one settlement of the place."""
        cells = {where: cell for (what, where), cell in self._cells.items() if what == matter}
        count, authors = (sum(cell[at] for cell in cells.values()) for at in (0, 1))
        if authors >= least and stands_out(count, self.total, share):
            return True
        return any(
            cell[1] >= least and stands_out(cell[0], self._settlements[where], share)
            for where, cell in cells.items()
            if where is not None
        )


def _one_place(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _preference(
    found: Heard, incident: Incident, profile: _Profile
) -> tuple[bool, bool, int, bool, int, datetime]:
    """Of several incidents that fit: the one that names the place and the fault, then where the post is."""
    return (
        found.settlement is not None and found.settlement == incident.settlement,
        found.fault is not None and found.fault == incident.fault,
        profile.threads.get(found.thread_key, 0),
        found.seat is not None and found.seat == incident.settlement,
        profile.pages.get(found.page_id, 0),
        incident.last_at,
    )


def _voice(case: Heard, near: float | None, fault: str | None) -> Voice:
    named = case.fault is not None and case.fault == fault
    what = incidents.fault_name(fault) if named and fault else "похожие слова на ту же тему"
    where = case.settlement or "место страницы или района"
    return Voice(
        appeal_id=case.id,
        written_at=case.written_at,
        urgency=case.urgency,
        organisation_id=case.organisation_id,
        likeness=None if near is None else round(near, 3),
        why=f"{what}; {where}",
    )


def _why(incident: Incident, cases: Sequence[Heard], expected: float) -> str:
    people = speakers(cases)
    span = incident.last_at - incident.first_at
    said = f"{people} {plural(people, ('человек', 'человека', 'человек'))} за {in_words(span)}"
    return f"{incident.title}. {said}; обычно при таком потоке — {expected:.0f}"
