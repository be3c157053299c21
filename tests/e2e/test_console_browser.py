"""Every page of the console, opened in a real browser by every role: accessible, without errors, at any width."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.e2e.conftest import RunningDemo, connect_to_demo
from tests.e2e.console_crawl import Crawl, first
from tests.e2e.console_screenshots import STATES
from tests.support.browser import headless_browser
from tests.support.embedded_stack import running_stack
from tests.support.eventually import eventually
from tests.support.sample_images import photo_with_position

pytestmark = pytest.mark.long  # opens all pages in a browser, so it is slow

# People of other roles see the same details as one of these people, or fewer.
SEE_DETAILS = ("centre", "org", "ops")
PEOPLE = ("centre", "head", "ops", "analyst", "auditor", "org", "manager", "approver")
# History fills reports, page scores and promises; the government's page sends notices.
WITH_DATA = {"GOSPABLIK_DEMO_WEEKS": "3", "GOSPABLIK_NOTICES_PAGES": "vk:200000001"}
HOSTILE = (
    "Не горят фонари <script>alert(1)</script><img src=x onerror=alert(1)> \u202eна улице\u202c Ленина\u200b "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467"
)
WIDE = "Яма" + "а" * 600 + " \U0001f600" * 900
PORCH = "Когда в школе починят крыльцо?"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with headless_browser() as started:
        yield started


@pytest.fixture(scope="module")
async def with_data(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningDemo]:
    """A system with history and citizens' appeals, some with hostile texts."""
    folder = tmp_path_factory.mktemp("pages")
    async with running_stack(folder, seed_demo=True, environment=WITH_DATA) as system, AsyncExitStack() as exits:
        demo = await connect_to_demo(system, exits)
        page = demo.page("vk")["external_id"]
        for text in (PORCH, HOSTILE, WIDE):
            await demo.vk.citizen(page, "comment", text)
        yield demo


@pytest.fixture(scope="module")
async def answered(with_data: RunningDemo) -> list[str]:
    """The paths of an appeal with an interim reply, which promises a final reply and has a photo."""
    demo = with_data
    path = f"/appeals/{(await demo.centre.appeal_about(PORCH))['id']}"
    file = {"file": ("крыльцо.jpg", photo_with_position())}
    photo = (await demo.org.ask("POST", "/attachments", files=file)).json()
    reply = {
        "text": "Здравствуйте! Мастер придёт до 10 января. Директор школы, телефон 21-00-00.",
        "kind": "interim",
        "promised_at": "2099-01-10T09:00:00Z",
        "attachments": [photo["id"]],
    }
    made = await demo.org.post(f"{path}/replies", reply)

    async def published() -> dict[str, Any] | None:
        replies = (await demo.org.get(path))["replies"]
        return next((one for one in replies if one["status"] == "published"), None)

    await eventually(published, "the published reply")
    return [path, f"{path}/reply", f"{path}/replies/{made['id']}"]


@pytest.mark.timeout(2_400)
async def test_console_pages_have_no_accessibility_or_browser_errors(
    with_data: RunningDemo, answered: list[str], browser: Browser
) -> None:
    crawl = Crawl(with_data.system.gateway)
    for person in PEOPLE:
        context = await crawl.sign_in(browser, person)
        await crawl.pages_of(context, person, details=person in SEE_DETAILS)
        for _, path, button in STATES if person == "centre" else ():
            await crawl.state_of(context, person, path, button)
        for path in answered if person in {"org", "manager"} else ():
            await crawl.state_of(context, person, path)
        await context.close()
    assert {who for who, _ in crawl.opened} == set(PEOPLE)
    newest = {"/overdue", "/exports", "/page-health/…", "/page-health-peers", "/account"}
    assert newest <= {kind for who, kind in crawl.opened if who == "centre"}
    assert ("centre", "/account Получить код") in crawl.opened
    assert ("org", "/inbox") in crawl.opened
    assert list(first(crawl.wrong)) == []
