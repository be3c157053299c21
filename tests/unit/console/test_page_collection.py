"""The state of the network token as shown for an official page."""

from types import SimpleNamespace
from typing import Any

import pytest

from services.console.site.rendering import render


def _shown(state: str, token: str, *, tokens: int) -> str:
    collection: dict[str, Any] = {
        "state": state,
        "token": {"state": token, "until": None},
        "tokens": [{}] * tokens,
        "last_seen_at": None,
        "last_message_at": None,
        "gaps": 0,
    }
    visit = SimpleNamespace(may=lambda right: True)
    page = {"id": "7", "active": True}
    return render("official_pages/collection.html", visit=visit, page=page, collection=collection)


@pytest.mark.parametrize(
    ("state", "token", "tokens", "words", "is_read_again"),
    [
        ("not_read_yet", "healthy", 0, "не введён", False),
        ("no_token", "none", 0, "не введён", False),
        ("not_read_yet", "healthy", 1, "сохранён, проверяем", True),
        ("healthy", "healthy", 1, "работает", False),
        ("failing", "revoked", 1, "отозван", False),
    ],
)
def test_state_of_the_token_is_polled_until_it_is_known(
    state: str, token: str, tokens: int, words: str, is_read_again: bool
) -> None:
    html = _shown(state, token, tokens=tokens)
    assert words in html.split("Ключ доступа")[1]
    assert ('hx-trigger="every 5s"' in html) is is_read_again


def test_state_of_a_page_that_ingest_does_not_know_is_polled() -> None:
    visit = SimpleNamespace(may=lambda right: True)
    html = render("official_pages/collection.html", visit=visit, page={"id": "7", "active": True}, collection=None)
    assert 'hx-get="/pages/7/collection"' in html
