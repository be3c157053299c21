"""`GET /events?wait=`: responds as soon as there is an event, holds no connection meanwhile, and is limited."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.webhooks.feed import event_feed
from services.webhooks.stream import live_stream, long_poll
from tests.conftest import TestDatabase
from tests.integration.webhooks.test_event_stream import Streams, streams
from tests.support.eventually import eventually_true
from tests.support.service_under_test import insert_organisation

GATEWAY = Path(__file__).parents[3] / "services" / "gateway" / "traefik" / "dynamic.yml"
Answer = tuple[int, dict[str, Any], dict[str, str]]


@pytest.fixture
async def running(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Streams]:
    async with streams(database, keys_dir) as found:
        yield found


async def _poll(running: Streams, headers: dict[str, str], **query: Any) -> Answer:
    url = f"{running.base}/api/v1/events"
    async with running.http.get(url, headers=headers, params={"wait": 25, **query}) as response:
        return response.status, await response.json(), dict(response.headers)


def _waiting(running: Streams) -> int:
    """Return how many requests follow the live tail."""
    return sum(len(group) for group in running.live.tail._listeners.values())


@asynccontextmanager
async def _poll_that_waits(
    running: Streams, headers: dict[str, str], **query: Any
) -> AsyncIterator["asyncio.Task[Answer]"]:
    others = _waiting(running)
    poll = asyncio.create_task(_poll(running, headers, **query))
    try:
        await eventually_true(lambda: _waiting(running) > others or poll.done(), "the request waits")
        assert not poll.done(), poll.result()
        yield poll
    finally:
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)


def _types(answer: Answer) -> list[str]:
    assert answer[0] == 200, answer
    return [event["type"] for event in answer[1]["items"]]


async def test_existing_event_is_returned_at_once(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    await running.harness.emit("appeal.opened")
    answer = await _poll(running, headers, after="0")
    assert (_types(answer), answer[1]["next_after"]) == (["appeal.opened"], "0.1")
    assert not running.live._open


async def test_waiting_request_returns_with_the_next_event(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    await running.harness.emit("appeal.opened")
    async with _poll_that_waits(running, headers, after="0.1") as poll:
        pool: Any = running.harness.database.engine.pool
        await eventually_true(lambda: pool.checkedout() == 0, "no connection is in use")
        await running.harness.emit("appeal.answered")
        answer = await poll
    assert (_types(answer), answer[1]["next_after"]) == (["appeal.answered"], "0.2")
    assert not running.live._open
    assert not _waiting(running)


async def test_invisible_events_and_events_of_other_types_do_not_end_the_wait(running: Streams) -> None:
    school = await insert_organisation(running.harness.test_database, name="Школа")
    clinic = await insert_organisation(running.harness.test_database, name="Больница")
    headers = await running.signed_in("executor", school)
    async with _poll_that_waits(running, headers, after="now", types="appeal.*") as poll:
        await running.harness.emit("appeal.opened", clinic)
        await running.harness.emit("message.received", school)
        await running.harness.emit("appeal.closed", school)
        answer = await poll
    assert (_types(answer), answer[1]["next_after"]) == (["appeal.closed"], "0.3")


async def test_event_between_read_and_wait_is_not_missed(
    running: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await running.signed_in("moderator")
    read, reads = event_feed.read_events, 0

    async def read_then_emit(*arguments: Any, **options: Any) -> Any:
        nonlocal reads
        page, reads = await read(*arguments, **options), reads + 1
        if reads == 1:
            await running.harness.emit("appeal.opened")
        return page

    monkeypatch.setattr(event_feed, "read_events", read_then_emit)
    assert _types(await _poll(running, headers, after="0")) == ["appeal.opened"]
    assert reads == 2


async def test_wait_without_events_returns_no_items(running: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await running.signed_in("moderator")
    school = await insert_organisation(running.harness.test_database, name="Школа")
    staff = await running.signed_in("executor", school)
    await running.harness.emit("appeal.opened")
    # The wait starts at 0 s, is almost over at 24.99 s, and is over at the next check.
    moments = iter([0.0, 24.99])
    monkeypatch.setattr(long_poll, "monotonic", lambda: next(moments, 100.0))
    answer = await _poll(running, staff, after="0")
    assert (_types(answer), answer[1]["next_after"]) == ([], "0.1")
    assert _types(await _poll(running, headers, after="0")) == ["appeal.opened"]


async def test_request_from_beyond_the_last_position_waits(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    async with _poll_that_waits(running, headers, after="0.1") as poll:
        await running.harness.emit("appeal.opened")
        await running.harness.emit("appeal.answered")
        assert _types(await poll) == ["appeal.answered"]


async def test_number_of_waiting_requests_is_limited(database: TestDatabase, keys_dir: Path) -> None:
    async with streams(database, keys_dir, stream_per_caller="1", stream_per_process="2") as running:
        first, second, third = [await running.signed_in(role) for role in ("moderator", "analyst", "auditor")]
        async with _poll_that_waits(running, first):
            status, problem, headers = await _poll(running, first)
            assert (status, problem["type"]) == (429, "/problems/too-many-requests")
            assert headers["Retry-After"] == str(live_stream.RETRY_AFTER_SECONDS)
            # A request that does not wait does not count towards the limit.
            assert (await _poll(running, first, wait=0))[0] == 200
            async with _poll_that_waits(running, second):
                status, problem, headers = await _poll(running, third)
                assert (status, problem["type"]) == (503, "/problems/unavailable")
                assert headers["Retry-After"] == str(live_stream.RETRY_AFTER_SECONDS)


async def test_caller_who_loses_access_while_waiting_is_refused(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    async with _poll_that_waits(running, headers, after="now") as poll:
        await running.harness.sql("UPDATE people SET active = false")
        await running.harness.emit("person.changed")
        status, problem, _ = await poll
    assert (status, problem["type"]) == (401, "/problems/unauthenticated")


async def test_shutdown_ends_waiting_requests_with_a_response(running: Streams) -> None:
    headers = await running.signed_in("moderator")
    async with _poll_that_waits(running, headers, after="now") as poll:
        running.harness.app.service.stop_api_parts()
        assert _types(await poll) == []


def test_gateway_waits_longer_than_a_request() -> None:
    """With a shorter timeout the gateway would respond with 504 before the service does."""
    (seconds,) = re.findall(r"responseHeaderTimeout: (\d+)s", GATEWAY.read_text(encoding="utf-8"))
    assert int(seconds) > long_poll.MAX_WAIT_SECONDS


@pytest.mark.parametrize("wait", ["-1", "26", "soon"])
async def test_invalid_wait_is_refused(running: Streams, wait: str) -> None:
    status, problem, _ = await _poll(running, await running.signed_in("moderator"), wait=wait)
    assert (status, [error["pointer"] for error in problem["errors"]]) == (422, ["query/wait"])
