"""Every page opens for every kind of person or explains the refusal, and makes only documented API calls."""

import re
from collections import Counter

import pytest

from tests.integration.access.all_services import EVERYBODY, CallerCase
from tests.integration.console.all_pages import FOUND, get_routes
from tests.integration.console.console_under_test import MODERATOR, ConsoleUnderTest

# All kinds of people except two that others cover: an approver, and an executor with subordinates.
PEOPLE = [who for who in EVERYBODY if str(who) not in {"approver", "executor with subordinates"}]
# Pages whose heading names their content (a list, an appeal, a day, a step) instead of the page.
OWN_HEADINGS = {"/inbox", "/queue", "/pulse", "/grading"}


@pytest.mark.parametrize("route", get_routes())
@pytest.mark.parametrize("who", PEOPLE, ids=str)
async def test_page_opens_or_explains_the_refusal(console: ConsoleUnderTest, route: str, who: CallerCase) -> None:
    visited = await (
        console.opened(route) if who == MODERATOR else console.send(who, "GET", console.filled(route))
    )
    response = visited.response
    assert response.status_code in {200, 303, 403, 404}, response.text[-2000:]
    if response.status_code in {403, 404}:
        assert who != MODERATOR
        assert "<h1>" in response.text
    for call in visited.calls:
        assert console.documented(call) is not None, call
        assert call.status < 500, call
        assert call.status != 422, call
    keys = Counter(re.findall(r' data-key="([^"]+)"', response.text))
    assert [key for key, times in keys.items() if times > 1] == [], "one of the elements cannot be reached by it"


@pytest.mark.parametrize("who", EVERYBODY, ids=str)
async def test_navigation_offers_only_pages_that_open(console: ConsoleUnderTest, who: CallerCase) -> None:
    me = (await console.send(who, "GET", "/account")).response
    links = [link for page in FOUND for link in page.links if f'href="{link.path}"' in me.text]
    for link in links:
        visited = await console.send(who, "GET", link.path)
        assert visited.response.status_code in {200, 303}, (link, visited.response.text[-500:])
        assert [call for call in visited.calls if call.status in {401, 403}] == []
        if link.path not in OWN_HEADINGS and visited.response.status_code == 200:
            heading = re.search(r"<h1[^>]*>\s*([^<]*)", visited.response.text)
            assert heading is not None
            assert heading[1].startswith(link.title)


async def test_operations_role_starts_at_the_system_page(console: ConsoleUnderTest) -> None:
    response = (await console.send(CallerCase("operations"), "GET", "/")).response
    assert response.headers["location"] == "/system"


async def test_anonymous_visitor_is_redirected_to_the_sign_in_and_back(console: ConsoleUnderTest) -> None:
    response = (await console.send(None, "GET", "/inbox?overdue=true")).response
    assert response.status_code == 303
    assert response.headers["location"] == "/sign-in?next=/inbox%3Foverdue%3Dtrue"
    swap = (await console.send(None, "GET", "/inbox", headers={"HX-Request": "true"})).response
    assert (swap.status_code, swap.headers["hx-redirect"]) == (204, "/sign-in?next=/inbox")


async def test_htmx_gets_only_the_content_of_a_page(console: ConsoleUnderTest) -> None:
    response = (await console.send(MODERATOR, "GET", "/inbox", headers={"HX-Request": "true"})).response
    assert response.text.startswith("<title>")
    assert "<main" in response.text
    assert "<body" not in response.text
    assert "HX-Request" in response.headers["vary"]


async def test_pages_forbid_foreign_content_and_caching(console: ConsoleUnderTest) -> None:
    headers = (await console.send(MODERATOR, "GET", "/inbox")).response.headers
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_change_from_another_site_is_refused(console: ConsoleUnderTest, site: str) -> None:
    response = (await console.send(MODERATOR, "POST", "/sign-out", headers={"Sec-Fetch-Site": site})).response
    assert response.status_code == 403
    assert (await console.send(MODERATOR, "GET", "/inbox")).response.status_code == 200
