"""Every route of the registry: who may call it, and what its OpenAPI document promises."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from services.registry.app import service
from shared.access import CENTRE_ROLES, RIGHTS, Right, Role
from tests.harness import ServiceUnderTest

ANYBODY = None
NEEDS: dict[str, Right | None] = {
    "GET /api/v1/me": ANYBODY,
    "GET /api/v1/organisations": Right.REGISTRY_READ,
    "GET /api/v1/organisations/{organisation_id}": Right.REGISTRY_READ,
    "POST /api/v1/organisations": Right.REGISTRY_WRITE,
    "PATCH /api/v1/organisations/{organisation_id}": Right.REGISTRY_WRITE,
    "GET /api/v1/organisations/{organisation_id}/names": Right.REGISTRY_READ,
    "POST /api/v1/organisations/{organisation_id}/names": Right.REGISTRY_WRITE,
    "DELETE /api/v1/organisations/{organisation_id}/names/{name_id}": Right.REGISTRY_WRITE,
    "GET /api/v1/organisations/{organisation_id}/successions": Right.REGISTRY_READ,
    "POST /api/v1/organisations/{organisation_id}/successions": Right.REGISTRY_WRITE,
    "DELETE /api/v1/organisations/{organisation_id}/successions/{succession_id}": Right.REGISTRY_WRITE,
    "GET /api/v1/organisations/search": Right.REGISTRY_READ,
    "POST /api/v1/organisations/import": Right.REGISTRY_WRITE,
    "GET /api/v1/organisations/export": Right.REGISTRY_READ,
    "GET /api/v1/municipalities": Right.REGISTRY_READ,
    "GET /api/v1/pages": Right.REGISTRY_READ,
    "GET /api/v1/pages/{page_id}": Right.REGISTRY_READ,
    "POST /api/v1/pages": Right.REGISTRY_WRITE,
    "PATCH /api/v1/pages/{page_id}": Right.REGISTRY_WRITE,
    "GET /api/v1/calendars": Right.REGISTRY_READ,
    "GET /api/v1/calendars/{calendar_id}": Right.REGISTRY_READ,
    "POST /api/v1/calendars": Right.REGISTRY_WRITE,
    "PATCH /api/v1/calendars/{calendar_id}": Right.REGISTRY_WRITE,
    "PUT /api/v1/calendars/{calendar_id}/days": Right.REGISTRY_WRITE,
    "GET /api/v1/calendars/{calendar_id}/days.ics": Right.REGISTRY_READ,
    "PUT /api/v1/calendars/{calendar_id}/days.ics": Right.REGISTRY_WRITE,
    "GET /api/v1/coverage": Right.REGISTRY_READ,
    "GET /api/v1/coverage/missing": Right.REGISTRY_READ,
    "GET /api/v1/coverage/history": Right.REGISTRY_READ,
    "GET /api/v1/people": Right.PEOPLE_READ,
    "GET /api/v1/people/{person_id}": Right.PEOPLE_READ,
    "POST /api/v1/people": Right.PEOPLE_MANAGE,
    "PATCH /api/v1/people/{person_id}": Right.PEOPLE_MANAGE,
    "GET /api/v1/people/{person_id}/sessions": Right.PEOPLE_READ,
    "DELETE /api/v1/people/{person_id}/sessions": Right.PEOPLE_MANAGE,
    "DELETE /api/v1/people/{person_id}/sessions/{session_id}": Right.PEOPLE_MANAGE,
    "POST /api/v1/people/{person_id}/lock": Right.PEOPLE_MANAGE,
    "POST /api/v1/people/{person_id}/unlock": Right.PEOPLE_MANAGE,
    "GET /api/v1/me/sessions": ANYBODY,
    "DELETE /api/v1/me/sessions": ANYBODY,
    "DELETE /api/v1/me/sessions/{session_id}": ANYBODY,
    "GET /api/v1/clients": Right.CLIENTS_READ,
    "GET /api/v1/clients/{client_id}": Right.CLIENTS_READ,
    "POST /api/v1/clients": Right.CLIENTS_MANAGE,
    "PATCH /api/v1/clients/{client_id}": Right.CLIENTS_MANAGE,
    "POST /api/v1/clients/{client_id}/secrets": Right.CLIENTS_MANAGE,
    "DELETE /api/v1/clients/{client_id}/secrets/{secret_id}": Right.CLIENTS_MANAGE,
    "DELETE /api/v1/clients/{client_id}": Right.CLIENTS_MANAGE,
}
OPEN = {
    "POST /api/v1/auth/token",
    "POST /api/v1/auth/revoke",
    "GET /api/v1/auth/ways",
    "GET /.well-known/jwks.json",
}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in service.build("api").openapi()["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_every_route_is_in_the_table() -> None:
    assert {name for name, _ in operations()} == NEEDS.keys() | OPEN


@pytest.mark.parametrize("role", list(Role))
async def test_who_may_call_what(registry: ServiceUnderTest, role: Role) -> None:
    organisation = None if role in CENTRE_ROLES else uuid4()
    headers = registry.headers(role, organisation, **{"If-Match": "*"})
    for name, right in NEEDS.items():
        method, path = name.split()
        path = re.sub(r"\{\w+_id\}", lambda _: str(uuid4()), path)
        answer = await registry.client.request(method, path, headers=headers, json={} if method != "GET" else None)
        allowed = right is None or right in RIGHTS[role]
        assert (answer.status_code != 403) == allowed, f"{role}: {name} answered {answer.status_code}"
        anonymous = await registry.client.request(method, path)
        assert anonymous.status_code == 401, name
        assert anonymous.headers["content-type"] == "application/problem+json"


async def test_the_document_promises_what_routes_answer() -> None:
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"], name
        if name in OPEN:
            assert "security" not in operation, name
            continue
        assert operation["security"], name
        for status in ("401", "422", "403") if name != "GET /api/v1/me" else ("401",):
            content = operation["responses"][status]["content"]
            assert "application/problem+json" in content, (name, status)


def test_every_field_of_a_body_has_an_example() -> None:
    document = service.build("api").openapi()
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if not name.endswith(("New", "Change", "Replacement")):
            continue
        for field, described in schema["properties"].items():
            shown = [described, *described.get("anyOf", [])]
            obvious = described.get("type") == "boolean" or any(
                "$ref" in part or part.get("type") in {"boolean", "array"} for part in shown
            )
            assert obvious or any("examples" in part for part in shown), (name, field)
