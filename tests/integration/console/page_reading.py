"""Read what a page answered: its note, its text, where it leads."""

import json
import re
from html import unescape
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from services.console.site.visit import NOTE_COOKIE

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


def note_of(response: httpx.Response) -> dict[str, str]:
    """Return the note that a redirect leaves for the next page."""
    cookie = next(one for one in response.headers.get_list("set-cookie") if one.startswith(f"{NOTE_COOKIE}="))
    found: dict[str, str] = json.loads(unquote(cookie.partition("=")[2].partition(";")[0].strip('"')))
    return found


def query_of(response: httpx.Response) -> dict[str, list[str]]:
    """Return the query of the address that a redirect leads to."""
    return parse_qs(urlsplit(response.headers["location"]).query)


def words(response: httpx.Response) -> str:
    """Return the text of a page without its tags, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.text)).split())


def assert_escaped(response: httpx.Response) -> None:
    """Assert that the hostile text is shown as text."""
    assert "<script>alert(1)" not in response.text
    assert "<img src=x" not in response.text
    assert "&lt;script&gt;alert(1)" in response.text
