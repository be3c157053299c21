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
from tests.integration.access.all_services import EVERYBODY, Stage, Who
from tests.integration.access.route_table import GOOD
from tests.integration.access.test_audit_coverage import watched

# These read although they use POST: reads are allowed until the token expires, see docs/operations/access.md.
READS = {
    "POST /api/v1/pages/resolve",
    "POST /api/v1/rule-sets/{rule_set_id}/dry-run",
    "POST /api/v1/rule-sets/{rule_set_id}/preview",
}
WRITES = [route for route in CALLS if not route.startswith("GET ") and route not in READS]
# A changing route of each service that has one.
ONE_OF_EACH = {
    "registry": "POST /api/v1/organisations/{organisation_id}/names",
    "ingest": "POST /api/v1/sources/{page_id}/backfills",
    "appeals": "POST /api/v1/appeals/{appeal_id}/replies",
    "webhooks": "POST /api/v1/webhooks/endpoints",
}


def may(route: str) -> Who:
    """Return a caller who may call the route."""
    right = CALLS[route].right
    return next(
        who
        for who in EVERYBODY
        if right is None
        or documented_rights.reached(who.role, right, include_subordinates=who.include_subordinates)
    )


@asynccontextmanager
async def committed(stage: Stage, change: str, back: str, subject: str) -> AsyncIterator[None]:
    """Commit a change of somebody's access as registry does, and undo it after the block."""
    engine = stage.services["registry"].service.database.engine
    async with engine.begin() as connection:
        await connection.execute(text(change), {"id": UUID(subject)})
    try:
        yield
    finally:
        async with engine.begin() as connection:
            await connection.execute(text(back), {"id": UUID(subject)})


@pytest.mark.parametrize("route", WRITES)
async def test_locked_person_changes_nothing_with_a_valid_token(stage: Stage, route: str) -> None:
    who, service = may(route), stage.routes[route]
    asked, token = stage.asked(route, CALLS[route], stage.world["own"]), stage.token(who)
    lock = "UPDATE people SET locked_at = now() WHERE id = :id"
    async with committed(stage, lock, "UPDATE people SET locked_at = NULL WHERE id = :id", stage.subject(who)):
        with watched(stage, service) as database:
            answer = await stage.send(route, asked, token)
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"
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
async def test_person_whose_access_was_changed_changes_nothing(
    stage: Stage, route: str, change: str, back: str
) -> None:
    who = Who("moderator")
    subject = stage.subject(who)
    undo = (
        f"UPDATE people SET {back} WHERE id = :id"
        if back
        else (f"UPDATE people SET id = '{subject}' WHERE {change} AND CAST(:id AS uuid) IS NOT NULL")
    )
    asked = stage.asked(route, CALLS[route], stage.world["own"])
    assert (await stage.send(route, asked, stage.token(who))).status_code in GOOD
    async with committed(stage, f"UPDATE people SET {change} WHERE id = :id", undo, subject):
        answer = await stage.send(route, asked, stage.token(who))
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"
    assert (await stage.send(route, asked, stage.token(who))).status_code in GOOD


@pytest.mark.parametrize(
    "change",
    ["organisation_id = '{elsewhere}'", "include_subordinates = false"],
    ids=["moved", "without subordinates"],
)
async def test_person_moved_elsewhere_changes_nothing_at_the_former_organisation(
    stage: Stage, change: str
) -> None:
    who = Who("executor", include_subordinates=True)
    own, elsewhere = (stage.world[whose]["organisation_id"] for whose in ("own", "foreign"))
    route = ONE_OF_EACH["appeals"]
    asked = stage.asked(route, CALLS[route], stage.world["own"])
    assert (await stage.send(route, asked, stage.token(who))).status_code in GOOD
    moved = f"UPDATE people SET {change.format(elsewhere=elsewhere)} WHERE id = :id"
    back = f"UPDATE people SET organisation_id = '{own}', include_subordinates = true WHERE id = :id"
    async with committed(stage, moved, back, stage.subject(who)):
        answer = await stage.send(route, asked, stage.token(who))
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"
    assert (await stage.send(route, asked, stage.token(who))).status_code in GOOD


@pytest.mark.parametrize(
    "change",
    ["active = false", "expires_at = now() - interval '1 minute'", "scopes = '[\"registry:read\"]'"],
    ids=["removed", "expired", "narrowed"],
)
async def test_system_whose_access_was_changed_changes_nothing(stage: Stage, change: str) -> None:
    place, client = stage.world["own"]["organisation_id"], str(stage.world["own"]["client_id"])
    scope = f"{Right.APPEALS_READ} {Right.APPEALS_ANSWER}"
    back = f"""UPDATE api_clients SET active = true, expires_at = NULL,
        scopes = '["{Right.APPEALS_READ}", "{Right.APPEALS_ANSWER}"]' WHERE id = :id"""
    token = stage.services["registry"].token(
        "executor", place, subject=client, scope=scope, lifetime=timedelta(minutes=5)
    )
    route = ONE_OF_EACH["appeals"]
    asked = stage.asked(route, CALLS[route], stage.world["own"])
    async with committed(
        stage, back, "UPDATE api_clients SET scopes = '[\"registry:read\"]' WHERE id = :id", client
    ):
        assert (await stage.send(route, asked, token)).status_code in GOOD
        async with committed(stage, f"UPDATE api_clients SET {change} WHERE id = :id", back, client):
            answer = await stage.send(route, asked, token)
        assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.parametrize("service", ONE_OF_EACH)
async def test_every_service_checks_whether_the_session_was_ended(stage: Stage, service: str) -> None:
    people = tokens.read_key(stage.services["registry"].keys_dir / "people.jwk")
    place, person = stage.world["own"]["organisation_id"], str(stage.world["own"]["person_id"])
    session_id = str(stage.world["own"]["session_id"])
    route = ONE_OF_EACH[service]
    asked = stage.asked(route, CALLS[route], stage.world["own"])
    manage = "UPDATE people SET role = 'moderator', organisation_id = NULL WHERE id = :id"
    back = f"UPDATE people SET role = 'executor', organisation_id = '{place}' WHERE id = :id"
    token = tokens.Signer(tokens.PEOPLE_ISSUER, people).sign(
        person, tokens.PEOPLE_AUDIENCE, timedelta(minutes=5), role="moderator", sid=session_id
    )
    async with committed(stage, manage, back, person):
        assert (await stage.send(route, asked, token)).status_code in GOOD
        end = "UPDATE refresh_tokens SET revoked_at = now() WHERE session_id = :id"
        async with committed(stage, end, end.replace("now()", "NULL"), session_id):
            answer = await stage.send(route, asked, token)
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:200]}"


def test_listed_read_only_post_routes_exist(stage: Stage) -> None:
    assert CALLS.keys() >= READS
    assert {stage.routes[route] for route in ONE_OF_EACH.values()} == set(ONE_OF_EACH)
    assert {stage.routes[route] for route in WRITES} == set(ONE_OF_EACH)
