"""Lists of appeals in each order: complete, without duplicates, and sorted by the values that they show."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario

QUESTION = "Когда в вашей школе начнётся ремонт крыльца?"
Key = Callable[[dict[str, Any]], tuple[Any, ...]]

# For each appeal: status, urgency, whether the first response was given, and the deadlines in hours from now.
SAMPLES: list[dict[str, Any]] = [
    {"status": "assigned", "urgency": "normal", "first": 5},
    {"status": "assigned", "urgency": "high", "first": 9},
    {"status": "in_progress", "urgency": "normal", "first": -3, "final": -4},
    {"status": "in_progress", "urgency": "high", "first": -3, "answered": True, "final": 20},
    {"status": "interim", "urgency": "normal", "first": -3, "answered": True, "promise": 2, "final": 3},
    {"status": "reopened", "urgency": "normal", "first": -3, "answered": True, "next": 5, "final": 9},
    {"status": "reopened", "urgency": "normal", "first": 1, "answered": True},
    {"status": "answered", "urgency": "high", "first": 1, "answered": True, "promise": 1},
    {"status": "triage", "urgency": "normal", "first": 1},
    {"status": "closed", "urgency": "normal", "first": 1},
]
OWING, LIMIT = 6, 4
KEYS: dict[str, Key] = {
    "opened_at": lambda found: (found["opened_at"], found["id"]),
    "updated_at": lambda found: (found["updated_at"], found["id"]),
    "due": lambda found: (found["next_due_at"], found["id"]),
    "urgency": lambda found: (found["urgency"] == "normal", found["next_due_at"], found["id"]),
}
SORTS = [f"{sign}{name}" for name in KEYS for sign in ("", "-")]


async def _insert(scenario: AppealsScenario) -> None:
    """Create an appeal for each sample."""
    connection = await scenario.database.connect()
    now = datetime.now(UTC)
    try:
        for number in range(len(SAMPLES)):
            await scenario.insert_message(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
        await scenario.process_events()
        for number, sample in enumerate(SAMPLES):
            due = {
                name: now.replace(microsecond=7 + number % 2) + timedelta(hours=sample[name])
                for name in ("first", "next", "promise", "final")
                if name in sample
            }
            await connection.execute(
                """UPDATE appeals SET status = $2, urgency = $3, first_response_due_at = $4,
                    first_response_at = $5, next_response_due_at = $6, promised_at = $7,
                    final_answer_due_at = $8, updated_at = $9
                WHERE author_key = $1""",
                f"a{number}", sample["status"], sample["urgency"], due.get("first"),
                WEDNESDAY if "answered" in sample else None, due.get("next"), due.get("promise"), due.get("final"),
                now - timedelta(minutes=number * 7 % 5),
            )  # fmt: skip
    finally:
        await connection.close()


async def _pages(scenario: AppealsScenario, **query: Any) -> list[dict[str, Any]]:
    """Return all items, read forward page by page; check that reading backward gives the same pages."""
    pages: list[list[dict[str, Any]]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await scenario.get("/appeals", limit=LIMIT, **query, **cursor)).json()
        pages.append(page["items"])
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    for shown in reversed(pages[:-1]):
        page = (await scenario.get("/appeals", limit=LIMIT, **query, cursor=page["prev_cursor"])).json()
        assert page["items"] == shown
    assert page["prev_cursor"] is None
    return [item for shown in pages for item in shown]


async def test_lists_are_complete_in_each_order(scenario: AppealsScenario) -> None:
    await _insert(scenario)
    everything = await scenario.all()
    assert len(everything) == len(SAMPLES)
    for sort in SORTS:
        found = await _pages(scenario, sort=sort)
        name = sort.removeprefix("-")
        owing = [one for one in everything if name not in {"due", "urgency"} or one["next_due_at"] is not None]
        assert len(owing) == (OWING if name in {"due", "urgency"} else len(SAMPLES))
        expected = sorted(owing, key=KEYS[name], reverse=sort.startswith("-"))
        assert [one["number"] for one in found] == [one["number"] for one in expected], sort
    # The database filter `overdue` finds the appeals whose field `overdue` is true.
    late = {one["id"] for one in everything if one["overdue"]}
    assert {one["id"] for one in await scenario.all(overdue="true")} == late
    assert {one["id"] for one in await scenario.all(overdue="false")} == {one["id"] for one in everything} - late
    assert len(late) == 1


@pytest.mark.parametrize("sort", ["due", "urgency", "-updated_at"])
async def test_filter_and_scope_apply_in_each_order(scenario: AppealsScenario, sort: str) -> None:
    await _insert(scenario)
    own: dict[str, Any] = {"role": "executor", "org": scenario.organisation}
    foreign: dict[str, Any] = {"role": "executor", "org": scenario.other_organisation}
    assert len(await _pages(scenario, sort=sort, status="reopened", **own)) == (2 if sort == "-updated_at" else 1)
    assert await _pages(scenario, sort=sort, **foreign) == []
    urgent = await _pages(scenario, sort=sort, urgency="high")
    assert {one["urgency"] for one in urgent} == {"high"}


async def test_search_with_a_sort_that_no_index_supports_is_refused(scenario: AppealsScenario) -> None:
    for sort in ("due", "-urgency", "updated_at"):
        answer = await scenario.get("/appeals", sort=sort, q="дорога")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "query/sort"
    assert (await scenario.get("/appeals", sort="number")).status_code == 422


async def test_changed_appeal_is_first_when_sorted_by_last_change(scenario: AppealsScenario) -> None:
    for number in range(3):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    oldest = (await scenario.all(sort="opened_at"))[0]
    moved = (await scenario.move(oldest, "in_progress")).json()
    assert moved["updated_at"] > oldest["updated_at"]
    assert (await scenario.all(sort="-updated_at"))[0]["id"] == oldest["id"]


async def test_updated_since_lists_appeals_changed_after_the_moment(scenario: AppealsScenario) -> None:
    for number in range(3):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    first, second, _ = await scenario.all(sort="updated_at")
    changed = [(await scenario.move(one, "in_progress")).json() for one in (second, first)]
    since = changed[0]["updated_at"]
    # `updated_since` excludes an appeal that was changed at this very moment.
    assert [one["id"] for one in await scenario.all(sort="updated_at", updated_since=since)] == [first["id"]]
    before = await scenario.all(sort="-updated_at", updated_since=second["updated_at"], status="in_progress")
    assert [one["id"] for one in before] == [first["id"], second["id"]]
    assert (await scenario.get("/appeals/counts", updated_since=since)).json()["total"] == 1
    answer = await scenario.get("/appeals", updated_since=since)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query/sort"


async def test_search_results_can_be_paged_backward(scenario: AppealsScenario) -> None:
    for number in range(5):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    await scenario.index_texts()
    for sort in ("opened_at", "-opened_at"):
        numbers = [one["number"] for one in await _pages(scenario, q="крыльцо", sort=sort)]
        assert numbers == sorted(numbers, reverse=sort == "-opened_at")
        assert len(numbers) == 5


async def test_link_to_the_previous_page_leads_to_appeals_opened_since(scenario: AppealsScenario) -> None:
    for number in range(3):
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
    first = await scenario.get("/appeals", limit=2)
    assert "prev" not in first.headers["Link"]
    last = await scenario.get("/appeals", limit=2, cursor=first.json()["next_cursor"])
    assert (len(last.json()["items"]), last.json()["next_cursor"]) == (1, None)
    await scenario.citizen_writes(QUESTION, author="new", at=WEDNESDAY + timedelta(hours=9))
    link = last.headers["Link"]
    assert link.endswith('>; rel="prev"')
    headers = scenario.appeals.headers("moderator")
    back = (await scenario.appeals.client.get(link.split(">")[0][1:], headers=headers)).json()
    assert back["items"] == first.json()["items"]
    newest = (await scenario.get("/appeals", limit=2, cursor=back["prev_cursor"])).json()
    assert [one["id"] for one in newest["items"]] == [(await scenario.all())[0]["id"]]
    assert newest["prev_cursor"] is None
    following = (await scenario.get("/appeals", limit=2, cursor=newest["next_cursor"])).json()
    assert following["items"] == back["items"]
