"""Migration 0035 numbers the appeals of an author in a thread, and can be repeated after an interruption."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.platform.upgrades import downgrade, upgrade

INSERT = """INSERT INTO appeals (id, version, status, urgency, transfers, returns, text, written_at, opened_at,
    route, thread_key, author_key, created_at, updated_at)
    VALUES ($1, 1, $2, 'normal', 0, 0, 'x', now(), now() + $3 * interval '1 hour', '{}', $4, $5, now(), now())"""


async def test_existing_appeals_of_an_author_in_a_thread_are_numbered(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0034")
    connection = await asyncpg.connect(admin)
    rows: dict[UUID, tuple[str, int, str | None, str | None]] = {
        uuid4(): ("assigned", 3, "vk:1", "anna"),
        uuid4(): ("closed", 1, "vk:1", "anna"),
        uuid4(): ("answered", 2, "vk:1", "anna"),
        uuid4(): ("assigned", 1, "vk:1", "boris"),
        uuid4(): ("assigned", 1, "vk:2", "anna"),
        uuid4(): ("assigned", 1, None, None),
        uuid4(): ("assigned", 2, None, None),
    }
    for appeal, values in rows.items():
        await connection.execute(INSERT, appeal, *values)
    # A build of the index was interrupted after the columns were added.
    await connection.execute("ALTER TABLE appeals ADD COLUMN matter_number integer NOT NULL DEFAULT 1")
    await upgrade(monkeypatch, owner, "0035")
    numbers = dict(await connection.fetch("SELECT id, matter_number FROM appeals"))
    assert [numbers[appeal] for appeal in rows] == [3, 1, 2, 1, 1, 1, 1]
    with pytest.raises(asyncpg.UniqueViolationError, match="uq_appeals_matter"):
        await connection.execute(INSERT, uuid4(), "assigned", 4, "vk:2", "anna")
    await downgrade("0034")
    with pytest.raises(asyncpg.UniqueViolationError, match="uq_appeals_open_thread"):
        await connection.execute(INSERT, uuid4(), "assigned", 4, "vk:2", "anna")
    await connection.close()
