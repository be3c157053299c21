"""Sign-in at the region's own OIDC issuer: accepted tokens, and outages of the issuer."""

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import httpx
import pytest

from cli.embedded.temporary_postgres import free_port
from shared import clock
from shared.auth import oidc
from shared.settings import ServiceName
from tests.conftest import TestDatabase
from tests.support.oidc_issuer.process import AUDIENCE, RunningIssuer, running_issuer
from tests.support.service_under_test import ServiceUnderTest, environment, insert_organisation, service_under_test

ROOT = Path(__file__).parents[3]
ME = "/api/v1/me"
PEOPLE = "/api/v1/people"
PERSON = {
    "username": "t.ivanova",
    "full_name": "Татьяна Иванова",
    "role": "analyst",
    "external_subject": "f:1:tanya",
}


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[RunningIssuer]:
    async with running_issuer() as running:
        yield running


@pytest.fixture
async def registry(
    issuer: RunningIssuer, database: TestDatabase, keys_dir: Path
) -> AsyncIterator[ServiceUnderTest]:
    """Return the registry with a configured and healthy issuer."""
    await issuer.fail(None)
    async with with_issuer("registry", issuer, database, keys_dir) as running:
        yield running


def with_issuer(
    name: ServiceName, issuer: RunningIssuer, database: TestDatabase, keys_dir: Path, **env: Any
) -> AbstractAsyncContextManager[ServiceUnderTest]:
    """Return a service that accepts the issuer's tokens."""
    return service_under_test(
        name, database, keys_dir, oidc_issuer=issuer.url, oidc_audience=AUDIENCE, oidc_client_id="web", **env
    )


async def known(registry: ServiceUnderTest, **more: Any) -> dict[str, Any]:
    """Register a person with the external subject «f:1:tanya»."""
    answer = await registry.client.post(PEOPLE, json=PERSON | more, headers=registry.headers("operations"))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def status(registry: ServiceUnderTest, headers: dict[str, str]) -> int:
    return (await registry.client.get(ME, headers=headers)).status_code


@asynccontextmanager
async def later(**delta: float) -> AsyncIterator[None]:
    """Set the registry's clock ahead."""
    with mock.patch("shared.clock.now", return_value=clock.now() + timedelta(**delta)):
        yield


async def test_issuer_token_maps_to_the_registered_person(
    registry: ServiceUnderTest, issuer: RunningIssuer, database: TestDatabase
) -> None:
    place = await insert_organisation(database, name="Школа № 71")
    person = await known(registry, role="manager", organisation_id=str(place), include_subordinates=True)
    assert (person["issuer"], person["last_sign_in_at"]) == (issuer.url, None)
    signed_in = int(time.time()) - 600
    headers = await issuer.bearer("f:1:tanya", auth_time=signed_in, role="moderator", aud=["other", AUDIENCE])
    me = (await registry.client.get(ME, headers=headers)).json()
    assert (me["person"]["id"], me["person"]["role"], me["include_subordinates"]) == (
        person["id"],
        "manager",
        True,
    )
    assert (me["organisation"]["id"], me["session_id"]) == (str(place), None)
    # The access comes from the registry, the expiry from the token.
    token = headers["Authorization"].removeprefix("Bearer ")
    expiry = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["exp"]
    assert (await registry.service.identities.claims(token))["exp"] == expiry
    shown = await registry.client.get(f"{PEOPLE}/{person['id']}", headers=registry.headers("operations"))
    assert datetime.fromisoformat(shown.json()["last_sign_in_at"]) == datetime.fromtimestamp(signed_in, UTC)
    assert shown.json()["version"] == person["version"]


async def test_issuer_token_of_unregistered_person_is_refused(
    registry: ServiceUnderTest, issuer: RunningIssuer
) -> None:
    headers = await issuer.bearer("f:1:tanya")
    refused = await registry.client.get(ME, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    await known(registry)
    async with later(seconds=6):
        assert await status(registry, headers) == 200
    for stranger in ("F:1:TANYA", "f:1:tanya ", "%"):
        assert await status(registry, await issuer.bearer(stranger)) == 403


async def test_invalid_tokens_are_refused(registry: ServiceUnderTest, issuer: RunningIssuer) -> None:
    await known(registry)
    now = int(time.time())
    nobody = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
    good = await issuer.token("f:1:tanya")
    deep = base64.urlsafe_b64encode(b"[" * 20_000).decode().rstrip("=")
    bad = {
        "for others": await issuer.token("f:1:tanya", aud="another system"),
        "for nobody": await issuer.token("f:1:tanya", aud=None),
        "expired": await issuer.token("f:1:tanya", exp=now - oidc.SKEW_SECONDS - 1),
        "without an end": await issuer.token("f:1:tanya", exp=None),
        "not yet good": await issuer.token("f:1:tanya", nbf=now + oidc.SKEW_SECONDS + 30),
        "from the future": await issuer.token("f:1:tanya", iat=now + oidc.SKEW_SECONDS + 30),
        "of no age": await issuer.token("f:1:tanya", iat=None),
        "of a strange age": await issuer.token("f:1:tanya", auth_time="yesterday"),
        "of no subject": await issuer.token(None),
        "of an empty subject": await issuer.token(""),
        "of a broken subject": await issuer.token("\ud800"),
        "of NUL": await issuer.token("\x00"),
        "forged": await issuer.token("f:1:tanya", forged=True),
        "with an unknown key": await issuer.token("f:1:tanya", header={"kid": "another"}),
        "of another kind": await issuer.token("f:1:tanya", header={"typ": "logout+jwt"}),
        "of another issuer": await issuer.token("f:1:tanya", iss="https://sso.example.org"),
        "of the embedded issuer's name": await issuer.token("f:1:tanya", iss="gospablik"),
        "unsigned": f"{nobody}.{good.split('.')[1]}.",
        "cut": good[:-20],
        "too deep": f"{nobody}.{deep}.x",
    }
    for why, token in bad.items():
        answer = await registry.client.get(ME, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, (why, answer.text)
        assert token not in answer.text
    assert await status(registry, {"Authorization": f"Bearer {good}"}) == 200


async def test_clock_skew_of_a_minute_is_tolerated(registry: ServiceUnderTest, issuer: RunningIssuer) -> None:
    await known(registry)
    now = int(time.time())
    for claims in ({"exp": now - 30, "iat": now - 300}, {"iat": now + 30, "nbf": now + 30}):
        assert await status(registry, await issuer.bearer("f:1:tanya", **claims)) == 200, claims


async def test_rotated_issuer_keys_are_loaded(registry: ServiceUnderTest, issuer: RunningIssuer) -> None:
    await known(registry)
    old = await issuer.bearer("f:1:tanya", exp=int(time.time()) + 7200)
    assert await status(registry, old) == 200
    await issuer.rotate(keep=True)
    new = await issuer.bearer("f:1:tanya", exp=int(time.time()) + 7200)
    asked = await issuer.asked()
    # Tokens with unknown keys must not cause an unlimited number of key fetches.
    strange = [await issuer.bearer("f:1:tanya", header={"kid": f"x{number}"}) for number in range(10)]
    answers = await asyncio.gather(*(status(registry, headers) for headers in strange))
    assert set(answers) == {401}
    assert await issuer.asked() == asked
    async with later(seconds=31):
        assert [await status(registry, headers) for headers in (new, old, strange[0])] == [200, 200, 401]
        assert await issuer.asked() == asked + 1
    # A token of a withdrawn key is refused once the keys are fetched again.
    await issuer.rotate(keep=False)
    async with later(minutes=62):
        assert await status(registry, old) == 401
        newest = await issuer.bearer("f:1:tanya", exp=int(time.time()) + 7200)
        assert await status(registry, newest) == 200


async def test_concurrent_lookups_fetch_keys_once(registry: ServiceUnderTest, issuer: RunningIssuer) -> None:
    await known(registry)
    headers, asked = await issuer.bearer("f:1:tanya"), await issuer.asked()
    answers = await asyncio.gather(*(status(registry, headers) for _ in range(10)))
    assert set(answers) == {200}
    assert await issuer.asked() == asked + 1


@pytest.mark.parametrize("kind", ["500", "hang", "garbage", "huge", "redirect", "impostor"])
async def test_token_gets_503_while_the_keys_of_the_issuer_are_unavailable(
    registry: ServiceUnderTest, issuer: RunningIssuer, kind: str
) -> None:
    await known(registry)
    headers = await issuer.bearer("f:1:tanya")
    await issuer.fail(kind)
    with mock.patch("shared.auth.oidc.ISSUER_TIMEOUT", aiohttp.ClientTimeout(total=0.3)):
        answer = await registry.client.get(ME, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    own = {"Authorization": f"Bearer {registry.token('head')}"}
    assert await status(registry, own) == 200
    await issuer.fail(None)
    assert await status(registry, headers) == 503
    async with later(seconds=31):
        assert await status(registry, headers) == 200


async def test_cached_keys_work_while_the_issuer_is_down(
    registry: ServiceUnderTest, issuer: RunningIssuer
) -> None:
    await known(registry)
    week = await issuer.bearer("f:1:tanya", exp=int(time.time()) + 7 * 86_400)
    assert await status(registry, week) == 200
    await issuer.fail("500")
    async with later(hours=2):
        assert await status(registry, week) == 200
    async with later(hours=25):
        assert await status(registry, week) == 503


async def test_lock_and_change_of_organisation_take_effect_within_a_minute(
    registry: ServiceUnderTest, issuer: RunningIssuer, database: TestDatabase
) -> None:
    person = await known(registry)
    headers = await issuer.bearer("f:1:tanya")
    path, operations = f"{PEOPLE}/{person['id']}", registry.headers("operations", **{"If-Match": "*"})
    assert await status(registry, headers) == 200
    place = await insert_organisation(database)
    moved = {"role": "executor", "organisation_id": str(place)}
    assert (await registry.client.patch(path, json=moved, headers=operations)).status_code == 200
    async with later(seconds=61):
        me = (await registry.client.get(ME, headers=headers)).json()
        assert (me["person"]["role"], me["organisation"]["id"]) == ("executor", str(place))
    locked = await registry.client.post(f"{path}/lock", json={"reason": "Уволена"}, headers=operations)
    assert locked.status_code == 200
    async with later(seconds=122):
        assert await status(registry, headers) == 403
    await registry.client.post(f"{path}/unlock", headers=operations)
    async with later(seconds=128):
        assert await status(registry, headers) == 200
    await registry.client.patch(path, json={"external_subject": None}, headers=operations)
    async with later(seconds=190):
        assert await status(registry, headers) == 403


async def test_new_token_has_the_new_access_at_once(registry: ServiceUnderTest, issuer: RunningIssuer) -> None:
    person = await known(registry)
    old = await issuer.bearer("f:1:tanya")
    assert await status(registry, old) == 200
    operations = registry.headers("operations", **{"If-Match": "*"})
    granted = await registry.client.patch(
        f"{PEOPLE}/{person['id']}", json={"role": "moderator"}, headers=operations
    )
    assert granted.status_code == 200, granted.text
    # A change that every signed-in caller may make.
    change = "/api/v1/me/sessions"
    assert (await registry.client.delete(change, headers=old)).status_code == 401
    new = await issuer.bearer("f:1:tanya", iat=int(time.time()) + 1)
    assert (await registry.client.delete(change, headers=new)).status_code == 204
    assert (await registry.client.get(ME, headers=new)).json()["person"]["role"] == "moderator"


async def test_person_may_sign_in_by_password_by_issuer_or_by_both(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    person = await known(registry)
    again = await registry.client.post(PEOPLE, json=PERSON | {"username": "other"}, headers=operations)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (409, "/external_subject")
    neither = {"username": "other", "full_name": "Имя", "role": "head"}
    refused = await registry.client.post(PEOPLE, json=neither, headers=operations)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/password")
    form = {"grant_type": "password", "username": "t.ivanova", "password": "correct horse 9"}
    assert (await registry.client.post("/api/v1/auth/token", data=form)).status_code == 400
    both = await registry.client.patch(
        f"{PEOPLE}/{person['id']}", json={"password": "correct horse 9"}, headers=operations | {"If-Match": "*"}
    )
    assert (both.status_code, both.json()["external_subject"]) == (200, "f:1:tanya")
    assert (await registry.client.post("/api/v1/auth/token", data=form)).status_code == 200
    ways = (await registry.client.get("/api/v1/auth/methods")).json()
    assert (ways["password"], ways["external"]["client_id"]) == (True, "web")


async def test_external_subject_without_issuer_is_refused(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("registry", database, keys_dir) as registry:
        answer = await registry.client.post(PEOPLE, json=PERSON, headers=registry.headers("operations"))
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/external_subject")
        assert (await registry.client.get("/api/v1/auth/methods")).json() == {"password": True, "external": None}


async def test_password_sign_in_can_be_disabled(
    issuer: RunningIssuer, database: TestDatabase, keys_dir: Path
) -> None:
    async with with_issuer("registry", issuer, database, keys_dir, password_sign_in="false") as registry:
        await known(registry, password="correct horse 9")
        form = {"grant_type": "password", "username": "t.ivanova", "password": "correct horse 9"}
        refused = await registry.client.post("/api/v1/auth/token", data=form)
        assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_grant_type")
        assert (await registry.client.get("/api/v1/auth/methods")).json()["password"] is False
        assert await status(registry, await issuer.bearer("f:1:tanya")) == 200


async def test_other_services_get_claims_from_the_registry(
    issuer: RunningIssuer, database: TestDatabase, keys_dir: Path
) -> None:
    await issuer.fail(None)
    async with with_issuer("registry", issuer, database, keys_dir) as registry:
        await known(registry)
    headers, stranger = await issuer.bearer("f:1:tanya"), await issuer.bearer("f:1:stranger")
    path, port = "/api/v1/appeals", free_port()
    url = f"http://127.0.0.1:{port}"
    async with with_issuer("appeals", issuer, database, keys_dir, registry_url=url) as appeals:
        away = await appeals.client.get(path, headers=headers)
        assert (away.status_code, away.json()["type"]) == (503, "/problems/unavailable")
        async with registry_process(database, keys_dir, port):
            assert (await appeals.client.get(path, headers=headers)).status_code == 200
            assert (await appeals.client.get(path, headers=stranger)).status_code == 403
        # The claims are cached for a minute.
        assert (await appeals.client.get(path, headers=headers)).status_code == 200
        async with later(seconds=61):
            assert (await appeals.client.get(path, headers=headers)).status_code == 503


@asynccontextmanager
async def registry_process(database: TestDatabase, keys_dir: Path, port: int) -> AsyncIterator[None]:
    """Run the registry's API as a separate process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from shared.service import serve; serve('registry', 'api')",
        env=os.environ | environment("registry", database, keys_dir, port=str(port)),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(90), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while True:
                try:
                    await client.get("/health/live")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_internal_identity_route_refuses_tokens_of_people(
    registry: ServiceUnderTest, issuer: RunningIssuer
) -> None:
    await known(registry)
    body = {"issuer": issuer.url, "subject": "f:1:tanya", "signed_in_at": "2026-01-01T00:00:00Z"}
    path = "/internal/identity"
    assert (await registry.client.post(path, json=body, headers=registry.headers("operations"))).status_code == 401
    assert (await registry.client.post(path, json=body)).status_code == 401
    asked = await registry.client.post(path, json=body, headers=registry.service_headers("appeals"))
    assert (asked.status_code, asked.json()["role"]) == (200, "analyst")
