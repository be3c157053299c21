"""The address to which a person is redirected after signing in, without the search text."""

import pytest

from services.console.site.return_addresses import return_address


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/inbox?overdue=true&q=прорвало+трубу&sort=due", "/inbox?overdue=true&sort=due"),
        ("/inbox?q=a&q=b", "/inbox"),
        ("/inbox?%71=a&overdue=true", "/inbox?overdue=true"),
        ("/erasures?author_key=5f&status=done", "/erasures?status=done"),
        ("/inbox?tag=q&x=%2F#q=1", "/inbox?tag=q&x=%2F#q=1"),
        ("/" + "x" * 1_999, "/" + "x" * 1_999),
        ("/" + "x" * 2_000, "/"),
        ("/" + "я" * 1_500, "/"),
        ("//evil.example", "/"),
        (None, "/"),
    ],
)
def test_return_address_keeps_the_site_and_drops_search_text(target: str | None, path: str) -> None:
    assert return_address(target) == path
