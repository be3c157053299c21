"""Intake: one row per message in any order of items, with exact texts."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import Author, PageRef, ParsedBatch, ThreadState, UnparsedPayload
from services.ingest.tokens.crypto import decrypt
from tests.conftest import TestDatabase
from tests.integration.ingest.ingest_harness import MOMENT, IngestHarness, build_harness
from tests.support.service_under_test import insert_organisation, insert_page

HOSTILE = [
    "одна\nдве\r\nтри\rчетыре",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0001f1f7\U0001f1fa",
    "<br>&#128516;&lt;b&gt; <script>",
    "й и\u0306 e\u0301\u0302\u0303",
    "до\x00после\x00",
    "\ue000 частное \ue0000 место",
    "[id1|Имя], [club2|Группа], {group:3}Имя{group}",
    "' \" \\ ; -- /* %s $1 {} \\u0000",
    "\u202eсправа\u202c\u200b\ufeff\u2028\u2029",
    " пробелы по краям \t ",
    "",
]


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[IngestHarness]:
    """Ingest without workers."""
    async with build_harness(database, keys_dir) as made:
        yield made


async def test_repeated_item_changes_nothing(harness: IngestHarness) -> None:
    first = await harness.take(harness.item(), harness.item())
    second = await harness.take(harness.item(), harness.item(change="observed"))
    assert (first.new, second.new, second.edited) == (1, 0, 0)
    assert await harness.events() == ["message.received"]
    row = await harness.row()
    assert (row["version"], row["history"], row["deleted_at"]) == (1, False, None)


async def test_repeated_or_stale_original_text_does_not_undo_an_edit(harness: IngestHarness) -> None:
    await harness.take(harness.item("Первый"))
    await harness.take(harness.item("Второй", change="edited"))
    await harness.take(harness.item("Первый"))
    stale = datetime.now(UTC) - timedelta(minutes=1)
    await harness.take(harness.item("Первый", change="observed"), observed_at=stale)
    row = await harness.row()
    assert (row["text"], row["version"]) == ("Второй", 2)
    shown = await harness.get_json(row["id"])
    assert [one["text"] for one in shown["versions"]] == ["Первый"]
    assert await harness.events() == ["message.received", "message.edited"]


async def test_changed_text_in_poll_is_an_edit(harness: IngestHarness) -> None:
    await harness.take(harness.item("Первый"))
    await harness.take(harness.item("Второй", change="observed"), observed_at=datetime.now(UTC))
    assert (await harness.row())["text"] == "Второй"


@pytest.mark.parametrize("creation_arrived", [True, False])
async def test_former_text_from_a_fast_clock_or_a_cache_does_not_undo_a_pushed_edit(
    harness: IngestHarness, *, creation_arrived: bool
) -> None:
    if creation_arrived:
        await harness.take(harness.item("Первый"))
    await harness.take(harness.item("Второй", change="edited"))
    former = harness.item("Первый", change="observed")
    soon = datetime.now(UTC) + timedelta(minutes=5)
    taken = await harness.take(former, observed_at=soon)
    assert (taken.edited, taken.unsettled_threads) == (0, {former.thread_key})
    assert (await harness.row())["text"] == "Второй"
    # If the former text is still shown later, the author has edited it back.
    taken = await harness.take(former, observed_at=soon + timedelta(minutes=6))
    assert (taken.edited, taken.unsettled_threads) == (1, set())
    assert (await harness.row())["text"] == "Первый"


async def test_edit_back_is_found_at_once_where_only_polls_find_edits(harness: IngestHarness) -> None:
    await harness.take(harness.item("Первый"))
    for text in ("Второй", "Первый"):
        item = harness.item(text, change="observed")
        taken = await harness.take(item, observed_at=datetime.now(UTC), edits_are_announced=False)
        assert (taken.edited, taken.unsettled_threads) == (1, set())
    assert (await harness.row())["text"] == "Первый"


async def test_new_text_found_soon_after_an_edit_is_another_edit(harness: IngestHarness) -> None:
    await harness.take(harness.item("Первый"))
    await harness.take(harness.item("Второй", change="edited"))
    soon = datetime.now(UTC) + timedelta(minutes=5)
    assert (await harness.take(harness.item("Третий", change="observed"), observed_at=soon)).edited == 1
    assert (await harness.row())["text"] == "Третий"


async def test_polled_payload_without_an_edit_time_does_not_replace_an_edit_with_one(
    harness: IngestHarness,
) -> None:
    await harness.take(harness.item("Первый"))
    await harness.take(harness.item("Второй", change="edited", raw={"update_time": 1_770_000_000}))
    late = datetime.now(UTC) + timedelta(hours=1)
    assert (await harness.take(harness.item("Первый", change="observed"), observed_at=late)).edited == 0
    assert (await harness.row())["text"] == "Второй"


async def test_thread_with_a_possibly_outdated_text_is_read_again(harness: IngestHarness) -> None:
    store = DatabaseIntakeStore(harness.ingest.service.database)
    await store.store(harness.page, "wall_poll", ParsedBatch([harness.item("Первый")]))
    await store.store(harness.page, "callback", ParsedBatch([harness.item("Второй", change="edited")]))
    read = ParsedBatch([harness.item("Третий", change="observed")])
    key = read.items[0].thread_key
    # Either the clock of the reading machine is slow, or the read began before the edit; it is unknown which.
    slow = datetime.now(UTC) - timedelta(minutes=5)
    state = ThreadState(key, "1", "the last comment", count=1)
    stored = await store.store(harness.page, "wall_poll", read, observed_at=slow, thread_states=[state])
    assert stored.unsettled_threads == {key}
    assert (await harness.row())["text"] == "Второй"
    # A reader that continued after the last comment would not read the text again.
    assert (await store.thread_states([key]))[key] == ThreadState(key, None)
    await store.store(
        harness.page,
        "wall_poll",
        read,
        observed_at=datetime.now(UTC) + timedelta(seconds=1),
        thread_states=[state],
    )
    assert (await harness.row())["text"] == "Третий"
    assert (await store.thread_states([key]))[key].marker == "1"


@pytest.mark.parametrize("reordered", [False, True])
async def test_edit_and_creation_in_one_batch_store_both_texts(harness: IngestHarness, *, reordered: bool) -> None:
    items = [harness.item("Первый"), harness.item("Второй", change="edited")]
    await harness.take(*(items[::-1] if reordered else items))
    assert (await harness.row())["text"] == "Второй"


@pytest.mark.parametrize(
    ("deleter", "by"), [("5001", "author"), ("-101", "community"), ("42", "community"), (None, "unknown")]
)
async def test_deletion_keeps_text_and_records_deleter(
    harness: IngestHarness, deleter: str | None, by: str
) -> None:
    await harness.take(harness.item("Неудобный вопрос"))
    deletion = harness.item(
        None, change="deleted", author=None, deleted_by=Author(native_id=deleter) if deleter else None
    )
    await harness.take(deletion, deletion)
    row = await harness.row()
    assert (row["text"], row["deleted_by"]) == ("Неудобный вопрос", by)
    assert row["deleted_at"] is not None
    assert await harness.events() == ["message.received", "message.deleted"]
    listed = await harness.ingest.client.get(
        f"/api/v1/messages?deleted_by={by}", headers=harness.ingest.headers("moderator")
    )
    assert [one["text"] for one in listed.json()["items"]] == ["Неудобный вопрос"]
    await harness.take(harness.item("Неудобный вопрос", change="observed"))
    assert (await harness.row())["deleted_at"] is not None
    await harness.take(harness.item("Неудобный вопрос", change="restored"))
    assert (await harness.row())["deleted_at"] is None


async def test_same_native_id_on_two_pages_is_two_messages(harness: IngestHarness, database: TestDatabase) -> None:
    organisation = await insert_organisation(database, name="Больница")
    other_id = await insert_page(database, organisation, external_id="102")
    other = PageRef(id=other_id, organisation_id=organisation, network="vk", external_id="102", go_live_at=MOMENT)
    await harness.take(harness.item())
    await harness.take(harness.item(external_id="-102_7", thread_key="vk:-102_3"), page=other)
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM messages") == 2


async def test_hostile_texts_are_stored_exactly(harness: IngestHarness) -> None:
    media = [[{"type": "doc", "doc": {"title": text, text or "пусто": [text]}}] for text in HOSTILE]
    raws = [{"text": text, "more": [text]} for text in HOSTILE]
    await harness.take(
        *(
            harness.item(text, external_id=f"-101_{n}", attachments=media[n], raw=raws[n])
            for n, text in enumerate(HOSTILE)
        )
    )
    for number, text in enumerate(HOSTILE):
        row = await harness.row(f"-101_{number}")
        shown = await harness.get_json(row["id"])
        assert shown["text"].encode() == text.encode()
        assert shown["attachments"] == media[number]
        assert json.loads(row["raw"]) == raws[number]


async def test_lone_surrogate_is_replaced(harness: IngestHarness) -> None:
    await harness.take(harness.item("до\ud83dпосле"), harness.item("целый", external_id="-101_8"))
    assert (await harness.row())["text"] == "до\ufffdпосле"
    assert (await harness.row("-101_8"))["text"] == "целый"


async def test_any_text_is_stored_exactly(database: TestDatabase, keys_dir: Path) -> None:
    async with build_harness(database, keys_dir) as harness:
        texts: list[str] = []

        @hypothesis_settings(
            max_examples=200, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        @given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
        def collect(text: str) -> None:
            texts.append(text)

        collect()
        items = [harness.item(text, external_id=f"-101_{n}", raw={"n": n}) for n, text in enumerate(texts)]
        taken = await harness.take(*items)
        assert taken.new == len(texts)
        listed = await harness.ingest.client.get(
            "/api/v1/messages?limit=200", headers=harness.ingest.headers("moderator")
        )
        found = {one["external_id"]: one["text"] for one in listed.json()["items"]}
        assert len(found) == min(len(texts), 200)
        assert all(texts[int(name.rpartition("_")[2])] == text for name, text in found.items())


async def test_authors_are_pseudonymous_and_names_encrypted(harness: IngestHarness) -> None:
    # Long enough not to occur in the hexadecimal key by chance.
    native_id = "500100200300"
    author = Author(native_id=native_id, name="Имя Фамилия", url=f"https://vk.com/id{native_id}")
    await harness.take(harness.item(author=author))
    await harness.take(harness.item(external_id="-101_8", author=Author(native_id=native_id)))
    first, second = await harness.row(), await harness.row("-101_8")
    assert first["author_key"] == second["author_key"]
    assert native_id not in first["author_key"]
    (author,) = await harness.raw_connection.fetch("SELECT * FROM authors")
    assert "Имя".encode() not in author["identity"]
    identity = decrypt(author["identity"])
    assert identity == {"id": native_id, "name": "Имя Фамилия", "url": f"https://vk.com/id{native_id}"}


async def test_message_before_go_live_is_history(harness: IngestHarness) -> None:
    await harness.take(harness.item(written_at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC)))
    assert (await harness.row())["history"] is True
    data = json.loads(await harness.raw_connection.fetchval("SELECT data FROM events"))
    assert data["history"] is True


async def test_events_are_emitted_in_order_of_writing(harness: IngestHarness) -> None:
    items = [
        harness.item(external_id=f"-101_{n}", written_at=MOMENT + timedelta(minutes=n)) for n in (3, 1, 2, 9, 4)
    ]
    await harness.take(*items)
    rows = await harness.raw_connection.fetch("SELECT data FROM events ORDER BY created_at, id")
    moments = [json.loads(row["data"])["written_at"] for row in rows]
    assert moments == sorted(moments)


async def test_unparsed_payload_is_quarantined_with_reason(harness: IngestHarness) -> None:
    await harness.take(harness.item(), unreadable=[UnparsedPayload("the field 'id' is missing", {"text": "\x00"})])
    row = await harness.raw_connection.fetchrow("SELECT * FROM quarantine")
    assert row is not None
    assert (row["reason"], json.loads(row["raw"])) == ("the field 'id' is missing", {"text": "\x00"})


async def test_cursor_is_stored_only_together_with_its_batch(harness: IngestHarness) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)
    mark = ThreadState("vk:-101_3", "1", "a")
    await feed.store(
        harness.page, "long_poll", ParsedBatch([harness.item()]), cursor={"ts": "5"}, thread_states=[mark]
    )
    assert await feed.cursor(harness.page, "long_poll") == {"ts": "5"}
    assert await feed.thread_states(["vk:-101_3", "vk:-101_4"]) == {"vk:-101_3": mark}
    foreign = PageRef(id=uuid4(), organisation_id=uuid4(), network="vk", external_id="9", go_live_at=MOMENT)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await feed.store(foreign, "long_poll", ParsedBatch([harness.item(external_id="-9_1")]), cursor={"ts": "6"})
    assert await feed.cursor(foreign, "long_poll") == {}
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM messages") == 1


async def test_item_rejected_by_the_database_does_not_block_other_items(harness: IngestHarness) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)
    impossible = harness.item(external_id="-101_9", thread_key="vk:\x00")
    await feed.store(harness.page, "long_poll", ParsedBatch([impossible, harness.item()]), cursor={"ts": "7"})
    assert (await harness.row())["text"] == "Текст"
    assert await harness.raw_connection.fetchval("SELECT count(*) FROM quarantine") == 1
    assert await feed.cursor(harness.page, "long_poll") == {"ts": "7"}


async def test_repeated_success_is_stored_late_but_the_first_after_a_failure_at_once(
    harness: IngestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)

    async def stored(error: str | None = None) -> tuple[datetime | None, int]:
        if error is None:
            feed.report_success(harness.page, "wall_poll")
        else:
            feed.report_failure(harness.page, "wall_poll", error)
        await feed.flush()
        row = await harness.raw_connection.fetchrow("SELECT last_success_at, consecutive_failures FROM sources")
        return row["last_success_at"], row["consecutive_failures"]

    first = await stored()
    assert await stored() == first
    monkeypatch.setattr("services.ingest.intake.source_statuses.SUCCESS_SECONDS", 0.0)
    later, _ = await stored()
    assert later is not None
    assert first[0] is not None
    assert later > first[0]
    monkeypatch.setattr("services.ingest.intake.source_statuses.SUCCESS_SECONDS", 1_000.0)
    assert await stored("no answer in time") == (later, 1)
    after, failures = await stored()
    assert after is not None
    assert after > later
    assert failures == 0


async def test_check_results_are_shown_in_sources(harness: IngestHarness) -> None:
    feed = DatabaseIntakeStore(harness.ingest.service.database)
    feed.report_success(harness.page, "wall_poll")
    feed.report_failure(harness.page, "long_poll", "no answer in time")
    await feed.flush()
    feed.report_failure(harness.page, "long_poll", "no answer in time")
    await feed.flush()
    answer = await harness.ingest.client.get("/api/v1/sources", headers=harness.ingest.headers("operations"))
    (page,) = answer.json()["items"]
    assert page["state"] == "no_token"
    sources = {one["kind"]: one for one in page["sources"]}
    assert sources["wall_poll"]["last_success_at"] is not None
    assert (sources["long_poll"]["consecutive_failures"], sources["long_poll"]["last_error"]) == (
        2,
        "no answer in time",
    )
    await feed.store(harness.page, "long_poll", ParsedBatch())
    answer = await harness.ingest.client.get("/api/v1/sources", headers=harness.ingest.headers("operations"))
    sources = {one["kind"]: one for one in answer.json()["items"][0]["sources"]}
    assert sources["long_poll"]["consecutive_failures"] == 0
