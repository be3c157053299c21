"""A caller who has lost access cannot change anything with a token that is still valid, in any service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from shared.auth import tokens
from shared.auth.rights import Right
from tests.integration.access import documented_rights
from tests.integration.access.all_routes import CALLS
from tests.integration.access.all_services import EVERYBODY, OPEN311, AllServices, CallerCase
from tests.integration.access.route_table import GOOD
from tests.integration.access.test_audit_coverage import record_changes

# These routes read although they use POST: reads are allowed until the token expires (docs/operations/access.md).
READS = {
    "POST /api/v1/pages/resolve",
    "POST /api/v1/appeals/{appeal_id}/replies/check",
    "POST /api/v1/rule-sets/{rule_set_id}/dry-run",
    "POST /api/v1/rule-sets/{rule_set_id}/preview",
}
WRITES = [route for route in CALLS if not route.startswith("GET ") and route not in READS]
# For each service with routes that change data, one of them.
ONE_OF_EACH = {
    "registry": "POST /api/v1/organisations/{organisation_id}/names",
    "ingest": "POST /api/v1/sources/{page_id}/backfills",
    "appeals": "POST /api/v1/appeals/{appeal_id}/replies",
    "metrics": "POST /api/v1/grading/rubrics",
    "webhooks": "POST /api/v1/webhooks/endpoints",
}


def may(route: str) -> CallerCase:
    """Return a caller who may call the route."""
    right = CALLS[route].right
    return next(
        who
        for who in EVERYBODY
        if right is None
        or documented_rights.reached(who.role, right, include_subordinates=who.include_subordinates)
    )


@asynccontextmanager
async def committed(all_services: AllServices, change: str, back: str, subject: str) -> AsyncIterator[None]:
    """Commit a change of somebody's access as the registry does, and undo it after the block."""
    engine = all_services.services["registry"].service.database.engine
    async with engine.begin() as connection:
        await connection.execute(text(change), {"id": UUID(subject)})
    try:
        yield
    finally:
        async with engine.begin() as connection:
            await connection.execute(text(back), {"id": UUID(subject)})


@pytest.mark.parametrize("route", WRITES)
async def test_locked_person_cannot_change_anything_with_a_valid_token(
    all_services: AllServices, route: str
) -> None:
    who, service = may(route), all_services.routes[route]
    asked, token = (
        all_services.route_request(route, CALLS[route], all_services.samples["own"]),
        all_services.token(who),
    )
    lock = "UPDATE people SET locked_at = now() WHERE id = :id"
    async with committed(
        all_services, lock, "UPDATE people SET locked_at = NULL WHERE id = :id", all_services.subject(who)
    ):
        with record_changes(all_services, service) as database:
            answer = await all_services.send(route, asked, token)
    expected = 403 if OPEN311.search(route) else 401
    assert answer.status_code == expected, f"{answer.status_code} {answer.text[:200]}"
    assert database.rows == []


@pytest.mark.parametrize("route", ONE_OF_EACH.values())
@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("active = false", "active = true"),
        ("role = 'analyst'", "role = 'moderator'"),
        ("id = '00000000-0000-0000-0000-000000000405'", ""),
    ],
    ids=["removed", "another role", "nobody"],
)
async def test_person_with_changed_access_cannot_use_an_old_token_for_changes(
    all_services: AllServices, route: str, change: str, back: str
) -> None:
    who = CallerCase("moderator")
    subject = all_services.subject(who)
    undo = (
        f"UPDATE people SET {back} WHERE id = :id"
        if back
        else (f"UPDATE people SET id = '{subject}' WHERE {change} AND CAST(:id AS uuid) IS NOT NULL")
    )
    asked = all_services.route_request(route, CALLS[route], all_services.samples["own"])
    assert (await all_services.send(route, asked, all_services.token(who))).status_code in GOOD
    async with committed(all_services, f"UPDATE people SET {change} WHERE id = :id", undo, subject):
        answer = await all_services.send(route, asked, all_services.token(who))
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"
    assert (await all_services.send(route, asked, all_services.token(who))).status_code in GOOD


@pytest.mark.parametrize(
    "change",
    ["organisation_id = '{elsewhere}'", "include_subordinates = false"],
    ids=["moved", "without subordinates"],
)
async def test_moved_person_cannot_change_anything_at_the_former_organisation(
    all_services: AllServices, change: str
) -> None:
    who = CallerCase("executor", include_subordinates=True)
    own, elsewhere = (all_services.samples[whose]["organisation_id"] for whose in ("own", "foreign"))
    route = ONE_OF_EACH["appeals"]
    asked = all_services.route_request(route, CALLS[route], all_services.samples["own"])
    assert (await all_services.send(route, asked, all_services.token(who))).status_code in GOOD
    moved = f"UPDATE people SET {change.format(elsewhere=elsewhere)} WHERE id = :id"
    back = f"UPDATE people SET organisation_id = '{own}', include_subordinates = true WHERE id = :id"
    async with committed(all_services, moved, back, all_services.subject(who)):
        answer = await all_services.send(route, asked, all_services.token(who))
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"
    assert (await all_services.send(route, asked, all_services.token(who))).status_code in GOOD


@pytest.mark.parametrize(
    "change",
    ["active = false", "expires_at = now() - interval '1 minute'", "scopes = '[\"registry:read\"]'"],
    ids=["removed", "expired", "narrowed"],
)
async def test_client_with_changed_access_cannot_use_an_old_token_for_changes(
    all_services: AllServices, change: str
) -> None:
    place, client = all_services.samples["own"]["organisation_id"], str(all_services.samples["own"]["client_id"])
    scope = f"{Right.APPEALS_READ} {Right.APPEALS_ANSWER}"
    back = f"""UPDATE api_clients SET active = true, expires_at = NULL,
        scopes = '["{Right.APPEALS_READ}", "{Right.APPEALS_ANSWER}"]' WHERE id = :id"""
    token = all_services.services["registry"].token(
        "executor", place, subject=client, scope=scope, lifetime=timedelta(minutes=5)
    )
    route = ONE_OF_EACH["appeals"]
    asked = all_services.route_request(route, CALLS[route], all_services.samples["own"])
    async with committed(
        all_services, back, "UPDATE api_clients SET scopes = '[\"registry:read\"]' WHERE id = :id", client
    ):
        assert (await all_services.send(route, asked, token)).status_code in GOOD
        async with committed(all_services, f"UPDATE api_clients SET {change} WHERE id = :id", back, client):
            answer = await all_services.send(route, asked, token)
        assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.parametrize("service", ONE_OF_EACH)
async def test_token_of_an_ended_session_is_refused_by_every_service(
    all_services: AllServices, service: str
) -> None:
    people = tokens.read_key(all_services.services["registry"].keys_dir / "people.jwk")
    place, person = all_services.samples["own"]["organisation_id"], str(all_services.samples["own"]["person_id"])
    session_id = str(all_services.samples["own"]["session_id"])
    route = ONE_OF_EACH[service]
    asked = all_services.route_request(route, CALLS[route], all_services.samples["own"])
    manage = "UPDATE people SET role = 'moderator', organisation_id = NULL WHERE id = :id"
    back = f"UPDATE people SET role = 'executor', organisation_id = '{place}' WHERE id = :id"
    token = tokens.Signer(tokens.PEOPLE_ISSUER, people).sign(
        person, tokens.PEOPLE_AUDIENCE, timedelta(minutes=5), role="moderator", sid=session_id
    )
    async with committed(all_services, manage, back, person):
        assert (await all_services.send(route, asked, token)).status_code in GOOD
        end = "UPDATE refresh_tokens SET revoked_at = now() WHERE session_id = :id"
        async with committed(all_services, end, end.replace("now()", "NULL"), session_id):
            answer = await all_services.send(route, asked, token)
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.parametrize("service", ONE_OF_EACH)
async def test_token_of_a_revoked_client_secret_is_refused_by_every_service(
    all_services: AllServices, service: str
) -> None:
    key = tokens.read_key(all_services.services["registry"].keys_dir / "people.jwk")
    own = all_services.samples["own"]
    client, secret_id = str(own["client_id"]), str(own["secret_id"])
    route = ONE_OF_EACH[service]
    asked = all_services.route_request(route, CALLS[route], own)
    token = tokens.Signer(tokens.PEOPLE_ISSUER, key).sign(
        client, tokens.PEOPLE_AUDIENCE, timedelta(minutes=5), role="moderator", sid=secret_id
    )
    allow = "UPDATE api_clients SET role = 'moderator', organisation_id = NULL, scopes = NULL WHERE id = :id"
    back = f"""UPDATE api_clients SET role = 'executor', organisation_id = '{own["organisation_id"]}',
        scopes = '["registry:read"]' WHERE id = :id"""
    async with committed(all_services, allow, back, client):
        assert (await all_services.send(route, asked, token)).status_code in GOOD
        revoke = "UPDATE client_secrets SET expires_at = now() WHERE id = :id"
        async with committed(all_services, revoke, revoke.replace("now()", "NULL"), secret_id):
            answer = await all_services.send(route, asked, token)
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"


def test_listed_read_only_post_routes_exist(all_services: AllServices) -> None:
    assert CALLS.keys() >= READS
    assert {all_services.routes[route] for route in ONE_OF_EACH.values()} == set(ONE_OF_EACH)
    assert {all_services.routes[route] for route in WRITES} == set(ONE_OF_EACH)
