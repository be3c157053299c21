"""The scenario of docs/frontend/working-an-appeal.md, performed in the console by four people."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import PAGE_OWNERS, RunningDemo, activate_rules
from tests.e2e.console_crawl import Crawl
from tests.support.browser import headless_browser
from tests.support.eventually import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # drives a browser, so it is slow

MODERATORS = "Решают модераторы"
PEOPLE = ("centre", "manager", "org", "approver")
UNASSIGNED = "/inbox?assignee=none&sort=-opened_at"
EXECUTOR = "Сотрудник организации"
# Generous: other tests may run at the same time on two slow cores.
SECONDS = 60
WAIT = SECONDS * 1000


@dataclass
class Walk:
    """The running system and the browsers of its people."""

    demo: RunningDemo
    browsers: dict[str, BrowserContext]

    async def tab(self, who: str, path: str) -> Page:
        """Open a page of the console in a new tab of this person's browser."""
        page = await self.browsers[who].new_page()
        page.set_default_timeout(WAIT)
        await page.goto(f"{self.demo.system.gateway}{path}")
        return page

    async def sessions(self, statement: str) -> list[asyncpg.Record]:
        """Run a statement on the console's database and return its rows."""
        connection = await asyncpg.connect(self.demo.system.service_database_url("console"))
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement)
            return found
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def walk(demo: RunningDemo) -> AsyncIterator[Walk]:
    """Four people are signed in; moderators decide about new appeals, replies need approval."""
    centre = demo.centre
    await centre.post("/rule-sets", {"note": MODERATORS, "default": {"send_to": "moderators"}, "rules": []})
    await activate_rules(centre, MODERATORS)
    rule = await centre.post("/approval-rules", {"organisation_id": demo.organisation_id})
    try:
        async with headless_browser() as browser:
            crawl = Crawl(demo.system.gateway)
            yield Walk(demo, {who: await signed_in(crawl, browser, who) for who in PEOPLE})
    finally:
        await centre.ask("DELETE", f"/approval-rules/{rule['id']}", headers={"If-Match": "*"})
        await activate_rules(centre, PAGE_OWNERS)


@pytest.fixture(autouse=True)
async def closed_tabs(walk: Walk) -> AsyncIterator[None]:
    """Close the tabs of a test: each visible tab keeps a stream open, and a browser allows six connections."""
    yield
    for browser in walk.browsers.values():
        for page in browser.pages:
            await page.close()


async def signed_in(crawl: Crawl, browser: Browser, who: str) -> BrowserContext:
    context = await crawl.sign_in(browser, who)
    context.set_default_timeout(WAIT)
    return context


async def press(page: Page, key: str) -> None:
    """Press a key while no field has the focus."""
    await page.locator("body").press(key)


async def shown_live(page: Page, words: str) -> None:
    """Wait for the bar that announces new items, click it, and wait until the page contains `words`."""
    bar = page.locator("[data-live-show]")
    await expect(bar).to_be_visible(timeout=WAIT)
    await expect(bar).to_contain_text(re.compile(r"\d"))
    await bar.click()
    await expect(page.locator("main")).to_contain_text(words, timeout=WAIT)


async def test_appeal_goes_from_question_to_reopening_in_the_console(walk: Walk) -> None:
    demo, vk = walk.demo, walk.demo.vk
    page = demo.page("vk")["external_id"]
    room = 100 + secrets.randbelow(900)
    matter = f"починят крыльцо у входа {room}"
    question = f"Когда в нашей школе {matter}? Ступеньки разбиты, дети падают."

    # The moderator has the empty queue open; a citizen writes, and the appeal appears without a reload.
    queue, inbox = await walk.tab("centre", "/queue"), await walk.tab("org", UNASSIGNED)
    await expect(queue.locator("main")).to_contain_text("Очередь пуста")
    written = await vk.citizen(page, "comment", question)
    await shown_live(queue, matter)

    # The moderator assigns the appeal by pressing the digit beside the organisation.
    owner = queue.locator("button.queue-owner").filter(
        has_text=(await demo.org.get("/me"))["organisation"]["name"]
    )
    await press(queue, str(await owner.first.get_attribute("data-key")))
    await expect(queue.locator("main")).to_contain_text("Очередь пуста", timeout=WAIT)

    # The appeal appears in the organisation's list; the manager assigns it to the executor.
    await shown_live(inbox, matter)
    link = await inbox.locator(".row a", has_text=matter).first.get_attribute("href")
    assert link is not None
    managed = await walk.tab("manager", link)
    await press(managed, "a")
    await managed.get_by_label("Кто делает следующий шаг").select_option(label=EXECUTOR)
    await managed.get_by_role("button", name="Назначить", exact=True).click()
    await expect(managed.locator(".appeal-head")).to_contain_text(f"исполнитель: {EXECUTOR}", timeout=WAIT)

    # The executor writes a draft, gets hints, corrects the text and sends it for approval.
    answer = f"Здравствуйте! Крыльцо школы починили сегодня утром. Приняла завхоз Ольга Иванова, кабинет {room}."
    writing = await walk.tab("org", link)
    await press(writing, "r")
    text = writing.get_by_label("Текст ответа")
    await text.fill("Меры принимаются. Звоните мне: 8 914 000-00-00.")
    await writing.get_by_role("button", name="Проверить текст").click()
    await expect(writing.locator("main")).to_contain_text("Номер мобильного телефона", timeout=WAIT)
    await text.fill(answer)
    await writing.get_by_role("button", name="Сохранить черновик", exact=True).last.click()
    await expect(writing.locator("main")).not_to_contain_text("Номер мобильного телефона", timeout=WAIT)
    await writing.get_by_role("button", name="Отправить ответ").click()
    await expect(writing.locator("main")).to_contain_text("Ждёт согласования", timeout=WAIT)

    # The approver presses the key to approve; the answer is published in the network's thread.
    approving = await walk.tab("approver", "/approvals")
    await expect(approving.locator("main")).to_contain_text(answer)
    await press(approving, "a")
    await expect(approving.locator("main")).to_contain_text("Согласовывать нечего", timeout=WAIT)

    async def is_in_the_network() -> bool:
        return len(await vk.answers(page, answer)) == 1

    await eventually(is_in_the_network, "the answer in the network")
    (published,) = await vk.answers(page, answer)

    async def is_answered() -> bool:
        await writing.reload()
        return "отвечено" in await writing.locator(".reply-facts").inner_text()

    await eventually(is_answered, "the answer on the page of the reply", every=1)
    await expect(writing.locator("main")).to_contain_text(answer)

    # The citizen is dissatisfied: the message appears live on the open page, and the appeal is reopened.
    appeal = await walk.tab("org", link)
    more = {"thread": written["thread"], "author": written["author"], "in_reply_to": published["id"]}
    await vk.citizen(page, "comment", "Не решено: одна ступенька снова шатается.", **more)
    await shown_live(appeal, "ступенька снова шатается")
    await appeal.reload()
    await expect(appeal.locator(".appeal-head .badge").first).to_have_text("возобновлено", timeout=WAIT)

    # The centre opens the weekly report.
    report = await walk.tab("centre", "/")
    await report.get_by_role("link", name=re.compile("отч[её]т", re.IGNORECASE)).first.click()
    await expect(report.locator("h1")).to_contain_text(re.compile("отч[её]т", re.IGNORECASE))


@pytest.fixture
async def assigned(walk: Walk) -> str:
    """The path of a new appeal that is assigned to the organisation."""
    await activate_rules(walk.demo.centre, PAGE_OWNERS)
    text = f"Когда починят секцию {100 + secrets.randbelow(900)} разбитого забора вокруг нашей школы?"
    await walk.demo.vk.citizen(walk.demo.page("vk")["external_id"], "comment", text)
    found = await walk.demo.org.appeal_about(text)
    return f"/appeals/{found['id']}"


async def test_stale_change_is_shown_as_a_conflict(walk: Walk, assigned: str) -> None:
    stale, other = await walk.tab("org", assigned), await walk.tab("manager", assigned)
    await press(other, "a")
    await other.get_by_label("Кто делает следующий шаг").select_option(label="Согласующий организации")
    await other.get_by_role("button", name="Назначить", exact=True).click()
    await expect(other.locator(".appeal-head")).to_contain_text("Согласующий организации", timeout=WAIT)
    await press(stale, "i")
    conflict = stale.get_by_role("alert").filter(has_text="изменил коллега")
    await expect(conflict).to_be_visible(timeout=WAIT)
    await expect(conflict).to_contain_text("Согласующий организации")
    assert (await walk.demo.org.appeal(assigned.rpartition("/")[2]))["assignee"][
        "name"
    ] == "Согласующий организации"


async def test_colleague_sees_live_who_writes_a_reply(walk: Walk, assigned: str) -> None:
    writing = await walk.tab("org", f"{assigned}/reply")
    await expect(writing.locator("#reply-lease")).to_contain_text("Пишете вы", timeout=WAIT)
    reading = await walk.tab("manager", f"{assigned}/reply")
    await expect(reading.locator("#reply-lease")).to_contain_text(f"{EXECUTOR} сейчас пишет", timeout=WAIT)
    await expect(reading.get_by_label("Текст ответа")).to_have_count(0)
    await writing.get_by_label("Текст ответа").fill("Забор школы починим.")
    async with writing.expect_navigation():
        await writing.get_by_role("button", name="Сохранить и выйти").click()
    await expect(reading.locator("#reply-lease")).to_contain_text("Коллега закончил", timeout=WAIT)


async def test_tabs_that_refresh_concurrently_stay_signed_in(walk: Walk, assigned: str) -> None:
    tabs = [await walk.tab("org", path) for path in (assigned, "/inbox", "/account")]
    for _ in range(3):
        await walk.sessions("UPDATE console_sessions SET access_expires_at = now() RETURNING id")
        await asyncio.gather(*(tab.reload() for tab in tabs))
        for tab in tabs:
            assert "/sign-in" not in tab.url


async def test_open_tabs_are_signed_out_by_sign_out_everywhere(walk: Walk) -> None:
    browser = walk.browsers["approver"]
    tab, other = await walk.tab("approver", "/inbox"), await walk.tab("approver", "/account")
    signed = await walk.demo.anyone.post(
        "/api/v1/auth/token", data={"grant_type": "password", "username": "approver", "password": "demo"}
    )
    bearer = {"Authorization": f"Bearer {signed.json()['access_token']}"}
    assert (await walk.demo.anyone.delete("/api/v1/me/sessions", headers=bearer)).status_code == 204
    # An issued access token stays valid until it expires; expire it, and the refresh is refused.
    await walk.sessions("UPDATE console_sessions SET access_expires_at = now() RETURNING id")
    for page in (tab, other):
        await page.reload()
        assert "/sign-in" in page.url
        assert "next=" in page.url
    assert [cookie["name"] for cookie in await browser.cookies()] == []
