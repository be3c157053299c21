"""Unannounced deletions: a comment stored by one source and deleted before another polls is marked deleted."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.intake.thread_state import threads_with_other_count
from services.ingest.networks.calls import CallError, ErrorTreatment
from services.ingest.networks.ok.reading.discussion_reader import TopicPage
from services.ingest.networks.ok.reading.ok_scan import OkPageScan
from services.ingest.networks.port import Author, IncomingItem, PageRef, ParsedBatch, ThreadState
from services.ingest.networks.vk.reading.boards import BoardReader
from services.ingest.networks.vk.reading.wall_reader import ObservedIds, WallReader
from shared import clock
from shared.database.sessions import WriteSession
from tests.conftest import TestDatabase
from tests.integration.data_growth.query_plans import MODES, explain
from tests.integration.ingest.conftest import Connected, Emulator, connected
from tests.integration.ingest.ingest_harness import build_harness
from tests.support.eventually import eventually
from tests.support.service_under_test import insert_page

NETWORKS = "services.ingest.networks"
OK_DISCUSSIONS = f"{NETWORKS}.ok.reading.discussion_poll.DiscussionPoller"
OK_TOPICS = f"{NETWORKS}.ok.reading.topic_poll.TopicPoller"
VK_WALL = f"{NETWORKS}.vk.reading.wall_poll.WallPoller"
# The polls to disable, keyed by the only way in which the network is then read.
IDLE_POLLS = {
    "polls": (),
    "discussion list": (OK_TOPICS,),
    "topics": (OK_DISCUSSIONS,),
    "reconciliation": (OK_DISCUSSIONS, OK_TOPICS, VK_WALL),
}


async def _idle(_way: Any) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def look(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read the network only in the way that the parameter names: by all polls, one poll, or reconciliation."""
    for poll in IDLE_POLLS[request.param]:
        monkeypatch.setattr(f"{poll}.run", _idle)
    return str(request.param)


async def _row(system: Connected, condition: str, *values: Any) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(f"SELECT * FROM messages WHERE {condition}", *values)

    return await eventually(look)


async def _reconciled(system: Connected, page_id: UUID) -> Any:
    answer = await system.ingest.client.post(
        f"/api/v1/sources/{page_id}/reconciliations", json={}, headers=system.ingest.headers("operations")
    )
    assert answer.status_code == 202, answer.text

    async def finished() -> Any:
        return await system.raw_connection.fetchrow(
            "SELECT * FROM reconciliations WHERE id = $1 AND finished_at IS NOT NULL", UUID(answer.json()["id"])
        )

    return await eventually(finished)


def _stored_before(external_id: str, thread_key: str) -> IncomingItem:
    """Return a comment written an hour ago: old enough to be marked deleted if the network lacks it."""
    return IncomingItem(
        change="observed",
        kind="comment",
        external_id=external_id,
        thread_key=thread_key,
        written_at=clock.now() - timedelta(hours=1),
        raw={"id": external_id},
        author=Author(native_id="7", name="Жительница"),
        text="Нет воды",
    )


async def _ref(system: Connected, network: str, page: str) -> PageRef:
    async def known() -> PageRef | None:
        runtime = system.worker._runtime
        return None if runtime is None else runtime.token_pool.page(network, page)

    return await eventually(known)


async def _marked(system: Connected, thread_key: str) -> Any:
    async def look() -> Any:
        return await system.raw_connection.fetchrow(
            "SELECT * FROM threads WHERE thread_key = $1 AND marker IS NOT NULL AND marker NOT LIKE '~%'",
            thread_key,
        )

    return await eventually(look)


def _calls(emulator: Emulator, method: str) -> int:
    items = emulator.control.get("/_control/calls").json()["items"]
    return sum(item["accepted"] + item["refused"] for item in items if item["method"] == method)


@pytest.mark.parametrize("shown", ["all", "own"], ids=["named_as_removed", "left_out"])
@pytest.mark.parametrize("look", ["discussion list", "topics", "reconciliation"], indirect=True)
async def test_ok_comment_deleted_between_polls_is_marked_deleted(
    ok: Emulator, database: TestDatabase, keys_dir: Path, look: str, shown: str
) -> None:
    page = ok.page(f"ok_unnoticed_{look.replace(' ', '_')}_{shown}")
    ok.post("settings", removed_shown=shown)
    try:
        async with connected(database, keys_dir, ok_api_url=ok.url, ok_topic_poll_seconds="1") as system:
            page_id = await system.connect_page("ok", ok, page)
            topic = str(ok.citizen(page, f"Тема {uuid4()}", "wall_post")["id"])
            if look == "discussion list":
                await _marked(system, f"ok:{topic}")
            elif look == "topics":
                await _row(
                    system, "external_id = $1", topic
                )  # without the poll of the discussion list, no marker is stored
            ok.post("faults", kind="drop", rate=1)  # no poll runs while the comment exists
            gone = ok.citizen(page, f"Сгоряча {uuid4()}", thread=topic)
            ok.post("delete", page=page, id=gone["id"], by="author")
            item = _stored_before(f"{topic}/{gone['id']}", f"ok:{topic}")
            feed = DatabaseIntakeStore(system.ingest.service.database)
            await feed.store(await _ref(system, "ok", page), "backfill", ParsedBatch([item]))
            ok.control.delete("/_control/faults")
            if look == "reconciliation":
                assert (await _reconciled(system, page_id))["deleted"] == 1
            row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", item.external_id)
            assert (row["deleted_by"], row["text"]) == ("unknown", "Нет воды")
    finally:
        ok.post("settings", removed_shown="own")


@pytest.mark.parametrize("look", ["polls", "reconciliation"], indirect=True)
async def test_vk_comment_with_missed_deletion_event_is_marked_deleted(
    vk: Emulator, database: TestDatabase, keys_dir: Path, look: str
) -> None:
    page = vk.page(f"vk_unnoticed_{look}")
    async with connected(database, keys_dir, vk_api_url=vk.url, vk_calls_per_day='{"wall.get": 50000}') as system:
        page_id = await system.connect_page("vk", vk, page)
        post = vk.citizen(page, f"Запись {uuid4()}", "wall_post")
        key = f"vk:-{page}_{post['id']}"
        ref = await _ref(system, "vk", page)
        if look == "polls":
            await _marked(system, key)
        item = _stored_before(f"-{page}_987654", key)
        await DatabaseIntakeStore(system.ingest.service.database).store(ref, "long_poll", ParsedBatch([item]))
        if look == "reconciliation":
            assert (await _reconciled(system, page_id))["deleted"] == 1
        row = await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", item.external_id)
        assert (row["deleted_by"], row["text"]) == ("unknown", "Нет воды")


async def test_vk_deletion_balanced_by_a_new_comment_is_found_without_push(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.networks.vk.reading.wall_reader.RECENT", timedelta(0))
    page = vk.page("vk_without_push")
    post = vk.citizen(page, f"Запись {uuid4()}", "wall_post")
    gone = vk.citizen(page, "Сгоряча", thread=post["thread"])
    async with connected(database, keys_dir, vk_api_url=vk.url, vk_calls_per_day='{"wall.get": 50000}') as system:
        await insert_page(database, system.organisation, network="vk", external_id=page)
        for token in vk.tokens():
            if token["kind"] != "group":
                await system.add_token("vk", token)
        await _row(system, "external_id = $1", f"-{page}_{gone['id']}")
        await _marked(system, f"vk:-{page}_{post['id']}")
        # No poll sees only one of the two changes, so the count stays equal.
        vk.post("faults", kind="drop", rate=1, method="wall.get")
        vk.post("delete", page=page, id=gone["id"], by="author")
        later = vk.citizen(page, "Подумав", thread=post["thread"])
        vk.control.delete("/_control/faults")
        await _row(system, "external_id = $1", f"-{page}_{later['id']}")
        await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", f"-{page}_{gone['id']}")


async def test_vk_board_comment_missing_in_network_is_marked_deleted(
    vk: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = vk.page("vk_unnoticed_board")
    topic = vk.post("board", page=page, title="Вопросы", text="Спрашивайте")
    key = f"vk:-{page}_{topic['thread']}"
    async with connected(database, keys_dir, vk_api_url=vk.url, vk_board_poll_seconds="1") as system:
        await system.connect_page("vk", vk, page)
        await _marked(system, key)
        item = _stored_before(f"-{page}_{topic['thread']}_987", key)
        feed = DatabaseIntakeStore(system.ingest.service.database)
        await feed.store(await _ref(system, "vk", page), "backfill", ParsedBatch([item]))
        await _row(system, "external_id = $1 AND deleted_at IS NOT NULL", item.external_id)


async def test_hidden_counted_comments_do_not_cause_endless_reads(
    ok: Emulator, database: TestDatabase, keys_dir: Path
) -> None:
    page = ok.page("ok_counts_more")
    ok.post("page", page=page, comments_share=0.1)
    topic = str(ok.citizen(page, f"Тема {uuid4()}", "wall_post")["id"])
    for number in range(12):
        ok.citizen(page, f"{number} {uuid4()}", thread=topic)
    settings = {"ok_api_url": ok.url, "ok_topic_poll_seconds": "3600", "ok_discussion_poll_seconds": "0.1"}
    async with connected(database, keys_dir, **settings) as system:
        await system.connect_page("ok", ok, page)
        await _marked(system, f"ok:{topic}")
        looks, before = _calls(ok, "discussions.getList"), _calls(ok, "discussions.getComments")

        async def looked_often() -> bool:
            return _calls(ok, "discussions.getList") >= looks + 15

        await eventually(looked_often)
        # At most one more complete read, since the topic poll and the list poll may each make one.
        assert _calls(ok, "discussions.getComments") <= before + 1


async def test_remaining_difference_is_rechecked_with_growing_delay(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with build_harness(database, keys_dir) as harness:
        feed = DatabaseIntakeStore(harness.ingest.service.database)
        key = "vk:-101_3"
        await harness.take(harness.item())
        assert await feed.threads_with_other_count({key: 1}) == {}
        assert await feed.threads_with_other_count({key: 3}) == {key: 1}

        async def read(count: int) -> Any:
            await feed.store(
                harness.page, "wall_poll", ParsedBatch(), thread_states=[ThreadState(key, str(count), count=count)]
            )
            return await harness.raw_connection.fetchrow(
                "SELECT count_difference, recheck_count,"
                " (recheck_at - now()) > $2 * interval '50 seconds' AS is_late FROM threads WHERE thread_key = $1",
                key,
                2.0
                ** (
                    await harness.raw_connection.fetchval(
                        "SELECT recheck_count FROM threads WHERE thread_key = $1", key
                    )
                    or 0
                ),
            )

        async def due() -> None:
            await harness.raw_connection.execute(
                "UPDATE threads SET recheck_at = now() WHERE thread_key = $1", key
            )

        for rechecks in range(4):
            row = await read(3)
            assert (row["count_difference"], row["recheck_count"], row["is_late"]) == (2, rechecks, True)
            assert await feed.threads_with_other_count({key: 3}) == {}
            assert await feed.threads_with_other_count({key: 3}, include_known=True) == {key: 1}
            row = await read(3)  # a read by another source before the recheck is due does not lengthen the delay
            assert row["recheck_count"] == rechecks
            await due()
            assert await feed.threads_with_other_count({key: 3}) == {key: 1}
        # A changed count is read at once, even if a deletion makes the counts equal.
        assert await feed.threads_with_other_count({key: 2}) == {key: 1}
        assert await feed.threads_with_other_count({key: 1}) == {key: 1}
        row = await read(1)
        assert (row["count_difference"], row["recheck_count"], row["is_late"]) == (0, 0, None)
        assert await feed.threads_with_other_count({key: 1}) == {}
        assert await feed.threads_with_other_count({key: 10**30}) == {key: 1}


@pytest.mark.parametrize("mode", MODES)
async def test_count_of_undeleted_comments_uses_index(database: TestDatabase, keys_dir: Path, mode: str) -> None:
    async with build_harness(database, keys_dir) as harness:
        await harness.raw_connection.execute(
            """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
                 from_community, text, attachments, url, history, source_kind, written_at, received_at,
                 version, raw)
               SELECT gen_random_uuid(), 'vk', 'comment', 'many/' || n, $1, $2, 'vk:' || n % 4000, false,
                  'Текст', '[]', '', false, 'poll', now(), now(), 1, '{}' FROM generate_series(1, 40000) n""",
            harness.page.id,
            harness.page.organisation_id,
        )
        await harness.raw_connection.execute("VACUUM ANALYZE messages")
        counts = {f"vk:{number}": 10 + (number == 7) for number in range(100)}

        async def work(session: WriteSession) -> None:
            assert await threads_with_other_count(session, counts, whole=False) == {"vk:7": 10}

        found = await explain(harness.ingest.service.database, work, mode, {})
        (plan,) = found.plans
        assert "ix_messages_undeleted_comments" in plan.indexes, plan
        assert "messages" not in plan.sequential
        assert plan.buffers < 500, plan


async def test_ok_scan_reads_a_topic_that_shows_no_comments_while_stored_ones_exist() -> None:
    page = PageRef(id=uuid4(), organisation_id=uuid4(), network="ok", external_id="55", go_live_at=clock.now())
    topic = replace(_stored_before("61", "ok:61"), kind="wall_post")
    read: list[str] = []

    async def topics(*_: Any) -> TopicPage:
        return TopicPage(ParsedBatch([topic]), {"61": 0}, None, True)

    async def comments_with_deletions(_page: PageRef, discussion: str, *_: Any) -> tuple[ParsedBatch, None]:
        read.append(discussion)
        return ParsedBatch(), None

    async def threads_with_other_count(*_: Any, **__: Any) -> dict[str, int]:
        return {"ok:61": 1}

    scan = OkPageScan(
        page,
        clock.now() - timedelta(days=1),
        reader=cast("Any", SimpleNamespace(topics=topics, comments_with_deletions=comments_with_deletions)),
        listing=cast("Any", None),
        chats=cast("Any", None),
        intake=cast("Any", SimpleNamespace(threads_with_other_count=threads_with_other_count)),
    )
    assert [step async for step in scan._topics({})]
    assert read == ["61"]


class SkippingClient:
    """A client of VK whose first read of a thread skips comment 6: an earlier one is deleted during pagination."""

    def __init__(self) -> None:
        self.reads = 0

    async def read_with_any_token(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the comments of the thread."""
        self.reads += 1
        shown = (5,) if self.reads == 1 else (5, 6)
        items = [{"id": one, "date": 1_750_000_000, "from_id": 7, "text": "Нет воды"} for one in shown]
        return {"items": items, "count": len(items), "current_level_count": len(items)}

    async def read_batch(self, *_: Any) -> list[dict[str, Any]]:
        """Return the comments of a thread, as one response."""
        return [await self.read_with_any_token()]


@pytest.mark.parametrize("place", ["3", "board3"])
async def test_vk_comment_skipped_by_one_read_is_not_marked_deleted(place: str) -> None:
    old = clock.now() - timedelta(hours=1)
    page = PageRef(id=uuid4(), organisation_id=uuid4(), network="vk", external_id="101", go_live_at=clock.now())
    stem = "-101_board3" if place == "board3" else "-101"

    async def undeleted_ids(*_: Any, **__: Any) -> dict[str, datetime]:
        return {f"{stem}_{number}": old for number in (5, 6, 7)}

    client, intake = cast("Any", SkippingClient()), cast("Any", SimpleNamespace(undeleted_ids=undeleted_ids))
    if place == "board3":
        parsed, _ = await BoardReader(client).read_topic_if_open(page, 3, intake)
    else:
        parsed = (await WallReader(client).read_threads_with_deletions(page, [3], intake))[3]
    assert [item.external_id for item in parsed.items if item.change == "deleted"] == [f"{stem}_7"]


def test_unparsed_comment_does_not_hide_other_deletions() -> None:
    old = clock.now() - timedelta(hours=1)
    stored = {"-1_5": old, "-1_6": old, "-1_7": old}
    parsed = ParsedBatch()
    for raw in ({"id": 5}, {"id": 6, "date": "never"}):
        parsed.parse(_parse, raw)
    assert [one.reason for one in parsed.unparsed] == ["no moment"]
    assert ObservedIds(parsed).missing(stored, clock.now()) == ["-1_7"]
    parsed.parse(_parse, "no object")
    assert ObservedIds(parsed).missing(stored, clock.now()) == [], "it is unknown which comment the payload is"


def _parse(raw: Any) -> IncomingItem:
    if raw["id"] == 6:
        raise ValueError("no moment")
    return _stored_before(f"-1_{raw['id']}", "vk:-1_1")


class ClosableTopic:
    """A client of VK whose only topic has these comments, which may be refused."""

    def __init__(self) -> None:
        self.comments = {1: "Нет воды"}
        self.updated = 1_750_000_000
        self.is_closed = False

    async def read_with_any_token(self, method: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the topic or its comments."""
        if method == "board.getTopics":
            topic = {"id": 3, "updated": self.updated, "comments": len(self.comments)}
            return {"count": 1, "items": [topic]}
        if self.is_closed:
            raise CallError("vk", method, 15, "Access denied", ErrorTreatment.DENIED)
        items = [
            {"id": number, "date": self.updated, "from_id": 7, "text": words}
            for number, words in self.comments.items()
        ]
        return {"count": len(items), "items": items}


async def test_topic_that_was_refused_is_read_again_although_its_count_is_the_stored_one(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with build_harness(database, keys_dir) as harness:
        client, feed = ClosableTopic(), DatabaseIntakeStore(harness.ingest.service.database)
        boards = BoardReader(cast("Any", client))
        await boards.check_page(harness.page, feed)
        # While it is closed, a comment is deleted and another one written.
        client.comments, client.updated, client.is_closed = {2: "И света"}, client.updated + 60, True
        await boards.check_page(harness.page, feed)
        client.is_closed = False
        await harness.raw_connection.execute("UPDATE threads SET recheck_at = now() WHERE recheck_at IS NOT NULL")
        await boards.check_page(harness.page, feed)
        stored = await harness.raw_connection.fetch("SELECT text FROM messages WHERE deleted_at IS NULL")
        assert [row["text"] for row in stored] == ["И света"]
        assert await harness.raw_connection.fetchval("SELECT recheck_at FROM threads") is None
