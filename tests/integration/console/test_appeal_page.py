"""The page of an appeal: its content by role, and the actions of its forms."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import unquote
from uuid import UUID, uuid4

import httpx
import pytest

from services.appeals.lifecycle.timeline import TimelineEntryKind
from services.console.api_calls.client import Api
from services.console.pages.appeal.appeal_conflict import conflict_of, seen
from services.console.pages.appeal.appeal_locations import location_words
from services.console.pages.appeal.appeal_move_forms import move_forms
from services.console.pages.appeal.appeal_sentences import SENTENCES, Names
from shared import clock
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest, Visited
from tests.integration.console.page_reading import links_of
from tests.integration.console.refused_calls import answer_calls, problem

MODERATOR = CallerCase("moderator")
EXECUTOR = CallerCase("executor")
MANAGER = CallerCase("manager")
HEAD = CallerCase("head")
PAGE = "/appeals/{appeal_id}"
TRANSFER = {"to": "assigned", "reason": "Не наше"}


@pytest.fixture(scope="module")
async def page(console: ConsoleUnderTest) -> str:
    """The HTML of the sample appeal's page, opened by a moderator."""
    return await opened(console, MODERATOR)


@pytest.fixture(scope="module")
def version(page: str) -> str:
    """The version of the sample appeal in the forms of its page."""
    return hidden(page, "version", "/moves")


async def opened(console: ConsoleUnderTest, who: CallerCase, route: str = PAGE) -> str:
    response = (await console.send(who, "GET", console.filled(route))).response
    assert response.status_code == 200, response.text[-1000:]
    return response.text


async def posted(console: ConsoleUnderTest, who: CallerCase, route: str, fields: Mapping[str, Any]) -> Visited:
    visited = await console.send(who, "POST", console.filled(route), data=dict(fields))
    for call in visited.calls:
        assert console.documented(call) is not None, call
    return visited


def hidden(page: str, name: str, form: str = "/notes") -> str:
    """Return the value of a hidden field in the form with this action."""
    body = re.search(rf'<form[^>]*action="[^"]*{form}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert body is not None, form
    found = re.search(rf'name="{name}" value="([^"]*)"', body.group(1))
    assert found is not None, name
    return html.unescape(found.group(1))


def note_of(response: httpx.Response) -> str:
    return str(json.loads(unquote(response.cookies["__Host-gospablik-note"]))["text"])


def moves_of(page: str) -> list[str]:
    return re.findall(r'name="to" value="(\w+)"', page)


async def test_page_shows_thread_deadlines_route_and_history(console: ConsoleUnderTest, page: str) -> None:
    for words in (
        "Переписка", "Не горят фонари", "не опубликован", "Первый ответ", "просрочено", "Почему здесь",
        "История", "Обращение открыто", "Фонари: bagulnik", "Ждём акт: bagulnik", "Другая тема: bagulnik",
    ):  # fmt: skip
        assert words in page, words
    assert 'href="https://vk.com/wall-101_1?reply=1"' in page
    assert f'data-live-appeal="{console.services.samples["own"]["appeal_id"]}"' in page


async def test_page_makes_its_api_calls_in_two_rounds(console: ConsoleUnderTest) -> None:
    visited = await console.send(EXECUTOR, "GET", console.filled(PAGE))
    paths = [re.sub(r"[0-9a-f-]{36}", "*", call.path) for call in visited.calls]
    assert sorted(paths[1:6]) == [
        "/appeals/*", "/appeals/*/deadlines", "/appeals/*/notes", "/appeals/*/possible-assignees",
        "/appeals/*/presence",
    ]  # fmt: skip
    assert paths[6:] == ["/incidents/*"]


async def test_each_role_is_offered_only_allowed_moves(console: ConsoleUnderTest, page: str) -> None:
    assert moves_of(page) == ["assigned", "triage", "closed", "not_required"]
    assert moves_of(await opened(console, EXECUTOR)) == ["assigned", "triage"]
    head = await opened(console, HEAD)
    assert moves_of(head) == []
    for word in ("Ответить</a>", "Добавить заметку", "Исправить разбор", "Приостановить отсчёт", "Наблюдать<"):
        assert word not in head
        assert word in page, word


@pytest.mark.parametrize(
    ("role", "words", "leads"),
    [
        (
            "approver",
            "Рассмотреть ответ",
            "/approvals?reply={on_approval_reply_id}&appeal={on_approval_appeal_id}",
        ),
        ("executor", "Ответ на согласовании", "/reply"),
    ],
)
async def test_appeal_with_a_reply_on_approval_links_to_the_approval_or_the_reply(
    console: ConsoleUnderTest, role: str, words: str, leads: str
) -> None:
    path = console.filled("/appeals/{on_approval_appeal_id}")
    response = (await console.send(CallerCase(role), "GET", path)).response
    assert links_of(response)[words].endswith(console.filled(leads))
    assert "Ответить" not in links_of(response)


@pytest.mark.parametrize("changed", ["author", "status", "erased_at"])
async def test_reply_that_the_person_cannot_approve_has_no_link_to_its_approval(
    console: ConsoleUnderTest, changed: str
) -> None:
    approver = CallerCase("approver")
    appeal_id = console.filled("{on_approval_appeal_id}")
    connection = await console.services.services["appeals"].database.connect("gospablik_owner")
    table, key = ("replies", "appeal_id") if changed == "author" else ("appeals", "id")
    values = {"author": console.services.subject(approver), "status": "closed", "erased_at": clock.now()}
    before = await connection.fetchval(f"SELECT {changed} FROM {table} WHERE {key} = $1", UUID(appeal_id))
    update = f"UPDATE {table} SET {changed} = $1 WHERE {key} = $2"
    try:
        await connection.execute(update, values[changed], UUID(appeal_id))
        for path in (f"/appeals/{appeal_id}", f"/appeals/{appeal_id}/reply")[: 2 if changed == "author" else 1]:
            response = (await console.send(approver, "GET", path)).response
            assert not [link for link in links_of(response).values() if link.startswith("/approvals?")]
    finally:
        await connection.execute(update, before, UUID(appeal_id))
        await connection.close()


async def test_published_reply_links_to_its_correction(console: ConsoleUnderTest) -> None:
    path = console.filled("/appeals/{draft_appeal_id}")
    edit = f"{path}/replies/{console.filled('{published_reply_id}')}"
    executor = (await console.send(EXECUTOR, "GET", path)).response
    assert links_of(executor)["Исправить ответ"] == edit
    manager = (await console.send(CallerCase("manager"), "GET", path)).response
    assert links_of(manager)["Исправить или удалить ответ"] == edit
    assert edit not in links_of((await console.send(HEAD, "GET", path)).response).values()


def test_move_forms_ask_for_reason_and_organisation_as_the_workflow_requires() -> None:
    allowed = ["in_progress", "assigned", "triage", "closed", "not_required", "reopened"]

    def forms(status: str, *, of_centre: bool) -> dict[str, tuple[bool, bool]]:
        appeal = {"allowed_moves": allowed, "status": status}
        found = move_forms(appeal, of_centre=of_centre)
        return {form.to: (form.needs_reason, form.asks_organisation) for form in found}

    assert forms("assigned", of_centre=False)["assigned"] == (True, True)
    assert forms("assigned", of_centre=True)["assigned"] == (False, True)
    assert forms("triage", of_centre=True)["assigned"] == (False, True)
    assert forms("assigned", of_centre=True)["triage"] == (True, False)
    assert forms("interim", of_centre=True)["closed"] == (True, False)
    assert forms("answered", of_centre=False)["closed"] == (False, False)
    assert forms("answered", of_centre=True)["reopened"] == (True, False)
    assert forms("assigned", of_centre=True)["not_required"] == (True, False)


async def test_return_of_an_appeal_redirects_staff_to_their_list(console: ConsoleUnderTest, version: str) -> None:
    fields = {"to": "triage", "reason": "Не наша улица", "version": version}
    response = (await posted(console, EXECUTOR, PAGE + "/moves", fields)).response
    assert (response.status_code, response.headers["location"]) == (303, "/inbox")
    assert "возвращено модераторам" in note_of(response)


async def test_move_without_a_reason_names_the_missing_field(console: ConsoleUnderTest, version: str) -> None:
    response = (
        await posted(
            console, MODERATOR, PAGE + "/moves", {"to": "closed", "outcome": "solved", "version": version}
        )
    ).response
    assert response.status_code == 422
    assert response.headers["hx-push-url"] == console.filled(PAGE)
    assert re.search(
        r'<details class="appeal-action" name="appeal-action" open>\s*<summary[^>]*>Закрыть', response.text
    )
    assert '<option value="solved" selected>' in response.text


async def test_stale_move_shows_the_changes_and_keeps_the_entered_values(
    console: ConsoleUnderTest, page: str
) -> None:
    before = (
        hidden(page, "seen", "/moves").replace("в работе", "назначено").replace('"entries": 1', '"entries": 0')
    )
    fields = {"to": "closed", "reason": "Сделано <b>вчера</b>", "version": "999", "seen": before}
    response = (await posted(console, MODERATOR, PAGE + "/moves", fields)).response
    assert response.status_code == 412
    conflict = response.text[response.text.index("appeal-conflict") :][:2500]
    assert '<del class="citizen">назначено</del>' in conflict
    assert '<ins class="citizen">в работе</ins>' in conflict
    assert "Обращение открыто" in conflict
    assert "Сделано &lt;b&gt;вчера&lt;/b&gt;</textarea>" in response.text
    assert "<b>вчера" not in response.text


async def test_refusal_of_a_move_no_longer_allowed_is_not_in_english(
    console: ConsoleUnderTest, version: str
) -> None:
    fields = {"to": "reopened", "reason": "Снова темно", "version": version}
    response = (await posted(console, MODERATOR, PAGE + "/moves", fields)).response
    assert response.status_code == 409
    assert "You may not" not in response.text


async def test_organisation_search_works_with_and_without_a_script(console: ConsoleUnderTest) -> None:
    other = await console.send(
        MODERATOR, "GET", console.filled(PAGE) + "/organisations", params={"organisation_q": "oblepiha"}
    )
    assert "Организация oblepiha" in other.response.text
    assert "<html" not in other.response.text
    fields = TRANSFER | {"organisation_q": "oblepiha", "find": "yes"}
    response = (await posted(console, MODERATOR, PAGE + "/moves", fields)).response
    assert response.status_code == 200
    assert re.search(
        r'type="radio" name="organisation_id" value="[0-9a-f-]{36}"[^>]*>\s*<span>Организация oblepiha',
        response.text,
    )
    assert "Не наше</textarea>" in response.text
    assert [
        call for call in (await posted(console, MODERATOR, PAGE + "/moves", fields)).calls if call.method == "POST"
    ] == []


async def test_transfer_shows_a_note_with_the_new_organisation(console: ConsoleUnderTest, version: str) -> None:
    target = str(console.services.samples["foreign"]["organisation_id"])
    fields = TRANSFER | {"organisation_id": target, "version": version}
    response = (await posted(console, MODERATOR, PAGE + "/moves", fields)).response
    assert (response.status_code, response.headers["location"]) == (303, console.filled(PAGE))
    assert "Организация oblepiha" in note_of(response)


@pytest.mark.parametrize(
    ("who", "action", "fields", "note"),
    [
        (EXECUTOR, "/notes", {"text": "Звонил мастеру", "visibility": "everyone_on_appeal"}, "Заметка добавлена"),
        (EXECUTOR, "/tags", {"add": "двор, Крыльцо"}, "Метки добавлены"),
        (EXECUTOR, "/watchers", {}, "Вы наблюдаете"),
        (MANAGER, "/clocks/pause", {"reason": "Ждём адрес"}, "приостановлен"),
        (MANAGER, "/assignee", {"assignee_id": ""}, "Исполнитель снят"),
        (MODERATOR, "/matter-decisions?message_id={message_id}", {"decision": "keep"}, "осталось здесь"),
        (
            MODERATOR,
            "/extension-requests/{extension_request_id}/approve",
            {"remarks": "Больше не продлим", "request_version": "1"},
            "Срок продлён",
        ),
        (
            MODERATOR,
            "/extension-requests/{extension_request_id}/refuse",
            {"remarks": "Ответьте в срок", "request_version": "1"},
            "отказано",
        ),
    ],
)
async def test_change_redirects_to_the_appeal_with_a_note(
    *, console: ConsoleUnderTest, who: CallerCase, action: str, fields: dict[str, str], note: str, version: str
) -> None:
    sent = {"version": version} | fields
    if "request_version" in sent:
        sent["version"] = sent.pop("request_version")
    response = (await posted(console, who, PAGE + action, sent)).response
    assert (response.status_code, response.headers["location"]) == (303, console.filled(PAGE)), response.text[
        -800:
    ]
    assert note in note_of(response)


@pytest.mark.parametrize("mark", ["²", "9" * 3_999, "0", ""])
async def test_invalid_mark_is_left_out_of_the_feedback(
    console: ConsoleUnderTest, mark: str, version: str
) -> None:
    fields = {"kind": "thanks", "mark": mark, "reason": "Прочтено", "version": version}
    visited = await posted(console, MODERATOR, f"{PAGE}/feedback/{uuid4()}", fields)
    assert [call.status for call in visited.calls if call.method == "PUT"] == [visited.response.status_code]
    assert visited.response.status_code in {404, 422}


@pytest.mark.parametrize(
    ("who", "action", "fields", "shown"),
    [
        (EXECUTOR, "/notes", {"text": " "}, "Напишите заметку"),
        (EXECUTOR, "/tags", {"add": "<script>"}, "Метка — буквы"),
        (EXECUTOR, "/extension-requests", {"hours": "<много>", "ground": "<i>Акт</i>"}, "Укажите число часов"),
        (EXECUTOR, "/extension-requests", {"hours": "inf", "ground": "Акт"}, "Укажите число часов"),
        (MODERATOR, "/extension-requests/{extension_request_id}/refuse", {"remarks": ""}, "почему отказ"),
        (MANAGER, "/clocks/pause", {"reason": ""}, "Напишите причину"),
    ],
)
async def test_invalid_field_is_named_beside_the_form(
    *, console: ConsoleUnderTest, who: CallerCase, action: str, fields: dict[str, str], shown: str, version: str
) -> None:
    seen_version = "1" if "refuse" in action else version
    response = (await posted(console, who, PAGE + action, fields | {"version": seen_version})).response
    assert response.status_code == 422
    assert shown in response.text
    for entered in fields.values():
        assert html.escape(entered) in response.text
    assert "<script>" not in response.text
    assert "<i>Акт" not in response.text


async def test_second_extension_request_is_refused_with_a_message(console: ConsoleUnderTest, version: str) -> None:
    fields = {"hours": "16", "ground": "Ждём подрядчика", "version": version}
    response = (await posted(console, EXECUTOR, PAGE + "/extension-requests", fields)).response
    assert response.status_code == 409
    assert "Продление запросить нельзя" in response.text
    assert "Ждём подрядчика</textarea>" in response.text


async def test_forbidden_action_is_refused_with_the_reason_on_the_page(
    console: ConsoleUnderTest, version: str
) -> None:
    response = (
        await posted(console, EXECUTOR, PAGE + "/clocks/pause", {"reason": "Ждём", "version": version})
    ).response
    assert response.status_code == 403
    assert "Вам нельзя останавливать срок" in response.text


async def test_paused_clock_is_resumed(console: ConsoleUnderTest) -> None:
    route = "/appeals/{lone_appeal_id}"
    page = await opened(console, MANAGER, route)
    assert "на паузе" in page
    fields = {"reason": "Автор назвал адрес", "version": hidden(page, "version", "/clocks/resume")}
    response = (await posted(console, MANAGER, route + "/clocks/resume", fields)).response
    assert response.status_code == 303
    assert "продолжен" in note_of(response)


def _shown_correction(page: str) -> dict[str, str]:
    """Return the hidden fields of the form of a correction: versions, and the values that it shows."""
    names = ("version", "appeal_version", "was_topic", "was_topic_id", "was_urgency", "was_municipality")
    return {
        name: hidden(page, name, "/correction") for name in (*names, "was_settlement", "was_street", "was_house")
    }


async def test_correction_sends_only_changed_fields(console: ConsoleUnderTest) -> None:
    shown = _shown_correction(await opened(console, MODERATOR, PAGE + "/correction"))
    fields = shown | {"topic": "Матрица", "urgency": "high", "street": "улица Ленина"}
    visited = await posted(console, MODERATOR, PAGE + "/correction", fields)
    assert visited.response.status_code == 303, visited.response.text[-800:]
    assert [call.path for call in visited.calls if call.method == "POST"] == [
        console.filled("/messages/{message_id}/triage")
    ]
    wrong = await posted(console, MODERATOR, PAGE + "/correction", fields | {"topic": "ъъъ"})
    assert (wrong.response.status_code, [call for call in wrong.calls if call.method == "POST"]) == (422, [])
    assert "Такой темы нет" in wrong.response.text
    assert _shown_correction(wrong.response.text) == shown
    stale = await posted(console, MODERATOR, PAGE + "/correction", fields | {"version": "77"})
    assert stale.response.status_code == 412
    assert 'value="улица Ленина"' in stale.response.text


async def test_correction_of_an_appeal_that_changed_since_shows_its_new_values(console: ConsoleUnderTest) -> None:
    shown = _shown_correction(await opened(console, MODERATOR, PAGE + "/correction"))
    # The form showed another urgency and another topic, and another version of the appeal.
    other = {"normal": "high", "high": "normal"}[shown["was_urgency"]]
    before = {"was_urgency": other, "was_topic": "Другая", "was_topic_id": console.filled("{topic_id}")}
    earlier = shown | before | {"appeal_version": str(int(shown["appeal_version"]) + 70)}
    kept = {"municipality": shown["was_municipality"], "house": shown["was_house"]}
    sent = earlier | kept | {"urgency": other, "topic": "Другая", "street": "улица Ленина"}
    stale = await posted(console, MODERATOR, PAGE + "/correction", sent)
    assert stale.response.status_code == 412
    assert "обращение изменилось" in stale.response.text
    assert _shown_correction(stale.response.text) == shown
    assert f'value="{shown["was_urgency"]}" selected' in stale.response.text
    topic = re.search(r'name="topic" type="text" value="([^"]*)"', stale.response.text)
    assert topic is not None
    assert html.unescape(topic.group(1)) == shown["was_topic"]
    assert 'value="улица Ленина"' in stale.response.text


async def test_correction_does_not_send_values_that_the_person_did_not_change(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _shown_correction(await opened(console, MODERATOR, PAGE + "/correction"))
    other = {"normal": "high", "high": "normal"}[shown["was_urgency"]]
    bodies: list[Any] = []
    send = Api.send

    async def recorded(api: Api, method: str, path: str, body: Any = None, **options: Any) -> Any:
        if method == "POST":
            bodies.append(body)
        return await send(api, method, path, body, **options)

    monkeypatch.setattr(Api, "send", recorded)
    # The form showed another urgency than the appeal has now, and the person changed only the house.
    location = {part: shown[f"was_{part}"] for part in ("municipality", "settlement", "street")} | {"house": "7"}
    sent = shown | location | {"was_urgency": other, "urgency": other, "topic": shown["was_topic"]}
    assert (await posted(console, MODERATOR, PAGE + "/correction", sent)).response.status_code == 303
    given = {part: value for part, value in location.items() if value}
    assert bodies == [given | {"needs_answer": True, "appeal_version": shown["appeal_version"]}]


async def test_appeals_of_the_author_are_merged(console: ConsoleUnderTest) -> None:
    route = "/appeals/{second_assigned_appeal_id}"
    page = await opened(console, MODERATOR, route + "/author")
    into = str(console.services.samples["own"]["draft_appeal_id"])
    assert f'href="/appeals/{into}"' in page
    fields = {"into": into, "reason": "Повтор", "version": hidden(page, "version", "/merge")}
    response = (await posted(console, MODERATOR, route + "/merge", fields)).response
    assert (response.status_code, response.headers["location"]) == (303, f"/appeals/{into}")
    refused = (await posted(console, MODERATOR, route + "/merge", fields | {"reason": ""})).response
    assert refused.status_code == 422
    assert "почему это один вопрос" in refused.text
    assert 'action="' not in (await opened(console, CallerCase("analyst"), route + "/author")).split("<main")[1]


async def test_undo_of_a_merge_without_a_reason_is_refused(console: ConsoleUnderTest) -> None:
    route = "/appeals/{second_merged_appeal_id}"
    page = await opened(console, MODERATOR, route)
    assert "Объединено с обращением" in page
    version = hidden(page, "version", "/unmerge")
    refused = (await posted(console, MODERATOR, route + "/unmerge", {"version": version, "reason": ""})).response
    assert refused.status_code == 422
    fields = {"version": version, "reason": "Другая дорога"}
    response = (await posted(console, MODERATOR, route + "/unmerge", fields)).response
    assert response.status_code == 303, response.text[-500:]


async def test_presence_and_read_marks_respond_with_a_page_fragment(console: ConsoleUnderTest) -> None:
    htmx = {"HX-Request": "true"}
    present = await console.send(MODERATOR, "POST", console.filled(PAGE + "/presence"), headers=htmx)
    assert [(call.method, call.status) for call in present.calls[1:]] == [("PUT", 200)]
    assert "<main" not in present.response.text
    until = {"until": "2026-11-27T10:00:00.123Z"}
    read = await console.send(MODERATOR, "POST", console.filled(PAGE + "/read"), data=until, headers=htmx)
    assert "Отмечено как прочитанное" in read.response.text
    plain = await console.send(MODERATOR, "POST", console.filled(PAGE + "/read"), data=until)
    assert plain.response.headers["location"] == console.filled(PAGE)


async def test_photo_of_a_reply_is_passed_through_uncached(console: ConsoleUnderTest) -> None:
    route = console.filled(PAGE + "/photos/{attachment_id}")
    response = (await console.send(EXECUTOR, "GET", route)).response
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["cache-control"] == "no-store"
    assert response.content.startswith(b"\xff\xd8")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


async def test_appeal_of_another_organisation_is_not_found(console: ConsoleUnderTest) -> None:
    foreign = console.services.samples["foreign"]["appeal_id"]
    response = (await console.send(EXECUTOR, "GET", f"/appeals/{foreign}")).response
    assert response.status_code == 404
    assert "oblepiha" not in response.text


def test_every_kind_of_timeline_entry_has_a_sentence() -> None:
    assert set(SENTENCES) == set(get_args(TimelineEntryKind.__value__))
    for kind, sentence in SENTENCES.items():
        text = sentence({"number": 7}, Names({}, {}, {}))
        assert re.search("[а-я]", text), kind
        assert not re.search(r"[a-z]|None", text), (kind, text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"ground": "factual_error"}, "Ответ удалён из соцсети: "),
        ({"ground": None}, "Ответ удалён в самой соцсети"),
        ({"ground": ""}, "Ответ удалён из соцсети: основание в ответе"),  # erased
    ],
)
def test_deletion_of_a_reply_says_whether_it_was_made_by_hand(data: dict[str, Any], text: str) -> None:
    assert SENTENCES["reply_withdrawn"](data, Names({}, {}, {})).startswith(text)


def test_location_does_not_name_a_city_twice() -> None:
    city = {"municipality": {"oktmo": "81701000", "name": "город Улан-Удэ"}, "settlement": "Улан-Удэ"}
    assert (
        location_words(city | {"street": "улица Бабушкина", "house": "20"})
        == "город Улан-Удэ, улица Бабушкина, 20"
    )
    assert location_words(None) == ""


def test_location_names_a_settlement_of_a_district_with_a_similar_name() -> None:
    district = {"municipality": {"oktmo": "81624000", "name": "Кабанский район"}, "settlement": "Кабанск"}
    assert location_words(district) == "Кабанский район, Кабанск"


def test_conflict_without_a_readable_seen_state_shows_the_last_entry() -> None:
    appeal: dict[str, Any] = {
        "status": "assigned", "organisation": None, "assignee": None, "topic": None, "location": None,
        "urgency": "normal", "next_due_at": None, "outcome": None, "messages": [], "replies": [],
        "assignments": [], "route": {"suggestions": []}, "submission": None,
        "timeline": [
            {"at": "2026-11-27T10:00:00Z", "kind": kind, "data": {}, "actor": {"kind": "system", "name": "—"}}
            for kind in ("opened", "clock_paused")
        ],
    }  # fmt: skip
    for broken in ("", "[]", "{", '{"entries": null}', '{"entries": Infinity}', "[" * 4_000):
        assert [one.text for one in conflict_of(broken, appeal).happened] == ["Отсчёт срока приостановлен"]
    assert conflict_of(seen(appeal), appeal).differences == []


async def test_correction_of_an_appeal_without_messages_is_sent_for_the_appeal(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await opened(console, MODERATOR, "/appeals/{phone_appeal_id}/correction")
    shown = _shown_correction(page)
    sent = answer_calls(monkeypatch, console.filled(r"POST /appeals/{phone_appeal_id}/triage"), {})
    fields = shown | {"topic": "Матрица", "urgency": "high"}
    await posted(console, MODERATOR, "/appeals/{phone_appeal_id}/correction", fields)
    assert sent == [{"topic_id": console.filled("{topic_id}"), "urgency": "high"}]


async def test_removed_location_is_sent_as_none_and_a_chosen_topic_survives_a_change_by_a_colleague(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _shown_correction(await opened(console, MODERATOR, "/appeals/{phone_appeal_id}/correction"))
    sent = answer_calls(monkeypatch, r"POST /appeals/.*/triage", problem(412))
    fields = shown | {"was_house": "7", "house": "", "topic": "Матрица", "urgency": shown["was_urgency"]}
    response = (await posted(console, MODERATOR, "/appeals/{phone_appeal_id}/correction", fields)).response
    assert sent == [{"topic_id": console.filled("{topic_id}"), "no_location": True}]
    assert response.status_code == 412
    assert re.search(r'name="topic" type="text" value="Матрица"', response.text)
