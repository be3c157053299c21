"""Official pages are not authors: neither the end of the retention period nor a request erases what they wrote."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.ingest.erasure.expired_authors import erase_expired_authors
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.port import Author, IncomingItem, PageRef
from services.ingest.networks.vk import vk_payloads
from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.erased_digests import author_digest
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.erasure_harness import BODY, CITIZEN, NATIVE_ID, ErasureHarness, OtherServices
from tests.integration.ingest.ingest_harness import MOMENT, build_harness
from tests.support.service_under_test import insert_page

OTHER_PAGE = Author(native_id="-202", name="Школа № 2", url="https://vk.com/club202")


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ErasureHarness]:
    async with build_harness(database, keys_dir) as ingest:
        yield ErasureHarness(ingest, OtherServices(database), author_key("vk", NATIVE_ID))


def _own_items(page: PageRef) -> list[IncomingItem]:
    """Return the page's own post, comments and direct message in VK, as VK sends them."""
    sent = {"from_id": -101, "date": int(MOMENT.timestamp()), "text": "Слова страницы"}
    topic = {"id": 3, "topic_id": 4}
    direct = vk_payloads.parse_message({"peer_id": 5001, "out": 1, "conversation_message_id": 1, **sent}, page)
    assert direct is not None
    return [
        vk_payloads.parse_post({"id": 1, "owner_id": -101, **sent}, page),
        vk_payloads.parse_comment({"id": 2, "post_id": 1, "owner_id": -101, **sent}, page),
        vk_payloads.parse_thread_comment({**topic, **sent}, page, thread_type=vk_payloads.BOARD_THREAD),
        direct,
    ]


def _own_items_of_ok(page: PageRef) -> list[IncomingItem]:
    """Return the page's own topic, comment and direct message in OK, as OK sends them."""
    moment = int(MOMENT.timestamp() * 1000)
    topic = {"id": "7", "author_ref": "group:570", "created_ms": moment}
    comment = {"id": "8", "author_id": "570", "author_type": "GROUP", "date_ms": moment, "text": "Слова страницы"}
    message = {
        "sender": {"user_id": "group:570"},
        "recipient": {"chat_id": "chat:C1"},
        "message": {"mid": "mid:1", "text": "Слова страницы"},
        "timestamp": moment,
    }
    return [
        ok_payloads.parse_topic(topic, page),
        ok_payloads.parse_comment(comment, page, "7"),
        ok_payloads.parse_message(message, page),
    ]


async def _store_own_items(harness: ErasureHarness) -> None:
    page = harness.ingest.page
    await harness.ingest.take(*_own_items(page))
    page = replace(page, network="ok", external_id="570")
    await harness.ingest.take(*_own_items_of_ok(page), page=page)


async def _expire(harness: ErasureHarness) -> int:
    """Queue the erasure of all authors without an open appeal; return how many."""
    service = harness.ingest.ingest.service
    assert service.jobs is not None
    return await erase_expired_authors(service.database, service.jobs, timedelta(0))


async def _page_on_another_wall(harness: ErasureHarness) -> str:
    """Store a comment that another registered page wrote on this page; return that page's author key."""
    organisation = harness.ingest.page.organisation_id
    await insert_page(harness.others.database, organisation, external_id="202")
    await harness.ingest.take(harness.comment("Слова школы", author=OTHER_PAGE, raw={"from_id": -202}))
    return author_key("vk", "-202")


async def test_messages_of_the_page_are_stored_without_an_author(harness: ErasureHarness) -> None:
    await _store_own_items(harness)
    rows = await harness.ingest.raw_connection.fetch("SELECT from_community, author_key FROM messages")
    assert [tuple(row) for row in rows] == [(True, None)] * 7
    assert await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM authors") == 0
    assert {event["author_key"] for event in await harness.ingest.emitted_events("message.received")} == {None}


async def test_page_that_deletes_its_own_comment_is_recorded_as_the_community(harness: ErasureHarness) -> None:
    await _store_own_items(harness)
    deletion = replace(_own_items(harness.ingest.page)[1], change="deleted", text=None, deleted_by=OTHER_PAGE)
    await harness.ingest.take(replace(deletion, deleted_by=Author(native_id="-101")))
    assert (await harness.ingest.row("-101_2"))["deleted_by"] == "community"


async def test_page_is_not_erased_after_the_retention_period(harness: ErasureHarness) -> None:
    await _store_own_items(harness)
    await _page_on_another_wall(harness)
    assert await _expire(harness) == 0
    await harness.ingest.take(harness.comment(external_id="-101_9"))
    assert await _expire(harness) == 1


@pytest.mark.parametrize("is_kept_author", [True, False])
async def test_key_that_an_earlier_version_gave_the_page_is_not_erased(
    harness: ErasureHarness, is_kept_author: bool
) -> None:
    key = author_key("vk", "-101")
    if is_kept_author:
        await harness.ingest.take(harness.comment(author=Author(native_id="-101"), external_id="-101_9"))
    await _store_own_items(harness)
    await harness.ingest.raw_connection.execute(
        "UPDATE messages SET author_key = $1 WHERE from_community AND network = 'vk'", key
    )
    assert await _expire(harness) == 0
    answer = await harness.request(key=key)
    assert (answer.status_code, "official page" in answer.json()["detail"]) == (409, True)
    assert await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM erasures") == 0


async def test_request_with_the_key_of_a_page_that_writes_elsewhere_is_refused(harness: ErasureHarness) -> None:
    key = await _page_on_another_wall(harness)
    assert (await harness.request(key=key)).status_code == 409
    await harness.ingest.take(
        harness.comment(author=Author(native_id="-303", name="Соседи", url=""), external_id="-101_9")
    )
    assert (await harness.request(key=author_key("vk", "-303"))).status_code == 202


async def test_erasure_repeated_from_a_record_of_a_page_erases_nothing(harness: ErasureHarness) -> None:
    key = await _page_on_another_wall(harness)
    record = {"author_digest": author_digest(key), "until": clock.now().isoformat(), **BODY}
    answer = await harness.ingest.ingest.client.post(
        "/api/v1/erasures", json=record, headers=harness.ingest.ingest.headers("moderator")
    )
    assert answer.status_code == 202, answer.text
    await harness.run(answer.json()["id"])
    done = await harness.record(answer.json()["id"])
    assert (done["status"], done["counts"]) == ("done", {})
    assert (await harness.ingest.row())["text"] == "Слова школы"
    assert await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM erased_keys") == 0


async def test_erasure_of_a_citizen_keeps_messages_of_the_page_with_the_same_key(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    erasure_id = (await harness.request()).json()["id"]
    own = harness.ingest.item("Слова страницы", external_id="-101_9", author=CITIZEN, from_community=True)
    await harness.ingest.take(replace(own, thread_key="vk:-101_4"))
    await harness.ingest.raw_connection.execute("UPDATE messages SET author_key = $1", harness.key)
    with pytest.MonkeyPatch.context() as patch:
        # As if the message were stored after the check.
        patch.setattr("services.ingest.erasure.runner.belongs_to_page", _no)
        await harness.run(erasure_id)
    assert (await harness.ingest.row())["text"] == ""
    assert (await harness.ingest.row("-101_9"))["text"] == "Слова страницы"


async def _no(*_: object) -> bool:
    return False
