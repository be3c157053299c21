"""A moderator makes many decisions with keys: each appeal is decided once, and the page does not grow."""

import os
import statistics
import sys
import time
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import PAGE_OWNERS, RunningDemo, activate_rules
from tests.e2e.console_crawl import Crawl
from tests.support.browser import headless_browser

pytestmark = [pytest.mark.long, pytest.mark.timeout(3_600)]  # drives a browser, so it is slow

# QUEUE_DECISIONS=1000 in the environment takes about a quarter of an hour.
DECISIONS = int(os.environ.get("QUEUE_DECISIONS", "40"))
MODERATORS = "Решают модераторы о многих"
WAIT = 60_000
# Counts that grow if swapping page content leaks elements, history entries or marks.
_SIZE = (
    "() => [document.querySelectorAll('*').length, history.length, performance.getEntriesByType('mark').length]"
)


@pytest.fixture
async def queue(demo: RunningDemo) -> AsyncIterator[Page]:
    """The moderator's queue page, with `DECISIONS` appeals."""
    await demo.centre.post("/rule-sets", {"note": MODERATORS, "default": {"send_to": "moderators"}, "rules": []})
    await activate_rules(demo.centre, MODERATORS)
    try:
        for number in range(DECISIONS):
            await demo.centre.post(
                "/appeals", {"text": f"Очередь по телефону: звонок {number}", "source": "phone"}
            )
        async with headless_browser() as browser:
            context = await Crawl(demo.system.gateway).sign_in(browser, "centre")
            page = await context.new_page()
            page.set_default_timeout(WAIT)
            await page.goto(f"{demo.system.gateway}/queue")
            yield page
    finally:
        await activate_rules(demo.centre, PAGE_OWNERS)


async def _decided(demo: RunningDemo) -> int:
    """Return the number of appeals that need no answer; other tests of the same system leave some."""
    counts = await demo.centre.get("/appeals/counts?status=not_required")
    return int(counts["total"])


async def test_each_key_decides_one_appeal_and_the_page_does_not_grow(demo: RunningDemo, queue: Page) -> None:
    heading = queue.locator("h1")
    decided_before = await _decided(demo)
    shown: list[str] = []
    seconds: list[float] = []
    sizes: list[list[int]] = []
    for _ in range(DECISIONS):
        number = await heading.inner_text()
        shown.append(number)
        # The page ignores a second decision within 300 ms; people read before they decide.
        await queue.wait_for_timeout(350)
        started = time.perf_counter()
        await queue.keyboard.press("0")
        await expect(heading).not_to_have_text(number, timeout=WAIT)
        seconds.append(time.perf_counter() - started)
        sizes.append(await queue.evaluate(_SIZE))
    assert len(set(shown)) == DECISIONS, "an appeal was shown twice"
    assert await _decided(demo) - decided_before == DECISIONS
    part = max(DECISIONS // 5, 1)
    first, last = (statistics.median(times) for times in (seconds[:part], seconds[-part:]))
    sys.stdout.write(f"{DECISIONS} decisions: median {first:.2f} s in the first fifth, {last:.2f} s in the last\n")
    assert max(size[1] for size in sizes) == sizes[0][1], "the history grew"
    # Without the last screen, which is an empty queue.
    assert max(size[0] for size in sizes[-part:-1]) <= 1.2 * max(size[0] for size in sizes[:part]), (
        "elements accumulate"
    )
