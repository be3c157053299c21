"""Rebuilding of rollups: the months due, two concurrent workers, and the nightly recount."""

from datetime import date, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Column, select, true
from sqlalchemy.sql.visitors import iterate

from services.metrics.indicators.period import midnight
from services.metrics.indicators.sla import SLA_DEFINITION
from services.metrics.sla_rollups import rebuilding
from services.metrics.sla_rollups.packed_figures import KINDS, packed_rows
from services.metrics.sla_rollups.rebuilding import (
    CORRECTED,
    LAG,
    MISSING,
    rebuild_due_months,
    rebuild_month,
    recount_oldest_rollup,
    update_gauges,
)
from shared.database.sessions import WriteSession, use_snapshot
from tests.integration.metrics.conftest import NOW, Region

JANUARY, FEBRUARY, MARCH, APRIL, MAY = (date(2026, month, 1) for month in range(1, 6))


async def rolled_up(region: Region) -> list[date]:
    rows = await region.connection.fetch("SELECT month FROM sla_rollup_months ORDER BY month")
    return [row["month"] for row in rows]


async def test_change_of_an_uncounted_column_keeps_the_rollup(region: Region) -> None:
    await region.rebuild()
    await region.connection.execute("UPDATE appeals SET urgency = 'high', text = '', erased_at = now()")
    await region.connection.execute("UPDATE appeals SET status = status")
    assert await region.changes() == []


async def test_change_of_any_counted_column_marks_the_month_as_changed(region: Region) -> None:
    queries = [packed_rows(kind, true()) for kind in KINDS]
    used = {element.name for query in queries for element in iterate(query) if isinstance(element, Column)}
    assert {"status", "topic_id"} < used
    for name in sorted(used):
        await region.connection.execute("DELETE FROM sla_rollup_changes")
        drawn = (region.values()[name] for _ in count())
        value = next(one for one in drawn if one is not None)
        await region.connection.execute(f"UPDATE appeals SET {name} = $1", value)
        assert await region.changes() != [], name


async def test_statement_records_each_changed_month_once(region: Region) -> None:
    await region.rebuild()
    await region.connection.execute("UPDATE appeals SET network = 'max'")
    assert await region.changes() == [JANUARY, FEBRUARY, MARCH, APRIL, MAY]
    await region.rebuild()
    await region.connection.execute(
        "UPDATE appeals SET opened_at = $1 WHERE opened_at = (SELECT max(opened_at) FROM appeals)", midnight(MARCH)
    )
    assert await region.changes() == [MARCH, MAY]


async def test_month_is_not_rolled_up_until_it_ends(region: Region) -> None:
    assert await region.rebuild() == 4
    assert await region.changes() == []
    assert await region.rebuild() == 0
    assert await rolled_up(region) == [JANUARY, FEBRUARY, MARCH, APRIL]
    assert await region.rebuild(midnight(date(2026, 6, 1))) == 1
    assert await rolled_up(region) == [JANUARY, FEBRUARY, MARCH, APRIL, MAY]


async def test_changed_month_is_rolled_up_again_an_hour_after_its_first_change(region: Region) -> None:
    await region.rebuild()
    await region.connection.execute(
        "UPDATE appeals SET outcome = 'postponed' WHERE opened_at < $1", midnight(MARCH)
    )
    assert await rebuild_due_months(region.database, NOW) == 0
    assert await region.changes() == [JANUARY, FEBRUARY]
    assert await region.rebuild() == 2
    assert await region.changes() == []


async def test_month_rolled_up_by_another_definition_is_rolled_up_again(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    await region.rebuild()
    monkeypatch.setattr(rebuilding, "SLA_DEFINITION", SLA_DEFINITION + 1)
    assert await rebuild_due_months(region.database, NOW) == 4
    assert await rebuild_due_months(region.database, NOW) == 0


async def test_month_that_fails_does_not_block_older_months(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_up = rebuilding._roll_up

    async def failing(session: WriteSession, month: date, *given: Any) -> None:
        if month == APRIL:
            raise ValueError("too much of a value")
        await roll_up(session, month, *given)

    monkeypatch.setattr(rebuilding, "_roll_up", failing)
    with pytest.raises(ExceptionGroup) as raised:
        await rebuild_due_months(region.database, NOW)
    assert len(raised.value.exceptions) == 1
    assert await rolled_up(region) == [JANUARY, FEBRUARY, MARCH]


async def test_worker_rebuilds_nothing_while_another_worker_rebuilds(region: Region) -> None:
    async with region.database.write() as session:
        assert await rebuild_month(session, MARCH, NOW)
        assert await rebuild_due_months(region.database, NOW) == 0
    assert await rebuild_due_months(region.database, NOW) == 3


@pytest.mark.parametrize("state", ["missing", "changed"])
async def test_worker_skips_a_month_that_another_worker_commits_first(
    region: Region, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The other worker commits the month between this worker's snapshot and its lock."""
    if state == "changed":
        await region.rebuild()
        await region.connection.execute(
            "UPDATE appeals SET outcome = 'postponed' WHERE opened_at < $1", midnight(MAY)
        )
    else:
        await region.connection.execute("DELETE FROM sla_rollup_changes")

    async def overtaken(session: WriteSession) -> None:
        await use_snapshot(session)
        await session.execute(select(1))
        monkeypatch.setattr(rebuilding, "use_snapshot", use_snapshot)
        async with region.database.write() as other:
            assert await rebuild_month(other, APRIL, NOW)

    monkeypatch.setattr(rebuilding, "use_snapshot", overtaken)
    assert await region.rebuild() == 3
    assert await rolled_up(region) == [JANUARY, FEBRUARY, MARCH, APRIL]
    assert await region.changes() == []


async def test_nightly_recount_corrects_what_changed_without_triggers(region: Region) -> None:
    await region.rebuild()
    corrected = CORRECTED._value.get()
    await region.connection.execute("SET session_replication_role = replica")
    await region.connection.execute(
        "UPDATE appeals SET first_response_working_seconds = first_response_working_seconds + 1"
        " WHERE opened_at >= $1 AND opened_at < $2",
        midnight(MARCH),
        midnight(APRIL),
    )
    await region.connection.execute("SET session_replication_role = origin")
    nights = [await recount_oldest_rollup(region.database, NOW + timedelta(days=night)) for night in range(1, 9)]
    assert nights == [False, False, True, False, False, False, False, False]
    assert CORRECTED._value.get() == corrected + 1


async def test_nightly_recount_skips_a_month_that_a_worker_commits_first(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker rolls the month up between the recount's snapshot and its lock."""
    await region.rebuild()

    async def overtaken(session: WriteSession) -> None:
        await use_snapshot(session)
        await session.execute(select(1))
        monkeypatch.setattr(rebuilding, "use_snapshot", use_snapshot)
        for month in (JANUARY, FEBRUARY, MARCH, APRIL):
            async with region.database.write() as other:
                assert await rebuild_month(other, month, NOW)

    monkeypatch.setattr(rebuilding, "use_snapshot", overtaken)
    assert not await recount_oldest_rollup(region.database, NOW)
    assert await rolled_up(region) == [JANUARY, FEBRUARY, MARCH, APRIL]


async def test_nightly_recount_skips_months_with_recorded_changes(region: Region) -> None:
    await region.rebuild()
    await region.connection.execute("UPDATE appeals SET outcome = 'postponed'")
    changes = await region.changes()
    assert not await recount_oldest_rollup(region.database, NOW)
    assert await region.changes() == changes


async def test_truncation_of_the_appeals_leaves_no_month_rolled_up(region: Region) -> None:
    await region.rebuild()
    await region.connection.execute("TRUNCATE appeals CASCADE")
    assert await rolled_up(region) == []


async def test_gauges_show_the_oldest_change_and_the_missing_months(region: Region) -> None:
    async with region.database.read() as session:
        await update_gauges(session, NOW)
    assert LAG._value.get() > 0
    assert MISSING._value.get() == 4
    await region.rebuild()
    async with region.database.read() as session:
        await update_gauges(session, NOW)
    assert LAG._value.get() == MISSING._value.get() == 0
