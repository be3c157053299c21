"""What all pages share: static files, error pages and the note after a change."""

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
import pytest

from services import console as console_package
from services.console.api_calls.client import Api, TokenSource
from services.console.site.site import Site
from services.console.site.static_files import static_url, static_version
from services.console.site.visit import NOTE_COOKIE
from shared.database.sessions import Database
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest

MODERATOR = CallerCase("moderator")
STATIC = Path(console_package.__path__[0]) / "static"
# SHA-256 digests of third-party files as published; the Latin font is a subset (decision 0032).
FONT = "golos-text-{}-wght-normal.woff2"
VENDORED = {
    "golos-text-LICENSE.txt": "54dcae300688bccf111e43c818a6ee2261d10fc8d7eb5b9c9aa2a1e9b03189c9",
    FONT.format("cyrillic-ext"): "70cf502d77aa23c8a573db8853f20a8db705d18414d170f257a9e939113aad47",
    FONT.format("cyrillic"): "17d048ca05cb1218af3c0d6dcdf882989e6d1cc5dcb598ea50eaf54850ff7229",
    FONT.format("latin-subset"): "f438f1b1727b1a4349fef0b9135e66347ebabc5b5ed99c031b1ce7deb72849ae",
    "htmx-4.0.1.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "htmx-LICENSE.txt": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
}
SWAP = {"HX-Request": "true"}


def test_vendored_files_have_the_published_digests() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (STATIC / "vendor").iterdir()}
    assert found == VENDORED


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("console.css", "text/css; charset=utf-8"),
        ("fonts.css", "text/css; charset=utf-8"),
        ("console.js", "text/javascript; charset=utf-8"),
        ("vendor/htmx-4.0.1.min.js", "text/javascript; charset=utf-8"),
        ("vendor/golos-text-cyrillic-wght-normal.woff2", "font/woff2"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_static_file_is_cached_as_immutable(console: ConsoleUnderTest, name: str, kind: str) -> None:
    response = (await console.send(None, "GET", static_url(name))).response
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in response.headers


async def test_icon_is_served_at_the_default_address(console: ConsoleUnderTest) -> None:
    response = (await console.send(None, "GET", "/favicon.ico")).response
    assert (response.status_code, response.headers["content-type"]) == (200, "image/svg+xml")
    assert response.headers["cache-control"] == "public, max-age=86400"


@pytest.mark.parametrize(
    "path",
    [
        "/static/000000000000/console.css",
        "/static/{version}/settings.py",
        "/static/{version}/%2e%2e/settings.py",
        "/static/{version}/..%2fsettings.py",
        "/static/{version}/vendor/..%2f..%2fsettings.py",
        "/static/{version}//etc/passwd",
        "/static/{version}/%2fetc%2fpasswd",
        "/static/{version}/..%5csettings.py",
        "/static/{version}/vendor",
        "/static/{version}/vendor/htmx-LICENSE.txt",
        "/static/{version}/console.css%00.js",
        "/static/{version}/",
        "/static/",
    ],
)
async def test_file_outside_the_static_folder_is_not_served(console: ConsoleUnderTest, path: str) -> None:
    # `raw_path`, because the client would normalise the path.
    url = httpx.URL("http://console", raw_path=path.format(version=static_version()).encode())
    response = (await console.send(None, "GET", url)).response  # type: ignore[arg-type]
    assert response.status_code in {404, 422}
    assert "immutable" not in response.headers.get("cache-control", "")
    assert "BaseSettings" not in response.text
    assert "root:" not in response.text


def is_page(response: httpx.Response, status: int, words: str, *, swap: bool = False) -> None:
    """Assert that the response is an HTML page with this text; for htmx (`swap`) only its content."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert words in response.text
    assert response.text.startswith("<title>" if swap else "<!doctype html>")
    assert 'href="/"' in response.text
    assert response.headers["content-security-policy"].startswith("default-src 'none';")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("headers", [{}, SWAP], ids=["whole", "swap"])
async def test_unknown_address_gets_a_not_found_page(console: ConsoleUnderTest, headers: dict[str, str]) -> None:
    for path in ("/nothing", "/static/1/console.css", "/api/v1/nothing"):
        response = (await console.send(MODERATOR, "GET", path, headers=headers)).response
        is_page(response, 404, "Такой страницы нет", swap=bool(headers))


@pytest.mark.parametrize("headers", [{}, SWAP], ids=["whole", "swap"])
async def test_unexpected_error_page_shows_the_request_id(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    def fail(*_: Any, **__: Any) -> Api:
        raise RuntimeError("secret of the code")

    monkeypatch.setattr(Site, "new_api", fail)
    response = (await console.send(MODERATOR, "GET", "/account", headers=headers)).response
    is_page(response, 500, "внутренняя ошибка", swap=bool(headers))
    assert f"<code>{response.headers['x-request-id']}</code>" in response.text
    assert "secret of the code" not in response.text


async def test_database_outage_is_explained_on_the_page(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Database) -> Any:
        raise ConnectionRefusedError(111, "Connect call failed")

    await console.secret(MODERATOR)
    monkeypatch.setattr(Database, "read", fail)
    response = (await console.send(MODERATOR, "GET", "/account")).response
    is_page(response, 503, "временно недоступна")


@pytest.mark.parametrize("headers", [{}, SWAP], ids=["whole", "swap"])
async def test_unavailable_api_is_explained_on_a_page(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    def away(_: Site, token: TokenSource, page: str) -> Api:
        http: aiohttp.ClientSession = console.service.http
        return Api(http, http, "http://127.0.0.1:1", token, timeout_seconds=5, page=page)

    monkeypatch.setattr(Site, "new_api", away)
    response = (await console.send(MODERATOR, "GET", "/account", headers=headers)).response
    is_page(response, 503, "Система не ответила", swap=bool(headers))


async def test_request_refused_before_routing_is_explained_on_a_page(console: ConsoleUnderTest) -> None:
    large = (await console.send(MODERATOR, "POST", "/sign-in", content=b"x" * 3_000_000)).response
    is_page(large, 413, "слишком большой")
    null = (await console.send(MODERATOR, "GET", "/account?a=%00")).response
    is_page(null, 422, "Проверьте")


def note_cookie(content: Any) -> dict[str, str]:
    return {"Cookie": f"{NOTE_COOKIE}={quote(content if isinstance(content, str) else json.dumps(content))}"}


async def opened(console: ConsoleUnderTest, content: Any) -> httpx.Response:
    """Return the response of the account page to a browser with this note in its cookie."""
    secret = await console.secret(MODERATOR)
    cookies = note_cookie(content)["Cookie"] + f"; __Host-gospablik-console={secret}"
    return (await console.send(None, "GET", "/account", headers={"Cookie": cookies})).response


async def test_message_after_a_redirect_is_shown_once(console: ConsoleUnderTest) -> None:
    undo = {"path": "/inbox/bulk/1/undo", "label": "Отменить назначение"}
    response = await opened(console, {"text": "Назначено", "kind": "done", "undo": undo})
    assert 'class="note note-done" role="status"' in response.text
    assert 'action="/inbox/bulk/1/undo"' in response.text
    assert "Отменить назначение" in response.text
    (deleted,) = response.headers.get_list("set-cookie")
    assert deleted.startswith(f'{NOTE_COOKIE}=""')
    assert "Max-Age=0" in deleted


@pytest.mark.parametrize(
    "content",
    [
        "",
        "не JSON",
        "[" * 3000,
        "null",
        "5",
        '"text"',
        "[]",
        {},
        {"text": "a"},
        {"text": "a", "kind": "done", "undo": "path"},
        {"text": "a", "kind": "done", "undo": []},
        {"text": "a", "kind": "done", "undo": {}},
        {"text": "a", "kind": "done", "undo": 1},
    ],
)
async def test_unreadable_note_is_not_shown(console: ConsoleUnderTest, content: Any) -> None:
    response = await opened(console, content)
    assert response.status_code == 200, response.text
    assert 'class="note' not in response.text


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil"])
async def test_hostile_note_is_shown_as_text_without_links_to_other_sites(
    console: ConsoleUnderTest, path: str
) -> None:
    text = '"><script>alert(1)</script>\u202eтекст'
    content = {"text": text, "kind": '"><img src=x>', "undo": {"path": path, "label": "</button><b>x"}}
    response = await opened(console, content)
    assert response.status_code == 200
    assert "<script>alert" not in response.text
    assert "<img" not in response.text
    assert "<b>x" not in response.text
    assert "\u202e" not in response.text
    assert "evil" not in response.text
    assert 'class="note note-done"' in response.text


@pytest.mark.parametrize("path", ["/inbox", "/incidents", "/incidents/{incident_id}"])
async def test_live_bar_is_shown_to_those_who_may_read_events(console: ConsoleUnderTest, path: str) -> None:
    for who, shown in ((MODERATOR, True), (CallerCase("head"), False)):
        response = (await console.send(who, "GET", console.filled(path))).response
        assert (response.status_code, "data-live=" in response.text) == (200, shown)


async def test_part_of_an_address_cannot_change_the_path_of_a_call(console: ConsoleUnderTest) -> None:
    for part in ("5a%3Fx=1", "5a%23x", "..%5cpeople", "5a%0a", "%25"):
        visited = await console.send(MODERATOR, "GET", f"/incidents/{part}")
        is_page(visited.response, 404, "Такой страницы нет")
        assert {call.path for call in visited.calls} <= {"/me"}


async def test_third_concurrent_download_of_a_person_is_refused(console: ConsoleUnderTest) -> None:
    site, path = console.service.part(Site), "/appeals.csv"
    me = console.services.subject(MODERATOR)
    with site.file_of(me), site.file_of("another"):
        assert (await console.send(MODERATOR, "GET", "/inbox" + path)).response.status_code == 200
        with site.file_of(me):
            refused = await console.send(MODERATOR, "GET", "/inbox" + path)
            is_page(refused.response, 429, "уже скачиваются два файла")
            assert path not in {call.path for call in refused.calls}
    # A completed download no longer counts.
    for _ in range(3):
        assert (await console.send(MODERATOR, "GET", "/inbox" + path)).response.status_code == 200


async def test_pages_files_and_tokens_use_separate_connection_pools(console: ConsoleUnderTest) -> None:
    site = console.service.part(Site)
    clients = {id(http.connector) for http in (console.service.http, site._http_of_files, site._http_of_tokens)}
    assert len(clients) == 3


async def test_stream_ticket_is_given_only_to_pages_of_the_console(console: ConsoleUnderTest) -> None:
    visited = await console.send(MODERATOR, "POST", "/live/ticket")
    assert (visited.response.status_code, list(visited.response.json())) == (200, ["ticket"])
    foreign = await console.send(MODERATOR, "POST", "/live/ticket", headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.response.status_code == 403
    assert foreign.calls == []


@pytest.mark.parametrize("address", ["/appeals/abc", "/appeals/abc/reply", "/pages/abc"])
async def test_address_without_a_valid_id_is_not_found(console: ConsoleUnderTest, address: str) -> None:
    response = (await console.send(CallerCase("moderator"), "GET", address)).response
    assert response.status_code == 404
    assert "Такой страницы нет" in response.text


async def test_refused_page_names_the_missing_right_and_who_has_it(console: ConsoleUnderTest) -> None:
    response = (await console.send(CallerCase("operations"), "GET", "/inbox")).response
    assert response.status_code == 403
    assert "Вам нельзя читать обращения. Это могут: модератор центра" in response.text
