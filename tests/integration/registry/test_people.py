"""People with access: who may grant it, and what ends sessions."""

import asyncio
from typing import Any
from unittest import mock
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.pool import AsyncAdaptedQueuePool

from shared.fair_queue import FairQueue
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers, sign_in
from tests.support.eventually import HANG_SECONDS
from tests.support.service_under_test import ServiceUnderTest, insert_organisation

PATH = "/api/v1/people"
PASSWORD = "correct horse 9"
PERSON: dict[str, Any] = {
    "username": "T.Ivanova",
    "full_name": "Татьяна Иванова",
    "role": "moderator",
    "password": PASSWORD,
}


async def test_created_person_is_listed_and_can_sign_in(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    made = await registry.client.post(PATH, json=PERSON, headers=operations)
    assert made.status_code == 201, made.text
    assert (made.json()["username"], made.json()["role"]) == ("t.ivanova", "moderator")
    assert "password" not in made.text
    listed = (await registry.client.get(PATH, params={"role": "moderator"}, headers=operations)).json()
    assert listed["items"] == [made.json()]
    one = await registry.client.get(f"{PATH}/{made.json()['id']}", headers=operations)
    assert (one.json(), one.headers["etag"][:3]) == (made.json(), '"1-')
    assert (await sign_in(registry, username="t.ivanova", password=PASSWORD)).status_code == 200
    again = await registry.client.post(PATH, json=PERSON, headers=operations)
    assert again.status_code == 409
    assert pointers(again) == {"/username"}


async def test_no_connection_is_held_during_password_hashing(registry: ServiceUnderTest) -> None:
    pool = registry.service.database.engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    held: list[int] = []

    async def hashed(_password: str) -> str:
        held.append(pool.checkedout())
        return f"hash {len(held)}"

    operations = registry.headers("operations", **{"If-Match": "*", "Idempotency-Key": "once"})
    with mock.patch("services.registry.authentication.passwords.hash_password", hashed):
        made = await registry.client.post(PATH, json=PERSON, headers=operations)
        change = {"password": "another horse 10"}
        changed = await registry.client.patch(f"{PATH}/{made.json()['id']}", json=change, headers=operations)
    assert (made.status_code, changed.status_code) == (201, 200)
    assert held == [0, 0]


async def test_password_is_hashed_only_for_a_caller_who_may_set_it(registry: ServiceUnderTest) -> None:
    hashed: list[str] = []

    async def count(password: str) -> str:
        hashed.append(password)
        return "hash"

    operations = registry.headers("operations", **{"If-Match": "*"})
    place = (await make(registry, "/organisations", name="Школа", kind="institution"))["id"]
    other = (await make(registry, "/organisations", name="Другая школа", kind="institution"))["id"]
    made = (await registry.client.post(PATH, json=PERSON, headers=operations)).json()
    # The token of somebody who no longer has access.
    gone = {"Authorization": f"Bearer {registry.token('operations', subject=str(uuid4()))}", "If-Match": "*"}
    manager = registry.headers("manager", place, **{"If-Match": "*"})
    new = PERSON | {"username": "other", "role": "executor", "organisation_id": other}
    change, path = {"password": "another horse 10"}, f"{PATH}/{made['id']}"
    with mock.patch("services.registry.authentication.passwords.hash_password", count):
        answers = [
            await registry.client.post(PATH, json=PERSON | {"username": "other"}, headers=gone),
            await registry.client.patch(path, json=change, headers=gone),
            await registry.client.post(PATH, json=new, headers=manager),
            await registry.client.patch(path, json=change, headers=manager),
            await registry.client.patch(f"{PATH}/{uuid4()}", json=change, headers=operations),
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 403, 404, 404]
    assert hashed == []


async def test_new_passwords_wait_in_the_queue_of_sign_in(registry: ServiceUnderTest) -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def waits(_password: str) -> str:
        if not begun.is_set():
            begun.set()
            await released.wait()
        return "hash"

    operations = registry.headers("operations", **{"If-Match": "*"})
    queue = FairQueue(concurrency=1, max_waiting=0)
    with (
        mock.patch("services.registry.authentication.passwords.hash_password", waits),
        mock.patch("services.registry.authentication.sign_in.PASSWORD_CHECK_QUEUE", queue),
    ):
        async with asyncio.timeout(HANG_SECONDS):
            first = asyncio.create_task(registry.client.post(PATH, json=PERSON, headers=operations))
            await begun.wait()
            refused = await registry.client.post(PATH, json=PERSON | {"username": "other"}, headers=operations)
            signed_in = await sign_in(registry, username="t.ivanova", password=PASSWORD)
            released.set()
            made = await first
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert signed_in.status_code == 429
    assert made.status_code == 201


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"password": "demo"}, {"/password"}),
        ({"username": "Имя"}, {"/username"}),
        ({"role": "emperor"}, {"/role"}),
        ({"role": "executor"}, {"/organisation_id"}),
        ({"role": "executor", "organisation_id": str(uuid4())}, {"/organisation_id"}),
        ({"organisation_id": str(uuid4())}, {"/organisation_id"}),
        ({"full_name": ""}, {"/full_name"}),
    ],
)
async def test_invalid_field_is_refused_and_named(
    registry: ServiceUnderTest, wrong: dict[str, Any], named: set[str]
) -> None:
    answer = await registry.client.post(PATH, json=PERSON | wrong, headers=registry.headers("operations"))
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == named


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        ({"active": False}, True),
        ({"password": "another horse 10"}, True),
        ({"role": "head"}, True),
        ({"full_name": "Т. Иванова"}, False),
    ],
)
async def test_change_of_access_ends_the_sessions_of_the_person(
    registry: ServiceUnderTest, change: dict[str, Any], ends: bool
) -> None:
    operations = registry.headers("operations")
    made = (await registry.client.post(PATH, json=PERSON, headers=operations)).json()
    session = (await sign_in(registry, username="t.ivanova", password=PASSWORD)).json()
    path = f"{PATH}/{made['id']}"
    assert (await registry.client.patch(path, json=change, headers=operations)).status_code == 428
    changed = await registry.client.patch(path, json=change, headers=operations | {"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    stale = await registry.client.patch(path, json=change, headers=operations | {"If-Match": '"1"'})
    assert stale.status_code == 412
    goes_on = await sign_in(registry, grant_type="refresh_token", refresh_token=session["refresh_token"])
    assert (goes_on.status_code == 400) == ends
    old_password = await sign_in(registry, username="t.ivanova", password=PASSWORD)
    assert (old_password.status_code == 400) == ("password" in change or "active" in change)


async def test_person_moves_between_centre_and_organisation(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations", **{"If-Match": "*"})
    made = (await registry.client.post(PATH, json=PERSON, headers=operations)).json()
    path = f"{PATH}/{made['id']}"
    lacking = await registry.client.patch(path, json={"role": "executor"}, headers=operations)
    assert pointers(lacking) == {"/organisation_id"}
    place = (await make(registry, "/organisations", name="Школа", kind="institution"))["id"]
    moved = await registry.client.patch(
        path, json={"role": "executor", "organisation_id": place}, headers=operations
    )
    assert (moved.json()["role"], moved.json()["organisation_id"]) == ("executor", place)
    assert moved.json()["organisation"] == {"id": place, "name": "Школа"}
    back = await registry.client.patch(path, json={"role": "head", "organisation_id": None}, headers=operations)
    assert (back.json()["role"], back.json()["organisation_id"]) == ("head", None)
    assert back.json()["organisation"] is None


async def test_person_cannot_change_their_own_access(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations", **{"If-Match": "*"})
    made = (await registry.client.post(PATH, json=PERSON | {"role": "operations"}, headers=operations)).json()
    own = {"Authorization": f"Bearer {registry.token('operations', subject=made['id'])}", "If-Match": "*"}
    for change in ({"active": False}, {"role": "head"}):
        answer = await registry.client.patch(f"{PATH}/{made['id']}", json=change, headers=own)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")


async def test_repeated_request_creates_one_person(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations", **{"Idempotency-Key": "k"})
    first = await registry.client.post(PATH, json=PERSON, headers=operations)
    second = await registry.client.post(PATH, json=PERSON, headers=operations)
    assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())


async def test_invalid_client_is_refused(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    for body, field in (
        ({"name": "Сайт", "role": "executor"}, "/organisation_id"),
        ({"name": "Сайт", "role": "head", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "Сайт", "role": "head", "secret": "mine"}, "/secret"),
    ):
        answer = await registry.client.post("/api/v1/clients", json=body, headers=operations)
        assert answer.status_code == 422
        assert pointers(answer) == {field}


async def test_client_cannot_grant_people_rights_beyond_its_own_scope(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    made = (await registry.client.post(PATH, json=PERSON | {"role": "head"}, headers=operations)).json()
    path = f"{PATH}/{made['id']}"

    async def tried(scope: str) -> list[int]:
        token = registry.token("operations", scope=scope)
        headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
        new = PERSON | {"username": f"new{len(scope)}", "role": "head"}
        answers = [
            await registry.client.post(PATH, json=new, headers=headers),
            await registry.client.patch(path, json={"password": "another horse 10"}, headers=headers),
            await registry.client.post(f"{path}/unlock", headers=headers),
            await registry.client.patch(path, json={"role": "moderator"}, headers=headers),
        ]
        return [answer.status_code for answer in answers]

    assert await tried("people:manage") == [403, 403, 403, 403]
    # The scope has all rights of a head but not of a moderator: the client may create and change only heads.
    assert await tried("people:manage registry:read appeals:read metrics:read reports:read") == [
        201,
        200,
        200,
        403,
    ]


@pytest.mark.parametrize("change", [{"active": False}, {"role": "head"}, None])
async def test_person_with_revoked_access_cannot_grant_access_with_an_old_token(
    registry: ServiceUnderTest, change: dict[str, Any] | None
) -> None:
    """`change` null: the caller is locked."""
    operations = registry.headers("operations", **{"If-Match": "*"})
    thief = (await registry.client.post(PATH, json=PERSON | {"role": "operations"}, headers=operations)).json()
    signed = (await sign_in(registry, username=thief["username"], password=PASSWORD)).json()
    own = {"Authorization": f"Bearer {signed['access_token']}", "If-Match": "*"}
    assert (await registry.client.post(PATH, json=PERSON | {"username": "one"}, headers=own)).status_code == 201
    path = f"{PATH}/{thief['id']}"
    if change is None:
        taken = await registry.client.post(f"{path}/lock", json={"reason": "Утечка"}, headers=operations)
    else:
        taken = await registry.client.patch(path, json=change, headers=operations)
    assert taken.status_code == 200, taken.text
    assert (await registry.client.get(PATH, headers=own)).status_code == 200  # The token itself is still valid.
    late = [
        await registry.client.post(PATH, json=PERSON | {"username": "two"}, headers=own),
        await registry.client.post(f"{path}/unlock", headers=own),
        await registry.client.post("/api/v1/clients", json={"name": "Сайт", "role": "head"}, headers=own),
    ]
    assert [(answer.status_code, answer.json()["type"]) for answer in late] == [
        (401, "/problems/unauthenticated")
    ] * 3


async def test_only_the_level_that_took_access_away_or_one_above_it_gives_it_back(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    ministry = await insert_organisation(database, name="Министерство")
    school = await insert_organisation(database, name="Школа", parent=ministry)
    centre = registry.headers("operations", **{"If-Match": "*"})
    above = {
        "Authorization": f"Bearer {registry.token('manager', ministry, include_subordinates=True)}",
        "If-Match": "*",
    }
    new = {"role": "manager", "organisation_id": str(school)}
    locked = (await registry.client.post(PATH, json=PERSON | new, headers=centre)).json()
    new_client = {"name": "Сайт", "role": "manager", "organisation_id": str(school)}
    made = (await registry.client.post("/api/v1/clients", json=new_client, headers=centre)).json()
    signed = await sign_in(
        registry, grant_type="client_credentials", client_id=made["id"], client_secret=made["secret"]
    )
    own_client = {"Authorization": f"Bearer {signed.json()['access_token']}", "If-Match": "*"}
    path = f"{PATH}/{locked['id']}"

    async def lock(headers: dict[str, str]) -> httpx.Response:
        return await registry.client.post(f"{path}/lock", json={"reason": "Подозрение"}, headers=headers)

    async def unlock(headers: dict[str, str]) -> int:
        return (await registry.client.post(f"{path}/unlock", headers=headers)).status_code

    async def activate(active: bool, headers: dict[str, str]) -> int:
        return (await registry.client.patch(path, json={"active": active}, headers=headers)).status_code

    # The levels from the lowest to the highest, and the organisation that each stores.
    levels = ((own_client, str(school)), (above, str(ministry)), (centre, None))
    for number, (headers, stored) in enumerate(levels):
        done = (await lock(headers)).json()
        assert (done["locked_by_organisation_id"], done["locked_at"] is not None) == (stored, True)
        assert [await unlock(lower) for lower, _ in levels[:number]] == [403] * number
        assert [(await lock(lower)).status_code for lower, _ in levels[: number + 1]] == [409] * (number + 1)
        assert await unlock(headers) == 200
        assert await activate(False, headers) == 200
        shown = (await registry.client.get(path, headers=centre)).json()
        assert (shown["deactivated_by_organisation_id"], shown["locked_by_organisation_id"]) == (stored, None)
        assert [await activate(True, lower) for lower, _ in levels[:number]] == [403] * number
        # If a lower or the same level repeats a deactivation, it stays with the level that made it first.
        for lower, _ in levels[: number + 1]:
            assert await activate(False, lower) == 200
        again = (await registry.client.get(path, headers=centre)).json()
        assert (again["deactivated_by_organisation_id"], again["version"]) == (stored, shown["version"])
        assert await activate(True, headers) == 200
    # A level above takes over a deactivation and a lock.
    for headers, stored in levels:
        assert await activate(False, headers) == 200
        shown = (await registry.client.get(path, headers=centre)).json()
        assert shown["deactivated_by_organisation_id"] == stored
    assert [await activate(True, headers) for headers, _ in levels] == [403, 403, 200]
    for headers, stored in levels:
        assert (await lock(headers)).json()["locked_by_organisation_id"] == stored
    assert [await unlock(headers) for headers, _ in levels] == [403, 403, 200]
