"""SLA figures from rollups equal those from rows after any changes and in every order of transactions."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from services.metrics.indicators.period import Period, midnight
from services.metrics.indicators.sla import compute_from_rows
from services.metrics.schemas.metrics import SlaGroupBy
from services.metrics.sla_rollups import reading
from services.metrics.sla_rollups.months import month_period
from services.metrics.sla_rollups.reading import compute_sla
from services.metrics.sla_rollups.rebuilding import rebuild_month
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.database.sessions import Database, ReadSession, use_snapshot
from tests.integration.metrics.conftest import CENTRE, END, JANUARY, NOW, Region
from tests.support.eventually import HANG_SECONDS

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
GROUPINGS = (None, *SlaGroupBy)


@pytest.fixture
def read_months(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets, for each read of rollups, the number of months read."""
    counts: list[int] = []
    query = reading.rollup_query

    def noting(period: Period, months: Sequence[date], group_by: SlaGroupBy | None) -> Any:
        counts.append(len(months))
        return query(period, months, group_by)

    monkeypatch.setattr(reading, "rollup_query", noting)
    return counts


async def assert_equal_to_rows(
    session: ReadSession,
    period: Period,
    groupings: Sequence[SlaGroupBy | None] = GROUPINGS,
    caller: Caller = CENTRE,
) -> None:
    for group_by in groupings:
        found = await compute_sla(session, period, group_by, caller, NOW)
        assert found == await compute_from_rows(session, period, group_by, caller, NOW), (group_by, period)


async def test_figures_equal_those_of_rows_after_random_changes(region: Region, read_months: list[int]) -> None:
    for round_number in range(8):
        if round_number % 3 == 0:
            await region.rebuild()
        for _ in range(2 * round_number):
            await region.change()
        async with region.database.read() as session:
            await use_snapshot(session)
            for period in (Period(JANUARY, END), region.period()):
                now = region.moment(end=NOW + timedelta(days=60))
                for group_by in GROUPINGS:
                    found = await compute_sla(session, period, group_by, CENTRE, now)
                    expected = await compute_from_rows(session, period, group_by, CENTRE, now)
                    assert found == expected, (group_by, period, now)
    # Some periods read all four months from rollups, some only the unchanged ones.
    assert max(read_months) == 4
    assert {1, 2, 3} & set(read_months)


async def test_renamed_and_moved_organisation_needs_no_rebuild(region: Region, read_months: list[int]) -> None:
    await region.rebuild()
    await region.connection.execute("UPDATE organisations SET municipality = NULL WHERE name = 'Школа'")
    await region.connection.execute("UPDATE organisations SET name = 'Лицей' WHERE name = 'Школа'")
    async with region.database.read() as session:
        await use_snapshot(session)
        period = Period(JANUARY, END)
        await assert_equal_to_rows(session, period, (SlaGroupBy.MUNICIPALITY, SlaGroupBy.ORGANISATION))
        _, groups = await compute_sla(session, period, SlaGroupBy.ORGANISATION, CENTRE, NOW)
        assert {group.name for group in groups} == {"Лицей", "Больница", "Министерство", None}
    assert set(read_months) == {4}


async def test_staff_get_only_the_figures_of_their_organisation(region: Region, read_months: list[int]) -> None:
    await region.rebuild()
    staff = Caller("somebody", "", Role.MANAGER, region.organisations[0]).with_right(Right.METRICS_READ)
    async with region.database.read() as session:
        await use_snapshot(session)
        await assert_equal_to_rows(session, Period(JANUARY, END), caller=staff)
        total, groups = await compute_sla(session, Period(JANUARY, END), SlaGroupBy.ORGANISATION, staff, NOW)
    assert [(group.name, group.opened) for group in groups] == [("Школа", total.opened)]
    assert read_months == []


async def test_figures_read_without_a_snapshot_raise_an_error(region: Region) -> None:
    async with region.database.read() as session:
        with pytest.raises(RuntimeError, match="use_snapshot"):
            await compute_sla(session, Period(JANUARY, END), None, CENTRE, NOW)


async def test_change_committed_after_the_rollup_of_its_month_is_counted(
    region: Region, read_months: list[int]
) -> None:
    period = month_period(APRIL)
    writing = await region.test_database.connect()
    writer = writing.transaction()
    await writer.start()
    await writing.execute(
        "UPDATE appeals SET feedback_kind = 'not_solved' WHERE opened_at >= $1 AND opened_at < $2",
        period.start,
        period.end,
    )
    assert await region.rebuild(period.end - timedelta(hours=1)) == 3
    assert await region.rebuild(period.end) == 1
    async with region.database.read() as session:
        await use_snapshot(session)
        await assert_equal_to_rows(session, period, (None,))
    assert read_months == [1]
    await writer.commit()
    await writing.close()
    async with region.database.read() as session:
        await use_snapshot(session)
        await assert_equal_to_rows(session, period, (None,))
        total, _ = await compute_sla(session, period, None, CENTRE, NOW)
    assert total.disputed == total.opened > 0
    assert read_months == [1]


def interleavings(*counts: int) -> Iterator[tuple[int, ...]]:
    """Yield every interleaving of sequences with these numbers of steps: the sequence's index for each step."""
    if not any(counts):
        yield ()
    for which, count in enumerate(counts):
        if count:
            left = (*counts[:which], count - 1, *counts[which + 1 :])
            yield from ((which, *rest) for rest in interleavings(*left))


class Worker:
    """Rebuilds March in two steps: `begin` counts everything, `finish` commits."""

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
        counted = asyncio.create_task(self._counted.wait())
        async with asyncio.timeout(HANG_SECONDS):
            await asyncio.wait([self._work, counted], return_when=asyncio.FIRST_COMPLETED)
        assert counted.done(), f"the work ended before it had counted: {self._work}"

    async def finish(self) -> None:
        self._may_finish.set()
        assert await self._work
        await self._transaction.__aexit__(None, None, None)


async def test_no_order_of_transactions_shows_a_stale_figure(region: Region, read_months: list[int]) -> None:
    """A writer and the worker, each with two steps, and a reader of one snapshot."""
    await region.rebuild()
    period = Period(midnight(MARCH), midnight(APRIL))
    changed = await region.connection.fetchval(
        "SELECT id FROM appeals WHERE opened_at >= $1 AND opened_at < $2 LIMIT 1", period.start, period.end
    )
    writing = await region.test_database.connect()
    statuses = itertools.cycle(("assigned", "not_required"))
    orders = list(interleavings(2, 2, 1))
    for order in orders:
        writer, worker = writing.transaction(), Worker(region.database)

        async def write(writer: Any = writer) -> None:
            await writer.start()
            await writing.execute("UPDATE appeals SET status = $2 WHERE id = $1", changed, next(statuses))

        async def read() -> None:
            async with region.database.read() as session:
                await use_snapshot(session)
                await assert_equal_to_rows(session, period, (None,))

        steps = [[write, writer.commit], [worker.begin, worker.finish], [read]]
        for which in order:
            await steps[which].pop(0)()
    await writing.close()
    # The reader used the rollup in some orders and rows in others.
    assert 0 < len(read_months) < len(orders)
