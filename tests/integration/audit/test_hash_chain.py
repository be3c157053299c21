"""Whoever changes the trail behind the services' back is found, and the place is named."""

import pytest
from sqlalchemy import text

from shared.audit.hash_chain import Head, Verdict, verify
from shared.events.relay import number_committed
from tests.conftest import TestDatabase
from tests.integration.audit.conftest import change
from tests.support.service_under_test import ServiceUnderTest

ROWS = 6


@pytest.fixture
async def chained(registry: ServiceUnderTest) -> ServiceUnderTest:
    """A trail of six rows, chained in three steps."""
    for number in range(ROWS):
        await change(registry, number)
        if number % 2:
            await number_committed(registry.service.database)
    return registry


async def walked(registry: ServiceUnderTest, noted: Head | None = None) -> Verdict:
    async with registry.service.database.read() as session:
        return await verify(session, noted)


async def meddle(database: TestDatabase, *statements: str) -> None:
    """As a superuser who steps past the trigger."""
    connection = await database.connect()
    try:
        await connection.execute("SET session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_trail_that_nobody_touched_holds(chained: ServiceUnderTest) -> None:
    await change(chained, ROWS)
    verdict = await walked(chained)
    assert verdict.broken is None
    assert verdict.head is not None
    assert (verdict.head.position, verdict.waiting) == (ROWS, 1)
    await number_committed(chained.service.database)
    later = await walked(chained, verdict.head)
    assert later.head is not None
    assert (later.head.position, later.waiting) == (ROWS + 1, 0)


async def test_an_empty_trail_holds(registry: ServiceUnderTest) -> None:
    assert await walked(registry) == Verdict(None, 0, None)


@pytest.mark.parametrize(
    "change_of_one_byte",
    [
        "before = jsonb_set(coalesce(before, '{}'), '{a}', '1')",
        "after = jsonb_set(after, '{code}', '\"school3x\"')",
        "actor = overlay(actor placing 'f' from 1 for 1)",
        "action = action || ' '",
        "created_at = created_at + interval '1 microsecond'",
        "came_from = NULL",
        "organisation_id = NULL",
        "chain = set_byte(chain, 31, get_byte(chain, 31) # 1)",
    ],
)
async def test_one_byte_changed_is_named(
    chained: ServiceUnderTest, database: TestDatabase, change_of_one_byte: str
) -> None:
    await meddle(database, f"UPDATE audit SET {change_of_one_byte} WHERE position = 4")
    broken = (await walked(chained)).broken
    assert broken is not None
    assert broken.position == 4
    assert "not the one that was chained" in broken.what


@pytest.mark.parametrize("position", [1, 3, 5])
async def test_a_deleted_row_is_named(chained: ServiceUnderTest, database: TestDatabase, position: int) -> None:
    await meddle(database, f"DELETE FROM audit WHERE position = {position}")
    broken = (await walked(chained)).broken
    assert broken is not None
    assert (broken.position, broken.what) == (position, "the row is missing")


@pytest.mark.parametrize("moved", ["position", "position, chain"])
async def test_swapped_rows_are_named(chained: ServiceUnderTest, database: TestDatabase, moved: str) -> None:
    await meddle(
        database,
        "CREATE TEMPORARY TABLE kept AS SELECT id, 7 - position AS position FROM audit WHERE position IN (2, 5)",
        "ALTER TABLE kept ADD chain bytea",
        "UPDATE kept SET chain = audit.chain FROM audit WHERE audit.position = kept.position",
        "UPDATE audit SET position = -position WHERE id IN (SELECT id FROM kept)",
        f"UPDATE audit SET ({moved}) = (SELECT {moved} FROM kept WHERE kept.id = audit.id) WHERE position < 0"
        if "," in moved
        else "UPDATE audit SET position = kept.position FROM kept WHERE kept.id = audit.id",
    )
    broken = (await walked(chained)).broken
    assert broken is not None
    assert broken.position == 2


async def test_a_row_slipped_in_is_named(chained: ServiceUnderTest, database: TestDatabase) -> None:
    await meddle(
        database,
        """INSERT INTO audit (id, position, chain, created_at, service, actor, action, subject_kind, subject_id)
           SELECT gen_random_uuid(), 0, chain, created_at, service, actor, action, subject_kind, subject_id
           FROM audit WHERE position = 1""",
    )
    broken = (await walked(chained)).broken
    assert broken is not None
    assert broken.position == 0


async def test_a_noted_head_shows_a_cut_and_a_chain_made_anew(
    chained: ServiceUnderTest, database: TestDatabase
) -> None:
    noted = (await walked(chained)).head
    assert noted is not None
    assert Head.parse(str(noted)) == noted
    await meddle(database, f"DELETE FROM audit WHERE position = {ROWS}")
    assert (await walked(chained)).broken is None  # the rest holds by itself
    cut = (await walked(chained, noted)).broken
    assert cut is not None
    assert cut.position == ROWS
    await change(chained, ROWS)
    await number_committed(chained.service.database)
    anew = (await walked(chained, noted)).broken
    assert anew is not None
    assert (anew.position, "anew" in anew.what) == (ROWS, True)


@pytest.mark.parametrize("role", ["registry", "gospablik_owner"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "UPDATE audit SET position = position + 100",
        "UPDATE audit SET chain = NULL",
        "DELETE FROM audit",
    ],
)
async def test_the_database_refuses_to_change_a_chained_row(
    chained: ServiceUnderTest, database: TestDatabase, role: str, statement: str
) -> None:
    import asyncpg  # noqa: PLC0415 — for its error alone

    connection = await database.connect(role)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert (await walked(chained)).broken is None


async def test_a_long_trail_is_chained_in_steps(registry: ServiceUnderTest) -> None:
    async with registry.service.database.write() as session:
        await session.execute(
            text(
                """INSERT INTO audit (id, created_at, service, actor, action, subject_kind, subject_id, after)
                   SELECT gen_random_uuid(), now() + n * interval '1 microsecond', 'registry', 'a', 'b', 'pages',
                          n::text, jsonb_build_object('n', n, 'share', n / 7.0) FROM generate_series(1, 4500) n"""
            )
        )
    steps = []
    while numbered := await number_committed(registry.service.database):
        steps.append(numbered)
    assert (sum(steps), len(steps) > 1) == (4500, True)
    verdict = await walked(registry)
    assert verdict.broken is None
    assert verdict.head is not None
    assert verdict.head.position == 4500
