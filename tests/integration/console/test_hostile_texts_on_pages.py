"""Hostile texts in every field that people write are shown as text on every page and never become markup.

The texts are added to the API's responses, so that they reach every field that a page shows.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from services.console.api_calls.client import Answer, Api
from tests.integration.access.sample_data import MARKS
from tests.integration.console.all_pages import Parsed, Text, get_routes
from tests.integration.console.console_under_test import MODERATOR, ConsoleUnderTest

TOKEN = "zqhostile"
# Breaks out of text, attributes (quoted or not), comments, scripts, styles, textareas, titles and SVG.
MARKUP = (
    f"{TOKEN}</textarea></title></style></script></option></svg>--><script>alert(1)</script>"
    f"<img src=x onerror=alert(1)>\"'` onmouseover=alert(1) autofocus x=<b hx-get=/x>{{{{7*7}}}}${{7*7}}"
    "&lt;i&gt;&#60;u&#62;<!--"
)
# Invisible characters: marks of the reading direction, zero-width spaces and a word joiner.
UNSEEN = "\u202e\u2066\u200f\u200b\ufeff\u2060\u061c"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
HOSTILE = {"markup": MARKUP + UNSEEN + FAMILY, "emoji": f"{TOKEN} " + "\U0001f600" * 4096}
# Texts written by people have Cyrillic letters, a mark of the sample data or, in names, a capital letter first;
# ids and kinds have none of these.
_WORDS = re.compile("|".join(["[А-Яа-яЁё]", *MARKS.values()]))
_SAFE_LINK = re.compile(r"(/(?![/\\])|[?#]|https?://|tel:|mailto:|$)")

# Many texts of citizens in the sample data begin with these words.
_OF_CITIZEN = "Не горят фонари"


def seen(page: Parsed) -> Iterator[str]:
    """Yield the texts and attributes that people read, without the values of form fields."""
    yield from (text.content for text in page.texts if not text.is_within("textarea"))
    yield from (value for _, name, value in page.attributes if name != "value")


def code(page: Parsed) -> list[str]:
    """Return the content of the scripts and styles of a page."""
    return [one.content for one in page.texts if one.is_within("script") or one.is_within("style")]


def is_set_apart(text: Text) -> bool:
    """Return True if the text is in an element that isolates its reading direction from the text around it."""
    return text.is_within(css="citizen") or any(text.is_within(tag) for tag in ("title", "textarea", "option"))


def spoilt(value: Any, text: str, *, key: str = "") -> Any:
    """Return an API response with the hostile text added to every value that people wrote."""
    if isinstance(value, dict):
        return {name: spoilt(item, text, key=name) for name, item in value.items()}
    if isinstance(value, list):
        return [spoilt(item, text, key=key) for item in value]
    if not isinstance(value, str) or key.endswith("_key") or value.startswith(("http://", "https://")):
        return value
    is_of_people = _WORDS.search(value) or (key in {"name", "full_name"} and value[:1].isupper())
    return f"{value} {text}" if is_of_people else value


@pytest.fixture
def with_texts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return a function that adds a text to all further API responses; None leaves them unchanged."""
    send = Api.send
    chosen: list[str | None] = [None]

    async def spoiling(api: Api, *arguments: Any, **options: Any) -> Answer:
        answer = await send(api, *arguments, **options)
        text = chosen[0]
        return answer if text is None else Answer(answer.status, spoilt(answer.data, text), answer.headers)

    def choose(text: str | None) -> None:
        chosen[0] = text

    monkeypatch.setattr(Api, "send", spoiling)
    return choose


def page(response: httpx.Response) -> Parsed | None:
    """Return the parsed page of a response; None for a redirect or a file."""
    assert response.status_code in {200, 303}, response.text[-2000:]
    if response.status_code == 303 or not response.headers["content-type"].startswith("text/html"):
        return None
    return Parsed(response.text)


@pytest.mark.long
@pytest.mark.parametrize("route", get_routes())
async def test_hostile_texts_are_shown_as_text(
    console: ConsoleUnderTest, with_texts: Callable[[str | None], None], route: str
) -> None:
    plain = page((await console.opened(route)).response)
    if plain is None:
        return
    for kind, text in HOSTILE.items():
        with_texts(text)
        hostile = page((await console.send(MODERATOR, "GET", console.filled(route))).response)
        with_texts(None)
        assert hostile is not None
        assert hostile.elements - plain.elements == set(), kind
        assert [link for link in hostile.links() if _SAFE_LINK.match(link[1]) is None] == []
        turned = [part[:300] for part in seen(hostile) if any(mark in part for mark in UNSEEN)]
        assert turned == [], "a text of people without «| shown»"
        assert code(hostile) == code(plain)
        assert [
            one.content[:200] for one in hostile.texts if _OF_CITIZEN in one.content and not is_set_apart(one)
        ] == []


@pytest.mark.parametrize("route", ["/inbox", "/account"])
async def test_hostile_texts_reach_the_pages(
    console: ConsoleUnderTest, with_texts: Callable[[str | None], None], route: str
) -> None:
    with_texts(HOSTILE["markup"])
    shown = page((await console.send(MODERATOR, "GET", console.filled(route))).response)
    assert shown is not None
    assert TOKEN in shown.html
