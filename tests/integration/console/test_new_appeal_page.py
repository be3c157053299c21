"""The page on which staff enter an appeal received by phone, at the reception or by letter."""

from typing import Any

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import note_of, text_of

MODERATOR, EXECUTOR, ANALYST = CallerCase("moderator"), CallerCase("executor"), CallerCase("analyst")
TEXT = "На улице Гагарина не горят фонари"


async def _enter(console: ConsoleUnderTest, who: CallerCase, **fields: Any) -> Visited:
    form = {"source": "phone", "text": TEXT, "whose": "own", "key": "key-of-the-form"}
    return await console.send(who, "POST", "/appeals-new", data=form | fields)


async def test_organisation_field_of_a_new_appeal_is_shown_to_the_centre_only(console: ConsoleUnderTest) -> None:
    staff = (await console.send(EXECUTOR, "GET", "/appeals-new?source=letter")).response.text
    centre = (await console.send(MODERATOR, "GET", "/appeals-new?source=telegram")).response.text
    assert "Наша организация" in staff
    assert 'name="organisation"' not in staff
    assert 'value="letter" required checked' in staff
    assert 'name="organisation"' in centre
    assert 'value="phone" required checked' in centre


async def test_analyst_cannot_enter_an_appeal(console: ConsoleUnderTest) -> None:
    page = (await console.send(ANALYST, "GET", "/account")).response.text
    assert "/appeals-new" not in page
    assert (await _enter(console, ANALYST)).response.status_code == 403


async def test_appeal_is_entered_and_shown(console: ConsoleUnderTest) -> None:
    contact = {"contact_name": "Ирина", "contact_phone": "+7 900 000-00-00"}
    when = {"written_at": "2026-03-04T10:30", "external_id": "2026-17"}
    visited = await _enter(console, EXECUTOR, source="reception", **contact, **when)
    assert [call.status for call in visited.calls if call.method == "POST"] == [201]
    assert visited.response.headers["location"].startswith("/appeals/")
    assert note_of(visited.response).endswith("заведено")


async def test_topic_entered_by_name_is_accepted(console: ConsoleUnderTest) -> None:
    page = (await console.send(EXECUTOR, "GET", "/appeals-new")).response.text
    assert 'hx-get="/suggest/topics?field=topic"' in page
    visited = await _enter(console, EXECUTOR, topic="Матрица")
    assert [call.status for call in visited.calls if call.method == "POST"] == [201]


async def test_appeal_left_to_the_rules_redirects_staff_to_the_form_with_a_note(console: ConsoleUnderTest) -> None:
    visited = await _enter(console, EXECUTOR, whose="rules", source="letter")
    assert visited.response.headers["location"] == "/appeals-new?source=letter"
    assert "принято" in note_of(visited.response)


async def test_centre_enters_an_appeal_for_a_named_organisation(console: ConsoleUnderTest) -> None:
    visited = await _enter(console, MODERATOR, organisation="Организация bagulnik")
    assert visited.response.headers["location"].startswith("/appeals/")
    several = (await _enter(console, MODERATOR, organisation="bagulnik")).response
    assert several.status_code == 422
    assert "Выберите из похожих." in several.text
    none = (await _enter(console, MODERATOR, organisation="ъъъъъ")).response
    assert "Такой организации нет." in none.text
    chosen = {"organisation": "bagulnik", "organisation_of": "bagulnik"}
    own = console.filled("{organisation_id}")
    assert (await _enter(console, MODERATOR, organisation_id=own, **chosen)).response.status_code == 303


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"topic": "ъъъ"}, "Такой темы нет"),
        ({"text": " "}, "Запишите, о чём обращение."),
        ({"written_at": "2099-01-01T10:00"}, "Время не может быть в будущем."),
        ({"written_at": "вчера"}, "Введите дату и время."),
        ({"external_id": "А-1"}, "Под этим номером уже заведено другое обращение."),
        ({"contact_name": "я" * 400}, "Проверьте контакты"),
        ({"house": "5\n6"}, "Проверьте место"),
    ],
)
async def test_invalid_field_is_named_and_the_entered_values_stay(
    console: ConsoleUnderTest, fields: dict[str, str], words: str
) -> None:
    hostile = {
        "settlement": '"><script>alert(1)</script>',
        "contact_email": "irina@example.org",
        "source": "phone",
    }
    response = (await _enter(console, EXECUTOR, **(hostile | fields))).response
    assert response.status_code == 422
    assert words in text_of(response)
    assert 'value="irina@example.org"' in response.text
    assert "<script>alert" not in response.text
    assert 'value="own" checked' in response.text


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["browser", "htmx"])
async def test_ended_session_loses_no_text(console: ConsoleUnderTest, headers: dict[str, str]) -> None:
    form = {"source": "phone", "text": "Темно\nна <b>улице", "contact_name": "Ирина", "key": "key-kept"}
    response = (await console.send(None, "POST", "/appeals-new", data=form, headers=headers)).response
    assert response.status_code == 401
    assert "Сессия закончилась" in response.text
    assert "Темно\nна &lt;b&gt;улице</textarea>" in response.text
    for name in ("source", "contact_name", "key"):
        assert f'name="{name}" value="{form[name]}"' in response.text
    assert "hx-redirect" not in response.headers
