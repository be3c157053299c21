"""Collection does not restore erased messages, and stores messages written after the erasure."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import IncomingItem, ParsedBatch, ThreadState, UnparsedPayload
from services.ingest.pseudonymisation.author_keys import author_key
from tests.conftest import TestDatabase
from tests.integration.ingest.erasure_harness import (
    CITIZEN,
    CONVERSATION,
    NATIVE_ID,
    WORDS,
    ErasureHarness,
    OtherServices,
    insert_publication,
    write_everything,
)
from tests.integration.ingest.ingest_harness import MOMENT, build_harness


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ErasureHarness]:
    async with build_harness(database, keys_dir) as ingest:
        yield ErasureHarness(ingest, OtherServices(database), author_key("vk", NATIVE_ID))


@pytest.mark.parametrize("change", ["new", "observed", "edited", "restored"])
async def test_collection_does_not_restore_erased_text(harness: ErasureHarness, change: str) -> None:
    await write_everything(harness)
    await harness.erase()
    before = await harness.ingest.raw_connection.fetch("SELECT id, external_id, version FROM messages ORDER BY id")
    result = await harness.ingest.take(
        harness.comment(change=change),
        harness.direct_message(change=change),
        harness.direct_message("Ответ: хливкие шорьки", 2, author=None, from_community=True, change=change),
        harness.ingest.item(
            "[id1500177734|Мурзилка], варкалось!",
            change=change,
            external_id="-101_8",
            author=None,
            from_community=True,
        ),
        open_appeals=True,
    )
    assert (result.new, result.edited) == (0, 0)
    after = await harness.ingest.raw_connection.fetch("SELECT id, external_id, version FROM messages ORDER BY id")
    assert after == before
    assert await harness.found() == []


async def test_late_message_from_before_the_erasure_is_stored_without_text(harness: ErasureHarness) -> None:
    await write_everything(harness)
    await harness.erase()
    for _ in range(2):
        await harness.ingest.take(
            harness.comment(external_id="-101_20", change="observed"),
            harness.direct_message(number=3, change="observed"),
        )
    assert await harness.found() == []
    late = await harness.ingest.row("-101_20")
    assert (late["text"], late["history"]) == ("", True)
    assert late["author_key"] == (await harness.ingest.row())["author_key"]
    assert (
        await harness.ingest.raw_connection.fetchval(
            "SELECT count(*) FROM messages WHERE kind = 'message' AND erased_at IS NOT NULL"
        )
        == 3
    )


async def test_deletion_by_the_erased_author_marks_the_erased_message_deleted(harness: ErasureHarness) -> None:
    await write_everything(harness)
    await harness.erase()
    later = MOMENT + timedelta(days=3650)
    result = await harness.ingest.take(
        harness.comment(None, change="deleted", deleted_by=CITIZEN, author=None, written_at=later),
        harness.direct_message(None, change="deleted", deleted_by=CITIZEN, author=None, written_at=later),
    )
    assert result.deleted == 2
    assert await harness.found() == []


async def test_message_written_after_the_erasure_is_collected(harness: ErasureHarness) -> None:
    await write_everything(harness)
    first = await harness.erase()
    later = MOMENT + timedelta(days=3650)
    await harness.ingest.take(
        harness.comment("Новое", external_id="-101_30", written_at=later),
        harness.direct_message("Новое", 4, written_at=later),
    )
    row = await harness.ingest.row("-101_30")
    assert (row["text"], row["author_key"], row["erased_at"]) == ("Новое", harness.key, None)
    assert (await harness.ingest.row(f"{CONVERSATION}_4"))["text"] == "Новое"
    second = await harness.erase()
    assert second["id"] != first["id"]
    assert second["author_digest"] == first["author_digest"]
    assert (await harness.ingest.row("-101_30"))["text"] == ""
    assert await harness.found() == []


async def test_unparsed_payload_of_an_erased_person_is_not_quarantined_again(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    await harness.erase()
    payloads = [{"from_id": int(NATIVE_ID), "text": WORDS}, {"from_id": 5, "text": "Чужие слова"}]
    parsed = ParsedBatch(unparsed=[UnparsedPayload("no date", raw) for raw in payloads])
    await DatabaseIntakeStore(harness.ingest.ingest.service.database).store(harness.ingest.page, "wall", parsed)
    assert await harness.found() == []
    rows = await harness.ingest.raw_connection.fetch("SELECT raw FROM quarantine")
    assert sorted("Чужие" in str(json.loads(row["raw"])) for row in rows) == [False, True]


async def test_collection_does_not_restore_erased_messages_of_ok(harness: ErasureHarness) -> None:
    page, chat, discussion = replace(harness.ingest.page, network="ok"), "chat:C1500177734", "GROUP_TOPIC:1"

    def written(change: str) -> list[IncomingItem]:
        return [
            harness.comment(
                change=change,
                external_id=f"{discussion}/5",
                thread_key=f"ok:{discussion}",
                url="https://ok.ru/topic/1",
            ),
            harness.direct_message(
                change=change,
                external_id=f"{chat}/mid:1",
                thread_key=f"ok:{chat}",
                url="https://ok.ru/group/101/messages",
            ),
        ]

    await harness.ingest.take(*written("new"), page=page)
    harness.key = author_key("ok", NATIVE_ID)
    assert (await harness.erase())["counts"]["ingest"]["messages"] == 2
    result = await harness.ingest.take(*written("observed"), *written("edited"), page=page)
    assert (result.new, result.edited) == (0, 0)
    assert await harness.found() == []


async def test_messages_read_again_before_the_erasure_job_are_not_duplicated(harness: ErasureHarness) -> None:
    await write_everything(harness)
    erasure_id = (await harness.request()).json()["id"]
    result = await harness.ingest.take(
        harness.direct_message(change="observed"),
        harness.direct_message("Ответ: хливкие шорьки", 2, author=None, from_community=True, change="observed"),
        harness.direct_message(None, change="deleted", author=None, deleted_by=CITIZEN),
    )
    assert (result.new, result.deleted) == (0, 1)
    await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["status"] == "done"
    assert await harness.found() == []
    assert (
        await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM messages WHERE kind = 'message'") == 2
    )


async def test_uncertain_reply_is_matched_while_its_conversation_is_being_erased(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    publication_id = await insert_publication(harness, "uncertain")
    erasure_id = (await harness.request()).json()["id"]
    await harness.ingest.take(
        harness.direct_message("Шорьки uncertain", 9, author=None, from_community=True, change="observed")
    )
    row = await harness.ingest.raw_connection.fetchrow("SELECT * FROM publications WHERE id = $1", publication_id)
    assert (row["status"], row["external_id"]) == ("published", f"{CONVERSATION}_9")
    await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["status"] == "done"
    assert await harness.found() == []


async def test_conversation_collected_after_the_erasure_is_stored_without_text(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    await harness.erase()
    for _ in range(2):
        await harness.ingest.take(
            harness.direct_message("Бармаглот", 2, author=None, from_community=True, change="observed"),
            harness.direct_message(change="observed"),
        )
    await harness.ingest.take(
        harness.direct_message("Бармаглот", 3, author=None, from_community=True, change="observed")
    )
    assert await harness.found() == []
    assert (
        await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM messages WHERE kind = 'message'") == 3
    )


@pytest.mark.parametrize("is_stored", [True, False])
async def test_group_chat_of_an_erased_person_keeps_messages_of_other_people(
    harness: ErasureHarness, is_stored: bool
) -> None:
    chat = "101_2000000007"
    values: dict[str, Any] = {"thread_key": f"vk:{chat}", "url": ""}
    own = harness.direct_message(external_id=f"{chat}_1", **values)
    await harness.ingest.take(own if is_stored else harness.comment())
    await harness.erase()
    await harness.ingest.take(
        own,
        harness.ingest.item("Чужие слова", kind="message", external_id=f"{chat}_2", **values),
        harness.direct_message("Ответ", author=None, from_community=True, external_id=f"{chat}_3", **values),
    )
    rows = [await harness.ingest.row(f"{chat}_{number}") for number in (1, 2, 3)]
    assert [row["text"] for row in rows] == ["", "Чужие слова", "Ответ"]
    assert not [word for word in WORDS.split() if word in await harness.dump()]


async def test_states_of_erased_conversations_do_not_contain_the_persons_id(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    await harness.erase()
    store = DatabaseIntakeStore(harness.ingest.ingest.service.database)
    keys = [f"vk:{CONVERSATION}", "vk:-101_7"]
    await store.store(
        harness.ingest.page, "dialogs", ParsedBatch(), thread_states=[ThreadState(key, "5") for key in keys]
    )
    assert {key: state.marker for key, state in (await store.thread_states(keys)).items()} == dict.fromkeys(
        keys, "5"
    )
    assert await harness.found() == []


async def test_closed_chat_of_an_erased_conversation_is_removed_from_the_cursor(harness: ErasureHarness) -> None:
    page, chat = replace(harness.ingest.page, network="ok"), "chat:C1500177734"
    harness.key = author_key("ok", NATIVE_ID)
    await harness.ingest.take(
        harness.direct_message(external_id=f"{chat}/mid:1", thread_key=f"ok:{chat}", url=""), page=page
    )
    store = DatabaseIntakeStore(harness.ingest.ingest.service.database)
    cursor = {"since": 1, "closed": {chat: 1, "chat:C2": 1}}
    await store.store(page, "chats_poll", ParsedBatch(), cursor=cursor)
    await harness.erase()
    assert await harness.found() == []
    await store.store(page, "chats_poll", ParsedBatch(), cursor=cursor)
    assert await store.cursor(page, "chats_poll") == {"since": 1, "closed": {"chat:C2": 1}}
