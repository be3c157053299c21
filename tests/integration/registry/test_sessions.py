"""Listing and ending sessions, locking and unlocking accounts, and `GET /me`."""

import asyncio
from datetime import timedelta
from typing import Any
from unittest import mock

import httpx
import pytest

from services.registry.authentication import throttle
from shared import clock
from shared.auth.rights import RIGHTS, Role
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import pointers, sign_in
from tests.support.service_under_test import ServiceUnderTest, insert_organisation

PEOPLE = "/api/v1/people"
CALENDARS = "/api/v1/calendars"
ME = "/api/v1/me"
MINE = "/api/v1/me/sessions"


def bearer(signed: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed['access_token']}"}


async def signed_in(registry: ServiceUnderTest, username: str = "centre", **headers: str) -> dict[str, Any]:
    """Start a session of one of the demo accounts."""
    answer = await registry.client.post(
        "/api/v1/auth/token",
        data={"grant_type": "password", "username": username, "password": "demo"},
        headers=headers,
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refreshed(registry: ServiceUnderTest, signed: dict[str, Any]) -> httpx.Response:
    return await sign_in(registry, grant_type="refresh_token", refresh_token=signed["refresh_token"])


async def person_id(registry: ServiceUnderTest, username: str) -> str:
    listed = await registry.client.get(PEOPLE, headers=registry.headers("operations"))
    return next(str(item["id"]) for item in listed.json()["items"] if item["username"] == username)


async def test_person_lists_and_ends_their_own_sessions(registry_with_people: ServiceUnderTest) -> None:
    desk = await signed_in(registry_with_people, **{"User-Agent": "Desk/1", "X-Real-Ip": "203.0.113.7"})
    phone = await signed_in(registry_with_people, **{"User-Agent": "Phone/2", "X-Real-Ip": "2001:db8::1"})
    await signed_in(registry_with_people, "head")
    items = (await registry_with_people.client.get(MINE, headers=bearer(desk))).json()["items"]
    assert [(item["user_agent"], item["ip_address"], item["current"]) for item in items] == [
        ("Phone/2", "2001:db8::1", False),
        ("Desk/1", "203.0.113.7", True),
    ]
    me = (await registry_with_people.client.get(ME, headers=bearer(desk))).json()
    assert me["session_id"] == items[1]["id"]
    assert (
        await registry_with_people.client.delete(f"{MINE}/{items[0]['id']}", headers=bearer(desk))
    ).status_code == 204
    gone = await registry_with_people.client.delete(f"{MINE}/{items[0]['id']}", headers=bearer(desk))
    assert gone.status_code == 404
    assert (await refreshed(registry_with_people, phone)).status_code == 400
    third, fourth = await signed_in(registry_with_people), await signed_in(registry_with_people)
    assert (await registry_with_people.client.delete(MINE, headers=bearer(desk))).status_code == 204
    assert [(await refreshed(registry_with_people, other)).status_code for other in (third, fourth, desk)] == [
        400,
        400,
        200,
    ]


async def test_session_keeps_its_id_when_refreshed(registry_with_people: ServiceUnderTest) -> None:
    first = await signed_in(registry_with_people)
    (before,) = (await registry_with_people.client.get(MINE, headers=bearer(first))).json()["items"]
    later = clock.now() + timedelta(days=13)
    with mock.patch("services.registry.authentication.sessions.clock.now", return_value=later):
        second = (await refreshed(registry_with_people, first)).json()
        (after,) = (await registry_with_people.client.get(MINE, headers=bearer(second))).json()["items"]
    assert (after["id"], after["signed_in_at"]) == (before["id"], before["signed_in_at"])
    assert after["last_used_at"] > before["last_used_at"]
    assert after["expires_at"] > before["expires_at"]


async def test_list_of_sessions_is_paged(registry_with_people: ServiceUnderTest) -> None:
    tokens = [await signed_in(registry_with_people) for _ in range(3)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await registry_with_people.client.get(
            MINE, params={"limit": "2"} | cursor, headers=bearer(tokens[0])
        )
        seen += [item["id"] for item in page.json()["items"]]
        if page.json()["next_cursor"] is None:
            break
        cursor = {"cursor": page.json()["next_cursor"]}
    assert len(set(seen)) == len(seen) == 3


async def test_operations_list_and_end_sessions_of_other_people(registry_with_people: ServiceUnderTest) -> None:
    operations = registry_with_people.headers("operations")
    one, other = await signed_in(registry_with_people, "head"), await signed_in(registry_with_people, "head")
    path = f"{PEOPLE}/{await person_id(registry_with_people, 'head')}/sessions"
    items = (await registry_with_people.client.get(path, headers=operations)).json()["items"]
    assert [item["current"] for item in items] == [False, False]
    latest = items[0]["id"]
    assert (await registry_with_people.client.delete(f"{path}/{latest}", headers=operations)).status_code == 204
    assert (await refreshed(registry_with_people, other)).status_code == 400
    elsewhere = f"{PEOPLE}/{await person_id(registry_with_people, 'centre')}/sessions/{items[1]['id']}"
    assert (await registry_with_people.client.delete(elsewhere, headers=operations)).status_code == 404
    assert (await registry_with_people.client.delete(path, headers=operations)).status_code == 204
    assert (await refreshed(registry_with_people, one)).status_code == 400
    assert (await registry_with_people.client.get(path, headers=operations)).json()["items"] == []
    looked = await registry_with_people.client.get(path, headers=registry_with_people.headers("auditor"))
    assert looked.status_code == 200
    forbidden = await registry_with_people.client.delete(path, headers=registry_with_people.headers("auditor"))
    assert forbidden.status_code == 403


async def test_locked_person_cannot_sign_in_until_unlocked(registry_with_people: ServiceUnderTest) -> None:
    operations = registry_with_people.headers("operations")
    session = await signed_in(registry_with_people, "head")
    path = f"{PEOPLE}/{await person_id(registry_with_people, 'head')}"
    unreasoned = await registry_with_people.client.post(f"{path}/lock", json={"reason": " "}, headers=operations)
    assert (unreasoned.status_code, pointers(unreasoned)) == (422, {"/reason"})
    reason = {"reason": "Телефон потерян"}
    locked = await registry_with_people.client.post(f"{path}/lock", json=reason, headers=operations)
    assert (locked.status_code, locked.headers["etag"]) == (200, '"2"')
    assert (locked.json()["locked_reason"], locked.json()["locked_at"] is not None) == ("Телефон потерян", True)
    assert (
        await registry_with_people.client.post(f"{path}/lock", json=reason, headers=operations)
    ).status_code == 409
    assert (await refreshed(registry_with_people, session)).status_code == 400
    right = await sign_in(registry_with_people, username="head", password="demo")
    wrong = await sign_in(registry_with_people, username="head", password="guess")
    assert [answer.status_code for answer in (right, wrong)] == [400, 400]
    assert "locked" in right.json()["error_description"]
    assert "locked" not in wrong.json()["error_description"]
    unlocked = await registry_with_people.client.post(f"{path}/unlock", headers=operations)
    assert (unlocked.status_code, unlocked.json()["locked_at"], unlocked.json()["version"]) == (200, None, 3)
    assert (await sign_in(registry_with_people, username="head", password="demo")).status_code == 200
    again = await registry_with_people.client.post(f"{path}/unlock", headers=operations)
    assert (again.status_code, again.json()["version"]) == (200, 3)


async def test_unlocking_clears_failed_sign_ins(registry_with_people: ServiceUnderTest) -> None:
    for _ in range(throttle.MAX_FAILURES_PER_NAME_AND_ADDRESS):
        await sign_in(registry_with_people, username="head", password="guess")
    assert (await sign_in(registry_with_people, username="head", password="demo")).status_code == 400
    path = f"{PEOPLE}/{await person_id(registry_with_people, 'head')}/unlock"
    await registry_with_people.client.post(path, headers=registry_with_people.headers("operations"))
    assert (await sign_in(registry_with_people, username="head", password="demo")).status_code == 200


async def test_locking_oneself_or_staff_of_another_organisation_is_refused(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    own, foreign = await insert_organisation(database), await insert_organisation(database, name="Чужая")
    made = {}
    for username, place, role in (
        ("mine", own, "executor"),
        ("theirs", foreign, "executor"),
        ("me", own, "manager"),
    ):
        body = {"username": username, "full_name": "Имя", "role": role, "password": "correct horse 9"}
        answer = await registry.client.post(
            PEOPLE, json=body | {"organisation_id": str(place)}, headers=registry.headers("operations")
        )
        made[username] = answer.json()["id"]
    manager = registry.headers("manager", own)
    reason = {"reason": "Уволен"}
    locked = await registry.client.post(f"{PEOPLE}/{made['mine']}/lock", json=reason, headers=manager)
    assert locked.status_code == 200
    for method, path in (
        ("POST", "lock"),
        ("POST", "unlock"),
        ("GET", "sessions"),
        ("DELETE", "sessions"),
        ("DELETE", f"sessions/{made['mine']}"),
    ):
        answer = await registry.client.request(
            method, f"{PEOPLE}/{made['theirs']}/{path}", json=reason, headers=manager
        )
        assert answer.status_code == 404, (method, path)
    oneself = {"Authorization": f"Bearer {registry.token('manager', own, subject=made['me'])}"}
    refused = await registry.client.post(f"{PEOPLE}/{made['me']}/lock", json=reason, headers=oneself)
    assert refused.status_code == 409


async def test_narrowed_token_cannot_lock_out_a_person_who_has_more_rights(
    registry_with_people: ServiceUnderTest,
) -> None:
    registry = registry_with_people
    headers = {"Authorization": f"Bearer {registry.token('operations', scope='people:manage people:read')}"}
    session = await signed_in(registry, "head")
    path = f"{PEOPLE}/{await person_id(registry, 'head')}"
    listed = await registry.client.get(f"{path}/sessions", headers=headers)
    refused = [
        await registry.client.post(f"{path}/lock", json={"reason": "Уволен"}, headers=headers),
        await registry.client.delete(f"{path}/sessions", headers=headers),
        await registry.client.delete(f"{path}/sessions/{listed.json()['items'][0]['id']}", headers=headers),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert "rights that its token does not have" in refused[0].json()["detail"]
    assert (await refreshed(registry, session)).status_code == 200
    enough = " ".join({"people:manage"} | {right.value for right in RIGHTS[Role.HEAD]})
    equal = {"Authorization": f"Bearer {registry.token('operations', scope=enough)}"}
    locked = await registry.client.post(f"{path}/lock", json={"reason": "Уволен"}, headers=equal)
    assert locked.status_code == 200, locked.text


async def test_last_sign_in_is_recorded_without_a_new_version(
    registry_with_people: ServiceUnderTest,
) -> None:
    operations = registry_with_people.headers("operations")
    path = f"{PEOPLE}/{await person_id(registry_with_people, 'head')}"
    before = (await registry_with_people.client.get(path, headers=operations)).json()
    assert before["last_sign_in_at"] is None
    await sign_in(registry_with_people, username="head", password="guess")
    assert (await registry_with_people.client.get(path, headers=operations)).json()["last_sign_in_at"] is None
    signed = await signed_in(registry_with_people, "head")
    after = (await registry_with_people.client.get(path, headers=operations)).json()
    assert after["last_sign_in_at"] is not None
    assert (after["version"], after["updated_at"]) == (before["version"], before["updated_at"])
    me = (await registry_with_people.client.get(ME, headers=bearer(signed))).json()
    assert me["person"]["last_sign_in_at"] == after["last_sign_in_at"]


async def test_session_started_or_refreshed_during_a_lock_is_ended(
    registry_with_people: ServiceUnderTest,
) -> None:
    operations = registry_with_people.headers("operations")
    sessions = [await signed_in(registry_with_people, "head") for _ in range(4)]
    path = f"{PEOPLE}/{await person_id(registry_with_people, 'head')}/lock"
    answers = await asyncio.gather(
        *(refreshed(registry_with_people, session) for session in sessions),
        registry_with_people.client.post(path, json={"reason": "Срочно"}, headers=operations),
        sign_in(registry_with_people, username="head", password="demo"),
    )
    assert all(answer.status_code < 500 for answer in answers)
    for answer in answers:
        if "refresh_token" in answer.json():
            assert (await refreshed(registry_with_people, answer.json())).status_code == 400


async def test_me_returns_the_person_the_organisation_and_the_rights(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    place = await insert_organisation(database, name="Школа № 71", municipality="81701000")
    body = {
        "username": "t.ivanova",
        "full_name": "Татьяна Иванова",
        "role": "manager",
        "password": "correct horse 9",
    }
    operations = registry.headers("operations")
    made = await registry.client.post(
        PEOPLE, json=body | {"organisation_id": str(place), "include_subordinates": True}, headers=operations
    )
    signed = (await sign_in(registry, username="t.ivanova", password=body["password"])).json()
    me = (await registry.client.get(ME, headers=bearer(signed))).json()
    person = me["person"]
    assert (person["id"], person["username"], person["kind"]) == (made.json()["id"], "t.ivanova", "person")
    assert me["organisation"] == {
        "id": str(place),
        "name": "Школа № 71",
        "short_name": None,
        "kind": "institution",
        "municipality": "81701000",
        "active": True,
    }
    assert (me["include_subordinates"], me["time_zone"]) == (True, "Asia/Irkutsk")
    assert "people:manage" in me["rights"]
    client = await registry.client.post(
        "/api/v1/clients", json={"name": "Сайт", "role": "head"}, headers=operations
    )
    system = await sign_in(
        registry,
        grant_type="client_credentials",
        client_id=client.json()["id"],
        client_secret=client.json()["secret"],
    )
    me = (await registry.client.get(ME, headers=bearer(system.json()))).json()
    assert (me["person"]["kind"], me["person"]["username"], me["session_id"]) == ("client", None, None)
    assert (await registry.client.get(MINE, headers=bearer(system.json()))).json()["items"] == []


@pytest.mark.parametrize("agent", ["", "x" * 1000, "tab\tin it"])
async def test_any_user_agent_header_is_accepted(registry_with_people: ServiceUnderTest, agent: str) -> None:
    signed = await signed_in(registry_with_people, **{"User-Agent": agent})
    (item,) = (await registry_with_people.client.get(MINE, headers=bearer(signed))).json()["items"]
    assert len(item["user_agent"] or "") <= 300


async def test_access_token_of_an_ended_session_can_read_but_not_change(
    registry_with_people: ServiceUnderTest,
) -> None:
    body = {"name": "Календарь", "time_zone": "Asia/Irkutsk", "weekly": {"1": [["09:00", "18:00"]]}}
    kept, lost = await signed_in(registry_with_people), await signed_in(registry_with_people)
    assert (await registry_with_people.client.post(CALENDARS, json=body, headers=bearer(lost))).status_code == 201
    assert (await registry_with_people.client.delete(MINE, headers=bearer(kept))).status_code == 204
    refused = await registry_with_people.client.post(
        CALENDARS, json=body | {"name": "Другой"}, headers=bearer(lost)
    )
    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/unauthenticated")
    assert (await registry_with_people.client.get(CALENDARS, headers=bearer(lost))).status_code == 200
    again = await refreshed(registry_with_people, kept)
    answer = await registry_with_people.client.post(
        CALENDARS, json=body | {"name": "Другой"}, headers=bearer(again.json())
    )
    assert answer.status_code == 201
