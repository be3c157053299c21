"""The queue of callers' slow work: fair between organisations, and a 429 beyond its limits."""

import asyncio
from uuid import UUID

import pytest

from shared.auth.callers import Caller, ServiceCaller
from shared.auth.rights import Role
from shared.caller_queue import CallerQueue
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


async def test_caller_beyond_the_limits_is_told_when_to_try_again() -> None:
    queue = CallerQueue("Too many photos are being uploaded", concurrency=1, max_waiting=5, max_per_caller=1)
    async with queue.turn(caller("teacher", SCHOOL)):
        with pytest.raises(TooManyRequests, match="Too many photos are being uploaded: try again") as refused:
            async with queue.turn(caller("teacher", SCHOOL)):
                raise AssertionError("the caller has two places")
    assert refused.value.headers == {"Retry-After": "5"}
