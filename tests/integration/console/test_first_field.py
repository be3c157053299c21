"""Forms focus their first field, and after a refusal the invalid field."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from services.console.browser_sessions.session_store import SESSION_COOKIE
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import MODERATOR, ConsoleUnderTest
from tests.support.browser import headless_browser
from tests.support.served_app import served

MANAGER, OPERATIONS = CallerCase("manager"), CallerCase("operations")
FIRST_FIELDS = {
    "/pages-new": (MODERATOR, "address"),
    "/pages/{page_id}/token": (MODERATOR, "token"),
    "/appeals-new": (MODERATOR, "text"),
    "/organisations-new": (MODERATOR, "name"),
    "/organisations/{organisation_id}/names-new": (MODERATOR, "name"),
    "/calendars-new": (MODERATOR, "name"),
    "/calendars/{calendar_id}/days-new": (MODERATOR, "day"),
    "/templates/new": (MODERATOR, "name"),
    "/sla-policies/new": (MODERATOR, "name"),
    "/webhooks/new": (MANAGER, "url"),
    "/clients-new": (OPERATIONS, "name"),
    "/people-new": (OPERATIONS, "full_name"),
}


@pytest.mark.parametrize("route", FIRST_FIELDS)
async def test_form_focuses_its_first_field(console: ConsoleUnderTest, route: str) -> None:
    who, name = FIRST_FIELDS[route]
    page = (await console.send(who, "GET", console.filled(route))).response
    assert page.status_code == 200
    begins = re.findall(r"<(?:input|select|textarea)\b[^>]* autofocus[^>]*>", page.text)
    assert [re.search(r'name="([^"]+)"', one)[1] for one in begins] == [name]  # type: ignore[index]


@pytest.fixture
async def page(console: ConsoleUnderTest) -> AsyncIterator[Page]:
    """A browser in which the moderator is signed in."""
    secret = await console.secret(MODERATOR)
    async with served(console.app) as address, headless_browser() as browser:
        context = await browser.new_context(base_url=address)
        cookie = {"name": SESSION_COOKIE, "value": secret, "url": "https://127.0.0.1", "secure": True}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        yield await context.new_page()


@pytest.mark.long
@pytest.mark.enable_socket
async def test_refused_form_focuses_its_invalid_field(page: Page) -> None:
    await page.goto("/calendars-new")
    await page.keyboard.type("Свой календарь")
    await page.get_by_label("Среда").fill("когда как")
    await page.get_by_role("button", name="Завести календарь").press("Enter")
    await expect(page.get_by_label("Среда")).to_be_focused(timeout=30_000)
    await expect(page.get_by_label("Название")).to_have_value("Свой календарь")


@pytest.mark.long
@pytest.mark.enable_socket
async def test_citizens_text_stays_visible_while_the_reply_field_has_the_focus(
    console: ConsoleUnderTest, page: Page
) -> None:
    await page.set_viewport_size({"width": 1000, "height": 500})
    path = console.filled("/appeals/{draft_appeal_id}")
    await page.goto(path)
    await page.evaluate("scrollTo(0, 700)")
    await page.locator("body").press("r")
    await expect(page.locator("#reply-text")).to_be_focused(timeout=30_000)
    await expect(page.locator(".reply-thread .citizen").first).to_be_in_viewport()
    await page.goto(f"{path}/reply")
    await expect(page.locator("#reply-text")).to_be_focused()
    await expect(page.locator(".reply-thread .citizen").first).to_be_in_viewport()


@pytest.mark.long
@pytest.mark.enable_socket
async def test_ambiguous_organisation_focuses_the_choice(page: Page) -> None:
    await page.goto("/organisations-new")
    await page.keyboard.type("Новая школа")
    await page.get_by_label("Вид", exact=True).select_option(index=1)
    parent = page.get_by_label("Вышестоящая организация")
    await parent.fill("bagulnik")
    await parent.press("Enter")
    await expect(page.get_by_label("Какая именно")).to_be_focused(timeout=30_000)
