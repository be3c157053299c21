"""The name of the browser by which a person recognises a session."""

import pytest

from services.console.words.formats import browser

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (CHROME, "Chrome, Windows"),
        (f"{CHROME} YaBrowser/24.6", "Яндекс Браузер, Windows"),
        (f"{CHROME} Edg/126.0", "Edge, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox, Linux"),
        ("curl/8.14.1", "curl/8.14.1"),
        ("<b>\u202ex</b>", "<b>x</b>"),
        ("", "программа не названа"),
        (None, "программа не названа"),
    ],
)
def test_browser_is_named_from_the_user_agent(user_agent: str | None, name: str) -> None:
    assert browser(user_agent) == name
