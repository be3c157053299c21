"""A front end of the same origin signs in with cookies; pages of other origins cannot use them."""

import asyncio
import json
from http.cookies import SimpleCookie

import httpx
import pytest

from services.registry.authentication import throttle
from shared.auth.session_cookies import ACCESS_COOKIE, REFRESH_COOKIE
from tests.integration.registry.conftest import pointers, sign_in
from tests.support.service_under_test import ServiceUnderTest

SESSION = "/api/v1/auth/session"
ME = "/api/v1/me"
MINE = "/api/v1/me/sessions"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
DEMO = {"username": "centre", "password": "demo"}


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """Return the cookies of a response by name: the client itself drops `Secure` cookies from an http address."""
    return {
        name: morsel.value
        for line in answer.headers.get_list("set-cookie")
        for name, morsel in SimpleCookie(line).items()
    }


def header(cookies: dict[str, str], **more: str) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), **OWN_PAGE, **more}


async def signed_in(registry: ServiceUnderTest) -> dict[str, str]:
    answer = await registry.client.post(SESSION, json=DEMO, headers=OWN_PAGE)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"expires_in": 900, "refresh_expires_in": 14 * 24 * 3600}
    return cookies_of(answer)


async def test_cookies_are_hidden_from_scripts_and_other_hosts(
    registry_with_people: ServiceUnderTest,
) -> None:
    answer = await registry_with_people.client.post(SESSION, json=DEMO, headers=OWN_PAGE)
    access, refresh = (SimpleCookie(line) for line in answer.headers.get_list("set-cookie"))
    for morsel, same_site in ((access[ACCESS_COOKIE], "lax"), (refresh[REFRESH_COOKIE], "strict")):
        assert morsel.key.startswith("__Host-")
        assert (morsel["httponly"], morsel["secure"], morsel["domain"]) == (True, True, "")
        assert (morsel["path"], morsel["samesite"]) == ("/", same_site)
    assert access[ACCESS_COOKIE].value not in answer.text
    assert refresh[REFRESH_COOKIE].value not in answer.text


async def test_person_works_with_cookies_until_signing_out(registry_with_people: ServiceUnderTest) -> None:
    client = registry_with_people.client
    cookies = await signed_in(registry_with_people)
    me = await client.get(ME, headers=header(cookies))
    assert me.json()["person"]["username"] == "centre"
    # A change is checked against the session, too.
    others = await client.delete(MINE, headers=header(cookies))
    assert others.status_code == 204
    ended = await client.delete(SESSION, headers=header(cookies))
    assert (ended.status_code, set(cookies_of(ended).values())) == (204, {""})
    assert (await client.delete(MINE, headers=header(cookies))).status_code == 401
    again = await client.post(f"{SESSION}/refresh", headers=header(cookies))
    assert again.status_code == 401
    assert (await client.delete(SESSION, headers=OWN_PAGE)).status_code == 204


async def test_tabs_that_refresh_concurrently_share_the_session(registry_with_people: ServiceUnderTest) -> None:
    client = registry_with_people.client
    cookies = await signed_in(registry_with_people)
    one, other = await asyncio.gather(
        *(client.post(f"{SESSION}/refresh", headers=header(cookies)) for _ in range(2))
    )
    assert (one.status_code, other.status_code) == (200, 200)
    assert cookies_of(one)[REFRESH_COOKIE] == cookies_of(other)[REFRESH_COOKIE] != cookies[REFRESH_COOKIE]
    for answer in (one, other):
        assert (await client.get(ME, headers=header(cookies_of(answer)))).status_code == 200
    listed = await client.get(MINE, headers=header(cookies_of(one)))
    assert len(listed.json()["items"]) == 1


async def test_copied_refresh_cookie_ends_the_session(registry_with_people: ServiceUnderTest) -> None:
    client = registry_with_people.client
    first = await signed_in(registry_with_people)
    second = cookies_of(await client.post(f"{SESSION}/refresh", headers=header(first)))
    third = cookies_of(await client.post(f"{SESSION}/refresh", headers=header(second)))
    reused = await client.post(f"{SESSION}/refresh", headers=header(first))
    assert reused.status_code == 401
    # The response deletes no cookies: another tab may have signed in meanwhile.
    assert "set-cookie" not in reused.headers
    # Ending the session is committed with the refusal.
    assert (await client.post(f"{SESSION}/refresh", headers=header(third))).status_code == 401


@pytest.mark.parametrize(
    "sender",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://registry.test"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "https://registry.test.evil.example"},
        {},
    ],
    ids=lambda sender: " ".join(sender.values()) or "silent",
)
async def test_change_by_a_page_of_another_origin_is_refused(
    registry_with_people: ServiceUnderTest, sender: dict[str, str]
) -> None:
    client = registry_with_people.client
    cookies = await signed_in(registry_with_people)
    asked = {"Cookie": header(cookies)["Cookie"]} | {
        name: value.replace("registry.test", client.base_url.netloc.decode()) for name, value in sender.items()
    }
    for method, path in (("DELETE", MINE), ("POST", f"{SESSION}/refresh"), ("DELETE", SESSION)):
        refused = await client.request(method, path, headers=asked)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden"), (method, path)
    signing_in = await client.post(SESSION, json=DEMO, headers=asked)
    assert signing_in.status_code == 403
    assert (await client.post(f"{SESSION}/refresh", headers=header(cookies))).status_code == 200


async def test_page_of_the_same_origin_in_an_older_browser_is_accepted(
    registry_with_people: ServiceUnderTest,
) -> None:
    client = registry_with_people.client
    origin = {"Origin": str(client.base_url).rstrip("/")}
    answer = await client.post(SESSION, json=DEMO, headers=origin)
    cookie = {"Cookie": header(cookies_of(answer))["Cookie"]}
    assert (await client.delete(MINE, headers=cookie | origin)).status_code == 204
    assert (await client.get(ME, headers=cookie)).status_code == 200


async def test_reads_by_other_origins_are_refused_unless_they_navigate(
    registry_with_people: ServiceUnderTest,
) -> None:
    cookie = {"Cookie": header(await signed_in(registry_with_people))["Cookie"]}
    for sent, expected in (
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    ):
        answer = await registry_with_people.client.get(ME, headers=cookie | sent)
        assert answer.status_code == expected, sent


async def test_second_sign_in_ends_the_first_session(registry_with_people: ServiceUnderTest) -> None:
    client = registry_with_people.client
    former = await signed_in(registry_with_people)
    again = await client.post(SESSION, json=DEMO | {"username": "head"}, headers=header(former))
    assert again.status_code == 200
    assert (await client.post(f"{SESSION}/refresh", headers=header(former))).status_code == 401
    assert (await client.post(f"{SESSION}/refresh", headers=header(cookies_of(again)))).status_code == 200


async def test_cookie_sessions_are_refused_while_password_sign_in_is_disabled(
    registry_with_people: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookies = await signed_in(registry_with_people)
    monkeypatch.setattr(registry_with_people.service.settings, "password_sign_in", False)
    for answer in (
        await registry_with_people.client.post(f"{SESSION}/refresh", headers=header(cookies)),
        await registry_with_people.client.post(SESSION, json=DEMO, headers=OWN_PAGE),
    ):
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


async def test_authorization_header_takes_precedence_over_the_cookie(
    registry_with_people: ServiceUnderTest,
) -> None:
    cookies = await signed_in(registry_with_people)
    head = await sign_in(registry_with_people, username="head", password="demo")
    bearer = {"Authorization": f"Bearer {head.json()['access_token']}"}
    # With the header the origin is not checked: other sites cannot know the token.
    asked = header(cookies) | bearer | {"Sec-Fetch-Site": "cross-site"}
    answer = await registry_with_people.client.get(ME, headers=asked)
    assert answer.json()["person"]["username"] == "head"


async def test_wrong_password_is_counted_and_throttled(registry_with_people: ServiceUnderTest) -> None:
    client = registry_with_people.client
    wrong = DEMO | {"password": "guess"}
    for _ in range(throttle.MAX_FAILURES_PER_NAME_AND_ADDRESS):
        refused = await client.post(SESSION, json=wrong, headers=OWN_PAGE)
        assert (refused.status_code, refused.json()["type"]) == (401, "/problems/unauthenticated")
        assert "set-cookie" not in refused.headers
    throttled = await client.post(SESSION, json=DEMO, headers=OWN_PAGE)
    assert (throttled.status_code, int(throttled.headers["Retry-After"]) > 0) == (429, True)
    assert (await sign_in(registry_with_people, **DEMO)).status_code == 400


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"username": "centre"}, "/password"),
        (DEMO | {"username": ""}, "/username"),
        (DEMO | {"username": "a\x00"}, "/username"),
        (DEMO | {"password": "\ud800"}, "/password"),
        (DEMO | {"grant_type": "password"}, "/grant_type"),
    ],
)
async def test_invalid_sign_in_fields_are_named(
    registry_with_people: ServiceUnderTest, body: dict[str, str], pointer: str
) -> None:
    answer = await registry_with_people.client.post(
        SESSION, content=json.dumps(body), headers=OWN_PAGE | {"Content-Type": "application/json"}
    )
    assert (answer.status_code, pointers(answer)) == (422, {pointer})
