"""Pages of grading: blind grades by the rubric, objections and the decisions about them."""

import html
import re

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.access.sample_data import MARKS
from tests.integration.console.console_under_test import ConsoleUnderTest

MODERATOR, MANAGER, EXECUTOR = (CallerCase(role) for role in ("moderator", "manager", "executor"))
CODES = ("question", "action_or_date", "proof", "contact", "politeness", "plain_language", "own_words")
SCORES = {f"score-{code}": "2" for code in CODES}


def _sample(console: ConsoleUnderTest, name: str) -> str:
    return str(console.services.samples["own"][name])


async def test_answer_to_grade_is_shown_without_its_organisation(console: ConsoleUnderTest) -> None:
    page = (await console.send(MODERATOR, "GET", "/grading")).response.text
    main = page[page.index("<main") :]
    for code in CODES:
        assert len(re.findall(rf'type="radio" name="score-{code}"', main)) == 3
    assert "Организация " + MARKS["own"] not in main
    assert "/appeals/" not in main


async def test_executor_is_redirected_to_the_graded_answers(console: ConsoleUnderTest) -> None:
    response = (await console.send(EXECUTOR, "GET", "/grading")).response
    assert (response.status_code, response.headers["location"]) == (303, "/grading/items")
    page = (await console.send(EXECUTOR, "GET", "/grading/items")).response.text
    assert MARKS["own"] in page
    assert MARKS["foreign"] not in page
    assert 'href="/grading"' not in page.partition("<main")[2]


async def test_grade_is_saved(console: ConsoleUnderTest) -> None:
    path = f"/grading/answers/{_sample(console, 'claimed_item_id')}"
    visited = await console.send(MODERATOR, "POST", path, data={**SCORES, "comment": "", "key": "grade-1"})
    assert (visited.response.status_code, visited.response.headers["location"]) == (303, "/grading")
    assert visited.calls[-1].status == 201


async def test_grade_without_a_score_is_refused_beside_the_form(console: ConsoleUnderTest) -> None:
    path = f"/grading/answers/{_sample(console, 'claimed_item_id')}"
    entered = {**SCORES, "comment": "Дата <b>есть</b>", "key": "grade-2"}
    del entered["score-contact"]
    response = (await console.send(MODERATOR, "POST", path, data=entered)).response
    assert response.status_code == 422
    assert "Поставьте балл по каждому критерию" in response.text
    assert "Дата &lt;b&gt;есть&lt;/b&gt;" in response.text
    assert response.text.count(" checked>") == len(CODES) - 1


async def test_answer_of_another_grader_cannot_be_graded(console: ConsoleUnderTest) -> None:
    path = f"/grading/answers/{_sample(console, 'graded_item_id')}"
    response = (await console.send(MODERATOR, "POST", path, data={**SCORES, "key": "grade-3"})).response
    assert (response.status_code, response.headers["location"]) == (303, "/grading")
    assert "failed" in response.headers["set-cookie"]


async def test_moderator_takes_answers_to_grade_and_executor_is_refused(console: ConsoleUnderTest) -> None:
    visited = await console.send(MODERATOR, "POST", "/grading/take", data={"key": "take-1"})
    assert visited.response.status_code == 303
    assert visited.calls[-1].path == "/grading/assignments"
    refused = await console.send(EXECUTOR, "POST", "/grading/take", data={"key": "take-2"})
    assert refused.response.status_code == 403


async def test_sample_of_a_week_that_has_not_ended_is_refused(console: ConsoleUnderTest) -> None:
    data = {"week": "2098-W10", "key": "sample-1"}
    response = (await console.send(MODERATOR, "POST", "/grading/samples", data=data)).response
    assert response.status_code in {409, 422}
    assert "Проверьте неделю" in response.text


async def test_objection_to_a_grade_is_offered_to_managers_only(console: ConsoleUnderTest) -> None:
    item = _sample(console, "graded_item_id")
    page = (await console.send(MANAGER, "GET", f"/grading/items/{item}")).response.text
    assert f'action="/grading/items/{item}/objection"' in page
    assert "Без даты: " + MARKS["own"] in html.unescape(page)
    data = {"ground": "Дата названа", "key": "objection-1"}
    done = (await console.send(MANAGER, "POST", f"/grading/items/{item}/objection", data=data)).response
    assert (done.status_code, done.headers["location"]) == (303, f"/grading/items/{item}")
    assert "/objection" not in (
        await console.send(EXECUTOR, "GET", f"/grading/items/{item}")
    ).response.text.partition("<main")[2].replace("/grading/objections", "")
    empty = {"ground": " ", "key": "objection-2"}
    refused = (await console.send(MANAGER, "POST", f"/grading/items/{item}/objection", data=empty)).response
    assert refused.status_code == 422
    assert "Напишите, почему оценка неверна" in refused.text


@pytest.mark.parametrize(("decision", "call"), [("uphold", "uphold"), ("reject", "reject")])
async def test_objection_is_decided(console: ConsoleUnderTest, decision: str, call: str) -> None:
    item, objection = _sample(console, "objected_item_id"), _sample(console, "objection_id")
    path = f"/grading/items/{item}/decision"
    data = {
        **SCORES, "decision": decision, "reason": "Дата есть", "objection": objection, "version": "1",
        "key": f"decision-{decision}",
    }  # fmt: skip
    visited = await console.send(MODERATOR, "POST", path, data=data)
    assert visited.response.headers.get("location") == "/grading/objections", visited.response.text[-500:]
    assert visited.calls[-1].path == f"/grading/objections/{objection}/{call}"


async def test_stale_decision_about_an_objection_is_refused_and_keeps_the_entered_values(
    console: ConsoleUnderTest,
) -> None:
    item, objection = _sample(console, "objected_item_id"), _sample(console, "objection_id")
    data = {
        "decision": "reject",
        "reason": "Даты нет",
        "objection": objection,
        "version": "7",
        "key": "decision-7",
    }
    response = (await console.send(MODERATOR, "POST", f"/grading/items/{item}/decision", data=data)).response
    assert response.status_code == 412
    assert "запись изменил коллега" in response.text
    assert "Даты нет" in response.text


async def test_agreement_is_not_shown_for_few_graded_answers(console: ConsoleUnderTest) -> None:
    page = (await console.send(MODERATOR, "GET", "/grading/figures?from=2026-03-01&to=2026-03-08")).response.text
    assert "мало данных" in page
    wrong = (await console.send(MODERATOR, "GET", "/grading/figures?from=2026-03-08&to=2026-03-01")).response
    assert wrong.status_code == 422
    assert "начало не может быть позже конца" in wrong.text
