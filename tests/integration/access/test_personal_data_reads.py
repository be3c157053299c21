"""Every read of an unmasked text is logged, with the reader and the citizen's appeal or message."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.integration.access.all_routes import CALLS
from tests.integration.access.all_services import AllServices, CallerCase

RECORDED: Mapping[str, str] = {
    "GET /api/v1/messages": "message",
    "GET /api/v1/messages/{message_id}": "message",
    "GET /api/v1/publications/{publication_id}": "appeal",
    "GET /api/v1/appeals/{appeal_id}": "appeal",
    "GET /api/v1/appeals/{appeal_id}/deadlines": "appeal",
    "GET /api/v1/appeals/{appeal_id}/notes": "appeal",
    "GET /api/v1/appeals/{appeal_id}/replies": "appeal",
    "GET /api/v1/appeals/{appeal_id}/replies/{reply_id}/versions": "appeal",
}
# Routes that show a text without recording the read: the text is masked, or about no citizen.
UNRECORDED: Mapping[str, str] = {
    "GET /api/v1/appeals": "masked",
    "GET /api/v1/appeals/bulk/{operation_id}/rows": "masked",
    "GET /api/v1/appeals/{appeal_id}/reply-templates": "the text of a template with the fields of the appeal",
    "GET /api/v1/appeals/{appeal_id}/similar": "masked",
    "GET /api/v1/classifications": "masked",
    "GET /api/v1/erasures": "the letter that demands the erasure",
    "GET /api/v1/erasures/{erasure_id}": "the letter that demands the erasure",
    "GET /api/v1/extension-requests": "masked",
    "GET /api/v1/grading/items/{item_id}": "masked",
    "GET /api/v1/grading/objections": "masked",
    "GET /api/v1/incidents/{incident_id}/members": "masked",
    "GET /api/v1/incidents/{incident_id}/replies": "one text for all citizens of an incident",
    "GET /api/v1/metrics/pulse": "written by the service",
    "GET /api/v1/publications": "masked",
    "GET /api/v1/reply-approvals": "masked",
    "GET /api/v1/reply-templates": "a template",
    "GET /api/v1/reply-templates/{template_id}": "a template",
    "GET /api/v1/reports/weekly/{week}": "masked",
    "GET /api/v1/reports/weekly/{week}.json": "masked",
}
_TEXT_FIELDS = {"text", "ground", "comment"}


def _fields(all_services: AllServices, route: str) -> Iterator[str]:
    """Yield the names of all fields, also nested ones, of a response to this route."""
    schemas: list[Any] = [media.get("schema", {}) for media in all_services.content(route).values()]
    seen = set()
    while schemas:
        schema = schemas.pop()
        yield from schema.get("properties", {})
        schemas += schema.get("properties", {}).values()
        schemas += [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, [])]
        schemas += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
        reference = schema.get("$ref")
        if reference is not None and reference not in seen:
            seen.add(reference)
            schemas.append(all_services.schema(reference, route))


def test_every_route_that_shows_a_text_records_the_read_or_is_known_not_to_need_it(
    all_services: AllServices,
) -> None:
    shows_texts = {
        route
        for route in all_services.routes
        if route.startswith("GET ")
        and all_services.is_documented(route)
        and not _TEXT_FIELDS.isdisjoint(_fields(all_services, route))
    }
    assert shows_texts == RECORDED.keys() | UNRECORDED.keys()


@pytest.mark.parametrize(("route", "kind"), RECORDED.items())
async def test_reads_of_unmasked_texts_are_logged_with_reader_and_citizen(
    all_services: AllServices, route: str, kind: str
) -> None:
    who = CallerCase("executor")
    own, foreign = all_services.samples["own"], all_services.samples["foreign"]
    with capture_logs() as lines:
        answer = await all_services.send(
            route, all_services.route_request(route, CALLS[route], own), all_services.token(who)
        )
        if "{" in route:
            # A caller who gets no text is not logged.
            hidden = await all_services.send(
                route, all_services.route_request(route, CALLS[route], foreign), all_services.token(who)
            )
            assert hidden.status_code == 404
    assert answer.status_code == 200, answer.text
    [entry] = [line for line in lines if line["event"] == "personal_data_read"]
    assert (entry["module"], entry["actor"], entry["kind"]) == ("security", all_services.subject(who), kind)
    name = CALLS[route].names.get(f"{kind}_id", f"{kind}_id")
    assert str(own[name]) in entry["subjects"]
    assert str(foreign[name]) not in entry["subjects"]
