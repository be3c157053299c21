"""Every page of the console in a real browser, as every kind of person: accessible, no errors, any width."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.e2e.conftest import RunningDemo
from tests.e2e.console_crawl import Crawl, first
from tests.support.browser import headless_browser

pytestmark = pytest.mark.long  # a browser, and all pages

# The others see the same details as one of these, or fewer.
SEE_DETAILS = ("centre", "org", "ops")
PEOPLE = ("centre", "head", "ops", "analyst", "auditor", "org", "manager", "approver")
HOSTILE = (
    "Не горят фонари <script>alert(1)</script><img src=x onerror=alert(1)> \u202eна улице\u202c Ленина\u200b "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467"
)
WIDE = "Яма" + "а" * 600 + " \U0001f600" * 900


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with headless_browser() as started:
        yield started


@pytest.fixture(scope="module")
async def with_appeals(demo: RunningDemo) -> RunningDemo:
    """The system with appeals of citizens, among them hostile texts."""
    page = demo.page("vk")["external_id"]
    for text in ("Когда в школе починят крыльцо?", HOSTILE, WIDE):
        await demo.vk.citizen(page, "comment", text)
    await demo.centre.appeal_about("Когда в школе починят крыльцо?")
    return demo


@pytest.mark.timeout(1_200)
async def test_browser_finds_nothing_wrong(with_appeals: RunningDemo, browser: Browser) -> None:
    crawl = Crawl(with_appeals.system.gateway)
    for person in PEOPLE:
        context = await crawl.sign_in(browser, person)
        await crawl.pages_of(context, person, details=person in SEE_DETAILS)
        await context.close()
    assert {who for who, _ in crawl.opened} == set(PEOPLE)
    assert ("org", "/inbox") in crawl.opened
    assert list(first(crawl.wrong)) == []
