"""What a moderator is told about a decision in the queue, and which organisations the queue proposes."""

from typing import Any

import pytest

from services.console.pages.queue.queue_decisions import (
    AssignmentForm,
    LocationForm,
    NoAnswerForm,
    assign,
    end_without_answer,
    name_location,
)
from services.console.pages.queue.queue_screen import candidates
from tests.unit.console.fake_api import calls_of, fake_visit

SCHOOL = {"id": "s", "name": "Школа № 5"}
COMMITTEE = {"id": "c", "name": "Комитет"}
TRIAGE = "POST /messages/m/triage"


def decided(status: str, organisation: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"appeal_status": status, "appeal_number": 17, "appeal_version": 4, "organisation": organisation}


@pytest.mark.parametrize(
    ("status", "words", "leaves"),
    [
        ("not_required", "Ответ не нужен: обращение № 17 закрыто", True),
        ("triage", "остаётся в очереди: ответа ждёт другое сообщение", False),
        ("answered", "Обращение № 17 остаётся отвеченным", True),
    ],
)
async def test_decision_that_no_answer_is_needed_says_what_became_of_the_appeal(
    status: str, words: str, leaves: bool
) -> None:
    visit = fake_visit({TRIAGE: decided(status)})
    outcome = await end_without_answer(visit, "a", NoAnswerForm(message_id="m", version=3, reason="thanks"))
    assert words in outcome.note
    assert (outcome.left_queue, outcome.version) == (leaves, 4)
    assert calls_of(visit)[0][2]["type"] == "thanks"


async def test_reason_without_a_type_of_message_is_recorded_with_the_appeal() -> None:
    moved = {"status": "not_required", "number": 17, "version": 4}
    visit = fake_visit({"POST /appeals/a/moves": moved})
    await end_without_answer(visit, "a", NoAnswerForm(message_id="m", version=3, reason="region"))
    assert calls_of(visit) == [("POST", "/appeals/a/moves", {"to": "not_required", "reason": "Другой регион"})]


@pytest.mark.parametrize("answer", [decided("triage", SCHOOL), decided("assigned")], ids=["triage", "nobody"])
async def test_appeal_that_the_rules_give_to_nobody_stays_on_the_screen(answer: dict[str, Any]) -> None:
    outcome = await assign(fake_visit({TRIAGE: answer}), "a", AssignmentForm(message_id="m", version=3))
    assert (outcome.left_queue, outcome.version) == (False, 4)
    assert "Выберите, кто ответит" in outcome.note


async def test_urgency_is_sent_only_if_the_person_changed_it() -> None:
    sent = []
    for was, now in ((False, False), (False, True), (True, False)):
        visit = fake_visit({TRIAGE: decided("assigned", SCHOOL)})
        form = AssignmentForm(message_id="m", version=3, urgent=now, was_urgent=was, organisation_id="s")
        outcome = await assign(visit, "a", form)
        assert outcome.note == "Назначено: Школа № 5. Обращение № 17."
        sent.append(calls_of(visit)[0][2].get("urgency"))
    assert sent == [None, "high", "normal"]


async def test_location_after_which_the_rules_assign_the_appeal_names_the_organisation() -> None:
    visit = fake_visit({TRIAGE: decided("assigned", SCHOOL)})
    form = LocationForm(message_id="m", version=3, municipality="81624000", settlement=" ", answered=True)
    outcome = await name_location(visit, "a", form)
    assert outcome.note == "Место указано. По правилам назначено: Школа № 5. Обращение № 17."
    assert (outcome.left_queue, outcome.version) == (True, None)  # an answered appeal offers no undo


def test_present_organisation_and_the_owner_of_the_page_are_proposed_but_not_the_one_that_returned_it() -> None:
    suggestion = {"organisation_id": "s", "organisation": SCHOOL, "why": "тема", "confidence": 0.6}
    appeal = {
        "organisation": COMMITTEE, "triage_reason": "returned", "page": {"organisation": COMMITTEE},
        "route": {"suggestions": [suggestion], "returned_by": "s"},
    }  # fmt: skip
    assert [(one.id, one.why) for one in candidates(appeal)] == [("c", "Обращение уже у этой организации")]
    other = appeal | {"triage_reason": "no_rule", "organisation": None}
    assert [(one.id, one.why) for one in candidates(other)] == [("s", "тема"), ("c", "Владелец страницы")]
