"""Feedback of citizens on final answers: recognised, recorded once, corrected, and its effect on the appeal."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.appeals.replies.submission import MAX_REPLY_LENGTH
from services.appeals.settings import settings
from services.ingest.schemas.publications import PublicationRequest
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import answer, appeal, execute, reply_fails
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_concurrent_matching import Workers, workers

__all__ = ["workers"]

HOUR = timedelta(hours=1)
NEXT_DAY = WEDNESDAY + 24 * HOUR
FURTHER_QUESTION = "Так когда дорогу отремонтируют? Там темно, дети спотыкаются о ямы!"
EVENTS = ("appeal.feedback_received", "appeal.feedback_corrected", "appeal.reopened")


@pytest.fixture
def set_time(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the application's clock."""
    return lambda moment: monkeypatch.setattr("shared.clock._shift", moment - datetime.now(UTC))


async def published(
    scenario: AppealsScenario, found: dict[str, Any], text: str = "Дорогу отремонтировали.", *, hours: int = 1,
    **body: Any,
) -> dict[str, Any]:  # fmt: skip
    """Publish a reply to an appeal, `hours` hours after Wednesday 10:00; return the appeal."""
    reply = await answer(scenario, found, text, **body)
    await scenario.emit_published(reply, at=WEDNESDAY + hours * HOUR, external_id=f"-101_{hours}")
    return await scenario.appeal(found["id"])


async def answered(
    scenario: AppealsScenario, text: str = "Дорогу отремонтировали.", **body: Any
) -> dict[str, Any]:
    """Return an appeal whose answer was published an hour after the question."""
    return await published(scenario, await appeal(scenario), text, **body)


async def says(scenario: AppealsScenario, found: dict[str, Any], text: str, **details: Any) -> dict[str, Any]:
    """Let the citizen write, by default on the next day; return the appeal."""
    await scenario.citizen_writes(text, **{"at": NEXT_DAY, **details})
    return await scenario.appeal(found["id"])


async def event_types(scenario: AppealsScenario) -> list[str]:
    return [event["type"].removeprefix("appeal.") for event in await scenario.events(*EVENTS)]


async def clocks_of(scenario: AppealsScenario, found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the appeal's clocks of this kind, oldest first."""
    answer = await scenario.get(f"/appeals/{found['id']}/deadlines")
    return [one for one in answer.json()["clocks"] if one["kind"] == kind]


async def final_clock(scenario: AppealsScenario, found: dict[str, Any]) -> dict[str, Any]:
    (clock,) = await clocks_of(scenario, found, "final_answer")
    return clock


async def correct(
    scenario: AppealsScenario, found: dict[str, Any], kind: str | None, *, role: str = "moderator",
    answer_number: int = 0, **body: Any,
) -> Any:  # fmt: skip
    """Correct the recognised feedback on the first (or another) answer; return the response."""
    path = f"/api/v1/appeals/{found['id']}/feedback/{found['feedback'][answer_number]['id']}"
    organisation = None if role == "moderator" else scenario.organisation
    headers = scenario.appeals.headers(role, organisation, **{"If-Match": f'"{found["version"]}"'})
    given = {"kind": kind, "reason": "Это ирония", **body}
    return await scenario.appeals.client.put(path, json=given, headers=headers)


async def test_thanks_are_recorded_and_leave_the_appeal_answered(scenario: AppealsScenario) -> None:
    found = await answered(scenario)
    assert (found["status"], found["feedback_kind"]) == ("answered", None)
    assert [one["kind"] for one in found["feedback"]] == [None]
    after = await says(scenario, found, "Спасибо большое, всё сделали!")
    assert (after["status"], after["feedback_kind"]) == ("answered", "thanks")
    (said,) = after["feedback"]
    assert (said["kind"], said["mark"], said["reason"]) == ("thanks", None, "Благодарность: «спасибо»")
    assert (said["message_id"], said["reply_id"]) == (after["messages"][-1]["id"], after["replies"][0]["id"])
    assert (after["timeline"][-1]["kind"], after["timeline"][-1]["data"]["feedback"]) == (
        "feedback_received",
        "thanks",
    )
    assert await event_types(scenario) == ["feedback_received"]
    assert [row["id"] for row in await scenario.all(feedback="thanks")] == [found["id"]]
    assert await scenario.all(feedback="not_solved") == []


async def test_redelivered_message_is_recorded_once(scenario: AppealsScenario) -> None:
    found = await answered(scenario)
    before = await says(scenario, found, "Не решено!")
    await execute(scenario, "UPDATE appeals_consumer_offsets SET position = 0 WHERE consumer = 'appeals'")
    await scenario.process_events()
    assert await scenario.appeal(found["id"]) == before
    assert await event_types(scenario) == ["feedback_received", "reopened"]


async def test_dissatisfaction_reopens_the_appeal_with_its_first_clock(
    scenario: AppealsScenario, set_time: Any
) -> None:
    set_time(WEDNESDAY + timedelta(minutes=2))
    found = await answered(scenario)
    set_time(NEXT_DAY + 2 * HOUR)
    before = await final_clock(scenario, found)
    after = await says(scenario, found, "Ничего не сделали, это отписка!")
    assert (after["status"], after["feedback_kind"]) == ("reopened", "not_solved")
    clock = await final_clock(scenario, after)
    assert [event["kind"] for event in clock["events"]] == ["started", "stopped", "reopened"]
    assert (clock["id"], clock["started_at"], clock["state"]) == (before["id"], before["started_at"], "running")
    assert clock["used_seconds"] + clock["left_seconds"] == clock["target_seconds"]
    # 59 minutes until the answer, and about two hours since the citizen wrote on Thursday at 10:01.
    assert before["used_seconds"] == 59 * 60
    assert 59 * 60 + 7_100 <= clock["used_seconds"] <= 59 * 60 + 7_200
    assert "04.03 — 59 мин; с 04.03 11:00 по 05.03 10:01 — пауза (ответ дан, но вопрос не решён)" in clock["text"]
    assert after["next_response_due_at"] is not None
    assert after["resolution_due_at"] == clock["due_at"] > before["due_at"]


async def test_next_answer_stops_the_reopened_clock_and_awaits_new_feedback(scenario: AppealsScenario) -> None:
    found = await says(scenario, await answered(scenario), "Так и не сделали")
    again = await published(scenario, found, "Бригада была в пятницу, ямы засыпаны.", hours=50)
    assert (again["status"], again["feedback_kind"]) == ("answered", None)
    assert [one["kind"] for one in again["feedback"]] == ["not_solved", None]
    clock = await final_clock(scenario, again)
    assert [event["kind"] for event in clock["events"]] == ["started", "stopped", "reopened", "stopped"]
    thanked = await says(scenario, again, "Спасибо, решено", at=WEDNESDAY + 60 * HOUR)
    assert [one["kind"] for one in thanked["feedback"]] == ["not_solved", "thanks"]
    assert thanked["final_answer_at"] == found["final_answer_at"]


@pytest.mark.parametrize(
    ("words", "kind", "mark", "status"),
    [
        pytest.param(["5"], "mark", 5, "answered", marks=pytest.mark.long),
        (["⭐⭐"], "not_solved", 2, "reopened"),
        pytest.param(["Спасибо", "Оценка 4"], "mark", 4, "answered", marks=pytest.mark.long),
        pytest.param(["Оценка 4", "Спасибо"], "mark", 4, "answered", marks=pytest.mark.long),
        (["Спасибо!", "А нет, опять не сделали"], "not_solved", None, "reopened"),
        pytest.param(["Спасибо за «работу» 🤦"], None, None, "answered", marks=pytest.mark.long),
    ],
)
async def test_last_feedback_on_an_answer_replaces_earlier_feedback(
    scenario: AppealsScenario, words: list[str], kind: str | None, mark: int | None, status: str
) -> None:
    found = await answered(scenario)
    for number, text in enumerate(words):
        found = await says(scenario, found, text, at=NEXT_DAY + number * HOUR)
    (said,) = found["feedback"]
    assert (said["kind"], said["mark"], found["status"]) == (kind, mark, status)
    assert found["feedback_kind"] == kind


@pytest.mark.parametrize(
    ("reply", "text", "kind"),
    [
        ("Дорогу отремонтировали. В каком подъезде вы живёте?", "3", None),
        pytest.param("Дорогу отремонтировали.", "2", None, marks=pytest.mark.long),
        pytest.param(
            "Дорогу отремонтировали. Оцените ответ от 1 до 5.", "2", "not_solved", marks=pytest.mark.long
        ),
    ],
)
async def test_lone_digit_is_not_a_mark_after_another_question_or_if_low_and_not_requested(
    scenario: AppealsScenario, reply: str, text: str, kind: str | None
) -> None:
    after = await says(scenario, await answered(scenario, reply), text)
    assert after["feedback"][0]["kind"] == kind


async def test_thanks_for_an_interim_answer_are_not_feedback(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    promised = (datetime.now(UTC) + 24 * HOUR).isoformat()
    found = await published(scenario, found, "Уточняем сроки.", kind="interim", promised_at=promised)
    after = await says(scenario, found, "Спасибо!")
    assert (after["status"], after["feedback"], after["feedback_kind"]) == ("interim", [], None)


async def test_dissatisfaction_with_a_closed_appeal_reopens_it(scenario: AppealsScenario) -> None:
    found = await answered(scenario)
    closed = (await scenario.move(found, "closed", outcome="solved")).json()
    after = await says(scenario, closed, "Не решено")
    assert (after["status"], after["outcome"], after["closed_at"]) == ("reopened", None, None)
    assert len(await scenario.all()) == 1


async def test_appeal_closed_as_not_solved_stays_closed(scenario: AppealsScenario) -> None:
    found = await answered(scenario)
    closed = (await scenario.move(found, "closed", outcome="not_solved")).json()
    after = await says(scenario, closed, "Не решено")
    assert (after["status"], after["feedback_kind"], after["outcome"]) == ("closed", "not_solved", "not_solved")


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("Так и не отремонтировали дорогу на Бабушкина, там всё те же ямы!", "not_solved", 1),
        ("А педиатра в поликлинике как не было, так и не приняли!", None, 2),
    ],
)
async def test_detailed_dissatisfaction_is_feedback_only_if_about_the_same_matter(
    scenario: AppealsScenario, text: str, kind: str | None, number: int
) -> None:
    after = await says(scenario, await answered(scenario), text)
    assert (after["feedback_kind"], len(await scenario.all())) == (kind, number)


async def test_thanks_that_may_be_about_two_answers_are_not_feedback(scenario: AppealsScenario) -> None:
    one = await answered(scenario)
    await scenario.citizen_writes("Почему в поликлинике нет ни одного педиатра?", at=WEDNESDAY + 2 * HOUR)
    (other,) = [row for row in await scenario.all() if row["id"] != one["id"]]
    other = await published(scenario, other, "Педиатр принимает с понедельника.", hours=3)
    await scenario.citizen_writes("Спасибо", at=NEXT_DAY)
    assert {row["feedback_kind"] for row in await scenario.all()} == {None}
    question = next(message for message in other["messages"])
    external_id = await scenario.external_id(question["id"])
    direct = await says(scenario, other, "Спасибо!", at=NEXT_DAY + HOUR, reply_to=external_id)
    assert direct["feedback_kind"] == "thanks"
    assert (await scenario.appeal(one["id"]))["feedback_kind"] is None


@pytest.mark.parametrize(
    ("hours", "kind"), [(0.5, None), pytest.param(29 * 24, "thanks", marks=pytest.mark.long), (32 * 24, None)]
)
async def test_message_before_the_answer_or_long_after_it_is_not_feedback(
    scenario: AppealsScenario, hours: float, kind: str | None
) -> None:
    after = await says(scenario, await answered(scenario), "Спасибо!", at=WEDNESDAY + hours * HOUR)
    assert after["feedback_kind"] == kind


@pytest.mark.long
async def test_message_of_another_citizen_is_not_feedback(scenario: AppealsScenario) -> None:
    found = await answered(scenario)
    after = await says(scenario, found, "Спасибо!", author="boris")
    assert (after["feedback_kind"], len(after["messages"])) == (None, 1)


async def test_thanks_received_in_one_batch_with_the_staff_answer_are_feedback(scenario: AppealsScenario) -> None:
    first = await scenario.citizen_writes(QUESTION)
    found = await scenario.single_appeal()
    await scenario.insert_message(
        "Дорогу отремонтировали.",
        from_community=True,
        reply_to=await scenario.external_id(first),
        at=WEDNESDAY + HOUR,
    )
    after = await says(scenario, found, "Спасибо!", at=WEDNESDAY + 2 * HOUR)
    assert (after["status"], after["feedback_kind"]) == ("answered", "thanks")
    thanks = await scenario.external_id(after["messages"][-1]["id"])
    await scenario.citizen_writes(
        "Пожалуйста, обращайтесь!", from_community=True, reply_to=thanks, at=WEDNESDAY + 3 * HOUR
    )
    polite = await scenario.appeal(found["id"])
    assert (len(polite["replies"]), polite["feedback_kind"], len(polite["feedback"])) == (2, "thanks", 1)


async def test_own_reply_mistaken_for_a_staff_reply_keeps_its_feedback(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found, "Починили всё.", outcome="solved")
    own = await scenario.citizen_writes("Починили всё!", from_community=True, at=WEDNESDAY + HOUR)
    thanked = await says(scenario, found, "Спасибо")
    assert thanked["feedback_kind"] == "thanks"
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR, external_id=await scenario.external_id(own))
    after = await scenario.appeal(found["id"])
    assert [one["reply_id"] for one in after["feedback"]] == [reply["id"]]
    assert (after["feedback_kind"], after["outcome"]) == ("thanks", "solved")


async def test_silence_is_recorded_after_the_window_and_ends_with_feedback(
    scenario: AppealsScenario, set_time: Any
) -> None:
    found = await answered(scenario)
    silent_after = datetime.fromisoformat(found["feedback"][0]["silent_after"])
    assert silent_after == datetime(2026, 3, 12, 3, 0, tzinfo=UTC)
    set_time(silent_after - HOUR)
    await scenario.handle_schedule("record-silence")
    assert (await scenario.appeal(found["id"]))["feedback_kind"] is None
    set_time(silent_after + HOUR)
    await scenario.handle_schedule("record-silence")
    await scenario.handle_schedule("record-silence")
    silent = await scenario.appeal(found["id"])
    assert (silent["status"], silent["feedback_kind"]) == ("answered", "silence")
    assert silent["feedback"][0]["reason"].startswith("Отзыва не было до ")
    assert await event_types(scenario) == ["feedback_received"]
    late = await says(scenario, found, "Спасибо", at=silent_after + HOUR)
    assert late["feedback_kind"] == "thanks"


async def test_silence_is_not_recorded_for_an_appeal_reopened_by_another_question(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario), FURTHER_QUESTION)
    assert (found["status"], found["feedback_kind"]) == ("reopened", None)
    await scenario.handle_schedule("record-silence")
    after = await scenario.appeal(found["id"])
    assert (after["feedback_kind"], after["feedback"][0]["kind"]) == (None, None)


async def test_concurrent_feedback_of_two_messages_reopens_the_appeal_once(workers: Workers) -> None:
    scenario = workers.scenario
    found = await answered(scenario)
    messages = [await scenario.insert_message(text, at=NEXT_DAY) for text in ("Спасибо!", "Не решено!")]
    await asyncio.gather(workers.handle(workers.one, messages[0]), workers.handle(workers.two, messages[1]))
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["feedback_kind"], len(after["feedback"])) == ("reopened", "not_solved", 1)
    assert len(after["messages"]) == 3
    recorded = [entry["data"]["feedback"] for entry in after["timeline"] if entry["kind"] == "feedback_received"]
    assert recorded in (["thanks", "not_solved"], ["not_solved"])
    assert [kind for kind in await event_types(scenario) if kind == "reopened"] == ["reopened"]


async def test_thanks_corrected_to_dissatisfaction_reopen_the_appeal(scenario: AppealsScenario) -> None:
    found = await says(scenario, await answered(scenario), "Спасибо большое")
    assert (await correct(scenario, found, "not_solved", role="manager")).status_code == 403
    assert (await correct(scenario, found | {"version": 1}, "not_solved")).status_code == 412
    assert (await correct(scenario, found, "thanks")).status_code == 409
    wrong = await correct(scenario, found, "not_solved", mark=5)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/mark")
    done = await correct(scenario, found, "not_solved", mark=1)
    assert done.status_code == 200, done.text
    after = done.json()
    assert (after["status"], after["feedback_kind"], after["feedback"][0]["mark"]) == ("reopened", "not_solved", 1)
    assert after["feedback"][0]["corrected_by"] is not None
    entry = next(one for one in after["timeline"] if one["kind"] == "feedback_corrected")
    assert (entry["data"]["former"], entry["data"]["reason"]) == ("thanks", "Это ирония")
    assert await event_types(scenario) == ["feedback_received", "reopened", "feedback_corrected"]
    clock = await final_clock(scenario, after)
    assert [event["kind"] for event in clock["events"]] == ["started", "stopped", "reopened"]


async def test_dissatisfaction_corrected_to_no_feedback_restores_the_answered_appeal(
    scenario: AppealsScenario,
) -> None:
    before = await answered(scenario, outcome="solved")
    clock = await final_clock(scenario, before)
    found = await says(scenario, before, "Не решено")
    question = (await correct(scenario, found, None)).json()
    # The message is read as one that needs an answer, so as an ordinary message it reopens the appeal too.
    assert (question["status"], question["feedback_kind"]) == ("reopened", None)
    decided = await scenario.post(f"/messages/{found['messages'][-1]['id']}/triage", {"needs_answer": False})
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["feedback_kind"], after["outcome"]) == ("answered", None, "solved")
    assert after["next_response_due_at"] is None
    stopped, cancelled = await clocks_of(scenario, after, "final_answer")
    assert cancelled["state"] == "cancelled"
    same = ("state", "stopped_at", "used_seconds", "on_time", "due_at")
    assert {name: stopped[name] for name in same} == {name: clock[name] for name in same}
    # After feedback was corrected to none, the citizen's next message is recognised as feedback.
    assert (await says(scenario, after, "Спасибо", at=NEXT_DAY + HOUR))["feedback_kind"] == "thanks"


async def _needs_none(scenario: AppealsScenario, message: dict[str, Any]) -> Any:
    return await scenario.post(f"/messages/{message['id']}/triage", {"needs_answer": False})


@pytest.mark.parametrize("words", [["Оценка 4"], ["Вопрос решён", "Оценка 5", "Сделали"]])
async def test_thanks_and_marks_do_not_await_the_reply_to_an_unclear_message(
    scenario: AppealsScenario, words: list[str]
) -> None:
    found = await answered(scenario)
    for number, text in enumerate(words):
        found = await says(scenario, found, text, at=NEXT_DAY + number * HOUR)
    assert (found["status"], found["feedback_kind"]) == ("answered", "mark")
    unclear = await says(scenario, found, "", attachments=[{"type": "photo"}], at=NEXT_DAY + 5 * HOUR)
    assert unclear["status"] == "triage"
    decided = await _needs_none(scenario, unclear["messages"][-1])
    assert decided.status_code == 200, decided.text
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("answered", None)


async def test_message_corrected_to_thanks_may_be_marked_as_needing_an_answer(scenario: AppealsScenario) -> None:
    found = await says(scenario, await answered(scenario), "Не решено")
    assert (await correct(scenario, found, "thanks")).json()["status"] == "answered"
    path = f"/messages/{found['messages'][-1]['id']}/triage"
    assert (await scenario.post(path, {"needs_answer": True})).status_code == 200
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"] is not None) == ("reopened", True)
    # The decision about the message takes precedence over its reading as thanks.
    unclear = await says(scenario, after, "", attachments=[{"type": "photo"}], at=NEXT_DAY + HOUR)
    assert (await _needs_none(scenario, unclear["messages"][-1])).status_code == 200
    assert (await scenario.appeal(found["id"]))["status"] == "reopened"


async def test_returned_dissatisfaction_is_not_ended_by_a_decision_about_another_message(
    scenario: AppealsScenario,
) -> None:
    found = await says(scenario, await answered(scenario, "Дорогу отремонтировали. Оцените ответ от 1 до 5."), "1")
    assert (found["status"], found["feedback_kind"]) == ("reopened", "not_solved")
    assert (await scenario.move(found, "triage", reason="Не наше")).status_code == 200
    refused = await _needs_none(scenario, found["messages"][0])
    assert (refused.status_code, refused.json().get("message_id")) == (409, found["messages"][-1]["id"])
    assert "correct that feedback first" in refused.json()["detail"]
    returned = await scenario.appeal(found["id"])
    assert returned["status"] == "triage"
    assert (await correct(scenario, returned, "mark", mark=5)).status_code == 200
    assert (await _needs_none(scenario, found["messages"][0])).status_code == 200
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_correction_of_feedback_on_an_earlier_answer_is_refused(scenario: AppealsScenario) -> None:
    found = await says(scenario, await answered(scenario), "Не решено")
    again = await published(scenario, found, "Сделали во второй раз.", hours=50)
    assert (await correct(scenario, again, "thanks")).status_code == 409


async def test_request_for_a_mark_is_accepted_only_in_a_final_reply_with_outcome_solved(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "Оцените, пожалуйста, ответ от 1 до 5."
    found = await appeal(scenario)
    path = f"/appeals/{found['id']}/replies"
    wanted = {"text": "Дорогу отремонтировали.", "outcome": "solved", "ask_mark": True}
    off = await scenario.post(path, wanted)
    assert (off.status_code, off.json()["errors"][0]["pointer"]) == (422, "/ask_mark")
    monkeypatch.setattr(settings(), "mark_question", question)
    promised = (datetime.now(UTC) + 24 * HOUR).isoformat()
    for refused in (
        wanted | {"outcome": "not_solved"},
        wanted | {"outcome": None},
        wanted | {"outcome": None, "kind": "interim", "promised_at": promised},
    ):
        assert (await scenario.post(path, refused)).status_code == 422
    sent = await scenario.post(path, wanted)
    assert sent.status_code == 201, sent.text
    assert (sent.json()["text"], sent.json()["asks_mark"]) == (f"Дорогу отремонтировали.\n\n{question}", True)
    await scenario.emit_published(sent.json(), at=WEDNESDAY + HOUR)
    after = await scenario.appeal(found["id"])
    assert after["outcome"] == "solved"
    assert (await says(scenario, after, "1"))["feedback"][0]["mark"] == 1


async def test_longest_reply_with_the_longest_request_for_a_mark_is_accepted_by_ingest(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "mark_question", "?" * 300)
    found = await appeal(scenario)
    wanted = {"text": "я" * MAX_REPLY_LENGTH, "outcome": "solved", "ask_mark": True}
    sent = await scenario.post(f"/appeals/{found['id']}/replies", wanted)
    assert sent.status_code == 201, sent.text
    request = {"reply_id": sent.json()["id"], "message_id": sent.json()["in_reply_to"], "on_behalf_of": "x"}
    assert PublicationRequest.model_validate(request | {"text": sent.json()["text"]}).text.endswith("?" * 300)


@pytest.mark.parametrize("keeps_question", [False, True])
async def test_corrected_text_of_a_failed_reply_still_asks_for_a_mark(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch, *, keeps_question: bool
) -> None:
    question = "Оцените, пожалуйста, ответ от 1 до 5."
    monkeypatch.setattr(settings(), "mark_question", question)
    found = await appeal(scenario)
    wanted = {"outcome": "solved", "ask_mark": True}
    reply = await answer(scenario, found, "Дорогу отремонтировали.", **wanted)
    await reply_fails(scenario, reply)
    text = "Дорогу отремонтировали в среду."
    corrected = {"text": f"{text}\n\n{question}\n" if keeps_question else text}
    retried = await scenario.post(f"/appeals/{found['id']}/replies/{reply['id']}/retry", corrected)
    assert retried.status_code == 202, retried.text
    assert retried.json()["asks_mark"]
    assert retried.json()["text"] == f"{text}\n\n{question}"
