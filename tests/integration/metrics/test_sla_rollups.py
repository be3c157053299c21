"""SLA figures from rollups equal those from rows, whatever changes, in every order of transactions."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.metrics.indicators.period import Period, midnight
from services.metrics.indicators.sla import compute_from_rows
from services.metrics.schemas.metrics import SlaGroupBy
from services.metrics.sla_rollups import reading
from services.metrics.sla_rollups.reading import compute_sla
from services.metrics.sla_rollups.rebuilding import LAG, rebuild_due_months, rebuild_month, update_gauge
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.database.sessions import Database, ReadSession, use_snapshot
from tests.conftest import TestDatabase
from tests.support.service_under_test import insert_organisation

NOW = datetime(2026, 5, 10, 4, tzinfo=UTC)
JANUARY, END = midnight(date(2026, 1, 1)), midnight(date(2026, 5, 11))
MARCH = date(2026, 3, 1)
GROUPINGS = (None, *SlaGroupBy)
COLUMNS = (
    "id", "status", "urgency", "organisation_id", "topic_id", "network", "text", "route", "written_at",
    "opened_at", "first_response_due_at", "first_response_at", "first_response_working_seconds", "closed_at",
    "final_answer_at", "outcome", "feedback_kind", "version", "created_at", "updated_at",
)  # fmt: skip
STATUSES = (
    "assigned", "in_progress", "interim", "answered", "closed", "reopened", "triage", "not_required", "merged"
)  # fmt: skip
CENTRE = Caller("somebody", "", Role.MODERATOR, None).with_right(Right.METRICS_READ)


@dataclass
class Region:
    """A database with appeals of four months and ten days, made by a random generator that tests go on to use."""

    test_database: TestDatabase
    database: Database
    connection: asyncpg.Connection
    chance: random.Random
    organisations: list[UUID | None]
    topics: list[UUID | None]
    ids: list[UUID] = field(default_factory=list)

    def moment(self, start: datetime = JANUARY, end: datetime = END) -> datetime:
        """Return a random moment, often the first or the last one of a month."""
        found = start + (end - start) * self.chance.random()
        if self.chance.random() < 0.1:
            first = midnight(date(2026, self.chance.randint(1, 5), 1))
            found = first - timedelta(microseconds=self.chance.randint(0, 1))
        return max(found, start)

    def values(self) -> dict[str, Any]:
        """Return random values of everything that figures count."""
        pick = self.chance.choice
        opened = self.moment()
        answered = self.chance.random() < 0.6
        return {
            "status": pick(STATUSES),
            "organisation_id": pick(self.organisations),
            "topic_id": pick(self.topics),
            "network": pick(("vk", "ok", None)),
            "written_at": opened - timedelta(microseconds=self.chance.randint(0, 10**10)),
            "opened_at": opened,
            "first_response_due_at": pick((None, self.moment(), self.moment(), NOW)),
            "first_response_at": self.moment() if answered else None,
            "first_response_working_seconds": pick((None, self.chance.randint(0, 10**6))) if answered else None,
            "closed_at": pick((None, None, self.moment())),
            "final_answer_at": pick((None, self.moment())),
            "outcome": pick((None, "solved", "explained")),
            "feedback_kind": pick((None, None, "thanks", "not_solved")),
        }

    async def add(self, count: int) -> None:
        rows = []
        for _ in range(count):
            row = {
                "id": uuid4(), "urgency": "normal", "text": "Не горит фонарь", "route": "{}", "version": 1,
                "created_at": NOW, "updated_at": NOW, **self.values(),
            }  # fmt: skip
            self.ids.append(row["id"])
            rows.append([row[name] for name in COLUMNS])
        places = ", ".join(f"${place + 1}" for place in range(len(COLUMNS)))
        await self.connection.executemany(f"INSERT INTO appeals ({', '.join(COLUMNS)}) VALUES ({places})", rows)

    async def change(self) -> None:
        """Change a few columns of an appeal, add or delete one."""
        kind = self.chance.random()
        if kind < 0.2:
            await self.add(1)
        elif kind < 0.3:
            gone = self.ids.pop(self.chance.randrange(len(self.ids)))
            await self.connection.execute("DELETE FROM appeals WHERE id = $1", gone)
        else:
            made = self.values()
            names = self.chance.sample(sorted(made), self.chance.randint(1, 4))
            changed = ", ".join(f"{name} = ${place + 2}" for place, name in enumerate(names))
            await self.connection.execute(
                f"UPDATE appeals SET {changed} WHERE id = $1",
                self.chance.choice(self.ids),
                *(made[name] for name in names),
            )

    def period(self) -> Period:
        start, end = sorted((self.moment(JANUARY - timedelta(days=40)), self.moment(end=END + timedelta(days=40))))
        return Period(start, end)


@pytest.fixture
async def region(database: TestDatabase) -> AsyncIterator[Region]:
    connection = await database.connect()
    await connection.execute(
        "INSERT INTO municipalities VALUES ('99000001', 'Н-ский район', 'district', 'н-ский')"
    )
    organisations = [
        await insert_organisation(database, name="Школа", municipality="99000001"),
        await insert_organisation(database, name="Больница", municipality="99000001"),
        await insert_organisation(database, name="Министерство"),
    ]
    group, topic, other = (uuid4() for _ in range(3))
    await connection.executemany(
        """INSERT INTO topics (id, code, name, position, taxonomy_version, aliases, active, group_id)
           VALUES ($1, $2, $2, $3, 'test', '[]', true, $4)""",
        [(group, "test-1", 1, None), (topic, "test-2", 2, group), (other, "test-3", 3, group)],
    )
    pool = Database(database.url("metrics"), 4, name="metrics")
    made = Region(
        database, pool, connection, random.Random(29), [*organisations, None], [group, topic, other, None]
    )
    await made.add(300)
    yield made
    await pool.close()
    await connection.close()


async def assert_equal_to_rows(
    session: ReadSession, period: Period, now: datetime, groupings: Sequence[SlaGroupBy | None] = GROUPINGS
) -> None:
    for group_by in groupings:
        found = await compute_sla(session, period, group_by, CENTRE, now)
        assert found == await compute_from_rows(session, period, group_by, CENTRE, now), (group_by, period, now)


async def test_figures_equal_those_of_rows_after_random_changes(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    query = reading.rollup_query

    def noting(period: Period, months: Sequence[date], group_by: SlaGroupBy | None) -> Any:
        used.append(len(months))
        return query(period, months, group_by)

    monkeypatch.setattr(reading, "rollup_query", noting)
    for round_number in range(8):
        if round_number % 3 == 0:
            await rebuild_due_months(region.database, NOW)
        for _ in range(2 * round_number):
            await region.change()
        async with region.database.read() as session:
            await use_snapshot(session)
            for period in (Period(JANUARY, END), region.period()):
                await assert_equal_to_rows(session, period, region.moment(end=NOW + timedelta(days=60)))
    # Some were all four months, some what the changes left of them.
    assert max(used) == 4
    assert {1, 2, 3} & set(used)


async def test_renamed_and_moved_organisation_needs_no_rebuild(region: Region) -> None:
    await rebuild_due_months(region.database, NOW)
    await region.connection.execute("UPDATE organisations SET municipality = NULL WHERE name = 'Школа'")
    await region.connection.execute("UPDATE organisations SET name = 'Лицей' WHERE name = 'Школа'")
    async with region.database.read() as session:
        await use_snapshot(session)
        period = Period(JANUARY, END)
        await assert_equal_to_rows(session, period, NOW, (SlaGroupBy.MUNICIPALITY, SlaGroupBy.ORGANISATION))
        _, groups = await compute_sla(session, period, SlaGroupBy.ORGANISATION, CENTRE, NOW)
        assert {group.name for group in groups} == {"Лицей", "Больница", "Министерство", None}


async def test_change_of_a_column_that_is_not_counted_keeps_the_rollup(region: Region) -> None:
    await rebuild_due_months(region.database, NOW)
    await region.connection.execute("UPDATE appeals SET urgency = 'high', text = '', erased_at = now()")
    await region.connection.execute("UPDATE appeals SET status = status")
    assert await region.connection.fetchval("SELECT count(*) FROM sla_rollup_changes") == 0


async def test_unfinished_month_is_read_from_rows_until_it_ends(region: Region) -> None:
    may = date(2026, 5, 1)
    assert await rebuild_due_months(region.database, NOW) == 4
    assert await region.connection.fetchval("SELECT count(*) FROM sla_rollup_changes") == 0
    assert await rebuild_due_months(region.database, NOW) == 0
    assert not await region.connection.fetchval("SELECT count(*) FROM sla_rollup_months WHERE month = $1", may)
    assert await rebuild_due_months(region.database, midnight(date(2026, 6, 1))) == 1
    assert await region.connection.fetchval("SELECT count(*) FROM sla_rollup_months WHERE month = $1", may) == 1


async def test_gauge_shows_the_age_of_the_oldest_change(region: Region) -> None:
    async with region.database.read() as session:
        await update_gauge(session)
    assert LAG._value.get() > 0
    await rebuild_due_months(region.database, NOW)
    async with region.database.read() as session:
        await update_gauge(session)
    assert LAG._value.get() == 0


def interleavings(*counts: int) -> Iterator[tuple[int, ...]]:
    """Yield every order in which sequences of so many steps can be mixed, as the number of the sequence."""
    if not any(counts):
        yield ()
    for which, count in enumerate(counts):
        if count:
            left = (*counts[:which], count - 1, *counts[which + 1 :])
            yield from ((which, *rest) for rest in interleavings(*left))


class Worker:
    """Rebuilds March in two steps: `begin` stops when everything is counted, `finish` commits."""

    def __init__(self, database: Database) -> None:
        self._transaction = database.write()
        self._counted, self._may_finish = asyncio.Event(), asyncio.Event()

    async def begin(self) -> None:
        session = await self._transaction.__aenter__()
        execute = session.execute

        async def stopping(statement: Any, *given: Any, **options: Any) -> Any:
            if statement.is_insert and statement.table.name == "sla_rollup_months":
                self._counted.set()
                await self._may_finish.wait()
            return await execute(statement, *given, **options)

        session.execute = stopping  # type: ignore[method-assign]
        self._work = asyncio.create_task(rebuild_month(session, MARCH, NOW))
        await self._counted.wait()

    async def finish(self) -> None:
        self._may_finish.set()
        assert await self._work
        await self._transaction.__aexit__(None, None, None)


async def test_no_order_of_transactions_shows_a_stale_figure(region: Region) -> None:
    """A writer and the worker, each with two steps, and a reader, who reads one state of the database."""
    await rebuild_due_months(region.database, NOW)
    period = Period(midnight(MARCH), midnight(date(2026, 4, 1)))
    changed = await region.connection.fetchval(
        "SELECT id FROM appeals WHERE opened_at >= $1 AND opened_at < $2 LIMIT 1", period.start, period.end
    )
    writing = await region.test_database.connect()
    statuses = itertools.cycle(("assigned", "not_required"))
    for order in interleavings(2, 2, 1):
        writer, worker = writing.transaction(), Worker(region.database)

        async def write(writer: Any = writer) -> None:
            await writer.start()
            await writing.execute("UPDATE appeals SET status = $2 WHERE id = $1", changed, next(statuses))

        async def read() -> None:
            async with region.database.read() as session:
                await use_snapshot(session)
                await assert_equal_to_rows(session, period, NOW, (None,))

        steps = [[write, writer.commit], [worker.begin, worker.finish], [read]]
        for which in order:
            await steps[which].pop(0)()
    await writing.close()
