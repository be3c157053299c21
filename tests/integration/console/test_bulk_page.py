"""Bulk operations: the selected appeals, the form of each action, the operation's page and its undo."""

import re
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.appeals.bulk import operations
from services.appeals.bulk.list_versions import ListVersion
from services.console.pages.bulk.bulk_request import LIST_CHANGED, TWO_UNFINISHED
from services.console.pages.bulk.bulk_words import refused_words
from shared import clock
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import heading_of, note_of, text_of

MODERATOR, EXECUTOR, MANAGER = CallerCase("moderator"), CallerCase("executor"), CallerCase("manager")
HEAD = CallerCase("head")
LIST = "status=in_progress&sort=-opened_at"


async def _start(console: ConsoleUnderTest, who: CallerCase, action: str, **fields: Any) -> Visited:
    form = {"action": action, "appeal": console.filled("{appeal_id}"), "list": LIST, "key": "key-of-the-form"}
    return await console.send(who, "POST", "/bulk/new", data=form | fields)


def _started(visited: Visited) -> bool:
    posted = [call.status for call in visited.calls if (call.method, call.path) == ("POST", "/appeals/bulk")]
    location = visited.response.headers.get("location", "")
    return posted == [202] and re.fullmatch(r"/bulk/[0-9a-f-]{36}", location) is not None


async def test_assignment_form_shows_the_selected_appeal_and_the_possible_assignees(
    console: ConsoleUnderTest,
) -> None:
    address = console.filled(f"/bulk/new?action=assign&appeal={{appeal_id}}&list={LIST.replace('&', '%26')}")
    response = (await console.send(MANAGER, "GET", address)).response
    assert heading_of(response) == "Назначить исполнителя"
    assert "Отмечено: 1 обращение" in text_of(response)
    assert console.filled('name="appeal" value="{appeal_id}"') in response.text
    assert "Кто-то bagulnik" in response.text
    assert "никому: снять исполнителя" in response.text


async def test_form_for_the_whole_list_shows_its_count(console: ConsoleUnderTest) -> None:
    response = (await console.send(EXECUTOR, "GET", f"/bulk/new?action=close&whole=yes&list={LIST}")).response
    assert "Весь список: 1 обращение" in text_of(response)
    assert 'name="whole" value="yes"' in response.text
    assert ListVersion.parsed(hidden(response.text, "list_version"))


@pytest.mark.parametrize("query", ["action=assign", "action=assign&appeal=../../me", "action=tags&whole=yes", ""])
async def test_bulk_action_without_selection_redirects_to_the_list(console: ConsoleUnderTest, query: str) -> None:
    response = (await console.send(MODERATOR, "GET", f"/bulk/new?list=tag%3Dа&{query}")).response
    assert response.headers["location"] == "/inbox?tag=%D0%B0&sort=-opened_at"
    assert "отметьте" in note_of(response)


async def test_assignment_starts_an_operation_and_shows_it(console: ConsoleUnderTest) -> None:
    assert _started(await _start(console, MANAGER, "assign", assignee_id=console.filled("{person_id}")))
    assert _started(await _start(console, MANAGER, "assign", assignee_id="nobody"))


CLOSING = {"whole": "yes", "reason": "Решено", "outcome": "solved"}


async def test_bulk_action_on_the_whole_list_starts_an_operation(console: ConsoleUnderTest) -> None:
    form = (await console.send(EXECUTOR, "GET", f"/bulk/new?action=close&whole=yes&list={LIST}")).response.text
    seen = {"list_version": hidden(form, "list_version")}
    assert _started(await _start(console, EXECUTOR, "close", **CLOSING, **seen))


async def test_bulk_action_on_a_list_that_changed_since_shows_the_form_again(console: ConsoleUnderTest) -> None:
    other = ListVersion.of(clock.now(), [uuid4()]).text
    visited = await _start(console, EXECUTOR, "close", **CLOSING, list_version=other)
    assert [call.status for call in visited.calls if call.method == "POST"] == [412]
    assert visited.response.status_code == 412
    assert LIST_CHANGED in visited.response.text
    assert "Весь список: 1 обращение" in text_of(visited.response)
    assert hidden(visited.response.text, "list_version") != other
    assert 'value="Решено"' in visited.response.text


async def test_bulk_form_that_is_shown_again_keeps_the_list_version_seen_first(console: ConsoleUnderTest) -> None:
    other = ListVersion.of(clock.now(), [uuid4()]).text
    visited = await _start(console, EXECUTOR, "transfer", whole="yes", list_version=other)
    assert visited.response.status_code == 422
    assert hidden(visited.response.text, "list_version") == other


async def test_bulk_action_on_the_whole_list_without_its_version_is_refused(console: ConsoleUnderTest) -> None:
    visited = await _start(console, EXECUTOR, "close", **CLOSING)
    assert [call.status for call in visited.calls if call.method == "POST"] == [422]
    assert visited.response.status_code == 422
    assert LIST_CHANGED in visited.response.text


def hidden(form: str, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'type="hidden" name="{name}" value="([^"]*)"', form)
    assert found is not None, name
    return unescape(found.group(1))


async def test_bulk_assignment_without_a_person_shows_the_form_again(console: ConsoleUnderTest) -> None:
    response = (await _start(console, MANAGER, "assign")).response
    assert response.status_code == 422
    assert "Выберите сотрудника." in response.text
    assert console.filled('name="appeal" value="{appeal_id}"') in response.text


async def test_bulk_transfer_accepts_a_typed_and_a_chosen_organisation(console: ConsoleUnderTest) -> None:
    visited = await _start(console, MODERATOR, "transfer", organisation="Организация saranka", reason="Не наше")
    assert _started(visited)
    several = (await _start(console, MODERATOR, "transfer", organisation="bagulnik", reason="Не наше")).response
    assert several.status_code == 422
    assert "Выберите из похожих." in several.text
    assert 'type="radio" name="organisation_id"' in several.text
    assert 'value="Не наше"' in several.text
    chosen = {"organisation": "bagulnik", "organisation_of": "bagulnik"}
    heir = console.filled("{heir_id}")
    assert _started(await _start(console, MODERATOR, "transfer", organisation_id=heir, reason="Не наше", **chosen))


async def test_bulk_transfer_by_staff_without_a_reason_is_refused(console: ConsoleUnderTest) -> None:
    response = (await _start(console, EXECUTOR, "transfer", organisation="Организация saranka")).response
    assert response.status_code == 422
    assert "Напишите причину одной строкой." in response.text
    assert 'value="Организация saranka"' in response.text


async def test_bulk_decision_is_started_by_a_moderator_and_refused_to_staff(console: ConsoleUnderTest) -> None:
    assert _started(await _start(console, MODERATOR, "triage", needs_answer="yes", urgency="high", confirm="yes"))
    assert _started(await _start(console, MODERATOR, "triage", needs_answer="no"))
    refused = (await _start(console, EXECUTOR, "triage", needs_answer="no")).response
    assert refused.status_code == 403
    assert "У вас нет права на это действие" in refused.text


async def test_bulk_change_of_tags_is_made_without_an_operation(console: ConsoleUnderTest) -> None:
    visited = await _start(console, EXECUTOR, "tags", add="Крыльцо, ремонт", tag="проверить")
    assert [call.status for call in visited.calls if call.method == "PATCH"] == [200]
    assert visited.response.headers["location"] == f"/inbox?{LIST}"
    assert note_of(visited.response).replace("\N{NO-BREAK SPACE}", " ") == "Метки изменены у 1 обращения"


@pytest.mark.parametrize(("add", "words"), [("", "Введите метку"), ("я" * 60, "Метки не изменены")])
async def test_bulk_change_with_an_invalid_tag_shows_the_form_again(
    console: ConsoleUnderTest, add: str, words: str
) -> None:
    response = (await _start(console, EXECUTOR, "tags", add=add)).response
    assert response.status_code == 422
    assert words in response.text
    assert add in response.text


async def test_bulk_change_of_tags_of_a_foreign_appeal_is_refused_with_the_reason(
    console: ConsoleUnderTest,
) -> None:
    foreign = str(console.services.samples["foreign"]["appeal_id"])
    response = (await _start(console, EXECUTOR, "tags", add="крыльцо", appeal=[foreign])).response
    assert response.status_code == 422
    assert "Метки не изменены. Такой записи нет, или она вам не видна." in response.text
    own = console.filled("{appeal_id}")
    partly = await _start(console, EXECUTOR, "tags", add="крыльцо", appeal=[own, foreign])
    assert note_of(partly.response).replace("\N{NO-BREAK SPACE}", " ") == (
        "Метки изменены у 1 обращения, у 1 обращения не изменены. Такой записи нет, или она вам не видна."
    )


async def test_bulk_change_of_tags_of_more_appeals_than_allowed_is_refused(
    console: ConsoleUnderTest,
) -> None:
    too_many = [str(UUID(int=number)) for number in range(51)]
    visited = await _start(console, EXECUTOR, "tags", add="крыльцо", appeal=too_many)
    assert visited.response.status_code == 422
    assert "не больше чем у 50 обращений" in visited.response.text.replace("\N{NO-BREAK SPACE}", " ")
    assert [call for call in visited.calls if call.method == "PATCH"] == []


async def test_operation_shows_its_result_and_can_be_undone(console: ConsoleUnderTest) -> None:
    path = console.filled("/bulk/{bulk_operation_id}")
    response = (await console.send(MANAGER, "GET", path)).response
    assert heading_of(response) == "Назначение исполнителя"
    assert "Готово. Изменено 1 обращение" in text_of(response)
    assert "Кто-то bagulnik" in response.text
    assert console.filled("№ {number}") in response.text
    assert "hx-trigger" not in response.text.split('id="bulk-progress"')[1].split(">")[0]
    undone = await console.send(MANAGER, "POST", f"{path}/undo", data={"key": "k"})
    assert [call.status for call in undone.calls if call.method == "POST"] == [202]
    assert undone.response.headers["location"] != path


async def test_operation_and_undo_beyond_the_limit_of_unfinished_ones_are_refused_with_the_reason(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MAX_UNFINISHED", 0)
    response = (await _start(console, MANAGER, "assign", assignee_id="nobody")).response
    assert response.status_code == 429
    assert TWO_UNFINISHED in response.text
    path = console.filled("/bulk/{bulk_operation_id}")
    undone = await console.send(MANAGER, "POST", f"{path}/undo", data={"key": "k"})
    assert [call.status for call in undone.calls if call.method == "POST"] == [429]
    assert TWO_UNFINISHED in note_of(undone.response)


async def test_htmx_gets_only_the_progress_of_an_operation(console: ConsoleUnderTest) -> None:
    path = console.filled("/bulk/{bulk_operation_id}/progress")
    part = (await console.send(MANAGER, "GET", path, headers={"HX-Request": "true"})).response
    assert part.text.strip().startswith('<div id="bulk-progress"')
    assert "<main" in (await console.send(MANAGER, "GET", path)).response.text


async def test_operations_are_listed_for_those_who_may_see_them(console: ConsoleUnderTest) -> None:
    path = console.filled("/bulk/{bulk_operation_id}")
    assert path in (await console.send(MANAGER, "GET", "/bulk")).response.text
    assert "Операций ещё не было" in (await console.send(EXECUTOR, "GET", "/bulk")).response.text
    assert (await console.send(EXECUTOR, "GET", path)).response.status_code == 404
    assert (await console.send(HEAD, "GET", "/bulk")).response.status_code == 403


@pytest.mark.parametrize(
    ("slug", "pointer", "words"),
    [
        ("conflict", None, "В нынешнем статусе"),
        ("forbidden", None, "у коллеги"),
        ("precondition-failed", None, "После операции"),
        ("invalid", "/assignee_id", "не работает с обращениями этой организации"),
        ("reply-under-way", None, "публикуется другой ответ"),
        ("something-new", None, "Сейчас это сделать нельзя"),
    ],
)
def test_refused_appeal_is_shown_with_the_reason(slug: str, pointer: str | None, words: str) -> None:
    errors = [{"pointer": pointer, "detail": "Not English for people"}] if pointer else None
    problem = {
        "type": f"/problems/{slug}",
        "title": "",
        "status": 409,
        "detail": "Not for people",
        "errors": errors,
    }
    assert words in refused_words(problem)
    assert refused_words(None) == ""


async def test_submission_without_selected_appeals_starts_nothing(console: ConsoleUnderTest) -> None:
    visited = await _start(console, MANAGER, "close", appeal="", reason="Решено", outcome="solved")
    assert [call.method for call in visited.calls] == ["GET"]
    assert "отметьте" in note_of(visited.response)
