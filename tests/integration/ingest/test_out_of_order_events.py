"""Intake of repeated, late and out-of-order items, and of history that may open appeals."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.ingest import retention
from services.ingest.intake.ingest import BatchResult, IntakeBatch, ingest_batch, ingest_batches
from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import Author, IncomingItem, PageRef, ParsedBatch, UnparsedPayload
from shared.database.purge import RetentionSettings, purge_tables
from shared.database.sessions import WriteSession
from tests.conftest import TestDatabase
from tests.integration.ingest.ingest_harness import MOMENT, IngestHarness, build_harness
from tests.support.service_under_test import insert_organisation, insert_page


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[IngestHarness]:
    """Ingest without workers."""
    async with build_harness(database, keys_dir) as made:
        yield made


def deletion(harness: IngestHarness, by: str | None = None, **changes: object) -> IncomingItem:
    """Return the item that reports the deletion of the comment."""
    deleter = Author(native_id=by) if by else None
    return harness.item(None, change="deleted", author=None, deleted_by=deleter, **changes)


async def texts(harness: IngestHarness) -> list[str]:
    """Return all texts of the comment, the current text last."""
    shown = await harness.get_json((await harness.row())["id"])
    return [*(one["text"] for one in shown["versions"]), shown["text"]]


async def test_repeated_event_is_processed_once(harness: IngestHarness) -> None:
    await harness.take(harness.item("Первый", push_event_id="a"))
    await harness.take(harness.item("Второй", change="edited", push_event_id="b"))
    await harness.take(harness.item("Третий", change="edited", push_event_id="c"))
    again = await harness.take(harness.item("Второй", change="edited", push_event_id="b"))
    assert again.edited == 0
    assert await texts(harness) == ["Первый", "Второй", "Третий"]
    await harness.take(deletion(harness, push_event_id="d"))
    await harness.take(harness.item("Третий", change="restored", push_event_id="e"))
    await harness.take(deletion(harness, push_event_id="d"))
    assert (await harness.row())["deleted_at"] is None
    await harness.take(
        harness.item("Первый", push_event_id="a"), harness.item("Новое", external_id="-101_8", push_event_id="f")
    )
    assert (await harness.row("-101_8"))["text"] == "Новое"


async def test_event_twice_in_one_batch_is_processed_once(harness: IngestHarness) -> None:
    first, second = (harness.item(text, change="edited", push_event_id=text) for text in ("Второй", "Третий"))
    taken = await harness.take(harness.item("Первый", push_event_id="a"), first, second, first)
    assert taken.edited == 2
    assert (await harness.row())["text"] == "Третий"


async def test_same_event_id_of_other_page_is_another_event(
    harness: IngestHarness, database: TestDatabase
) -> None:
    organisation = await insert_organisation(database, name="Больница")
    page_id = await insert_page(database, organisation, external_id="102")
    other = PageRef(id=page_id, organisation_id=organisation, network="vk", external_id="102", go_live_at=MOMENT)
    await harness.take(harness.item(push_event_id="a"))
    await harness.take(harness.item(external_id="-102_7", thread_key="vk:-102_3", push_event_id="a"), page=other)
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM messages") == 2


async def test_rolled_back_event_is_not_recorded_as_processed(harness: IngestHarness) -> None:
    with pytest.raises(ZeroDivisionError):
        async with harness.ingest.service.database.write() as session:
            await ingest_batch(
                session, IntakeBatch(page=harness.page, source="test", items=[harness.item(push_event_id="a")])
            )
            raise ZeroDivisionError
    assert (await harness.take(harness.item(push_event_id="a"))).new == 1


async def test_old_event_ids_and_pending_deletions_are_purged(harness: IngestHarness) -> None:
    await harness.take(harness.item(push_event_id="old"), deletion(harness, external_id="-101_8"))
    await harness.raw_connection.execute(
        "UPDATE processed_push_events SET created_at = created_at - interval '4 days'"
    )
    await harness.raw_connection.execute(
        "UPDATE pending_deletions SET created_at = created_at - interval '31 days'"
    )
    await harness.take(
        harness.item(external_id="-101_9", push_event_id="young"), deletion(harness, external_id="-101_10")
    )
    await purge_tables(harness.ingest.service.database, retention.rules(RetentionSettings()))
    assert await harness.raw_connection.fetchval("SELECT array_agg(event_id) FROM processed_push_events") == [
        "young"
    ]
    assert await harness.raw_connection.fetchval("SELECT array_agg(external_id) FROM pending_deletions") == [
        "-101_10"
    ]


@pytest.mark.parametrize(("deleter", "by"), [("5001", "author"), ("42", "community"), (None, "unknown")])
async def test_deletion_before_message_is_applied_on_arrival(
    harness: IngestHarness, deleter: str | None, by: str
) -> None:
    taken = await harness.take(deletion(harness, deleter))
    assert (taken.new, taken.deleted) == (0, 0)
    assert await harness.events() == []
    taken = await harness.take(harness.item("Неудобный вопрос"))
    assert (taken.new, taken.deleted) == (1, 1)
    row = await harness.row()
    assert (row["text"], row["deleted_by"]) == ("Неудобный вопрос", by)
    assert row["deleted_at"] <= row["received_at"]
    assert await harness.events() == ["message.received", "message.deleted"]
    assert (await harness.emitted_events("message.deleted"))[0]["deleted_by"] == by
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM pending_deletions") == 0
    await harness.take(harness.item("Неудобный вопрос", change="observed"))
    assert len(await harness.events()) == 2


async def test_deleter_is_kept_if_later_item_has_none(harness: IngestHarness) -> None:
    await harness.take(deletion(harness))
    await harness.take(deletion(harness, "42"))
    await harness.take(deletion(harness))
    await harness.take(harness.item())
    assert (await harness.row())["deleted_by"] == "community"


async def test_restoration_removes_pending_deletion(harness: IngestHarness) -> None:
    await harness.take(deletion(harness))
    await harness.take(harness.item(None, change="restored", author=None))
    await harness.take(harness.item())
    assert (await harness.row())["deleted_at"] is None
    await harness.take(deletion(harness, external_id="-101_8"))
    await harness.take(harness.item(external_id="-101_8", change="restored"))
    assert (await harness.row("-101_8"))["deleted_at"] is None
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM pending_deletions") == 0


async def test_message_stored_concurrently_with_its_deletion_is_deleted(harness: IngestHarness) -> None:
    for number in range(20):
        name = f"-101_{number}"
        await asyncio.gather(
            harness.take(harness.item(external_id=name)), harness.take(deletion(harness, external_id=name))
        )
        assert (await harness.row(name))["deleted_at"] is not None


async def test_message_found_by_later_poll_is_restored(harness: IngestHarness) -> None:
    await harness.take(harness.item())
    await harness.take(deletion(harness))
    now = datetime.now(UTC)
    await harness.take(harness.item(change="observed"), observed_at=now + timedelta(minutes=1))
    assert (await harness.row())["deleted_at"] is not None
    await harness.take(harness.item(change="observed"), observed_at=now + timedelta(minutes=11))
    assert (await harness.row())["deleted_at"] is None
    assert (await harness.events())[-1] == "message.restored"


async def test_edit_before_announcement_keeps_both_texts(harness: IngestHarness) -> None:
    await harness.take(harness.item("Второй", change="edited"))
    assert await texts(harness) == ["Второй"]
    await harness.take(harness.item("Первый"), harness.item("Первый"))
    assert await texts(harness) == ["Первый", "Второй"]
    await harness.take(harness.item("Третий", change="edited"))
    await harness.take(harness.item("Первый"))
    assert await texts(harness) == ["Первый", "Второй", "Третий"]
    assert await harness.events() == ["message.received", "message.edited"]


@pytest.mark.parametrize("time", ["update_time", "edited"])
async def test_overtaken_edit_does_not_replace_later_text(harness: IngestHarness, time: str) -> None:
    def edit(number: int) -> IncomingItem:
        return harness.item(f"Текст {number}", change="edited", raw={time: 1_700_000_000 + number})

    await harness.take(harness.item("Текст 0"))
    await harness.take(edit(2))
    await harness.take(edit(1))
    await harness.take(edit(1))
    assert await texts(harness) == ["Текст 0", "Текст 1", "Текст 2"]
    await harness.take(edit(3))
    assert (await texts(harness))[-1] == "Текст 3"


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_any_order_of_changes_ends_in_same_state(harness: IngestHarness, order: tuple[int, ...]) -> None:
    items = [harness.item("Первый"), harness.item("Второй", change="edited"), deletion(harness, "42")]
    for number in order:
        await harness.take(items[number])
    row = await harness.row()
    assert (row["deleted_by"], await texts(harness)) == ("community", ["Первый", "Второй"])


async def test_message_with_only_attachments_is_stored(harness: IngestHarness) -> None:
    await harness.take(harness.item("", attachments=[{"type": "photo", "photo": {"id": 1}}]))
    shown = await harness.get_json((await harness.row())["id"])
    assert (shown["text"], shown["attachments"]) == ("", [{"type": "photo", "photo": {"id": 1}}])


async def test_batches_of_many_pages_are_stored_together(harness: IngestHarness, database: TestDatabase) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)
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
        return harness.item(
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
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM messages") == 16
    assert (
        await harness.raw_connection.fetchval("SELECT count(*) FROM sources WHERE last_message_at IS NOT NULL")
        == 3
    )
    assert [one.new for one in await feed.store_many(arrivals)] == [0] * 18
    assert await feed.store_many([]) == []


async def test_invalid_item_of_one_page_does_not_block_others(
    harness: IngestHarness, database: TestDatabase
) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)
    bad = harness.item(external_id="-101_9", thread_key="vk:\x00", push_event_id="bad")
    beside = harness.item(external_id="-101_10", push_event_id="beside")
    good = harness.item(push_event_id="good")
    stored = await feed.store_many(
        [(harness.page, "callback", ParsedBatch([bad, beside])), (harness.page, "callback", ParsedBatch([good]))]
    )
    assert [one.new for one in stored] == [1, 1]
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM messages") == 2
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM quarantine") == 1


async def test_concurrent_deliveries_do_not_deadlock(harness: IngestHarness) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)

    def load(seed: int) -> list[tuple[PageRef, str, ParsedBatch]]:
        numbers = [(seed * 7 + n * 11) % 40 for n in range(40)]
        return [
            (
                harness.page,
                "callback",
                ParsedBatch(
                    [
                        harness.item(f"Текст {n}", external_id=f"-101_{n}", author=Author(native_id=str(n % 5))),
                        deletion(harness, external_id=f"-101_{n}_gone"),
                    ]
                ),
            )
            for n in numbers
        ]

    await asyncio.gather(*(feed.store_many(load(seed)) for seed in range(6)))
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM messages") == 40


async def test_deadlocked_transaction_is_retried(harness: IngestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    async def deadlocked(session: WriteSession, batches: Sequence[IntakeBatch]) -> list[BatchResult]:
        nonlocal tries
        tries += 1
        taken = await ingest_batches(session, batches)
        if tries < 3:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return taken

    monkeypatch.setattr("services.ingest.intake.store.ingest_batches", deadlocked)
    stored = await DatabaseIntakeStore(harness.ingest.service.database).store(
        harness.page, "poll", ParsedBatch([harness.item()])
    )
    assert (stored.new, tries) == (1, 3)
    assert await harness.events() == ["message.received"]


async def test_undeleted_ids_are_filtered_by_kind_thread_and_time(harness: IngestHarness) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)
    later = MOMENT + timedelta(days=1)
    items = [
        harness.item(),
        harness.item(external_id="-101_8", thread_key="vk:-101_4"),
        harness.item(external_id="-101_9", written_at=later),
        harness.item(external_id="-101_10"),
        deletion(harness, external_id="-101_10"),
        harness.item(external_id="-101_3", kind="wall_post"),
    ]
    stored = await feed.store(harness.page, "wall_poll", ParsedBatch(items))
    assert (stored.new, stored.deleted) == (5, 1)
    assert set(await feed.undeleted_ids(harness.page, "comment")) == {"-101_7", "-101_8", "-101_9"}
    assert set(await feed.undeleted_ids(harness.page, "comment", thread_key="vk:-101_3")) == {"-101_7", "-101_9"}
    assert await feed.undeleted_ids(harness.page, "comment", since=later) == {"-101_9": later}


async def test_history_allowed_to_open_appeals_is_emitted_again(harness: IngestHarness) -> None:
    before = datetime(2026, 2, 1, tzinfo=UTC)
    community = harness.item("Мы", external_id="-101_8", written_at=before, from_community=True)
    gone = harness.item("Удалён", external_id="-101_9", written_at=before)
    await harness.take(harness.item(written_at=before), community, gone)
    await harness.take(deletion(harness, external_id="-101_9"))
    feed = DatabaseIntakeStore(harness.ingest.service.database)
    fresh = harness.item("Ещё один", external_id="-101_10", written_at=before)
    found = ParsedBatch([harness.item(written_at=before, change="observed"), community, gone, fresh])
    for _ in range(2):
        await feed.store(harness.page, "backfill", found, open_appeals=True)
    marks = {
        row["external_id"]: row["history"] for row in await harness.raw_connection.fetch("SELECT * FROM messages")
    }
    assert marks == {"-101_7": False, "-101_8": True, "-101_9": True, "-101_10": False}
    events = await harness.emitted_events("message.received")
    assert [one["history"] for one in events] == [True, True, True, False, False]
    assert (await harness.take(harness.item(external_id="-101_11", written_at=before))).new == 1
    assert (await harness.row("-101_11"))["history"] is True
