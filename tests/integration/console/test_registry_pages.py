"""Console pages of the registry: organisations, their pages, calendars, import and the first run."""

import re
from typing import Any

import pytest

from services.console.api_calls.client import Answer, Api
from services.console.pages.registry_import import view
from tests.integration.access import sample_data
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited

MODERATOR = CallerCase("moderator")
EXECUTOR = CallerCase("executor")
MANAGER = CallerCase("manager")
HOSTILE = "<script>alert(1)</script>"


async def version_of(console: ConsoleUnderTest, who: CallerCase, address: str) -> str:
    """Return the version in the form at this address."""
    page = (await console.send(who, "GET", address)).response.text
    found = re.search(r'name="version" value="([^"]*)"', page)
    assert found is not None, page[-2000:]
    return found[1].replace("&#34;", '"')


def changes(visited: Visited) -> list[tuple[str, int]]:
    """Return the method and status of each write call to the API."""
    return [(call.method, call.status) for call in visited.calls if call.method != "GET"]


async def test_only_moderators_are_offered_to_change_an_organisation_or_connect_a_page(
    console: ConsoleUnderTest,
) -> None:
    address = console.filled("/organisations/{organisation_id}")
    for who, is_offered in ((MODERATOR, True), (EXECUTOR, False)):
        text = (await console.send(who, "GET", address)).response.text
        assert "Организация bagulnik" in text
        assert (f'href="{address}/edit"' in text) is is_offered
        assert ("Подключить страницу" in text) is is_offered


async def test_organisation_is_registered_and_shown(console: ConsoleUnderTest) -> None:
    form = {"name": "Школа № 9", "kind": "institution", "key": "k-organisation"}
    visited = await console.send(MODERATOR, "POST", "/organisations-new", data=form)
    assert visited.response.status_code == 303
    assert visited.response.headers["location"].startswith("/organisations/")
    assert changes(visited) == [("POST", 201)]


async def test_invalid_fields_are_reported_beside_the_entered_values(console: ConsoleUnderTest) -> None:
    form = {"name": HOSTILE, "kind": "institution", "inn": "123", "code": "Код", "key": "k"}
    visited = await console.send(MODERATOR, "POST", "/organisations-new", data=form)
    text = visited.response.text
    assert visited.response.status_code == 422
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "ИНН состоит из 10 или 12 цифр" in text
    assert "строчные латинские буквы" in text
    assert "String should" not in text


async def test_duplicate_code_is_refused_with_the_reason(console: ConsoleUnderTest) -> None:
    form = {"name": "Школа № 9", "kind": "institution", "code": "code-bagulnik", "key": "k-code"}
    response = (await console.send(MODERATOR, "POST", "/organisations-new", data=form)).response
    assert response.status_code == 409
    assert "Такая запись уже есть." in response.text


async def test_change_sends_the_version_that_was_shown(console: ConsoleUnderTest) -> None:
    address = console.filled("/organisations/{organisation_id}/edit")
    form = {"name": "Другое имя", "kind": "institution", "active": "yes"}
    form["version"] = await version_of(console, MODERATOR, address)
    visited = await console.send(MODERATOR, "POST", address, data=form)
    assert (visited.response.status_code, changes(visited)) == (303, [("PATCH", 200)])
    stale = await console.send(MODERATOR, "POST", address, data=form | {"version": '"99"'})
    assert stale.response.status_code == 412
    assert "изменил коллега" in stale.response.text
    assert 'value="Другое имя"' in stale.response.text
    assert "Сейчас в записи: Организация bagulnik." in stale.response.text
    assert f'name="version" value="{form["version"]}"' in stale.response.text.replace("&#34;", '"')


async def test_parent_is_chosen_by_any_of_its_names(console: ConsoleUnderTest) -> None:
    form = {"name": "Филиал", "kind": "other", "parent": "прозвище bagulnik", "key": "k-parent"}
    made = await console.send(MODERATOR, "POST", "/organisations-new", data=form)
    assert (made.response.status_code, changes(made)) == (303, [("POST", 201)])
    similar = await console.send(MODERATOR, "POST", "/organisations-new", data=form | {"parent": "oblepih"})
    assert '<select id="field-parent-id" name="parent_id" autofocus>' in similar.response.text
    assert changes(similar) == []
    refused = await console.send(MODERATOR, "POST", "/organisations-new", data=form | {"parent": "зюзюка"})
    assert "Такой организации в реестре нет" in refused.response.text
    assert changes(refused) == []


async def test_stale_change_shows_that_a_colleague_removed_the_parent(console: ConsoleUnderTest) -> None:
    address = console.filled("/organisations/{organisation_id}/edit")
    form = {"name": "Имя", "kind": "institution", "active": "yes", "version": '"99"'}
    for parent, is_named in (({"parent": "Организация oblepiha"}, True), ({}, False)):
        stale = (await console.send(MODERATOR, "POST", address, data=form | parent)).response
        assert stale.status_code == 412
        assert ('<p id="field-parent-hint" class="refusal">Сейчас в записи: пусто.' in stale.text) is is_named


async def test_names_and_successions_are_added_and_removed(console: ConsoleUnderTest) -> None:
    own = console.filled("/organisations/{organisation_id}")
    name = {"kind": "alias", "name": "Багульник", "key": "k-name"}
    added = await console.send(MODERATOR, "POST", f"{own}/names-new", data=name)
    assert (added.response.status_code, changes(added)) == (303, [("POST", 201)])
    removed = await console.send(MODERATOR, "POST", console.filled(own + "/names/{name_id}/remove"))
    assert (removed.response.status_code, changes(removed)) == (303, [("DELETE", 204)])
    form = {"kind": "merged", "effective_on": "2026-12-01", "key": "k-succession"}
    form["successor"] = "Организация oblepiha"
    recorded = await console.send(MODERATOR, "POST", f"{own}/successions-new", data=form)
    assert (recorded.response.status_code, changes(recorded)) == (303, [("POST", 201)])
    split = await console.send(MODERATOR, "POST", f"{own}/successions-new", data=form | {"kind": "split"})
    assert split.response.status_code == 422
    assert "для разделения нужны два" in split.response.text


async def test_page_address_that_cannot_be_looked_up_is_not_reported_as_invalid(console: ConsoleUnderTest) -> None:
    form = {"address": "https://vk.com/school9"}
    response = (await console.send(MODERATOR, "POST", "/pages-new", data=form)).response
    assert "Верен ли адрес, пока неизвестно" in response.text
    wrong = (await console.send(MODERATOR, "POST", "/pages-new", data={"address": "https://t.me/x"})).response
    assert "Это не адрес сообщества" in wrong.text
    assert 'value="https://t.me/x"' in wrong.text


async def test_page_is_connected_and_a_second_connection_is_refused(console: ConsoleUnderTest) -> None:
    form = {
        "network": "vk",
        "external_id": "777",
        "name": "Школа № 9",
        "url": "https://vk.com/club777",
        "organisation": "Организация bagulnik",
        "go_live_on": "2026-03-01",
        "key": "k-page",
    }
    made = await console.send(MODERATOR, "POST", "/pages-new/connect", data=form)
    assert (made.response.status_code, changes(made)) == (303, [("POST", 201)])
    known = await console.send(MODERATOR, "POST", "/pages-new/connect", data=form | {"external_id": "101"})
    assert known.response.status_code == 409
    assert "Такая запись уже есть." in known.response.text
    assert "Школа № 9" in known.response.text


async def test_page_is_found_by_its_address(console: ConsoleUnderTest) -> None:
    found = (await console.send(EXECUTOR, "GET", "/pages?q=https://vk.com/club101")).response.text
    assert "Страница bagulnik 1" in found
    assert "Страница saranka 1" not in found
    unknown = (await console.send(EXECUTOR, "GET", "/pages?q=https://t.me/x")).response
    assert (unknown.status_code, "Ничего не нашлось" in unknown.text) == (200, True)


async def test_list_of_pages_explains_to_staff_who_connects_pages(console: ConsoleUnderTest) -> None:
    assert "Страницы подключает модератор центра" in (await console.send(EXECUTOR, "GET", "/pages")).response.text
    assert "Страницы подключает" not in (await console.send(MODERATOR, "GET", "/pages")).response.text


async def test_step_confirmed_out_of_order_is_refused(console: ConsoleUnderTest) -> None:
    own = console.filled("/pages/{page_id}/steps")
    form = {"evidence_kind": "document", "evidence": "приказ № 1"}
    done = await console.send(MANAGER, "POST", f"{own}/gov_badge", data=form)
    assert (done.response.status_code, changes(done)) == (303, [("PUT", 200)])
    early = await console.send(MANAGER, "POST", f"{own}/live", data=form)
    assert early.response.status_code == 409
    assert "Сначала подтвердите шаг «подтверждена соцсетью»" in early.response.text
    assert "приказ № 1" in early.response.text
    lost = await console.send(MANAGER, "POST", f"{own}/created/lost", data={"reason": "удалена"})
    assert (lost.response.status_code, changes(lost)) == (303, [("DELETE", 200)])
    assert (await console.send(MANAGER, "GET", f"{own}/unknown")).response.status_code == 404


async def test_token_is_stored_and_not_shown(console: ConsoleUnderTest) -> None:
    address = console.filled("/pages/{page_id}/token")
    saved = await console.send(MODERATOR, "POST", address, data={"token": "vk1.a.secret"})
    assert (saved.response.status_code, changes(saved)) == (303, [("POST", 201)])
    assert "vk1.a.secret" not in saved.response.headers["set-cookie"]
    read = (await console.send(MODERATOR, "GET", console.filled("/pages/{page_id}/collection"))).response.text
    assert "отозван" in read
    assert "<html" not in read
    empty = await console.send(MODERATOR, "POST", address, data={"token": ""})
    assert empty.response.status_code == 422
    assert "Вставьте ключ целиком." in empty.response.text


async def test_page_moves_to_another_organisation(console: ConsoleUnderTest) -> None:
    address = console.filled("/pages/{page_id}/edit")
    form = {"name": "Страница", "url": "https://vk.com/club101", "active": "yes", "go_live_on": "2026-03-04"}
    form["version"] = await version_of(console, MODERATOR, address)
    form["organisation"] = "Организация oblepiha"
    stale = (await console.send(MODERATOR, "POST", address, data=form | {"version": '"99"'})).response
    assert stale.status_code == 412
    assert "Сейчас в записи: Организация bagulnik." in stale.text
    visited = await console.send(MODERATOR, "POST", address, data=form)
    assert (visited.response.status_code, changes(visited)) == (303, [("PATCH", 200)])


TABLE = "Код,Наименование,Вид,ИНН\nx1,Школа № 9,учреждение,\n".encode()
WRONG_TABLE = "Код,Наименование,Вид,ИНН,Прочее\nx1,Школа <b>,фигня,123,а\n".encode()


async def test_table_is_checked_before_it_is_applied(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts, send = [], Api.send

    async def recorded(api: Api, method: str, path: str, *rest: Any, **options: Any) -> Answer:
        if path == "/organisations/import":
            timeouts.append(options.get("timeout_seconds"))
        return await send(api, method, path, *rest, **options)

    monkeypatch.setattr(Api, "send", recorded)
    file = {"file": ("registry.csv", TABLE, "text/csv")}
    checked = await console.send(MODERATOR, "POST", "/import", files=file, data={"do": "check"})
    text = checked.response.text
    assert "Загрузить таблицу</button>" in text
    assert "Школа № 9" in text
    digest = re.search(r'name="checked" value="(\w+)"', text)
    assert digest is not None
    form = {"do": "apply", "checked": digest[1], "key": "k-import"}
    applied = await console.send(MODERATOR, "POST", "/import", files=file, data=form)
    assert "Таблица загружена." in applied.response.text
    other = {"file": ("registry.csv", TABLE + "x2,Школа № 8,учреждение,\n".encode(), "text/csv")}
    unseen = await console.send(MODERATOR, "POST", "/import", files=other, data=form)
    assert "Это не тот файл, который вы проверяли." in unseen.response.text
    assert "Таблица загружена." not in unseen.response.text
    assert timeouts == [view._IMPORT_SECONDS] * 3


async def test_errors_of_a_table_are_listed_by_cell_in_russian(console: ConsoleUnderTest) -> None:
    file = {"file": ("registry.csv", WRONG_TABLE, "text/csv")}
    text = (await console.send(MODERATOR, "POST", "/import", files=file, data={"do": "check"})).response.text
    assert "2 ячейки с ошибками" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r"C2</th>\s*<td>Вид</td>", text)
    assert "Такого значения в этом столбце не бывает." in text
    assert "is not one of" not in text
    assert "Загрузить таблицу</button>" not in text


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "Выберите файл"), ("Название столбца\nа\n".encode(), "нет столбца «Наименование»")],
)
async def test_missing_file_and_table_without_a_required_column_are_refused(
    console: ConsoleUnderTest, content: bytes, words: str
) -> None:
    file = {"file": ("registry.csv", content, "text/csv")}
    response = (await console.send(MODERATOR, "POST", "/import", files=file, data={"do": "check"})).response
    assert response.status_code == 422
    assert words in response.text


async def test_registry_is_exported(console: ConsoleUnderTest) -> None:
    response = (await console.send(EXECUTOR, "GET", "/registry-export?format=csv")).response
    assert response.headers["content-disposition"] == 'attachment; filename="registry.csv"'
    assert "Организация bagulnik" in response.content.decode()


async def test_day_of_a_calendar_is_changed_and_invalid_hours_are_refused(console: ConsoleUnderTest) -> None:
    own = console.filled("/calendars/{calendar_id}")
    version = await version_of(console, MODERATOR, f"{own}/days-new")
    form = {"day": "2026-12-31", "title": "Короткий день", "hours": "09:00–13.00", "version": version}
    done = await console.send(MODERATOR, "POST", f"{own}/days-new", data=form)
    assert (done.response.status_code, changes(done)) == (303, [("PUT", 200)])
    assert done.response.headers["location"] == f"{own}?year=2026"
    wrong = await console.send(MODERATOR, "POST", f"{own}/days-new", data=form | {"hours": "с утра"})
    assert wrong.response.status_code == 422
    assert "Напишите часы так" in wrong.response.text
    assert 'value="с утра"' in wrong.response.text
    week = {"name": "Без часов", "version": version}
    idle = await console.send(MODERATOR, "POST", f"{own}/edit", data=week)
    assert idle.response.status_code == 422
    assert "не меньше пяти рабочих часов" in idle.response.text


async def test_calendar_is_exported_and_an_invalid_icalendar_file_is_refused(console: ConsoleUnderTest) -> None:
    own = console.filled("/calendars/{calendar_id}")
    exported = (await console.send(EXECUTOR, "GET", f"{own}/file")).response
    assert exported.headers["content-type"].startswith("text/calendar")
    file = {"file": ("days.ics", b"no calendar", "text/calendar")}
    version = await version_of(console, MODERATOR, f"{own}/edit")
    refused = await console.send(MODERATOR, "POST", f"{own}/file", files=file, data={"version": version})
    assert refused.response.status_code == 422
    assert "Нужен iCalendar" in refused.response.text


async def test_first_run_is_not_offered_to_a_system_with_pages(console: ConsoleUnderTest) -> None:
    home = (await console.send(MODERATOR, "GET", "/")).response
    assert home.headers["location"] != "/first-run"
    assert sample_data.MARKS["own"] in (await console.send(MODERATOR, "GET", "/first-run")).response.text


WEEK = {f"day_{day}": "09:00–13:00, 14:00–18:00" for day in range(1, 6)}


async def test_calendar_is_created_and_invalid_hours_are_refused_at_their_day(console: ConsoleUnderTest) -> None:
    form = {"name": "Шестидневка", "key": "k-calendar"} | WEEK
    made = await console.send(MODERATOR, "POST", "/calendars-new", data=form)
    assert (made.response.status_code, changes(made)) == (303, [("POST", 201)])
    own = console.filled("/calendars/{calendar_id}/edit")
    for path in ("/calendars-new", own):
        wrong = await console.send(MODERATOR, "POST", path, data=form | {"day_2": "с утра"})
        assert (wrong.response.status_code, changes(wrong)) == (422, [])
        assert 'value="с утра"' in wrong.response.text
        assert wrong.response.text.count("Напишите часы так: 09:00–13:00") == 1


async def test_calendar_that_a_colleague_changed_keeps_the_entered_week(console: ConsoleUnderTest) -> None:
    own = console.filled("/calendars/{calendar_id}")
    form = {"name": "Другое имя", "version": '"99"'} | WEEK
    stale = (await console.send(MODERATOR, "POST", f"{own}/edit", data=form)).response
    assert stale.status_code == 412
    assert "календарь изменил коллега" in stale.text
    assert "Сейчас в записи: Матрица." in stale.text
    version = await version_of(console, MODERATOR, f"{own}/edit")
    assert f'name="version" value="{version}"' in stale.text.replace("&#34;", '"')
    day = {"day": "2026-12-31", "title": "Короткий день", "hours": "", "version": '"99"'}
    stale_day = (await console.send(MODERATOR, "POST", f"{own}/days-new", data=day)).response
    assert (stale_day.status_code, 'value="Короткий день"' in stale_day.text) == (412, True)
    assert f'name="version" value="{version}"' in stale_day.text.replace("&#34;", '"')


async def test_day_of_a_calendar_is_removed(console: ConsoleUnderTest) -> None:
    own = console.filled("/calendars/{calendar_id}")
    version = await version_of(console, MODERATOR, f"{own}/days-new")
    path = f"{own}/days/2026-12-31/remove"
    done = await console.send(MODERATOR, "POST", path, data={"version": version})
    assert changes(done) == [("PUT", 200)]
    assert done.response.headers["location"] == f"{own}?year=2026"


async def test_wrong_tax_number_of_an_organisation_is_named_and_the_name_kept(console: ConsoleUnderTest) -> None:
    address = console.filled("/organisations/{organisation_id}/edit")
    form = {"name": "Другое имя", "kind": "institution", "active": "yes", "inn": "123"}
    form["version"] = await version_of(console, MODERATOR, address)
    response = (await console.send(MODERATOR, "POST", address, data=form)).response
    assert response.status_code == 422
    assert "ИНН состоит из 10 или 12 цифр" in response.text
    assert 'value="Другое имя"' in response.text
