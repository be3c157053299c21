"""Undo of one decision restores the former state, unless the appeal has changed since."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import time_machine

from services.appeals.moderation.decision_undo import DECISION_UNDO_REASON
from shared import clock
from shared.tables.appeals_work import UNDO_MINUTES
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import answer, reply_fails, restart_publication
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem
from tests.integration.appeals.test_review_decisions import UNCLEAR, classified_message, decide, topic

_CHANGED = ("version", "timeline", "updated_at", "messages", "deadlines", "presence")
# A started clock keeps running after an undo: the citizen's waiting time counts while a moderator decides again.
_DEADLINES = ("deadline", "first_response_due_at", "resolution_due_at")


def _state(appeal: dict[str, Any], *but: str) -> dict[str, Any]:
    """Return the fields of an appeal that an undo restores, except those named."""
    return {name: value for name, value in appeal.items() if name not in {*_CHANGED, *but}}


def _classification(appeal: dict[str, Any]) -> dict[str, Any]:
    """Return the classification of the first message, without its version and change time."""
    found: dict[str, Any] = appeal["messages"][0]["classification"]
    return {name: value for name, value in found.items() if name not in {"version", "updated_at"}}


async def undo(scenario: AppealsScenario, appeal_id: str, version: int) -> httpx.Response:
    """Undo the last decision, with this version of the appeal in `If-Match`; return the response."""
    return await scenario.post(f"/appeals/{appeal_id}/undo", None, If_Match=f'"{version}"')


async def reviews(scenario: AppealsScenario) -> list[Any]:
    """Return the stored reviews, without their change time."""
    rows = await scenario.ingest.fetch("SELECT (to_jsonb(r) - 'updated_at')::text AS kept FROM reviews r")
    return [row["kept"] for row in rows]


@pytest.mark.parametrize(
    "body",
    [{"organisation_id": True, "urgency": "high", "topic_id": True}, {"needs_answer": False, "type": "spam"}, {}],
    ids=["assigned", "no answer", "by the rules"],
)
async def test_decision_about_a_message_in_triage_is_undone(
    scenario: AppealsScenario, body: dict[str, Any]
) -> None:
    message = await classified_message(scenario, UNCLEAR)
    before = await scenario.single_appeal()
    assert before["status"] == "triage"
    body = dict(body)
    if body.get("organisation_id"):
        body["organisation_id"] = str(scenario.other_organisation)
        body["topic_id"] = await topic(scenario, "energy.01")
    decided = await decide(scenario, message, **body)
    assert decided["appeal_status"] == ("not_required" if body.get("needs_answer") is False else "assigned")
    answer = await undo(scenario, before["id"], decided["appeal_version"])
    assert answer.status_code == 200, answer.text
    after = answer.json()
    assert _state(after, *_DEADLINES) == _state(before, *_DEADLINES)
    assert _classification(after) == _classification(before)
    assert after["messages"][0]["classification"]["version"] > decided["classification"]["version"]
    assert await reviews(scenario) == []
    moved = [one for one in after["timeline"] if one["kind"] == "moved"][-1]
    assert moved["data"].pop("undone_since") >= before["updated_at"]
    assert moved["data"] == {"from": decided["appeal_status"], "to": "triage", "reason": DECISION_UNDO_REASON}
    assert DECISION_UNDO_REASON in [
        json.loads(event["data"])["reason"] for event in await scenario.events("appeal.moved")
    ]
    # Making the same decision again has the same result as the first time.
    again = await decide(scenario, message, **body)
    assert again["appeal_status"] == decided["appeal_status"]
    assert (await scenario.single_appeal())["transfers"] == 0


async def test_undo_of_a_second_decision_restores_the_first_review(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario, UNCLEAR)
    await decide(scenario, message, organisation_id=str(scenario.organisation))
    before, kept = await scenario.single_appeal(), await reviews(scenario)
    decided = await decide(scenario, message, organisation_id=str(scenario.other_organisation))
    answer = await undo(scenario, before["id"], decided["appeal_version"])
    assert answer.status_code == 200, answer.text
    assert _state(answer.json()) == _state(before)
    assert await reviews(scenario) == kept


@pytest.mark.parametrize("to", ["assigned", "closed"])
async def test_move_is_undone_once(scenario: AppealsScenario, to: str) -> None:
    await classified_message(scenario)
    before = await scenario.single_appeal()
    body = {"organisation_id": str(scenario.other_organisation)} if to == "assigned" else {}
    moved = (await scenario.move(before, to, reason="Ошибка", **body)).json()
    answer = await undo(scenario, before["id"], moved["version"])
    assert answer.status_code == 200, answer.text
    assert _state(answer.json()) == _state(before)
    again = _is_problem(await undo(scenario, before["id"], answer.json()["version"]), 409)
    assert "can be undone" in again["detail"]


async def test_undo_of_a_decision_after_a_later_change_is_refused(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario, UNCLEAR)
    decided = await decide(scenario, message, organisation_id=str(scenario.organisation))
    appeal = await scenario.single_appeal()
    moved = (await scenario.move(appeal, "in_progress", role="moderator")).json()
    assert (
        _is_problem(await undo(scenario, appeal["id"], decided["appeal_version"]), 412)["version"]
        == moved["version"]
    )
    assert "changed since" in _is_problem(await undo(scenario, appeal["id"], moved["version"]), 409)["detail"]


async def test_undo_of_a_decision_while_a_reply_is_under_way_is_refused(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario, UNCLEAR)
    decided = await decide(scenario, message, organisation_id=str(scenario.organisation))
    path = f"/appeals/{decided['appeal_id']}/replies"
    draft = {"text": "Проверим", "status": "draft"}
    assert (await scenario.post(path, draft, role="executor", org=scenario.organisation)).status_code == 201
    version = (await scenario.appeal(decided["appeal_id"]))["version"]
    assert version == decided["appeal_version"]
    refused = _is_problem(await undo(scenario, decided["appeal_id"], version), 409)
    assert "A reply to the appeal is under way" in refused["detail"]


async def test_undo_of_a_decision_while_a_failed_reply_is_published_again_is_refused(
    scenario: AppealsScenario,
) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    reply = await answer(scenario, appeal)
    await reply_fails(scenario, reply)
    other = str(scenario.other_organisation)
    moved = await scenario.move(
        await scenario.appeal(appeal["id"]), "assigned", organisation_id=other, reason="Их дорога"
    )
    await restart_publication(scenario, reply)
    refused = _is_problem(await undo(scenario, appeal["id"], moved.json()["version"]), 409)
    assert "A reply to the appeal is under way" in refused["detail"]
    await scenario.ingest.execute("UPDATE publications SET status = 'failed'")
    assert (await undo(scenario, appeal["id"], moved.json()["version"])).status_code == 200


async def test_undo_of_a_decision_after_the_time_limit_is_refused(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario, UNCLEAR)
    decided = await decide(scenario, message, needs_answer=False)
    with time_machine.travel(clock.now() + timedelta(minutes=UNDO_MINUTES, seconds=1), tick=False):
        _is_problem(await undo(scenario, decided["appeal_id"], decided["appeal_version"]), 409)


async def test_undone_decision_does_not_conflict_with_the_next_decision(
    scenario: AppealsScenario,
) -> None:
    anna = await register(scenario, "Анна", "moderator")
    message = await classified_message(scenario, UNCLEAR)
    body = {"needs_answer": True, "organisation_id": str(scenario.organisation), "urgency": "high"}
    decided = (await anna.post(f"/messages/{message}/triage", body)).json()
    version = f'"{decided["appeal_version"]}"'
    assert (await anna.post(f"/appeals/{decided['appeal_id']}/undo", None, If_Match=version)).status_code == 200
    # `decide` sends no `If-Match`: a decision that was not undone would cause a conflict.
    again = await decide(scenario, message, organisation_id=str(scenario.other_organisation))
    assert again["organisation"]["id"] == str(scenario.other_organisation)


@pytest.mark.parametrize(
    "undone", [True, False], ids=["a later decision was undone", "the reason is that of an undo"]
)
async def test_decision_that_was_not_undone_still_conflicts_with_the_next(
    scenario: AppealsScenario, *, undone: bool
) -> None:
    anna = await register(scenario, "Анна", "moderator")
    message = await classified_message(scenario)
    path = f"/appeals/{(await scenario.single_appeal())['id']}"
    body = {"to": "assigned", "organisation_id": str(scenario.other_organisation), "reason": DECISION_UNDO_REASON}
    assert (await anna.post(f"{path}/moves", body, If_Match="*")).is_success
    if undone:
        assert (await anna.post(f"{path}/moves", {"to": "closed", "reason": "Так"}, If_Match="*")).is_success
        assert (await anna.post(f"{path}/undo", None, If_Match="*")).is_success
    other = {"needs_answer": True, "organisation_id": str(scenario.organisation)}
    refused = _is_problem(await scenario.post(f"/messages/{message}/triage", other), 409)
    assert refused["decision"]["kind"] == "assigned"


async def test_undo_of_another_persons_decision_is_refused(scenario: AppealsScenario) -> None:
    anna = await register(scenario, "Анна", "moderator")
    message = await classified_message(scenario, UNCLEAR)
    decided = await decide(scenario, message, needs_answer=False)
    _is_problem(await anna.post(f"/appeals/{decided['appeal_id']}/undo", None, If_Match="*"), 409)
    unread = await scenario.post(f"/appeals/{decided['appeal_id']}/undo", None)
    assert unread.status_code == 428
    assert (await undo(scenario, str(UUID(int=7)), 1)).status_code == 404


async def test_decision_with_a_version_from_before_a_move_is_refused(scenario: AppealsScenario) -> None:
    message = await classified_message(scenario)
    seen = await scenario.single_appeal()
    moved = (await scenario.move(seen, "in_progress")).json()
    body: dict[str, Any] = {"needs_answer": True, "urgency": "high"}
    stale = await scenario.post(f"/messages/{message}/triage", body | {"appeal_version": seen["version"]})
    problem = _is_problem(stale, 412)
    assert (problem["version"], problem["last_change"]["kind"]) == (moved["version"], "moved")
    assert (await decide(scenario, message, **body, appeal_version=moved["version"]))["appeal_version"] > moved[
        "version"
    ]
