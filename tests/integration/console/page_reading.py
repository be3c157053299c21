"""What tests read of pages: the note of a redirect, texts and fields."""

import json
import re
from html import unescape
from urllib.parse import unquote

import httpx

from services.console.site.visit import NOTE_COOKIE


def note_of(response: httpx.Response) -> str:
    """Return the note that the page after a redirect shows; empty without one."""
    for header in response.headers.get_list("set-cookie"):
        name, _, rest = header.partition("=")
        if name == NOTE_COOKIE:
            return str(json.loads(unquote(rest.split(";")[0].strip('"')))["text"])
    return ""


def text_of(response: httpx.Response) -> str:
    """Return the words of a page, without its markup."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", response.text))).replace("\N{NO-BREAK SPACE}", " ")


def heading_of(response: httpx.Response) -> str:
    """Return the main heading."""
    found = re.search(r"<h1>(.*?)</h1>", response.text, re.DOTALL)
    assert found is not None
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", found.group(1)))).strip()


def links_of(response: httpx.Response) -> dict[str, str]:
    """Return the addresses of links by their words."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', response.text, re.DOTALL)
    return {
        re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", words))).strip(): unescape(address)
        for address, words in found
    }
