"""Size limits of what a browser loads: a page with its files at first, then only the content of a page."""

import gzip
import re

import pytest

from services.console.site.static_files import static_url
from tests.integration.console.all_pages import Parsed, get_routes
from tests.integration.console.console_under_test import MODERATOR, ConsoleUnderTest

FIRST_LOAD, SWAP = 100_000, 15_000
_FONT = re.compile(r'url\("(vendor/[^"]+)"\)')
# A browser loads this font only for texts with Buryat letters.
_RARE = "vendor/golos-text-cyrillic-ext-wght-normal.woff2"


async def size(console: ConsoleUnderTest, url: str) -> int:
    """Return the size in bytes of a static file as sent by the gateway, which compresses all but fonts."""
    content = (await console.send(None, "GET", url)).response.content
    return len(content) if url.endswith(".woff2") else len(gzip.compress(content))


@pytest.fixture(scope="module")
async def files(console: ConsoleUnderTest) -> int:
    """The total size in bytes of all static files of a page."""
    html = (await console.send(MODERATOR, "GET", "/account")).response.text
    urls = {value for _, value in Parsed(html).links() if value.startswith("/static/")}
    fonts = (await console.send(None, "GET", static_url("fonts.css"))).response.text
    urls |= {static_url(name) for name in _FONT.findall(fonts) if name != _RARE}
    assert len(urls) >= 7
    return sum([await size(console, url) for url in urls])


@pytest.mark.parametrize("route", get_routes())
async def test_pages_stay_below_the_size_limits(console: ConsoleUnderTest, files: int, route: str) -> None:
    whole = (await console.opened(route)).response
    if not whole.headers.get("content-type", "").startswith("text/html"):
        return
    assert files + len(gzip.compress(whole.content)) <= FIRST_LOAD
    swap = (await console.send(MODERATOR, "GET", console.filled(route), headers={"HX-Request": "true"})).response
    assert len(gzip.compress(swap.content)) <= SWAP
