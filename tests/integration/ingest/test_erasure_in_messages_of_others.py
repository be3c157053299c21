"""Messages of others lose the links to an erased person and the words of the person that they forward."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.ingest.erasure.index_older_messages import index_older_messages
from services.ingest.erasure.named_rows import messages_naming
from services.ingest.erasure.subject import find_subject
from services.ingest.erasure.unfinished_gauge import update_unreadable
from services.ingest.networks.port import IncomingItem
from services.ingest.networks.vk import vk_payloads
from services.ingest.pseudonymisation.author_keys import author_key
from shared import clock
from shared.jobs import RetryLater
from shared.service_client import ServiceUnavailable
from tests.conftest import TestDatabase
from tests.integration.data_growth.query_plans import MODES, explain
from tests.integration.ingest.erasure_harness import NATIVE_ID, WORDS, ErasureHarness, OtherServices
from tests.integration.ingest.ingest_harness import MOMENT, build_harness

SECONDS = int(MOMENT.timestamp())
OTHER, THIRD = 5001, 5003
LINK = f"[id{NATIVE_ID}|Мурзилка Перепёлкина]"


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ErasureHarness]:
    async with build_harness(database, keys_dir) as ingest:
        yield ErasureHarness(ingest, OtherServices(database), author_key("vk", NATIVE_ID))


def _comment(harness: ErasureHarness, text: str, number: int = 9, **raw: Any) -> IncomingItem:
    """Return another person's comment in a thread where the person never wrote, as VK delivers it."""
    payload = {"id": number, "from_id": OTHER, "post_id": 4, "date": SECONDS, "text": text} | raw
    return vk_payloads.parse_comment(payload, harness.ingest.page)


def _shared(author: int, text: str, **more: Any) -> dict[str, Any]:
    return {"from_id": author, "date": SECONDS, "text": text, "conversation_message_id": 1} | more


def _photo(owner: int) -> dict[str, Any]:
    return {"type": "photo", "photo": {"id": 7, "owner_id": owner}}


def _message(harness: ErasureHarness, text: str = "Посмотрите", **raw: Any) -> IncomingItem:
    """Return another person's message in their own conversation with the page."""
    payload = {
        "from_id": OTHER, "peer_id": OTHER, "conversation_message_id": 5, "date": SECONDS, "text": text,
    } | raw  # fmt: skip
    parsed = vk_payloads.parse_message(payload, harness.ingest.page)
    assert parsed is not None
    return parsed


def _post(harness: ErasureHarness, *reposted: dict[str, Any], text: str = "Делюсь") -> IncomingItem:
    payload = {"id": 5, "owner_id": -101, "from_id": OTHER, "date": SECONDS, "text": text}
    return vk_payloads.parse_post(payload | {"copy_history": list(reposted)}, harness.ingest.page)


async def _store(harness: ErasureHarness, items: Sequence[IncomingItem], *, before: bool) -> None:
    """Store the items before the person's erasure or after it; in the first case read them again afterwards."""
    await harness.ingest.take(harness.direct_message(), *(items if before else ()))
    await harness.erase()
    await harness.ingest.take(*items)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("text", "left", "raw"),
    [
        (f"{LINK}, верно", "[данные удалены], верно", {"reply_to_user": int(NATIVE_ID)}),
        (f"Спросите @id{NATIVE_ID} (Перепёлкина)", "Спросите [данные удалены]", {}),
        ("Верно", "Верно", {"profiles": [{"id": int(NATIVE_ID), "last_name": "Перепёлкина"}]}),
        ("Верно", "Верно", {"likes": {"count": 1, "items": [int(NATIVE_ID)]}}),
    ],
)
async def test_links_are_erased_where_the_person_never_wrote(
    harness: ErasureHarness, text: str, left: str, raw: dict[str, Any], before: bool
) -> None:
    await _store(harness, [_comment(harness, text, **raw)], before=before)
    assert await harness.found() == []
    row = await harness.ingest.row("-101_9")
    assert (row["text"], row["version"], row["erased_at"]) == (left, 1, None)
    assert await harness.ingest.emitted_events("message.edited") == []


async def test_former_versions_lose_links(harness: ErasureHarness) -> None:
    await harness.ingest.take(_comment(harness, f"{LINK}, верно"))
    edited = _comment(harness, "Верно", edited=SECONDS + 60)
    await harness.ingest.take(replace(edited, change="edited"), harness.direct_message())
    await harness.erase()
    assert await harness.found() == []
    versions = await harness.ingest.raw_connection.fetch("SELECT text FROM message_versions")
    assert [row["text"] for row in versions] == ["[данные удалены], верно"]


@pytest.mark.parametrize("before", [True, False])
async def test_forwarded_and_reposted_words_are_erased_and_those_of_others_stay(
    harness: ErasureHarness, before: bool
) -> None:
    theirs = _shared(int(NATIVE_ID), WORDS, attachments=[_photo(THIRD)], fwd_messages=[_shared(THIRD, "Вложено")])
    message = _message(
        harness,
        reply_message=_shared(int(NATIVE_ID), WORDS),
        fwd_messages=[theirs, _shared(THIRD, "Чужое")],
        attachments=[_photo(OTHER), _photo(int(NATIVE_ID))],
    )
    sent = {"type": "wall", "wall": {"id": 3, "from_id": int(NATIVE_ID), "date": SECONDS, "text": WORDS}}
    items = [
        message,
        _message(harness, "Вот", conversation_message_id=6, attachments=[sent]),
        _post(harness, theirs),
    ]
    await _store(harness, items, before=before)
    assert await harness.found() == []
    rows = [await harness.ingest.row(one.external_id) for one in items]
    assert [row["text"] for row in rows] == [
        "Посмотрите\n\nПереслано:\nданные удалены\n\nПереслано:\nВложено\n\nПереслано:\nЧужое",
        "Вот\n\nРепост записи:\nданные удалены",
        "Делюсь\n\nРепост записи:\nданные удалены",
    ]
    assert [json.loads(row["attachments"]) for row in rows] == [[_photo(OTHER)], [], []]
    assert await harness.ingest.emitted_events("message.edited") == []


async def test_words_of_a_second_person_are_erased_from_the_same_message(harness: ErasureHarness) -> None:
    shared = [_shared(THIRD, "Слова третьего"), _shared(int(NATIVE_ID), WORDS)]
    await harness.ingest.take(
        _message(harness, fwd_messages=shared),
        harness.direct_message(),
        _comment(harness, "Слова третьего", 30, from_id=THIRD),
    )
    await harness.erase()
    third = (await harness.request(key=author_key("vk", str(THIRD)))).json()["id"]
    await harness.run(third)
    assert await harness.found() == []
    dump = await harness.dump()
    assert "Слова третьего" not in dump
    assert (await harness.ingest.row("101_5001_5"))["text"] == "Посмотрите" + "\n\nПереслано:\nданные удалены" * 2


async def test_own_words_equal_to_forwarded_ones_stay(harness: ErasureHarness) -> None:
    await harness.ingest.take(
        _message(harness, "да", fwd_messages=[_shared(int(NATIVE_ID), "да"), _shared(THIRD, "дай")]),
        harness.direct_message(),
    )
    await harness.erase()
    text = (await harness.ingest.row("101_5001_5"))["text"]
    assert text == "да\n\nПереслано:\nданные удалены\n\nПереслано:\nдай"


async def test_words_that_the_person_wrote_after_the_erasure_are_kept_where_they_are_forwarded(
    harness: ErasureHarness,
) -> None:
    await harness.ingest.take(harness.direct_message())
    await harness.erase()
    later = int(clock.now().timestamp()) + 60
    await harness.ingest.take(
        _message(harness, date=later, fwd_messages=[_shared(int(NATIVE_ID), "Новое", date=later)])
    )
    assert (await harness.ingest.row("101_5001_5"))["text"] == "Посмотрите\n\nПереслано:\nНовое"


@pytest.mark.parametrize("between", [True, False])
async def test_what_names_a_person_who_has_written_again_is_found_by_the_next_erasure(
    harness: ErasureHarness, between: bool
) -> None:
    later = int(clock.now().timestamp()) + 60
    items = [
        _message(harness, date=later, fwd_messages=[_shared(int(NATIVE_ID), WORDS, date=later)]),
        _comment(harness, f"{LINK}, верно", from_id=-101, date=later),
    ]
    await harness.ingest.take(harness.direct_message(), *(items if between else ()))
    await harness.erase()
    await harness.ingest.take(
        *items, harness.direct_message("Снова", 2, written_at=MOMENT + timedelta(days=9_000))
    )
    assert (await harness.ingest.row("101_5001_5"))["text"] == f"Посмотрите\n\nПереслано:\n{WORDS}"
    assert (await harness.ingest.row("-101_9"))["text"] == f"{LINK}, верно"
    await harness.erase()
    assert await harness.found() == []
    assert (await harness.ingest.row("101_5001_5"))["text"] == "Посмотрите\n\nПереслано:\nданные удалены"
    assert (await harness.ingest.row("-101_9"))["text"] == "[данные удалены], верно"


async def test_words_of_the_author_of_a_post_on_the_wall_of_an_erased_person_are_found(
    harness: ErasureHarness,
) -> None:
    """The owner of the wall is erased first."""
    on_wall = _shared(THIRD, "Слова третьего", owner_id=int(NATIVE_ID))
    await harness.ingest.take(
        harness.direct_message(), _post(harness, on_wall), _comment(harness, "Третий", 30, from_id=THIRD)
    )
    await harness.erase()
    assert await harness.found() == []
    await harness.run((await harness.request(key=author_key("vk", str(THIRD)))).json()["id"])
    assert (await harness.ingest.row("-101_5"))["text"] == "Делюсь\n\nРепост записи:\nданные удалены"


async def test_own_words_that_look_like_shared_ones_stay(harness: ErasureHarness) -> None:
    quoting = _message(harness, "Он ответил:\nда", fwd_messages=[_shared(int(NATIVE_ID), "да")])
    await harness.ingest.take(quoting, harness.direct_message())
    await harness.erase()
    text = (await harness.ingest.row("101_5001_5"))["text"]
    assert text == "Он ответил:\nда\n\nПереслано:\nданные удалены"


@pytest.mark.parametrize("before", [True, False])
async def test_attachments_and_location_of_forwarded_words_are_erased(
    harness: ErasureHarness, before: bool
) -> None:
    """Also attachments that are not stored as they were delivered, because they contain a NUL."""
    video = {"type": "video", "video": {"id": 7, "title": "Мурзилка\x00Перепёлкина"}}
    place = {"type": "point", "place": {"title": "Двор, где живёт Перепёлкина"}}
    theirs = _shared(int(NATIVE_ID), WORDS, attachments=[video], geo=place)
    await _store(harness, [_message(harness, attachments=[_photo(OTHER)], fwd_messages=[theirs])], before=before)
    assert await harness.found() == []
    assert json.loads((await harness.ingest.row("101_5001_5"))["attachments"]) == [_photo(OTHER)]


async def test_deeply_nested_payload_that_names_an_erased_person_is_stored(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    await harness.erase()
    shared = _shared(int(NATIVE_ID), WORDS)
    for _ in range(500):
        shared = _shared(THIRD, "Вложено", fwd_messages=[shared])
    await harness.ingest.take(_message(harness, fwd_messages=[shared]))
    assert await harness.found() == []
    assert (await harness.ingest.row("101_5001_5"))["text"].startswith("Посмотрите\n\nПереслано:\nВложено")


async def test_erasure_does_not_wait_for_an_intake_that_indexes_the_message(
    harness: ErasureHarness, database: TestDatabase
) -> None:
    """The foreign keys of intake lock messages in another order: waiting for them could be a deadlock."""
    await harness.ingest.take(harness.direct_message(), _comment(harness, f"{LINK}, верно"))
    message_id = (await harness.ingest.row("-101_9"))["id"]
    connection = await database.connect()
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO named_people VALUES ('another', $1)", message_id)
            async with asyncio.timeout(20):
                await harness.erase()
    finally:
        await connection.close()
    assert (await harness.ingest.row("-101_9"))["text"] == "[данные удалены], верно"


async def test_message_read_while_the_erasure_is_queued_is_not_edited(harness: ErasureHarness) -> None:
    quoting = _message(harness, fwd_messages=[_shared(int(NATIVE_ID), WORDS)])
    await harness.ingest.take(harness.direct_message(), quoting)
    erasure_id = (await harness.request()).json()["id"]
    await harness.ingest.take(replace(quoting, change="observed"))
    await harness.run(erasure_id)
    row = await harness.ingest.row("101_5001_5")
    assert (row["text"], row["version"]) == ("Посмотрите\n\nПереслано:\nданные удалены", 1)
    assert await harness.ingest.emitted_events("message.edited") == []


async def test_stopped_erasure_commands_appeals_when_it_runs_again(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message(), _comment(harness, f"{LINK}, верно"))
    erasure_id = (await harness.request()).json()["id"]
    harness.others.failing = {"quotations"}
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    assert (await harness.ingest.row("-101_9"))["text"] == "[данные удалены], верно"
    harness.others.failing, harness.others.commands[:] = set(), []
    await harness.run(erasure_id)
    assert harness.others.commands.count("appeals/quotations") == 1
    assert harness.others.taken_over == {(await harness.ingest.row("-101_9"))["id"]}
    assert await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM named_people") == 0


async def test_erasure_waits_for_appeals_of_a_former_release(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message(), _comment(harness, f"{LINK}, верно"))
    erasure_id = (await harness.request()).json()["id"]
    harness.others.is_former = True
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["error"].endswith("appeals responded with status 422")
    harness.others.is_former = False
    await harness.run(erasure_id)
    assert harness.others.taken_over == {(await harness.ingest.row("-101_9"))["id"]}


async def test_stopped_erasure_erases_the_deliveries_when_it_runs_again(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message(), _comment(harness, f"{LINK}, верно"))
    message_id = str((await harness.ingest.row("-101_9"))["id"])
    erasure_id = (await harness.request()).json()["id"]
    harness.others.failing = {"deliveries"}
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    assert (await harness.ingest.row("-101_9"))["text"] == "[данные удалены], верно"
    harness.others.failing, harness.others.commands[:] = set(), []
    await harness.run(erasure_id)
    assert message_id in harness.others.delivery_subjects


async def _own_reply(harness: ErasureHarness) -> UUID:
    """Publish a reply to another person that links to the citizen, and edit it; return the publication's id."""
    await harness.ingest.take(_comment(harness, "Когда починят?"))
    answer = await harness.ingest.ingest.client.post(
        "/internal/publications",
        json={
            "reply_id": str(uuid4()),
            "message_id": str((await harness.ingest.row("-101_9"))["id"]),
            "text": f"{LINK} уже спрашивал, починим завтра",
            "on_behalf_of": "someone",
        },
        headers=harness.ingest.ingest.service_headers("appeals"),
    )
    assert answer.status_code == 201, answer.text
    connection, publication_id = harness.ingest.raw_connection, UUID(answer.json()["id"])
    await connection.execute(
        "UPDATE publications SET status = 'published', external_id = '-101_10', previous_texts = ARRAY[$2::text]"
        " WHERE id = $1",
        publication_id,
        f"Раньше: @id{NATIVE_ID} (Перепёлкина)",
    )
    await connection.execute(
        "INSERT INTO publication_changes"
        " (id, publication_id, kind, text, part_texts, on_behalf_of, status, attempts, created_at, updated_at)"
        " VALUES ($1, $2, 'edit', $3, ARRAY[$3], 'someone', 'done', 1, now(), now())",
        uuid4(),
        publication_id,
        f"{LINK} уже спрашивал, починим завтра",
    )
    own = _comment(harness, f"{LINK} уже спрашивал, починим завтра", 10, from_id=-101, reply_to_comment=9)
    await harness.ingest.take(own)
    assert (await harness.ingest.row("-101_10"))["publication_id"] == publication_id
    return publication_id


async def test_links_in_our_own_replies_to_others_are_erased(harness: ErasureHarness) -> None:
    publication_id = await _own_reply(harness)
    await harness.ingest.take(harness.direct_message())
    await harness.erase()
    assert await harness.found() == []
    connection, left = harness.ingest.raw_connection, "[данные удалены] уже спрашивал, починим завтра"
    row = await connection.fetchrow("SELECT * FROM publications WHERE id = $1", publication_id)
    assert (row["text"], row["previous_texts"]) == (left, ["Раньше: [данные удалены]"])
    assert harness.others.unlinked == {row["reply_id"]: [NATIVE_ID]}
    change = await connection.fetchrow("SELECT text, part_texts FROM publication_changes")
    assert tuple(change) == (left, [left])
    assert row["erased_at"] is None


async def test_erasure_waits_while_a_reply_that_links_to_the_person_is_edited(harness: ErasureHarness) -> None:
    await _own_reply(harness)
    await harness.ingest.take(harness.direct_message())
    connection = harness.ingest.raw_connection
    await connection.execute("UPDATE publication_changes SET status = 'uncertain'")
    erasure_id = (await harness.request()).json()["id"]
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    assert "1 replies to other people" in (await harness.record(erasure_id))["error"]
    assert LINK in await connection.fetchval("SELECT text FROM publications")
    await connection.execute("UPDATE publication_changes SET status = 'done'")
    await harness.run(erasure_id)
    assert await harness.found() == []


async def test_indexing_erases_links_in_our_own_replies(harness: ErasureHarness) -> None:
    publication_id = await _own_reply(harness)
    await harness.ingest.take(harness.direct_message())
    await harness.ingest.raw_connection.execute("DELETE FROM named_people")
    await harness.erase()
    assert NATIVE_ID in await harness.found()
    await _forget_index(harness)
    await harness.ingest.raw_connection.execute("UPDATE publication_changes SET status = 'uncertain'")
    assert await _index(harness) < 4
    await harness.ingest.raw_connection.execute("UPDATE publication_changes SET status = 'done'")
    await _index(harness)
    await _index(harness)
    query = "SELECT reply_id, text FROM publications WHERE id = $1"
    row = await harness.ingest.raw_connection.fetchrow(query, publication_id)
    assert row["text"] == "[данные удалены] уже спрашивал, починим завтра"
    assert harness.others.unlinked == {row["reply_id"]: [NATIVE_ID]}
    assert await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM unindexed_messages") == 0


@pytest.mark.parametrize("failing", ["quotations", "replies", "messages", "deliveries"])
async def test_stopped_indexing_commands_the_other_services_when_it_runs_again(
    harness: ErasureHarness, failing: str
) -> None:
    """The person is erased: no later erasure commands them."""
    publication_id = await _own_reply(harness)
    await harness.ingest.take(
        harness.direct_message(), _message(harness, fwd_messages=[_shared(int(NATIVE_ID), WORDS)])
    )
    await harness.ingest.raw_connection.execute("DELETE FROM named_people")
    await harness.erase()
    harness.others.delivery_subjects.clear()
    await _forget_index(harness)
    harness.others.failing = {failing}
    with pytest.raises(ServiceUnavailable):
        await _index(harness)
    assert harness.others.delivery_subjects == []
    harness.others.failing = set()
    await _index(harness)
    reply_id = await harness.ingest.raw_connection.fetchval(
        "SELECT reply_id FROM publications WHERE id = $1", publication_id
    )
    lost = {(await harness.ingest.row(one))["id"] for one in ("-101_10", "101_5001_5")}
    assert harness.others.unlinked == {reply_id: [NATIVE_ID]}
    assert harness.others.taken_over == lost
    assert {*harness.others.delivery_subjects} == {*map(str, lost)}


async def _forget_index(harness: ErasureHarness) -> None:
    await harness.ingest.raw_connection.execute("DELETE FROM named_people")
    await harness.ingest.raw_connection.execute("DELETE FROM unindexed_messages")
    await harness.ingest.raw_connection.execute("INSERT INTO unindexed_messages VALUES ($1)", UUID(int=0))


async def _index(harness: ErasureHarness, *, is_alone: bool = True) -> int:
    service = harness.ingest.ingest.service
    with mock.patch.object(service, "client", return_value=harness.others):
        return await index_older_messages(service, is_alone=is_alone)


async def test_messages_of_a_former_release_are_indexed_before_the_erasure_ends(harness: ErasureHarness) -> None:
    await harness.ingest.take(
        harness.direct_message(),
        _comment(harness, f"{LINK}, верно"),
        _message(harness, fwd_messages=[_shared(int(NATIVE_ID), WORDS)]),
    )
    rows = "SELECT digest, message_id FROM named_people ORDER BY digest, message_id"
    indexed = await harness.ingest.raw_connection.fetch(rows)
    assert len(indexed) == 2
    await _forget_index(harness)
    erasure_id = (await harness.request()).json()["id"]
    with pytest.raises(RetryLater):
        await harness.run(erasure_id, is_indexed=False)
    assert "former release" in (await harness.record(erasure_id))["error"]
    assert await _index(harness) == 3
    await harness.run(erasure_id, is_indexed=False)
    assert (await harness.record(erasure_id))["status"] == "done"
    assert await harness.found() == []


async def test_indexing_erases_what_former_erasures_left(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    await harness.erase()
    await harness.ingest.take(_comment(harness, "Верно"))
    later = clock.now() + timedelta(minutes=1)
    own = harness.comment("Новое", external_id="-101_30", written_at=later)
    await harness.ingest.take(own)
    await harness.ingest.raw_connection.execute(
        "UPDATE messages SET text = $1, raw = $2 WHERE external_id = '-101_9'",
        f"{LINK}, верно",
        json.dumps({"from_id": OTHER, "text": f"{LINK}, верно"}),
    )
    await _forget_index(harness)
    assert await _index(harness) == 3
    row = await harness.ingest.row("-101_9")
    assert (row["text"], json.loads(row["raw"])) == ("[данные удалены], верно", {})
    assert "appeals/quotations" in harness.others.commands
    assert NATIVE_ID in (await harness.ingest.row("-101_30"))["raw"]
    assert await _index(harness) == 0


async def test_messages_that_a_former_release_still_stores_are_indexed_too(harness: ErasureHarness) -> None:
    """After the migration it may store messages, in another order than that of their ids."""
    connection = harness.ingest.raw_connection
    await harness.ingest.take(harness.direct_message(), _comment(harness, f"{LINK}, верно"))
    ids = await connection.fetch("SELECT id FROM messages ORDER BY id")
    await connection.execute("UPDATE messages SET received_at = received_at - interval '2 minutes'")
    await harness.ingest.take(_comment(harness, f"{LINK}, да", 31), _comment(harness, f"{LINK}, нет", 32))
    await _forget_index(harness)
    assert await _index(harness, is_alone=False) == 2
    assert await connection.fetchval("SELECT after FROM unindexed_messages") == ids[-1]["id"]
    assert await connection.fetchval("SELECT count(*) FROM named_people") == 3
    await connection.execute("DELETE FROM named_people")
    assert await _index(harness) == 2
    assert await connection.fetchval("SELECT count(*) FROM named_people") == 2
    assert await connection.fetchval("SELECT count(*) FROM unindexed_messages") == 0


async def _unreadable(harness: ErasureHarness) -> float | None:
    async with harness.ingest.ingest.service.database.read() as session:
        await update_unreadable(session)
    return REGISTRY.get_sample_value("gospablik_unreadable_messages")


# Python refuses to parse a number with so many digits.
HUGE = '{"n": ' + "9" * 5_000 + f', "user_id": {NATIVE_ID}}}'


async def test_unreadable_message_does_not_stop_the_others_and_erasures_wait_for_it(
    harness: ErasureHarness,
) -> None:
    connection = harness.ingest.raw_connection
    await harness.ingest.take(
        harness.direct_message(),
        _comment(harness, "Раз", 31, from_id=THIRD),
        *(_comment(harness, f"{LINK}, верно", number) for number in (32, 33, 34)),
    )
    await connection.execute("UPDATE messages SET raw = $1 WHERE external_id = '-101_33'", HUGE)
    await _forget_index(harness)
    assert await _index(harness) == 5
    assert await connection.fetchval("SELECT count(*) FROM unindexed_messages") == 0
    assert await _unreadable(harness) == 1
    erasure_id = (await harness.request()).json()["id"]
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    message_id = (await harness.ingest.row("-101_33"))["id"]
    assert str(message_id) in (await harness.record(erasure_id))["error"]
    for one in ("-101_32", "-101_34"):
        assert (await harness.ingest.row(one))["text"] == "[данные удалены], верно"
    third = (await harness.request(key=author_key("vk", str(THIRD)))).json()["id"]
    await harness.run(third)
    assert (await harness.record(third))["status"] == "done"
    await _index(harness)
    assert await _unreadable(harness) == 1
    await connection.execute("UPDATE messages SET raw = '{}' WHERE id = $1", message_id)
    await _index(harness)
    assert await _unreadable(harness) == 0
    await harness.run(erasure_id)
    assert await harness.found() == []


async def test_all_unreadable_messages_are_read_again_in_turn(
    harness: ErasureHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.ingest.take(*(_comment(harness, f"{LINK}, верно", number) for number in (31, 32)))
    await harness.ingest.raw_connection.execute("UPDATE messages SET raw = $1", HUGE)
    await _forget_index(harness)
    await _index(harness)
    assert await _unreadable(harness) == 2
    monkeypatch.setattr("services.ingest.erasure.index_older_messages.BATCH", 1)
    await harness.ingest.raw_connection.execute(
        "UPDATE messages SET raw = '{}' WHERE id = (SELECT max(message_id::text)::uuid FROM named_people)"
    )
    for _ in range(50):
        await _index(harness)
        if await _unreadable(harness) == 1:
            break
    assert await _unreadable(harness) == 1


async def test_payload_of_an_odd_type_does_not_stop_the_index(harness: ErasureHarness) -> None:
    """It fails only where an erased person is to be removed from it."""
    connection = harness.ingest.raw_connection
    await harness.ingest.take(harness.direct_message())
    await harness.erase()
    await harness.ingest.take(_comment(harness, "Верно", 31), _comment(harness, "Верно", 32))
    await connection.execute(
        "UPDATE messages SET text = $1, raw = CASE external_id WHEN '-101_31' THEN $2::jsonb ELSE '{}' END"
        " WHERE external_id IN ('-101_31', '-101_32')",
        f"{LINK}, верно",
        json.dumps([{"user_id": int(NATIVE_ID)}]),
    )
    await _forget_index(harness)
    assert await _index(harness) == 3
    assert (await harness.ingest.row("-101_32"))["text"] == "[данные удалены], верно"
    assert await _unreadable(harness) == 1
    await connection.execute("UPDATE messages SET raw = '{}' WHERE external_id = '-101_31'")
    await _index(harness)
    assert await _unreadable(harness) == 0
    assert await harness.found() == []


async def test_messages_that_name_a_person_are_found_by_the_index(harness: ErasureHarness) -> None:
    database = harness.ingest.ingest.service.database
    await harness.ingest.take(harness.direct_message(), _comment(harness, f"{LINK}, верно"))
    async with database.read() as session:
        subject = await find_subject(session, harness.key)
        assert len(await messages_naming(session, subject, UUID(int=0))) == 1
    for mode in MODES:
        plans = await explain(
            database,
            lambda session: messages_naming(session, subject, UUID(int=0)),
            mode,
            {"enable_seqscan": "off"},
        )
        assert {index for plan in plans.plans for index in plan.indexes} == {"pk_named_people"}
