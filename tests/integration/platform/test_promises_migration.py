"""Migration 0031 inserts the promises of published replies, each with its outcome."""

import asyncpg
import pytest

from tests.integration.platform.upgrades import downgrade, upgrade

BEFORE, REVISION = "0030", "0031"
# The replies of each case: kind, when published and promised date, both in days from now.
REPLIES: dict[str, list[tuple[str, int, int | None]]] = {
    "kept": [("interim", -9, -5), ("final", -6, None)],
    "kept at once": [("interim", -9, -5), ("final", -5, None)],
    "moved, then open": [("interim", -9, -5), ("interim", -6, 5)],
    "broken, then answered": [("interim", -9, -5), ("final", -2, None)],
    "broken, then promised again": [("interim", -9, -5), ("interim", -2, 1)],
    "broken": [("interim", -9, -5)],
    "none": [("final", -9, None), ("final", -8, None)],
}
ENDS = {
    "kept": ["kept -6 -6"],
    "kept at once": ["kept -5 -5"],
    "moved, then open": ["moved -6 none", "open none none"],
    "broken, then answered": ["broken -5 -2"],
    "broken, then promised again": ["broken -5 none", "open none none"],
    "broken": ["broken -5 none"],
    "none": [],
}
APPEAL = """INSERT INTO appeals (id, version, status, urgency, text, written_at, opened_at, route, transfers,
    returns, created_at, updated_at)
    VALUES (gen_random_uuid(), 1, 'interim', 'normal', $1, now(), now(), '{}', 0, 0, now(), now())
    RETURNING id"""
REPLY = """INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, published_at, promised_at,
    version, created_at, updated_at)
    VALUES (gen_random_uuid(), $1, 'gospablik', $2, 'x', 'published', 'person',
        current_date + make_interval(days => $3), current_date + make_interval(days => $4), 1, now(), now())"""
PROMISES = """SELECT appeals.text AS case,
    promises.status || ' ' || coalesce(extract(day FROM ended_at - current_date)::text, 'none')
        || ' ' || coalesce(extract(day FROM final_reply_at - current_date)::text, 'none') AS end
    FROM appeals LEFT JOIN promises ON promises.appeal_id = appeals.id ORDER BY made_at"""


async def test_published_replies_get_their_promises_with_outcomes(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, BEFORE)
    connection = await asyncpg.connect(admin)
    for case, replies in REPLIES.items():
        appeal_id = await connection.fetchval(APPEAL, case)
        for reply in replies:
            await connection.execute(REPLY, appeal_id, *reply)
    await upgrade(monkeypatch, owner, REVISION)
    found: dict[str, list[str]] = {case: [] for case in REPLIES}
    for row in await connection.fetch(PROMISES):
        found[row["case"]] += [row["end"]] if row["end"] is not None else []
    assert found == ENDS
    granted = "SELECT has_table_privilege($1, 'promises', $2)"
    assert await connection.fetchval(granted, "gospablik_appeals", "SELECT, INSERT, UPDATE, DELETE")
    assert await connection.fetchval(granted, "gospablik_metrics", "SELECT")
    assert not await connection.fetchval(granted, "gospablik_metrics", "INSERT")
    await downgrade(BEFORE)
    assert await connection.fetchval("SELECT to_regclass('promises')") is None
    await connection.close()
