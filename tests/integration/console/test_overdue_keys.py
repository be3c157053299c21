"""The overdue organisations of a municipality are found in a browser with the keyboard."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from services.console.browser_sessions.session_store import SESSION_COOKIE
from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.support.browser import headless_browser
from tests.support.served_app import served

pytestmark = [pytest.mark.long, pytest.mark.enable_socket]  # drives a browser, so it is slow
CITY = "81701000"


@pytest.fixture
async def overdue_in_the_city(console: ConsoleUnderTest) -> AsyncIterator[None]:
    """Set the same municipality for every appeal until the test ends."""
    connection = await console.services.services["appeals"].database.connect("gospablik_owner")
    before = await connection.fetch("SELECT municipality, id FROM appeals")
    await connection.execute("UPDATE appeals SET municipality = $1", CITY)
    yield
    await connection.executemany("UPDATE appeals SET municipality = $1 WHERE id = $2", before)
    await connection.close()


@pytest.mark.usefixtures("overdue_in_the_city")
async def test_most_overdue_organisation_of_a_municipality_is_found_in_three_steps(
    console: ConsoleUnderTest,
) -> None:
    secret = await console.secret(CallerCase("moderator"))
    async with served(console.app) as address, headless_browser() as browser:
        context = await browser.new_context()
        await context.add_cookies(
            [{"name": SESSION_COOKIE, "value": secret, "url": "https://127.0.0.1", "secure": True}]
        )
        page = await context.new_page()
        await page.goto(f"{address}/inbox")
        await page.locator("body").press("g")
        await page.locator("body").press("e")
        await expect(page.get_by_label("Муниципалитет")).to_be_focused(timeout=30_000)
        await page.keyboard.type("улан")
        await page.keyboard.press("Enter")
        worst = page.locator("tr[data-row] a").first
        await expect(page.locator("h1")).to_have_text("Просрочки: город Улан-Удэ", timeout=30_000)
        await expect(worst).to_be_focused()
        number = await page.locator("tr[data-row] td.number").first.inner_text()
        await page.keyboard.press("Enter")
        await expect(page.locator(".inbox-row")).to_have_count(int(number), timeout=30_000)
