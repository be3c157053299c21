"""Erasure of a citizen's data in ingest: rows lose text and ids."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from unittest import mock
from uuid import UUID, uuid4

import pytest

from services.ingest.erasure.expired_authors import erase_expired_authors
from services.ingest.erasure.runner import fail
from services.ingest.networks.port import Author
from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.erased_digests import erased_external_id
from shared import clock
from shared.jobs import RetryLater
from shared.tables.ingest_erasure import Erasure
from tests.conftest import TestDatabase
from tests.integration.ingest.erasure_harness import (
    BODY,
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


async def test_erased_messages_stay_as_rows_without_text_and_ids(harness: ErasureHarness) -> None:
    await write_everything(harness)
    assert await harness.found()
    before = await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM messages")
    record = await harness.erase()
    assert (record["status"], record["error"]) == ("done", None)
    assert record["counts"]["ingest"]["messages"] == 3
    assert record["counts"]["ingest"]["message_versions"] == 1
    assert await harness.found() == []
    assert await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM messages") == before
    comment = await harness.ingest.row()
    assert (comment["text"], comment["written_at"]) == ("", MOMENT)
    assert comment["author_key"].startswith("erased-")
    assert (await harness.ingest.row("-101_9"))["text"] == "Чужие слова"
    direct = await harness.ingest.raw_connection.fetch("SELECT * FROM messages WHERE kind = 'message'")
    assert len({row["external_id"] for row in direct}) == 2
    assert len({row["thread_key"] for row in direct}) == 1
    shown = await harness.ingest.get_json(comment["id"])
    assert shown["erased_at"] is not None
    assert (shown["text"], shown["versions"]) == ("", [])


async def test_events_of_erased_messages_keep_their_position_and_lose_ids(harness: ErasureHarness) -> None:
    await write_everything(harness)
    await harness.read_by_appeals()
    query = "SELECT id, position, type, subject_id, data FROM events ORDER BY write_order"
    before = await harness.ingest.raw_connection.fetch(query)
    await harness.erase()
    after = await harness.ingest.raw_connection.fetch(query)
    assert [tuple(row)[:4] for row in after] == [tuple(row)[:4] for row in before]
    for old, new in zip(before, after, strict=True):
        assert json.loads(old["data"]).keys() == json.loads(new["data"]).keys()
    direct = [json.loads(row["data"]) for row in after if json.loads(row["data"])["kind"] == "message"]
    stored = await harness.ingest.raw_connection.fetchval("SELECT thread_key FROM messages WHERE kind = 'message'")
    assert {data["thread_key"] for data in direct} == {stored}


async def test_events_of_messages_that_are_not_erased_cannot_be_changed(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    subjects = [(await harness.ingest.row())["id"]]
    connection = await harness.others.database.connect("ingest")
    try:
        assert await connection.fetchval("SELECT erase_events($1)", subjects) == 0
    finally:
        await connection.close()
    assert harness.key in await harness.dump()


async def test_temporary_table_cannot_make_events_of_a_message_erasable(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    row = await harness.ingest.row()
    connection = await harness.others.database.connect("ingest")
    try:
        await connection.execute("CREATE TEMPORARY TABLE messages (LIKE public.messages)")
        await connection.execute(
            "INSERT INTO pg_temp.messages SELECT * FROM public.messages WHERE id = $1", row["id"]
        )
        await connection.execute("UPDATE pg_temp.messages SET erased_at = now(), thread_key = 'other'")
        assert await connection.fetchval("SELECT erase_events($1)", [row["id"]]) == 0
    finally:
        await connection.close()


async def test_repeated_request_returns_the_existing_erasure(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    first = (await harness.request()).json()
    assert (await harness.request()).json()["id"] == first["id"]
    await harness.run(first["id"])
    again = await harness.request()
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, first["id"], "done")


async def test_unknown_author_is_not_found(harness: ErasureHarness) -> None:
    assert (await harness.request(key="0" * 64)).status_code == 404


@pytest.mark.parametrize("role", ["analyst", "head", "auditor", "operations"])
async def test_roles_without_the_right_may_neither_erase_nor_read_erasures(
    harness: ErasureHarness, role: str
) -> None:
    await harness.ingest.take(harness.comment())
    assert (await harness.request(role)).status_code == 403
    answer = await harness.ingest.ingest.client.get(
        "/api/v1/erasures", headers=harness.ingest.ingest.headers(role)
    )
    assert answer.status_code == 403
    assert (await harness.ingest.row())["text"] == WORDS


async def test_killed_erasure_is_completed_by_the_next_run(harness: ErasureHarness) -> None:
    await write_everything(harness)
    erasure_id = (await harness.request()).json()["id"]
    for step in ("erase_conversations", "erase_traces"):
        target = f"services.ingest.erasure.runner.{step}"
        with mock.patch(target, side_effect=ConnectionResetError), pytest.raises(ConnectionResetError):
            await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["status"] == "running"
    await harness.run(erasure_id)
    await harness.run(erasure_id)
    record = await harness.record(erasure_id)
    assert record["status"] == "done"
    assert record["counts"]["ingest"]["messages"] == 3
    assert await harness.found() == []


async def test_erasure_waits_for_another_service(harness: ErasureHarness) -> None:
    await write_everything(harness)
    erasure_id = (await harness.request()).json()["id"]
    harness.others.failing = {"webhooks"}
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    record = await harness.record(erasure_id)
    assert record["status"] == "running"
    assert "webhooks" in record["error"]
    harness.others.failing = set()
    await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["error"] is None
    assert await harness.found() == []


async def test_failed_erasure_is_queued_again_by_the_same_request(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    erasure_id = (await harness.request()).json()["id"]
    async with harness.ingest.ingest.service.database.write() as session:
        await fail(session, UUID(erasure_id), "reason")
    record = await harness.record(erasure_id)
    assert (record["status"], record["error"]) == ("failed", "reason")
    assert (await harness.request()).json() | {"status": "queued"} == (await harness.record(erasure_id))


async def test_erasure_is_repeated_from_its_record_after_a_backup_restore(harness: ErasureHarness) -> None:
    await write_everything(harness)
    record = {
        "author_digest": (await harness.request()).json()["author_digest"],
        "until": "2026-03-02T05:00:00+00:00",
        **BODY,
    }
    # Restore a backup from before the erasure; later the citizen wrote again.
    await harness.ingest.raw_connection.execute("DELETE FROM erased_keys")
    await harness.ingest.raw_connection.execute("DELETE FROM erasures")
    await harness.ingest.take(
        harness.ingest.item(
            "Новое",
            external_id="-101_30",
            written_at=MOMENT + timedelta(days=2),
            author=Author(native_id=NATIVE_ID),
        )
    )
    headers = harness.ingest.ingest.headers("moderator")
    answers = [
        await harness.ingest.ingest.client.post("/api/v1/erasures", json=record, headers=headers) for _ in range(2)
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    await harness.run(answers[0].json()["id"])
    repeated = await harness.record(answers[0].json()["id"])
    assert (repeated["status"], repeated["counts"]["ingest"]["messages"]) == ("done", 3)
    assert (await harness.ingest.row())["text"] == ""
    assert (await harness.ingest.row("-101_30"))["text"] == "Новое"
    await harness.ingest.take(harness.direct_message(change="observed"))
    assert not [word for word in WORDS.split() if word in await harness.dump()]


async def test_quarantined_payload_of_the_person_is_deleted(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    others = f'{{"from_id": {NATIVE_ID}0, "id": {NATIVE_ID}}}'
    for raw in (f'{{"from_id": {NATIVE_ID}}}', others):
        await harness.ingest.raw_connection.execute(
            "INSERT INTO quarantine (id, network, source_kind, reason, raw, created_at)"
            " VALUES ($1, 'vk', 'callback', 'no text', $2, now())",
            uuid4(),
            raw,
        )
    await harness.erase()
    left = await harness.ingest.raw_connection.fetch("SELECT raw FROM quarantine")
    assert [row["raw"] for row in left] == [others]


async def test_erasure_removes_the_persons_id_but_not_other_numbers_equal_to_it(harness: ErasureHarness) -> None:
    raws = {
        "-101_8": {"from_id": 5, "post_id": int(NATIVE_ID)},
        "-101_9": {"from_id": 5, "reply_to_user": int(NATIVE_ID), "edited": 1772500000},
    }
    await harness.ingest.take(
        harness.comment(), *(harness.ingest.item("Чужие", external_id=id_, raw=raw) for id_, raw in raws.items())
    )
    await harness.erase()
    stored = {id_: json.loads((await harness.ingest.row(id_))["raw"]) for id_ in raws}
    assert stored == {"-101_8": raws["-101_8"], "-101_9": {"edited": 1772500000}}


async def test_erasure_waits_for_a_reply_that_is_being_published(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    message_id = (await harness.ingest.row(f"{CONVERSATION}_1"))["id"]
    for status in ("queued", "sending"):
        answer = await harness.ingest.ingest.client.post(
            "/internal/publications",
            json={
                "reply_id": str(uuid4()),
                "message_id": str(message_id),
                "text": f"Шорьки {status}",
                "on_behalf_of": "someone",
            },
            headers=harness.ingest.ingest.service_headers("appeals"),
        )
        assert answer.status_code == 201, answer.text
        await harness.ingest.raw_connection.execute(
            "UPDATE publications SET status = $2 WHERE id = $1", UUID(answer.json()["id"]), status
        )
    erasure_id = (await harness.request()).json()["id"]
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    rows = await harness.ingest.raw_connection.fetch(
        "SELECT status, text, failure FROM publications ORDER BY status"
    )
    assert [(row["status"], row["text"]) for row in rows] == [("failed", ""), ("sending", "Шорьки sending")]
    assert json.loads(rows[0]["failure"])["code"] == "author_erased"
    await harness.ingest.raw_connection.execute(
        "UPDATE publications SET status = 'published', external_id = $1, url = $2 WHERE status = 'sending'",
        f"{CONVERSATION}_9",
        f"https://vk.com/gim101?sel={NATIVE_ID}",
    )
    await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["status"] == "done"
    assert await harness.found() == []
    # Our message, read again, is recognised by its replaced id, even with a later time.
    again = harness.direct_message(
        "Шорьки sending",
        9,
        author=None,
        from_community=True,
        change="observed",
        written_at=clock.now() + timedelta(hours=1),
    )
    assert (await harness.ingest.take(again)).new == 1
    assert await harness.found() == []


async def test_erasure_waits_until_a_reply_edit_is_finished(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    first = await insert_publication(harness, "published")
    execute = harness.ingest.raw_connection.execute
    await execute("UPDATE publications SET parts = 2")
    await execute(
        """INSERT INTO publications (id, reply_id, part, parts, page_id, organisation_id, network, kind,
           thread_key, text, on_behalf_of, status, attempts, version, created_at, updated_at)
           SELECT $1, reply_id, 1, 2, page_id, organisation_id, network, kind, thread_key, 'Шорьки', on_behalf_of,
           'published', 1, 1, now(), now() FROM publications""",
        uuid4(),
    )
    await execute(
        """INSERT INTO publication_changes (id, publication_id, kind, text, part_texts, on_behalf_of, status,
           parts, parts_done, attempts, created_at, updated_at)
           VALUES ($1, $2, 'edit', 'a b', ARRAY['a', 'b'], 'x', 'queued', 2, 0, 0, now(), now())""",
        uuid4(), first,
    )  # fmt: skip
    erasure_id = (await harness.request()).json()["id"]
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    assert await harness.ingest.raw_connection.fetchval("SELECT count(erased_at) FROM publications") == 0
    await execute("UPDATE publication_changes SET status = 'done'")
    await execute("UPDATE publications SET text = 'Шорьки исправлены'")
    await harness.run(erasure_id)
    assert await harness.ingest.raw_connection.fetchval("SELECT count(erased_at) FROM publications") == 2
    assert await harness.found() == []


async def test_reply_to_an_erased_message_is_refused(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    await harness.erase()
    answer = await harness.ingest.ingest.client.post(
        "/internal/publications",
        json={
            "reply_id": str(uuid4()),
            "message_id": str((await harness.ingest.row())["id"]),
            "text": "Ответ",
            "on_behalf_of": "someone",
        },
        headers=harness.ingest.ingest.service_headers("appeals"),
    )
    assert answer.status_code == 422


async def test_authors_are_erased_after_their_retention_period(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    service = harness.ingest.ingest.service
    jobs = service.jobs
    assert jobs is not None
    age = clock.now() - MOMENT
    assert await erase_expired_authors(service.database, jobs, age + timedelta(days=1)) == 0
    assert await erase_expired_authors(service.database, jobs, age - timedelta(days=1)) == 1
    (erasure_id,) = [row["id"] for row in await harness.ingest.raw_connection.fetch("SELECT id FROM erasures")]
    await harness.run(str(erasure_id))
    record = await harness.record(str(erasure_id))
    assert (record["status"], record["ground"], record["requested_by"]) == ("done", "retention_ended", "ingest")
    assert await harness.found() == []
    assert await erase_expired_authors(service.database, jobs, timedelta(0)) == 0


async def test_author_with_an_open_appeal_is_kept(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    service = harness.ingest.ingest.service
    assert service.jobs is not None
    raw_connection = harness.ingest.raw_connection
    appeal = await raw_connection.fetchval(
        """INSERT INTO appeals (id, version, status, urgency, transfers, returns, text, written_at, opened_at,
               network, route, author_key, created_at, updated_at)
           VALUES (gen_random_uuid(), 1, 'interim', 'normal', 0, 0, '', $2, $2, 'vk', '{}', $1, $2, $2)
           RETURNING id""",
        harness.key,
        MOMENT,
    )
    assert await erase_expired_authors(service.database, service.jobs, timedelta(0)) == 0
    await raw_connection.execute("UPDATE appeals SET status = 'closed' WHERE id = $1", appeal)
    assert await erase_expired_authors(service.database, service.jobs, timedelta(0)) == 1


async def test_colleague_who_gets_notices_is_kept(harness: ErasureHarness) -> None:
    """Colleagues link a conversation by a code, and then only read the notices in it."""
    await harness.ingest.take(harness.direct_message("Код 123456"))
    service, raw_connection = harness.ingest.ingest.service, harness.ingest.raw_connection
    assert service.jobs is not None
    publication = await insert_publication(harness, "published")
    year = timedelta(days=365)
    await raw_connection.execute("UPDATE messages SET written_at = now() - interval '400 days'")
    await raw_connection.execute("UPDATE publications SET on_behalf_of = 'notices', created_at = now()")
    assert await erase_expired_authors(service.database, service.jobs, year) == 0
    # The publication is purged before its message.
    await harness.ingest.take(
        harness.direct_message("Новое обращение", 2, author=None, from_community=True, written_at=clock.now())
    )
    await raw_connection.execute("UPDATE messages SET publication_id = $1 WHERE from_community", publication)
    await raw_connection.execute("DELETE FROM publications")
    assert await erase_expired_authors(service.database, service.jobs, year) == 0
    await raw_connection.execute("UPDATE messages SET written_at = now() - interval '366 days'")
    assert await erase_expired_authors(service.database, service.jobs, year) == 1


async def test_notice_of_the_past_does_not_keep_a_colleague(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message("Код 123456"))
    service, raw_connection = harness.ingest.ingest.service, harness.ingest.raw_connection
    assert service.jobs is not None
    await insert_publication(harness, "published")
    old = "now() - interval '366 days'"
    await raw_connection.execute(f"UPDATE messages SET written_at = {old}")
    await raw_connection.execute(f"UPDATE publications SET on_behalf_of = 'notices', created_at = {old}")
    assert await erase_expired_authors(service.database, service.jobs, timedelta(days=365)) == 1


async def test_erasure_succeeds_although_a_row_already_has_the_replacement_id(harness: ErasureHarness) -> None:
    await write_everything(harness)
    await harness.ingest.raw_connection.execute(
        "UPDATE messages SET kind = 'message', external_id = $1, text = '', raw = '{}'"
        " WHERE external_id = '-101_9'",
        erased_external_id("vk", f"{CONVERSATION}_1"),
    )
    assert (await harness.erase())["status"] == "done"
    assert await harness.found() == []


async def test_request_with_the_pseudonym_of_an_erased_author_returns_the_erasure(harness: ErasureHarness) -> None:
    await write_everything(harness)
    erased = await harness.erase()
    again = await harness.request(key=(await harness.ingest.row())["author_key"])
    assert (again.status_code, again.json()["id"]) == (202, erased["id"])
    assert (await harness.request(key="erased-unknown")).status_code == 404


async def test_erasure_request_during_the_job_does_not_block_the_intake(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    erasure_id = (await harness.request()).json()["id"]
    async with harness.ingest.ingest.service.database.write() as session:
        await session.get_one(Erasure, UUID(erasure_id), with_for_update=True)
        assert (await harness.request()).json()["id"] == erasure_id
        await harness.ingest.take(harness.comment(external_id="-101_40"))


async def test_author_who_writes_at_the_end_of_the_retention_period_is_not_erased(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    service = harness.ingest.ingest.service
    assert service.jobs is not None
    age = clock.now() - MOMENT - timedelta(days=1)
    listed = [harness.key]
    with mock.patch("services.ingest.erasure.expired_authors._expired_authors", side_effect=[listed, []]):
        assert await erase_expired_authors(service.database, service.jobs, age) == 0
    assert await erase_expired_authors(service.database, service.jobs, age) == 1
    # Written before the erasure of expired authors ran, and collected after it.
    await harness.ingest.take(
        harness.comment("Новое", external_id="-101_30", written_at=clock.now() - timedelta(minutes=5))
    )
    assert (await harness.ingest.row("-101_30"))["text"] == "Новое"


async def test_staff_messages_with_a_time_after_the_request_are_erased(harness: ErasureHarness) -> None:
    await harness.ingest.take(
        harness.direct_message(),
        harness.direct_message(
            "Бармаглот", 2, author=None, from_community=True, written_at=clock.now() + timedelta(hours=1)
        ),
    )
    await harness.erase()
    assert await harness.found() == []


async def test_reply_sent_after_the_request_is_erased_with_its_message(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.direct_message())
    await insert_publication(harness, "sending")
    erasure_id = (await harness.request()).json()["id"]
    await harness.ingest.take(
        harness.direct_message(
            "Шорьки sending", 9, author=None, from_community=True, written_at=clock.now() + timedelta(hours=1)
        )
    )
    assert (await harness.ingest.row(f"{CONVERSATION}_9"))["text"] == "Шорьки sending"
    await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["status"] == "done"
    assert await harness.found() == []
    assert "Шорьки" not in await harness.dump()


async def test_text_in_grades_of_answers_is_erased_and_counted(harness: ErasureHarness) -> None:
    await harness.ingest.take(harness.comment())
    appeal_id, reply_id, item_id = uuid4(), uuid4(), uuid4()
    execute = harness.ingest.raw_connection.execute
    organisation_id = await harness.ingest.raw_connection.fetchval("SELECT organisation_id FROM messages")
    await execute(
        """INSERT INTO appeals (id, version, status, urgency, transfers, returns, text, written_at, opened_at,
               network, route, author_key, created_at, updated_at)
           VALUES ($1, 1, 'closed', 'normal', 0, 0, '', $2, $2, 'vk', '{}', $3, $2, $2)""",
        appeal_id, MOMENT, harness.key,
    )  # fmt: skip
    await execute(
        """INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, version, created_at, updated_at)
           VALUES ($1, $2, 'gospablik', 'final', $3, 'published', 'x', 1, $4, $4)""",
        reply_id, appeal_id, WORDS, MOMENT,
    )  # fmt: skip
    await execute(
        """INSERT INTO grading_samples (id, week, rubric_id, seed, size, second_share, answers, created_by,
               created_at)
           SELECT $1, '2026-W10', id, 'x', 1, 0, 1, 'x', $2 FROM grading_rubrics""",
        item_id, MOMENT,
    )  # fmt: skip
    await execute(
        """INSERT INTO grading_items (id, sample_id, position, reply_id, organisation_id, kind, published_at,
               edits, stratum_size, graders_wanted, created_at)
           VALUES ($1, $1, 1, $2, $3, 'final', $4, 0, 1, 1, $4)""",
        item_id, reply_id, organisation_id, MOMENT,
    )  # fmt: skip
    await execute(
        """INSERT INTO grading_grades (id, item_id, number, grader, claimed_until, scores, comment, created_at)
           VALUES ($1, $1, 1, 'x', $2, '{}', $3, $2)""",
        item_id, MOMENT, WORDS,
    )  # fmt: skip
    assert (await harness.erase())["counts"]["metrics"] == {"graded_answers": 1}
    assert await harness.found() == []
