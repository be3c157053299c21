"""Changes made to the audit trail outside the services are detected, with the position of the first one."""

import pytest
from sqlalchemy import text

from shared.audit.hash_chain import ChainHead, VerificationResult, verify
from shared.events.relay import number_committed_events
from tests.conftest import TestDatabase
from tests.integration.audit.conftest import change
from tests.support.service_under_test import ServiceUnderTest

ROWS = 6


@pytest.fixture
async def chained(registry: ServiceUnderTest) -> ServiceUnderTest:
    """A service with an audit trail of six rows, chained in three steps."""
    for number in range(ROWS):
        await change(registry, number)
        if number % 2:
            await number_committed_events(registry.service.database)
    return registry


async def verified(registry: ServiceUnderTest, expected_head: ChainHead | None = None) -> VerificationResult:
    async with registry.service.database.read() as session:
        return await verify(session, expected_head)


async def tamper(database: TestDatabase, *statements: str) -> None:
    """Run statements as a superuser, without the trigger."""
    connection = await database.connect()
    try:
        await connection.execute("SET session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_unchanged_trail_is_verified_without_an_error(chained: ServiceUnderTest) -> None:
    await change(chained, ROWS)
    result = await verified(chained)
    assert result.error is None
    assert result.head is not None
    assert (result.head.position, result.unchained_count) == (ROWS, 1)
    await number_committed_events(chained.service.database)
    later = await verified(chained, result.head)
    assert later.head is not None
    assert (later.head.position, later.unchained_count) == (ROWS + 1, 0)


async def test_clock_skew_does_not_change_the_order_of_the_chain(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    """The clock of the machine that makes the first change is five minutes ahead."""
    await change(registry, 0)
    await tamper(database, "UPDATE audit SET created_at = created_at + interval '5 minutes'")
    await change(registry, 1)
    await number_committed_events(registry.service.database)
    async with registry.service.database.read() as session:
        codes = await session.scalars(text("SELECT after->>'code' FROM audit ORDER BY position"))
        assert list(codes) == ["school0", "school1"]


async def test_empty_trail_is_verified(registry: ServiceUnderTest) -> None:
    assert await verified(registry) == VerificationResult(None, 0, None)


@pytest.mark.parametrize(
    "assignment",
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
async def test_changed_audit_row_is_reported_with_its_position(
    chained: ServiceUnderTest, database: TestDatabase, assignment: str
) -> None:
    await tamper(database, f"UPDATE audit SET {assignment} WHERE position = 4")
    broken = (await verified(chained)).error
    assert broken is not None
    assert broken.position == 4
    assert "was changed or replaced after it was chained" in broken.detail


@pytest.mark.parametrize("position", [1, 3, 5])
async def test_deleted_row_is_reported(chained: ServiceUnderTest, database: TestDatabase, position: int) -> None:
    await tamper(database, f"DELETE FROM audit WHERE position = {position}")
    broken = (await verified(chained)).error
    assert broken is not None
    assert (broken.position, broken.detail) == (position, "the row is missing")


@pytest.mark.parametrize("moved", ["position", "position, chain"])
async def test_swapped_rows_are_reported(chained: ServiceUnderTest, database: TestDatabase, moved: str) -> None:
    await tamper(
        database,
        "CREATE TEMPORARY TABLE kept AS SELECT id, 7 - position AS position FROM audit WHERE position IN (2, 5)",
        "ALTER TABLE kept ADD chain bytea",
        "UPDATE kept SET chain = audit.chain FROM audit WHERE audit.position = kept.position",
        "UPDATE audit SET position = -position WHERE id IN (SELECT id FROM kept)",
        f"UPDATE audit SET ({moved}) = (SELECT {moved} FROM kept WHERE kept.id = audit.id) WHERE position < 0"
        if "," in moved
        else "UPDATE audit SET position = kept.position FROM kept WHERE kept.id = audit.id",
    )
    broken = (await verified(chained)).error
    assert broken is not None
    assert broken.position == 2


async def test_inserted_row_is_reported(chained: ServiceUnderTest, database: TestDatabase) -> None:
    await tamper(
        database,
        """INSERT INTO audit (id, position, chain, created_at, service, actor, action, subject_kind, subject_id)
           SELECT gen_random_uuid(), 0, chain, created_at, service, actor, action, subject_kind, subject_id
           FROM audit WHERE position = 1""",
    )
    broken = (await verified(chained)).error
    assert broken is not None
    assert broken.position == 0


async def test_truncated_and_rebuilt_chains_differ_from_the_expected_head(
    chained: ServiceUnderTest, database: TestDatabase
) -> None:
    head = (await verified(chained)).head
    assert head is not None
    assert ChainHead.parse(str(head)) == head
    await tamper(database, f"DELETE FROM audit WHERE position = {ROWS}")
    assert (await verified(chained)).error is None  # the remaining chain is intact
    cut = (await verified(chained, head)).error
    assert cut is not None
    assert cut.position == ROWS
    await change(chained, ROWS)
    await number_committed_events(chained.service.database)
    rebuilt = (await verified(chained, head)).error
    assert rebuilt is not None
    assert (rebuilt.position, "rebuilt" in rebuilt.detail) == (ROWS, True)


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
async def test_chained_row_cannot_be_changed_in_the_database(
    chained: ServiceUnderTest, database: TestDatabase, role: str, statement: str
) -> None:
    import asyncpg  # noqa: PLC0415 — only for its error class

    connection = await database.connect(role)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert (await verified(chained)).error is None


async def test_long_trail_is_chained_in_batches(registry: ServiceUnderTest) -> None:
    async with registry.service.database.write() as session:
        await session.execute(
            text(
                """INSERT INTO audit (id, created_at, service, actor, action, subject_kind, subject_id, after)
                   SELECT gen_random_uuid(), now() + n * interval '1 microsecond', 'registry', 'a', 'b', 'pages',
                          n::text, jsonb_build_object('n', n, 'share', n / 7.0) FROM generate_series(1, 4500) n"""
            )
        )
    steps = []
    while numbered := await number_committed_events(registry.service.database):
        steps.append(numbered)
    assert (sum(steps), len(steps) > 1) == (4500, True)
    result = await verified(registry)
    assert result.error is None
    assert result.head is not None
    assert result.head.position == 4500
