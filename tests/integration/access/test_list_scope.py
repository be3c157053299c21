"""A list never counts or shows a foreign row, whatever the filter, search, sort, cursor, feed or file format.

Lists and filters are read from the OpenAPI document, so that new ones are tested too; a list or filter that the
tables below do not contain fails the test.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.auth.rights import Right
from tests.integration.access import documented_rights
from tests.integration.access.all_routes import CALLS, LISTINGS
from tests.integration.access.all_services import EVERYBODY, AllServices, CallerCase
from tests.integration.access.route_table import ListRoute
from tests.integration.access.sample_data import MARKS, RELATIONS, Things
from tests.integration.access.test_access_matrix import leaks

# Filters that select sample rows of one organisation, each with the name of its value in the sample data.
FINDS = {
    "organisation_id": "organisation_id",
    "page_id": "page_id",
    "reply_id": "reply_id",
    "endpoint_id": "endpoint_id",
    "event_id": "event_id",
    "thread_key": "thread_key",
    "number": "number",
    "assignee_id": "person_id",
    "incident_id": "incident_id",
    "person_id": "person_id",
    "q": "word",
    "tag": "tag",
    "prefix": "tag",
    "topic_id": "topic_id",
    "group_id": "topic_id",
    "topic_group_id": "topic_id",
    "subject_id": "appeal_id",
    "appeal_id": "appeal_id",
    "actor": "actor",
    "author_key": "author_key",
    "key": "organisation_id",
    "parent_id": "organisation_id",
    "subtree_of": "organisation_id",
    "ancestor_id": "organisation_id",
    "code": "code",
    "organisation": "organisation_id",
    "topic": "topic_id",
    "topic_group": "topic_id",
    "service_code": "topic_id",
    "service_request_id": "appeal_id",
}
# Other filters, with values that are the same for all organisations of the sample data.
OTHER_FILTERS: dict[str, list[str]] = {
    name: ["2026-03-01T00:00:00Z", "2026-03-05T00:00:00Z"]
    for name in (
        "opened_from",
        "opened_to",
        "updated_since",
        "due_before",
        "received_from",
        "received_to",
        "started_from",
        "made_from",
        "made_to",
        "created_from",
        "created_to",
    )
} | {
    "from": ["2026-03-02T00:00:00Z"],
    "to": ["2026-03-08T00:00:00Z"],
    "deleted_by": ["author"],
    "days": ["90"],
    "municipality": ["81701000"],
    "sphere": ["образование"],
    "inn": ["7707083893"],
    "ogrn": ["1027700132195"],
    "valid_on": ["2026-03-02"],
    "day": ["2026-03-02"],
    "location": ["81701000", "none"],
    "after": ["0", "1", "2"],
    "types": ["appeal.opened"],
    # A longer wait needs running streams: test_long_poll.py.
    "wait": ["0"],
    "on_behalf_of": ["somebody"],
    "action": ["matrix"],
    "field": ["verified"],
    "settlement": ["Кабанск"],
    "utility_failure": ["power"],
    "min_transfers": ["1"],
    "source": ["phone"],
    "external_id": ["А-1"],
    "on": ["2099-01-02"],
    "week": ["2026-W08", "2026-W09", "2026-W10"],
    "start_date": ["2026-03-01T00:00:00Z"],
    "end_date": ["2026-03-05T00:00:00Z"],
    "jurisdiction_id": ["example.ru"],
    # Several values separated by commas: the document names no list of values.
    "GET /open311/v2/requests.json status": ["open", "open,closed"],
    "peer_group": ["schools", "other_institutions", "districts"],
}
PAGED = {"limit", "cursor"}
# Lists of the region's directory, which every signed-in caller may read.
DIRECTORY = {
    "GET /api/v1/organisations/search",
    "GET /api/v1/organisations/{organisation_id}/names",
    "GET /api/v1/organisations/{organisation_id}/successions",
    "GET /api/v1/municipalities",
    "GET /api/v1/pages/checks",
    "GET /api/v1/pages/checks/days",
    "GET /api/v1/pages/lost-steps",
    "GET /api/v1/pages/{page_id}/checks",
    "GET /api/v1/pages/{page_id}/steps",
    "GET /api/v1/calendars",
    "GET /api/v1/coverage/missing",
    "GET /api/v1/coverage/history",
    "GET /api/v1/topics",
    "GET /open311/v2/services.json",
    "GET /api/v1/sla-policies",
    "GET /api/v1/approval-rules",
}
# Other lists that show everything to every permitted caller, and why.
HIDE_NOTHING = {
    "GET /api/v1/me/sessions": "the caller's own",
    "GET /api/v1/me/notices": "the caller's own",
    "GET /api/v1/me/notice-accounts": "the caller's own",
    "GET /api/v1/exports": "the caller's own",
    "GET /api/v1/appeals/bulk": "the caller's own, for managers the organisation's: test_bulk_operations.py",
    "GET /api/v1/appeals/bulk/{operation_id}/rows": "the appeals of an operation that the caller may see",
    "GET /api/v1/views": "the caller's own and those of their organisation: test_saved_views.py",
    "GET /api/v1/appeals/suggestions": "names of locations and topics, which everybody may read",
    "GET /api/v1/sources/call-budgets": "calls of our applications; they belong to no organisation",
    "GET /api/v1/webhooks/event-types": "a catalogue",
    "GET /api/v1/webhooks/deliveries/{delivery_id}/attempts": "the attempts of a delivery that the caller may see",
    "GET /api/v1/metrics/page-formulas": "of the region: staff may read how their pages are scored",
    "GET /api/v1/grading/rubrics": "how answers are graded, which everybody may read",
    "GET /api/v1/grading/samples": "of the region; only people of the centre read them",
    "GET /api/v1/grading/assignments": "the caller's own",
    "GET /api/v1/reports/weekly": "of the region; only people of the centre read them",
    "GET /api/v1/reports/weekly/{week}/rows/{population}": "of the region; only people of the centre read them",
}


def test_every_list_route_is_tested_or_known_to_hide_nothing(all_services: AllServices) -> None:
    lists = {route for route in CALLS if route.startswith("GET ") and all_services.is_list(route)}
    known = DIRECTORY | HIDE_NOTHING.keys()
    untried = sorted(lists - LISTINGS.keys() - known)
    assert not untried, f"add these as ListRoute to tests/integration/access/*_routes.py: {untried}"
    assert known == lists - LISTINGS.keys(), (
        "a table above names a route that is not a list, or one that is tested now"
    )
    assert {CALLS[route].right for route in DIRECTORY} == {Right.REGISTRY_READ}
    assert {documented_rights.scopes()[role, Right.REGISTRY_READ] for role in documented_rights.roles()} == {
        "region"
    }


def shown(listing: ListRoute, found: Any) -> list[str]:
    """Return the keys of the items in a response."""
    items = found if isinstance(found, list) else found["items"]
    return [str(item[listing.key]) for item in items]


def placed(listing: ListRoute) -> list[CallerCase]:
    """Return callers, with and without subordinates, of a role that has the right only in its organisation."""
    assert listing.right is not None
    role = next(
        (
            role
            for role in documented_rights.roles()
            if documented_rights.scopes()[role, listing.right] == "organisation"
        ),
        None,
    )
    return [who for who in EVERYBODY if who.role == role]


def reach(route: str, who: CallerCase, relation: str) -> frozenset[str]:
    """Return the relations of organisations whose rows the list of `relation` shows to this caller."""
    listing = LISTINGS[route]
    assert listing.right is not None
    reached = (
        documented_rights.reached(who.role, listing.right, include_subordinates=who.include_subordinates)
        or frozenset()
    )
    return reached & {relation} if is_of_one(route) else reached


def is_of_one(route: str) -> bool:
    """Return whether the list belongs to one object that the path names."""
    return "{" in route


def seen(all_services: AllServices, route: str, who: CallerCase, relation: str = "own") -> set[str]:
    """Return the keys of the sample rows that the list must show to this caller."""
    shows = LISTINGS[route].shows
    assert shows is not None
    return {str(all_services.samples[one][shows]) for one in reach(route, who, relation)}


@pytest.mark.parametrize("route", LISTINGS)
async def test_list_shows_only_what_the_caller_may_see(all_services: AllServices, route: str) -> None:
    listing = LISTINGS[route]
    assert listing.right is not None
    for relation in RELATIONS if is_of_one(route) else ("own",):
        asked = all_services.route_request(route, listing, all_services.samples[relation])
        for who in EVERYBODY:
            if (
                documented_rights.reached(who.role, listing.right, include_subordinates=who.include_subordinates)
                is None
            ):
                continue
            holds = reach(route, who, relation)
            answer = await all_services.send(route, asked, all_services.token(who))
            message = f"{who}, {relation}: {answer.text}"
            assert answer.status_code == (200 if holds else listing.hidden), message
            # The response contains nothing of organisations whose data the caller may not see.
            assert not leaks(all_services, listing, who, asked, answer.text), message
            if answer.status_code != 200:
                continue
            if listing.counts is not None:
                assert listing.counts(answer.json()) == len(holds), message
                continue
            found = set(shown(listing, answer.json()))
            assert found >= seen(all_services, route, who, relation), message
            assert found or not holds, message
            # Without texts in the response the search for foreign marks would prove nothing.
            assert not listing.has_text or all(MARKS[one] in answer.text for one in holds), message


def values(all_services: AllServices, route: str, parameter: dict[str, Any], sample_ids: Things) -> Iterator[str]:
    """Return values with which a filter would find rows of this organisation."""
    name = parameter["name"]
    if name in FINDS:
        yield str(sample_ids[FINDS[name]])
        return
    for known in (f"{route} {name}", name):
        if known in OTHER_FILTERS:
            yield from OTHER_FILTERS[known]
            return
    schemas = [parameter["schema"]]
    while schemas:
        schema = schemas.pop()
        schemas += schema.get("anyOf", []) + [schema[key] for key in ("items",) if key in schema]
        if "$ref" in schema:
            schemas.append(all_services.schema(schema["$ref"], route))
        if schema.get("type") == "boolean":
            yield from ("true", "false")
        yield from (str(value) for value in schema.get("enum", []))
        if "const" in schema:
            yield str(schema["const"])


@pytest.mark.parametrize("route", [route for route, listing in LISTINGS.items() if placed(listing)])
async def test_filters_find_no_hidden_rows(all_services: AllServices, route: str) -> None:
    listing = LISTINGS[route]
    assert listing.right is not None
    asked = all_services.route_request(route, listing, all_services.samples["own"])
    parameters = [one for one in all_services.operation(route).get("parameters", []) if one["in"] == "query"]
    for who in placed(listing):
        reached = (
            documented_rights.reached(who.role, listing.right, include_subordinates=who.include_subordinates)
            or frozenset()
        )
        for parameter in parameters:
            name = parameter["name"]
            if name in PAGED:
                continue
            sent: set[str] = set()
            for relation in set(RELATIONS) - reached:
                tried = list(values(all_services, route, parameter, all_services.samples[relation]))
                assert tried, f"{route}: add a value for the filter «{name}» to {__name__}"
                # Values of an enumeration are the same for every relation, so each is requested once.
                for value in [value for value in tried if value not in sent]:
                    sent.add(value)
                    answer = await all_services.send(route, asked, all_services.token(who), **{name: value})
                    # Some filters are valid only together with others.
                    assert answer.status_code in {200, 422}, answer.text
                    message = answer.text.replace(value, "")
                    assert not leaks(all_services, listing, who, asked, message), (
                        f"{who}, {name}={value}: {message}"
                    )
                    if answer.status_code == 422 or listing.counts is None:
                        continue
                    if FINDS.get(name) in {"organisation_id", "page_id", "word", "number"} and name != "key":
                        assert listing.counts(answer.json()) == 0, f"{who}, {name}={value}: {message}"


# The feed is paged by positions that all callers share; an appeal's replies, templates and similar appeals, and
# lists of Open311 are not paged.
NO_CURSORS = {
    "GET /open311/v2/requests.json",
    "GET /open311/v2/requests/{service_request_id}.json",
    "GET /api/v1/events",
    "GET /api/v1/appeals/{appeal_id}/replies",
    "GET /api/v1/appeals/{appeal_id}/reply-templates",
    "GET /api/v1/appeals/{appeal_id}/similar",
}


@pytest.mark.parametrize(
    "route",
    [
        route
        for route, listing in LISTINGS.items()
        if listing.shows is not None and placed(listing) and route not in NO_CURSORS
    ],
)
async def test_cursor_pagination_shows_no_hidden_rows(all_services: AllServices, route: str) -> None:
    """With one item per page, the items and the number of pages are those the caller may see."""
    listing = LISTINGS[route]
    asked = all_services.route_request(route, listing, all_services.samples["own"])
    others: str | None = None
    everything = (
        CallerCase("auditor") if documented_rights.scopes()["auditor", str(listing.right)] == "region" else None
    )
    if everything is not None:
        first = await all_services.send(route, asked, all_services.token(everything), limit=1)
        others = first.json()["next_cursor"]
        assert others is not None, "the sample data has too few items for a second page"
    for who in placed(listing):
        token, pages, found = all_services.token(who), 0, list[str]()
        cursor: dict[str, str] = {}
        while True:
            answer = await all_services.send(route, asked, token, limit=1, **cursor)
            assert answer.status_code == 200, answer.text
            found += shown(listing, answer.json())
            pages += 1
            assert len(found) == pages, f"{who}: a page of the list is empty"
            if answer.json()["next_cursor"] is None:
                break
            cursor = {"cursor": answer.json()["next_cursor"]}
        assert set(found) >= seen(all_services, route, who)
        assert len(found) == len(set(found))
        if others is not None:
            stolen = await all_services.send(route, asked, token, limit=1, cursor=others)
            assert stolen.status_code == 422, f"{who}: a cursor of another caller was accepted"


async def test_exported_file_shows_no_more_than_the_list(all_services: AllServices) -> None:
    # Only routes that need a right: open data are the same for everybody.
    routes = {
        route
        for route, call in CALLS.items()
        if route.startswith("GET ") and call.right is not None and "text/csv" in all_services.content(route)
    }
    # Shown to its author only: tests/integration/appeals/test_export_jobs.py.
    routes.remove("GET /api/v1/exports/{export_id}/file")
    assert "GET /api/v1/organisations/export" in routes
    for route in routes:
        call = CALLS[route]
        assert call.right is not None
        asked = all_services.route_request(route, call, all_services.samples["own"])
        asked = replace(asked, headers=asked.headers | {"Accept": "text/csv"})
        parameters = {parameter["name"] for parameter in all_services.operation(route)["parameters"]}
        wanted = {"format": "csv"} if "format" in parameters else {}
        for who in EVERYBODY:
            reached = documented_rights.reached(
                who.role, call.right, include_subordinates=who.include_subordinates
            )
            answer = await all_services.send(route, asked, all_services.token(who), **wanted)
            message = f"{who}, {route}: {answer.text}"
            assert answer.status_code == (403 if reached is None else 200), message
            assert not leaks(all_services, call, who, asked, answer.text), message
            if reached is None:
                continue
            assert answer.headers["content-type"].startswith("text/csv"), message
            # Exports of the rows behind a report contain no texts.
            if route.endswith(("/export", "appeals.csv")):
                assert all(MARKS[relation] in answer.text for relation in reached), message
