"""Audit rows of a change, who may read them, and that they contain no personal data."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import update

from services.registry.access import people
from shared import clock
from shared.audit import recorder
from shared.database.bulk_insert import insert_missing, insert_rows
from shared.database.sessions import WriteSession
from shared.tables.registry import Organisation
from tests.conftest import TestDatabase
from tests.integration.audit.conftest import change, trail
from tests.support.service_under_test import CENTRE_SUBJECT, ServiceUnderTest, insert_organisation, insert_page

PERSON = {"username": "t.ivanova", "full_name": "Татьяна Иванова", "password": "correct horse 9"}


async def call(registry: ServiceUnderTest, method: str, path: str, role: str, **options: Any) -> dict[str, Any]:
    headers = registry.headers(role, **{"If-Match": "*", **options.pop("headers", {})})
    answer = await registry.client.request(method, f"/api/v1{path}", headers=headers, **options)
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json() if answer.content else {}
    return found


async def test_change_is_recorded_with_actor_values_and_address(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    organisation_id = await insert_organisation(database)
    page_id = await insert_page(database, organisation_id)
    headers = {"X-Real-Ip": "192.0.2.7", "X-Forwarded-For": "198.51.100.9", "X-Request-Id": "request-1"}
    await call(registry, "PATCH", f"/pages/{page_id}", "moderator", json={"active": False}, headers=headers)
    (row,) = [row for row in await trail(registry, subject_id=str(page_id)) if row["subject_kind"] == "pages"]
    assert row["actor"] == CENTRE_SUBJECT
    assert (row["action"], row["service"]) == ("update_page", "registry")
    assert row["organisation_id"] == str(organisation_id)
    assert (row["request_id"], row["ip_address"]) == ("request-1", "192.0.2.7")
    assert row["before"] == {"active": True, "version": 1}
    assert row["after"] == {"active": False, "version": 2}
    assert (row["position"], len(row["chain"])) == (1, 64)


async def test_refused_change_is_not_recorded(registry: ServiceUnderTest) -> None:
    body = {"name": "Школа", "kind": "institution", "municipality": "00000000"}
    answer = await registry.client.post("/api/v1/organisations", json=body, headers=registry.headers("moderator"))
    assert answer.status_code == 422
    assert await trail(registry) == []


async def test_invalid_forwarded_address_is_ignored(registry: ServiceUnderTest) -> None:
    body = {"name": "Школа", "kind": "institution"}
    headers = {"X-Real-Ip": "T. Ivanova"}
    await call(registry, "POST", "/organisations", "moderator", json=body, headers=headers)
    assert {row["ip_address"] for row in await trail(registry)} == {"127.0.0.1"}


async def test_names_texts_and_secrets_are_not_readable_in_the_trail(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    organisation_id = await insert_organisation(database)
    new = {**PERSON, "role": "executor", "organisation_id": str(organisation_id)}
    person = await call(registry, "POST", "/people", "operations", json=new)
    changed = {"full_name": "Татьяна Петрова", "password": "battery staple 7"}
    await call(registry, "PATCH", f"/people/{person['id']}", "operations", json=changed)
    named = {"name": "Приёмная Сидорова", "role": "executor", "organisation_id": str(organisation_id)}
    client = await call(registry, "POST", "/clients", "operations", json=named)
    await trail(registry)

    # Audit rows outlive the erasure of a person, so they must contain nothing readable about them.
    connection = await database.connect()
    try:
        kept = "\n".join(await connection.fetchval("SELECT array_agg(audit::text) FROM audit"))
        hashes = [
            *await connection.fetchval("SELECT array_agg(password_hash) FROM people"),
            *await connection.fetchval("SELECT array_agg(digest) FROM client_secrets"),
        ]
    finally:
        await connection.close()
    words = ["ванова", "Петров", "Сидоров", "Приёмная", "battery", "horse", client["secret"], *hashes]
    assert [word for word in words if word.lower() in kept.lower()] == []
    rows = await trail(registry, subject_id=person["id"])
    renamed, made = sorted(rows, key=lambda row: row["position"], reverse=True)
    assert renamed["before"]["full_name"].keys() == renamed["after"]["full_name"].keys() == {"digest"}
    assert renamed["before"]["full_name"] == made["after"]["full_name"]
    assert renamed["after"]["password_hash"] == {"secret": True}
    assert made["after"]["role"] == "executor"


async def test_equal_names_of_two_people_have_different_digests(registry: ServiceUnderTest) -> None:
    for number in (1, 2):
        new = {**PERSON, "username": f"ivanova{number}", "role": "moderator"}
        await call(registry, "POST", "/people", "operations", json=new)
    digests = {row["after"]["full_name"]["digest"] for row in await trail(registry)}
    assert len(digests) == 2


async def test_trail_is_filtered_and_paginated(registry: ServiceUnderTest) -> None:
    for number in range(5):
        await change(registry, number)
    everything = await trail(registry)
    assert [row["position"] for row in everything] == [5, 4, 3, 2, 1]
    one = str(UUID(int=3))
    assert [row["position"] for row in await trail(registry, subject_id=one)] == [4]
    assert [row["position"] for row in await trail(registry, organisation_id=one)] == [4]
    assert len(await trail(registry, action="gospablik try")) == 5
    assert await trail(registry, action="gospablik") == []
    assert await trail(registry, actor="nobody") == []
    moment = everything[2]["created_at"]
    assert [row["position"] for row in await trail(registry, **{"from": moment})] == [5, 4, 3]
    assert [row["position"] for row in await trail(registry, to=moment)] == [2, 1]

    headers, seen, cursor = registry.headers("auditor"), [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await registry.client.get("/api/v1/audit", params=params, headers=headers)).json()
        seen += [row["position"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [5, 4, 3, 2, 1]


async def test_manager_reads_only_rows_of_their_organisation(registry: ServiceUnderTest) -> None:
    for number in range(3):
        await change(registry, number)
    own = str(UUID(int=1))
    assert [row["organisation_id"] for row in await trail(registry, "manager", own)] == [own]
    assert await trail(registry, "manager", own, organisation_id=str(UUID(int=2))) == []


@pytest.mark.parametrize("role", ["moderator", "analyst", "head", "operations"])
async def test_centre_roles_except_auditor_cannot_read_the_trail(registry: ServiceUnderTest, role: str) -> None:
    answer = await registry.client.get("/api/v1/audit", headers=registry.headers(role))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "query", [{"from": "yesterday"}, {"to": "99999-01-01T00:00:00Z"}, {"actor": "a\0b"}, {"organisation_id": "1"}]
)
async def test_invalid_filter_is_refused_naming_the_parameter(
    registry: ServiceUnderTest, query: dict[str, str]
) -> None:
    answer = await registry.client.get("/api/v1/audit", params=query, headers=registry.headers("auditor"))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"].endswith(next(iter(query)))


async def test_rows_inserted_together_without_an_audit_row_are_not_committed(registry: ServiceUnderTest) -> None:
    now = clock.now()
    row = {
        "id": uuid4(),
        "name": "О",
        "sort_key": "о",
        "kind": "institution",
        "created_at": now,
        "updated_at": now,
    }
    for insert in (insert_rows, insert_missing):
        with pytest.raises(recorder.UnrecordedChangeError, match="gospablik try changed organisations"):
            async with registry.service.database.write() as session:
                recorder.set_context(session, recorder.operator_context("registry", "try"))
                await insert(session, Organisation, [row])
    async with registry.service.database.read() as session:
        assert await session.get(Organisation, row["id"]) is None


async def deactivate_with_a_statement(session: WriteSession, organisation_id: UUID) -> None:
    await session.execute(update(Organisation).where(Organisation.id == organisation_id).values(active=False))


async def test_change_by_a_statement_without_an_audit_row_is_not_committed(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    organisation_id = await insert_organisation(database)
    with pytest.raises(recorder.UnrecordedChangeError, match="gospablik try changed organisations"):
        async with registry.service.database.write() as session:
            recorder.set_context(session, recorder.operator_context("registry", "try"))
            await deactivate_with_a_statement(session, organisation_id)
    async with registry.service.database.read() as session:
        assert (await session.get_one(Organisation, organisation_id)).active

    async with registry.service.database.write() as session:
        recorder.set_context(session, recorder.operator_context("registry", "try"))
        await deactivate_with_a_statement(session, organisation_id)
        gone = recorder.RowChange(subject_id=organisation_id, before={"active": True}, after={"active": False})
        await recorder.record(session, Organisation, [gone])
    (row,) = await trail(registry)
    assert (row["before"], row["after"]) == ({"active": True}, {"active": False})


async def test_changes_by_the_system_are_not_recorded(registry: ServiceUnderTest, database: TestDatabase) -> None:
    organisation_id = await insert_organisation(database)

    def unreadable_changes() -> Any:
        raise AssertionError("changes must not be read")
        yield

    async with registry.service.database.write() as session:
        await people.ensure_demo_people(session)
        await deactivate_with_a_statement(session, organisation_id)
        await recorder.record(session, Organisation, unreadable_changes())
    assert await trail(registry) == []
    assert await trail(registry, subject_id=str(uuid4())) == []


async def test_ended_sessions_and_unlocks_are_recorded(registry: ServiceUnderTest) -> None:
    new = {**PERSON, "role": "moderator"}
    person = await call(registry, "POST", "/people", "operations", json=new)
    form = {"grant_type": "password", "username": PERSON["username"], "password": PERSON["password"]}
    for _ in range(3):
        signed_in = await registry.client.post("/api/v1/auth/token", data=form)
        assert signed_in.status_code == 200, signed_in.text
    own = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    sessions = (await registry.client.get("/api/v1/me/sessions", headers=own)).json()["items"]
    for path in (f"/me/sessions/{sessions[-1]['id']}", "/me/sessions"):
        ended = await registry.client.delete(f"/api/v1{path}", headers=own)
        assert ended.status_code == 204, ended.text
    ends = await trail(registry, actor=person["id"])
    assert {row["action"] for row in ends} == {"end_my_session", "end_my_other_sessions"}
    assert {row["subject_kind"] for row in ends} == {"refresh_tokens"}
    assert {row["subject_id"] for row in ends} <= {found["id"] for found in sessions}  # not the digest of a secret

    await call(registry, "POST", f"/people/{person['id']}/lock", "operations", json={"reason": "Пропал телефон"})
    await call(registry, "POST", f"/people/{person['id']}/unlock", "operations")
    unlocked, locked = [row for row in await trail(registry, subject_id=person["id"]) if row["before"] is not None]
    assert locked["before"]["locked_reason"] is None
    assert locked["after"]["locked_reason"] == unlocked["before"]["locked_reason"] != "Пропал телефон"
    assert unlocked["after"]["locked_reason"] is None


async def test_session_ended_after_token_reuse_is_recorded(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    person = await call(registry, "POST", "/people", "operations", json={**PERSON, "role": "moderator"})
    path, headers = "/api/v1/auth/token", {"X-Real-Ip": "192.0.2.7"}
    form = {"grant_type": "password", "username": PERSON["username"], "password": PERSON["password"]}
    first = (await registry.client.post(path, data=form)).json()
    session = await registry.client.get(
        "/api/v1/me/sessions", headers={"Authorization": f"Bearer {first['access_token']}"}
    )
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    assert (await registry.client.post(path, data=again)).status_code == 200
    assert await trail(registry, actor=person["id"]) == []  # a sign-in changes no data
    connection = await database.connect()
    await connection.execute("UPDATE refresh_tokens SET used_at = used_at - interval '31 seconds'")
    await connection.close()
    for _ in range(2):  # a session ends once
        assert (await registry.client.post(path, data=again, headers=headers)).status_code == 400
    (row,) = await trail(registry, actor=person["id"])
    assert (row["action"], row["subject_kind"]) == ("issue_token", "refresh_tokens")
    assert (row["subject_id"], row["ip_address"]) == (session.json()["items"][0]["id"], "192.0.2.7")
    assert (row["before"], set(row["after"])) == ({"revoked_at": None}, {"revoked_at"})


async def test_owner_of_the_schema_cannot_change_the_trail(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    await change(registry)
    connection = await database.connect("gospablik_owner")
    try:
        for statement in ("UPDATE audit SET action = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(statement)
        assert await connection.fetchval("SELECT count(*) FROM audit") == 1
    finally:
        await connection.close()
