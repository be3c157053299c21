"""Open the console's pages by following links, and collect problems that a browser and axe find."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request

# In CSS pixels; the last width is the first at a zoom of 200 %.
WIDTHS = (1440, 390, 320, 720)
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
_ID = re.compile(r"/(?:[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{4}-W[0-9]{2}|[0-9]+)(?=/|$)")
_FILE = re.compile(r"\.(csv|xlsx|pdf|svg|json|xml|ics|zip|html)$")
_NAVIGATION = "() => [...document.querySelectorAll('#navigation a')].map((a) => a.getAttribute('href'))"
_LINKS = "() => [...document.querySelectorAll('#navigation a, main a[href]')].map((a) => a.getAttribute('href'))"
_OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const within = (e) => e.parentElement.closest(".scroll, .tabs, nav#navigation, pre, textarea");
    return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1)
        .filter((e) => !within(e)).slice(0, 3)
        .map((e) => `${e.tagName.toLowerCase()}.${e.className}: ${Math.round(e.getBoundingClientRect().right)}`);
}"""
# Open `details`, to check their content too; scroll up, because the sticky header would cover content.
_OPEN_DETAILS = """async () => {
    for (const one of document.querySelectorAll("main details")) one.open = true;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    scrollTo(0, 0);
}"""
# The pages where the crawl starts. /account is listed because no navigation link or page links to it.
STARTS = ("/", "/account")
# The kinds of elements of a page: axe checks only one page of each structure.
_STRUCTURE = """() => [...new Set([...document.querySelectorAll("body *")].map((e) =>
    e.tagName + "." + e.className.toString() + "[" + e.getAttributeNames().join() + "]"))].sort().join(" ")"""


@dataclass
class Crawl:
    """The opened pages as (person, kind of page), and the problems found."""

    base: str
    opened: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _structures: set[str] = field(default_factory=set)
    _where: str = ""

    async def sign_in(self, browser: Browser, username: str) -> BrowserContext:
        """Return a browser context in which the person is signed in."""
        context = await browser.new_context(viewport={"width": WIDTHS[0], "height": 900}, locale="ru-RU")
        page = await context.new_page()
        await page.goto(f"{self.base}/sign-in")
        await page.get_by_label("Имя для входа").fill(username)
        await page.get_by_label("Пароль").fill("demo")
        await page.get_by_role("button", name="Войти").click()
        await page.wait_for_url(lambda url: not urlsplit(url).path.startswith("/sign-in"))
        await page.close()
        return context

    async def pages_of(self, context: BrowserContext, who: str, *, details: bool, most: int = 150) -> None:
        """Open one page of each kind that the navigation links to and, with `details`, that pages link to.

        Fails if there are more kinds than `most`.
        """
        page = await context.new_page()
        self._watch(page)
        waiting, seen = list(STARTS), set(STARTS)
        while waiting:
            assert len(seen) - len(waiting) <= most, f"{who} finds more than {most} kinds of pages"
            path = waiting.pop(0)
            self._where = f"{who} {path}"
            try:
                response = await page.goto(f"{self.base}{path}")
            except Error as error:
                if "Download is starting" not in error.message:
                    raise
                continue
            assert response is not None
            if response.status >= 400:
                self._note(f"status {response.status}")
            self.opened.append((who, kind_of(path)))
            if not response.headers["content-type"].startswith("text/html"):
                continue  # a photo: only status and console messages are checked
            await self._check(page)
            for link in await page.evaluate(_LINKS if details else _NAVIGATION):
                if (kind := kind_of(link)) not in seen and is_page(link):
                    seen.add(kind)
                    waiting.append(link.partition("#")[0])
        await page.close()

    async def state_of(self, context: BrowserContext, who: str, path: str, button: str | None = None) -> None:
        """Open a page at this path, press the button, if one is given, and check the resulting page."""
        page = await context.new_page()
        self._watch(page)
        self._where = f"{who} {path} {button or ''}".rstrip()
        await open_state(page, f"{self.base}{path}", button)
        self.opened.append((who, f"{kind_of(path)} {button or ''}".rstrip()))
        await self._check(page)
        await page.close()

    def _watch(self, page: Page) -> None:
        host = urlsplit(self.base).netloc

        def said(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                self._note(f"console: {message.text} {urlsplit(message.location['url']).path}")

        def asked(request: Request) -> None:
            if urlsplit(request.url).netloc != host:
                self._note(f"request to {request.url}")

        page.on("console", said)
        page.on("request", asked)
        page.on("pageerror", lambda error: self._note(f"script: {error}"))
        page.on("dialog", lambda dialog: self._note(f"dialog: {dialog.message}"))

    def _note(self, what: str) -> None:
        self.wrong.append(f"{self._where}: {what}")

    async def _check(self, page: Page) -> None:
        await page.evaluate(_OPEN_DETAILS)
        structure = await page.evaluate(_STRUCTURE)
        if structure not in self._structures:
            self._structures.add(structure)
            await self._run_axe(page, WCAG)
            await page.emulate_media(color_scheme="dark")
            await self._run_axe(page, CONTRAST)
            await page.emulate_media(color_scheme="light")
        for width in WIDTHS[1:]:
            await page.set_viewport_size({"width": width, "height": 900})
            if wide := await page.evaluate(_OVERFLOW):
                self._note(f"wider than {width}: {wide}")
        await page.set_viewport_size({"width": WIDTHS[0], "height": 900})

    async def _run_axe(self, page: Page, options: dict[str, Any]) -> None:
        results = await Axe().run(page, options=options)
        for rule in results.response["violations"]:
            where = rule["nodes"][0]["html"][:200]
            self._note(f"axe {rule['id']} ({len(rule['nodes'])}): {where}")


async def open_state(page: Page, address: str, button: str | None = None) -> None:
    """Open the URL; press the button with this text, if given, and wait for the response to its form."""
    await page.goto(address)
    if button is None:
        return
    async with page.expect_response(lambda response: response.request.method == "POST"):
        await page.get_by_role("button", name=button).first.click()
    await page.wait_for_load_state("networkidle")


def kind_of(link: str) -> str:
    """Return the path of the link with ids replaced by `…`, without parameters."""
    parts = urlsplit(link)
    return _ID.sub("/…", parts.path)


def is_page(link: str) -> bool:
    """Return whether the link leads to a page of the console, not to a file or another site."""
    parts = urlsplit(link)
    return (
        not parts.netloc
        and parts.path.startswith("/")
        and not parts.path.startswith(("/api/", "/docs", "/static/"))
        and _FILE.search(parts.path) is None
    )


def first(wrong: list[str], most: int = 30) -> Iterator[str]:
    """Yield the first `most` problems without repetitions."""
    yield from list(dict.fromkeys(wrong))[:most]
