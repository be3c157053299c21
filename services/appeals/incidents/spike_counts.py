"""Counts of recent appeals by key, in municipalities and in the region, and the usual counts (baseline)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, DateTime, Engine, Text, column, func, select, true, values

from services.appeals.incidents.spike_detection import Counts, SpikeKey, is_significant
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic

# Long enough for polled pages, whose messages are received hours after they were written.
RECENT_WINDOW = timedelta(hours=3)
BASELINE_WINDOW = timedelta(days=14)
BASELINE_CACHE_FOR = timedelta(minutes=10)
# Maximum number of rows read for one municipality, and for the region.
MAX_COUNTED = 2_000


@dataclass(frozen=True)
class Baseline:
    """Counts of the last two weeks, taken at `at`."""

    at: datetime
    region: Counts
    municipalities: dict[str, Counts]


# Recounted every ten minutes instead of for every batch; the key is the database engine.
_BASELINES: WeakKeyDictionary[Engine, Baseline] = WeakKeyDictionary()

# The group of a topic, or the topic itself if it is a group.
topic_group: ColumnElement[UUID] = func.coalesce(Topic.group_id, Topic.id)


def counted() -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions of appeals that are in no incident and may still join one."""
    return Appeal.incident_id.is_(None), Appeal.status.not_in(("not_required", "merged"))


def spike_key(utility_failure: str | None, group_id: UUID | None) -> SpikeKey | None:
    """Return the key of an appeal: its utility failure, else its topic group."""
    if utility_failure is not None:
        return "utility_failure", utility_failure
    return ("group", str(group_id)) if group_id is not None else None


class LocationCounts:
    """Recent counts of one municipality."""

    def __init__(self) -> None:
        self.total = 0
        self._settlements: dict[str, int] = defaultdict(int)
        self._cells: dict[tuple[SpikeKey, str | None], tuple[int, int]] = defaultdict(lambda: (0, 0))

    def add(self, key: SpikeKey | None, settlement: str | None, count: int, authors: int) -> None:
        """Count appeals of a key in a settlement; None if no settlement is named."""
        self.total += count
        if settlement is not None:
            self._settlements[settlement] += count
        if key is not None:
            before = self._cells[key, settlement]
            self._cells[key, settlement] = before[0] + count, before[1] + authors

    def is_hot(self, key: SpikeKey, min_authors: int, share: float) -> bool:
        """Return whether the key is significant in the municipality or in one of its settlements: it has at least
        `min_authors` authors there, and significantly more appeals than the usual `share`.
        """
        cells = {where: cell for (what, where), cell in self._cells.items() if what == key}
        count, authors = (sum(cell[at] for cell in cells.values()) for at in (0, 1))
        if authors >= min_authors and is_significant(count, self.total, share):
            return True
        return any(
            cell[1] >= min_authors and is_significant(cell[0], self._settlements[where], share)
            for where, cell in cells.items()
            if where is not None
        )


async def count_by_municipality(
    session: WriteSession, municipalities: dict[str, datetime], coming: Sequence[UUID]
) -> dict[str, LocationCounts]:
    """Return the recent counts of each municipality, by key and settlement.

    `municipalities`: the moment up to which appeals are counted, by OKTMO code. Appeals that are about to join an
    incident (`coming`) are not counted.
    """
    asked = values(column("place", Text), column("until", DateTime(timezone=True)), name="asked").data(
        sorted(municipalities.items())
    )
    recent = (
        select(Appeal.utility_failure, Appeal.topic_id, Appeal.settlement, Appeal.author_key)
        .where(
            Appeal.municipality == asked.c.place,
            Appeal.opened_at > asked.c.until - RECENT_WINDOW,
            Appeal.opened_at <= asked.c.until,
            *counted(),
            Appeal.id.not_in(coming),
        )
        .order_by(Appeal.opened_at.desc())
        .limit(MAX_COUNTED)
        .lateral()
    )
    rows = await session.execute(
        select(
            asked.c.place,
            recent.c.utility_failure,
            topic_group,
            recent.c.settlement,
            func.count(),
            func.count(recent.c.author_key.distinct()),
        )
        .select_from(asked)
        .join(recent, true())
        .outerjoin(Topic, Topic.id == recent.c.topic_id)
        .group_by(asked.c.place, recent.c.utility_failure, topic_group, recent.c.settlement)
    )
    found: dict[str, LocationCounts] = defaultdict(LocationCounts)
    for municipality, utility_failure, group_id, settlement, count, authors in rows:
        found[municipality].add(spike_key(utility_failure, group_id), settlement, count, authors)
    return found


async def count_region(
    session: WriteSession, until: datetime, coming: Sequence[UUID]
) -> list[tuple[str | None, SpikeKey | None, int]]:
    """Return the recent counts of the whole region up to the moment `until`, by municipality and key. Appeals that
    are about to join an incident (`coming`) are not counted.
    """
    recent = (
        select(Appeal.municipality, Appeal.utility_failure, Appeal.topic_id)
        .where(
            Appeal.opened_at > until - RECENT_WINDOW,
            Appeal.opened_at <= until,
            *counted(),
            Appeal.id.not_in(coming),
        )
        .order_by(Appeal.opened_at.desc())
        .limit(MAX_COUNTED)
        .subquery()
    )
    rows = await session.execute(
        select(recent.c.municipality, recent.c.utility_failure, topic_group, func.count())
        .outerjoin(Topic, Topic.id == recent.c.topic_id)
        .group_by(recent.c.municipality, recent.c.utility_failure, topic_group)
    )
    return [
        (municipality, spike_key(utility_failure, group_id), count)
        for municipality, utility_failure, group_id, count in rows
    ]


async def read_baseline(session: WriteSession, now: datetime) -> Baseline:
    """Return the counts of the last two weeks without the recent window, at most `BASELINE_CACHE_FOR` old."""
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    known = _BASELINES.get(engine)
    if known is None or abs(now - known.at) > BASELINE_CACHE_FOR:
        known = _BASELINES[engine] = await _count_baseline(session, now)
    return known


async def _count_baseline(session: WriteSession, now: datetime) -> Baseline:
    rows = await session.execute(
        select(Appeal.municipality, Appeal.utility_failure, topic_group, func.count())
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
        .where(Appeal.opened_at > now - BASELINE_WINDOW, Appeal.opened_at <= now - RECENT_WINDOW, *counted())
        .group_by(Appeal.municipality, Appeal.utility_failure, topic_group)
    )
    region: list[tuple[SpikeKey | None, int]] = []
    municipalities: dict[str, list[tuple[SpikeKey | None, int]]] = defaultdict(list)
    for municipality, utility_failure, group_id, count in rows:
        region.append((spike_key(utility_failure, group_id), count))
        if municipality is not None:
            municipalities[municipality].append(region[-1])
    return Baseline(
        now,
        Counts.of(region),
        {municipality: Counts.of(found) for municipality, found in municipalities.items()},
    )
