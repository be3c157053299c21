"""What pages say about refusals of the API that the sample data does not lead to."""

from typing import Any

import pytest

from services.console.api_calls.client import ApiProblem, ApiUnavailable, SignedOut
from services.console.pages.people import person_access
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.page_reading import note_kind_of, note_of, text_of
from tests.integration.console.refused_calls import (
    DRAFT,
    EXECUTOR,
    KEY,
    MANAGER,
    MODERATOR,
    OPERATIONS,
    PUBLISHED,
    SAID,
    SOME,
    answer_calls,
    problem,
)

INCIDENT = {"text": SAID, "step": "send", "key": KEY}
OWN = "Организация bagulnik"
# Who sends which form, the refused call of the API and its refusal, and what the page says beside the form.
BESIDE_THE_FORM: list[tuple[CallerCase, str, dict[str, Any], str, ApiProblem, str]] = [
    (EXECUTOR, DRAFT, {"do": "remove_photo", "text": SAID, "reply_id": "{draft_reply_id}", "photo_removed": "x"},
     r"PUT .*/replies/.*", problem(422, "/attachments"), "Столько фото эта соцсеть здесь не принимает"),
    (EXECUTOR, DRAFT, {"do": "remove_photo", "text": SAID, "reply_id": "{draft_reply_id}", "photo_removed": "x"},
     r"PUT .*/replies/.*", problem(422, "/text"), "Текст нельзя отправить"),
    (EXECUTOR, "/appeals/{appeal_id}/reply", {"do": "retry", "failed_id": SOME, "text": SAID},
     r"POST .*/retry", problem(409), "состояние записи изменилось"),
    (MANAGER, PUBLISHED, {"do": "edit", "text": "Чиним: bagulnik", "reason": SAID},
     r"POST .*/edits", problem(422, "/text"), "Текст не отличается от опубликованного."),
    (MANAGER, PUBLISHED, {"do": "edit", "text": SAID}, r"POST .*/edits", problem(422, "/text"),
     "Текст нельзя отправить"),
    (MODERATOR, "/incidents/{incident_id}/reply", INCIDENT, r"POST .*/replies", problem(409, slug="duplicate"),
     "Этот же текст уже отправлен"),
    (MODERATOR, "/incidents/{incident_id}/reply", INCIDENT, r"POST .*/replies", problem(422, "/text"),
     "Такой текст публиковать нельзя"),
    (MODERATOR, "/incidents/{incident_id}/reply", INCIDENT, r"POST .*/replies", problem(409),
     "состояние записи изменилось"),
    (MODERATOR, "/inbox/views", {"list": "tag=двор", "name": SAID}, r"POST /views", problem(409),
     "У вас уже 100 сохранённых списков"),
    (MODERATOR, "/inbox/views", {"list": "tag=двор", "name": SAID}, r"POST /views", problem(422, "/name"),
     "до 100 знаков, в одну строку"),
    (MODERATOR, "/rules/{rule_set_id}/bench", {"text": SAID}, r"POST .*/preview", problem(422, "/settlement"),
     "Такого населённого пункта в этом муниципалитете нет."),
    (MODERATOR, "/rules/{rule_set_id}/bench", {"text": SAID}, r"POST .*/preview", problem(422, "/text"),
     "Проверьте заполнение полей."),
    (EXECUTOR, "/account/networks", {"network": "vk"}, r"POST /me/notice-accounts", problem(409),
     "В этой соцсети уведомлений нет."),
    (EXECUTOR, "/account/address", {"address": "anna@example.org"}, r"PATCH /me/notice-settings", problem(429),
     "Сегодня отправлено слишком много ссылок"),
    (MODERATOR, "/pages/{page_id}/edit",
     {"name": SAID, "url": "https://vk.com/club101", "organisation": OWN, "go_live_on": "2026-03-04"},
     r"PATCH /pages/.*", problem(422, "/name"), "Введите название: до 500 знаков."),
    (OPERATIONS, "/people/{person_id}/edit", {"full_name": SAID, "role": "executor", "organisation": OWN},
     r"PATCH /people/.*", problem(422, "/role"), "Выберите роль."),
    (OPERATIONS, "/clients/{client_id}/edit", {"name": SAID}, r"PATCH /clients/.*", problem(422, "/name"),
     "Проверьте заполнение полей."),
    (MODERATOR, "/calendars/{calendar_id}/days-new", {"day": "2026-12-31", "title": SAID, "hours": ""},
     r"PUT .*/days", problem(422, "/days/0/intervals"), "Часы дня идут по порядку и не пересекаются"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("who", "path", "form", "call", "refusal", "words"),
    BESIDE_THE_FORM,
    ids=[f"{path} {words}" for _, path, _, _, _, words in BESIDE_THE_FORM],
)
async def test_refusal_is_explained_beside_the_entered_values(
    *,
    console: ConsoleUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    who: CallerCase,
    path: str,
    form: dict[str, Any],
    call: str,
    refusal: ApiProblem,
    words: str,
) -> None:
    tried = answer_calls(monkeypatch, call, refusal)
    sent = {name: console.filled(value) for name, value in form.items()}
    response = (await console.send(who, "POST", console.filled(path), data=sent)).response
    assert len(tried) == 1
    assert response.status_code == refusal.status
    assert words in text_of(response)
    if SAID in form.values():
        assert SAID in response.text


@pytest.mark.parametrize(
    ("who", "path", "form", "call", "refusal", "words"),
    [
        (OPERATIONS, "/people/{person_id}/lock", {"reason": SAID}, r"POST .*/lock", problem(409), "уже закрыт"),
        (OPERATIONS, "/people/{person_id}/deactivation", {}, r"PATCH .*", problem(412), "изменил кто-то другой"),
        (
            OPERATIONS,
            "/people/{person_id}/notice-address",
            {"address": "anna@example.org"},
            r"PUT .*",
            problem(429),
            "слишком много писем",
        ),
        (
            OPERATIONS,
            "/people/{person_id}/notice-address",
            {"address": "anna@example.org"},
            r"PUT .*",
            problem(503),
            "Адрес не изменён. Повторите позже.",
        ),
        (MODERATOR, "/grading/take", {"key": KEY}, r"POST .*", problem(409), "Сначала оцените ответы"),
        (
            MODERATOR,
            "/calendars/{calendar_id}/days/2026-12-31/remove",
            {"version": '"1"'},
            r"PUT .*",
            problem(412),
            "календарь изменил коллега",
        ),
        (MODERATOR, "/webhooks/{endpoint_id}/pause", {"paused": "yes"}, r"PATCH .*", problem(412), "коллега"),
        (MODERATOR, "/sources/backfills/{backfill_id}/cancellation", {}, r"POST .*", problem(409), "состояние"),
    ],
)
async def test_refused_action_redirects_with_a_note_that_it_failed(
    *,
    console: ConsoleUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    who: CallerCase,
    path: str,
    form: dict[str, str],
    call: str,
    refusal: ApiProblem,
    words: str,
) -> None:
    answer_calls(monkeypatch, call, refusal)
    response = (await console.send(who, "POST", console.filled(path), data=form)).response
    assert (response.status_code, note_kind_of(response)) == (303, "failed")
    assert words in note_of(response)


@pytest.mark.parametrize(
    ("error", "words", "status"),
    [
        (problem(500), "Произошла внутренняя ошибка", 500),
        (problem(422, "/text"), "Текст нельзя отправить", 422),
        (ApiUnavailable("no response"), "Система не", 503),
        (SignedOut(), "Сессия закончилась", 401),
    ],
    ids=["failed", "refused", "unavailable", "signed out"],
)
async def test_draft_that_cannot_be_saved_stays_in_the_form_and_the_autosave_says_so(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str, status: int
) -> None:
    answer_calls(monkeypatch, r"(PUT|POST) .*/replies(/[0-9a-f-]{36})?", error)
    form = {"text": SAID, "reply_id": console.filled("{draft_reply_id}"), "version": "1", "do": "save"}
    saved = (await console.send(EXECUTOR, "POST", console.filled(DRAFT), data=form)).response
    assert (saved.status_code, SAID in saved.text) == (status, True)
    assert words in saved.text
    part = (await console.send(EXECUTOR, "POST", console.filled(DRAFT + "/autosave"), data=form)).response
    assert part.status_code == 200
    assert words in part.text
    assert "Черновик сохранён" not in part.text


@pytest.mark.parametrize(
    ("refusal", "words", "button"),
    [
        (problem(409, slug="duplicate"), "Такой ответ по этому обращению уже есть.", "submit_again"),
        (
            problem(409, slug="reply-being-written", lease={"holder_name": "Анна"}),
            "Ответ сейчас пишет Анна",
            "submit",
        ),
    ],
    ids=["duplicate", "being written"],
)
async def test_refused_submission_keeps_the_text_and_a_repeated_text_may_be_sent_on_purpose(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, refusal: ApiProblem, words: str, button: str
) -> None:
    draft = console.filled("{draft_reply_id}")
    answer_calls(monkeypatch, r"PUT .*/replies/.*", {"id": draft, "version": 1})
    answer_calls(monkeypatch, r"POST .*/submit", refusal)
    form = {"do": "submit", "text": SAID, "reply_id": draft, "version": "1"}
    response = (await console.send(EXECUTOR, "POST", console.filled(DRAFT), data=form)).response
    assert response.status_code == 409
    assert words in text_of(response)
    assert SAID in response.text
    assert f'name="do" value="{button}"' in response.text


async def test_autosave_of_an_empty_text_saves_nothing(console: ConsoleUnderTest) -> None:
    visited = await console.send(EXECUTOR, "POST", console.filled(DRAFT + "/autosave"), data={"text": " "})
    assert visited.response.status_code == 200
    assert [call.method for call in visited.calls] == ["GET"]
    assert "Черновик сохранён" not in visited.response.text


@pytest.mark.parametrize("path", ["/suggest/appeals?q=!", "/suggest/tags?tag=!"])
async def test_text_that_cannot_be_searched_for_suggests_nothing(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    tried = answer_calls(monkeypatch, r"GET /(appeals/suggestions|tags)", problem(422, "query/q"))
    response = (await console.send(MODERATOR, "GET", path)).response
    assert tried
    assert (response.status_code, "<option" in response.text) == (200, False)


async def test_appeal_in_an_incident_that_is_hidden_from_the_person_opens(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_calls(monkeypatch, r"GET /incidents/.*", problem(404))
    response = (await console.send(MODERATOR, "GET", console.filled("/appeals/{appeal_id}"))).response
    assert response.status_code == 200
    assert "Переписка" in response.text
    assert "Фонари: bagulnik" not in response.text


async def test_appeal_that_left_the_incident_meanwhile_is_no_recipient(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = answer_calls(monkeypatch, r"DELETE /incidents/.*/members/.*", problem(404))
    form = INCIDENT | {"exclude": console.filled("{appeal_id}")}
    response = (
        await console.send(MODERATOR, "POST", console.filled("/incidents/{incident_id}/reply"), data=form)
    ).response
    assert len(tried) == 1
    assert response.status_code == 200
    assert SAID in response.text


async def test_reply_to_approve_that_is_gone_is_not_replaced_by_another(
    console: ConsoleUnderTest,
) -> None:
    address = f"/approvals?reply={SOME}&appeal={SOME}"
    response = (await console.send(CallerCase("approver"), "GET", address)).response
    assert response.status_code == 200
    assert "Этот ответ уже рассмотрен или снят с согласования." in response.text
    assert 'name="do" value="approve"' not in response.text


async def test_person_who_signs_in_at_the_issuer_gets_no_password(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = answer_calls(monkeypatch, r"POST /people", {"id": SOME})
    form = {"full_name": "Анна", "username": "anna", "role": "moderator", "sign_in": "issuer"}
    response = (
        await console.send(OPERATIONS, "POST", "/people-new", data=form | {"external_subject": "a-1"})
    ).response
    assert (response.headers["location"], note_of(response)) == (f"/people/{SOME}", "Доступ дан")
    assert [(body["password"], body["external_subject"]) for body in bodies] == [(None, "a-1")]


async def test_person_whose_earlier_submission_does_not_end_is_told_to_wait(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_access, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(person_access, "_ATTEMPTS", 2)
    tried = answer_calls(monkeypatch, r"POST /people", problem(409, slug="idempotent-request-in-progress"))
    form = {"full_name": "Анна", "username": "anna", "role": "moderator", "key": KEY}
    response = (await console.send(OPERATIONS, "POST", "/people-new", data=form)).response
    assert (response.status_code, len(tried)) == (409, 3)
    assert "Эта форма уже отправляется" in response.text
    assert 'value="Анна"' in response.text


async def test_identifier_at_the_issuer_is_sent_only_if_it_changed(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = answer_calls(monkeypatch, r"PATCH /people/.*", {})
    form = {"full_name": "Анна", "role": "executor", "organisation": OWN, "active": "yes"}
    for subject in ("", "a-1"):
        path = console.filled("/people/{person_id}/edit")
        await console.send(OPERATIONS, "POST", path, data=form | {"external_subject": subject})
    assert [body.get("external_subject", "unchanged") for body in bodies] == ["unchanged", "a-1"]


async def test_changed_day_of_a_page_is_sent_as_the_beginning_of_the_day(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = answer_calls(monkeypatch, r"PATCH /pages/.*", {})
    form = {"name": "Страница", "url": "https://vk.com/club101", "organisation": OWN, "active": "yes"}
    for day in ("2026-03-04", "2026-03-05", ""):
        path = console.filled("/pages/{page_id}/edit")
        await console.send(MODERATOR, "POST", path, data=form | {"go_live_on": day})
    assert [body.get("go_live_at", "unchanged") for body in bodies] == [
        "unchanged", "2026-03-05T00:00:00+08:00", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("who", "path", "form", "name"),
    [
        (MODERATOR, "/pages/{page_id}/edit", {"name": SAID, "organisation": "bagulnik"}, "organisation"),
        (MODERATOR, "/pages-new/connect", {"name": SAID, "organisation": "bagulnik"}, "organisation"),
        (MODERATOR, "/organisations/{organisation_id}/edit", {"name": SAID, "parent": "oblepih"}, "parent"),
        (
            MODERATOR,
            "/organisations/{organisation_id}/successions-new",
            {"document": SAID, "successor": "oblepih"},
            "successor",
        ),
        (
            OPERATIONS,
            "/people/{person_id}/edit",
            {"full_name": SAID, "role": "executor", "organisation": "oblepih"},
            "organisation",
        ),
        (MODERATOR, "/approval-rules", {"organisation": "bagulnik", "urgency": "high"}, "organisation"),
    ],
)
async def test_organisation_named_vaguely_is_to_be_chosen_and_nothing_changes(
    *, console: ConsoleUnderTest, who: CallerCase, path: str, form: dict[str, str], name: str
) -> None:
    visited = await console.send(who, "POST", console.filled(path), data=form)
    assert [call.method for call in visited.calls if call.method != "GET"] == []
    assert "выберите из похожих" in visited.response.text
    assert f'name="{name}_id"' in visited.response.text
    if SAID in form.values():
        assert SAID in visited.response.text


async def test_too_large_table_is_refused_with_its_limit(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_calls(monkeypatch, r"POST /organisations/import", problem(413))
    file = {"file": ("registry.csv", b"x", "text/csv")}
    response = (await console.send(MODERATOR, "POST", "/import", files=file, data={"do": "check"})).response
    assert response.status_code == 413
    assert "Файл больше 16 МБ. Разделите таблицу." in response.text


async def test_grader_is_told_that_no_answers_are_left(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ids, words, kind in (([], "Неоценённых ответов сейчас нет", "failed"), ([SOME], "Взято: 1", "done")):
        answer_calls(monkeypatch, r"POST /grading/assignments", {"item_ids": ids})
        response = (await console.send(MODERATOR, "POST", "/grading/take", data={"key": KEY})).response
        assert note_kind_of(response) == kind
        assert note_of(response).replace("\N{NO-BREAK SPACE}", " ").startswith(words)
