"""The queue of callers' slow work: fair between organisations, and a 429 beyond its limits."""

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest

from services.console.pages.registry_import import view
from services.registry.api.import_export import WORKBOOK_QUEUE
from shared.auth.callers import Caller, ServiceCaller
from shared.auth.rights import Role
from shared.caller_queue import LONGEST_WAIT_SECONDS, CallerQueue, waits_until
from shared.http.problems import TooManyRequests

SCHOOL, CLINIC = UUID(int=1), UUID(int=2)


def caller(subject: str, organisation_id: UUID) -> Caller:
    return Caller(subject, "", Role.EXECUTOR, organisation_id)


async def test_flood_of_one_organisation_delays_only_that_organisation() -> None:
    queue, had = CallerQueue("Too much", concurrency=1, max_waiting=20), list[str]()

    async def work(one: Caller | ServiceCaller, name: str) -> None:
        async with queue.turn(one):
            had.append(name)

    async with queue.turn(ServiceCaller("webhooks", "somebody")):
        flood = [work(caller(f"teacher {number}", SCHOOL), "school") for number in range(8)]
        tasks = [asyncio.create_task(one) for one in (*flood, work(caller("nurse", CLINIC), "clinic"))]
        while queue.waiting < len(tasks):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert had.index("clinic") <= 1


async def test_caller_beyond_the_limits_gets_429_with_retry_after() -> None:
    queue = CallerQueue("Too many photos are being uploaded", concurrency=1, max_waiting=5, max_per_caller=1)
    async with queue.turn(caller("teacher", SCHOOL)):
        with pytest.raises(TooManyRequests, match="Too many photos are being uploaded: try again") as refused:
            async with queue.turn(caller("teacher", SCHOOL)):
                raise AssertionError("the caller has two places")
    assert refused.value.headers == {"Retry-After": "5"}


@pytest.mark.parametrize(("timeout_seconds", "has_turn"), [(0.01, False), (30.0, True)])
async def test_caller_waits_until_the_timeout_of_the_queue(timeout_seconds: float, has_turn: bool) -> None:
    queue = CallerQueue("Too many files", concurrency=1, max_waiting=5, timeout_seconds=timeout_seconds)
    had: list[str] = []

    async def work() -> None:
        async with queue.turn(caller("nurse", CLINIC)):
            had.append("turn")

    async with queue.turn(caller("teacher", SCHOOL)):
        waiting = asyncio.create_task(work())
        await asyncio.sleep(0.1)
    if has_turn:
        await waiting
    else:
        with pytest.raises(TooManyRequests, match="Too many files: try again"):
            await waiting
    assert had == ["turn"] * has_turn


async def test_all_turns_of_a_request_share_one_deadline() -> None:
    first = CallerQueue("Too many uploads", concurrency=1, max_waiting=5)
    second = CallerQueue("Too many files", concurrency=1, max_waiting=5)
    scope: dict[str, object] = {}
    until = waits_until(scope) - LONGEST_WAIT_SECONDS + 0.2
    assert waits_until(scope) == waits_until(scope)
    nurse = caller("nurse", CLINIC)
    async with second.turn(caller("teacher", SCHOOL)), asyncio.timeout(5), first.turn(nurse, until=until):
        await asyncio.sleep(0.1)
        with pytest.raises(TooManyRequests, match="Too many files: try again"):
            async with second.turn(nurse, until=until):
                raise AssertionError("the turn is held by the teacher")
    # No turn begins after the deadline: the gateway would answer 504 before the work of that turn ends.
    with pytest.raises(TooManyRequests):
        async with second.turn(nurse, until=until):
            raise AssertionError("the deadline has passed")
    async with second.turn(nurse):
        pass


async def test_caller_has_two_files_of_the_registry_at_a_time() -> None:
    editor = caller("editor", SCHOOL)

    async def work() -> None:
        async with WORKBOOK_QUEUE.turn(editor):
            pass

    async with WORKBOOK_QUEUE.turn(editor):
        waiting = asyncio.create_task(work())
        while not WORKBOOK_QUEUE.waiting:
            await asyncio.sleep(0)
        with pytest.raises(TooManyRequests, match="Too many files of the registry"):
            await work()
    await waiting


def test_requests_wait_nearly_as_long_as_the_gateway_and_the_console_a_little_longer() -> None:
    configured = (Path(__file__).parents[3] / "services/gateway/traefik/dynamic.yml").read_text(encoding="utf-8")
    (gateway,) = [int(seconds) for seconds in re.findall(r"responseHeaderTimeout: (\d+)s", configured)]
    assert WORKBOOK_QUEUE._queue._timeout_seconds == LONGEST_WAIT_SECONDS
    assert gateway - 10 <= LONGEST_WAIT_SECONDS < gateway < view._IMPORT_SECONDS < gateway + 5
