"""The system's headless Chromium, driven by playwright, and empty pages on any loopback port."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from playwright.async_api import Browser, async_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# In CI the browser runs as root, where its sandbox does not work; its background requests would leave loopback.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def headless_browser() -> AsyncIterator[Browser]:
    """Run a browser until the block ends; skip the test if no browser is installed."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no browser is installed: one of {', '.join(_PROGRAMS)} is needed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def empty_pages(port: int) -> AsyncIterator[None]:
    """Serve an empty HTML page at every path of a loopback port until the block ends."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>page</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()
