"""A message that was thought to need no answer, and needs one after all, reopens the answered appeal."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.appeals.settings import settings
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import answer, appeal, execute, reply_fails, restart_publication
from tests.integration.appeals.test_clocks import pause
from tests.integration.appeals.test_feedback import (
    FURTHER_QUESTION,
    HOUR,
    NEXT_DAY,
    answered,
    clocks_of,
    published,
    says,
)

# Read as a message that needs no answer, and not as feedback.
IRONY = "Спасибо за «работу» 🤦"
EDITED_AT = NEXT_DAY + 5 * HOUR


async def _needs_answer(scenario: AppealsScenario, message: dict[str, Any], **more: Any) -> Any:
    return await scenario.post(f"/messages/{message['id']}/triage", {"needs_answer": True, **more})


async def _edit(scenario: AppealsScenario, message: dict[str, Any], text: str) -> None:
    """Let the citizen edit the message at `EDITED_AT`."""
    await scenario.ingest.execute(
        "UPDATE messages SET text = $2, edited_at = $3, version = 2 WHERE id = $1",
        UUID(message["id"]), text, EDITED_AT,
    )  # fmt: skip
    await scenario.emit("message.edited", UUID(message["id"]), scenario.organisation)
    await scenario.process_events()


async def _misread(scenario: AppealsScenario, message: dict[str, Any], needs_answer: str = "yes") -> None:
    """Let the message have this classification, as the model may read it."""
    await execute(
        scenario,
        "UPDATE classifications SET needs_answer = $2 WHERE message_id = $1",
        UUID(message["id"]), needs_answer,
    )  # fmt: skip


async def test_missed_question_reopens_the_answered_appeal_with_a_clock_from_the_message(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario, outcome="solved"), IRONY)
    missed = found["messages"][-1]
    assert (found["status"], found["next_response_due_at"]) == ("answered", None)
    decided = await _needs_answer(scenario, missed)
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["outcome"]) == ("reopened", None)
    assert after["organisation"]["id"] == str(scenario.organisation)
    (clock,) = await clocks_of(scenario, found, "next_response")
    assert (clock["message_id"], clock["state"]) == (missed["id"], "running")
    assert datetime.fromisoformat(clock["started_at"]) == NEXT_DAY + timedelta(minutes=1)
    assert len(await clocks_of(scenario, found, "final_answer")) == 2
    (event,) = await scenario.events("appeal.reopened")
    assert json.loads(event["data"])["status"] == "reopened"
    # A repeated decision, and one about the first message, change nothing.
    for message in (missed, found["messages"][0]):
        assert (await _needs_answer(scenario, message)).status_code == 200
    assert len(await scenario.events("appeal.reopened")) == 1
    (same,) = await clocks_of(scenario, found, "next_response")
    assert (same["id"], same["events"]) == (clock["id"], clock["events"])


async def test_missed_question_goes_to_the_organisation_that_the_moderator_names(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario), IRONY)
    decided = await _needs_answer(
        scenario, found["messages"][-1], organisation_id=str(scenario.other_organisation)
    )
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["organisation"]["id"]) == ("assigned", str(scenario.other_organisation))
    (clock,) = await clocks_of(scenario, found, "next_response")
    assert datetime.fromisoformat(clock["started_at"]) == NEXT_DAY + timedelta(minutes=1)


async def test_message_that_the_author_of_the_answer_saw_leaves_the_appeal_answered(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await appeal(scenario), IRONY, at=WEDNESDAY + HOUR)
    found = await published(scenario, found, hours=2)
    assert (await _needs_answer(scenario, found["messages"][-1])).status_code == 200
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_missed_question_in_a_closed_appeal_is_refused_until_the_appeal_is_reopened(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario), IRONY)
    closed = (await scenario.move(found, "closed")).json()
    refused = await _needs_answer(scenario, found["messages"][-1])
    assert (refused.status_code, "reopen it" in refused.json()["detail"]) == (409, True)
    assert (await scenario.appeal(found["id"]))["version"] == closed["version"]
    assert (await scenario.move(closed, "reopened", reason="Вопрос без ответа")).status_code == 200
    assert (await _needs_answer(scenario, found["messages"][-1])).status_code == 200
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"] is not None) == ("reopened", True)


async def test_unclear_message_first_marked_as_needing_no_answer_gets_its_clock(scenario: AppealsScenario) -> None:
    unclear = await says(scenario, await answered(scenario), "", attachments=[{"type": "photo"}])
    assert unclear["status"] == "triage"
    assert (await scenario.move(unclear, "not_required", reason="Фото ни о чём")).status_code == 200
    assert (await _needs_answer(scenario, unclear["messages"][-1])).status_code == 200
    after = await scenario.appeal(unclear["id"])
    assert (after["status"], after["closed_at"]) == ("reopened", None)
    (clock,) = await clocks_of(scenario, after, "next_response")
    assert (clock["state"], clock["message_id"]) == ("running", unclear["messages"][-1]["id"])


@pytest.mark.parametrize(("edited", "status"), [(FURTHER_QUESTION, "reopened"), ("Спасибо вам", "answered")])
async def test_thanks_edited_into_a_question_reopen_the_answered_appeal(
    scenario: AppealsScenario, edited: str, status: str
) -> None:
    found = await says(scenario, await answered(scenario), IRONY)
    await _edit(scenario, found["messages"][-1], edited)
    after = await scenario.appeal(found["id"])
    assert after["status"] == status
    clocks = await clocks_of(scenario, found, "next_response")
    started = [datetime.fromisoformat(one["started_at"]) for one in clocks]
    assert started == ([EDITED_AT] if status == "reopened" else [])


@pytest.mark.parametrize("needs_answer", ["yes", "unsure"])
@pytest.mark.parametrize(("edited", "status"), [(FURTHER_QUESTION, "reopened"), ("5 из 5!", "answered")])
async def test_mark_that_the_classifier_misread_reopens_the_appeal_only_if_edited_into_a_question(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch, needs_answer: str, edited: str, status: str
) -> None:
    monkeypatch.setattr(settings(), "mark_question", "Оцените, пожалуйста, ответ от 1 до 5.")
    found = await says(scenario, await answered(scenario, outcome="solved", ask_mark=True), "5 из 5")
    assert (found["status"], found["feedback_kind"]) == ("answered", "mark")
    mark = found["messages"][-1]
    await _misread(scenario, mark, needs_answer)
    await _edit(scenario, mark, edited)
    after = await scenario.appeal(found["id"])
    assert after["status"] == status
    started = [
        datetime.fromisoformat(one["started_at"]) for one in await clocks_of(scenario, found, "next_response")
    ]
    assert started == ([EDITED_AT] if status == "reopened" else [])


async def test_misread_mark_that_was_edited_into_another_mark_does_not_wait_for_a_reply(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario), "5 из 5")
    await _misread(scenario, found["messages"][-1])
    await _edit(scenario, found["messages"][-1], "5 из 5!")
    await _misread(scenario, found["messages"][-1])
    found = await says(scenario, found, FURTHER_QUESTION, at=EDITED_AT + HOUR)
    assert found["status"] == "reopened"
    decided = await scenario.post(f"/messages/{found['messages'][-1]['id']}/triage", {"needs_answer": False})
    assert decided.status_code == 200, decided.text
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_question_edited_into_a_message_while_a_reply_is_under_way_awaits_the_next_reply(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario), FURTHER_QUESTION)
    found = await says(scenario, found, IRONY, at=NEXT_DAY + HOUR)
    reply = await answer(scenario, found, "Отремонтируем в мае.")
    await _edit(scenario, found["messages"][-1], "А в переулке рядом когда отремонтируют дорогу?")
    await scenario.emit_published(reply, at=NEXT_DAY + 6 * HOUR, external_id="-101_30")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"] is not None) == ("reopened", True)
    clock = (await clocks_of(scenario, found, "next_response"))[-1]
    assert (clock["message_id"], clock["state"]) == (found["messages"][-1]["id"], "running")
    assert datetime.fromisoformat(clock["started_at"]) == EDITED_AT


async def test_reply_submitted_before_an_edit_does_not_answer_the_edited_question(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario), IRONY)
    reply = await answer(scenario, found, "Пожалуйста!")
    await _edit(scenario, found["messages"][-1], FURTHER_QUESTION)
    await scenario.emit_published(reply, at=NEXT_DAY + 6 * HOUR, external_id="-101_30")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"] is not None) == ("reopened", True)


async def test_message_edited_after_the_last_reply_may_be_marked_as_needing_an_answer(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await appeal(scenario), IRONY, at=WEDNESDAY + HOUR)
    found = await published(scenario, found, hours=2)
    await _edit(scenario, found["messages"][-1], f"{IRONY} 🤦")
    assert (await scenario.appeal(found["id"]))["status"] == "answered"
    assert (await _needs_answer(scenario, found["messages"][-1])).status_code == 200
    assert (await scenario.appeal(found["id"]))["status"] == "reopened"
    (clock,) = await clocks_of(scenario, found, "next_response")
    assert datetime.fromisoformat(clock["started_at"]) == EDITED_AT


async def test_reply_under_way_answers_a_mark_that_is_edited_and_still_asks_nothing(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "mark_question", "Оцените, пожалуйста, ответ от 1 до 5.")
    found = await says(scenario, await answered(scenario, outcome="solved", ask_mark=True), "1")
    assert (found["status"], found["feedback_kind"]) == ("reopened", "not_solved")
    reply = await answer(scenario, found, "Переделаем в пятницу.")
    await _edit(scenario, found["messages"][-1], "1!")
    await scenario.emit_published(reply, at=EDITED_AT + HOUR, external_id="-101_40")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("answered", None)


async def test_message_answered_by_a_reply_that_overtook_another_stays_answered(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    overtaken = await answer(scenario, found, "Начнём в понедельник.")
    await reply_fails(scenario, overtaken)
    found = await says(scenario, found, IRONY, at=WEDNESDAY + HOUR)
    found = await published(scenario, found, hours=2)
    await restart_publication(scenario, overtaken)
    await scenario.emit_published(overtaken, at=WEDNESDAY + 3 * HOUR, external_id="-101_30")
    assert [one["status"] for one in (await scenario.appeal(found["id"]))["replies"]] == ["published"] * 2
    for message in found["messages"]:
        assert (await _needs_answer(scenario, message)).status_code == 200
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("answered", None)


async def test_next_question_ends_the_pause_of_the_former_one(scenario: AppealsScenario) -> None:
    found = await says(scenario, await answered(scenario), FURTHER_QUESTION)
    assert (await pause(scenario, found, "pause", reason="Ждём адрес")).is_success
    found = await says(scenario, found, "А в переулке рядом когда дорогу починят?", at=NEXT_DAY + HOUR)
    former, following = found["messages"][1:]
    decided = await scenario.post(f"/messages/{former['id']}/triage", {"needs_answer": False})
    assert decided.status_code == 200, decided.text
    for kind in ("next_response", "final_answer"):
        clock = (await clocks_of(scenario, found, kind))[-1]
        assert (clock["message_id"], clock["state"]) == (following["id"], "running")
    (entry,) = [one for one in (await scenario.appeal(found["id"]))["timeline"] if one["kind"] == "clock_resumed"]
    assert entry["data"]["reason"] == "Ответа ждёт следующее сообщение гражданина"
    (event,) = await scenario.events("appeal.clock_resumed")
    assert json.loads(event["data"])["next_response_due_at"] is not None


async def test_question_edited_into_a_message_after_a_staff_reply_that_comes_late_reopens_the_appeal(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await appeal(scenario), IRONY, at=WEDNESDAY + HOUR)
    question, edited = found["messages"]
    await _edit(scenario, edited, FURTHER_QUESTION)
    await scenario.citizen_writes(
        "Отремонтируем в мае.",
        from_community=True,
        reply_to=await scenario.external_id(question["id"]),
        at=EDITED_AT - HOUR,
    )
    after = await scenario.appeal(found["id"])
    assert (after["status"], len(after["replies"])) == ("reopened", 1)
    (clock,) = await clocks_of(scenario, found, "next_response")
    assert (clock["message_id"], datetime.fromisoformat(clock["started_at"])) == (edited["id"], EDITED_AT)
