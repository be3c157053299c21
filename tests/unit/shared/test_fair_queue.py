"""The queue in front of slow work: bounded, and fair between addresses and names."""

import asyncio

import pytest

from shared.fair_queue import FairQueue, QueueFull


class Stage:
    """Requests slots of the queue and records the names that got one."""

    def __init__(self, *, most_waiting: int = 100) -> None:
        self.turns = FairQueue(concurrency=1, max_waiting=most_waiting)
        self.had: list[str] = []

    async def _one(self, address: str, name: str, known: bool) -> None:
        async with self.turns.slot(address, name, priority=known):
            self.had.append(name)
            await asyncio.sleep(0)

    async def come(self, address: str, name: str, *, known: bool = False) -> asyncio.Task[None]:
        task = asyncio.create_task(self._one(address, name, known))
        await asyncio.sleep(0)
        return task


async def test_flood_from_one_address_delays_only_that_address() -> None:
    stage = Stage()
    tasks = []
    async with stage.turns.slot("x", "holder", priority=False):
        tasks += [await stage.come("flood", f"guess{number}") for number in range(18)]
        tasks.append(await stage.come("other", "honest"))
    await asyncio.gather(*tasks)
    assert stage.had.index("honest") <= 1
    assert len(stage.had) == 19


async def test_names_of_one_address_are_served_round_robin() -> None:
    stage = Stage()
    async with stage.turns.slot("x", "holder", priority=False):
        tasks = [await stage.come("office", "guessed") for _ in range(18)]
        tasks.append(await stage.come("office", "honest"))
    await asyncio.gather(*tasks)
    assert stage.had.index("honest") <= 1


async def test_attempt_from_known_address_has_priority() -> None:
    stage = Stage()
    async with stage.turns.slot("x", "holder", priority=False):
        tasks = [await stage.come(f"flood{number}", f"guess{number}") for number in range(18)]
        tasks.append(await stage.come("flood1", "honest", known=True))
    await asyncio.gather(*tasks)
    assert stage.had[0] == "honest"


@pytest.mark.parametrize("known", [False, True])
async def test_newest_attempt_of_a_flood_is_evicted_when_the_queue_is_full(known: bool) -> None:
    stage = Stage(most_waiting=3)
    async with stage.turns.slot("x", "holder", priority=False):
        tasks = [await stage.come("flood", f"guess{number}") for number in range(3)]
        with pytest.raises(QueueFull):
            await (await stage.come("flood", "guess3"))
        tasks.append(await stage.come("other", "honest", known=known))
        assert stage.turns.waiting == 3
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(one, QueueFull) for one in found) == 1
    assert "honest" in stage.had


async def test_name_with_two_attempts_in_the_queue_is_refused_until_one_ends() -> None:
    turns = FairQueue(concurrency=1, max_waiting=10, max_per_name=2)
    begun = asyncio.Event()

    async def attempt() -> None:
        async with turns.slot("office", "busy", priority=False):
            begun.set()

    async with turns.slot("office", "busy", priority=False):
        waiting = asyncio.create_task(attempt())
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await attempt()
        assert (turns.waiting, begun.is_set()) == (1, False)
        # Another person of the office, and the same name elsewhere, are counted separately.
        others = [asyncio.create_task(_hold(turns, *who)) for who in (("office", "calm"), ("home", "busy"))]
        await asyncio.sleep(0)
        assert turns.waiting == 3
    await asyncio.gather(waiting, *others)
    await attempt()


async def _hold(turns: FairQueue, address: str, name: str) -> None:
    async with turns.slot(address, name, priority=False):
        await asyncio.sleep(0)


async def test_slot_of_a_cancelled_waiter_passes_to_the_next() -> None:
    stage = Stage()
    async with stage.turns.slot("x", "holder", priority=False):
        waits = [await stage.come("a", f"gone{number}") for number in range(3)]
        for task in waits[:2]:
            task.cancel()
    # The third waiter is granted its slot at the moment when it is cancelled.
    waits[2].cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    assert stage.turns.waiting == 0
    await (await stage.come("b", "next"))
    assert stage.had[-1] == "next"


async def test_waiter_that_times_out_leaks_no_slot() -> None:
    turns = FairQueue(concurrency=1, max_waiting=10, timeout_seconds=0.01)
    async with turns.slot("x", "holder", priority=False):
        with pytest.raises(QueueFull):
            async with turns.slot("y", "waits", priority=False):
                raise AssertionError("a slot was granted although none was free")
    assert turns.waiting == 0
    async with turns.slot("y", "next", priority=False):
        pass
