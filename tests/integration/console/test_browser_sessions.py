"""Browser sessions with a real registry: sign-in, refresh, sign-out, and no token in the browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.console.browser_sessions import session_store
from services.console.browser_sessions.session_store import SESSION_COOKIE, purge_expired
from services.console.site.site import Site
from services.registry.access import people
from tests.conftest import TestDatabase
from tests.integration.access import sample_data
from tests.integration.console.console_under_test import SAME_ORIGIN
from tests.support.eventually import HANG_SECONDS
from tests.support.served_app import served
from tests.support.service_under_test import CENTRE_SUBJECT, ServiceUnderTest, service_under_test

OTHER_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
SIGN_IN = "/sign-in"
CENTRE = {"username": "centre", "password": "demo"}


@dataclass
class Gateway:
    """The gateway to the registry: counts calls of the token endpoint, and fails or refuses as a test sets it."""

    app: FastAPI
    refused_tokens: set[str] = field(default_factory=set)
    broken: bool = False
    # Paths below /api/v1/auth that respond with 502.
    broken_paths: set[str] = field(default_factory=set)
    grants: list[str] = field(default_factory=list)
    # Refreshes wait while this is not set; `held` is the number of waiting refreshes.
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    held: int = 0
    # The client address and browser in the headers of the last call, by path.
    named: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answers.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        self.named[scope["path"]] = (headers.get(b"x-real-ip", b"").decode(), headers[b"user-agent"].decode())
        if self.broken or scope["path"].removeprefix("/api/v1/auth/") in self.broken_paths:
            await Response(b"<html>Bad Gateway</html>", 502)(scope, receive, send)
            return
        if headers.get(b"authorization", b"").decode().removeprefix("Bearer ") in self.refused_tokens:
            await Response(b"{}", 401, media_type="application/problem+json")(scope, receive, send)
            return
        if scope["path"] != "/api/v1/auth/token":
            await self.app(scope, receive, send)
            return
        first: Message = await receive()
        self.grants.append(parse_qs(first.get("body", b"").decode())["grant_type"][0])
        if self.grants[-1] == "refresh_token":
            self.held += 1
            await self.answers.wait()
            self.held -= 1
        given: list[Message] = [first]

        async def replay() -> Message:
            return given.pop() if given else await receive()

        await self.app(scope, replay, send)

    @property
    def refreshes(self) -> int:
        return self.grants.count("refresh_token")


@dataclass
class Running:
    """The running console and registry, and the gateway between them."""

    registry: ServiceUnderTest
    console: ServiceUnderTest
    gateway: Gateway
    database: TestDatabase

    def browser(self) -> httpx.AsyncClient:
        """Return a browser without cookies, which keeps the cookies that it gets over https."""
        app: FastAPI = self.console.client._transport.app  # type: ignore[attr-defined]
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="https://console", headers=SAME_ORIGIN, timeout=30)

    @asynccontextmanager
    async def signed_in(self, username: str = "centre") -> AsyncIterator[httpx.AsyncClient]:
        """Yield a browser in which this person is signed in."""
        async with self.browser() as browser:
            response = await browser.post(SIGN_IN, data={"username": username, "password": "demo"})
            assert response.status_code == 303, response.text
            yield browser

    async def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Execute an SQL statement as the superuser; return its rows."""
        connection = await self.database.connect()
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return found
        finally:
            await connection.close()

    async def access_token(self, browser: httpx.AsyncClient) -> str:
        """Return the access token that the console uses for this browser's session."""
        token = await self.console.service.part(Site).sessions.access_token(browser.cookies[SESSION_COOKIE])
        assert token is not None
        return token


@asynccontextmanager
async def running(database: TestDatabase, keys_dir: Path, key: str = sample_data.KEY) -> AsyncIterator[Running]:
    async with service_under_test("registry", database, keys_dir, encryption_keys=sample_data.KEY) as registry:
        async with registry.service.database.write() as session:
            await people.ensure_demo_people(session)
        gateway = Gateway(registry.client._transport.app)  # type: ignore[attr-defined]
        async with (
            served(gateway) as address,
            service_under_test("console", database, keys_dir, encryption_keys=key, gateway_url=address) as console,
        ):
            yield Running(registry, console, gateway, database)


@pytest.fixture
async def site(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Running]:
    async with running(database, keys_dir) as started:
        yield started


def is_signed_in(response: httpx.Response) -> bool:
    """Return True if the response redirects to a page other than the sign-in."""
    assert response.status_code == 303, response.text
    return not response.headers["location"].startswith(SIGN_IN)


async def expire_access(site: Running) -> None:
    await site.rows("UPDATE console_sessions SET access_expires_at = now()")


async def test_sign_in_gives_one_cookie_that_scripts_and_other_hosts_cannot_use(site: Running) -> None:
    async with site.browser() as browser:
        response = await browser.post(SIGN_IN, data=CENTRE | {"next": "/inbox?overdue=true"})
        assert (response.status_code, response.headers["location"]) == (303, "/inbox?overdue=true")
        (cookie,) = response.headers.get_list("set-cookie")
        name, *attributes = cookie.split("; ")
        assert name.startswith("__Host-gospablik-console=")
        assert set(attributes) == {"HttpOnly", "Max-Age=1209600", "Path=/", "SameSite=lax", "Secure"}
        assert is_signed_in(await browser.get("/"))


async def test_secret_and_tokens_are_stored_only_as_digest_and_encrypted(site: Running) -> None:
    async with site.signed_in() as browser:
        secret, token = browser.cookies[SESSION_COOKIE], await site.access_token(browser)
        assert token not in secret
        (row,) = await site.rows("SELECT to_jsonb(s)::text AS whole, tokens FROM console_sessions s")
        for text in (secret, token, token.split(".")[1]):
            assert text not in row["whole"]
            assert text.encode() not in row["tokens"]


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        (CENTRE | {"password": "Demo"}, 422, "Имя или пароль не подходят"),
        ({"username": "nobody", "password": "demo"}, 422, "Имя или пароль не подходят"),
        ({"username": "centre", "password": ""}, 422, "Введите имя и пароль"),
        ({"username": "   ", "password": "demo"}, 422, "Введите имя и пароль"),
        ({}, 422, "Введите имя и пароль"),
    ],
)
async def test_refused_sign_in_shows_the_reason_and_keeps_the_username(
    site: Running, form: dict[str, str], status: int, words: str
) -> None:
    async with site.browser() as browser:
        response = await browser.post(SIGN_IN, data=form | {"next": "/queue"})
        assert (response.status_code, words in response.text) == (status, True)
        assert 'role="alert"' in response.text
        assert 'name="next" value="/queue"' in response.text
        assert f'name="username" type="text" value="{form.get("username", "")}"' in response.text
        assert "Demo" not in response.text
        assert "set-cookie" not in response.headers


async def test_throttled_sign_in_says_how_long_to_wait(site: Running) -> None:
    async with site.browser() as browser:
        for _ in range(5):
            await browser.post(SIGN_IN, data=CENTRE | {"password": "wrong"})
        response = await browser.post(SIGN_IN, data=CENTRE)
        assert response.status_code == 429
        assert "Слишком много попыток. Повторите через " in response.text
        assert " секунд" in response.text


async def test_wrong_passwords_from_one_address_do_not_throttle_others(site: Running) -> None:
    here, elsewhere = {"X-Real-Ip": "203.0.113.9"}, {"X-Real-Ip": "198.51.100.7"}
    async with site.browser() as browser:
        for _ in range(5):
            await browser.post(SIGN_IN, data=CENTRE | {"password": "wrong"}, headers=here)
        assert (await browser.post(SIGN_IN, data=CENTRE, headers=here)).status_code == 429
        assert (await browser.post(SIGN_IN, data=CENTRE, headers=elsewhere)).status_code == 303


async def test_all_calls_contain_the_address_and_the_browser_of_the_person(site: Running) -> None:
    headers = {b"X-Real-Ip": b"198.51.100.7", b"User-Agent": b"Browser/1 \xe9" + b"x" * 400}
    named = ("198.51.100.7", "Browser/1 " + "x" * 290)
    async with site.browser() as browser:
        await browser.post(SIGN_IN, data=CENTRE, headers=headers)
        await expire_access(site)
        await browser.get("/account", headers=headers)
        await browser.post("/sign-out", headers=headers)
    assert site.gateway.grants == ["password", "refresh_token"]
    assert {"/api/v1/auth/token", "/api/v1/auth/revoke", "/api/v1/me"} <= site.gateway.named.keys()
    assert set(site.gateway.named.values()) == {named}
    (row,) = await site.rows("SELECT DISTINCT ip_address AS address, user_agent FROM refresh_tokens")
    assert (row["address"], row["user_agent"]) == named


async def test_sign_in_beyond_the_concurrent_password_checks_is_refused_with_a_message(site: Running) -> None:
    part = site.console.service.part(Site)
    part.passwords = asyncio.Semaphore(1)
    async with site.browser() as browser:
        async with part.passwords:
            response = await browser.post(SIGN_IN, data=CENTRE)
            assert (response.status_code, "входит слишком много людей" in response.text) == (429, True)
            assert site.gateway.grants == []
        assert (await browser.post(SIGN_IN, data=CENTRE)).status_code == 303


@pytest.mark.parametrize(("length", "status"), [(15 * 1024, 422), (1024 * 1024, 413)])
async def test_large_form_without_a_session_is_refused(site: Running, length: int, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with site.browser() as browser:
        response = await browser.post(SIGN_IN, content=b"%" * length, headers=headers)
        assert response.status_code == status


async def test_tokens_that_are_not_stored_are_revoked(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> str:
        raise RuntimeError

    monkeypatch.setattr(session_store.SessionStore, "start", fail)
    async with site.browser() as browser:
        assert (await browser.post(SIGN_IN, data=CENTRE)).status_code == 500
    assert len(await site.rows("SELECT 1 FROM refresh_tokens")) == 1
    assert await site.rows("SELECT 1 FROM refresh_tokens WHERE revoked_at IS NULL") == []


async def test_former_session_that_cannot_be_ended_does_not_prevent_the_new_one(site: Running) -> None:
    async with site.signed_in() as browser:
        former = browser.cookies[SESSION_COOKIE]
        site.gateway.broken_paths.add("revoke")
        assert (await browser.post(SIGN_IN, data={"username": "head", "password": "demo"})).status_code == 303
        assert browser.cookies[SESSION_COOKIE] != former
        assert is_signed_in(await browser.get("/"))


async def test_former_session_stays_if_the_new_one_cannot_be_stored(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> str:
        raise RuntimeError

    async with site.signed_in() as browser:
        with monkeypatch.context() as patched:
            patched.setattr(session_store.SessionStore, "start", fail)
            assert (await browser.post(SIGN_IN, data=CENTRE)).status_code == 500
        assert is_signed_in(await browser.get("/"))


async def test_slow_refreshes_leave_connections_for_pages(site: Running) -> None:
    async with AsyncExitStack() as browsers:
        expired = [await browsers.enter_async_context(site.signed_in()) for _ in range(4)]
        await expire_access(site)
        other = await browsers.enter_async_context(site.signed_in("head"))
        site.gateway.answers.clear()
        pages = [asyncio.create_task(browser.get("/")) for browser in expired]
        async with asyncio.timeout(HANG_SECONDS):
            while site.gateway.held < 2:
                await asyncio.sleep(0.01)
        assert is_signed_in(await other.get("/"))
        assert site.gateway.held == 2
        site.gateway.answers.set()
        assert all(is_signed_in(page) for page in await asyncio.gather(*pages))


async def test_refresh_does_not_extend_a_session(site: Running) -> None:
    async with site.signed_in() as browser:
        before = await site.rows("SELECT expires_at FROM console_sessions")
        await expire_access(site)
        assert is_signed_in(await browser.get("/"))
        assert site.gateway.refreshes == 1
        assert await site.rows("SELECT expires_at FROM console_sessions") == before


async def test_second_sign_in_ends_the_former_session_of_the_browser(site: Running) -> None:
    async with site.signed_in() as browser:
        former = httpx.Cookies(browser.cookies)
        assert (await browser.post(SIGN_IN, data={"username": "head", "password": "demo"})).status_code == 303
        assert len(await site.rows("SELECT 1 FROM console_sessions")) == 1
        async with site.browser() as copied:
            copied.cookies = former
            assert not is_signed_in(await copied.get("/"))


@pytest.mark.parametrize("in_one_process", [True, False])
@pytest.mark.parametrize("why", ["expired", "refused"])
async def test_concurrent_requests_refresh_a_session_once(
    site: Running, monkeypatch: pytest.MonkeyPatch, why: str, in_one_process: bool
) -> None:
    if not in_one_process:
        # Disable the lock within this process, as if several processes ran: only the row lock is left.
        class NoSharedLocks(dict[bytes, asyncio.Lock]):
            def setdefault(self, key: bytes, default: asyncio.Lock | None = None) -> asyncio.Lock:
                return asyncio.Lock()

        monkeypatch.setattr(session_store, "_refreshing", NoSharedLocks())
    async with site.browser() as browser:
        # Tokens issued within one second are equal, so the session begins with a different access token.
        part = site.console.service.part(Site)
        tokens = replace(await part.token_endpoint.sign_in(**CENTRE), access=site.registry.token("moderator"))
        browser.cookies.set(SESSION_COOKIE, await part.sessions.start(UUID(CENTRE_SUBJECT), tokens))
        before = await site.access_token(browser)
        if why == "expired":
            await expire_access(site)
        else:
            site.gateway.refused_tokens.add(before)
        answers = await asyncio.gather(*(browser.get("/") for _ in range(20)))
        assert all(is_signed_in(answer) for answer in answers)
        assert site.gateway.refreshes == 1
        assert await site.access_token(browser) != before


async def test_refused_refresh_ends_the_session_and_deletes_its_cookie(site: Running) -> None:
    async with site.signed_in() as browser:
        await site.rows("DELETE FROM refresh_tokens")
        await expire_access(site)
        response = await browser.get("/inbox?q=свет&overdue=true")
        assert response.headers["location"] == "/sign-in?next=/inbox%3Foverdue%3Dtrue"
        assert "Max-Age=0" in response.headers["set-cookie"]
        assert SESSION_COOKIE not in browser.cookies
        assert await site.rows("SELECT 1 FROM console_sessions") == []


async def test_transient_failure_of_a_refresh_keeps_the_session(site: Running) -> None:
    async with site.signed_in() as browser:
        await expire_access(site)
        site.gateway.broken = True
        response = await browser.get("/")
        assert (response.status_code, "Система не ответила" in response.text) == (503, True)
        site.gateway.broken = False
        assert is_signed_in(await browser.get("/"))


async def test_sign_out_ends_the_session_at_the_api_and_for_copied_cookies(site: Running) -> None:
    async with site.signed_in() as browser:
        copied = httpx.Cookies(browser.cookies)
        response = await browser.post("/sign-out")
        assert (response.status_code, response.headers["location"]) == (303, SIGN_IN)
        assert response.headers["clear-site-data"] == '"cache", "storage"'
        assert SESSION_COOKIE not in browser.cookies
        assert await site.rows("SELECT 1 FROM console_sessions") == []
        assert await site.rows("SELECT 1 FROM refresh_tokens WHERE revoked_at IS NULL AND used_at IS NULL") == []
        browser.cookies = copied
        assert not is_signed_in(await browser.get("/"))
        assert (await browser.post("/sign-out")).status_code == 303


async def test_sign_out_while_the_api_is_down_ends_the_browser_session(site: Running) -> None:
    async with site.signed_in() as browser:
        site.gateway.broken = True
        response = await browser.post("/sign-out")
        assert (response.status_code, SESSION_COOKIE in browser.cookies) == (303, False)
        assert await site.rows("SELECT 1 FROM console_sessions") == []


async def test_expired_sessions_are_refused_and_purged(site: Running) -> None:
    async with site.signed_in() as browser, site.signed_in("head") as other:
        (row,) = await site.rows(
            "UPDATE console_sessions SET expires_at = now() WHERE digest = $1 RETURNING id",
            session_store.digest(browser.cookies[SESSION_COOKIE]),
        )
        assert not is_signed_in(await browser.get("/"))
        await purge_expired(site.console.service.database)
        assert row["id"] not in {left["id"] for left in await site.rows("SELECT id FROM console_sessions")}
        assert is_signed_in(await other.get("/"))


async def test_session_with_a_removed_encryption_key_redirects_to_the_sign_in(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with running(database, keys_dir) as site, site.signed_in() as browser:
        cookies = httpx.Cookies(browser.cookies)
    async with (
        running(database, keys_dir, key=f"{OTHER_KEY},{sample_data.KEY}") as site,
        site.browser() as browser,
    ):
        browser.cookies = cookies
        assert is_signed_in(await browser.get("/"))
    async with running(database, keys_dir, key=OTHER_KEY) as site, site.browser() as browser:
        browser.cookies = cookies
        assert not is_signed_in(await browser.get("/"))
        assert (await browser.post(SIGN_IN, data=CENTRE)).status_code == 303
        assert is_signed_in(await browser.get("/"))


async def test_session_of_a_locked_person_ends(site: Running) -> None:
    async with site.signed_in("head") as browser:
        (head,) = await site.rows("SELECT id FROM people WHERE username = 'head'")
        locked = await site.registry.client.post(
            f"/api/v1/people/{head['id']}/lock",
            json={"reason": "Уволился"},
            headers=site.registry.headers("operations"),
        )
        assert locked.status_code == 200, locked.text
        await expire_access(site)
        assert not is_signed_in(await browser.get("/"))
        refused = await browser.post(SIGN_IN, data={"username": "head", "password": "demo"})
        assert refused.status_code == 422


@pytest.mark.parametrize("cookie", ["", "x", "a" * 4000, "%00", "кириллица", "' OR 1=1 --"])
async def test_forged_session_cookie_is_not_accepted(site: Running, cookie: str) -> None:
    async with site.browser() as browser:
        headers = {b"Cookie": f"{SESSION_COOKIE}={cookie}".encode()}
        assert not is_signed_in(await browser.get("/", headers=headers))


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "/\t/evil.example/",
        "/\n//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.example",
        "",
        " //evil.example/",
        "///evil.example",
        "/\r\nSet-Cookie: a=b",
    ],
)
async def test_next_parameter_never_redirects_to_another_site(site: Running, target: str) -> None:
    async with site.browser() as browser:
        shown = await browser.get(SIGN_IN, params={"next": target})
        assert 'name="next" value="/"' in shown.text
        response = await browser.post(SIGN_IN, data=CENTRE | {"next": target})
        assert (response.status_code, response.headers["location"]) == (303, "/")
        assert len(response.headers.get_list("set-cookie")) == 1


@pytest.mark.parametrize("target", ["/inbox", "/appeals/1?a=%2F%2Fevil", "/inbox?tag=http://x", "/a/..//b", "/#x"])
async def test_next_parameter_redirects_to_a_page_of_the_console(site: Running, target: str) -> None:
    async with site.browser() as browser:
        response = await browser.post(SIGN_IN, data=CENTRE | {"next": target})
        assert str(browser.base_url.join(response.headers["location"])).startswith("https://console/")
        assert response.headers["location"] == target
