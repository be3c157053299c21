"""An appeal becomes answered again only by an answer that is not withdrawn; its outcome and feedback return."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import appeal
from tests.integration.appeals.test_feedback import HOUR, NEXT_DAY, correct, event_types, says, set_time
from tests.integration.appeals.test_reply_changes import published, withdrawn

__all__ = ["set_time"]

INTERIM: dict[str, Any] = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}
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


async def test_appeal_with_a_withdrawn_answer_cannot_be_decided_to_need_no_answer(
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
