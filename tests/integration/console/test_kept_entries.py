"""What people entered in a form is shown again after any error."""

import html
import re

import aiohttp
import pytest

from services.console.api_calls.client import Api, ApiProblem, TokenSource
from services.console.site.site import Site
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest

EXECUTOR, OPERATIONS, MODERATOR = CallerCase("executor"), CallerCase("operations"), CallerCase("moderator")
NOTES = "/appeals/{appeal_id}/notes"
SWAP = {"HX-Request": "true", "HX-Target": "main#main"}
PART = {"HX-Request": "true", "HX-Target": "div#appeal-presence"}
NOTE = {"text": "Звонил <b>мастер</b>:\nбудет завтра", "version": "3", "seen": "{}"}


def written(page: str) -> list[str]:
    """Return the texts in the fields of a page."""
    return [html.unescape(text) for text in re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)]


@pytest.mark.parametrize("headers", [{}, SWAP], ids=["browser", "htmx"])
async def test_ended_session_loses_no_entry(console: ConsoleUnderTest, headers: dict[str, str]) -> None:
    path = console.filled(NOTES)
    response = (await console.send(None, "POST", path + "?from=list", data=NOTE, headers=headers)).response
    assert response.status_code == 401
    assert "hx-redirect" not in response.headers
    assert "Сессия закончилась" in response.text
    assert written(response.text) == [NOTE["text"]]
    assert '<input type="hidden" name="version" value="3">' in response.text
    assert f'action="{path}?from=list"' in response.text
    assert ("<html" in response.text) is not bool(headers)


async def test_form_without_an_entry_leads_to_the_sign_in_without_a_session(console: ConsoleUnderTest) -> None:
    response = (await console.send(None, "POST", console.filled(NOTES), data={"version": "3"})).response
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/appeals/{appeal_id}/presence"),
        ("POST", "/appeals/{appeal_id}/read"),
        ("GET", "/suggest/organisations?organisation=школа"),
    ],
)
async def test_request_for_part_of_a_page_after_the_session_ended_does_not_leave_the_page(
    console: ConsoleUnderTest, method: str, path: str
) -> None:
    fields = {"until": "2026-03-04T02:00:00Z"} if path.endswith("/read") else None
    response = (await console.send(None, method, console.filled(path), data=fields, headers=PART)).response
    assert (response.status_code, response.text) == (204, "")
    assert "hx-redirect" not in response.headers


@pytest.mark.parametrize("path", ["/bulk/{bulk_operation_id}/progress", "/exports/state"])
async def test_progress_of_work_after_the_session_ended_leads_to_the_sign_in(
    console: ConsoleUnderTest, path: str
) -> None:
    shown = console.filled(path)
    response = (await console.send(None, "GET", shown, headers=PART)).response
    assert (response.status_code, response.headers["hx-redirect"]) == (204, f"/sign-in?next={shown}")


async def test_form_whose_result_is_part_of_a_page_leads_to_the_sign_in_without_a_session(
    console: ConsoleUnderTest,
) -> None:
    headers = {"HX-Request": "true", "HX-Target": "div#import-result"}
    response = (await console.send(None, "POST", "/import", data={"do": "check"}, headers=headers)).response
    assert (response.status_code, response.headers["hx-redirect"]) == (204, "/sign-in")


async def test_unavailable_api_loses_no_entry(console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Site, token: TokenSource, page: str) -> Api:
        http: aiohttp.ClientSession = console.service.http
        return Api(http, http, "http://127.0.0.1:1", token, timeout_seconds=5, page=page)

    monkeypatch.setattr(Site, "new_api", away)
    response = (await console.send(EXECUTOR, "POST", console.filled(NOTES), data=NOTE)).response
    assert response.status_code == 503
    assert "Система не ответила" in response.text
    assert written(response.text) == [NOTE["text"]]


@pytest.mark.parametrize(("refused", "status"), [(429, 429), (404, 404), (502, 503), (504, 503)])
async def test_refusal_that_no_page_expects_loses_no_entry(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, refused: int, status: int
) -> None:
    send = Api.send

    async def fails(api: Api, method: str, path: str, *given: object, **options: object) -> object:
        if method == "POST":
            raise ApiProblem(refused, {}, {"X-Request-Id": "request-7"})
        return await send(api, method, path, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Api, "send", fails)
    response = (await console.send(EXECUTOR, "POST", console.filled(NOTES), data=NOTE, headers=SWAP)).response
    assert response.status_code == status
    assert written(response.text) == [NOTE["text"]]
    assert "request-7" in response.text
    presence = await console.send(MODERATOR, "POST", console.filled("/appeals/{appeal_id}/read"), headers=PART)
    assert "<textarea" not in presence.response.text


async def test_text_that_is_too_long_is_shown_again(console: ConsoleUnderTest) -> None:
    reason = "Долго ждали подрядчика. " * 400
    fields = {"reason": reason, "version": "3", "seen": ""}
    path = console.filled("/appeals/{appeal_id}/clocks/pause")
    response = (await console.send(CallerCase("manager"), "POST", path, data=fields)).response
    assert response.status_code == 422
    assert written(response.text) == [reason]


async def test_secret_is_asked_for_again_and_never_shown(console: ConsoleUnderTest) -> None:
    form = {"token": "vk1.a.secret", "kind": "group", "name": "Школа"}
    response = (await console.send(None, "POST", "/sources/tokens", data=form)).response
    assert response.status_code == 401
    assert "vk1.a.secret" not in response.text
    assert re.search(r'name="token" type="password" required', response.text)
    assert '<input type="hidden" name="kind" value="group">' in response.text


async def test_all_values_of_a_field_are_kept(console: ConsoleUnderTest) -> None:
    response = (
        await console.send(None, "POST", "/bulk/new", data={"appeal": ["a", "b"], "action": "close"})
    ).response
    assert re.findall(r'name="appeal" value="(\w)"', response.text) == ["a", "b"]
