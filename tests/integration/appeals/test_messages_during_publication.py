"""Messages received while a reply is being published: the reply does not answer those its author had not seen."""

import json
from datetime import timedelta

import pytest

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import answer, appeal, execute, reply_fails
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_feedback import correct

HOUR = timedelta(hours=1)
FURTHER_QUESTION = "Так когда дорогу отремонтируют? Там темно, дети спотыкаются о ямы!"


async def test_question_before_the_publication_is_confirmed_reopens_the_appeal(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    await scenario.citizen_writes(FURTHER_QUESTION, at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.appeal(found["id"]))["status"] == "in_progress"
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    after = await scenario.appeal(found["id"])
    assert after["status"] == "reopened"
    assert after["first_response_at"] is not None
    assert after["next_response_due_at"] is not None
    events = [event["type"] for event in await scenario.events("appeal.answered", "appeal.reopened")]
    assert events == ["appeal.answered", "appeal.reopened"]
    assert json.loads((await scenario.events("appeal.reopened"))[0]["data"])["status"] == "reopened"


async def test_unclear_message_before_the_publication_is_confirmed_goes_to_triage(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    message = await scenario.citizen_writes(FURTHER_QUESTION, at=WEDNESDAY + 2 * HOUR)
    connection = await scenario.database.connect()
    await connection.execute("UPDATE classifications SET needs_answer = 'unsure' WHERE message_id = $1", message)
    await connection.close()
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("triage", None)


@pytest.mark.parametrize(
    ("text", "before_the_reply"),
    [("Спасибо большое!", False), (FURTHER_QUESTION, True)],
    ids=["thanks", "question_before_the_reply"],
)
async def test_message_that_needs_no_further_reply_leaves_the_appeal_answered(
    scenario: AppealsScenario, text: str, before_the_reply: bool
) -> None:
    found = await appeal(scenario)
    if before_the_reply:
        await scenario.citizen_writes(text, at=WEDNESDAY + HOUR / 2)
        found = await scenario.appeal(found["id"])
    reply = await answer(scenario, found)
    if not before_the_reply:
        await scenario.citizen_writes(text, at=WEDNESDAY + 2 * HOUR)
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_retried_reply_answers_messages_received_before_the_retry(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    await reply_fails(scenario, reply)
    await scenario.citizen_writes(FURTHER_QUESTION, at=WEDNESDAY + HOUR)
    again = await scenario.post(f"/appeals/{found['id']}/replies/{reply['id']}/retry", {})
    assert again.status_code == 202, again.text
    await scenario.emit_published(reply, at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


@pytest.mark.parametrize(("staff_hour", "status"), [(1, "reopened"), (3, "answered")])
async def test_staff_reply_received_late_answers_only_messages_written_before_it(
    scenario: AppealsScenario, staff_hour: int, status: str
) -> None:
    first = await scenario.citizen_writes(QUESTION)
    found = await scenario.single_appeal()
    await scenario.citizen_writes(FURTHER_QUESTION, at=WEDNESDAY + 2 * HOUR)
    await scenario.citizen_writes(
        "Сделаем до пятницы.",
        from_community=True,
        reply_to=await scenario.external_id(first),
        at=WEDNESDAY + staff_hour * HOUR,
    )
    assert (await scenario.appeal(found["id"]))["status"] == status


async def test_earlier_reply_published_after_a_later_one_does_not_reopen_the_appeal(
    scenario: AppealsScenario,
) -> None:
    """A later reply has answered the messages received after the earlier reply was submitted."""
    found = await appeal(scenario)
    first = await answer(scenario, found)
    await reply_fails(scenario, first)
    await scenario.citizen_writes(FURTHER_QUESTION, at=WEDNESDAY + HOUR)
    second = await answer(scenario, found, "Починим оба фонаря.")
    await scenario.emit_published(second, at=WEDNESDAY + 2 * HOUR, external_id="-101_78")
    await scenario.emit_published(first, at=WEDNESDAY + 3 * HOUR)
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


@pytest.mark.parametrize("status", ["queued", "uncertain"])
async def test_interim_reply_confirmed_after_a_final_staff_reply_keeps_the_appeal_answered(
    scenario: AppealsScenario, status: str
) -> None:
    found = await appeal(scenario)
    promise = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}
    interim = await answer(scenario, found, "Уточним.", **promise)
    await execute(scenario, "UPDATE replies SET status = $1", status)
    await scenario.citizen_writes("Починили вчера.", from_community=True, at=WEDNESDAY + 2 * HOUR)
    before = await scenario.appeal(found["id"])
    await scenario.emit_published(interim, at=WEDNESDAY + HOUR, external_id="-101_78")
    after = await scenario.appeal(found["id"])
    assert {reply["status"] for reply in after["replies"]} == {"published"}
    assert (after["status"], after["promised_at"]) == (before["status"], None) == ("answered", None)
    assert (after["first_response_at"], after["outcome"]) == (before["first_response_at"], before["outcome"])
    assert await scenario.events("promise.made") == []


async def test_interim_reply_confirmed_after_an_earlier_reply_of_staff_opens_its_promise(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    promise = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}
    interim = await answer(scenario, found, "Уточним.", **promise)
    await scenario.citizen_writes("Передали мастеру.", from_community=True, at=WEDNESDAY + HOUR)
    await scenario.emit_published(interim, at=WEDNESDAY + 2 * HOUR, external_id="-101_78")
    assert (await scenario.appeal(found["id"]))["status"] == "interim"
    assert len(await scenario.events("promise.made")) == 1


async def test_own_reply_mistaken_for_a_staff_reply_answers_only_messages_its_author_saw(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    await scenario.citizen_writes(FURTHER_QUESTION, at=WEDNESDAY + HOUR)
    own = await scenario.citizen_writes("Начнём в понедельник, в 9.", from_community=True, at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.appeal(found["id"]))["status"] == "answered"
    await scenario.emit_published(reply, at=WEDNESDAY + 2 * HOUR, external_id=await scenario.external_id(own))
    after = await scenario.appeal(found["id"])
    assert (after["status"], len(after["replies"])) == ("reopened", 1)


async def test_further_reply_does_not_answer_dissatisfaction_that_its_author_had_not_seen(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await scenario.emit_published(await answer(scenario, found), at=WEDNESDAY + HOUR)
    further = await answer(scenario, found, "Приглашаем на субботник.")
    await scenario.citizen_writes("Не решено!", at=WEDNESDAY + 2 * HOUR)
    before = await scenario.appeal(found["id"])
    assert (before["status"], before["feedback_kind"]) == ("reopened", "not_solved")
    await scenario.emit_published(further, at=WEDNESDAY + 3 * HOUR, external_id="-101_78")
    after = await scenario.appeal(found["id"])
    kept = ("status", "feedback", "feedback_kind", "next_response_due_at", "resolution_due_at", "outcome")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert [reply["status"] for reply in after["replies"]] == ["published", "published"]
    assert [json.loads(event["data"])["on_time"] for event in await scenario.events("appeal.answered")][1:] == [
        None
    ]
    third = await answer(scenario, after, "Починим завтра.")
    await scenario.emit_published(third, at=WEDNESDAY + 4 * HOUR, external_id="-101_79")
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_further_reply_does_not_answer_an_appeal_that_a_person_reopened_since(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await scenario.emit_published(await answer(scenario, found), at=WEDNESDAY + HOUR)
    further = await answer(scenario, found, "Приглашаем на субботник.")
    reopened = await scenario.move(await scenario.appeal(found["id"]), "reopened", reason="Звонили: ям не убрали")
    assert reopened.status_code == 200, reopened.text
    before = await scenario.appeal(found["id"])
    assert before["next_response_due_at"] is not None
    await scenario.emit_published(further, at=WEDNESDAY + 3 * HOUR, external_id="-101_78")
    after = await scenario.appeal(found["id"])
    kept = ("status", "next_response_due_at", "resolution_due_at", "outcome")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert [reply["status"] for reply in after["replies"]] == ["published", "published"]
    third = await answer(scenario, after, "Починим завтра.")
    await scenario.emit_published(third, at=WEDNESDAY + 4 * HOUR, external_id="-101_79")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("answered", None)


async def test_reply_queued_after_a_reopening_by_a_person_answers_it_even_after_triage(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await scenario.emit_published(await answer(scenario, found), at=WEDNESDAY + HOUR)
    await scenario.move(await scenario.appeal(found["id"]), "reopened", reason="Звонили: ям не убрали")
    further = await answer(scenario, found, "Починим завтра.")
    for to in ("triage", "assigned"):
        moved = await scenario.move(
            await scenario.appeal(found["id"]), to, reason="Чья дорога?",
            **({"organisation_id": str(scenario.organisation)} if to == "assigned" else {}),
        )  # fmt: skip
        assert moved.status_code == 200, moved.text
    assert moved.json()["status"] == "reopened"
    await scenario.emit_published(further, at=WEDNESDAY + 3 * HOUR, external_id="-101_78")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("answered", None)


async def test_further_reply_does_not_answer_an_appeal_reopened_by_corrected_feedback(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await scenario.emit_published(await answer(scenario, found), at=WEDNESDAY + HOUR)
    await scenario.citizen_writes("Спасибо большое!", at=WEDNESDAY + 2 * HOUR)
    further = await answer(scenario, found, "Приглашаем на субботник.")
    corrected = await correct(scenario, await scenario.appeal(found["id"]), "not_solved")
    assert corrected.status_code == 200, corrected.text
    before = await scenario.appeal(found["id"])
    assert (before["status"], before["feedback"][0]["kind"]) == ("reopened", "not_solved")
    assert before["next_response_due_at"] is not None
    await scenario.emit_published(further, at=WEDNESDAY + 3 * HOUR, external_id="-101_78")
    after = await scenario.appeal(found["id"])
    kept = ("status", "feedback", "feedback_kind", "next_response_due_at", "resolution_due_at", "outcome")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    third = await answer(scenario, after, "Починим завтра.")
    await scenario.emit_published(third, at=WEDNESDAY + 4 * HOUR, external_id="-101_79")
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_awaited_reply_under_way_answers_although_feedback_was_corrected_meanwhile(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await scenario.emit_published(await answer(scenario, found), at=WEDNESDAY + HOUR)
    await scenario.move(await scenario.appeal(found["id"]), "reopened", reason="Звонили: ям не убрали")
    awaited = await answer(scenario, found, "Починили сегодня.")
    corrected = await correct(scenario, await scenario.appeal(found["id"]), "not_solved")
    assert (corrected.status_code, corrected.json()["status"]) == (200, "in_progress"), corrected.text
    await scenario.emit_published(awaited, at=WEDNESDAY + 3 * HOUR, external_id="-101_78")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("answered", None)
    assert [one["kind"] for one in after["feedback"]] == ["not_solved", None]


async def test_further_interim_reply_leaves_a_later_unclear_message_to_a_moderator(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await scenario.emit_published(await answer(scenario, found), at=WEDNESDAY + HOUR)
    promise = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}
    further = await answer(scenario, found, "Уточним.", **promise)
    message = await scenario.citizen_writes("", attachments=[{"type": "photo"}], at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.appeal(found["id"]))["status"] == "triage"
    await scenario.emit_published(further, at=WEDNESDAY + 3 * HOUR, external_id="-101_78")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["promised_at"]) == ("triage", None)
    # The promise was made, so its date is still monitored.
    assert [one["status"] for one in after["promises"]] == ["open"]
    decided = await scenario.post(f"/messages/{message}/triage", {"needs_answer": True})
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert after["status"] == "reopened"
    assert after["next_response_due_at"] is not None
