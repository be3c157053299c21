"""Erasure of a citizen's texts in appeals, as ingest requests it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.appeals.erasure.stored_values import without_words
from services.appeals.incidents.bulk_reply import create_replies_batch
from services.appeals.lifecycle.erasure_lock import lock_erasure
from shared.database.sessions import Database
from tests.integration.appeals import reply_helpers
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_reply_attachments import upload
from tests.integration.appeals.test_reply_changes import EDIT, WITHDRAWAL, change, emit_outcome, published

WORD = "фырбаджик"
TEXT = f"{QUESTION} Там {WORD} на улице Жердева, 20"
PSEUDONYM = "erased-1"
THREAD = "vk:101_5001"
FAILURE = {"code": "vk:15", "message": "Сеть отказала.", "final": True}
HOUR = timedelta(hours=1)
LATER = datetime(2100, 1, 1, tzinfo=UTC)


async def _erase(scenario: AppealsScenario, until: datetime = LATER) -> httpx.Response:
    """Erase the author «anna»: her messages as ingest does, then her appeals by two equal requests."""
    await scenario.ingest.execute(
        "UPDATE messages SET text = '', author_key = $1, erased_at = now(), url = '',"
        " thread_key = CASE thread_key WHEN $2 THEN 'erased-thread' ELSE thread_key END"
        " WHERE author_key = 'anna' AND written_at <= $3",
        PSEUDONYM,
        THREAD,
        until,
    )
    answer = None
    for _ in range(2):
        answer = await scenario.appeals.client.post(
            "/internal/erasures/appeals",
            json={
                "author_key": "anna",
                "pseudonym": PSEUDONYM,
                "until": until.isoformat(),
                "threads": {THREAD: "erased-thread"},
            },
            headers=scenario.appeals.service_headers("ingest"),
        )
        assert answer.status_code == 200, answer.text
    assert answer is not None
    return answer


async def _rows_with(scenario: AppealsScenario, word: str) -> list[str]:
    connection = await scenario.database.connect("gospablik_owner")
    try:
        tables = await connection.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
        return [
            row["name"]
            for row in tables
            if row["name"] not in {"events", "messages"}  # erased by ingest, not by appeals
            and await connection.fetchval(
                f"SELECT count(*) FROM {row['name']} t WHERE strpos(lower(t::text), $1) > 0",
                word,
            )
        ]
    finally:
        await connection.close()


async def _written_about(scenario: AppealsScenario, *, thread: str = THREAD) -> dict[str, Any]:
    """Create an appeal of «anna» and quote her in a note, a pause and a transfer; return the opened appeal."""
    await scenario.citizen_writes(TEXT, author="anna", thread=thread, kind="message")
    appeal = await scenario.single_appeal()
    for path, body in (
        ("notes", {"text": f"Пишет: {WORD}", "visibility": "everyone_on_appeal"}),
        ("clocks/pause", {"reason": f"Ждём, где {WORD}"}),
        ("clocks/resume", {"reason": f"Назвали {WORD}"}),
    ):
        answer = await scenario.post(f"/appeals/{appeal['id']}/{path}", body, If_Match="*")
        assert answer.status_code < 300, answer.text
    current = await scenario.appeal(appeal["id"])
    moved = await scenario.move(
        current, "assigned", organisation_id=str(scenario.other_organisation), reason=f"Их {WORD}"
    )
    assert moved.status_code == 200, moved.text
    return appeal


async def test_erased_appeal_loses_its_texts_and_keeps_its_history(scenario: AppealsScenario) -> None:
    appeal = await _written_about(scenario)
    before = await scenario.appeal(appeal["id"])
    await reply_helpers.answer(scenario, before, f"Здравствуйте! По вопросу о {WORD}е приедем завтра.")
    before = await scenario.appeal(appeal["id"])
    assert await _rows_with(scenario, WORD)
    done = (await _erase(scenario)).json()
    assert done["is_done"]
    assert done["counts"] == {"appeals": 1, "replies": 1, "notes": 1, "classifications": 1}
    assert await _rows_with(scenario, WORD) == []
    assert await _rows_with(scenario, "101_5001") == []
    after = await scenario.appeal(appeal["id"])
    same = (
        "number", "status", "topic", "urgency", "organisation", "written_at", "opened_at", "first_response_due_at",
        "resolution_due_at", "transfers", "deadline",
    )  # fmt: skip
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (after["text"], after["channel"]["url"]) == ("", None)
    assert (after["location"] or {}).get("street") is None
    assert after["erased_at"] is not None
    assert after["version"] > before["version"]
    assert [entry["kind"] for entry in after["timeline"]] == [entry["kind"] for entry in before["timeline"]]
    # The reply had not reached ingest, so it is marked as failed and never published.
    assert [(reply["text"], reply["status"]) for reply in after["replies"]] == [("", "failed")]
    found = await scenario.get("/appeals", q=WORD)
    assert found.json()["items"] == []


async def test_reasons_of_pauses_are_erased_from_ended_clocks(scenario: AppealsScenario) -> None:
    appeal = await _written_about(scenario)
    # The pause is moved before the deadline, so that the explanation of the clock contains its reason.
    owner = await scenario.database.connect("gospablik_owner")
    for kind, at in (("paused", WEDNESDAY + HOUR), ("resumed", WEDNESDAY + 2 * HOUR)):
        await owner.execute("UPDATE sla_clock_events SET at = $2 WHERE kind = $1", kind, at)
    await scenario.citizen_writes(
        "Починили.", kind="message", thread=THREAD, from_community=True, at=WEDNESDAY + 3 * HOUR
    )
    path = f"/appeals/{appeal['id']}/deadlines"
    before = (await scenario.get(path)).json()["clocks"]
    assert {clock["state"] for clock in before} == {"stopped"}
    assert all(f"пауза (Ждём, где {WORD})" in clock["text"] for clock in before)
    await _erase(scenario)
    assert await _rows_with(scenario, WORD) == []
    after = (await scenario.get(path)).json()["clocks"]
    same = ("state", "used_seconds", "left_seconds", "due_at", "stopped_at")
    for erased, former in zip(after, before, strict=True):
        assert {name: erased[name] for name in same} == {name: former[name] for name in same}
        assert erased["text"] == former["text"].replace(f" (Ждём, где {WORD})", "")
        paused = [part for part in erased["segments"] if part["why_not"] == "paused"]
        assert paused
        assert {part["note"] for part in paused} == {None}
    # The second read is not recorded: it showed nothing that people wrote.
    assert await owner.fetchval("SELECT count(*) FROM personal_data_reads WHERE action LIKE '%deadlines%'") == 1
    await owner.close()


async def test_address_of_a_conversation_does_not_come_back_with_a_reply_under_way(
    scenario: AppealsScenario,
) -> None:
    appeal = await _written_about(scenario)
    reply = await reply_helpers.answer(scenario, appeal, "Здравствуйте! Починим завтра.")
    await reply_helpers.execute(scenario, "UPDATE replies SET publication_id = gen_random_uuid()")
    await _erase(scenario)
    await scenario.emit(
        "publication.published", UUID(int=7), scenario.organisation, reply_id=reply["id"],
        external_ids=["101_5001_9"], url="https://vk.com/gim101?sel=5001", published_at=WEDNESDAY.isoformat(),
        matched=False,
    )  # fmt: skip
    await scenario.process_events()
    (shown,) = (await scenario.appeal(appeal["id"]))["replies"]
    assert (shown["status"], shown["url"]) == ("published", None)
    (answered,) = await scenario.events("appeal.answered")
    assert "sel=5001" not in answered["data"]
    assert await _rows_with(scenario, "sel=5001") == []


@pytest.mark.parametrize("has_other_appeal", [False, True])
async def test_reason_of_a_spike_is_erased_with_the_title_of_the_incident(
    scenario: AppealsScenario, has_other_appeal: bool
) -> None:
    appeal = await reply_helpers.appeal(scenario)
    ids = [appeal["id"]]
    if has_other_appeal:
        ids.append((await reply_helpers.appeal(scenario, author="boris", thread="vk:-101_2"))["id"])
    made = await scenario.post("/incidents", {"appeal_ids": ids, "title": f"Нет света: {WORD}"})
    await reply_helpers.execute(
        scenario,
        "INSERT INTO alerts (id, kind, incident_id, why, created_at) VALUES ($1, 'spike', $2, $3, now())",
        uuid4(),
        UUID(made.json()["id"]),
        f"Нет света: {WORD}. 8 человек за час",
    )
    await _erase(scenario)
    kept = {"alerts", "incidents"} if has_other_appeal else set()
    assert set(await _rows_with(scenario, WORD)) == kept


async def test_nobody_can_reply_to_an_erased_appeal(scenario: AppealsScenario) -> None:
    appeal = await _written_about(scenario)
    await _erase(scenario)
    answer = await scenario.post(f"/appeals/{appeal['id']}/replies", {"text": "Здравствуйте! Починим завтра."})
    assert answer.status_code == 409


async def test_staff_reply_that_is_collected_after_the_erasure_is_not_attached(scenario: AppealsScenario) -> None:
    question = await scenario.citizen_writes(TEXT, author="anna")
    appeal = await scenario.single_appeal()
    await _erase(scenario)
    await scenario.citizen_writes(
        f"Анна, {WORD} ждёт вас",
        from_community=True,
        reply_to=await scenario.external_id(question),
        at=WEDNESDAY + timedelta(hours=1),
    )
    assert (await scenario.appeal(appeal["id"]))["replies"] == []
    assert await _rows_with(scenario, WORD) == []


async def test_erased_staff_message_is_not_a_reply_to_another_citizen(scenario: AppealsScenario) -> None:
    thread: dict[str, Any] = {"thread": "vk:-101_9"}
    await scenario.insert_message(TEXT, author="anna", kind="wall_post", **thread)
    await scenario.ingest.execute("UPDATE messages SET text = '', erased_at = now()")
    await scenario.citizen_writes(TEXT, author="boris", **thread)
    message_id = await scenario.insert_message(
        f"Анна, {WORD}", from_community=True, at=WEDNESDAY + timedelta(hours=1), **thread
    )
    await scenario.ingest.execute("UPDATE messages SET text = '', erased_at = now() WHERE id = $1", message_id)
    await scenario.process_events()
    appeal = await scenario.single_appeal()
    assert (appeal["replies"], appeal["first_response_at"]) == ([], None)


async def test_message_that_is_handled_after_its_erasure_opens_no_appeal(scenario: AppealsScenario) -> None:
    message_id = await scenario.insert_message(TEXT, author="anna")
    await scenario.ingest.execute("UPDATE messages SET text = '', erased_at = now() WHERE id = $1", message_id)
    await scenario.process_events()
    assert await scenario.all() == []


async def test_nobody_can_decide_that_an_erased_message_needs_an_answer(scenario: AppealsScenario) -> None:
    appeal = await _written_about(scenario)
    (message,) = (await scenario.appeal(appeal["id"]))["messages"]
    late = await scenario.insert_message(TEXT, author="anna")
    await _erase(scenario)
    for message_id in (message["id"], late):
        decided = await scenario.post(f"/messages/{message_id}/triage", {"needs_answer": True})
        assert decided.status_code == 409, decided.text
    assert len(await scenario.all()) == 1


async def test_decision_during_an_erasure_is_refused(scenario: AppealsScenario) -> None:
    message_id = await scenario.insert_message(TEXT, author="anna")
    async with Database(scenario.database.url("appeals"), 1, name="test").write() as session:
        await lock_erasure(session)
        decided = await scenario.post(f"/messages/{message_id}/triage", {"needs_answer": True})
        assert decided.status_code == 409, decided.text


async def test_message_written_after_the_erasure_request_gets_a_separate_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    until, text = WEDNESDAY + timedelta(minutes=1), "И тротуар разбит"
    later = await scenario.citizen_writes(text, at=until + timedelta(minutes=1))
    appeal = await scenario.single_appeal()
    assert len(appeal["messages"]) == 2
    await _erase(scenario, until)
    erased = await scenario.appeal(appeal["id"])
    assert erased["erased_at"] is not None
    (new,) = [one for one in await scenario.all() if one["id"] != appeal["id"]]
    found = await scenario.appeal(new["id"])
    assert [one["id"] for one in found["messages"]] == [str(later)]
    assert (found["text"], found["erased_at"]) == (text, None)


async def test_published_reply_to_an_erased_appeal_can_only_be_withdrawn(scenario: AppealsScenario) -> None:
    found = await reply_helpers.appeal(scenario)
    reply = await published(scenario, found)
    await _erase(scenario)
    (reply,) = await reply_helpers.replies_of(scenario, found)
    assert (await change(scenario, found, reply, EDIT)).status_code == 409
    assert (await change(scenario, found, reply, WITHDRAWAL)).status_code < 300


async def test_edit_finished_after_the_erasure_restores_no_text(scenario: AppealsScenario) -> None:
    for outcome, data in (("change_failed", {"failure": FAILURE}), ("edited", {})):
        found = await reply_helpers.appeal(scenario, thread=f"vk:-101_{len(outcome)}")
        reply = await published(scenario, found)
        asked = await change(scenario, found, reply, EDIT)
        await scenario.ingest.execute("UPDATE publications SET text = $1", WORD)
        await scenario.ingest.execute(
            """INSERT INTO publication_changes (id, publication_id, kind, text, on_behalf_of, status, parts,
               parts_done, attempts, created_at, updated_at)
               SELECT $2, id, 'edit', 'x', 'x', 'failed', 2, 1, 2, now(), now() FROM publications
               WHERE reply_id = $1""",
            UUID(reply["id"]), UUID(asked.json()["changes"][0]["id"]),
        )  # fmt: skip
        await reply_helpers.execute(scenario, "UPDATE reply_changes SET accepted_at = now()")
        await _erase(scenario)
        await emit_outcome(scenario, reply, asked, outcome, **data)
        (shown,) = await reply_helpers.replies_of(scenario, found)
        assert (shown["text"], shown["changes"][0]["status"]) == ("", "failed" if data else "applied")
        assert set(await _rows_with(scenario, WORD)) == {"publications"}


@pytest.mark.usefixtures("images_in_process")
async def test_photos_of_edits_lose_their_names_on_erasure(scenario: AppealsScenario) -> None:
    found = await reply_helpers.appeal(scenario)
    reply = await published(scenario, found)
    photo = await upload(scenario)
    asked = await change(scenario, found, reply, EDIT | {"attachments": [photo]})
    await emit_outcome(scenario, reply, asked, "change_failed", failure=FAILURE)
    await reply_helpers.execute(scenario, "UPDATE attachments SET name = $1", f"{WORD}.jpg")
    await _erase(scenario)
    assert await _rows_with(scenario, WORD) == []


async def test_responses_stored_for_idempotency_keys_are_erased(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(TEXT, author="anna")
    appeal = await scenario.single_appeal()
    # A message of another author in the same appeal: the reply to it names no message of «anna».
    other = await scenario.insert_message("А у нас тоже темно", author="boris")
    await scenario.process_events()
    await reply_helpers.execute(
        scenario, "UPDATE appeal_messages SET appeal_id = $1 WHERE message_id = $2", UUID(appeal["id"]), other
    )
    for number, (path, body) in enumerate(
        (
            (f"/appeals/{appeal['id']}/notes", {"text": f"Пишет: {WORD}", "visibility": "everyone_on_appeal"}),
            (f"/appeals/{appeal['id']}/replies", {"text": f"Здравствуйте! Где {WORD}?", "message_id": str(other)}),
            ("/incidents", {"appeal_ids": [appeal["id"]], "title": f"Нет света: {WORD}"}),
        )
    ):
        answer = await scenario.post(path, body, Idempotency_Key=f"key-{number}")
        assert answer.status_code in {201, 202}, answer.text
    assert "appeals_idempotency" in await _rows_with(scenario, WORD)
    await _erase(scenario)
    assert await _rows_with(scenario, WORD) == []


async def test_appeals_of_other_authors_are_not_erased(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(TEXT, author="boris")
    await _erase(scenario)
    assert (await scenario.single_appeal())["erased_at"] is None
    assert "appeals" in await _rows_with(scenario, WORD)


async def test_erasure_request_of_another_service_is_refused(scenario: AppealsScenario) -> None:
    answer = await scenario.appeals.client.post(
        "/internal/erasures/appeals", json={}, headers=scenario.appeals.service_headers("webhooks")
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ({"status": "assigned", "why": "«нет света»"}, {"status": "assigned", "why": ""}),
        ({"at": "2026-03-04T02:00:00+00:00", "n": None}, {"at": "2026-03-04T02:00:00+00:00", "n": None}),
        ({"phone": "20260304", "peer": "101_5001", "n": 3}, {"phone": "", "peer": "", "n": 3}),
        ({"added": ["крыльцо"], "failure": {"code": "vk:15"}}, {"added": [""], "failure": {"code": "vk:15"}}),
    ],
)
def test_erasure_removes_texts_and_network_ids_from_json_values(stored: Any, kept: Any) -> None:
    message_id = {"message_id": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"}
    assert without_words(stored | message_id) == kept | message_id


async def test_appeal_of_another_person_loses_forwarded_words_and_keeps_its_own(scenario: AppealsScenario) -> None:
    forwarded = f"{QUESTION}\n\nПереслано:\n{WORD} на улице Жердева, 20"
    message_id = await scenario.citizen_writes(forwarded, author="boris")
    appeal = await scenario.single_appeal()
    exported = await scenario.post("/exports", {"format": "csv"})
    assert exported.status_code < 300, exported.text
    answer_id = await scenario.citizen_writes(
        f"Борис, {WORD} починим", author=None, from_community=True, at=WEDNESDAY + HOUR
    )
    assert len((await scenario.appeal(appeal["id"]))["replies"]) == 1
    before = await scenario.appeal(appeal["id"])
    assert before["route"]["why"]
    await scenario.ingest.execute(
        "UPDATE messages SET text = replace(text, $2, '[данные удалены]') WHERE id = ANY($1::uuid[])",
        [message_id, answer_id],
        WORD,
    )
    for _ in range(2):
        answer = await scenario.appeals.client.post(
            "/internal/erasures/quotations",
            json={"message_ids": [str(message_id), str(answer_id)]},
            headers=scenario.appeals.service_headers("ingest"),
        )
        assert answer.json() == {"appeal_ids": [appeal["id"]]}, answer.text
    assert await _rows_with(scenario, WORD) == []
    after = await scenario.appeal(appeal["id"])
    assert after["text"] == forwarded.replace(WORD, "[данные удалены]")
    assert after["replies"][0]["text"] == "Борис, [данные удалены] починим"
    assert after["route"]["why"] == ""
    query = "SELECT why FROM classifications WHERE message_id = $1"
    assert await scenario.ingest.fetchval(query, message_id) == ""
    assert "дорогу" not in json.dumps([entry["data"] for entry in after["timeline"]], ensure_ascii=False)
    same = ("status", "topic", "organisation", "opened_at", "deadline", "erased_at")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert after["version"] > before["version"]
    assert (await scenario.get("/appeals", q=WORD)).json()["items"] == []
    assert [found["id"] for found in await scenario.all(q="отремонтируют")] == [appeal["id"]]


async def test_second_message_of_the_same_second_does_not_replace_the_text_of_the_appeal(
    scenario: AppealsScenario,
) -> None:
    """Messages of one conversation have the same URL."""
    first_id = await scenario.citizen_writes(QUESTION, author="boris", kind="message", at=WEDNESDAY)
    second_id = await scenario.citizen_writes(f"Переслано:\n{WORD}", author="boris", kind="message", at=WEDNESDAY)
    appeal = await scenario.single_appeal()
    assert len(appeal["messages"]) == 2
    await scenario.ingest.execute(
        "UPDATE messages SET url = (SELECT url FROM messages WHERE id = $1),"
        " text = CASE WHEN id = $2 THEN 'Переслано:' || chr(10) || 'данные удалены' ELSE text END"
        " WHERE id IN ($1, $2)",
        first_id,
        second_id,
    )
    answer = await scenario.appeals.client.post(
        "/internal/erasures/quotations",
        json={"message_ids": [str(second_id)]},
        headers=scenario.appeals.service_headers("ingest"),
    )
    assert answer.json() == {"appeal_ids": [appeal["id"]]}, answer.text
    assert (await scenario.appeal(appeal["id"]))["text"] == QUESTION


async def _unlinked(scenario: AppealsScenario, *reply_ids: str) -> httpx.Response:
    """Remove the links to the person «1500177734» from these replies, as ingest requests it."""
    return await scenario.appeals.client.post(
        "/internal/erasures/quotations",
        json={"message_ids": [], "replies": {one: ["1500177734"] for one in reply_ids}},
        headers=scenario.appeals.service_headers("ingest"),
    )


async def test_reply_to_an_incident_loses_links_before_later_members_get_it(scenario: AppealsScenario) -> None:
    first = await reply_helpers.appeal(scenario)
    made = await scenario.post("/incidents", {"appeal_ids": [first["id"]], "title": "Нет света"})
    incident = f"/incidents/{made.json()['id']}"
    sent = await scenario.post(f"{incident}/replies", {"text": f"[id1500177734|{WORD}] прав, починим."})
    assert sent.status_code == 202, sent.text
    await reply_helpers.make_replies(scenario)
    (reply,) = (await scenario.appeal(first["id"]))["replies"]
    assert WORD in reply["text"]
    for _ in range(2):
        assert (await _unlinked(scenario, reply["id"])).status_code == 200
    assert await _rows_with(scenario, WORD) == []
    left = "[данные удалены] прав, починим."
    (shown,) = (await scenario.get(f"{incident}/replies")).json()["items"]
    assert shown["text"] == left
    later = await reply_helpers.appeal(scenario, author="boris", thread="vk:-101_2")
    joined = await scenario.post(f"{incident}/members", {"appeal_ids": [later["id"]]})
    assert joined.status_code == 200, joined.text
    await reply_helpers.make_replies(scenario)
    assert [one["text"] for one in (await scenario.appeal(later["id"]))["replies"]] == [left]


async def test_erasure_waits_while_copies_of_a_reply_to_an_incident_are_made(scenario: AppealsScenario) -> None:
    """The job has read the text with the link, and not stored the copy yet."""
    found = await reply_helpers.appeal(scenario)
    made = await scenario.post("/incidents", {"appeal_ids": [found["id"]], "title": "Нет света"})
    path = f"/incidents/{made.json()['id']}/replies"
    sent = await scenario.post(path, {"text": f"[id1500177734|{WORD}] прав, починим."})
    await reply_helpers.make_replies(scenario)
    (reply,) = (await scenario.appeal(found["id"]))["replies"]
    async with Database(scenario.database.url("appeals"), 1, name="test").write() as session:
        await create_replies_batch(session, UUID(sent.json()["id"]), joined_from=None, after=None)
        erasing = asyncio.create_task(_unlinked(scenario, reply["id"]))
        finished, _ = await asyncio.wait([erasing], timeout=1)
        assert not finished
    assert (await erasing).status_code == 200
    assert await _rows_with(scenario, WORD) == []


async def test_remarks_on_a_reply_to_another_person_lose_links(scenario: AppealsScenario) -> None:
    found = await reply_helpers.appeal(scenario)
    reply = await published(scenario, found)
    approval = {"decision": "approved", "reason": "urgent", "remarks": f"@id1500177734 ({WORD}) прав"}
    await reply_helpers.execute(scenario, "UPDATE replies SET approval = $1", json.dumps(approval))
    assert (await _unlinked(scenario, reply["id"])).status_code == 200
    assert await _rows_with(scenario, WORD) == []
    stored = await scenario.ingest.fetchval("SELECT approval FROM replies")
    assert json.loads(stored) == approval | {"remarks": "[данные удалены] прав"}


async def test_links_are_not_removed_while_a_reply_is_being_changed(scenario: AppealsScenario) -> None:
    """Ingest may not know of the change yet: it would publish the link again."""
    found = await reply_helpers.appeal(scenario)
    reply = await published(scenario, found, f"[id1500177734|{WORD}] прав.")
    asked = await change(scenario, found, reply, EDIT | {"text": f"[id1500177734|{WORD}] не прав."})
    assert (await _unlinked(scenario, reply["id"])).status_code == 409
    (shown,) = await reply_helpers.replies_of(scenario, found)
    assert WORD in shown["text"]
    await emit_outcome(scenario, reply, asked, "edited")
    assert (await _unlinked(scenario, reply["id"])).status_code == 200
    await scenario.ingest.execute("UPDATE publications SET text = 'Без ссылки'")
    assert await _rows_with(scenario, WORD) == []


async def test_replies_to_another_person_lose_links_to_an_erased_person(scenario: AppealsScenario) -> None:
    link = f"[id1500177734|{WORD}]"
    await scenario.citizen_writes(QUESTION, author="boris")
    opened = await scenario.single_appeal()
    reply = await published(scenario, opened, f"{link} прав, начнём в понедельник.")
    edited = await change(scenario, opened, reply, EDIT | {"text": f"{link} прав, а @id2 нет, начнём во вторник."})
    await emit_outcome(scenario, reply, edited, "edited")
    await scenario.ingest.execute("UPDATE publications SET text = 'Без ссылки'")
    before = await scenario.appeal(opened["id"])
    for _ in range(2):
        answer = await _unlinked(scenario, reply["id"])
        assert answer.json() == {"appeal_ids": []}, answer.text
    assert await _rows_with(scenario, WORD) == []
    after = await scenario.appeal(opened["id"])
    (shown,) = after["replies"]
    assert shown["text"] == "[данные удалены] прав, а @id2 нет, начнём во вторник."
    assert shown["changes"][0]["former_text"] == "[данные удалены] прав, начнём в понедельник."
    assert (after["text"], after["status"], after["erased_at"]) == (before["text"], before["status"], None)
    assert after["version"] > before["version"]
    assert (await scenario.get("/appeals", q=WORD)).json()["items"] == []
