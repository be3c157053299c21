"""Pages of absences and of the rules that choose the assignee of new appeals."""

from typing import Any

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import note_of, text_of

MODERATOR, EXECUTOR, MANAGER = CallerCase("moderator"), CallerCase("executor"), CallerCase("manager")


async def _record(console: ConsoleUnderTest, who: CallerCase, **fields: Any) -> Visited:
    form = {"starts_on": "2099-02-01", "ends_on": "2099-02-05", "key": "key-of-the-form"}
    return await console.send(who, "POST", "/absences", data=form | fields)


async def test_forms_for_absences_of_colleagues_are_shown_to_managers_only(console: ConsoleUnderTest) -> None:
    path = console.filled("/absences/{absence_id}/delete")
    manager = (await console.send(MANAGER, "GET", "/absences")).response
    executor = (await console.send(EXECUTOR, "GET", "/absences")).response
    assert "Кто-то bagulnik" in text_of(manager)
    assert 'name="person_id"' in manager.text
    assert path in manager.text
    assert 'name="person_id"' not in executor.text
    assert path not in executor.text
    assert "saranka" not in manager.text + executor.text
    assert console.filled('value="{deputy_id}"') in executor.text.split('name="substitute_id"')[1]


async def test_absence_is_recorded_for_oneself_or_a_colleague(console: ConsoleUnderTest) -> None:
    own = await _record(console, EXECUTOR, substitute_id=console.filled("{deputy_id}"))
    assert (own.response.headers["location"], note_of(own.response)) == ("/absences", "Отсутствие записано")
    other = await _record(console, MANAGER, person_id=console.filled("{person_id}"))
    assert [call.status for call in other.calls if call.method == "POST"] == [201]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ends_on": "2099-01-01"}, "Последний день раньше первого"),
        ({"starts_on": ""}, "Введите первый день."),
        ({"substitute_id": "00000000-0000-0000-0000-000000000000"}, "Замещать может другой сотрудник"),
    ],
)
async def test_invalid_absence_is_shown_again_with_the_reason(
    console: ConsoleUnderTest, fields: dict[str, str], words: str
) -> None:
    response = (await _record(console, EXECUTOR, **fields)).response
    assert response.status_code == 422
    assert words in response.text
    kept = ({"starts_on": "2099-02-01", "ends_on": "2099-02-05"} | fields)["ends_on"]
    assert f'value="{kept}"' in response.text


async def test_absence_of_a_colleague_is_deleted_by_a_manager(console: ConsoleUnderTest) -> None:
    path = console.filled("/absences/{absence_id}/delete")
    done = await console.send(MANAGER, "POST", path)
    assert (done.response.status_code, done.response.headers["location"]) == (303, "/absences")
    assert (await console.send(EXECUTOR, "POST", path)).response.status_code == 403


async def test_rule_is_shown_changed_and_deleted_by_a_manager(console: ConsoleUnderTest) -> None:
    path = console.filled("/absences/rules/{assignee_rule_id}")
    assert path in (await console.send(MANAGER, "GET", "/absences")).response.text
    assert path not in (await console.send(EXECUTOR, "GET", "/absences")).response.text
    page = (await console.send(MANAGER, "GET", path)).response.text
    assert console.filled('<option value="{person_id}" selected>') in page
    people = [console.filled("{deputy_id}"), "", console.filled("{person_id}")]
    changed = await console.send(MANAGER, "POST", path, data={"person_id": people, "version": "1"})
    assert note_of(changed.response) == "Правило изменено"
    deleted = await console.send(MANAGER, "POST", f"{path}/delete")
    assert note_of(deleted.response).startswith("Правило удалено")


async def test_rule_without_people_or_with_an_old_version_is_shown_again(console: ConsoleUnderTest) -> None:
    path = console.filled("/absences/rules/{assignee_rule_id}")
    empty = (await console.send(MANAGER, "POST", path, data={"person_id": ["", ""], "version": "1"})).response
    assert (empty.status_code, "Выберите хотя бы одного сотрудника." in empty.text) == (422, True)
    deputy = console.filled("{deputy_id}")
    stale = (await console.send(MANAGER, "POST", path, data={"person_id": [deputy], "version": "9"})).response
    assert (stale.status_code, "запись изменил коллега" in stale.text) == (412, True)
    assert f'<option value="{deputy}" selected>' in stale.text


async def test_rule_is_created_only_for_a_topic_without_one(console: ConsoleUnderTest) -> None:
    form = {"person_id": [console.filled("{person_id}")], "topic_id": console.filled("{topic_id}"), "key": "k"}
    created = await console.send(MANAGER, "POST", "/absences/rules/new", data=form)
    assert note_of(created.response).startswith("Правило создано")
    again = (await console.send(MANAGER, "POST", "/absences/rules/new", data=form | {"topic_id": ""})).response
    assert (again.status_code, "Для этой темы правило уже есть" in again.text) == (409, True)


async def test_form_of_a_new_assignee_rule_redirects_the_centre_with_a_note(console: ConsoleUnderTest) -> None:
    response = (await console.send(MODERATOR, "GET", "/absences/rules/new")).response
    assert note_of(response) == "Новые правила создаёт руководитель организации"
