"""Sign-in at the region's OIDC issuer: code with PKCE, refresh and revocation of tokens.

These tests are outside the package of the other console tests: its console runs until that package ends, and two
consoles in one process would share their app.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from services.console.api_calls.client import Api
from services.console.browser_sessions import oidc_sign_in
from services.console.browser_sessions.oidc_sign_in import SIGN_IN_COOKIE
from services.console.browser_sessions.session_store import SESSION_COOKIE, SessionStore
from shared.service import Service
from tests.conftest import TestDatabase
from tests.integration.access import sample_data
from tests.integration.console.console_under_test import SAME_ORIGIN
from tests.support.oidc_issuer.process import AUDIENCE, RunningIssuer, running_issuer
from tests.support.served_app import served
from tests.support.service_under_test import service_under_test

SUBJECT = "f:1:tanya"
PERSON = {
    "username": "t.ivanova",
    "full_name": "Татьяна Иванова",
    "role": "moderator",
    "external_subject": SUBJECT,
}
COMES_BACK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


@dataclass
class Browser:
    """A browser that can reach only the console and the issuer."""

    client: httpx.AsyncClient
    issuer: RunningIssuer

    async def open(self, path: str, **headers: str) -> httpx.Response:
        """Send a GET request to the console; return the response."""
        return await self.client.get(path, headers=SAME_ORIGIN | headers)

    async def returned(self, next_path: str = "/organisations") -> str:
        """Sign in at the issuer; return the address to which it redirects."""
        away = await self.open(f"/sign-in/issuer?next={next_path}")
        assert away.status_code == 303, away.text
        return await self.issuer.follow(away.headers["location"])

    async def signed_in(self) -> httpx.Response:
        """Sign in at the issuer and follow its redirect; return the response of the console."""
        return await self.client.get(await self.returned(), headers=COMES_BACK)


@dataclass
class OidcConsole:
    """A running console whose people sign in at the issuer."""

    app: FastAPI
    service: Service
    issuer: RunningIssuer
    database: TestDatabase

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        """Yield a new browser without cookies."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://console") as client:
            yield Browser(client, self.issuer)

    async def execute(self, statement: str) -> list[Any]:
        """Execute an SQL statement with the database rights of the console; return its rows."""
        connection = await self.database.connect("console")
        try:
            rows: list[Any] = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[RunningIssuer]:
    async with running_issuer() as running:
        yield running


@pytest.fixture
async def console(issuer: RunningIssuer, database: TestDatabase, keys_dir: Path) -> AsyncIterator[OidcConsole]:
    await issuer.signs_in(SUBJECT)
    settings: dict[str, Any] = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_client_id": "console"}
    async with service_under_test("registry", database, keys_dir, **settings) as registry:
        made = await registry.client.post("/api/v1/people", json=PERSON, headers=registry.headers("operations"))
        assert made.status_code == 201, made.text
        api: FastAPI = registry.client._transport.app  # type: ignore[attr-defined]
        async with (
            served(api) as gateway,
            service_under_test(
                "console", database, keys_dir, encryption_keys=sample_data.KEY, gateway_url=gateway
            ) as running,
        ):
            app: FastAPI = running.client._transport.app  # type: ignore[attr-defined]
            yield OidcConsole(app, running.service, issuer, database)


async def test_person_of_the_issuer_signs_in_and_out(console: OidcConsole) -> None:
    async with console.browser() as browser:
        form = await browser.open("/sign-in?next=/organisations")
        assert "/sign-in/issuer?next=%2Forganisations" in form.text
        back = await browser.signed_in()
        assert (back.status_code, back.headers["location"]) == (303, "/organisations")
        assert "Татьяна Иванова" in (await browser.open("/organisations")).text
        assert SUBJECT in (await console.issuer.refresh_tokens()).values()
        await browser.client.post("/sign-out", headers=SAME_ORIGIN)
        assert (await browser.open("/organisations")).headers["location"].startswith("/sign-in")
        assert await console.issuer.refresh_tokens() == {}


async def test_sign_in_requests_a_code_with_a_pkce_challenge(console: OidcConsole) -> None:
    async with console.browser() as browser:
        address = urlsplit((await browser.open("/sign-in/issuer")).headers["location"])
        asked = {name: value[0] for name, value in parse_qs(address.query).items()}
        assert f"{address.scheme}://{address.netloc}" == console.issuer.url
        assert asked["redirect_uri"] == "https://console/sign-in/callback"
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert browser.client.cookies[SIGN_IN_COOKIE] not in address.query


async def test_tokens_are_refreshed_at_the_issuer(console: OidcConsole) -> None:
    async with console.browser() as browser:
        await browser.signed_in()
        before = await console.issuer.refresh_tokens()
        await console.execute("UPDATE console_sessions SET access_expires_at = now()")
        assert (await browser.open("/organisations")).status_code == 200
        after = await console.issuer.refresh_tokens()
        assert (len(after), after.keys() & before.keys()) == (1, set())
        for token in after:
            await console.issuer.revoke(token)
        await console.execute("UPDATE console_sessions SET access_expires_at = now()")
        assert (await browser.open("/organisations")).headers["location"].startswith("/sign-in")


async def test_refusal_by_the_issuer_is_shown_with_the_reason(console: OidcConsole) -> None:
    await console.issuer.signs_in(None)
    async with console.browser() as browser:
        refused = await browser.signed_in()
        assert refused.status_code == 401
        assert "провайдер не подтвердил его" in refused.text
        assert SESSION_COOKIE not in browser.client.cookies


async def test_person_without_access_gets_an_explanation(console: OidcConsole) -> None:
    await console.issuer.signs_in("f:1:stranger")
    async with console.browser() as browser:
        refused = await browser.signed_in()
        assert refused.status_code == 403
        assert "доступа к системе у вас нет" in refused.text
        assert SESSION_COOKIE not in browser.client.cookies
        assert await console.issuer.refresh_tokens() == {}


async def test_sign_in_cannot_be_completed_in_another_browser(console: OidcConsole) -> None:
    async with console.browser() as browser, console.browser() as other:
        address = await browser.returned()
        await other.returned()
        stolen = await other.client.get(address, headers=COMES_BACK)
        assert stolen.status_code == 400
        assert SESSION_COOKIE not in other.client.cookies
        assert (await browser.client.get(address, headers=COMES_BACK)).status_code == 303
        again = await browser.client.get(address, headers=COMES_BACK)
        assert again.status_code == 400


async def test_sign_in_that_took_too_long_is_refused(
    console: OidcConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console.browser() as browser:
        with monkeypatch.context() as patched:
            patched.setattr(oidc_sign_in, "SIGN_IN_LIFETIME", timedelta(0))
            away = await browser.open("/sign-in/issuer")
        secret = away.headers["set-cookie"].partition("=")[2].partition(";")[0]
        browser.client.cookies.set(SIGN_IN_COOKIE, secret)
        address = await console.issuer.follow(away.headers["location"])
        late = await browser.client.get(address, headers=COMES_BACK)
        assert late.status_code == 400
        assert "прошло слишком много времени" in late.text


async def test_unfinished_sign_in_is_stored_only_in_the_browser_and_encrypted(console: OidcConsole) -> None:
    async with console.browser() as browser:
        await browser.open("/sign-in/issuer?next=/inbox?tag=roads")
        kept = browser.client.cookies[SIGN_IN_COOKIE]
        assert len(kept) < 4_000
        for part in kept.split("."):
            assert b"inbox" not in base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        longest = "/inbox?tag=" + "x" * 1_980
        await browser.open(f"/sign-in/issuer?next={longest}")
        assert len(browser.client.cookies[SIGN_IN_COOKIE]) < 4_000
    tables = await console.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_name ~ '^console'"
    )
    assert [row["table_name"] for row in tables] == ["console_sessions"]


@pytest.mark.parametrize("cookie", ["", "x", "кириллица", "gAAAAA=="])
async def test_forged_sign_in_cookie_is_refused(console: OidcConsole, cookie: str) -> None:
    async with console.browser() as browser:
        headers = {b"Cookie": f"{SIGN_IN_COOKIE}={cookie}".encode()} | {
            name.encode(): value.encode() for name, value in COMES_BACK.items()
        }
        answer = await browser.client.get("/sign-in/callback?state=x&code=y", headers=headers)
        assert answer.status_code == 400


async def test_discovery_document_is_cached(console: OidcConsole) -> None:
    async with console.browser() as browser:
        await browser.open("/sign-in/issuer")
        await console.issuer.fail("500")
        try:
            assert (await browser.open("/sign-in/issuer")).status_code == 303
        finally:
            await console.issuer.fail(None)


async def test_tokens_that_are_not_stored_are_revoked_at_the_issuer(
    console: OidcConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError

    before = await console.issuer.refresh_tokens()
    for kind, name in ((SessionStore, "start"), (Api, "get")):
        with monkeypatch.context() as patched:
            patched.setattr(kind, name, fail)
            async with console.browser() as browser:
                assert (await browser.signed_in()).status_code == 500
        assert await console.issuer.refresh_tokens() == before


async def test_failing_issuer_is_explained_and_password_sign_in_offered(console: OidcConsole) -> None:
    await console.issuer.fail("500")
    try:
        async with console.browser() as browser:
            response = await browser.open("/sign-in/issuer")
            assert response.status_code == 503
            assert "Провайдер входа не отвечает." in response.text
            assert 'name="password"' in response.text
    finally:
        await console.issuer.fail(None)


async def test_sign_in_does_not_return_to_another_site(console: OidcConsole) -> None:
    async with console.browser() as browser:
        back = await browser.client.get(await browser.returned("//evil.example"), headers=COMES_BACK)
        assert back.headers["location"] == "/"


async def test_first_run_leads_from_an_empty_registry_to_a_connected_page(console: OidcConsole) -> None:
    """The registry of this test has no organisations, unlike the sample data of the other console tests."""
    async with console.browser() as browser:
        await browser.signed_in()
        assert (await browser.open("/")).headers["location"] == "/first-run"
        first = await browser.open("/first-run")
        assert 'action="/first-run/organisation"' in first.text
        form = {"name": "Школа № 9", "kind": "institution", "key": "k-first"}
        made = await browser.client.post("/first-run/organisation", data=form, headers=SAME_ORIGIN)
        assert (made.status_code, made.headers["location"]) == (303, "/first-run")
        second = await browser.open("/first-run")
        assert "Школа № 9" in second.text
        assert 'name="address"' in second.text
        # Without a token (and without ingest in this test) the page cannot be looked up.
        address = {"address": "https://vk.com/school9"}
        silent = await browser.client.post("/first-run/page", data=address, headers=SAME_ORIGIN)
        assert 'name="service_token"' in silent.text
        assert 'value="https://vk.com/school9"' in silent.text
        found = {"network": "vk", "external_id": "9", "name": "Школа № 9", "key": "k-second"}
        connected = await browser.client.post("/first-run/page", data=address | found, headers=SAME_ORIGIN)
        assert connected.status_code == 303
        assert (await browser.open("/")).headers["location"] != "/first-run"
