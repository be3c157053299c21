"""Payloads of other people's messages keep no id and no words of an erased person."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.port import IncomingItem
from services.ingest.networks.vk import vk_payloads
from services.ingest.pseudonymisation.author_keys import author_key
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.erasure_harness import CITIZEN, NATIVE_ID, WORDS, ErasureHarness, OtherServices
from tests.integration.ingest.ingest_harness import MOMENT, build_harness

CHAT = "101_2000000007"
SECONDS = int(MOMENT.timestamp())


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ErasureHarness]:
    async with build_harness(database, keys_dir) as ingest:
        yield ErasureHarness(ingest, OtherServices(database), author_key("vk", NATIVE_ID))


def _reply(harness: ErasureHarness, text: str = "Чужие слова", **changes: Any) -> IncomingItem:
    """Return another person's comment that replies to the person, whose id VK adds to it."""
    values: dict[str, Any] = {
        "external_id": "-101_9",
        "reply_to": "-101_7",
        "raw": {"from_id": 5001, "reply_to_user": int(NATIVE_ID), "text": text},
    }
    return harness.ingest.item(text, **(values | changes))


def _quote_in_chat(harness: ErasureHarness, **changes: Any) -> IncomingItem:
    """Return a message of a group chat in which another member replies to the person."""
    raw = {
        "from_id": 5001,
        "peer_id": 2_000_000_007,
        "conversation_message_id": 2,
        "date": SECONDS,
        "text": "Чужие слова",
        "reply_message": {"from_id": int(NATIVE_ID), "conversation_message_id": 1, "text": WORDS},
    }
    parsed = vk_payloads.parse_message(raw, harness.ingest.page)
    assert parsed is not None
    return replace(parsed, **changes)


async def _payload(harness: ErasureHarness, external_id: str = "-101_9") -> Any:
    return json.loads((await harness.ingest.row(external_id))["raw"])


async def test_reply_in_ok_loses_the_id_and_the_name_of_the_erased_person(harness: ErasureHarness) -> None:
    page = replace(harness.ingest.page, network="ok", external_id="570")
    named = {"reply_to_comment_id": "a", "reply_to_id": NATIVE_ID, "reply_to_name": CITIZEN.name}

    def comment(number: str, writer: str, text: str, **more: Any) -> IncomingItem:
        raw = {"id": number, "author_id": writer, "author_ref": f"user:{writer}", "date_ms": SECONDS * 1000}
        return ok_payloads.parse_comment(raw | {"text": text} | more, page, "7")

    harness.key = author_key("ok", f"user:{NATIVE_ID}")
    own = comment("a", NATIVE_ID, WORDS, author_name=CITIZEN.name)
    await harness.ingest.take(own, comment("b", "5001", "Чужие слова", **named), page=page)
    assert (await harness.erase())["counts"]["ingest"]["payloads_of_others"] == 1
    await harness.ingest.take(comment("c", "5002", "Ещё слова", **named), page=page)
    assert await harness.found() == []
    assert (await harness.ingest.row("7/b"))["text"] == "Чужие слова"
    assert (await harness.ingest.row("7/c"))["text"] == "Ещё слова"


async def test_former_versions_of_other_peoples_comments_lose_the_id(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment(), _reply(harness))
    edited = {"from_id": 5001, "edited": SECONDS + 60}
    await harness.ingest.take(_reply(harness, "Исправлено", change="edited", raw=edited))
    assert (await harness.erase())["counts"]["ingest"]["payloads_of_others"] == 1
    assert await harness.found() == []
    row = await harness.ingest.raw_connection.fetchrow("SELECT text, raw FROM message_versions")
    assert row is not None
    assert (row["text"], json.loads(row["raw"])) == ("Чужие слова", {})
    assert await _payload(harness) == edited


@pytest.mark.parametrize("is_known", [True, False])
async def test_comment_edited_or_collected_after_the_erasure_is_stored_without_the_id(
    harness: ErasureHarness, is_known: bool
) -> None:
    await harness.ingest.take(harness.comment(), *([_reply(harness)] if is_known else []))
    await harness.erase()
    now = clock.now() + timedelta(minutes=1)
    raw = {"from_id": 5001, "reply_to_user": int(NATIVE_ID), "edited": SECONDS + 60}
    await harness.ingest.take(_reply(harness, "Исправлено", change="edited", raw=raw, written_at=now))
    assert await harness.found() == []
    row = await harness.ingest.row("-101_9")
    assert (row["text"], json.loads(row["raw"])) == ("Исправлено", {"edited": SECONDS + 60})
    assert (row["erased_at"], row["author_key"]) == (None, author_key("vk", "5001"))


async def test_payload_that_names_no_erased_person_is_stored_unchanged(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    await harness.erase()
    raw = {"from_id": 5001, "post_id": int(NATIVE_ID), "reply_to_user": 5002, "text": "Чужие слова"}
    await harness.ingest.take(_reply(harness, raw=raw))
    assert await _payload(harness) == raw


async def test_person_who_writes_again_keeps_own_payloads(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    await harness.erase()
    later = clock.now() + timedelta(minutes=1)
    raw = {"from_id": int(NATIVE_ID), "peer_id": int(NATIVE_ID), "text": "Новое"}
    await harness.ingest.take(
        harness.comment("Новое", external_id="-101_9", raw=raw, written_at=later),
        harness.direct_message("Новое", 3, raw=raw, written_at=later),
        harness.direct_message("Ответ", 4, author=None, from_community=True, raw=raw, written_at=later),
    )
    for external_id in ("-101_9", f"101_{NATIVE_ID}_3", f"101_{NATIVE_ID}_4"):
        assert await _payload(harness, external_id) == raw


@pytest.mark.parametrize("is_collected_before", [True, False])
async def test_quotation_of_the_person_in_a_group_chat_is_erased(
    harness: ErasureHarness, is_collected_before: bool
) -> None:
    own = harness.direct_message(external_id=f"{CHAT}_1", thread_key=f"vk:{CHAT}", url="")
    quote = _quote_in_chat(harness)
    await harness.ingest.take(own, *([quote] if is_collected_before else []))
    await harness.erase()
    await harness.ingest.take(own, quote)
    assert await harness.found() == []
    row = await harness.ingest.row(f"{CHAT}_2")
    assert (row["text"], json.loads(row["raw"])) == ("Чужие слова", {})
