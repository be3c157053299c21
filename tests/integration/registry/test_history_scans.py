"""Lists over years of history read no more rows than lists over months."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.audit import trail
from services.registry.coverage import history
from services.registry.coverage.coverage_query import CoverageFilter
from services.registry.page_checks import check_history
from services.registry.schemas.coverage import HistoryInterval
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from tests.conftest import TestDatabase
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page

FIRST = date(2010, 1, 1)
MIDNIGHT = datetime(2010, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIVE = Paging(limit=5, cursor=None, binding="", url="")
# Counts rows read by sequential scans and index entries read, for the statements of the connection.
WENT_THROUGH = """
SELECT sum(pg_stat_get_xact_tuples_returned(relation)) FROM (
    SELECT CAST(:name AS regclass)::oid AS relation
    UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = CAST(:name AS regclass)
) AS relations
"""
Listed = Callable[[AsyncSession], Awaitable[Any]]


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    yield connection
    await connection.close()


async def rows_read(registry: ServiceUnderTest, table: str, listed: Listed) -> int:
    """Return how many rows and index entries of the table the list reads."""
    async with registry.service.database.read() as session:
        await session.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
        # Postgres reports the counters of earlier transactions with a delay.
        before = await session.scalar(text(WENT_THROUGH), {"name": table})
        await listed(session)
        after = await session.scalar(text(WENT_THROUGH), {"name": table})
    assert after > before
    return int(after - before)


def no_more(later: dict[str, int], earlier: dict[str, int]) -> None:
    """Assert that at most 300 more rows are read: an equally good plan may differ; a scan reads 10,000 more."""
    assert {name: (earlier[name], count) for name, count in later.items() if count > earlier[name] + 300} == {}


async def checked(owner: asyncpg.Connection, days: range) -> None:
    await owner.execute(
        """INSERT INTO page_checks (id, page_id, day, checked_at, state, snapshot, changes, calls)
           SELECT gen_random_uuid(), pages.id, $1::date + n, now(), 'gone',
             '{}', '[]', 1
           FROM pages, generate_series($2::int, $3::int) AS n ORDER BY n""",
        FIRST, days.start, days.stop - 1,
    )  # fmt: skip
    await owner.execute("VACUUM ANALYZE page_checks")


async def test_list_of_check_days_reads_no_more_rows_over_a_longer_history(
    registry: ServiceUnderTest, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    organisation = await insert_organisation(database)
    for number in range(100):
        await insert_page(database, organisation, external_id=str(number))

    async def read() -> dict[str, int]:
        return {
            "days": await rows_read(
                registry, "page_checks", lambda session: check_history.list_daily_totals(session, FIVE)
            )
        }

    await checked(owner, range(30))
    earlier = await read()
    await checked(owner, range(30, 300))
    no_more(await read(), earlier)
    async with registry.service.database.read() as session:
        (*_, last) = [row._mapping for row in await check_history.list_daily_totals(session, FIVE)]
    assert last == {
        "day": FIRST + 294 * DAY, "pages": 100, "changed": 0, "closed": 0, "gone": 100, "calls": 0,
    }  # fmt: skip


async def covered(owner: asyncpg.Connection, days: range) -> None:
    await owner.execute(
        """INSERT INTO coverage_days (id, day, network, kind, required, exempt, covered, live)
           SELECT gen_random_uuid(), $1::date + n, network, 'institution', 1, 0, 1, 0
           FROM generate_series($2::int, $3::int) AS n, unnest('{any,ok,vk}'::text[]) AS network,
             generate_series(1, 10) ORDER BY n""",
        FIRST, days.start, days.stop - 1,
    )  # fmt: skip
    await owner.execute("VACUUM ANALYZE coverage_days")


async def test_coverage_history_reads_no_more_rows_over_a_longer_history(
    registry: ServiceUnderTest, owner: asyncpg.Connection
) -> None:
    def points(step: HistoryInterval) -> Listed:
        return lambda session: history.list_points(
            session,
            start=FIRST,
            end=date(2030, 1, 1),
            interval=step,
            network="vk",
            filters=CoverageFilter(),
            paging=FIVE,
        )

    async def read() -> dict[str, int]:
        return {step.value: await rows_read(registry, "coverage_days", points(step)) for step in HistoryInterval}

    await covered(owner, range(200))
    earlier = await read()
    await covered(owner, range(200, 2000))
    no_more(await read(), earlier)
    async with registry.service.database.read() as session:
        months = await points(HistoryInterval.MONTH)(session)
    assert [(point.day.isoformat(), point.required) for point in months] == [
        ("2010-01-31", 10), ("2010-02-28", 10), ("2010-03-31", 10), ("2010-04-30", 10), ("2010-05-31", 10),
        ("2010-06-30", 10),
    ]  # fmt: skip


async def wrote(owner: asyncpg.Connection, whose: UUID | None, positions: range) -> None:
    """Insert ten audit rows per day."""
    await owner.execute(
        """INSERT INTO audit (id, position, chain, created_at, service, actor, action, subject_kind, subject_id,
             organisation_id)
           SELECT gen_random_uuid(), n, '', $1::timestamptz + n * interval '144 minutes', 'registry', 'somebody',
             'act', 'pages', n::text, $2
           FROM generate_series($3::int, $4::int) AS n""",
        MIDNIGHT, whose, positions.start, positions.stop - 1,
    )  # fmt: skip
    await owner.execute("VACUUM ANALYZE audit")


async def test_audit_list_reads_only_the_page(
    registry: ServiceUnderTest, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    ministry = await insert_organisation(database, name="Министерство")
    schools = [await insert_organisation(database, name=f"Школа № {number}") for number in range(3)]
    await owner.execute("UPDATE organisations SET parent_id = $1 WHERE id = ANY($2)", ministry, schools)
    manager = Caller("m", "", Role.MANAGER, ministry, include_subordinates=True, right=Right.AUDIT_READ)
    auditor = Caller("a", "", Role.AUDITOR, None, right=Right.AUDIT_READ)
    early = trail.AuditFilter.model_validate({"from": MIDNIGHT + 5 * DAY, "to": MIDNIGHT + 20 * DAY})

    def rows(caller: Caller, wanted: trail.AuditFilter) -> Listed:
        return lambda session: trail.list_entries(session, caller, wanted, FIVE)

    asked = {
        "all": rows(auditor, trail.AuditFilter()),
        "descendants": rows(manager, trail.AuditFilter()),
        "early": rows(auditor, early),
        "early descendants": rows(manager, early),
    }

    async def read() -> dict[str, int]:
        return {name: await rows_read(registry, "audit", listed) for name, listed in asked.items()}

    await wrote(owner, schools[0], range(1, 1_900))
    await wrote(owner, ministry, range(1_900, 1_904))
    await wrote(owner, None, range(1_904, 2_000))
    earlier = await read()
    await wrote(owner, None, range(2_000, 20_000))
    no_more(await read(), earlier)
    async with registry.service.database.read() as session:
        found = {name: [row.position for row in await listed(session)] for name, listed in asked.items()}
    assert found == {
        "all": [*range(19_999, 19_993, -1)],
        "descendants": [*range(1_903, 1_897, -1)],
        "early": [*range(199, 193, -1)],
        "early descendants": [*range(199, 193, -1)],
    }
