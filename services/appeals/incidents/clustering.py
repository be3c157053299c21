"""Gathering: new cases join the open incident they tell of, and many at once about one thing make a burst.

A second reader of appeals' own events, in batches, with as many statements for a thousand cases as for one. Its
cursor lets one worker at a time through; a batch also holds an advisory lock for each municipality it touches, so
that a case handled apart (an event stepped over) opens no second incident beside it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
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

from services.appeals.incidents import service, subject
from services.appeals.incidents.cluster_candidates import Trouble, fits, is_one, one_place, preference
from services.appeals.incidents.service import Voice
from services.appeals.incidents.similar_appeals import PLAN_FOR_THIS
from services.appeals.incidents.spike_detection import (
    PROFILE,
    Heard,
    Matter,
    Tally,
    bursts,
    is_sudden,
    likely_members,
    likenesses,
    may_be_about,
    speakers,
    stands_out,
    usual_share,
)
from services.appeals.lifecycle import alerts
from services.appeals.lifecycle.actors import SYSTEM
from services.appeals.settings import AppealsSettings, settings
from shared.database.sessions import WriteSession
from shared.russian import in_words, plural
from shared.tables.appeals import Appeal, Incident, IncidentMember, Topic
from shared.tables.common import Event

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
        troubles = await self._open_ones(cases)
        left = self._join(cases, troubles)
        await self._find_bursts(left, troubles)
        await self._store(troubles)

    async def _read(self, query: Select[Any]) -> list[Heard]:
        return [Heard.of(**row._mapping) for row in await self._session.execute(query)]

    async def _lock(self, municipalities: Collection[str]) -> None:
        await self._session.execute(_LOCK_PLACES, {"room": _LOCK, "names": sorted(municipalities)})

    # Open incidents.

    async def _open_ones(self, cases: Sequence[Heard]) -> list[Trouble]:
        """The open incidents of these cases' places, locked, with the words and places of their last members."""
        found = list(
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
        if not found:
            return []
        groups = await self._groups(found)
        troubles = {one.id: Trouble.of(one, groups.get(one.topic_id)) for one in found}
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
            .where(Incident.id.in_(troubles))
        )
        for incident_id, words, thread_key, page_id in rows:
            troubles[incident_id].hear(words, thread_key, page_id)
        return list(troubles.values())

    async def _groups(self, incidents: Sequence[Incident]) -> dict[UUID | None, UUID]:
        rows = await self._session.execute(
            select(Topic.id, _group).where(Topic.id.in_({one.topic_id for one in incidents if one.topic_id}))
        )
        return {row[0]: row[1] for row in rows}

    def _join(self, cases: Sequence[Heard], troubles: Sequence[Trouble]) -> list[Heard]:
        """Have cases come into the open incidents that they tell of; gives those that are left."""
        near = [_nearness(trouble, cases) for trouble in troubles]
        left: list[Heard] = []
        for case in cases:
            fitting = [
                (preference(case, trouble), place)
                for place, trouble in enumerate(troubles)
                if self._is_near(trouble, case.written_at, case.written_at)
                and fits(case, trouble, near[place].get(case.id, 0.0))
            ]
            if not fitting:
                left.append(case)
                continue
            _, best = max(fitting)
            troubles[best].coming.append((case, near[best][case.id]))
        return left

    def _is_near(self, trouble: Trouble, first_at: datetime, last_at: datetime) -> bool:
        return trouble.is_near(first_at, last_at, window=self._window, quiet=self._quiet)

    # Bursts.

    async def _find_bursts(self, cases: Sequence[Heard], troubles: list[Trouble]) -> None:
        """Add what, with these cases, many tell of at once to the troubles, and those cases to what is known."""
        places: dict[str, datetime] = {}
        matters: dict[str, set[Matter]] = defaultdict(set)
        for case in cases:
            if case.municipality is None or case.matter is None:
                continue
            places[case.municipality] = max(case.opened_at, places.get(case.municipality, case.opened_at))
            matters[case.municipality].add(case.matter)
        if not places:
            return
        coming = [case.id for trouble in troubles for case, _ in trouble.coming]
        tallies = await self._tallies(places, coming)
        latest = max(places.values())
        usual = await self._usual(latest)
        around = await self._around(latest, coming)
        for place in sorted(places):
            here = tallies.get(place)
            if here is None:
                continue
            known = usual.places.get(place, Tally.of(()))
            others = Tally.of((matter, count) for name, matter, count in around if name != place)
            for matter in sorted(matters[place]):
                share = usual_share(matter, here=known, region=usual.region, elsewhere=others)
                if here.is_hot(matter, self._least, share):
                    await self._burst(place, matter, places[place], share * here.total, troubles)

    async def _burst(
        self, place: str, matter: Matter, until: datetime, expected: float, troubles: list[Trouble]
    ) -> None:
        taken = {case.id for trouble in troubles for case, _ in trouble.coming}
        cases = [
            case for case in await self._read(self._recent(place, until, _about(matter))) if case.id not in taken
        ]
        parts = list(bursts(matter, cases, least=self._least, window=self._window))
        taken.update(case.id for part in parts for case in part)
        for part in parts:
            burst = Trouble.told_by(part, expected)
            for case, near in likely_members(
                part, await self._others(place, until, burst, taken), burst.about.topic_id
            ):
                burst.coming.append((case, near))
                taken.add(case.id)
            # A second incident beside one of the same trouble would part its voices, and answer only some of them.
            known = next(
                (
                    trouble
                    for trouble in troubles
                    if self._is_near(trouble, burst.first_at, burst.last_at) and is_one(trouble, burst)
                ),
                None,
            )
            if known is None:
                troubles.append(burst)
            else:
                known.take(burst)

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

    async def _others(self, place: str, until: datetime, burst: Trouble, taken: Collection[UUID]) -> list[Heard]:
        """Cases there that may be about the same, though they do not say what is out or say it in other words."""
        # Beside a burst that names nothing as out, also who does, if the group is the same.
        unsaid = (Appeal.fault.is_(None),) if burst.about.fault is not None else (_group == burst.group_id,)
        return [
            case
            for case in await self._read(self._recent(place, until, *unsaid))
            if case.id not in taken
            and one_place(case.settlement, burst.about.settlement)
            and may_be_about(case, burst.about.fault, burst.group_id)
        ]

    # Writing.

    async def _store(self, troubles: Sequence[Trouble]) -> None:
        """Write what was found; the cases of all are locked at once, in the order in which everyone locks them."""
        free = await self._lock_cases({case.id for trouble in troubles for case, _ in trouble.coming})
        for trouble in troubles:
            # Somebody may have joined or ended cases while they were waited for.
            coming = [(case, near) for case, near in trouble.coming if case.id in free]
            voices = [_voice(case, near, trouble.about.fault) for case, near in coming]
            if trouble.incident is not None:
                came = await service.join(self._session, trouble.incident, voices, by=SYSTEM)
                if came and trouble.incident.fault is None and trouble.about.fault is not None:
                    await service.learn(self._session, trouble.incident, trouble.about.fault)
            elif is_sudden([case for case in trouble.core if case.id in free], self._least, self._window):
                incident = await service.open_about(
                    self._session, trouble.about, voices, by=SYSTEM, origin="burst"
                )
                why = _why(incident, [case for case, _ in coming], trouble.expected)
                await alerts.raise_burst(self._session, incident, why)

    async def _lock_cases(self, appeal_ids: Collection[UUID]) -> set[UUID]:
        """Lock cases; gives those that are in no incident yet."""
        if not appeal_ids:
            return set()
        query = (
            select(Appeal.id)
            .where(Appeal.id.in_(appeal_ids), *_counted())
            .order_by(Appeal.id)
            .with_for_update(key_share=True)
        )
        return set(await self._session.scalars(query))

    # Counting.

    async def _tallies(self, places: dict[str, datetime], coming: Sequence[UUID]) -> dict[str, "_Here"]:
        """How many cases of each matter and settlement came lately in each place, by the last of them.

        Those that are coming into incidents are not counted.
        """
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
                Appeal.id.not_in(coming),
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

    async def _around(
        self, until: datetime, coming: Sequence[UUID]
    ) -> list[tuple[str | None, Matter | None, int]]:
        """What the whole region tells right now, by place."""
        recent = (
            select(Appeal.municipality, Appeal.fault, Appeal.topic_id)
            .where(
                Appeal.opened_at > until - LOOKS_BACK,
                Appeal.opened_at <= until,
                *_counted(),
                Appeal.id.not_in(coming),
            )
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


def _about(matter: Matter) -> ColumnElement[bool]:
    kind, name = matter
    if kind == "fault":
        return Appeal.fault == name
    return and_(Appeal.fault.is_(None), _group == UUID(name))


def _nearness(trouble: Trouble, cases: Sequence[Heard]) -> dict[UUID, float]:
    """How alike the words of the cases of its place are to those of its members."""
    about = trouble.about
    here = [case for case in cases if case.municipality == about.municipality]
    found = likenesses(trouble.texts, [case.text for case in here], (about.settlement, about.street))
    return {case.id: near for case, near in zip(here, found, strict=True)}


def _voice(case: Heard, near: float | None, fault: str | None) -> Voice:
    named = case.fault is not None and case.fault == fault
    what = subject.fault_name(fault) if named and fault else "похожие слова на ту же тему"
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
