"""A list never counts or shows a foreign row: not by a filter, a search, a sort, a cursor, a feed or a file.

Lists and filters come from the OpenAPI document, so that a new one is tried as well; one that the tables below do
not know fails the test.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.auth.rights import Right
from tests.integration.access import documented_rights
from tests.integration.access.all_routes import CALLS, LISTINGS
from tests.integration.access.all_services import EVERYBODY, Stage, Who
from tests.integration.access.route_table import Listing
from tests.integration.access.sample_data import MARKS, RELATIONS, Things
from tests.integration.access.test_access_matrix import leaks

# What a filter is told to find a thing of somebody's: the name of the thing.
FINDS = {
    "organisation_id": "organisation_id",
    "page_id": "page_id",
    "reply_id": "reply_id",
    "endpoint_id": "endpoint_id",
    "event_id": "event_id",
    "thread_key": "thread_key",
    "number": "number",
    "q": "word",
    "topic_id": "topic_id",
    "group_id": "topic_id",
    "subject_id": "appeal_id",
    "actor": "actor",
    "key": "organisation_id",
    "parent_id": "organisation_id",
    "beneath": "organisation_id",
    "code": "code",
}
# Filters that name nobody: a value that leaves the world's things in the list, or takes all out of it.
NAMES_NOBODY: dict[str, list[str]] = {
    name: ["2026-03-01T00:00:00Z", "2026-03-05T00:00:00Z"]
    for name in ("opened_from", "opened_to", "received_from", "received_to", "started_from")
} | {
    "from": ["2026-03-02T00:00:00Z"],
    "to": ["2026-03-08T00:00:00Z"],
    "deleted_by": ["author"],
    "days": ["90"],
    "municipality": ["81701000"],
    "sphere": ["образование"],
    "inn": ["7707083893"],
    "ogrn": ["1027700132195"],
    "on": ["2026-03-02"],
    "day": ["2026-03-02"],
    "after": ["0", "1", "2"],
    "types": ["appeal.opened"],
    "on_behalf_of": ["somebody"],
    "action": ["matrix"],
    "field": ["verified"],
    "settlement": ["Кабанск"],
    "fault": ["power"],
    "handed_over_at_least": ["1"],
}
PAGED = {"limit", "cursor"}
# The region's public directory, which everybody reads.
DIRECTORY = {
    "GET /api/v1/organisations/search",
    "GET /api/v1/organisations/{organisation_id}/names",
    "GET /api/v1/organisations/{organisation_id}/successions",
    "GET /api/v1/municipalities",
    "GET /api/v1/pages/checks",
    "GET /api/v1/pages/checks/days",
    "GET /api/v1/pages/lost",
    "GET /api/v1/pages/{page_id}/checks",
    "GET /api/v1/pages/{page_id}/steps",
    "GET /api/v1/calendars",
    "GET /api/v1/coverage/missing",
    "GET /api/v1/coverage/history",
    "GET /api/v1/topics",
    "GET /api/v1/sla-policies",
}
# Other lists that hide nothing from whoever may call them, and why.
HIDE_NOTHING = {
    "GET /api/v1/me/sessions": "the caller's own",
    "GET /api/v1/sources/budget": "the applications' calls in the networks: of no organisation",
    "GET /api/v1/webhooks/event-types": "a catalogue",
}


def test_whatever_lists_is_tried_as_a_list(stage: Stage) -> None:
    lists = {route for route in CALLS if route.startswith("GET ") and stage.is_list(route)}
    known = DIRECTORY | HIDE_NOTHING.keys()
    untried = sorted(lists - LISTINGS.keys() - known)
    assert not untried, f"make these a Listing in tests/integration/access/*_routes.py: {untried}"
    assert known == lists - LISTINGS.keys(), "one of the tables above names what is no list, or tried by now"
    assert {CALLS[route].right for route in DIRECTORY} == {Right.REGISTRY_READ}
    assert {documented_rights.reaches()[role, Right.REGISTRY_READ] for role in documented_rights.roles()} == {
        "region"
    }


def shown(listing: Listing, found: Any) -> list[str]:
    """What the items of an answer are of."""
    items = found if isinstance(found, list) else found["items"]
    return [str(item[listing.key]) for item in items]


def placed(listing: Listing) -> list[Who]:
    """One role that has the right for its place alone, with and without all beneath it."""
    assert listing.right is not None
    role = next(
        (
            role
            for role in documented_rights.roles()
            if documented_rights.reaches()[role, listing.right] == "place"
        ),
        None,
    )
    return [who for who in EVERYBODY if who.role == role]


def reach(route: str, who: Who, relation: str) -> frozenset[str]:
    """Whose things the list of `relation` holds for this caller; a list of no one thing holds those of all."""
    listing = LISTINGS[route]
    assert listing.right is not None
    reached = documented_rights.reached(who.role, listing.right, beneath=who.beneath) or frozenset()
    return reached & {relation} if is_of_one(route) else reached


def is_of_one(route: str) -> bool:
    """Whether the path names the thing whose list it is."""
    return "{" in route


def seen(stage: Stage, route: str, who: Who, relation: str = "own") -> set[str]:
    """The things of the world that this caller must find in the list."""
    shows = LISTINGS[route].shows
    assert shows is not None
    return {str(stage.world[one][shows]) for one in reach(route, who, relation)}


@pytest.mark.parametrize("route", LISTINGS)
async def test_a_list_holds_what_the_caller_sees(stage: Stage, route: str) -> None:
    listing = LISTINGS[route]
    assert listing.right is not None
    for relation in RELATIONS if is_of_one(route) else ("own",):
        asked = stage.asked(route, listing, stage.world[relation])
        for who in EVERYBODY:
            if documented_rights.reached(who.role, listing.right, beneath=who.beneath) is None:
                continue
            holds = reach(route, who, relation)
            answer = await stage.send(route, asked, stage.token(who))
            told = f"{who}, {relation}: {answer.text}"
            assert answer.status_code == (200 if holds else listing.hidden), told
            # Of what is not in the world nothing is theirs, and of each thing in it there is one more at most.
            assert not leaks(stage, listing, who, asked, answer.text), told
            if answer.status_code != 200:
                continue
            if listing.counts is not None:
                assert listing.counts(answer.json()) == len(holds), told
                continue
            found = set(shown(listing, answer.json()))
            assert found >= seen(stage, route, who, relation), told
            assert found or not holds, told
            # Else the search for foreign marks finds nothing in any answer.
            assert all(MARKS[one] in answer.text for one in holds), told


def values(stage: Stage, route: str, parameter: dict[str, Any], things: Things) -> Iterator[str]:
    """What a filter is tried with, to find things of this organisation."""
    name = parameter["name"]
    if name in FINDS:
        yield str(things[FINDS[name]])
        return
    if name in NAMES_NOBODY:
        yield from NAMES_NOBODY[name]
        return
    schemas = [parameter["schema"]]
    while schemas:
        schema = schemas.pop()
        schemas += schema.get("anyOf", []) + [schema[key] for key in ("items",) if key in schema]
        if "$ref" in schema:
            schemas.append(stage.schema(schema["$ref"], route))
        if schema.get("type") == "boolean":
            yield from ("true", "false")
        yield from (str(value) for value in schema.get("enum", []))
        if "const" in schema:
            yield str(schema["const"])


@pytest.mark.parametrize("route", [route for route, listing in LISTINGS.items() if placed(listing)])
async def test_no_filter_finds_what_is_hidden(stage: Stage, route: str) -> None:
    listing = LISTINGS[route]
    assert listing.right is not None
    asked = stage.asked(route, listing, stage.world["own"])
    parameters = [one for one in stage.operation(route).get("parameters", []) if one["in"] == "query"]
    for who in placed(listing):
        reached = documented_rights.reached(who.role, listing.right, beneath=who.beneath) or frozenset()
        for parameter in parameters:
            name = parameter["name"]
            if name in PAGED:
                continue
            for relation in set(RELATIONS) - reached:
                tried = list(values(stage, route, parameter, stage.world[relation]))
                assert tried, f"{route}: say in {__name__} what to try the filter «{name}» with"
                for value in tried:
                    answer = await stage.send(route, asked, stage.token(who), **{name: value})
                    # Some filters go together with others.
                    assert answer.status_code in {200, 422}, answer.text
                    told = answer.text.replace(value, "")
                    assert not leaks(stage, listing, who, asked, told), f"{who}, {name}={value}: {told}"
                    if answer.status_code == 422 or listing.counts is None:
                        continue
                    if FINDS.get(name) in {"organisation_id", "page_id", "word", "number"} and name != "key":
                        assert listing.counts(answer.json()) == 0, f"{who}, {name}={value}: {told}"


# The feed goes on by positions, which all callers share; replies to an appeal, and cases like it, come at once.
NO_CURSORS = {
    "GET /api/v1/events",
    "GET /api/v1/appeals/{appeal_id}/replies",
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
async def test_a_cursor_leads_to_nothing_hidden(stage: Stage, route: str) -> None:
    """Item by item: what comes, in how many pages, is what the caller sees: hidden rows leave no gap."""
    listing = LISTINGS[route]
    asked = stage.asked(route, listing, stage.world["own"])
    others: str | None = None
    everything = Who("auditor") if documented_rights.reaches()["auditor", str(listing.right)] == "region" else None
    if everything is not None:
        first = await stage.send(route, asked, stage.token(everything), limit=1)
        others = first.json()["next_cursor"]
        assert others is not None, "the world makes too few of these for a second page"
    for who in placed(listing):
        token, pages, found = stage.token(who), 0, list[str]()
        cursor: dict[str, str] = {}
        while True:
            answer = await stage.send(route, asked, token, limit=1, **cursor)
            assert answer.status_code == 200, answer.text
            found += shown(listing, answer.json())
            pages += 1
            assert len(found) == pages, f"{who}: a page of the list is empty"
            if answer.json()["next_cursor"] is None:
                break
            cursor = {"cursor": answer.json()["next_cursor"]}
        assert set(found) >= seen(stage, route, who)
        assert len(found) == len(set(found))
        if others is not None:
            stolen = await stage.send(route, asked, token, limit=1, cursor=others)
            assert stolen.status_code == 422, f"{who}: a cursor of another caller is taken"


async def test_a_file_tells_no_more_than_a_list(stage: Stage) -> None:
    routes = {route for route in CALLS if route.startswith("GET ") and "text/csv" in stage.content(route)}
    assert "GET /api/v1/organisations/export" in routes
    for route in routes:
        call = CALLS[route]
        assert call.right is not None
        asked = stage.asked(route, call, stage.world["own"])
        for who in EVERYBODY:
            reached = documented_rights.reached(who.role, call.right, beneath=who.beneath)
            answer = await stage.send(route, asked, stage.token(who), format="csv")
            told = f"{who}, {route}: {answer.text}"
            assert answer.status_code == (403 if reached is None else 200), told
            assert not leaks(stage, call, who, asked, answer.text), told
            if reached is None:
                continue
            assert answer.headers["content-type"].startswith("text/csv"), told
            if route.endswith("/export"):
                assert all(MARKS[relation] in answer.text for relation in reached), told
