"""An appeal becomes answered again only by an answer that is not withdrawn; its outcome and feedback return."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import appeal, draft
from tests.integration.appeals.test_feedback import (
    FURTHER_QUESTION,
    HOUR,
    NEXT_DAY,
    clocks_of,
    correct,
    event_types,
    says,
    set_time,
)
from tests.integration.appeals.test_reply_changes import published, withdrawn

__all__ = ["set_time"]

INTERIM: dict[str, Any] = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}
MINUTE = timedelta(minutes=1)
PHOTO = {"attachments": [{"type": "photo"}]}


async def _split_off(scenario: AppealsScenario, found: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Split the message off into a new appeal; return the appeal that it belonged to."""
    body = {"message_id": message["id"], "decision": "split_off"}
    split = await scenario.post(f"/appeals/{found['id']}/matter-decisions", body, If_Match="*")
    assert split.status_code == 201, split.text
    return await scenario.appeal(found["id"])


async def _needs_no_answer(scenario: AppealsScenario, message: dict[str, Any]) -> Any:
    return await scenario.post(f"/messages/{message['id']}/triage", {"needs_answer": False})


async def test_correction_of_feedback_on_a_withdrawn_answer_is_refused(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Уточним.", **INTERIM)
    final = await published(scenario, found, "Починили.", at=2 * HOUR, outcome="solved")
    reopened = await says(scenario, found, "Не решено", at=WEDNESDAY + 3 * HOUR)
    assert (reopened["status"], reopened["feedback_kind"]) == ("reopened", "not_solved")
    waits = await withdrawn(scenario, found, final)
    refused = await correct(scenario, waits, "thanks")
    assert (refused.status_code, "withdrawn" in refused.json()["detail"]) == (409, True)
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["outcome"], after["feedback"][0]["kind"]) == ("reopened", None, "not_solved")
    # Even without the dissatisfied message, the appeal still awaits a final reply.
    old = await _split_off(scenario, after, after["messages"][-1])
    assert (old["status"], old["outcome"]) == ("reopened", None)


async def test_withdrawn_answer_leaves_feedback_on_the_previous_answer_correctable(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    await says(scenario, found, "Не решено", at=WEDNESDAY + 2 * HOUR)
    second = await published(scenario, found, "Теперь починили.", at=3 * HOUR)
    assert (await scenario.appeal(found["id"]))["feedback_kind"] is None
    waits = await withdrawn(scenario, found, second)
    assert (waits["status"], waits["feedback_kind"]) == ("reopened", "not_solved")
    assert (await correct(scenario, waits, "thanks", answer_number=1)).status_code == 409
    done = await correct(scenario, waits, "thanks")
    assert done.status_code == 200, done.text
    after = done.json()
    assert (after["status"], after["outcome"], after["feedback_kind"]) == ("answered", "solved", "thanks")
    assert [one["kind"] for one in after["feedback"]] == ["thanks", None]


async def test_outcome_is_kept_when_an_unclear_message_needs_no_answer(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    thanked = await says(scenario, found, "Спасибо!", at=WEDNESDAY + 2 * HOUR)
    thanks = await scenario.external_id(thanked["messages"][-1]["id"])
    await scenario.citizen_writes("Пожалуйста!", from_community=True, reply_to=thanks, at=WEDNESDAY + 3 * HOUR)
    unclear = await says(scenario, found, "", **PHOTO)
    assert (len(unclear["replies"]), unclear["status"], unclear["outcome"]) == (2, "triage", None)
    decided = await _needs_no_answer(scenario, unclear["messages"][-1])
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["outcome"], after["feedback_kind"]) == ("answered", "solved", "thanks")


async def _taken_by_moderator(scenario: AppealsScenario) -> tuple[dict[str, Any], str, int]:
    """Return an answered appeal that an unclear message moved to triage and a moderator has taken, the id of that
    message, and the number of `appeal.moved` events so far.
    """
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    unclear = await says(scenario, found, "", **PHOTO)
    olga = await register(scenario, "Ольга", "moderator")
    taken = await olga.move(found, assignee_id=olga.ref)
    assert (taken.status_code, taken.json()["assignee"]["id"]) == (200, olga.ref), taken.text
    assert taken.json()["status"] == "triage"
    return found, unclear["messages"][-1]["id"], len(await scenario.events("appeal.moved"))


async def test_moderator_is_unassigned_with_an_event_when_the_appeal_is_answered_again(
    scenario: AppealsScenario,
) -> None:
    found, message, moves = await _taken_by_moderator(scenario)
    decided = await _needs_no_answer(scenario, {"id": message})
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["outcome"], after["assignee"]) == ("answered", "solved", None)
    assert after["organisation"]["id"] == str(scenario.organisation)
    moved = [json.loads(event["data"]) for event in (await scenario.events("appeal.moved"))[moves:]]
    assert [(data["from"], data["to"]) for data in moved] == [("triage", "answered")]
    kinds = [entry["kind"] for entry in after["timeline"]]
    assert kinds[-3:] == ["triage_decided", "moved", "assignee_changed"]


async def test_moderator_is_unassigned_when_the_page_answers_an_appeal_in_triage(
    scenario: AppealsScenario,
) -> None:
    found, message, _ = await _taken_by_moderator(scenario)
    await scenario.citizen_writes(
        "Видим, спасибо за фото.", from_community=True, reply_to=await scenario.external_id(UUID(message)),
        at=NEXT_DAY + HOUR,
    )  # fmt: skip
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["assignee"]) == ("answered", None)


async def test_appeal_with_a_withdrawn_answer_cannot_be_marked_as_needing_no_answer(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Уточним.", **INTERIM)
    final = await published(scenario, found, "Починили.", at=2 * HOUR, outcome="solved")
    await says(scenario, found, "", **PHOTO)
    waits = await withdrawn(scenario, found, final)
    assert waits["status"] == "triage"
    assert (await _needs_no_answer(scenario, waits["messages"][-1])).status_code == 409
    assert (await scenario.appeal(found["id"]))["status"] == "triage"


async def test_feedback_is_removed_when_its_message_is_split_off(scenario: AppealsScenario, set_time: Any) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    reopened = await says(scenario, found, "Не решено", at=NEXT_DAY)
    assert (reopened["status"], reopened["feedback_kind"]) == ("reopened", "not_solved")
    after = await _split_off(scenario, reopened, reopened["messages"][-1])
    assert (after["status"], after["outcome"], after["feedback_kind"]) == ("answered", "solved", None)
    (said,) = after["feedback"]
    emptied = ("kind", "mark", "message_id", "said_at", "reason", "corrected_by")
    assert [said[name] for name in emptied] == [None] * len(emptied)
    words = [
        (entry["kind"], entry["data"]["feedback"])
        for entry in after["timeline"]
        if entry["kind"].startswith("feedback")
    ]
    assert words == [("feedback_received", "not_solved"), ("feedback_corrected", None)]
    assert (await event_types(scenario))[-1] == "feedback_corrected"
    set_time(datetime.fromisoformat(said["silent_after"]) + HOUR)
    await scenario.handle_schedule("record-silence")
    assert (await scenario.appeal(found["id"]))["feedback_kind"] == "silence"


async def _clock_starts(scenario: AppealsScenario, found: dict[str, Any], kind: str) -> list[tuple[str, datetime]]:
    """Return the state and the start of the appeal's clocks of this kind that were not cancelled, oldest first."""
    return [
        (one["state"], datetime.fromisoformat(one["started_at"]))
        for one in await clocks_of(scenario, found, kind)
        if one["state"] != "cancelled"
    ]


async def _dissatisfied_and_asks(scenario: AppealsScenario) -> dict[str, Any]:
    """Return an answered appeal that a dissatisfied message reopened, and that a further question joined."""
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    await says(scenario, found, "Не решено", at=NEXT_DAY)
    after = await says(scenario, found, FURTHER_QUESTION, at=NEXT_DAY + 3 * HOUR)
    assert (after["status"], after["feedback_kind"], len(after["messages"])) == ("reopened", "not_solved", 3)
    assert await _clock_starts(scenario, after, "next_response") == [("running", NEXT_DAY + MINUTE)]
    return after


@pytest.mark.parametrize("by", ["correction", "split"])
async def test_question_after_dissatisfaction_that_was_misread_gets_the_clocks(
    scenario: AppealsScenario, by: str
) -> None:
    asked = await _dissatisfied_and_asks(scenario)
    if by == "correction":
        assert (await correct(scenario, asked, "thanks")).status_code == 200
    else:
        await _split_off(scenario, asked, asked["messages"][1])
    after = await scenario.appeal(asked["id"])
    assert (after["status"], after["outcome"]) == ("reopened", None)
    began = NEXT_DAY + 3 * HOUR + MINUTE
    assert await _clock_starts(scenario, after, "next_response") == [("running", began)]
    # The first answer has stopped the clock of its question, and the further question has a clock of its own.
    first, further = await clocks_of(scenario, after, "final_answer")
    assert (first["state"], first["used_seconds"], first["on_time"]) == ("stopped", 59 * 60, True)
    assert (further["state"], further["message_id"]) == ("running", asked["messages"][2]["id"])
    assert after["resolution_due_at"] == further["due_at"]
    (event,) = await scenario.events("appeal.deadline_changed")
    changed = json.loads(event["data"])["next_response_due_at"]
    assert datetime.fromisoformat(changed) == datetime.fromisoformat(after["next_response_due_at"])


async def test_question_that_was_misread_as_dissatisfaction_still_awaits_its_answer(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    reopened = await says(scenario, found, "Не решено", at=NEXT_DAY)
    assert reopened["messages"][-1]["classification"]["needs_answer"] == "yes"
    assert (await correct(scenario, reopened, None)).status_code == 200
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["feedback_kind"]) == ("reopened", None)
    assert await _clock_starts(scenario, after, "next_response") == [("running", NEXT_DAY + MINUTE)]
    states = await _clock_starts(scenario, after, "final_answer")
    assert states == [("stopped", WEDNESDAY + MINUTE), ("running", NEXT_DAY + MINUTE)]


async def test_clock_waits_for_the_next_unclear_message_when_the_first_needs_no_answer(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.")
    await says(scenario, found, "", **PHOTO)
    unclear = await says(scenario, found, "", at=NEXT_DAY + 3 * HOUR, **PHOTO)
    assert (unclear["status"], len(unclear["messages"])) == ("triage", 3)
    _, first, second = unclear["messages"]
    assert (await _needs_no_answer(scenario, first)).status_code == 200
    assert (await scenario.appeal(found["id"]))["status"] == "triage"
    assert (await scenario.post(f"/messages/{second['id']}/triage", {"needs_answer": True})).status_code == 200
    after = await scenario.appeal(found["id"])
    assert after["status"] == "reopened"
    began = NEXT_DAY + 3 * HOUR + MINUTE
    assert await _clock_starts(scenario, after, "next_response") == [("running", began)]


async def test_running_clock_counts_from_the_next_question_when_the_first_needs_no_answer(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.")
    await says(scenario, found, FURTHER_QUESTION)
    asked = await says(scenario, found, "Когда отремонтируют дорогу?", at=NEXT_DAY + 3 * HOUR)
    assert (asked["status"], len(asked["messages"])) == ("reopened", 3)
    assert (await _needs_no_answer(scenario, asked["messages"][1])).status_code == 200
    after = await scenario.appeal(found["id"])
    assert after["status"] == "reopened"
    began = NEXT_DAY + 3 * HOUR + MINUTE
    assert await _clock_starts(scenario, after, "next_response") == [("running", began)]
    assert await _clock_starts(scenario, after, "final_answer") == [
        ("stopped", WEDNESDAY + MINUTE),
        ("running", began),
    ]


async def test_reopening_by_a_message_that_needs_no_answer_is_undone(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.", outcome="solved")
    reopened = await says(scenario, found, FURTHER_QUESTION)
    assert (reopened["status"], reopened["outcome"]) == ("reopened", None)
    decided = await _needs_no_answer(scenario, reopened["messages"][-1])
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["outcome"], after["next_response_due_at"]) == ("answered", "solved", None)
    assert after["organisation"]["id"] == str(scenario.organisation)
    assert await _clock_starts(scenario, after, "next_response") == []
    assert await _clock_starts(scenario, after, "final_answer") == [("stopped", WEDNESDAY + MINUTE)]
    moved = json.loads((await scenario.events("appeal.moved"))[-1]["data"])
    assert (moved["from"], moved["to"]) == ("reopened", "answered")
    # The clocks of the message have ended, so the decision is not undone; another decision reopens the appeal.
    undone = await scenario.post(f"/appeals/{found['id']}/undo", {}, If_Match=f'"{after["version"]}"')
    assert (undone.status_code, (await scenario.appeal(found["id"]))["status"]) == (409, "answered")
    message = reopened["messages"][-1]
    assert (await scenario.post(f"/messages/{message['id']}/triage", {"needs_answer": True})).status_code == 200
    again = await scenario.appeal(found["id"])
    assert (again["status"], again["next_response_due_at"]) == ("reopened", reopened["next_response_due_at"])


async def test_reopening_is_not_undone_while_somebody_writes_a_reply(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.")
    reopened = await says(scenario, found, FURTHER_QUESTION)
    await draft(scenario, reopened, "Отвечаем")
    refused = await _needs_no_answer(scenario, reopened["messages"][-1])
    assert (refused.status_code, "move it to «closed»" in refused.json()["detail"]) == (409, True)
    assert (await scenario.appeal(found["id"]))["status"] == "reopened"


async def test_message_read_as_dissatisfaction_cannot_be_marked_as_needing_no_answer_before_its_correction(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.")
    reopened = await says(scenario, found, "Не решено")
    refused = await _needs_no_answer(scenario, reopened["messages"][-1])
    assert (refused.status_code, "correct that feedback" in refused.json()["detail"]) == (409, True)
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["feedback_kind"]) == ("reopened", "not_solved")


async def test_thanks_in_an_appeal_that_a_person_reopened_need_no_answer_and_change_nothing(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Починили.")
    thanked = await says(scenario, found, "Спасибо!")
    reopened = (await scenario.move(thanked, "reopened", reason="Не починили")).json()
    decided = await _needs_no_answer(scenario, thanked["messages"][-1])
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("reopened", reopened["next_response_due_at"])
