"""Every route × every role × own, subordinate and foreign data: each cell is as docs/operations/access.md says.

A route fails without a row in *_routes.py, or if its row names a right other than the one the route requires.
"""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from jsonschema import Draft202012Validator

from shared.auth import tokens
from shared.auth.rights import Right
from shared.settings import ServiceName
from tests.integration.access import documented_rights
from tests.integration.access.all_routes import CALLS, ROWS
from tests.integration.access.all_services import EVERYBODY, OPEN311, AllServices, CallerCase, RouteRequest
from tests.integration.access.route_table import RouteCall
from tests.integration.access.sample_data import RELATIONS

PROBLEM = "application/problem+json"


def test_every_route_has_a_row_in_the_access_matrix(all_services: AllServices) -> None:
    routes = all_services.routes
    without_row, of_no_route = sorted(routes.keys() - ROWS.keys()), sorted(ROWS.keys() - routes.keys())
    assert not without_row, f"give these a row in tests/integration/access/*_routes.py: {without_row}"
    assert not of_no_route, f"these rows belong to no route: {of_no_route}"


def test_every_right_is_required_by_some_route() -> None:
    assert {call.right for call in CALLS.values()} - {None} == set(Right)


def documented_statuses(call: RouteCall, who: CallerCase, relation: str | None) -> frozenset[int]:
    """Return the documented statuses for this caller; `relation` is None if the call names no data."""
    if call.right is None:
        return call.answers
    reached = documented_rights.reached(who.role, call.right, include_subordinates=who.include_subordinates)
    if reached is None:
        return frozenset({403})
    return call.answers if relation is None or relation in reached else frozenset({call.hidden})


@pytest.mark.parametrize("route", CALLS)
async def test_each_response_is_as_documented(all_services: AllServices, route: str) -> None:
    call, wrong = CALLS[route], []
    requests = {
        relation: all_services.route_request(route, call, all_services.samples[relation]) for relation in RELATIONS
    }
    # A call that names no organisation's data is the same for all relations.
    of_all = requests["own"] == requests["foreign"]
    for relation, asked in requests.items():
        if of_all and relation != "own":
            break
        for who in EVERYBODY:
            answer = await all_services.send(route, asked, all_services.token(who))
            assert answer.status_code < 500 or answer.status_code in call.answers, answer.text
            expected = documented_statuses(call, who, None if of_all else relation)
            if answer.status_code not in expected:
                body_start = answer.text[:200]
                wrong.append(
                    f"{who}, {relation}: {answer.status_code}, documented: {sorted(expected)}: {body_start}"
                )
            wrong += [
                f"{who}, {relation}: shows {leak}" for leak in leaks(all_services, call, who, asked, answer.text)
            ]
            wrong += [
                f"{who}, {relation}: {difference}" for difference in undocumented(all_services, route, answer)
            ]
    assert not wrong, "\n".join(wrong)


# Always sent if declared; other headers are sent only in some responses.
ALWAYS_SENT = {"ETag", "Location", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"}
SOMETIMES_SENT = {"Link", "Idempotent-Replay", "Retry-After"}
# Bodies already found valid, with their routes and statuses: validation is slow.
VALID: set[tuple[str, int, str]] = set()


def undocumented(all_services: AllServices, route: str, answer: httpx.Response) -> list[str]:
    """Return how the response differs from the OpenAPI document: status, body, and headers of a success."""
    if not all_services.is_documented(route):
        return []
    response = all_services.operation(route)["responses"].get(str(answer.status_code))
    if response is None:
        return [f"the status {answer.status_code} is not documented"]
    if (difference := mismatch(all_services, route, response, answer)) is not None:
        return [difference]
    declared, sent = set(response.get("headers", ())), {name for name in ALWAYS_SENT if name in answer.headers}
    if answer.status_code >= 300:
        sent &= declared  # an error response may have headers beyond the declared ones
    all_sent = sent | {name for name in SOMETIMES_SENT if name in answer.headers}
    differences = [f"{name} is sent and not declared" for name in all_sent - declared]
    return differences + [f"{name} is declared and not sent" for name in declared & ALWAYS_SENT - sent]


def mismatch(
    all_services: AllServices, route: str, response: dict[str, Any], answer: httpx.Response
) -> str | None:
    """Return the first error of the body against its schema, or None."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not kind.endswith("json") or not answer.content:
        return None
    media = response.get("content", {}).get(kind)
    if media is None:
        return f"{answer.status_code} {kind} is not documented"
    # Most callers get the same body except for the request id.
    body = answer.text.replace(answer.headers.get("x-request-id", " "), "")
    if (route, answer.status_code, body) in VALID:
        return None
    # References in the schema are resolved against the whole document.
    document = all_services.apps[all_services.routes[route]].openapi()
    error = next(Draft202012Validator({**document, **media["schema"]}).iter_errors(answer.json()), None)
    if error is None:
        VALID.add((route, answer.status_code, body))
        return None
    return f"{answer.status_code}: {error.json_path} {error.message[:300]}"


def test_openapi_document_names_the_right_of_each_route(all_services: AllServices) -> None:
    named = {
        route: all_services.operation(route).get("x-required-right")
        for route in CALLS
        if all_services.is_documented(route)
    }
    assert named == {route: CALLS[route].right for route in named}


def leaks(
    all_services: AllServices, call: RouteCall, who: CallerCase, asked: RouteRequest, text: str
) -> list[str]:
    """Return values in a response that belong to organisations whose data this right does not cover."""
    reached = (
        None
        if call.right is None
        else documented_rights.reached(who.role, call.right, include_subordinates=who.include_subordinates)
    )
    if reached is None or reached == set(RELATIONS):
        return []
    hidden: set[str] = set().union(
        *(all_services.samples.identifying[relation] for relation in RELATIONS if relation not in reached)
    )
    return [name for name in hidden if name in text and not asked.names(name)]


@pytest.mark.parametrize("route", CALLS)
async def test_every_route_rejects_invalid_tokens(
    all_services: AllServices, route: str, bad_tokens: dict[str, str | None]
) -> None:
    call, wrong = CALLS[route], []
    asked = all_services.route_request(route, call, all_services.samples["own"])
    for name, token in bad_tokens.items():
        answer = await all_services.send(route, asked, token)
        expected = (403, "application/json") if OPEN311.search(route) else (401, PROBLEM)
        if (answer.status_code, answer.headers["content-type"].partition(";")[0]) != expected:
            wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def bad_tokens(all_services: AllServices) -> dict[str, str | None]:
    """Return invalid tokens of a moderator by the name of their defect."""
    people = tokens.read_key(all_services.services["registry"].keys_dir / "people.jwk")
    service = tokens.read_key(all_services.services["registry"].keys_dir / "appeals.jwk")
    hour = timedelta(hours=1)

    def signed(
        signer: tokens.Signer, audience: str = tokens.PEOPLE_AUDIENCE, lifetime: timedelta = hour, **claims: object
    ) -> str:
        return signer.sign(
            "00000000-0000-0000-0000-000000000001", audience, lifetime, **({"role": "moderator"} | claims)
        )

    ours = tokens.Signer(tokens.PEOPLE_ISSUER, people)
    place = str(all_services.samples["own"]["organisation_id"])
    return {
        "no token": None,
        "not a JWT": "demo",
        "expired": signed(ours, lifetime=-hour),
        "another issuer": signed(tokens.Signer("somebody", tokens.new_key("somebody.1"))),
        "another's key in our name": signed(tokens.Signer(tokens.PEOPLE_ISSUER, tokens.new_key(str(people.kid)))),
        "our key in another's name": signed(tokens.Signer("somebody", people)),
        "for another audience": signed(ours, audience="somebody"),
        "a service's own": signed(tokens.Signer("appeals", service), audience="ingest"),
        "an unknown role": signed(ours, role="emperor"),
        "staff of no organisation": signed(ours, role="executor"),
        "the centre at an organisation": signed(ours, org=place),
    }


@pytest.mark.parametrize("route", [route for route, call in CALLS.items() if call.right is not None])
async def test_token_with_a_scope_has_only_the_rights_of_the_scope(all_services: AllServices, route: str) -> None:
    call = CALLS[route]
    assert call.right is not None
    who = next(
        who
        for who in EVERYBODY
        if documented_rights.reached(who.role, call.right, include_subordinates=who.include_subordinates)
    )
    asked = all_services.route_request(route, call, all_services.samples["own"])
    # A system can grant only rights within its scope: sample clients have the right to read, sample people have
    # all rights of an executor.
    given = [
        right for right in Right if call.right is Right.PEOPLE_MANAGE and documented_rights.has("executor", right)
    ]
    enough = " ".join([call.right, Right.REGISTRY_READ, *given])
    cases = [(enough, call.answers), ("metrics:none", {403})]
    if call.right_of_centre is not None:
        cases = [(f"{enough} {call.right_of_centre}", call.answers), (enough, {403}), cases[1]]
    for scope, expected in cases:
        answer = await all_services.send(route, asked, all_services.token(who, scope=scope))
        assert answer.status_code in expected, f"{scope}: {answer.status_code} {answer.text}"


@pytest.mark.parametrize(
    "route", [route for route, call in CALLS.items() if call.right in {Right.PEOPLE_MANAGE, Right.CLIENTS_MANAGE}]
)
async def test_caller_without_current_access_cannot_grant_or_revoke_access(
    all_services: AllServices, route: str
) -> None:
    asked = all_services.route_request(route, CALLS[route], all_services.samples["own"])
    # Tokens of an unregistered person, and of a person whose role has changed.
    for subject in (str(UUID(int=404)), all_services.subject(CallerCase("moderator"))):
        token = all_services.services["registry"].token("operations", subject=subject)
        answer = await all_services.send(route, asked, token)
        assert answer.status_code == 401, answer.text
    assert (
        await all_services.send(route, asked, all_services.token(CallerCase("operations")))
    ).status_code in CALLS[route].answers


async def test_internal_routes_accept_only_services(all_services: AllServices) -> None:
    for route, service in all_services.internal.items():
        method, path = route.split()
        for token in (None, all_services.token(CallerCase("moderator"))):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = await all_services.services[service].client.request(method, path, headers=headers, json={})
            assert answer.status_code == 401, f"{route}: {answer.status_code}"


# The services that may call each internal route. Other services are refused, even with a valid key.
CALLERS: dict[str, set[ServiceName]] = {
    "POST /internal/publications": {"appeals", "webhooks"},
    "POST /internal/publications/{publication_id}/retry": {"appeals"},
    "POST /internal/publications/{publication_id}/changes": {"appeals"},
    "POST /internal/pages/describe": {"registry"},
    "POST /internal/pages/resolve": {"registry"},
    "POST /internal/identity": {"ingest", "appeals", "metrics", "webhooks"},
    "GET /internal/attachments/{attachment_id}": {"ingest"},
    "POST /internal/erasures/appeals": {"ingest"},
    "POST /internal/erasures/quotations": {"ingest"},
    "POST /internal/erasures/deliveries": {"ingest"},
    "POST /internal/erasures/grades": {"ingest"},
    "GET /internal/reports/weekly/{week}/pdf": {"webhooks"},
}


async def test_unlisted_service_is_refused_by_internal_routes(all_services: AllServices) -> None:
    assert all_services.internal.keys() == CALLERS.keys()
    for route, callee in all_services.internal.items():
        method, path = re.sub(r"\{\w+\}", str(UUID(int=1)), route).split()
        for caller in all_services.services:
            service = all_services.services[callee]
            answer = await service.client.request(
                method, path, headers=service.service_headers(caller, **{"Idempotency-Key": caller}), json={}
            )
            named = caller in CALLERS[route]
            # The body is empty: an authorised caller gets a validation error, or 404 because nothing has this id.
            expected = {404, 422} if named else {403}
            assert answer.status_code in expected, f"{caller} → {route}: {answer.status_code} {answer.text}"


async def test_service_token_is_accepted_only_by_its_route(all_services: AllServices) -> None:
    ingest = all_services.services["ingest"]
    for use in ("POST /internal/publications/x/retry", "GET /internal/publications", ""):
        token = ingest.service_token("appeals", use)
        answer = await ingest.client.post(
            "/internal/publications", json={}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401, answer.text
    right = ingest.service_token("appeals", "POST /internal/publications")
    headers = {"Authorization": f"Bearer {right}", "Idempotency-Key": "made for it"}
    assert (await ingest.client.post("/internal/publications", json={}, headers=headers)).status_code == 422
