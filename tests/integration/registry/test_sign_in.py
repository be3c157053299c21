"""Sign-in: passwords, sessions, clients, and refused requests."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import AsyncAdaptedQueuePool

from cli.deployment.signing_keys import ensure_keys
from services.registry import worker
from services.registry.access import people
from services.registry.authentication import passwords, throttle
from services.registry.authentication import sign_in as sign_in_module
from services.registry.authentication.token_issuer import ACCESS_TOKEN_LIFETIME
from shared import clock
from shared.auth import tokens
from shared.database.sessions import POOL_SIZES
from shared.fair_queue import FairQueue
from shared.tables.registry import Person
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, sign_in
from tests.support.eventually import HANG_SECONDS
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, service_under_test

ME = "/api/v1/me"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_person_signs_in_with_password(registry_with_people: ServiceUnderTest) -> None:
    answer = await sign_in(registry_with_people, username="Centre ", password="demo")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    me = (await registry_with_people.client.get(ME, headers=bearer(body["access_token"]))).json()
    assert (me["person"]["name"], me["person"]["role"]) == ("Модератор центра", "moderator")
    assert me["organisation"] is None
    assert "registry:write" in me["rights"]
    assert "people:manage" not in me["rights"]


@pytest.mark.parametrize("path", ["token", "revoke", "session"])
async def test_large_body_of_a_stranger_is_refused(registry: ServiceUnderTest, path: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for size, status in ((16 * 1024, {400, 403, 422}), (16 * 1024 + 1, {413})):
        answer = await registry.client.post(f"/api/v1/auth/{path}", content=b"&" * size, headers=form)
        assert answer.status_code in status, answer.text


@asynccontextmanager
async def _registry_with_own_keys(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    """Run registry with people, and with keys that a test may replace."""
    ensure_keys(keys_dir)
    async with service_under_test("registry", database, keys_dir) as registry:
        async with registry.service.database.write() as session:
            await people.ensure_demo_people(session)
        yield registry


async def test_published_keys_verify_a_token(registry_with_people: ServiceUnderTest) -> None:
    body = (await sign_in(registry_with_people, username="head", password="demo")).json()
    published = (await registry_with_people.client.get("/.well-known/jwks.json")).json()
    assert all("d" not in key for key in published["keys"])
    keys = KeySet.import_key_set(published)
    decoded = jwt.decode(body["access_token"], keys, algorithms=["Ed25519"])
    assert decoded.header["kid"].startswith("gospablik.")
    assert decoded.claims["role"] == "head"
    assert decoded.claims["exp"] - decoded.claims["iat"] == ACCESS_TOKEN_LIFETIME.total_seconds()


async def test_person_signs_in_between_a_rotation_of_keys_and_the_restart(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with _registry_with_own_keys(database, tmp_path) as registry:
        former = (await sign_in(registry, username="head", password="demo")).json()["access_token"]
        assert (await registry.client.get(ME, headers=bearer(former))).status_code == 200
        (tmp_path / "people.jwk").unlink()
        ensure_keys(tmp_path)
        new = (await sign_in(registry, username="head", password="demo")).json()["access_token"]
        for token in (new, former):
            assert (await registry.client.get(ME, headers=bearer(token))).status_code == 200
        published = KeySet.import_key_set((await registry.client.get("/.well-known/jwks.json")).json())
        assert jwt.decode(new, published, algorithms=["Ed25519"]).claims["role"] == "head"


async def test_token_of_staff_contains_their_organisation(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    organisation_id = await insert_organisation(database, name="Школа № 71")
    async with registry.service.database.write() as session:
        await people.ensure_demo_people(session, organisation_id)
        await people.ensure_demo_people(session, organisation_id)
    body = (await sign_in(registry, username="org", password="demo")).json()
    me = (await registry.client.get(ME, headers=bearer(body["access_token"]))).json()
    assert (me["organisation"]["id"], me["organisation"]["name"]) == (str(organisation_id), "Школа № 71")


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"username": "centre", "password": "wrong"}, 400, "invalid_grant"),
        ({"username": "nobody", "password": "demo"}, 400, "invalid_grant"),
        ({"username": "cen\x00tre", "password": "demo"}, 400, "invalid_grant"),
        ({"username": "centre"}, 400, "invalid_request"),
        ({"username": "centre", "password": "x" * 1001}, 400, "invalid_request"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, 400, "invalid_grant"),
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_id": str(uuid4()), "client_secret": "y"},
            401,
            "invalid_client",
        ),
    ],
)
async def test_errors_have_the_oauth_format(
    registry_with_people: ServiceUnderTest, form: dict[str, str], status: int, error: str
) -> None:
    answer = await sign_in(registry_with_people, **form)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"] == error
    assert set(answer.json()) == {"error", "error_description"}
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_body_other_than_a_single_form_is_refused(registry_with_people: ServiceUnderTest) -> None:
    path = "/api/v1/auth/token"
    as_json = await registry_with_people.client.post(path, json={"grant_type": "password"})
    twice = await registry_with_people.client.post(
        path,
        content="grant_type=password&username=centre&username=ops&password=demo",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert [answer.json()["error"] for answer in (as_json, twice)] == ["invalid_request"] * 2


async def test_repeated_wrong_passwords_are_throttled(registry_with_people: ServiceUnderTest) -> None:
    for _ in range(throttle.MAX_FAILURES_PER_NAME_AND_ADDRESS):
        assert (await sign_in(registry_with_people, username="ops", password="guess")).status_code == 400
    right = await sign_in(registry_with_people, username="ops", password="demo")
    assert (right.status_code, right.json()["error"]) == (400, "temporarily_unavailable")
    assert 0 < int(right.headers["retry-after"]) <= 31
    assert (await sign_in(registry_with_people, username="centre", password="demo")).status_code == 200
    later = clock.now() + timedelta(seconds=31)
    with mock.patch("services.registry.authentication.sign_in.clock.now", return_value=later):
        assert (await sign_in(registry_with_people, username="ops", password="demo")).status_code == 200
        assert (await sign_in(registry_with_people, username="ops", password="guess")).status_code == 400
        assert (await sign_in(registry_with_people, username="ops", password="demo")).status_code == 200


ATTACKER, OTHER = {"X-Real-Ip": "203.0.113.9"}, {"X-Real-Ip": "198.51.100.7"}


async def try_sign_in(registry: ServiceUnderTest, name: str, password: str, **headers: str) -> httpx.Response:
    form = {"grant_type": "password", "username": name, "password": password}
    return await registry.client.post("/api/v1/auth/token", data=form, headers=headers)


async def test_wrong_passwords_from_one_address_do_not_block_the_user_at_another(
    registry_with_people: ServiceUnderTest,
) -> None:
    for _ in range(throttle.MAX_FAILURES_PER_NAME_AND_ADDRESS):
        await try_sign_in(registry_with_people, "ops", "guess", **ATTACKER)
    blocked = await try_sign_in(registry_with_people, "ops", "demo", **ATTACKER)
    assert blocked.json()["error"] == "temporarily_unavailable"
    assert (await try_sign_in(registry_with_people, "ops", "demo", **OTHER)).status_code == 200
    # An address that the client claims in a header is ignored.
    forged = ATTACKER | {"X-Forwarded-For": OTHER["X-Real-Ip"]}
    assert (await try_sign_in(registry_with_people, "ops", "demo", **forged)).json()[
        "error"
    ] == "temporarily_unavailable"


async def test_guesses_from_many_addresses_throttle_the_name_except_from_known_addresses(
    registry_with_people: ServiceUnderTest,
) -> None:
    assert (await try_sign_in(registry_with_people, "ops", "demo", **OTHER)).status_code == 200
    for number in range(throttle.MAX_FAILURES_PER_NAME):
        await try_sign_in(registry_with_people, "ops", "guess", **{"X-Real-Ip": f"203.0.113.{number}"})
    fresh = await try_sign_in(registry_with_people, "ops", "demo", **{"X-Real-Ip": "203.0.113.200"})
    assert fresh.json()["error"] == "temporarily_unavailable"
    assert (await try_sign_in(registry_with_people, "ops", "demo", **OTHER)).status_code == 200
    assert (await try_sign_in(registry_with_people, "centre", "demo", **ATTACKER)).status_code == 200


async def test_guesses_of_many_names_throttle_the_address_except_for_known_names(
    registry_with_people: ServiceUnderTest,
) -> None:
    assert (await try_sign_in(registry_with_people, "ops", "demo", **ATTACKER)).status_code == 200
    for number in range(throttle.MAX_FAILURES_PER_ADDRESS):
        await try_sign_in(registry_with_people, f"guess{number}", "guess", **ATTACKER)
    assert (await try_sign_in(registry_with_people, "centre", "demo", **ATTACKER)).json()[
        "error"
    ] == "temporarily_unavailable"
    assert (await try_sign_in(registry_with_people, "ops", "demo", **ATTACKER)).status_code == 200
    assert (await try_sign_in(registry_with_people, "centre", "demo", **OTHER)).status_code == 200


@contextmanager
def held_password_checks(max_waiting: int) -> Iterator[tuple[FairQueue, list[str], asyncio.Event]]:
    """Hold password checks, one at a time, until the event; yield the queue, the started checks and the event."""
    begun: list[str] = []
    released = asyncio.Event()

    async def waits(_stored: str | None, password: str) -> bool:
        begun.append(password)
        await released.wait()
        return password == "demo"

    queue = FairQueue(concurrency=1, max_waiting=max_waiting)
    with (
        mock.patch("services.registry.authentication.sign_in.passwords.verify_password", waits),
        mock.patch("services.registry.authentication.sign_in.PASSWORD_CHECK_QUEUE", queue),
    ):
        yield queue, begun, released


async def test_sign_in_with_a_full_queue_gets_429(registry_with_people: ServiceUnderTest) -> None:
    with held_password_checks(max_waiting=4) as (_, _, released):
        async with asyncio.timeout(HANG_SECONDS):
            flood = [
                asyncio.create_task(try_sign_in(registry_with_people, f"guess{n}", "guess", **ATTACKER))
                for n in range(18)
            ]
            while sum(task.done() for task in flood) < 13:
                await asyncio.sleep(0.01)
            honest = asyncio.create_task(try_sign_in(registry_with_people, "ops", "demo", **OTHER))
            while sum(task.done() for task in flood) < 14:
                await asyncio.sleep(0.01)
            # Refresh and client sign-ins do not wait in that queue.
            unknown = await sign_in(registry_with_people, **REFRESH, refresh_token="unknown")
            assert unknown.json()["error"] == "invalid_grant"
            client = {"grant_type": "client_credentials", "client_id": str(uuid4()), "client_secret": "wrong"}
            assert (await sign_in(registry_with_people, **client)).json()["error"] == "invalid_client"
            released.set()
            assert (await honest).status_code == 200
            answers = await asyncio.gather(*flood)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 14
    assert refused[0].json()["error"] == "temporarily_unavailable"
    assert int(refused[0].headers["retry-after"]) > 0


async def test_flood_from_one_address_does_not_delay_lookups_of_another(
    registry_with_people: ServiceUnderTest,
) -> None:
    begun: list[str] = []
    released = asyncio.Event()
    looked_up = sign_in_module._find_person

    async def waits(session: AsyncSession, name: str) -> Person | None:
        begun.append(name)
        await released.wait()
        return await looked_up(session, name)

    lookups = FairQueue(concurrency=2, max_waiting=64)
    with (
        mock.patch("services.registry.authentication.sign_in._find_person", waits),
        mock.patch("services.registry.authentication.sign_in.ATTEMPT_LOOKUP_QUEUE", lookups),
    ):
        async with asyncio.timeout(HANG_SECONDS):
            flood = [
                asyncio.create_task(try_sign_in(registry_with_people, f"guess{n}", "guess", **ATTACKER))
                for n in range(18)
            ]
            while lookups.waiting < 16:
                await asyncio.sleep(0.01)
            honest = asyncio.create_task(try_sign_in(registry_with_people, "ops", "demo", **OTHER))
            while lookups.waiting < 17:
                await asyncio.sleep(0.01)
            assert len(begun) == 2
            released.set()
            assert (await honest).status_code == 200
            await asyncio.gather(*flood)
    assert begun.index("ops") <= 3


async def test_attempt_from_known_address_is_checked_first(registry_with_people: ServiceUnderTest) -> None:
    assert (await try_sign_in(registry_with_people, "ops", "demo", **OTHER)).status_code == 200
    with held_password_checks(max_waiting=64) as (queue, begun, released):
        async with asyncio.timeout(HANG_SECONDS):
            strangers = [
                asyncio.create_task(try_sign_in(registry_with_people, f"guess{n}", f"guess{n}", **OTHER))
                for n in range(4)
            ]
            while queue.waiting < 3:
                await asyncio.sleep(0.01)
            known = asyncio.create_task(try_sign_in(registry_with_people, "ops", "demo", **OTHER))
            while queue.waiting < 4:
                await asyncio.sleep(0.01)
            released.set()
            assert (await known).status_code == 200
            await asyncio.gather(*strangers)
    assert begun.index("demo") == 1


async def test_no_connection_is_held_during_password_checks(registry_with_people: ServiceUnderTest) -> None:
    pool = registry_with_people.service.database.engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    guesses = POOL_SIZES["registry"] * 2
    at_once = passwords.MAX_CONCURRENT_HASHES
    arrived, released = asyncio.Semaphore(0), asyncio.Event()

    async def waits(_stored: str | None, _password: str) -> bool:
        arrived.release()
        await released.wait()
        return False

    with mock.patch("services.registry.authentication.sign_in.passwords.verify_password", waits):
        async with asyncio.timeout(HANG_SECONDS):
            flood = [
                asyncio.create_task(sign_in(registry_with_people, username=f"guess{n}", password="guess"))
                for n in range(guesses)
            ]
            for _ in range(at_once):
                await arrived.acquire()
            while sign_in_module.PASSWORD_CHECK_QUEUE.waiting < guesses - at_once:
                await asyncio.sleep(0.01)
            assert pool.checkedout() == 0
            read = await registry_with_people.client.get(
                "/api/v1/organisations", headers=registry_with_people.headers("moderator")
            )
            released.set()
            answers = await asyncio.gather(*flood)
    assert read.status_code == 200
    assert {answer.json()["error"] for answer in answers} == {"invalid_grant"}


async def test_concurrent_guesses_are_throttled(registry_with_people: ServiceUnderTest) -> None:
    compared, released = asyncio.Event(), asyncio.Event()

    async def right_one_waits(_stored: str | None, password: str) -> bool:
        if password == "demo":
            compared.set()
            await released.wait()
        return password == "demo"

    with mock.patch("services.registry.authentication.sign_in.passwords.verify_password", right_one_waits):
        async with asyncio.timeout(HANG_SECONDS):
            right = asyncio.create_task(sign_in(registry_with_people, username="ops", password="demo"))
            await compared.wait()
            for _ in range(throttle.MAX_FAILURES_PER_NAME_AND_ADDRESS):
                await sign_in(registry_with_people, username="ops", password="guess")
            released.set()
            answer = await right
    assert (answer.status_code, answer.json()["error"]) == (400, "temporarily_unavailable")


async def test_hash_with_weaker_parameters_is_upgraded(
    registry_with_people: ServiceUnderTest, database: TestDatabase
) -> None:
    connection = await database.connect()
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("demo")
    await connection.execute("UPDATE people SET password_hash = $1 WHERE username = 'centre'", weak)
    assert (await sign_in(registry_with_people, username="centre", password="demo")).status_code == 200
    renewed = await connection.fetchval("SELECT password_hash FROM people WHERE username = 'centre'")
    await connection.close()
    assert not passwords.needs_rehash(renewed)
    assert (await sign_in(registry_with_people, username="centre", password="demo")).status_code == 200


async def test_password_changed_during_the_check_is_refused(
    registry_with_people: ServiceUnderTest, database: TestDatabase
) -> None:
    connection = await database.connect()

    async def matches(_stored: str | None, _password: str) -> bool:
        await connection.execute("UPDATE people SET password_hash = 'another' WHERE username = 'centre'")
        return True

    with (
        mock.patch("services.registry.authentication.sign_in.passwords.verify_password", matches),
        mock.patch("services.registry.authentication.sign_in.passwords.needs_rehash", return_value=False),
    ):
        answer = await sign_in(registry_with_people, username="centre", password="demo")
    await connection.close()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


REFRESH = {"grant_type": "refresh_token"}


async def after_grace_period(database: TestDatabase) -> None:
    """Age every use of a refresh token beyond the grace period."""
    connection = await database.connect()
    await connection.execute("UPDATE refresh_tokens SET used_at = used_at - interval '31 seconds'")
    await connection.close()


async def test_refresh_token_can_be_used_once(
    registry_with_people: ServiceUnderTest, database: TestDatabase
) -> None:
    first = (await sign_in(registry_with_people, username="centre", password="demo")).json()
    second = (await sign_in(registry_with_people, **REFRESH, refresh_token=first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await registry_with_people.client.get(ME, headers=bearer(second["access_token"]))).status_code == 200
    await after_grace_period(database)
    again = await sign_in(registry_with_people, **REFRESH, refresh_token=first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    # Reuse of the copied token ended the session: the owner's token is refused too.
    honest = await sign_in(registry_with_people, **REFRESH, refresh_token=second["refresh_token"])
    assert (honest.status_code, honest.json()["error"]) == (400, "invalid_grant")


async def test_concurrent_refresh_within_grace_period_succeeds(registry_with_people: ServiceUnderTest) -> None:
    first = (await sign_in(registry_with_people, username="centre", password="demo")).json()
    form = REFRESH | {"refresh_token": first["refresh_token"]}
    answers = await asyncio.gather(*(sign_in(registry_with_people, **form) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    (token,) = {answer.json()["refresh_token"] for answer in answers}
    assert (await sign_in(registry_with_people, **REFRESH, refresh_token=token)).status_code == 200


async def test_refresh_repeated_across_a_rotation_of_keys_gives_the_same_successor(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with _registry_with_own_keys(database, tmp_path) as registry:
        first = (await sign_in(registry, username="head", password="demo")).json()
        form = REFRESH | {"refresh_token": first["refresh_token"]}
        before = (await sign_in(registry, **form)).json()
        (tmp_path / "people.jwk").unlink()
        ensure_keys(tmp_path)
        after = await sign_in(registry, **form)
        assert (after.status_code, after.json().get("refresh_token")) == (200, before["refresh_token"])
        following = await sign_in(registry, **REFRESH, refresh_token=before["refresh_token"])
        assert following.status_code == 200
        # Only the last used token has the key of its successor.
        query = "SELECT count(*), count(successor_key) FROM refresh_tokens"
        connection = await database.connect()
        assert tuple(await connection.fetchrow(query)) == (3, 1)
        await connection.close()


async def test_reuse_after_the_successor_was_used_ends_the_session(
    registry_with_people: ServiceUnderTest,
) -> None:
    first = (await sign_in(registry_with_people, username="centre", password="demo")).json()
    second = (await sign_in(registry_with_people, **REFRESH, refresh_token=first["refresh_token"])).json()
    third = (await sign_in(registry_with_people, **REFRESH, refresh_token=second["refresh_token"])).json()
    copied = await sign_in(registry_with_people, **REFRESH, refresh_token=first["refresh_token"])
    assert (copied.status_code, copied.json()["error"]) == (400, "invalid_grant")
    assert (
        await sign_in(registry_with_people, **REFRESH, refresh_token=third["refresh_token"])
    ).status_code == 400


async def test_ended_session_cannot_be_refreshed(registry_with_people: ServiceUnderTest) -> None:
    first = (await sign_in(registry_with_people, username="centre", password="demo")).json()
    second = (await sign_in(registry_with_people, **REFRESH, refresh_token=first["refresh_token"])).json()
    await registry_with_people.client.post("/api/v1/auth/revoke", data={"token": second["refresh_token"]})
    late = await sign_in(registry_with_people, **REFRESH, refresh_token=first["refresh_token"])
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


async def test_session_ends_by_revocation_and_expiry(registry_with_people: ServiceUnderTest) -> None:
    first = (await sign_in(registry_with_people, username="centre", password="demo")).json()
    other = (await sign_in(registry_with_people, username="centre", password="demo")).json()
    path = "/api/v1/auth/revoke"
    assert (
        await registry_with_people.client.post(path, data={"token": first["refresh_token"]})
    ).status_code == 200
    assert (await registry_with_people.client.post(path, data={"token": "unknown"})).status_code == 200
    wrong = await registry_with_people.client.post(path, data={"token": "x", "token_type_hint": "access_token"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "unsupported_token_type")
    ended = await sign_in(registry_with_people, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert ended.status_code == 400
    with mock.patch(
        "services.registry.authentication.sign_in.clock.now", return_value=clock.now() + timedelta(days=14)
    ):
        late = await sign_in(
            registry_with_people, grant_type="refresh_token", refresh_token=other["refresh_token"]
        )
    assert late.status_code == 400
    alive = await sign_in(registry_with_people, grant_type="refresh_token", refresh_token=other["refresh_token"])
    assert alive.status_code == 200


async def test_client_signs_in_until_deactivated(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    school = await make(registry, "/organisations", name="Школа", kind="institution")
    made = await registry.client.post(
        "/api/v1/clients",
        json={"name": "Сайт школы", "role": "executor", "organisation_id": school["id"]},
        headers=operations,
    )
    assert made.status_code == 201
    client = made.json()
    listed = (await registry.client.get("/api/v1/clients", headers=operations)).json()["items"]
    assert [item["id"] for item in listed] == [client["id"]]
    assert "secret" not in listed[0]
    grant = {"grant_type": "client_credentials"}
    by_form = await sign_in(registry, **grant, client_id=client["id"], client_secret=client["secret"])
    assert "refresh_token" not in by_form.json()
    basic = base64.b64encode(f"{client['id']}:{client['secret']}".encode()).decode()
    by_basic = await registry.client.post(
        "/api/v1/auth/token", data=grant, headers={"Authorization": f"Basic {basic}"}
    )
    for answer in (by_form, by_basic):
        me = (await registry.client.get(ME, headers=bearer(answer.json()["access_token"]))).json()
        assert (me["person"]["id"], me["organisation"]["id"]) == (client["id"], school["id"])
    for broken in ("Basic ?", "Basic " + base64.b64encode(b"no colon").decode()):
        answer = await registry.client.post("/api/v1/auth/token", data=grant, headers={"Authorization": broken})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    path = f"/api/v1/clients/{client['id']}"
    assert (await registry.client.delete(path, headers=operations)).status_code == 204
    assert (await registry.client.delete(path, headers=operations)).status_code == 404
    after = await sign_in(registry, **grant, client_id=client["id"], client_secret=client["secret"])
    assert after.status_code == 401


async def test_forged_expired_and_malformed_tokens_are_refused(registry: ServiceUnderTest) -> None:
    own = tokens.read_key(registry.keys_dir / "people.jwk")
    stranger = tokens.new_key(own.kid or "")
    service = tokens.read_key(registry.keys_dir / "ingest.jwk")
    minute = timedelta(minutes=1)

    def signed(issuer: str, key: OKPKey, audience: str = tokens.PEOPLE_AUDIENCE) -> str:
        return tokens.Signer(issuer, key).sign(str(uuid4()), audience, minute, role="moderator", name="X")

    bad = {
        "forged": signed(tokens.PEOPLE_ISSUER, stranger),
        "another issuer": signed("https://sso.example.org", own),
        "a service's": signed(tokens.PEOPLE_ISSUER, service),
        "another audience": signed(tokens.PEOPLE_ISSUER, own, "registry"),
        "expired": registry.token("moderator", lifetime=timedelta(minutes=-1)),
        "unknown role": registry.token("emperor"),
        "staff of nowhere": registry.token("executor"),
        "garbage": "garbage",
        "a list for a header": "WyJhbGciXQ.e30.AA",
        "empty": "",
    }
    for why, token in bad.items():
        answer = await registry.client.get("/api/v1/organisations", headers=bearer(token))
        assert answer.status_code == 401, why
        assert answer.headers["content-type"] == "application/problem+json", why
        assert answer.json()["type"] == "/problems/unauthenticated", why
    assert (await registry.client.get("/api/v1/organisations")).status_code == 401


async def test_demo_password_is_refused_in_production(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("registry", database, keys_dir) as embedded:
        async with embedded.service.database.write() as session:
            await people.ensure_demo_people(session)
        assert (await sign_in(embedded, username="centre", password="demo")).status_code == 200
    async with service_under_test("registry", database, keys_dir, environment="production") as production:
        answer = await sign_in(production, username="centre", password="demo")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        with pytest.raises(RuntimeError, match="only in the embedded run"):
            async with production.service.database.write() as session:
                await people.ensure_demo_people(session)


async def test_worker_purges_expired_rows(registry_with_people: ServiceUnderTest, database: TestDatabase) -> None:
    await sign_in(registry_with_people, username="centre", password="demo")
    await sign_in(registry_with_people, username="centre", password="demo")
    await sign_in(registry_with_people, username="ops", password="guess")
    await sign_in(registry_with_people, username="head", password="guess")
    connection = await database.connect()
    await connection.execute(
        "UPDATE refresh_tokens SET expires_at = $1 WHERE digest = (SELECT min(digest) FROM refresh_tokens)",
        clock.now() - timedelta(seconds=1),
    )
    await connection.execute(
        "UPDATE sign_in_failures SET failed_at = $1 WHERE starts_with(digest, $2)",
        clock.now() - timedelta(hours=2),
        hashlib.sha256(b"ops").hexdigest(),
    )
    async with asyncio.timeout(HANG_SECONDS):
        task = asyncio.create_task(worker.purge_expired(registry_with_people.service))
        while (
            await connection.fetchval(
                "SELECT (SELECT count(*) FROM refresh_tokens) + (SELECT count(*) FROM sign_in_failures)"
            )
            != 4
        ):
            await asyncio.sleep(0.05)
        task.cancel()
    kept = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM refresh_tokens), (SELECT count(*) FROM sign_in_failures)"
    )
    await connection.close()
    assert tuple(kept) == (
        1,
        3,
    )  # counters of `head` at the address, of `head` at any address, of any name at the address


@pytest.mark.parametrize("encoded", [b"\xe9", "é".encode(), b"?", b"", base64.b64encode(b"\xff:x"), b"eA=="])
async def test_malformed_basic_header_is_refused(registry: ServiceUnderTest, encoded: bytes) -> None:
    answer = await registry.client.post(
        "/api/v1/auth/token",
        data={"grant_type": "client_credentials"},
        headers={b"Authorization": b"Basic " + encoded},
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
