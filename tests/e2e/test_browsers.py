"""Front ends in a real browser: at an allowed origin with tokens, at the gateway's origin with cookies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route

from cli.embedded.temporary_postgres import free_port
from tests.support.browser import empty_pages, headless_browser
from tests.support.embedded_stack import running_stack

pytestmark = pytest.mark.long  # starts its own embedded run and a browser

# Scripts as a front end would contain them; each returns what it can read of the response.
SIGN_IN = """async ([gateway, path, body, type]) => {
    const answer = await fetch(gateway + path, {method: "POST", headers: {"Content-Type": type}, body});
    return {status: answer.status, body: await answer.json()};
}"""
ASK = """async ([gateway, method, path, headers, body]) => {
    try {
        const answer = await fetch(gateway + path, {method, headers, body});
        const text = await answer.text();
        return {status: answer.status, etag: answer.headers.get("ETag"), body: text ? JSON.parse(text) : null};
    } catch (error) {
        return {error: error.name};
    }
}"""
# What a hostile page can do without permission: send cookies, but not read the response.
SEND_BLINDLY = """async ([url, method]) => {
    await fetch(url, {method, mode: "no-cors", credentials: "include"});
}"""

# Opens a stream, then creates an appeal; returns the ids of the appeal and of the received event's subject.
STREAM = """async ([gateway, address, headers]) => {
    const source = new EventSource(gateway + address);
    const once = (name) => new Promise((resolve, reject) => {
        source.addEventListener(name, (message) => resolve(JSON.parse(message.data)));
        source.addEventListener("error", () => reject(new Error("the stream failed")));
    });
    const opened = once("stream.opened"), received = once("appeal.opened");
    await opened;
    const answer = await fetch(gateway + "/api/v1/appeals", {
        method: "POST",
        headers: {...headers, "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID()},
        body: JSON.stringify({text: "Позвонили: не вывозят мусор."}),
    });
    const appeal = await answer.json(), event = await received;
    source.close();
    return {opened: appeal.id, received: event.subject_id};
}"""


@dataclass
class Fronts:
    """The gateway, a browser, and the origins of three pages."""

    gateway: str
    browser: Browser
    allowed: str
    other: str
    same_site: str


@pytest.fixture(scope="module")
async def fronts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fronts]:
    async with AsyncExitStack() as exits:
        browser = await exits.enter_async_context(headless_browser())
        allowed, other = free_port(), free_port()
        folder: Path = tmp_path_factory.mktemp("browsers")
        environment = {"GOSPABLIK_CORS_ORIGINS": f"http://localhost:{allowed}"}
        system = await exits.enter_async_context(running_stack(folder, seed_demo=True, environment=environment))
        for port in (allowed, other):
            await exits.enter_async_context(empty_pages(port))
        # `localhost` and 127.0.0.1 are different sites; two ports of 127.0.0.1 are two origins of the same site.
        yield Fronts(
            system.gateway,
            browser,
            f"http://localhost:{allowed}",
            f"http://localhost:{other}",
            f"http://127.0.0.1:{other}",
        )


async def opened(where: Browser | BrowserContext, origin: str) -> Page:
    page = await where.new_page()
    await page.goto(f"{origin}/")
    return page


async def own_page(context: BrowserContext, gateway: str) -> Page:
    """Return a page at the gateway's origin, as a front end behind the same address would serve."""

    async def fulfil(route: Route) -> None:
        await route.fulfill(body="<!doctype html><title>front end</title>", content_type="text/html")

    page = await context.new_page()
    await page.route(f"{gateway}/front-end", fulfil)
    await page.goto(f"{gateway}/front-end")
    return page


async def token(page: Page, gateway: str) -> dict[str, Any]:
    form = "grant_type=password&username=centre&password=demo"
    answer = await page.evaluate(
        SIGN_IN, [gateway, "/api/v1/auth/token", form, "application/x-www-form-urlencoded"]
    )
    return {"Authorization": f"Bearer {answer['body']['access_token']}"}


async def sign_in_with_cookies(page: Page) -> None:
    body = '{"username": "centre", "password": "demo"}'
    answer = await page.evaluate(SIGN_IN, ["", "/api/v1/auth/session", body, "application/json"])
    assert answer["status"] == 200, answer


async def ask(page: Page, method: str, path: str, gateway: str = "") -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(ASK, [gateway, method, f"/api/v1{path}", {}, None])
    return found


async def test_front_end_at_an_allowed_origin_reads_and_changes_data(fronts: Fronts) -> None:
    page = await opened(fronts.browser, fronts.allowed)
    bearer = await token(page, fronts.gateway)
    json = bearer | {"Content-Type": "application/json"}
    made = await page.evaluate(
        ASK, [fronts.gateway, "POST", "/api/v1/calendars", json, '{"name": "Календарь из браузера"}']
    )
    assert (made["status"], made["etag"]) == (201, '"1"')
    changed = await page.evaluate(
        ASK,
        [
            fronts.gateway,
            "PATCH",
            f"/api/v1/calendars/{made['body']['id']}",
            json | {"If-Match": made["etag"]},
            '{"name": "Переименован"}',
        ],
    )
    assert (changed["status"], changed["etag"], changed["body"]["name"]) == (200, '"2"', "Переименован")
    missing = await page.evaluate(ASK, [fronts.gateway, "GET", "/api/v1/nothing", bearer, None])
    assert (missing["status"], missing["body"]["status"]) == (404, 404)


async def test_browser_blocks_requests_of_an_origin_that_is_not_allowed(fronts: Fronts) -> None:
    bearer = await token(await opened(fronts.browser, fronts.allowed), fronts.gateway)
    for origin in (fronts.other, fronts.same_site):
        page = await opened(fronts.browser, origin)
        for path in ("/api/v1/me", "/health"):
            answer = await page.evaluate(ASK, [fronts.gateway, "GET", path, bearer, None])
            assert answer == {"error": "TypeError"}, origin


async def test_page_at_an_allowed_origin_follows_the_stream_with_a_ticket(fronts: Fronts) -> None:
    page = await opened(fronts.browser, fronts.allowed)
    bearer = await token(page, fronts.gateway)
    made = await page.evaluate(ASK, [fronts.gateway, "POST", "/api/v1/stream/tickets", bearer, None])
    address = f"/api/v1/stream?ticket={made['body']['ticket']}"
    seen = await page.evaluate(STREAM, [fronts.gateway, address, bearer])
    assert seen["received"] == seen["opened"]
    again = await page.evaluate(ASK, [fronts.gateway, "GET", address, {}, None])
    assert again["status"] == 401


async def test_page_at_the_same_origin_follows_the_stream_with_its_cookie(fronts: Fronts) -> None:
    context = await fronts.browser.new_context()
    page = await own_page(context, fronts.gateway)
    await sign_in_with_cookies(page)
    seen = await page.evaluate(STREAM, ["", "/api/v1/stream", {}])
    assert seen["received"] == seen["opened"]
    await context.close()


async def test_two_tabs_share_a_cookie_session_and_refresh_it_concurrently(fronts: Fronts) -> None:
    context = await fronts.browser.new_context()
    one, other = await own_page(context, fronts.gateway), await own_page(context, fronts.gateway)
    await sign_in_with_cookies(one)
    for _ in range(3):
        answers = await asyncio.gather(*(ask(tab, "POST", "/auth/session/refresh") for tab in (one, other)))
        assert [answer["status"] for answer in answers] == [200, 200]
    for tab in (one, other):
        me = await ask(tab, "GET", "/me")
        assert (me["status"], me["body"]["person"]["username"]) == (200, "centre")
        # Scripts, including an injected script, cannot read the tokens.
        assert await tab.evaluate("document.cookie") == ""
    assert len((await ask(one, "GET", "/me/sessions"))["body"]["items"]) >= 1
    assert (await ask(one, "DELETE", "/auth/session"))["status"] == 204
    assert (await ask(other, "GET", "/me"))["status"] == 401
    assert await context.cookies() == []
    await context.close()


async def test_page_at_another_origin_cannot_use_the_cookies(fronts: Fronts) -> None:
    context = await fronts.browser.new_context()
    own = await own_page(context, fronts.gateway)
    await sign_in_with_cookies(own)
    before = {cookie["name"]: cookie["value"] for cookie in await context.cookies()}
    refused: dict[str, list[int]] = {}
    for origin in (fronts.same_site, fronts.other):
        hostile = await opened(context, origin)
        for method, path in (("POST", "/auth/session/refresh"), ("POST", "/auth/session"), ("GET", "/me")):
            url = f"{fronts.gateway}/api/v1{path}"
            async with hostile.expect_response(url) as answered:
                await hostile.evaluate(SEND_BLINDLY, [url, method])
            refused.setdefault(origin, []).append((await answered.value).status)
    # The browser sends the cookies from another origin of the same site, but not from another site (hence 401).
    assert refused == {fronts.same_site: [403, 403, 403], fronts.other: [403, 403, 401]}
    assert {cookie["name"]: cookie["value"] for cookie in await context.cookies()} == before
    assert (await ask(own, "GET", "/me"))["status"] == 200
    await context.close()


async def test_api_address_opened_in_the_browser_shows_the_response(fronts: Fronts) -> None:
    context = await fronts.browser.new_context()
    await sign_in_with_cookies(await own_page(context, fronts.gateway))
    link = await opened(context, fronts.other)
    await link.evaluate("url => { window.location = url; }", f"{fronts.gateway}/api/v1/me")
    await link.wait_for_url(f"{fronts.gateway}/api/v1/me")
    assert '"username":"centre"' in await link.inner_text("body")
    await context.close()
