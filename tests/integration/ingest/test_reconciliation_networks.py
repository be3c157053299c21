"""Reconciliation with both emulated networks finds exactly the missing messages."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.ingest.networks.ok.reading.discussion_poll import DiscussionPoller
from services.ingest.networks.ok.reading.topic_poll import TopicPoller
from services.ingest.networks.vk.reading.wall_poll import WallPoller
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected, Emulator, connected
from tests.support.eventually import eventually, eventually_true


class Polls:
    """Stops polls, which compare counts too and would fill a gap before reconciliation finds it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stopped = False
        self._running = 0
        for owner, name in (
            (TopicPoller, "check_group"),
            (DiscussionPoller, "_queue_changed"),
            (DiscussionPoller, "_one"),
            (WallPoller, "poll_page"),
        ):
            monkeypatch.setattr(owner, name, self._stoppable(getattr(owner, name)))

    def _stoppable(self, poll: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*arguments: Any, **more: Any) -> Any:
            if self._stopped:
                return None if poll.__name__ == "_one" else []
            self._running += 1
            try:
                return await poll(*arguments, **more)
            finally:
                self._running -= 1

        return run

    async def stop(self) -> None:
        """Start no more polls, and wait for the running ones."""
        self._stopped = True
        await eventually_true(lambda: self._running == 0, "the end of the polls that run")


async def _post(system: Connected, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await system.ingest.client.post(
        f"/api/v1/sources/{path}", json=body, headers=system.ingest.headers("operations")
    )
    assert answer.status_code == 202, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def _compared(system: Connected, page_id: UUID) -> Any:
    asked = await _post(system, f"{page_id}/reconciliations", {})

    async def finished() -> Any:
        # Wait also for a scheduled reconciliation: it would find the messages that the test loses next.
        rows = await system.raw_connection.fetch("SELECT * FROM reconciliations")
        return all(row["finished_at"] for row in rows) and next(
            row for row in rows if row["id"] == UUID(asked["id"])
        )

    return await eventually(finished)


async def _lose(system: Connected, *texts: str) -> None:
    """Delete the stored messages with these texts, as if they had never been received."""
    lost = await system.raw_connection.execute("DELETE FROM messages WHERE text = ANY($1::text[])", list(texts))
    assert lost == f"DELETE {len(texts)}"


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_gap_is_found_and_backfill_stores_history_again(
    request: pytest.FixtureRequest,
    database: TestDatabase,
    keys_dir: Path,
    network: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    page = emulator.page(f"{network}_reconciled")
    settings = {f"{network}_api_url": emulator.url, "reconcile_grace_seconds": "1"}
    polls = Polls(monkeypatch)
    async with connected(database, keys_dir, **settings) as system:
        page_id = await system.connect_page(network, emulator, page)
        emulator.citizen(page, f"Первый {uuid4()}")

        async def stored(number: int) -> Any:
            return await system.raw_connection.fetchval("SELECT count(*) >= $1 FROM messages", number)

        await eventually(lambda: stored(1))
        comments = [f"Комментарий {n} {uuid4()}" for n in range(4)]
        message = f"Сообщение {uuid4()}"
        for text in comments:
            emulator.citizen(page, text)
        emulator.citizen(page, message, "message")

        async def all_stored() -> Any:
            count = await system.raw_connection.fetchval(
                "SELECT count(*) FROM messages WHERE text = ANY($1::text[])", [*comments, message]
            )
            return count == 5

        await eventually(all_stored)
        calm = await _compared(system, page_id)
        assert (calm["gaps"], calm["within_grace"], calm["deleted"]) == (0, 0, 0)
        await polls.stop()
        lost = [comments[1], message] if network == "vk" else comments[1:3]
        await _lose(system, *lost)
        found = await _compared(system, page_id)
        assert (found["gaps"], found["within_grace"], found["deleted"], found["error"]) == (2, 0, 0, None)
        assert await all_stored()
        (event,) = await system.events("source.gap_found")
        assert event["subject_id"] == page_id
        again = await _compared(system, page_id)
        assert (again["gaps"], again["compared"]) == (0, found["compared"])
        await _lose(system, *comments)
        asked = await _post(
            system, f"{page_id}/backfills", {"since": (clock.now() - timedelta(hours=1)).isoformat()}
        )

        async def fetched() -> Any:
            return await system.raw_connection.fetchrow(
                "SELECT * FROM backfills WHERE id = $1 AND status = 'done'", UUID(asked["id"])
            )

        done = await eventually(fetched)
        assert (done["messages_added"], done["progress"], done["error"]) == (4, 1.0, None)
        assert await all_stored()


async def test_revoked_token_is_shown_with_its_page(vk: Emulator, database: TestDatabase, keys_dir: Path) -> None:
    page = vk.page("vk_revoked_source")
    async with connected(database, keys_dir, vk_api_url=vk.url, token_probe_seconds="1") as system:
        page_id = await system.connect_page("vk", vk, page)
        vk.citizen(page, f"До {uuid4()}", "message")

        async def shown() -> dict[str, Any]:
            answer = await system.ingest.client.get(
                f"/api/v1/sources/{page_id}", headers=system.ingest.headers("operations")
            )
            assert answer.status_code == 200, answer.text
            result: dict[str, Any] = answer.json()
            return result

        async def healthy() -> Any:
            return (await shown())["last_message_at"]

        await eventually(healthy)
        for one in vk.tokens():
            if one["kind"] == "group" and str(one["page"]) == page:
                vk.post("tokens/revoke", token=one["token"])

        async def revoked() -> Any:
            source = await shown()
            return source if source["token"]["state"] == "revoked" else None

        source = await eventually(revoked)
        assert source["state"] == "failing"
        assert source["token"]["reason"]
