"""A scan of all messages in a network, and the reconciliation that finds messages no source delivered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks import catalogue
from services.ingest.networks.port import IncomingItem, NetworkAdapter, OutgoingReply, PageRef
from services.ingest.settings import ingest_settings
from services.ingest.tokens.token_pool import DatabaseTokenPool
from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import WrittenMessage
from tests.conformance.ingest_under_test import IngestUnderTest
from tests.support.eventually import HANG_SECONDS

# Must equal `reconcile_grace_seconds` in the suite's settings.
GRACE = 2.0
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def _a_page_in_use(system: IngestUnderTest, name: str) -> tuple[str, UUID, list[WrittenMessage]]:
    """Create a page with posts, threads and conversations; wait until all messages are stored."""
    page = await system.new_page(name)
    written = []
    for number in range(3):
        post = await system.driver.citizen(page, words("Пост"), "wall_post", author="700601")
        root = await system.driver.citizen(page, words("Корень"), under=post)
        reply = await system.driver.citizen(page, words("Ответ"), to=root)
        message = await system.driver.citizen(page, words("Здравствуйте"), "message", author=f"70061{number}")
        written += [post, root, reply, message]
    page_id = await system.connect(page)
    for one in written:
        await system.wait_until_stored(one)
    return page, page_id, written


@asynccontextmanager
async def _adapter(system: IngestUnderTest, page_id: UUID) -> AsyncIterator[tuple[NetworkAdapter, PageRef]]:
    """Create an adapter in addition to that of the running ingest; yield it with a reference to the page."""
    database = system.ingest.service.database
    accounts = DatabaseTokenPool(database)
    await accounts.refresh()
    (page,) = [one for one in accounts.pages(system.driver.network) if one.id == page_id]
    async with aiohttp.ClientSession() as http:
        feed = DatabaseIntakeStore(database)
        # Long timeouts, because nothing repeats a call of this adapter that times out.
        patient = dict.fromkeys(("vk_call_timeout_seconds", "ok_call_timeout_seconds"), HANG_SECONDS)
        settings = ingest_settings().model_copy(update=patient)
        yield catalogue.create_adapter(system.driver.network, http, accounts, feed, settings), page


async def _scanned(
    network: NetworkAdapter, page: PageRef, since: datetime
) -> tuple[list[IncomingItem], list[dict[str, Any]]]:
    items: list[IncomingItem] = []
    cursors: list[dict[str, Any]] = []
    shares: list[float] = []
    async for step in network.scan(page, since, {}):
        assert step.batch.unparsed == []
        items += step.batch.items
        cursors.append(dict(step.cursor))
        shares.append(step.progress)
    assert shares == sorted(shares), f"the progress of the scan decreases: {shares}"
    assert all(0 <= share <= 1 for share in shares)
    return items, cursors


@behaviour()
async def scan_returns_all_content(system: IngestUnderTest) -> None:
    _, page_id, written = await _a_page_in_use(system, "walked")
    async with _adapter(system, page_id) as (network, page):
        items, _ = await _scanned(network, page, LONG_AGO)
        found = {(item.kind, item.external_id): item for item in items if item.text is not None}
        for one in written:
            item = found[one.kind, one.external_id]
            assert (item.text, item.thread_key, item.change) == (one.text, one.thread_key, "observed")


@behaviour()
async def scan_omits_older_content(system: IngestUnderTest) -> None:
    _, page_id, _ = await _a_page_in_use(system, "old")
    async with _adapter(system, page_id) as (network, page):
        items, _ = await _scanned(network, page, datetime.now(UTC) + timedelta(hours=1))
        assert [item for item in items if item.change != "deleted"] == []


@behaviour()
async def scan_resumes_from_every_cursor(system: IngestUnderTest) -> None:
    _, page_id, written = await _a_page_in_use(system, "resumed")
    async with _adapter(system, page_id) as (network, page):
        whole, cursors = await _scanned(network, page, LONG_AGO)
        for cut in range(len(cursors)):
            before: list[IncomingItem] = []
            cursor: dict[str, Any] = {}
            scan = network.scan(page, LONG_AGO, {})
            for _ in range(cut):
                step = await anext(scan)
                before += step.batch.items
                cursor = dict(step.cursor)
            async for step in network.scan(page, LONG_AGO, cursor):
                before += step.batch.items
            assert {item.external_id for item in before} >= {one.external_id for one in written}
            assert {item.external_id for item in before} == {item.external_id for item in whole}


@behaviour()
async def published_reply_is_read_back(system: IngestUnderTest) -> None:
    page_name, page_id, written = await _a_page_in_use(system, "read_back")
    async with _adapter(system, page_id) as (network, page):
        for question in (written[1], written[3]):
            comment = question.kind == "comment"
            outgoing = OutgoingReply(
                id=uuid4(),
                page=page,
                kind=question.kind,
                thread_key=question.thread_key,
                reply_to=question.external_id if comment else None,
                text=words("Ответ"),
            )
            published = await network.publish(outgoing)
            (own,) = [one for one in await system.driver.answers(page_name) if one.text == outgoing.text]
            assert own.thread == question.thread
            found = {item.external_id: item for item in (await network.read_thread(outgoing)).items}
            item = found[published.external_id]
            assert (item.text, item.from_community) == (outgoing.text, True)
            assert (item.thread_key, item.reply_to) == (outgoing.thread_key, outgoing.reply_to)
            assert len(outgoing.text) <= network.max_text_length(question.kind)
            assert network.max_text_length(question.kind) == catalogue.max_text_length(network.name, question.kind)


async def _compared(system: IngestUnderTest, page_id: UUID) -> dict[str, Any]:
    asked = await system.post(f"/api/v1/sources/{page_id}/reconciliations", {"since": LONG_AGO.isoformat()})

    async def finished() -> dict[str, Any] | None:
        items = (await system.get(f"/api/v1/sources/{page_id}/reconciliations"))["items"]
        found = next(one for one in items if one["id"] == asked["id"])
        return found if found["finished_at"] is not None else None

    return await system.eventually(finished, "the reconciliation does not end")


@behaviour()
async def reconciliation_of_complete_page_finds_nothing(system: IngestUnderTest) -> None:
    _, page_id, written = await _a_page_in_use(system, "whole")
    found = await _compared(system, page_id)
    assert found["compared"] >= len(written)
    assert [found[name] for name in ("gaps", "within_grace", "edited", "deleted")] == [0, 0, 0, 0]


@behaviour()
async def reconciliation_stores_and_counts_missing_messages(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("gap")
    first = await system.driver.citizen(page, words("До"))
    await system.wait_until_stored(first)
    await asyncio.sleep(1.2)  # networks return times in whole seconds
    hidden = [await system.driver.citizen(page, words("Скрыто"), "message", author=f"70062{n}") for n in range(3)]
    hidden.append(await system.driver.citizen(page, words("Скрыто"), to=first))
    rows = [await system.wait_until_stored(one) for one in hidden]
    await asyncio.sleep(GRACE + 1.2)
    gone = [row["id"] for row in rows]
    for _ in range(5):
        # Delete the messages as if no source had delivered them. A concurrent poll may store some of them again.
        await system.raw_connection.execute(
            "WITH gone AS (DELETE FROM events WHERE subject_id = ANY($1)),"
            " named AS (DELETE FROM named_people WHERE message_id = ANY($1))"
            " DELETE FROM messages WHERE id = ANY($1)",
            gone,
        )
        found = await _compared(system, page_id)
        again = [await system.wait_until_stored(one) for one in hidden]
        assert found["gaps"] == [row["source_kind"] for row in again].count("reconciliation")
        if found["gaps"]:
            break
        gone = [row["id"] for row in again]
    assert found["gaps"] > 0
    assert found["within_grace"] == 0
    assert (await system.source(page_id))["gaps"] == found["gaps"]
    for one in hidden:
        row = await system.wait_until_stored(one)
        assert row["text"] == one.text
        assert len(await system.events(row["id"], "message.received")) == 1


@behaviour()
async def reconciliation_finds_unannounced_edit(system: IngestUnderTest) -> None:
    _, page_id, written = await _a_page_in_use(system, "untold")
    row = await system.wait_until_stored(written[1])
    await system.raw_connection.execute("UPDATE messages SET text = 'Раньше' WHERE id = $1", row["id"])
    await _compared(system, page_id)
    row = await system.wait_until_stored(written[1], text=written[1].text)
    assert await system.texts_before(row) == ["Раньше"]


@behaviour()
async def backfill_stores_messages_as_history(system: IngestUnderTest) -> None:
    page = await system.new_page("backfill")
    post = await system.driver.post(page, words("Пост"))
    written = [await system.driver.citizen(page, words("Давно"), under=post) for _ in range(5)]
    page_id = await system.connect(page, go_live_at="2099-01-01T00:00:00+00:00")
    asked = await system.post(f"/api/v1/sources/{page_id}/backfills", {"since": LONG_AGO.isoformat()})

    async def done() -> dict[str, Any] | None:
        found = await system.get(f"/api/v1/sources/backfills/{asked['id']}")
        return found if found["status"] == "done" else None

    found = await system.eventually(done, "the backfill does not end")
    assert found["progress"] == 1
    assert found["items_read"] >= len(written)
    for one in written:
        row = await system.wait_until_stored(one, history=True)
        assert len(await system.events(row["id"], "message.received")) == 1
