"""Faults, limits, the feed and the invented citizens, whichever the network."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from emulators.common.call_limits import Calls, SecondLimit
from emulators.common.citizens import CitizenWriter, population
from emulators.common.clock import Clock
from emulators.common.csv_feed import FeedPlan, feed
from emulators.common.errors import BadInputError
from emulators.common.faults.fault_injector import Faults
from emulators.common.faults.fault_types import Fault
from emulators.common.sample_texts import CHATTER, ISSUES, invent
from emulators.common.store import Store
from emulators.vk.emulated_vk import VkWorld
from emulators.vk.settings import VkSettings


@pytest.fixture
def world(tmp_path: Path) -> Iterator[VkWorld]:
    """Three pages."""
    made = VkWorld(VkSettings(data=tmp_path / "vk.sqlite3", comment_length=15))
    for number in range(3):
        made.create_page(name=f"Страница {number}", screen_name=f"page{number}")
    yield made
    made.store.close()


def test_next_is_used_up_and_keeps_to_its_method() -> None:
    faults = Faults(1)
    faults.arm(Fault("error", next=2, method="wall.get", code=10))
    assert faults.draw("users.get") == []
    assert [len(faults.draw("wall.get")) for _ in range(4)] == [1, 1, 0, 0]
    assert faults.armed() == []


def test_rate_is_a_share_and_the_same_for_a_seed() -> None:
    def hits(seed: int) -> list[int]:
        faults = Faults(seed)
        faults.arm(Fault("drop", rate=0.3))
        return [len(faults.draw("any")) for _ in range(1_000)]

    assert 250 < sum(hits(1)) < 350
    assert hits(1) == hits(1)
    assert hits(1) != hits(2)


def test_mangling_touches_lists_only() -> None:
    faults = Faults(3)
    content = {"response": {"count": 3, "items": [1, 2, 3]}, "ts": "5"}
    twice = faults.mangle(content, [Fault("duplicate", next=1)])
    assert twice == {"response": {"count": 3, "items": [1, 1, 2, 2, 3, 3]}, "ts": "5"}
    shuffled = faults.mangle(list(range(50)), [Fault("reorder", next=1)])
    assert shuffled != list(range(50))
    assert sorted(shuffled) == list(range(50))


def test_second_limit_slides() -> None:
    limit = SecondLimit(window_seconds=1_000)
    assert [limit.allow("a", 2) for _ in range(3)] == [True, True, False]
    assert limit.allow("b", 2)
    assert all(limit.allow("a", 0) for _ in range(5))


def test_daily_counts_are_kept_in_the_file_and_start_anew(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite3"
    store = Store(path, "")
    calls = Calls(store, Clock())
    assert calls.within_day("t", "m", 1)
    calls.count("m", "user", "t", accepted=True)
    calls.count("m", "user", "t", accepted=False)
    store.close()
    again = Store(path, "")
    assert not Calls(again, Clock()).within_day("t", "m", 1)
    assert Calls(again, Clock()).within_day("other", "m", 1)
    tomorrow = Calls(again, Clock(shift_seconds=86_400))
    assert tomorrow.within_day("t", "m", 1)
    total = tomorrow.totals()[0]
    assert (total["count"], total["accepted"], total["accepted_today"]) == (2, 1, 0)
    again.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "t.sqlite3", "CREATE TABLE IF NOT EXISTS t (n INTEGER);")

    def break_inside() -> None:
        with store.transaction():
            store.run("INSERT INTO t VALUES (1)")
            with store.transaction():
                store.run("INSERT INTO t VALUES (2)")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        break_inside()
    assert store.value("SELECT count(*) FROM t") == 0
    store.close()


async def test_feed_takes_every_second_row_byte_for_byte(world: VkWorld) -> None:
    texts = ["а\nб", "мимо", 'с "кавычками"', "мимо", "\u0000<br>", "мимо", "длиннее пятнадцати знаков", "мимо"]
    rows = "".join('"{}"\r\n'.format(text.replace('"', '""')) for text in texts)
    plan = FeedPlan(kind="comment", offset=0, step=2, detail=True)
    answer = await feed(world, ("\ufefftext\r\n" + rows).encode(), plan)
    assert (answer["accepted"], answer["refused"]) == (3, 1)
    assert [item["row"] for item in answer["items"]] == [0, 2, 4, 6]
    assert len({item["page"] for item in answer["items"]}) == 3
    stored = [row["text"] for row in world.store.all("SELECT text FROM comments ORDER BY page")]
    assert stored == ["а\nб", 'с "кавычками"', "\u0000<br>"]
    assert answer["items"][3]["error"]["code"] == 100


@pytest.mark.parametrize("pages", [1, 2, 3, 4, 6])
def test_mixed_kinds_reach_every_page(pages: int) -> None:
    plan = FeedPlan()
    seen = Counter((number % pages, plan.kind_of(number, pages)) for number in range(pages * 6))
    assert len(seen) == pages * 3


@pytest.mark.parametrize(
    ("body", "plan", "field"),
    [
        (b"text\n\xff\xfe", FeedPlan(), "body"),
        (b'text\n"open', FeedPlan(), "body"),
        (b"other\nx", FeedPlan(), "column"),
        (b"", FeedPlan(), "column"),
    ],
)
async def test_feed_refuses_what_is_no_csv(world: VkWorld, body: bytes, plan: FeedPlan, field: str) -> None:
    with pytest.raises(BadInputError) as caught:
        await feed(world, body, plan)
    assert caught.value.field == field


def test_citizens_are_the_same_for_a_seed() -> None:
    assert population(50, 7) == population(50, 7)
    assert population(50, 7) != population(50, 8)


def test_sentences_are_many_whole_and_mostly_need_no_answer() -> None:
    assert len(set(ISSUES + CHATTER)) == len(ISSUES) + len(CHATTER) >= 60
    source = random.Random(1)
    assert not any("{" in invent(source) for _ in range(500))
    literal = {next(iter(Formatter().parse(text)))[0] for text in ISSUES}
    asking = sum(any(start and text.startswith(start) for start in literal) for text in _invented(1_000))
    assert asking < 500


def _invented(count: int) -> list[str]:
    source = random.Random(2)
    return [invent(source) for _ in range(count)]


def test_a_citizen_writes_somewhere(world: VkWorld) -> None:
    refused: list[Exception] = []
    writer = CitizenWriter(world, 5, 0, refused.append)
    for _ in range(40):
        writer.write_one()
    written = sum(item["count"] for item in world.counts() if item["by"] == "citizens")
    assert written + len(refused) == 40
    assert written > 0
    assert refused


async def test_rate_set_to_zero_as_a_pause_ends_writes_nothing_more(
    world: VkWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = CitizenWriter(world, 5, 60, lambda error: None)
    pauses: list[float | None] = []
    written: list[bool] = []
    monkeypatch.setattr(writer, "write_one", lambda: written.append(True))

    async def end_as_the_rate_changes(waiting: Coroutine[Any, Any, bool], pause: float | None) -> None:
        waiting.close()
        pauses.append(pause)
        if pause is None:
            raise asyncio.CancelledError
        writer.set_rate(0)
        raise TimeoutError

    monkeypatch.setattr("emulators.common.citizens.asyncio.wait_for", end_as_the_rate_changes)
    with pytest.raises(asyncio.CancelledError):
        await writer.run()
    assert pauses[1:] == [None]
    assert not written
