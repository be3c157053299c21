"""Recorded answers: answers by phone or letter to appeals without a thread, and their effect on the clock."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared import clock
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem


async def _called(scenario: AppealsScenario, executor: Colleague) -> dict[str, Any]:
    """Return an appeal entered from a phone call two days ago."""
    body = {"text": "Не горят фонари", "source": "phone", "organisation_id": str(scenario.organisation)}
    answer = await executor.post("/appeals", body)
    assert answer.status_code == 201, answer.text
    admin = await scenario.database.connect()
    await admin.execute(
        """UPDATE appeals
           SET opened_at = opened_at - interval '2 days', written_at = written_at - interval '2 days'
           WHERE id = $1::text::uuid""",
        answer.json()["id"],
    )
    await admin.close()
    return await scenario.appeal(answer.json()["id"])


def _answer(at: datetime, **body: Any) -> dict[str, Any]:
    return {"channel": "phone", "text": "Бригада выедет завтра", "answered_at": at.isoformat(), **body}


async def _recorded(executor: Colleague, appeal: dict[str, Any], body: dict[str, Any], **headers: str) -> Any:
    return await executor.post(f"/appeals/{appeal['id']}/recorded-answers", body, **headers)


async def test_recorded_answer_stops_the_clock_at_the_time_it_was_given(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    appeal = await _called(scenario, executor)
    at = datetime.fromisoformat(appeal["opened_at"]) + timedelta(minutes=30)
    answer = await _recorded(executor, appeal, _answer(at))
    assert answer.status_code == 201, answer.text
    reply = answer.json()
    assert (reply["origin"], reply["status"], reply["channel"]) == ("recorded", "published", "phone")
    assert (reply["author"]["name"], datetime.fromisoformat(reply["published_at"])) == ("Борис", at)
    found = await scenario.appeal(appeal["id"])
    assert (found["status"], found["overdue"]) == ("answered", False)
    assert datetime.fromisoformat(found["first_response_at"]) == at
    assert found["replies"] == [reply]
    (event,) = await scenario.events("appeal.answered")
    data = json.loads(event["data"])
    assert (data["origin"], data["on_time"], data["reply_url"]) == ("recorded", True, None)
    assert [entry["kind"] for entry in found["timeline"]].count("answered") == 1
    # A second answer is recorded but does not change the time of the first response.
    later = await _recorded(executor, found, _answer(at + timedelta(hours=1), text="Уже починили"))
    assert later.status_code == 201, later.text
    again = await scenario.appeal(appeal["id"])
    assert again["first_response_at"] == found["first_response_at"]
    assert len(again["replies"]) == 2


async def test_promised_date_of_a_recorded_interim_answer_stays_until_the_final_answer(
    scenario: AppealsScenario,
) -> None:
    executor = await register(scenario, "Борис")
    appeal = await _called(scenario, executor)
    at = datetime.fromisoformat(appeal["opened_at"]) + timedelta(minutes=30)
    promised = (clock.now() + timedelta(days=2)).isoformat()
    _is_problem(await _recorded(executor, appeal, _answer(at, kind="interim")), 422, "/promised_at")
    interim = await _recorded(executor, appeal, _answer(at, kind="interim", promised_at=promised))
    assert interim.status_code == 201, interim.text
    found = await scenario.appeal(appeal["id"])
    assert (found["status"], datetime.fromisoformat(found["promised_at"])) == (
        "interim",
        datetime.fromisoformat(promised),
    )
    final = await _recorded(executor, appeal, _answer(at + timedelta(hours=5), channel="letter", text="Сделано"))
    assert final.status_code == 201, final.text
    found = await scenario.appeal(appeal["id"])
    assert (found["status"], found["promised_at"]) == ("answered", None)


async def test_answer_before_the_appeal_or_in_the_future_is_refused(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    appeal = await _called(scenario, executor)
    opened = datetime.fromisoformat(appeal["opened_at"])
    for at in (opened - timedelta(seconds=1), clock.now() + timedelta(minutes=1)):
        _is_problem(await _recorded(executor, appeal, _answer(at)), 422, "/answered_at")
    assert (await _recorded(executor, appeal, _answer(opened))).status_code == 201
    # An answer given before the appeal was reopened is refused.
    reopened = await scenario.move(await scenario.appeal(appeal["id"]), "reopened", reason="Снова темно")
    assert reopened.status_code == 200, reopened.text
    before = opened + timedelta(hours=1)
    _is_problem(await _recorded(executor, appeal, _answer(before, text="Починили")), 422, "/answered_at")
    late = await _recorded(executor, appeal, _answer(clock.now(), text="Починили"))
    assert late.status_code == 201, late.text
    assert (await scenario.appeal(appeal["id"]))["next_response_due_at"] is None


async def test_recorded_answer_to_an_appeal_with_a_thread_is_refused(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    executor = await register(scenario, "Борис")
    refused = _is_problem(await _recorded(executor, appeal, _answer(clock.now())), 409)
    assert "reply in the thread" in refused["detail"]
    called = await _called(scenario, executor)
    refused = _is_problem(await executor.post(f"/appeals/{called['id']}/replies", {"text": "Починим"}), 409)
    assert "recorded-answers" in refused["detail"]


async def test_recorded_answer_without_right_current_version_or_open_appeal_is_refused(
    scenario: AppealsScenario,
) -> None:
    executor = await register(scenario, "Борис")
    foreign = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    head = await register(scenario, "Глава", "head")
    appeal = await _called(scenario, executor)
    body = _answer(clock.now())
    _is_problem(await _recorded(foreign, appeal, body), 404)
    _is_problem(await _recorded(head, appeal, body), 403)
    path = f"/api/v1/appeals/{appeal['id']}/recorded-answers"
    assert (await scenario.appeals.client.post(path, json=body)).status_code == 401
    _is_problem(await _recorded(executor, appeal, body, If_Match='"99"'), 412)
    _is_problem(await _recorded(executor, appeal, {**body, "channel": "vk"}), 422, "/channel")
    await scenario.move(appeal, "closed", reason="Ошибка")
    _is_problem(await _recorded(executor, appeal, body), 409)
    assert (await scenario.appeal(appeal["id"]))["replies"] == []


@pytest.mark.parametrize("key", [None, "once"])
async def test_same_answer_is_recorded_once(scenario: AppealsScenario, key: str | None) -> None:
    executor = await register(scenario, "Борис")
    appeal = await _called(scenario, executor)
    body = _answer(datetime.fromisoformat(appeal["opened_at"]) + timedelta(hours=1))
    headers = {"Idempotency_Key": key} if key else {}
    first = await _recorded(executor, appeal, body, **headers)
    again = await _recorded(executor, appeal, body, **headers)
    assert first.status_code == 201, first.text
    if key:
        assert again.json() == first.json()
    else:
        assert _is_problem(again, 409)["reply"]["id"] == first.json()["id"]
    assert len((await scenario.appeal(appeal["id"]))["replies"]) == 1
    assert len(await scenario.events("appeal.answered")) == 1


async def test_concurrent_answers_stop_the_clock_once(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    appeal = await _called(scenario, executor)
    opened = datetime.fromisoformat(appeal["opened_at"])
    bodies = [_answer(opened + timedelta(hours=hours), text=f"Ответ {hours}") for hours in (1, 2)]
    answers = await asyncio.gather(*(_recorded(executor, appeal, body) for body in bodies))
    assert [answer.status_code for answer in answers] == [201, 201]
    found = await scenario.appeal(appeal["id"])
    published = {datetime.fromisoformat(reply["published_at"]) for reply in found["replies"]}
    assert len(published) == 2
    assert datetime.fromisoformat(found["first_response_at"]) in published
    events = [json.loads(event["data"]) for event in await scenario.events("appeal.answered")]
    assert [event["on_time"] for event in events] == [True, None]
