"""Migration 0039 sets the time of the final answer of existing appeals, and can be downgraded."""

import asyncpg
import pytest

from tests.integration.platform.test_promises_migration import APPEAL, REPLY
from tests.integration.platform.upgrades import downgrade, upgrade

pytestmark = pytest.mark.long  # in `make test`, other tests of metrics and feedback read the changed columns

BEFORE, REVISION = "0038", "0039"
# The replies of each case: kind, and when it was published, in days from now.
REPLIES: dict[str, list[tuple[str, int]]] = {
    "twice": [("final", -6), ("final", -2)],
    "interim first": [("interim", -9), ("final", -3)],
    "interim only": [("interim", -9)],
    "none": [],
}
ANSWERED = {"twice": -6, "interim first": -3, "interim only": None, "none": None}


async def test_existing_appeals_get_the_time_of_their_final_answer(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, BEFORE)
    connection = await asyncpg.connect(admin)
    for case, replies in REPLIES.items():
        appeal_id = await connection.fetchval(APPEAL, case)
        for kind, day in replies:
            await connection.execute(REPLY, appeal_id, kind, day, None)
    await upgrade(monkeypatch, owner, REVISION)
    rows = await connection.fetch(
        "SELECT text, extract(day FROM final_answer_at - current_date) AS day FROM appeals"
    )
    assert {row["text"]: row["day"] for row in rows} == ANSWERED
    granted = "SELECT has_table_privilege($1, 'feedback_rounds', $2)"
    assert await connection.fetchval(granted, "gospablik_appeals", "SELECT, INSERT, UPDATE, DELETE")
    assert not await connection.fetchval(granted, "gospablik_metrics", "INSERT")
    await downgrade(BEFORE)
    assert await connection.fetchval("SELECT to_regclass('feedback_rounds')") is None
    await connection.close()
