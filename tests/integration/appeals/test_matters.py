"""A message about another matter opens an appeal, an addition joins one, and people decide uncertain cases."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from services.appeals.lifecycle import appeal_queries
from services.appeals.moderation import matter_decisions
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.database.sessions import Database
from shared.reply_lock import lock_replies
from shared.tables.ingest import Publication
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import answer, draft, reply_fails, request, restart_publication
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_concurrent_matching import _waits_for_lock
from tests.integration.appeals.test_reply_changes import published, withdrawn
from tests.integration.appeals.test_rule_sets import activated, made, topic
from tests.support.service_under_test import CENTRE_SUBJECT

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DOCTOR = "Почему в поликлинике нет ни одного педиатра?"
VAGUE = "Обещанного три года ждут 😏"
# The classifier is not sure of the topic, and the text shares no content word with `QUESTION`.
UNSURE = "Сколько стоит въезд на побережье и кто эти сборы установил?"


async def _appeals(scenario: AppealsScenario) -> list[dict[str, Any]]:
    """Return all appeals with their details, lowest number first."""
    found = [await scenario.appeal(one["id"]) for one in await scenario.all()]
    return sorted(found, key=lambda one: int(one["number"]))


def _group(appeal: dict[str, Any]) -> str:
    """Return the name of the appeal's topic group."""
    return str((appeal["topic"]["group"] or appeal["topic"])["name"])


def _entries(appeal: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["data"] for entry in appeal["timeline"] if entry["kind"] == kind]


async def _decide(
    scenario: AppealsScenario, appeal: dict[str, Any], message: UUID | str, decision: str, **more: Any
) -> Any:
    headers = {"If_Match": f'"{appeal["version"]}"'} | more.pop("headers", {})
    body = {"message_id": str(message), "decision": decision, **more}
    return await scenario.post(f"/appeals/{appeal['id']}/matter-decisions", body, **headers)


async def test_message_about_another_topic_opens_a_separate_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    await scenario.citizen_writes(DOCTOR, at=WEDNESDAY + HOUR)
    road, doctor = await _appeals(scenario)
    assert [message["text"] for message in road["messages"]] == [QUESTION]
    assert [message["text"] for message in doctor["messages"]] == [DOCTOR]
    assert _group(doctor) == "Здравоохранение"
    assert doctor["opened_at"] == "2026-03-04T03:01:00Z"
    assert doctor["deadline"]["text"].startswith("9 рабочих часов со среды 04.03 11:01")
    (opened,) = _entries(doctor, "opened")
    assert opened["matter"].startswith("Другая тема: «Здравоохранение», а обращение — «Дороги»")
    numbers = await scenario.ingest.fetch("SELECT matter_number FROM appeals ORDER BY number")
    assert [row["matter_number"] for row in numbers] == [1, 2]


async def test_message_about_another_location_opens_a_separate_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("В Кабанске вся дорога в ямах, когда отремонтируют?")
    await scenario.citizen_writes("В Каменске дорога тоже вся в ямах", at=WEDNESDAY + MINUTE)
    first, second = await _appeals(scenario)
    assert (first["location"]["settlement"], second["location"]["settlement"]) == ("Кабанск", "Каменск")
    assert "другое место" in _entries(second, "opened")[0]["matter"].lower()


async def test_later_messages_join_the_appeal_of_their_matter(scenario: AppealsScenario) -> None:
    """In one batch: each message is compared with the appeals that earlier messages of the batch opened."""
    texts = [QUESTION, DOCTOR, "Так когда дорогу сделают?", "Педиатра обещали ещё весной", "Спасибо!"]
    for minute, text in enumerate(texts):
        await scenario.insert_message(text, at=WEDNESDAY + minute * MINUTE)
    await scenario.process_events()
    road, doctor = await _appeals(scenario)
    assert [message["text"] for message in road["messages"]][:2] == [QUESTION, texts[2]]
    assert [message["text"] for message in doctor["messages"]][:2] == [DOCTOR, texts[3]]
    assert len(road["messages"]) + len(doctor["messages"]) == len(texts)


async def test_address_is_added_to_the_appeal_without_changing_its_topic(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes("В Улан-Удэ дома холодно, батареи ледяные, когда затопите?")
    before = await scenario.single_appeal()
    message = await scenario.citizen_writes("ул. Ключевская, 60а", at=WEDNESDAY + MINUTE)
    after = await scenario.single_appeal()
    assert after["topic"]["group"] == before["topic"]["group"]
    assert (after["location"]["street"], after["location"]["house"].lower()) == ("Ключевская", "60а")
    (added,) = _entries(after, "message_added")
    assert (added["relation"], added["reason"]) == ("addition", "Называет место")
    (changed,) = _entries(after, "location_changed")
    assert changed["message_id"] == str(message)
    (event,) = await scenario.events("appeal.reclassified")
    assert json.loads(event["data"])["changed"] == ["street", "house"]


async def test_vague_appeal_gets_topic_location_and_organisation_of_a_later_question(
    scenario: AppealsScenario,
) -> None:
    """The appeal gets the topic, text, location, organisation and clock start of the later question, which is
    clear.
    """
    roads = await topic(scenario, "roads")
    rule = {"topic_id": roads, "organisation_id": str(scenario.other_organisation)}
    await activated(scenario, await made(scenario, rule))
    await scenario.citizen_writes(VAGUE)
    before = await scenario.single_appeal()
    assert before["organisation"] is None or before["organisation"]["id"] == str(scenario.organisation)
    message = await scenario.citizen_writes(
        "Когда наконец отремонтируют дорогу по Жердева, ямы по колено", at=WEDNESDAY + 2 * HOUR
    )
    after = await scenario.single_appeal()
    assert _group(after) == "Дороги"
    assert after["organisation"]["id"] == str(scenario.other_organisation)
    assert after["text"].startswith("Когда наконец")
    assert (after["written_at"], after["opened_at"]) == ("2026-03-04T04:00:00Z", "2026-03-04T04:01:00Z")
    assert after["deadline"]["text"].startswith("9 рабочих часов со среды 04.03 12:01")
    assert after["location"]["street"] == "Жердева"
    (clarified,) = _entries(after, "clarified")
    assert clarified["message_id"] == str(message)
    assert _entries(after, "topic_changed")[0]["message_id"] == str(message)


async def test_topic_set_by_a_person_is_kept(scenario: AppealsScenario) -> None:
    message = await scenario.citizen_writes(VAGUE)
    culture = await topic(scenario, "culture")
    decided = await scenario.post(f"/messages/{message}/triage", {"needs_answer": True, "topic_id": culture})
    assert decided.status_code == 200, decided.text
    await scenario.citizen_writes("Уточняю: дорогу на Жердева", at=WEDNESDAY + MINUTE)
    appeal = await scenario.single_appeal()
    assert appeal["topic"]["id"] == culture


async def test_addition_after_a_published_reply_reopens_the_appeal_and_keeps_its_facts(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    await scenario.emit_published(await answer(scenario, appeal), at=WEDNESDAY + HOUR)
    await scenario.citizen_writes("Уточняю: у дома 20 яма так и осталась", at=WEDNESDAY + 2 * HOUR)
    after = await scenario.single_appeal()
    assert after["status"] == "reopened"
    assert (after["topic"], after["location"], after["text"]) == (
        appeal["topic"],
        appeal["location"],
        appeal["text"],
    )


async def test_message_about_another_matter_does_not_reopen_the_answered_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    await scenario.emit_published(await answer(scenario, appeal), at=WEDNESDAY + HOUR)
    await scenario.citizen_writes(DOCTOR, at=WEDNESDAY + 2 * HOUR)
    road, doctor = await _appeals(scenario)
    assert (road["status"], doctor["status"]) == ("answered", "assigned")


async def test_dissatisfied_message_reopens_the_appeal_it_replies_to(scenario: AppealsScenario) -> None:
    """Two appeals are answered; the message names no matter but replies to the page's reply in one of them."""
    first = await scenario.citizen_writes(QUESTION)
    second = await scenario.citizen_writes(DOCTOR, at=WEDNESDAY + MINUTE)
    replies = [
        await scenario.citizen_writes(
            text,
            from_community=True,
            reply_to=await scenario.external_id(message),
            at=WEDNESDAY + HOUR,
        )
        for text, message in (("Отремонтируем в мае.", first), ("Педиатр выйдет в марте.", second))
    ]
    road, doctor = await _appeals(scenario)
    assert (road["status"], doctor["status"]) == ("answered", "answered")
    await scenario.citizen_writes(
        "Это не ответ, вопрос не решён!", reply_to=await scenario.external_id(replies[0]), at=WEDNESDAY + 2 * HOUR
    )
    road, doctor = await _appeals(scenario)
    assert doctor["status"] == "answered"
    assert road["status"] in {"reopened", "triage"}


async def test_staff_reply_in_a_dialogue_answers_the_appeal_whose_words_it_repeats(
    scenario: AppealsScenario,
) -> None:
    dialogue: dict[str, Any] = {"kind": "message", "thread": "vk:101_5"}
    await scenario.citizen_writes(QUESTION, **dialogue)
    await scenario.citizen_writes(DOCTOR, at=WEDNESDAY + MINUTE, **dialogue)
    await scenario.citizen_writes("Хорошо, ответим", from_community=True, at=WEDNESDAY + HOUR, **dialogue)
    assert [one["status"] for one in await _appeals(scenario)] == ["assigned", "assigned"]
    await scenario.citizen_writes(
        "Педиатр выйдет на работу в понедельник", from_community=True, at=WEDNESDAY + HOUR, **dialogue
    )
    assert [one["status"] for one in await _appeals(scenario)] == ["assigned", "answered"]


async def test_own_reply_received_from_the_network_answers_no_other_appeal(scenario: AppealsScenario) -> None:
    dialogue: dict[str, Any] = {"kind": "message", "thread": "vk:101_5"}
    await scenario.citizen_writes(QUESTION, **dialogue)
    await scenario.citizen_writes(DOCTOR, at=WEDNESDAY + MINUTE, **dialogue)
    road, _ = await _appeals(scenario)
    text = "Педиатра не касается: дорогу отремонтируем."
    await answer(scenario, road, text)
    await scenario.citizen_writes(text, from_community=True, at=WEDNESDAY + HOUR, **dialogue)
    assert [one["status"] for one in await _appeals(scenario)] == ["in_progress", "assigned"]


async def test_message_of_uncertain_matter_joins_and_is_suggested_as_another_matter(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    before = await scenario.single_appeal()
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + MINUTE)
    appeal = await scenario.single_appeal()
    (suggested,) = appeal["possible_other_matters"]
    assert suggested["message_id"] == str(message)
    assert suggested["reason"].startswith("Возможно, другой вопрос: ")
    assert (appeal["topic"], appeal["location"]) == (before["topic"], before["location"])
    assert _entries(appeal, "other_matter_suggested") == [
        {"message_id": str(message), "reason": suggested["reason"]}
    ]
    assert [one["id"] for one in await scenario.all(possible_other_matter=True)] == [appeal["id"]]
    assert await scenario.all(possible_other_matter=False) == []
    own = await scenario.get("/appeals", role="executor", org=scenario.organisation, possible_other_matter=True)
    assert len(own.json()["items"]) == 1
    foreign: dict[str, Any] = {"role": "executor", "org": scenario.other_organisation}
    assert (await scenario.get("/appeals", possible_other_matter=True, **foreign)).json()["items"] == []


async def test_message_suggested_as_another_matter_can_be_kept_in_its_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + MINUTE)
    appeal = await scenario.single_appeal()
    kept = await _decide(scenario, appeal, message, "keep")
    assert kept.status_code == 200, kept.text
    assert kept.json()["id"] == appeal["id"]
    assert kept.json()["possible_other_matters"] == []
    assert kept.headers["ETag"] == f'"{kept.json()["version"]}"'
    assert _entries(kept.json(), "other_matter_kept") == [{"message_id": str(message)}]
    again = await _decide(scenario, kept.json(), message, "keep")
    assert (again.status_code, again.json()["type"].rsplit("/", 1)[-1]) == (409, "conflict")


async def test_split_off_message_opens_a_separate_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + HOUR)
    appeal = await scenario.single_appeal()
    key = {"headers": {"Idempotency_Key": "split-1"}}
    split = await _decide(scenario, appeal, message, "split_off", reason="О сборах", **key)
    assert split.status_code == 201, split.text
    new = split.json()
    assert split.headers["Location"] == f"/api/v1/appeals/{new['id']}"
    assert (new["text"], new["opened_at"]) == (UNSURE, "2026-03-04T03:01:00Z")
    assert [one["id"] for one in new["messages"]] == [str(message)]
    assert _entries(new, "opened")[0]["split_from"] == appeal["id"]
    old = await scenario.appeal(appeal["id"])
    assert [one["text"] for one in old["messages"]] == [QUESTION]
    assert old["possible_other_matters"] == []
    assert _entries(old, "split_off") == [
        {"message_id": str(message), "appeal_id": new["id"], "number": new["number"], "reason": "О сборах"}
    ]
    (event,) = await scenario.events("appeal.message_split_off")
    data = json.loads(event["data"])
    assert (data["id"], data["message_id"], data["new_appeal_id"]) == (appeal["id"], str(message), new["id"])
    repeated = await _decide(scenario, appeal, message, "split_off", reason="О сборах", **key)
    assert (repeated.status_code, repeated.json()["id"]) == (201, new["id"])
    assert len(await scenario.all()) == 2
    # A later message about the same matter joins the new appeal.
    await scenario.citizen_writes("Так кто установил сборы за въезд на побережье?", at=WEDNESDAY + 2 * HOUR)
    assert len((await scenario.appeal(new["id"]))["messages"]) == 2


async def test_staff_reply_that_waited_for_the_split_answers_the_new_appeal(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + HOUR)
    appeal = await scenario.single_appeal()
    await scenario.insert_message(
        "Сборы установлены районом.",
        from_community=True,
        reply_to=await scenario.external_id(message),
        at=WEDNESDAY + 2 * HOUR,
    )
    moderator = Caller(CENTRE_SUBJECT, "Test", Role.MODERATOR, None).with_right(Right.APPEALS_TRIAGE)
    async with scenario.appeals.service.database.write() as session:
        locked = await appeal_queries.lock(session, moderator, UUID(appeal["id"]))
        new = await matter_decisions.split_off(session, moderator.actor, locked, message)
        handling = asyncio.create_task(scenario.process_events())
        await _waits_for_lock(scenario)
    await handling
    old, split = await scenario.appeal(appeal["id"]), await scenario.appeal(str(new.id))
    assert (old["replies"], [reply["origin"] for reply in split["replies"]]) == ([], ["network"])
    assert (old["status"], split["status"]) == ("assigned", "answered")


async def test_splitting_off_a_first_foreign_or_answered_message_is_refused(scenario: AppealsScenario) -> None:
    first = await scenario.citizen_writes(QUESTION)
    second = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + MINUTE)
    other = await scenario.citizen_writes(DOCTOR, author="boris")
    appeal = await scenario.appeal((await _appeals(scenario))[0]["id"])
    began = await _decide(scenario, appeal, first, "split_off")
    assert began.status_code == 409
    assert "This message opened the appeal" in began.json()["detail"]
    foreign = await _decide(scenario, appeal, other, "split_off")
    assert (foreign.status_code, foreign.json()["errors"][0]["pointer"]) == (422, "/message_id")
    path, body = f"/appeals/{appeal['id']}/matter-decisions", {"message_id": str(second), "decision": "split_off"}
    assert (await scenario.post(path, body)).status_code == 428
    assert (await scenario.post(path, body, If_Match='"99"')).status_code == 412
    staff = await scenario.post(path, body, role="executor", org=scenario.organisation, If_Match='"1"')
    assert staff.status_code == 403
    reply = await answer(scenario, appeal, message_id=str(second))
    replied = await _decide(scenario, await scenario.appeal(appeal["id"]), second, "split_off")
    assert (replied.status_code, replied.json()["reply_id"]) == (409, reply["id"])


@pytest.mark.parametrize("ending", ["discarded", "withdrawn"])
async def test_message_whose_reply_was_discarded_or_withdrawn_can_be_split_off(
    scenario: AppealsScenario, ending: str
) -> None:
    await scenario.citizen_writes(QUESTION)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + MINUTE)
    appeal = await scenario.single_appeal()
    if ending == "discarded":
        begun = await draft(scenario, appeal, "Сборы установил", message_id=str(message))
        written = await _decide(scenario, appeal, message, "split_off")
        assert (written.status_code, written.json()["reply_id"]) == (409, begun["id"])
        path = f"/appeals/{appeal['id']}/replies/{begun['id']}"
        assert (await request(scenario, "DELETE", path, If_Match='"1"')).status_code == 204
    else:
        reply = await published(scenario, appeal, message_id=str(message))
        await withdrawn(scenario, appeal, reply)
    split = await _decide(scenario, await scenario.appeal(appeal["id"]), message, "split_off")
    assert split.status_code == 201, split.text
    assert [one["id"] for one in split.json()["messages"]] == [str(message)]


async def test_failed_reply_is_not_retried_under_a_message_that_was_split_off(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + MINUTE)
    appeal = await scenario.single_appeal()
    reply = await answer(scenario, appeal, message_id=str(message))
    await reply_fails(scenario, reply)
    path = f"/appeals/{appeal['id']}/replies/{reply['id']}/retry"
    split = await _decide(scenario, await scenario.appeal(appeal["id"]), message, "split_off")
    assert split.status_code == 201, split.text
    for body in ({}, {"text": "Исправлено"}):
        refused = await scenario.post(path, body)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
        assert "was moved to another appeal" in refused.json()["detail"]
    (kept,) = (await scenario.appeal(appeal["id"]))["replies"]
    assert (kept["status"], kept["text"]) == ("failed", reply["text"])


async def test_message_whose_failed_reply_is_being_published_again_is_not_split_off(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + MINUTE)
    appeal = await scenario.single_appeal()
    reply = await answer(scenario, appeal, message_id=str(message))
    await reply_fails(scenario, reply)
    await restart_publication(scenario, reply)
    refused = await _decide(scenario, await scenario.appeal(appeal["id"]), message, "split_off")
    assert (refused.status_code, refused.json()["reply_id"]) == (409, reply["id"])


@pytest.mark.parametrize("work", ["split", "reply"])
async def test_split_and_reply_are_refused_after_waiting_for_the_restart_of_a_failed_reply(
    scenario: AppealsScenario, work: str
) -> None:
    await scenario.citizen_writes(QUESTION)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + MINUTE)
    appeal = await scenario.single_appeal()
    reply = await answer(scenario, appeal, message_id=str(message))
    await reply_fails(scenario, reply)
    await restart_publication(scenario, reply)
    await scenario.ingest.execute("UPDATE publications SET status = 'failed'")
    appeal = await scenario.appeal(appeal["id"])
    ingest = Database(scenario.database.url("ingest"), 1, name="ingest")
    try:
        async with ingest.write() as session:
            # Ingest restarts the publication, and has not committed yet.
            await lock_replies(session, UUID(appeal["id"]))
            await session.execute(update(Publication).values(status="queued"))
            if work == "split":
                waiting = asyncio.create_task(_decide(scenario, appeal, message, "split_off"))
            else:
                waiting = asyncio.create_task(
                    request(scenario, "POST", f"/appeals/{appeal['id']}/replies", {"text": "Другой ответ."})
                )
            await eventually_waits_or_ends(scenario, waiting)
    finally:
        await ingest.close()
    refused = await waiting
    assert refused.status_code == 409, refused.text


async def eventually_waits_or_ends(scenario: AppealsScenario, task: asyncio.Task[Any]) -> None:
    """Wait until the request waits for a lock, or has its response."""
    lock = asyncio.create_task(_waits_for_lock(scenario))
    await asyncio.wait({lock, task}, return_when=asyncio.FIRST_COMPLETED)
    lock.cancel()


async def test_appeal_reopened_by_the_message_is_answered_again_after_the_split(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    await scenario.emit_published(await answer(scenario, appeal), at=WEDNESDAY + HOUR)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + 2 * HOUR)
    reopened = await scenario.single_appeal()
    assert reopened["status"] == "reopened"
    split = await _decide(scenario, reopened, message, "split_off")
    assert split.status_code == 201, split.text
    old = await scenario.appeal(appeal["id"])
    assert (old["status"], old["next_response_due_at"]) == ("answered", None)
    moved = [json.loads(event["data"]) for event in await scenario.events("appeal.moved")]
    assert (moved[-1]["from"], moved[-1]["to"]) == ("reopened", "answered")


async def test_clock_counts_from_the_next_message_after_the_split(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    await scenario.emit_published(await answer(scenario, appeal), at=WEDNESDAY + HOUR)
    message = await scenario.citizen_writes(UNSURE, at=WEDNESDAY + 2 * HOUR)
    second = await scenario.citizen_writes("Так когда отремонтируют дорогу?", at=WEDNESDAY + 4 * HOUR)
    reopened = await scenario.single_appeal()
    assert reopened["deadline"]["next_response"]["message_id"] == str(message)
    assert (await _decide(scenario, reopened, message, "split_off")).status_code == 201
    old = await scenario.appeal(appeal["id"])
    following = old["deadline"]["next_response"]
    assert (old["status"], following["message_id"]) == ("reopened", str(second))
    assert following["starts_at"] == "2026-03-04T06:01:00+00:00"
    assert old["next_response_due_at"] > reopened["next_response_due_at"]


async def test_moderator_is_unassigned_when_the_split_makes_the_appeal_answered_again(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    await scenario.emit_published(await answer(scenario, appeal), at=WEDNESDAY + HOUR)
    photo = await scenario.citizen_writes("", at=WEDNESDAY + 2 * HOUR, attachments=[{"type": "photo"}])
    moderator = await register(scenario, "Модератор", "moderator")
    taken = await moderator.move(appeal, assignee_id=moderator.ref)
    assert (taken.json()["status"], taken.json()["assignee"]["id"]) == ("triage", moderator.ref)
    split = await _decide(scenario, await scenario.single_appeal(), photo, "split_off")
    assert split.status_code == 201, split.text
    old = await scenario.appeal(appeal["id"])
    assert (old["status"], old["assignee"]) == ("answered", None)


async def test_moderator_opens_an_appeal_for_another_matter(scenario: AppealsScenario) -> None:
    """The message belongs to no appeal; the moderator's topic makes it a separate matter."""
    thanks = await scenario.citizen_writes("Спасибо большое")
    await scenario.citizen_writes(QUESTION, at=WEDNESDAY + MINUTE)
    culture = await topic(scenario, "culture")
    opened = await scenario.post("/appeals", {"message_id": str(thanks), "topic_id": culture})
    assert opened.status_code == 201, opened.text
    assert len(await scenario.all()) == 2
