"""The inbox: lists by role, filters, search, saved views, file downloads and live counts."""

import json
import re
from html import unescape
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from services.appeals.api.lists import exports
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.page_reading import heading_of, links_of, note_of, query_of, text_of

MODERATOR, EXECUTOR, MANAGER = CallerCase("moderator"), CallerCase("executor"), CallerCase("manager")
HEAD = CallerCase("head")
HOSTILE = '"><script>alert(1)</script>'
FIRST_LISTS = {
    "moderator": "У модератора",
    "manager": "Без исполнителя",
    "approver": "На согласовании",
    "executor": "Мои",
    "head": "Просрочены",
    "analyst": "Просрочены",
    "auditor": "Просрочены",
}


@pytest.mark.parametrize(("role", "title"), FIRST_LISTS.items())
async def test_first_list_of_the_inbox_depends_on_the_role(
    console: ConsoleUnderTest, role: str, title: str
) -> None:
    response = (await console.send(CallerCase(role), "GET", "/inbox")).response
    assert heading_of(response).startswith(title)
    tabs = response.text.split('<nav class="tabs"')[1].split("</nav>")[0]
    assert re.search(r'aria-current="page"[^>]*>\s*([^<]+)<', tabs + "<").group(1).strip() == title  # type: ignore[union-attr]


async def test_empty_own_list_links_to_the_unassigned_appeals(console: ConsoleUnderTest) -> None:
    response = (await console.send(CallerCase("approver"), "GET", "/inbox?assignee=me&sort=due")).response
    assert "Возьмите обращение из списка" in response.text
    assert links_of(response)["Без исполнителя"] == "/inbox?assignee=none&sort=-opened_at"


async def test_tab_and_heading_show_the_number_of_appeals(console: ConsoleUnderTest) -> None:
    response = (await console.send(MODERATOR, "GET", "/inbox?overdue=true&sort=due")).response
    number = re.search(r"^Просрочены (\d+)$", heading_of(response))
    assert number is not None
    assert int(number.group(1)) == response.text.count('class="row inbox-row')
    assert f"Просрочены {number.group(1)}" in links_of(response)


@pytest.mark.parametrize("part", ["", "/form"])
async def test_filters_show_the_number_of_appeals_per_value(console: ConsoleUnderTest, part: str) -> None:
    query = "status=in_progress&status=closed&network=vk&overdue=true&sort=opened_at"
    response = (await console.send(MODERATOR, "GET", f"/inbox/filters{part}?{query}")).response
    assert "в работе 3" in text_of(response)
    assert "закрыто 0" in text_of(response)
    assert "ВКонтакте — 3" in text_of(response)
    assert re.search(
        r'<datalist id="offered-district">.*?<option value="[^"]+">0</option>', response.text, re.DOTALL
    )
    assert '<input type="hidden" name="overdue" value="true">' in response.text
    assert ("<main" in response.text) is (part == "")


async def test_filters_can_be_removed_one_by_one(console: ConsoleUnderTest) -> None:
    query = "status=in_progress&network=vk&sort=opened_at"
    links = links_of((await console.send(MODERATOR, "GET", f"/inbox?{query}")).response)
    assert links["Убрать: статус: в работе ×"] == "/inbox?network=vk&sort=opened_at"
    assert links["Убрать: соцсеть: ВКонтакте ×"] == "/inbox?status=in_progress&sort=opened_at"


async def test_empty_list_names_its_filter_by_topic(console: ConsoleUnderTest) -> None:
    topic = console.filled("/inbox?topic_id={topic_id}&status=closed")
    response = (await console.send(MODERATOR, "GET", topic)).response
    assert "тема: Матрица" in text_of(response)
    assert "Ничего не нашлось" in response.text


async def test_filter_form_redirects_to_an_address_without_empty_fields(console: ConsoleUnderTest) -> None:
    address = "/inbox?q=&status=assigned&from=2026-03-01&to=2026-03-31&tag=&sort=due"
    response = (await console.send(MODERATOR, "GET", address)).response
    assert response.status_code == 303
    assert parse_qsl(urlsplit(response.headers["location"]).query) == [
        ("status", "assigned"),
        ("opened_from", "2026-03-01T00:00:00+08:00"),
        ("opened_to", "2026-04-01T00:00:00+08:00"),
        ("sort", "due"),
    ]
    form = response.headers["location"].replace("/inbox?", "/inbox/filters?")
    shown = (await console.send(MODERATOR, "GET", form)).response
    assert 'name="from" type="date" value="2026-03-01"' in shown.text
    assert 'name="to" type="date" value="2026-03-31"' in shown.text


async def test_list_is_filtered_by_the_name_of_an_organisation(console: ConsoleUnderTest) -> None:
    own = console.filled("{organisation_id}")
    one = await console.send(MODERATOR, "GET", "/inbox?overdue=true&organisation=организация bagulnik")
    assert one.response.status_code == 303
    assert f"organisation_id={own}" in one.response.headers["location"]
    none = (await console.send(MODERATOR, "GET", "/inbox?overdue=true&organisation=организация потом")).response
    assert "Такой организации нет" in none.text
    assert links_of(none)["Вернуться к списку"] == "/inbox?overdue=true&sort=-opened_at"


async def test_list_is_filtered_by_the_name_of_a_municipality(console: ConsoleUnderTest) -> None:
    one = await console.send(
        MODERATOR, "GET", "/inbox?overdue=true&district=улан&organisation=организация bagulnik"
    )
    assert query_of(one.response)["municipality"] == ["81701000"]
    assert query_of(one.response)["organisation_id"] == [console.filled("{organisation_id}")]
    several = (await console.send(MODERATOR, "GET", "/inbox?district=район&organisation=багульник")).response
    assert heading_of(several) == "Какой муниципалитет?"
    chosen = parse_qs(urlsplit(links_of(several)["Баргузинский район"]).query)
    assert (chosen["municipality"], chosen["organisation"]) == (["81603000"], ["багульник"])
    none = (await console.send(MODERATOR, "GET", "/inbox?district=Мценск")).response
    assert "Такого муниципалитета нет" in none.text


async def test_search_marks_the_found_words(console: ConsoleUnderTest) -> None:
    response = (await console.send(EXECUTOR, "GET", "/inbox?q=фонари&sort=due")).response
    assert heading_of(response).startswith("Поиск: фонари")
    assert "<mark>фонари</mark>" in response.text
    assert "data-live=" not in response.text


async def test_search_without_a_word_is_refused_with_the_reason(console: ConsoleUnderTest) -> None:
    response = (await console.send(MODERATOR, "GET", "/inbox?q=и")).response
    assert response.status_code == 422
    assert "В запросе нет слова" in response.text
    assert 'href="/inbox?sort=-opened_at"' in response.text


@pytest.mark.parametrize("query", ["colour=red", "status=lost", "opened_to=yesterday", "organisation_id=7"])
async def test_invalid_filter_is_refused_with_the_reason(console: ConsoleUnderTest, query: str) -> None:
    response = (await console.send(MODERATOR, "GET", f"/inbox?{query}")).response
    assert response.status_code == 422
    assert "Этот отбор составлен неверно" in response.text


async def test_hostile_text_in_a_parameter_of_the_list_is_shown_as_text(console: ConsoleUnderTest) -> None:
    for parameter in ("q", HOSTILE):
        response = (await console.send(MODERATOR, "GET", "/inbox", params={parameter: HOSTILE})).response
        assert "<script>alert" not in response.text
        assert "alert(1)" in response.text


async def test_only_people_who_process_appeals_can_select_rows(console: ConsoleUnderTest) -> None:
    reader = (await console.send(HEAD, "GET", "/inbox?sort=-opened_at")).response.text
    worker = (await console.send(EXECUTOR, "GET", "/inbox?sort=-opened_at")).response.text
    assert 'name="appeal"' not in reader
    assert 'value="assign"' not in reader
    assert worker.count('name="appeal"') == worker.count('class="row inbox-row')
    assert 'value="triage"' not in worker


async def test_live_bar_subscribes_to_the_events_of_the_list(console: ConsoleUnderTest) -> None:
    async def bar(who: CallerCase, query: str) -> tuple[str, dict[str, list[str]]] | None:
        html = (await console.send(who, "GET", f"/inbox?{query}")).response.text
        found = re.search(r'data-live="([^"]*)" data-live-where="([^"]*)"', html)
        return found and (found.group(1), json.loads(unescape(found.group(2))))

    me = console.services.subject(EXECUTOR)
    assert await bar(EXECUTOR, "assignee=me&sort=due") == ("appeal.assignee_changed", {"assignee_id": [me]})
    assert await bar(MODERATOR, "overdue=true&urgency=high") == ("appeal.overdue", {"urgency": ["high"]})
    types, where = await bar(MODERATOR, "status=triage") or ("", {})
    assert ("appeal.moved" in types, where) == (True, {"status": ["triage"]})
    assert await bar(MODERATOR, "tag=крыльцо") is None
    assert await bar(HEAD, "overdue=true") is None


async def test_list_is_downloaded_as_csv_and_workbook(console: ConsoleUnderTest) -> None:
    response = (await console.send(EXECUTOR, "GET", "/inbox/appeals.csv?status=in_progress&sort=due")).response
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    assert "bagulnik" in response.text
    workbook = (await console.send(EXECUTOR, "GET", "/inbox/appeals.xlsx")).response
    assert workbook.content.startswith(b"PK")


async def test_list_too_long_for_a_download_is_exported_by_a_job(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_XLSX_ROWS", 0)
    monkeypatch.setattr("services.console.pages.inbox.list_page.LONG_LIST", 0)
    response = (await console.send(EXECUTOR, "GET", "/inbox/appeals.xlsx?status=in_progress")).response
    page = (await console.send(EXECUTOR, "GET", response.headers["location"])).response.text
    assert 'name="list" value="status=in_progress&amp;sort=-opened_at"' in page
    assert (
        'href="/exports?list=' in (await console.send(EXECUTOR, "GET", "/inbox?status=in_progress")).response.text
    )
    form = {"list": "status=in_progress&sort=due", "format": "xlsx", "key": "k2"}
    visited = await console.send(EXECUTOR, "POST", "/exports", data=form)
    assert [(call.method, call.path, call.status) for call in visited.calls[1:]] == [("POST", "/exports", 202)]
    assert visited.response.headers["location"] == "/exports"


async def test_missing_deleted_and_cancelled_files_redirect_to_the_list_of_files(
    console: ConsoleUnderTest,
) -> None:
    gone = (await console.send(EXECUTOR, "GET", console.filled("/exports/file?export_id={export_id}"))).response
    assert (gone.status_code, gone.headers["location"]) == (303, "/exports")
    assert "ещё нет или уже нет" in note_of(gone)
    form = {"export_id": console.filled("{export_id}")}
    for more, note in (({}, "Файл удалён"), ({"do": "cancel"}, "Файл отменён")):
        deleted = (await console.send(EXECUTOR, "POST", "/exports/delete", data=form | more)).response
        assert (deleted.headers["location"], note_of(deleted)) == ("/exports", note)
    wrong = {"list": "urgency=so&sort=due", "format": "csv"}
    refused = (await console.send(EXECUTOR, "POST", "/exports", data=wrong)).response
    assert refused.status_code == 422
    assert "Этот отбор" in refused.text


async def test_list_is_saved_as_a_view(console: ConsoleUnderTest) -> None:
    form = {
        "list": "tag=крыльцо&assignee=none&sort=due&cursor=x",
        "name": "Крыльцо",
        "is_shared": "true",
        "key": "k1",
    }
    visited = await console.send(EXECUTOR, "POST", "/inbox/views", data=form)
    assert [(call.method, call.path, call.status) for call in visited.calls[1:]] == [("POST", "/views", 201)]
    assert visited.response.status_code == 303
    assert "cursor" not in visited.response.headers["location"]
    assert note_of(visited.response) == "Список «Крыльцо» сохранён"


async def test_refused_view_keeps_the_entered_values(console: ConsoleUnderTest) -> None:
    form = {"list": "author_key=abc&sort=due", "name": HOSTILE, "is_shared": "true"}
    response = (await console.send(EXECUTOR, "POST", "/inbox/views", data=form)).response
    assert response.status_code == 422
    assert "обращений одного гражданина сохранить нельзя" in text_of(response)
    assert "&gt;&lt;script&gt;alert(1)" in response.text
    assert 'name="is_shared" value="true" checked' in response.text
    nameless = (await console.send(EXECUTOR, "POST", "/inbox/views", data={"list": "tag=а", "name": " "})).response
    assert nameless.status_code == 422
    assert "Дайте списку название." in nameless.text


async def test_view_is_opened_renamed_and_deleted(console: ConsoleUnderTest) -> None:
    page = (await console.send(MODERATOR, "GET", "/inbox/views")).response
    assert links_of(page)["Мой список bagulnik"] == "/inbox?sort=due"
    path = console.filled("/inbox/views/{view_id}")
    changed = await console.send(MODERATOR, "POST", path, data={"name": "Новое имя", "version": "1"})
    assert (changed.response.status_code, note_of(changed.response)) == (303, "Список «Новое имя» изменён")
    deleted = await console.send(MODERATOR, "POST", f"{path}/delete", data={"version": "1"})
    assert (deleted.response.headers["location"], note_of(deleted.response)) == ("/inbox/views", "Список удалён")


async def test_stale_edit_of_a_view_is_refused_and_keeps_the_entered_name(console: ConsoleUnderTest) -> None:
    path = console.filled("/inbox/views/{view_id}")
    response = (await console.send(MODERATOR, "POST", path, data={"name": "Другое имя", "version": "7"})).response
    assert response.status_code == 412
    assert "запись изменил коллега" in response.text
    assert 'value="Другое имя"' in response.text
    stale = (await console.send(MODERATOR, "POST", f"{path}/delete", data={"version": "7"})).response
    assert stale.status_code == 412


async def test_organisation_and_tag_fields_suggest_values(console: ConsoleUnderTest) -> None:
    organisations = (await console.send(EXECUTOR, "GET", "/suggest/organisations?organisation=bagulnik")).response
    assert '<option value="Организация bagulnik">' in organisations.text
    tags = (await console.send(EXECUTOR, "GET", "/suggest/tags?tag=метка")).response
    assert '<option value="метка bagulnik">' in tags.text
    assert "saranka" not in tags.text
    places = (await console.send(EXECUTOR, "GET", "/suggest/appeals?q=бабу")).response
    assert "Бабушкин" in places.text


async def test_district_alone_filters_the_list(console: ConsoleUnderTest) -> None:
    response = (await console.send(MODERATOR, "GET", "/inbox?district=Улан-Удэ")).response
    assert response.status_code == 303
    assert list(query_of(response)) == ["municipality", "sort"]
