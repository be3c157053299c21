"""API clients: grantable rights, rights of their tokens, and rotation of secrets."""

import asyncio
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest

from services.registry.access import clients
from services.registry.authentication import client_secrets
from services.registry.settings import RegistrySettings
from shared import clock
from shared.auth.callers import Caller
from shared.auth.token_recheck import callers_with_access
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import pointers, sign_in
from tests.support.service_under_test import ServiceUnderTest, insert_organisation

PATH = "/api/v1/clients"
ME = "/api/v1/me"
GRANT = {"grant_type": "client_credentials"}
NEVER: dict[str, str] = {"If-Match": "*"}


async def create_client(registry: ServiceUnderTest, **body: Any) -> dict[str, Any]:
    """Return a client created by operations."""
    given = {"name": "Сайт", "role": "head"} | body
    answer = await registry.client.post(PATH, json=given, headers=registry.headers("operations"))
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


async def secret_works(registry: ServiceUnderTest, client: dict[str, Any], secret: str | None = None) -> bool:
    answer = await sign_in(registry, **GRANT, client_id=client["id"], client_secret=secret or client["secret"])
    return answer.status_code == 200


async def rights(registry: ServiceUnderTest, client: dict[str, Any], **form: str) -> set[str]:
    """Return the rights in a fresh token of the client."""
    signed = await sign_in(registry, **GRANT, client_id=client["id"], client_secret=client["secret"], **form)
    assert signed.status_code == 200, signed.text
    token = signed.json()["access_token"]
    me = await registry.client.get(ME, headers={"Authorization": f"Bearer {token}"})
    found = set(me.json()["rights"])
    assert signed.json().get("scope", "") in {"", " ".join(sorted(found))}
    return found


async def test_number_of_active_clients_of_an_organisation_is_limited(
    registry: ServiceUnderTest, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "registry_settings", lambda: RegistrySettings(max_clients=2))
    operations = registry.headers("operations")
    place = str(await insert_organisation(database, name="Школа"))
    body = {"name": "Сайт", "role": "executor", "organisation_id": place}
    # Of four concurrent requests two are accepted.
    answers = await asyncio.gather(*(registry.client.post(PATH, json=body, headers=operations) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["detail"].startswith("The organisation has 2 active clients; the limit is 2")
    # The centre has its own limit, and a deactivated client no longer counts.
    await create_client(registry)
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    gone = await registry.client.delete(f"{PATH}/{first['id']}", headers=operations | NEVER)
    assert gone.status_code == 204, gone.text
    await create_client(registry, **body)


async def test_scopes_restrict_the_rights_of_the_role(registry: ServiceUnderTest) -> None:
    whole = await create_client(registry)
    assert await rights(registry, whole) == {"registry:read", "appeals:read", "metrics:read", "reports:read"}
    narrow = await create_client(registry, scopes=["metrics:read", "registry:read", "metrics:read"])
    assert narrow["scopes"] == ["metrics:read", "registry:read"]
    assert await rights(registry, narrow) == {"metrics:read", "registry:read"}
    assert await rights(registry, narrow, scope="metrics:read") == {"metrics:read"}
    signed = await sign_in(registry, **GRANT, client_id=narrow["id"], client_secret=narrow["secret"])
    token = {"Authorization": f"Bearer {signed.json()['access_token']}"}
    assert (await registry.client.get("/api/v1/organisations", headers=token)).status_code == 200
    for scope in ("appeals:read", "metrics:read nonsense"):
        more = await sign_in(
            registry, **GRANT, client_id=narrow["id"], client_secret=narrow["secret"], scope=scope
        )
        assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")
    other = await create_client(registry, scopes=["metrics:read"])
    signed = await sign_in(registry, **GRANT, client_id=other["id"], client_secret=other["secret"])
    token = {"Authorization": f"Bearer {signed.json()['access_token']}"}
    refused = await registry.client.get("/api/v1/organisations", headers=token)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"role": "head", "scopes": ["registry:write"]}, "/scopes/0"),
        ({"role": "head", "scopes": ["everything"]}, "/scopes/0"),
        ({"role": "head", "scopes": []}, "/scopes"),
        ({"role": "executor"}, "/organisation_id"),
        ({"role": "head", "organisation_id": str(uuid4())}, "/organisation_id"),
        ({"role": "head", "include_subordinates": True}, "/include_subordinates"),
        ({"role": "head", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ],
)
async def test_invalid_field_is_refused_and_named(
    registry: ServiceUnderTest, body: dict[str, Any], named: str
) -> None:
    answer = await registry.client.post(PATH, json={"name": "Сайт"} | body, headers=registry.headers("operations"))
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == {named}


async def test_both_secrets_work_during_the_overlap(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    client = await create_client(registry)
    path = f"{PATH}/{client['id']}"
    changed = await registry.client.post(f"{path}/secrets", json={"overlap_hours": 2}, headers=operations)
    assert (changed.status_code, changed.headers["cache-control"]) == (201, "no-store")
    secret = changed.json()["secret"]
    assert secret != client["secret"]
    new, old = (await registry.client.get(path, headers=operations)).json()["secrets"]
    assert new["expires_at"] is None
    assert old["expires_at"] is not None
    assert await secret_works(registry, client)
    assert await secret_works(registry, client, secret)
    later = clock.now() + timedelta(hours=2, seconds=1)
    with mock.patch("services.registry.authentication.client_secrets.clock.now", return_value=later):
        assert not await secret_works(registry, client)
        assert await secret_works(registry, client, secret)
        shown = await registry.client.get(path, headers=registry.headers("operations"))
        (kept,) = shown.json()["secrets"]
    assert kept["id"] == new["id"]


async def test_secret_can_be_revoked_at_once(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    client = await create_client(registry)
    path = f"{PATH}/{client['id']}/secrets"
    first = client["secrets"][0]["id"]
    second = (await registry.client.post(path, json={}, headers=operations)).json()
    assert (await registry.client.delete(f"{path}/{first}", headers=operations)).status_code == 204
    assert (await registry.client.delete(f"{path}/{first}", headers=operations)).status_code == 404
    assert not await secret_works(registry, client)
    assert await secret_works(registry, client, second["secret"])
    third = (await registry.client.post(path, json={"overlap_hours": 0}, headers=operations)).json()
    assert [item["id"] for item in third["secrets"]] != [item["id"] for item in second["secrets"]]
    assert not await secret_works(registry, client, second["secret"])
    assert await secret_works(registry, client, third["secret"])
    for _ in range(client_secrets.MAX_ACTIVE_SECRETS - 1):
        assert (await registry.client.post(path, json={}, headers=operations)).status_code == 201
    full = await registry.client.post(path, json={}, headers=operations)
    assert (full.status_code, full.json()["type"]) == (409, "/problems/conflict")


async def test_last_use_is_recorded_without_a_new_version(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations")
    client = await create_client(registry)
    assert client["last_used_at"] is None
    assert not await secret_works(registry, client, "wrong")
    path = f"{PATH}/{client['id']}"
    assert (await registry.client.get(path, headers=operations)).json()["last_used_at"] is None
    assert await secret_works(registry, client)
    shown = await registry.client.get(path, headers=operations)
    body = shown.json()
    assert body["last_used_at"] == body["secrets"][0]["last_used_at"] is not None
    assert (shown.headers["etag"][:3], body["updated_at"]) == ('"1-', client["updated_at"])


async def test_changed_client_stops_working_when_expired_or_deactivated(
    registry: ServiceUnderTest,
) -> None:
    operations = registry.headers("operations")
    client = await create_client(registry, scopes=["metrics:read"])
    path = f"{PATH}/{client['id']}"
    soon = clock.now() + timedelta(hours=1)
    change = {"name": "Портал", "expires_at": soon.isoformat(), "scopes": None}
    assert (await registry.client.patch(path, json=change, headers=operations)).status_code == 428
    first = await registry.client.patch(path, json=change, headers=operations | {"If-Match": '"1"'})
    assert (first.status_code, first.json()["version"], first.json()["scopes"]) == (200, 2, None)
    assert first.headers["etag"] == '"2"'
    stale = await registry.client.patch(path, json=change, headers=operations | {"If-Match": '"1"'})
    assert stale.status_code == 412
    for wrong, named in (
        ({"role": "moderator"}, "/role"),
        ({"name": None}, "/name"),
        ({"scopes": ["registry:write"]}, "/scopes/0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ):
        refused = await registry.client.patch(path, json=wrong, headers=operations | NEVER)
        assert (refused.status_code, pointers(refused)) == (422, {named})
    assert await rights(registry, client) == {"registry:read", "appeals:read", "metrics:read", "reports:read"}
    with mock.patch(
        "services.registry.authentication.sign_in.clock.now", return_value=soon + timedelta(seconds=1)
    ):
        assert not await secret_works(registry, client)
    unlimited = await registry.client.patch(path, json={"expires_at": None}, headers=operations | NEVER)
    assert unlimited.json()["expires_at"] is None
    assert (await registry.client.delete(path, headers=operations)).status_code == 204
    assert not await secret_works(registry, client)
    again = await registry.client.patch(path, json={"name": "Х"}, headers=operations | NEVER)
    assert again.status_code == 404
    assert (await registry.client.post(f"{path}/secrets", json={}, headers=operations)).status_code == 404
    assert (await registry.client.get(PATH, headers=operations)).json()["items"] == []
    removed = (await registry.client.get(PATH, params={"active": "false"}, headers=operations)).json()["items"]
    assert [item["id"] for item in removed] == [client["id"]]


async def test_manager_sees_only_clients_of_their_own_organisation(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    own, foreign = await insert_organisation(database), await insert_organisation(database, name="Чужая")
    manager = registry.headers("manager", own)
    elsewhere = await create_client(registry, role="executor", organisation_id=str(foreign))
    of_centre = await create_client(registry)
    body = {"name": "Сайт школы", "role": "executor", "organisation_id": str(own)}
    mine = await registry.client.post(PATH, json=body, headers=manager)
    assert mine.status_code == 201, mine.text
    assert mine.json()["organisation"]["id"] == str(own)
    assert [item["id"] for item in (await registry.client.get(PATH, headers=manager)).json()["items"]] == [
        mine.json()["id"]
    ]
    for other in (elsewhere, of_centre):
        path = f"{PATH}/{other['id']}"
        calls = [
            await registry.client.get(path, headers=manager),
            await registry.client.patch(path, json={"name": "Х"}, headers=manager | NEVER),
            await registry.client.post(f"{path}/secrets", json={}, headers=manager),
            await registry.client.delete(f"{path}/secrets/{other['secrets'][0]['id']}", headers=manager),
            await registry.client.delete(path, headers=manager),
        ]
        assert [answer.status_code for answer in calls] == [404] * 5
    for more in (
        {"organisation_id": str(foreign)},
        {"role": "moderator", "organisation_id": None},
        {"include_subordinates": True},
    ):
        refused = await registry.client.post(PATH, json=body | more, headers=manager)
        assert refused.status_code == 403, refused.text


async def test_client_cannot_grant_rights_beyond_its_own_scope(registry: ServiceUnderTest) -> None:
    token = registry.token("operations", scope="clients:manage registry:read")
    headers = {"Authorization": f"Bearer {token}"}
    body = {"name": "Сайт", "role": "head"}
    for scopes in (None, ["metrics:read"]):
        refused = await registry.client.post(PATH, json=body | {"scopes": scopes}, headers=headers)
        assert refused.status_code == 403, refused.text
    given = await registry.client.post(PATH, json=body | {"scopes": ["registry:read"]}, headers=headers)
    assert given.status_code == 201
    whole = await create_client(registry)
    taken = await registry.client.post(f"{PATH}/{whole['id']}/secrets", json={}, headers=headers)
    assert taken.status_code == 403


async def test_narrowed_token_cannot_disable_a_client_that_has_more_rights(registry: ServiceUnderTest) -> None:
    headers = {"Authorization": f"Bearer {registry.token('operations', scope='clients:manage registry:read')}"}
    wide, equal = await create_client(registry), await create_client(registry, scopes=["registry:read"])
    expected = ((wide, (403, 403, 403), True), (equal, (204, 200, 204), False))
    for client, statuses, works in expected:
        path = f"{PATH}/{client['id']}"
        await registry.client.post(f"{path}/secrets", json={}, headers=registry.headers("operations"))
        calls = [
            await registry.client.delete(f"{path}/secrets/{client['secrets'][0]['id']}", headers=headers),
            await registry.client.patch(path, json={"scopes": ["registry:read"]}, headers=headers | NEVER),
            await registry.client.delete(path, headers=headers),
        ]
        assert tuple(call.status_code for call in calls) == statuses, [call.text for call in calls]
        assert await secret_works(registry, client) is works


async def test_secrets_are_stored_as_digests_and_purged_after_expiry(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    operations = registry.headers("operations")
    client = await create_client(registry)
    path = f"{PATH}/{client['id']}/secrets"
    await registry.client.post(path, json={"overlap_hours": 0}, headers=operations)
    connection = await database.connect()
    rows = await connection.fetch("SELECT row_to_json(client_secrets)::text AS row FROM client_secrets")
    assert len(rows) == 2
    assert not any(client["secret"] in row["row"] for row in rows)
    later = clock.now() + client_secrets.EXPIRED_RETENTION + timedelta(seconds=1)
    with mock.patch("services.registry.authentication.client_secrets.clock.now", return_value=later):
        async with registry.service.database.write() as session:
            await client_secrets.purge_expired(session)
    assert await connection.fetchval("SELECT count(*) FROM client_secrets") == 1
    await connection.close()


@pytest.mark.parametrize(
    "taken", [{"scopes": ["clients:read"]}, {"expires_at": "soon"}, None], ids=["narrowed", "expired", "removed"]
)
async def test_deactivated_client_cannot_grant_access_with_an_old_token(
    registry: ServiceUnderTest, taken: dict[str, Any] | None
) -> None:
    operations = registry.headers("operations") | NEVER
    client = await create_client(registry, role="operations")
    signed = await sign_in(registry, **GRANT, client_id=client["id"], client_secret=client["secret"])
    own = {"Authorization": f"Bearer {signed.json()['access_token']}"}
    body = {"name": "Сайт", "role": "head"}
    assert (await registry.client.post(PATH, json=body, headers=own)).status_code == 201
    path, later = f"{PATH}/{client['id']}", clock.now()
    if taken is None:
        assert (await registry.client.delete(path, headers=operations)).status_code == 204
    else:
        if "expires_at" in taken:
            later += timedelta(minutes=5)
            taken = {"expires_at": later.isoformat()}
        assert (await registry.client.patch(path, json=taken, headers=operations)).status_code == 200
    with mock.patch("shared.auth.token_recheck.clock.now", return_value=later):
        assert (await registry.client.post(PATH, json=body, headers=own)).status_code == 401


@pytest.mark.parametrize("way", ["revoked", "rotated"])
async def test_token_of_a_revoked_secret_cannot_change_anything(registry: ServiceUnderTest, way: str) -> None:
    operations = registry.headers("operations")
    client = await create_client(registry, role="operations")
    signed = await sign_in(registry, **GRANT, client_id=client["id"], client_secret=client["secret"])
    stolen = {"Authorization": f"Bearer {signed.json()['access_token']}"}
    path = f"{PATH}/{client['id']}/secrets"
    # A rotation with an overlap leaves the system that uses the old secret working.
    assert (await registry.client.post(path, json={}, headers=operations)).status_code == 201
    kept = await registry.client.post(path, json={"overlap_hours": 1}, headers=stolen)
    assert kept.status_code == 201, kept.text
    caller = Caller.from_claims(await registry.service.identities.claims(signed.json()["access_token"]))
    async with registry.service.database.read() as session:
        assert await callers_with_access(session, [caller]) == {caller}
    if way == "revoked":
        ended = await registry.client.delete(f"{path}/{client['secrets'][0]['id']}", headers=operations)
    else:
        ended = await registry.client.post(path, json={"overlap_hours": 0}, headers=operations)
    assert ended.status_code in (201, 204), ended.text
    for url, body in ((path, {}), (PATH, {"name": "Сайт", "role": "head"})):
        refused = await registry.client.post(url, json=body, headers=stolen)
        assert refused.status_code == 401, refused.text
    async with registry.service.database.read() as session:
        assert await callers_with_access(session, [caller]) == set()
    assert (await registry.client.get(ME, headers=stolen)).json()["session_id"] is None


async def test_client_cannot_change_its_own_access(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations") | NEVER
    expiry = (clock.now() + timedelta(days=30)).isoformat()
    client = await create_client(registry, role="operations", scopes=["clients:manage"], expires_at=expiry)
    signed = await sign_in(registry, **GRANT, client_id=client["id"], client_secret=client["secret"])
    own = {"Authorization": f"Bearer {signed.json()['access_token']}"} | NEVER
    path = f"{PATH}/{client['id']}"
    later = (clock.now() + timedelta(days=31)).isoformat()
    sooner = (clock.now() + timedelta(days=1)).isoformat()
    for change in ({"expires_at": None}, {"expires_at": later}, {"expires_at": sooner}, {"scopes": None}):
        refused = await registry.client.patch(path, json=change, headers=own)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict"), change
    shown = (await registry.client.get(path, headers=operations)).json()
    assert (shown["scopes"], shown["expires_at"]) == (client["scopes"], client["expires_at"])
    # It may set values that leave its access unchanged; a new secret does not last longer than the client.
    same = {"name": "Портал", "expires_at": client["expires_at"], "scopes": client["scopes"]}
    assert (await registry.client.patch(path, json=same, headers=own)).json()["name"] == "Портал"
    assert (await registry.client.post(f"{path}/secrets", json={}, headers=own)).status_code == 201


async def test_client_with_an_expiry_grants_no_access_that_lasts_longer(registry: ServiceUnderTest) -> None:
    operations = registry.headers("operations") | NEVER
    end = clock.now() + timedelta(days=30)
    later, sooner = ((end + timedelta(days=days)).isoformat() for days in (1, -1))
    client = await create_client(registry, role="operations", expires_at=end.isoformat())
    signed = await sign_in(registry, **GRANT, client_id=client["id"], client_secret=client["secret"])
    own = {"Authorization": f"Bearer {signed.json()['access_token']}"} | NEVER

    async def called(method: str, path: str, body: dict[str, Any] | None = None) -> int:
        answer = await registry.client.request(method, path, json=body, headers=own)
        return answer.status_code

    new = {"name": "Сайт", "role": "head"}
    for expiry, status in ((None, 403), (later, 403), (end.isoformat(), 201), (sooner, 201)):
        assert await called("POST", PATH, new | {"expires_at": expiry}) == status
    lasting = await create_client(registry)
    path = f"{PATH}/{lasting['id']}"
    assert await called("POST", f"{path}/secrets", {}) == 403
    assert await called("PATCH", path, {"expires_at": later}) == 403
    assert await called("PATCH", path, {"name": "Портал"}) == 403
    assert await called("PATCH", path, {"expires_at": sooner}) == 200
    lasting = await create_client(registry)
    # It may take access away.
    assert await called("DELETE", f"{PATH}/{lasting['id']}/secrets/{lasting['secrets'][0]['id']}") == 204
    assert await called("DELETE", f"{PATH}/{lasting['id']}") == 204
    person = {"username": "t.ivanova", "full_name": "Татьяна", "role": "head", "password": "correct horse 9"}
    assert await called("POST", "/api/v1/people", person) == 403
    assert await called("POST", "/api/v1/people", person | {"password": None, "external_subject": "x"}) == 403
    made = (await registry.client.post("/api/v1/people", json=person, headers=operations)).json()
    path = f"/api/v1/people/{made['id']}"
    for change in ({"password": "another horse 10"}, {"role": "analyst"}, {"active": True}):
        assert await called("PATCH", path, change) == 403
    assert await called("PATCH", path, {"full_name": "Татьяна И."}) == 200
    assert await called("POST", f"{path}/lock", {"reason": "Утечка"}) == 200
    assert await called("POST", f"{path}/unlock") == 403
    assert await called("PATCH", path, {"full_name": "Татьяна", "active": False}) == 200
