"""Intake of repeated, late and out-of-order items, and of history that may open appeals."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.ingest.intake import retention
from services.ingest.intake.ingest import BatchResult, IntakeBatch, ingest_batch, ingest_batches
from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import Author, IncomingItem, PageRef, ParsedBatch, UnparsedPayload
from shared.database.purge import RetentionSettings, purge_tables
from shared.database.sessions import WriteSession
from tests.conftest import TestDatabase
from tests.integration.ingest.ingest_harness import MOMENT, Bench, made_bench
from tests.support.service_under_test import insert_organisation, insert_page


@pytest.fixture
async def bench(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Bench]:
    """Ingest without workers."""
    async with made_bench(database, keys_dir) as made:
        yield made


def deletion(bench: Bench, by: str | None = None, **changes: object) -> IncomingItem:
    """Return the event that the comment was deleted."""
    deleter = Author(native_id=by) if by else None
    return bench.item(None, change="deleted", author=None, deleted_by=deleter, **changes)


async def texts(bench: Bench) -> list[str]:
    """Return all texts of the comment, the current one last."""
    shown = await bench.shown((await bench.row())["id"])
    return [*(one["text"] for one in shown["versions"]), shown["text"]]


async def test_repeated_event_is_processed_once(bench: Bench) -> None:
    await bench.take(bench.item("Первый", push_event_id="a"))
    await bench.take(bench.item("Второй", change="edited", push_event_id="b"))
    await bench.take(bench.item("Третий", change="edited", push_event_id="c"))
    again = await bench.take(bench.item("Второй", change="edited", push_event_id="b"))
    assert again.edited == 0
    assert await texts(bench) == ["Первый", "Второй", "Третий"]
    await bench.take(deletion(bench, push_event_id="d"))
    await bench.take(bench.item("Третий", change="restored", push_event_id="e"))
    await bench.take(deletion(bench, push_event_id="d"))
    assert (await bench.row())["deleted_at"] is None
    await bench.take(
        bench.item("Первый", push_event_id="a"), bench.item("Новое", external_id="-101_8", push_event_id="f")
    )
    assert (await bench.row("-101_8"))["text"] == "Новое"


async def test_event_twice_in_one_batch_is_processed_once(bench: Bench) -> None:
    first, second = (bench.item(text, change="edited", push_event_id=text) for text in ("Второй", "Третий"))
    taken = await bench.take(bench.item("Первый", push_event_id="a"), first, second, first)
    assert taken.edited == 2
    assert (await bench.row())["text"] == "Третий"


async def test_same_event_id_of_other_page_is_another_event(bench: Bench, database: TestDatabase) -> None:
    organisation = await insert_organisation(database, name="Больница")
    page_id = await insert_page(database, organisation, external_id="102")
    other = PageRef(id=page_id, organisation_id=organisation, network="vk", external_id="102", go_live_at=MOMENT)
    await bench.take(bench.item(push_event_id="a"))
    await bench.take(bench.item(external_id="-102_7", thread_key="vk:-102_3", push_event_id="a"), page=other)
    assert await bench.eye.fetchval("SELECT count(*) FROM messages") == 2


async def test_rolled_back_event_is_not_recorded_as_processed(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        async with bench.ingest.service.database.write() as session:
            await ingest_batch(
                session, IntakeBatch(page=bench.page, source="test", items=[bench.item(push_event_id="a")])
            )
            raise ZeroDivisionError
    assert (await bench.take(bench.item(push_event_id="a"))).new == 1


async def test_old_event_ids_and_pending_deletions_are_purged(bench: Bench) -> None:
    await bench.take(bench.item(push_event_id="old"), deletion(bench, external_id="-101_8"))
    await bench.eye.execute("UPDATE processed_push_events SET created_at = created_at - interval '4 days'")
    await bench.eye.execute("UPDATE pending_deletions SET created_at = created_at - interval '31 days'")
    await bench.take(
        bench.item(external_id="-101_9", push_event_id="young"), deletion(bench, external_id="-101_10")
    )
    await purge_tables(bench.ingest.service.database, retention.rules(RetentionSettings()))
    assert await bench.eye.fetchval("SELECT array_agg(event_id) FROM processed_push_events") == ["young"]
    assert await bench.eye.fetchval("SELECT array_agg(external_id) FROM pending_deletions") == ["-101_10"]


@pytest.mark.parametrize(("deleter", "by"), [("5001", "author"), ("42", "community"), (None, "unknown")])
async def test_deletion_before_message_is_applied_on_arrival(bench: Bench, deleter: str | None, by: str) -> None:
    taken = await bench.take(deletion(bench, deleter))
    assert (taken.new, taken.deleted) == (0, 0)
    assert await bench.events() == []
    taken = await bench.take(bench.item("Неудобный вопрос"))
    assert (taken.new, taken.deleted) == (1, 1)
    row = await bench.row()
    assert (row["text"], row["deleted_by"]) == ("Неудобный вопрос", by)
    assert row["deleted_at"] <= row["received_at"]
    assert await bench.events() == ["message.received", "message.deleted"]
    assert (await bench.told("message.deleted"))[0]["deleted_by"] == by
    assert await bench.eye.fetchval("SELECT count(*) FROM pending_deletions") == 0
    await bench.take(bench.item("Неудобный вопрос", change="observed"))
    assert len(await bench.events()) == 2


async def test_deleter_is_kept_if_later_item_has_none(bench: Bench) -> None:
    await bench.take(deletion(bench))
    await bench.take(deletion(bench, "42"))
    await bench.take(deletion(bench))
    await bench.take(bench.item())
    assert (await bench.row())["deleted_by"] == "community"


async def test_restoration_removes_pending_deletion(bench: Bench) -> None:
    await bench.take(deletion(bench))
    await bench.take(bench.item(None, change="restored", author=None))
    await bench.take(bench.item())
    assert (await bench.row())["deleted_at"] is None
    await bench.take(deletion(bench, external_id="-101_8"))
    await bench.take(bench.item(external_id="-101_8", change="restored"))
    assert (await bench.row("-101_8"))["deleted_at"] is None
    assert await bench.eye.fetchval("SELECT count(*) FROM pending_deletions") == 0


async def test_concurrent_message_and_deletion_end_deleted(bench: Bench) -> None:
    for number in range(20):
        name = f"-101_{number}"
        await asyncio.gather(
            bench.take(bench.item(external_id=name)), bench.take(deletion(bench, external_id=name))
        )
        assert (await bench.row(name))["deleted_at"] is not None


async def test_message_found_by_later_poll_is_restored(bench: Bench) -> None:
    await bench.take(bench.item())
    await bench.take(deletion(bench))
    now = datetime.now(UTC)
    await bench.take(bench.item(change="observed"), observed_at=now + timedelta(minutes=1))
    assert (await bench.row())["deleted_at"] is not None
    await bench.take(bench.item(change="observed"), observed_at=now + timedelta(minutes=11))
    assert (await bench.row())["deleted_at"] is None
    assert (await bench.events())[-1] == "message.restored"


async def test_edit_before_announcement_keeps_both_texts(bench: Bench) -> None:
    await bench.take(bench.item("Второй", change="edited"))
    assert await texts(bench) == ["Второй"]
    await bench.take(bench.item("Первый"), bench.item("Первый"))
    assert await texts(bench) == ["Первый", "Второй"]
    await bench.take(bench.item("Третий", change="edited"))
    await bench.take(bench.item("Первый"))
    assert await texts(bench) == ["Первый", "Второй", "Третий"]
    assert await bench.events() == ["message.received", "message.edited"]


@pytest.mark.parametrize("time", ["update_time", "edited"])
async def test_overtaken_edit_does_not_replace_later_text(bench: Bench, time: str) -> None:
    def edit(number: int) -> IncomingItem:
        return bench.item(f"Текст {number}", change="edited", raw={time: 1_700_000_000 + number})

    await bench.take(bench.item("Текст 0"))
    await bench.take(edit(2))
    await bench.take(edit(1))
    await bench.take(edit(1))
    assert await texts(bench) == ["Текст 0", "Текст 1", "Текст 2"]
    await bench.take(edit(3))
    assert (await texts(bench))[-1] == "Текст 3"


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_any_order_of_changes_ends_in_same_state(bench: Bench, order: tuple[int, ...]) -> None:
    items = [bench.item("Первый"), bench.item("Второй", change="edited"), deletion(bench, "42")]
    for number in order:
        await bench.take(items[number])
    row = await bench.row()
    assert (row["deleted_by"], await texts(bench)) == ("community", ["Первый", "Второй"])


async def test_message_with_only_attachments_is_stored(bench: Bench) -> None:
    await bench.take(bench.item("", attachments=[{"type": "photo", "photo": {"id": 1}}]))
    shown = await bench.shown((await bench.row())["id"])
    assert (shown["text"], shown["attachments"]) == ("", [{"type": "photo", "photo": {"id": 1}}])


async def test_batches_of_many_pages_are_stored_together(bench: Bench, database: TestDatabase) -> None:
    feed = DatabaseIntakeStore(bench.ingest.service.database)
    organisation = await insert_organisation(database, name="Больница")
    pages = []
    for number in range(3):
        page_id = await insert_page(database, organisation, external_id=f"20{number}")
        pages.append(
            PageRef(
                id=page_id,
                organisation_id=organisation,
                network="vk",
                external_id=f"20{number}",
                go_live_at=MOMENT,
            )
        )

    def comment(page: PageRef, number: int, **more: Any) -> IncomingItem:
        return bench.item(
            external_id=f"-{page.external_id}_{number}", thread_key=f"vk:-{page.external_id}_1", **more
        )

    arrivals = [
        (page, "callback", ParsedBatch([comment(page, n, push_event_id=f"{n}")]))
        for n in range(5)
        for page in pages
    ]
    arrivals.append((pages[0], "callback", ParsedBatch([comment(pages[0], 0, change="deleted", text=None)])))
    arrivals.append((pages[1], "callback", ParsedBatch([comment(pages[1], 0, push_event_id="0")])))
    impossible = comment(pages[2], 9, push_event_id="9")
    arrivals.append((pages[2], "callback", ParsedBatch([impossible], [UnparsedPayload("a riddle", {})])))
    stored = await feed.store_many(arrivals)
    assert [one.new for one in stored] == [1] * 15 + [0, 0, 1]
    assert stored[15].deleted == 1
    assert await bench.eye.fetchval("SELECT count(*) FROM messages") == 16
    assert await bench.eye.fetchval("SELECT count(*) FROM sources WHERE last_message_at IS NOT NULL") == 3
    assert [one.new for one in await feed.store_many(arrivals)] == [0] * 18
    assert await feed.store_many([]) == []


async def test_invalid_item_of_one_page_does_not_block_others(bench: Bench, database: TestDatabase) -> None:
    feed = DatabaseIntakeStore(bench.ingest.service.database)
    bad = bench.item(external_id="-101_9", thread_key="vk:\x00", push_event_id="bad")
    beside = bench.item(external_id="-101_10", push_event_id="beside")
    good = bench.item(push_event_id="good")
    stored = await feed.store_many(
        [(bench.page, "callback", ParsedBatch([bad, beside])), (bench.page, "callback", ParsedBatch([good]))]
    )
    assert [one.new for one in stored] == [1, 1]
    assert await bench.eye.fetchval("SELECT count(*) FROM messages") == 2
    assert await bench.eye.fetchval("SELECT count(*) FROM quarantine") == 1


async def test_concurrent_deliveries_do_not_deadlock(bench: Bench) -> None:
    feed = DatabaseIntakeStore(bench.ingest.service.database)

    def load(seed: int) -> list[tuple[PageRef, str, ParsedBatch]]:
        numbers = [(seed * 7 + n * 11) % 40 for n in range(40)]
        return [
            (
                bench.page,
                "callback",
                ParsedBatch(
                    [
                        bench.item(f"Текст {n}", external_id=f"-101_{n}", author=Author(native_id=str(n % 5))),
                        deletion(bench, external_id=f"-101_{n}_gone"),
                    ]
                ),
            )
            for n in numbers
        ]

    await asyncio.gather(*(feed.store_many(load(seed)) for seed in range(6)))
    assert await bench.eye.fetchval("SELECT count(*) FROM messages") == 40


async def test_deadlocked_transaction_is_retried(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    async def deadlocked(session: WriteSession, batches: Sequence[IntakeBatch]) -> list[BatchResult]:
        nonlocal tries
        tries += 1
        taken = await ingest_batches(session, batches)
        if tries < 3:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return taken

    monkeypatch.setattr("services.ingest.intake.store.ingest_batches", deadlocked)
    stored = await DatabaseIntakeStore(bench.ingest.service.database).store(
        bench.page, "poll", ParsedBatch([bench.item()])
    )
    assert (stored.new, tries) == (1, 3)
    assert await bench.events() == ["message.received"]


async def test_store_returns_stored_messages_and_states(bench: Bench) -> None:
    feed = DatabaseIntakeStore(bench.ingest.service.database)
    later = MOMENT + timedelta(days=1)
    items = [
        bench.item(),
        bench.item(external_id="-101_8", thread_key="vk:-101_4"),
        bench.item(external_id="-101_9", written_at=later),
        bench.item(external_id="-101_10"),
        deletion(bench, external_id="-101_10"),
        bench.item(external_id="-101_3", kind="wall_post"),
    ]
    stored = await feed.store(bench.page, "wall_poll", ParsedBatch(items))
    assert (stored.new, stored.deleted) == (5, 1)
    assert set(await feed.undeleted_ids(bench.page, "comment")) == {"-101_7", "-101_8", "-101_9"}
    assert set(await feed.undeleted_ids(bench.page, "comment", thread_key="vk:-101_3")) == {"-101_7", "-101_9"}
    assert await feed.undeleted_ids(bench.page, "comment", since=later) == {"-101_9": later}


async def test_history_allowed_to_open_appeals_is_emitted_again(bench: Bench) -> None:
    before = datetime(2026, 2, 1, tzinfo=UTC)
    community = bench.item("Мы", external_id="-101_8", written_at=before, from_community=True)
    gone = bench.item("Удалён", external_id="-101_9", written_at=before)
    await bench.take(bench.item(written_at=before), community, gone)
    await bench.take(deletion(bench, external_id="-101_9"))
    feed = DatabaseIntakeStore(bench.ingest.service.database)
    fresh = bench.item("Ещё один", external_id="-101_10", written_at=before)
    found = ParsedBatch([bench.item(written_at=before, change="observed"), community, gone, fresh])
    for _ in range(2):
        await feed.store(bench.page, "backfill", found, open_appeals=True)
    marks = {row["external_id"]: row["history"] for row in await bench.eye.fetch("SELECT * FROM messages")}
    assert marks == {"-101_7": False, "-101_8": True, "-101_9": True, "-101_10": False}
    told = await bench.told("message.received")
    assert [one["history"] for one in told] == [True, True, True, False, False]
    assert (await bench.take(bench.item(external_id="-101_11", written_at=before))).new == 1
    assert (await bench.row("-101_11"))["history"] is True
