"""The weekly report in a real browser: accessible, without errors, on a wide screen and on a phone."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route

from services.metrics.rendering import html
from services.metrics.schemas.weekly_report import ReportOut
from tests.support.browser import headless_browser
from tests.support.sample_report import (
    empty_report,
    report_with_many_topics,
    report_without_measurements,
    sample_report,
)

pytestmark = pytest.mark.long  # drives a browser, so it is slow

ADDRESS = "https://report.invalid/weekly.html"
WIDE, PHONE = 1280, 375
# Finds texts of charts that extend beyond the drawing and would be clipped.
CLIPPED = """() => [...document.querySelectorAll("svg text")].filter((text) => {
    const box = text.getBBox(), view = text.ownerSVGElement.viewBox.baseVal;
    return box.x < -1 || box.y < -1 || box.x + box.width > view.width + 1 || box.y + box.height > view.height + 1;
}).map((text) => text.textContent)"""
# Finds labels of charts that overlap the number at the right of their line.
OVERLAPPING = """() => [...document.querySelectorAll("svg text[text-anchor=end]")].filter((number) => {
    const label = number.previousElementSibling.getBBox(), box = number.getBBox();
    return label.x + label.width > box.x;
}).map((number) => number.previousElementSibling.textContent)"""


@dataclass
class Opened:
    """A page and the problems that the browser reported."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with headless_browser() as started:
        yield started


async def opened(browser: Browser, report: ReportOut, width: int) -> Opened:
    """Open the rendered report; refuse and record all other requests."""
    found = Opened(await browser.new_page(viewport={"width": width, "height": 900}))

    async def answer(route: Route) -> None:
        if route.request.url == ADDRESS:
            await route.fulfill(body=html.render(report), content_type="text/html")
        else:
            found.requests.append(route.request.url)
            await route.abort()

    await found.page.route("**/*", answer)
    found.page.on("console", lambda message: found.messages.append(message.text))
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("dialog", lambda dialog: found.messages.append(dialog.message))
    await found.page.goto(ADDRESS)
    return found


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize(
    "build", [sample_report, empty_report, report_without_measurements, report_with_many_topics]
)
async def test_report_page_has_no_accessibility_violations(
    browser: Browser, build: Callable[[], ReportOut], width: int
) -> None:
    found = await opened(browser, build(), width)
    results = await Axe().run(found.page)
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in results.response["violations"]] == []
    await found.page.close()


@pytest.mark.parametrize("hostile", [False, True], ids=["usual", "hostile"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
async def test_report_page_fits_its_width_and_loads_and_runs_nothing(
    browser: Browser, width: int, hostile: bool
) -> None:
    found = await opened(browser, sample_report(hostile=hostile), width)
    assert await found.page.evaluate("document.documentElement.scrollWidth") == width
    assert await found.page.evaluate(CLIPPED) == []
    assert await found.page.evaluate(OVERLAPPING) == []
    assert await found.page.evaluate("document.querySelectorAll('script').length") == 0
    # The style of the file is applied despite its content security policy.
    assert await found.page.evaluate("getComputedStyle(document.querySelector('.figures')).display") == "grid"
    assert (found.requests, found.messages) == ([], [])
    await found.page.close()
