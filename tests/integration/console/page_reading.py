"""Helpers that read responses of pages: the note of a redirect, texts and links."""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from services.console.site.visit import NOTE_COOKIE

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


def note_of(response: httpx.Response) -> str:
    """Return the text of the note that a redirect sets for the next page; empty without a note."""
    return str(_note(response).get("text", ""))


def note_kind_of(response: httpx.Response) -> str:
    """Return the kind of the note: `done` or `failed`; empty without a note."""
    return str(_note(response).get("kind", ""))


def _note(response: httpx.Response) -> dict[str, Any]:
    for header in response.headers.get_list("set-cookie"):
        name, _, rest = header.partition("=")
        if name == NOTE_COOKIE:
            found: dict[str, Any] = json.loads(unquote(rest.split(";")[0].strip('"')))
            return found
    return {}


def query_of(response: httpx.Response) -> dict[str, list[str]]:
    """Return the query parameters of the address that a redirect leads to."""
    return parse_qs(urlsplit(response.headers["location"]).query)


def assert_escaped(response: httpx.Response) -> None:
    """Assert that the page shows `HOSTILE` escaped, as text."""
    assert "<script>alert(1)" not in response.text
    assert "<img src=x" not in response.text
    assert "&lt;script&gt;alert(1)" in response.text


def text_of(response: httpx.Response) -> str:
    """Return the text of a page without markup, with single spaces."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", response.text))).replace("\N{NO-BREAK SPACE}", " ")


def heading_of(response: httpx.Response) -> str:
    """Return the text of the main heading of a page."""
    found = re.search(r"<h1>(.*?)</h1>", response.text, re.DOTALL)
    assert found is not None
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", found.group(1)))).strip()


def links_of(response: httpx.Response) -> dict[str, str]:
    """Return the address of each link of a page, keyed by its text."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', response.text, re.DOTALL)
    return {
        re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", words))).strip(): unescape(address)
        for address, words in found
    }
