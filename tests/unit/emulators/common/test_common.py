"""Faults, limits, the CSV feed and the generated citizens of the emulators."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from emulators.common.call_limits import CallCounter, RateLimit
from emulators.common.citizens import CitizenWriter, generate_citizens
from emulators.common.clock import EmulatorClock
from emulators.common.csv_feed import CsvFeedPlan, write_csv_messages
from emulators.common.errors import BadInputError
from emulators.common.faults.fault_injector import FaultInjector
from emulators.common.faults.fault_types import Fault
from emulators.common.sample_texts import CHATTER, ISSUES, generate_text
from emulators.common.store import EmulatorStore
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.settings import VkSettings

WHOLE_DAY = 10_000_000_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EmulatedVk]:
    """An emulated network with three pages."""
    made = EmulatedVk(VkSettings(data=tmp_path / "vk.sqlite3", comment_length=15))
    for number in range(3):
        made.create_page(name=f"Страница {number}", screen_name=f"page{number}")
    yield made
    made.store.close()


def test_fault_with_next_hits_only_its_method_and_is_used_up() -> None:
    faults = FaultInjector(1)
    faults.arm(Fault("error", next=2, method="wall.get", code=10))
    assert faults.draw("users.get") == []
    assert [len(faults.draw("wall.get")) for _ in range(4)] == [1, 1, 0, 0]
    assert faults.armed() == []


def test_fault_rate_hits_the_same_calls_for_a_seed() -> None:
    def hits(seed: int) -> list[int]:
        faults = FaultInjector(seed)
        faults.arm(Fault("drop", rate=0.3))
        return [len(faults.draw("any")) for _ in range(1_000)]

    assert 250 < sum(hits(1)) < 350
    assert hits(1) == hits(1)
    assert hits(1) != hits(2)


def test_repeat_and_shuffle_change_only_lists() -> None:
    faults = FaultInjector(3)
    content = {"response": {"count": 3, "items": [1, 2, 3]}, "ts": "5"}
    twice = faults.repeat_or_shuffle(content, [Fault("duplicate", next=1)])
    assert twice == {"response": {"count": 3, "items": [1, 1, 2, 2, 3, 3]}, "ts": "5"}
    shuffled = faults.repeat_or_shuffle(list(range(50)), [Fault("reorder", next=1)])
    assert shuffled != list(range(50))
    assert sorted(shuffled) == list(range(50))


def test_rate_limit_counts_each_key_and_zero_means_no_limit() -> None:
    limit = RateLimit(window_seconds=1_000)
    assert [limit.allow("a", 2) for _ in range(3)] == [True, True, False]
    assert limit.allow("b", 2)
    assert all(limit.allow("a", 0) for _ in range(5))


def test_daily_counts_are_saved_and_reset(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite3"
    store = EmulatorStore(path, "")
    today = EmulatorClock(day_seconds=WHOLE_DAY)
    calls = CallCounter(store, today)
    assert calls.within_day("t", "m", 1)
    calls.count("m", "user", "t", accepted=True)
    calls.count("m", "user", "t", accepted=False)
    store.close()
    again = EmulatorStore(path, "")
    assert not CallCounter(again, today).within_day("t", "m", 1)
    assert CallCounter(again, today).within_day("other", "m", 1)
    tomorrow = CallCounter(again, EmulatorClock(shift_seconds=WHOLE_DAY, day_seconds=WHOLE_DAY))
    assert tomorrow.within_day("t", "m", 1)
    total = tomorrow.totals()[0]
    assert (total["count"], total["accepted"], total["accepted_today"]) == (2, 1, 0)
    again.close()


def test_failed_transaction_is_rolled_back(tmp_path: Path) -> None:
    store = EmulatorStore(tmp_path / "t.sqlite3", "CREATE TABLE IF NOT EXISTS t (n INTEGER);")

    def break_inside() -> None:
        with store.transaction():
            store.execute("INSERT INTO t VALUES (1)")
            with store.transaction():
                store.execute("INSERT INTO t VALUES (2)")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        break_inside()
    assert store.value("SELECT count(*) FROM t") == 0
    store.close()


async def test_csv_feed_writes_every_second_row_exactly(world: EmulatedVk) -> None:
    texts = ["а\nб", "мимо", 'с "кавычками"', "мимо", "\u0000<br>", "мимо", "длиннее пятнадцати знаков", "мимо"]
    rows = "".join('"{}"\r\n'.format(text.replace('"', '""')) for text in texts)
    plan = CsvFeedPlan(kind="comment", offset=0, step=2, detail=True)
    answer = await write_csv_messages(world, ("\ufefftext\r\n" + rows).encode(), plan)
    assert (answer["accepted"], answer["refused"]) == (3, 1)
    assert [item["row"] for item in answer["items"]] == [0, 2, 4, 6]
    assert len({item["page"] for item in answer["items"]}) == 3
    stored = [row["text"] for row in world.store.all("SELECT text FROM comments ORDER BY page")]
    assert stored == ["а\nб", 'с "кавычками"', "\u0000<br>"]
    assert answer["items"][3]["error"]["code"] == 100


@pytest.mark.parametrize("pages", [1, 2, 3, 4, 6])
def test_mixed_kinds_reach_every_page(pages: int) -> None:
    plan = CsvFeedPlan()
    seen = Counter((number % pages, plan.kind_of(number, pages)) for number in range(pages * 6))
    assert len(seen) == pages * 3


@pytest.mark.parametrize(
    ("body", "plan", "field"),
    [
        (b"text\n\xff\xfe", CsvFeedPlan(), "body"),
        (b'text\n"open', CsvFeedPlan(), "body"),
        (b"other\nx", CsvFeedPlan(), "column"),
        (b"", CsvFeedPlan(), "column"),
    ],
)
async def test_csv_feed_rejects_invalid_csv(world: EmulatedVk, body: bytes, plan: CsvFeedPlan, field: str) -> None:
    with pytest.raises(BadInputError) as caught:
        await write_csv_messages(world, body, plan)
    assert caught.value.field == field


def test_citizens_are_the_same_for_a_seed() -> None:
    assert generate_citizens(50, 7) == generate_citizens(50, 7)
    assert generate_citizens(50, 7) != generate_citizens(50, 8)


def test_sample_texts_are_distinct_and_have_no_unfilled_fields() -> None:
    assert len(set(ISSUES + CHATTER)) == len(ISSUES) + len(CHATTER) >= 60
    source = random.Random(1)
    assert not any("{" in generate_text(source) for _ in range(500))
    literal = {next(iter(Formatter().parse(text)))[0] for text in ISSUES}
    asking = sum(any(start and text.startswith(start) for start in literal) for text in _invented(1_000))
    assert asking < 500


def _invented(count: int) -> list[str]:
    source = random.Random(2)
    return [generate_text(source) for _ in range(count)]


def test_each_call_writes_one_message_or_is_refused(world: EmulatedVk) -> None:
    refused: list[Exception] = []
    writer = CitizenWriter(world, 5, 0, refused.append)
    for _ in range(40):
        writer.write_one()
    written = sum(item["count"] for item in world.message_counts() if item["by"] == "citizens")
    assert written + len(refused) == 40
    assert written > 0
    assert refused


async def test_rate_set_to_zero_at_the_end_of_a_pause_stops_writing(
    world: EmulatedVk, monkeypatch: pytest.MonkeyPatch
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
