"""The daily page checks: once a day, within the budget, least recently checked pages first; and their events."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest
import time_machine

from services.registry.page_checks import daily_run
from services.registry.page_checks.daily_run import BatchCalls, DailyCheck, DescribePages
from services.registry.schemas.page_checks import PageDescriptions
from services.registry.settings import RegistrySettings
from shared.service_client import ServiceClient, ServiceRejected, ServiceUnavailable, ServiceUnreachable
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page

MONDAY = datetime(2026, 11, 23, 3, tzinfo=UTC)
DAY = timedelta(days=1)
PLAIN: dict[str, Any] = {
    "state": "open",
    "reason": None,
    "name": "Школа № 71",
    "screen_name": "school71",
    "verified": True,
    "avatar": True,
    "cover": False,
    "description": True,
    "members": 1000,
    "posts_7_days": 3,
    "calls": 0,
}


@dataclass
class Networks:
    """A stand-in for ingest's descriptions; records the requests."""

    says: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[list[UUID], int, int]] = field(default_factory=list)
    granted: list[BatchCalls] = field(default_factory=list)
    reach_calls: int = 0
    error: str | None = None
    away: bool = False

    async def ask(self, page_ids: Sequence[UUID], calls: BatchCalls) -> PageDescriptions:
        """Return descriptions for one request of the run, counted as one call for all pages."""
        self.asked.append((list(page_ids), calls.describing + calls.walls, calls.walls))
        self.granted.append(calls)
        if self.away:
            raise ServiceUnavailable("ingest answered 503")
        items = [] if self.error else [{"page_id": one, **PLAIN, **self.says.get(one, {})} for one in page_ids]
        made = {"calls": 1, "reach_calls": self.reach_calls}
        return PageDescriptions.model_validate({"items": items, "error": self.error, **made})


@dataclass
class PageChecksScenario:
    registry: ServiceUnderTest
    database: TestDatabase
    raw_connection: asyncpg.Connection
    organisation: UUID
    networks: Networks
    checks: DailyCheck

    async def page(self, external_id: str, network: str = "vk") -> UUID:
        """Register a page."""
        return await insert_page(self.database, self.organisation, network=network, external_id=external_id)

    async def run(self, at: datetime) -> float:
        """Run the next batch at a moment; return the seconds until the next batch."""
        with time_machine.travel(at, tick=False):
            return await self.checks.run_batch()

    async def get(self, path: str, at: datetime = MONDAY) -> dict[str, Any]:
        """Return a list of the API as the centre reads it."""
        with time_machine.travel(at, tick=False):
            answer = await self.registry.client.get(f"/api/v1{path}", headers=self.registry.headers("moderator"))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def emitted(self) -> list[tuple[str, UUID, UUID]]:
        """Return events about pages in order: type, page, organisation."""
        rows = await self.raw_connection.fetch(
            "SELECT * FROM events WHERE type LIKE 'page.%' ORDER BY created_at, type"
        )
        return [(row["type"], row["subject_id"], row["organisation_id"]) for row in rows]


@pytest.fixture
async def scenario(registry: ServiceUnderTest, database: TestDatabase) -> Any:
    networks = Networks()
    raw_connection = await database.connect()
    checks = DailyCheck(registry.service.database, networks.ask, RegistrySettings(page_checks_calls_per_day=100))
    yield PageChecksScenario(
        registry, database, raw_connection, await insert_organisation(database), networks, checks
    )
    await raw_connection.close()


async def test_every_page_is_checked_once_a_day(scenario: PageChecksScenario) -> None:
    pages = [await scenario.page("101"), await scenario.page("102"), await scenario.page("7001", "ok")]
    for _ in range(4):
        await scenario.run(MONDAY)
    assert sorted(one for ids, _, _ in scenario.networks.asked for one in ids) == sorted(pages)
    assert len(scenario.networks.asked) == 2, "one request per network"
    await scenario.run(MONDAY + DAY)
    await scenario.run(MONDAY + DAY)
    assert len(scenario.networks.asked) == 4


async def test_day_of_the_checks_is_in_the_time_zone_of_the_region(scenario: PageChecksScenario) -> None:
    await scenario.page("101")
    await scenario.run(datetime(2026, 11, 23, 15, 30, tzinfo=UTC))
    await scenario.run(datetime(2026, 11, 23, 16, 30, tzinfo=UTC))
    days = await scenario.raw_connection.fetch("SELECT day FROM page_checks ORDER BY day")
    assert [str(row["day"]) for row in days] == ["2026-11-23", "2026-11-24"]


async def test_page_registered_during_the_day_is_checked_and_inactive_page_is_not(
    scenario: PageChecksScenario,
) -> None:
    await scenario.page("101")
    await scenario.run(MONDAY)
    late, idle = await scenario.page("102"), await scenario.page("103")
    await scenario.raw_connection.execute("UPDATE pages SET active = false WHERE id = $1", idle)
    await scenario.run(MONDAY + timedelta(hours=5))
    assert scenario.networks.asked[-1][0] == [late]


async def test_pages_beyond_the_budget_are_checked_first_the_next_day(scenario: PageChecksScenario) -> None:
    first, second = await scenario.page("101"), await scenario.page("102")
    await scenario.run(MONDAY)
    third = await scenario.page("103")
    await scenario.raw_connection.execute("UPDATE page_check_calls SET calls = 100")
    await scenario.run(MONDAY + timedelta(hours=1))
    assert len(scenario.networks.asked) == 1, "no call is left today"
    await scenario.run(MONDAY + DAY)
    ids, calls, walls = scenario.networks.asked[-1]
    assert ids[0] == third
    assert set(ids) == {first, second, third}
    assert (calls, walls) == (4, 3), "one for all pages, and one for each wall"


async def test_one_call_is_reserved_for_page_descriptions(scenario: PageChecksScenario) -> None:
    await scenario.page("101")
    await scenario.run(MONDAY)
    for number in range(3):
        await scenario.page(str(102 + number))
    await scenario.raw_connection.execute("UPDATE page_check_calls SET calls = 97")
    await scenario.run(MONDAY + timedelta(hours=1))
    _, calls, walls = scenario.networks.asked[-1]
    assert (calls, walls) == (3, 2)


async def test_full_batch_is_described_with_one_call(
    scenario: PageChecksScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.registry.page_checks.daily_run.BATCH_SIZE", 2)
    for number in range(2):
        await scenario.page(str(101 + number))
    await scenario.run(MONDAY)
    assert scenario.networks.granted[-1].describing == 1


async def test_reach_calls_have_a_separate_budget(scenario: PageChecksScenario) -> None:
    for number in range(3):
        await scenario.page(str(101 + number))
    settings = RegistrySettings(page_checks_calls_per_day=100, page_checks_reach_calls_per_day=2)
    scenario.checks = DailyCheck(scenario.registry.service.database, scenario.networks.ask, settings)
    scenario.networks.reach_calls = 2
    await scenario.run(MONDAY)
    assert scenario.networks.granted[-1] == BatchCalls(1, walls=3, reactions=15, reach=2)
    row = await scenario.raw_connection.fetchrow("SELECT calls, reach_calls FROM page_check_calls")
    assert tuple(row) == (1, 2)
    (day,) = (await scenario.get("/pages/checks/days"))["items"]
    assert day["calls"] == 3, "all calls together"
    await scenario.page("104")
    await scenario.run(MONDAY + timedelta(hours=1))
    assert scenario.networks.granted[-1].reach == 0, "the day's calls for reach are made"


async def test_checks_return_the_audience_of_posts(scenario: PageChecksScenario) -> None:
    page, unknown = await scenario.page("101"), await scenario.page("102")
    described = {
        "views_7_days": 2100,
        "likes_7_days": 64,
        "comments_7_days": 12,
        "reposts_7_days": 7,
        "reach_7_days": 830,
        "reach_counted_by": "week",
        "mean_post_reach": 310,
    }
    scenario.networks.says[page] = described
    await scenario.run(MONDAY)
    scenario.networks.says[page] = described | {"views_7_days": 2200}
    await scenario.run(MONDAY + DAY)
    newest, _ = (await scenario.get(f"/pages/{page}/checks"))["items"]
    assert newest["snapshot"].items() >= (described | {"views_7_days": 2200}).items()
    assert newest["changes"] == [], "figures that change by themselves are not a change"
    (other, _) = (await scenario.get(f"/pages/{unknown}/checks"))["items"]
    assert {other["snapshot"][name] for name in described} == {None}


async def test_calls_are_recorded_with_their_pages(scenario: PageChecksScenario) -> None:
    first, second = await scenario.page("101"), await scenario.page("102")
    await scenario.run(MONDAY)
    listed = (await scenario.get("/pages/checks"))["items"]
    assert sorted((item["page"]["id"], item["calls"]) for item in listed) == sorted(
        [(str(scenario.networks.asked[0][0][0]), 1), (str(scenario.networks.asked[0][0][1]), 0)]
    )
    assert {first, second} == set(scenario.networks.asked[0][0])
    (day,) = (await scenario.get("/pages/checks/days"))["items"]
    assert day == {"day": "2026-11-23", "pages": 2, "changed": 0, "closed": 0, "gone": 0, "calls": 1}


@pytest.mark.parametrize("silent", ["away", "error"])
async def test_unavailable_network_is_paused_and_its_pages_stay_unchecked(
    scenario: PageChecksScenario, silent: str
) -> None:
    page = await scenario.page("101")
    setattr(scenario.networks, silent, True if silent == "away" else "no usable token")
    await scenario.run(MONDAY)
    await scenario.run(MONDAY + timedelta(seconds=5))
    assert len(scenario.networks.asked) == 1, "the network is paused"
    assert await scenario.raw_connection.fetchval("SELECT count(*) FROM page_checks") == 0
    assert await scenario.emitted() == []
    setattr(scenario.networks, silent, False if silent == "away" else None)
    await scenario.run(MONDAY + timedelta(seconds=20))
    assert (await scenario.get(f"/pages/{page}"))["state"] == "open"


def _failing(failure: Exception | None, made: list[int]) -> DescribePages:
    """Return a request to networks that fail after all reserved calls were made; with `None` ingest responds and
    reports the failure.
    """

    async def ask(page_ids: Sequence[UUID], calls: BatchCalls) -> PageDescriptions:
        made.append(calls.reserved.checks)
        if failure is not None:
            raise failure
        return PageDescriptions(items=[], calls=calls.reserved.checks, error="no answer in time")

    return ask


@pytest.mark.parametrize("failure", [ServiceUnavailable("ingest answered 503"), ValueError("no JSON"), None])
async def test_calls_of_failing_networks_stay_within_the_budget(
    scenario: PageChecksScenario, failure: Exception | None
) -> None:
    for number in range(3):
        await scenario.page(str(101 + number))
        await scenario.page(str(7001 + number), "ok")
    for day in range(2):
        made: list[int] = []
        for part in range(60):
            # A new worker each time: earlier failures are not in its memory.
            checks = DailyCheck(
                scenario.registry.service.database,
                _failing(failure, made),
                RegistrySettings(page_checks_calls_per_day=110),
            )
            with (
                time_machine.travel(MONDAY + day * DAY + part * timedelta(minutes=10), tick=False),
                suppress(ValueError),
            ):
                await checks.run_batch()
        assert sum(made) == 110, "all of it, and not a call more"


async def test_failed_network_is_retried_with_few_calls(scenario: PageChecksScenario) -> None:
    pages = [await scenario.page(str(101 + number)) for number in range(120)]
    scenario.networks.away = True
    for minute in range(0, 120, 20):
        await scenario.run(MONDAY + timedelta(minutes=minute))
    granted = [calls for _, calls, _ in scenario.networks.asked]
    assert granted[0] == 99, "one call is left to describe the other pages"
    scenario.networks.asked.clear()
    await scenario.run(MONDAY + timedelta(hours=3))
    assert scenario.networks.asked == [], "the first lost response may have used up the day's budget"
    await scenario.raw_connection.execute("UPDATE page_check_calls SET calls = 50, reach_calls = 0")
    for minute in range(0, 60, 20):
        await scenario.run(MONDAY + timedelta(hours=4, minutes=minute))
    assert [(len(ids), calls, walls) for ids, calls, walls in scenario.networks.asked] == [(100, 1, 0)] * 3
    scenario.networks.away = False
    await scenario.run(MONDAY + timedelta(hours=6))
    await scenario.run(MONDAY + timedelta(hours=6, minutes=1))
    assert [len(ids) for ids, _, _ in scenario.networks.asked[-2:]] == [100, 20]
    assert {one for ids, _, _ in scenario.networks.asked[-2:] for one in ids} == set(pages)
    (day,) = (await scenario.get("/pages/checks/days"))["items"]
    assert day["calls"] == 50 + 3 * 1 + 2, "lost responses count with all reserved calls"


@pytest.mark.parametrize("failure", [ServiceUnreachable("nobody listens"), ServiceRejected(422, {"detail": "no"})])
async def test_request_that_never_reached_ingest_is_not_counted_as_calls(
    scenario: PageChecksScenario, failure: Exception
) -> None:
    await scenario.page("101")
    made: list[int] = []
    checks = DailyCheck(
        scenario.registry.service.database,
        _failing(failure, made),
        RegistrySettings(page_checks_calls_per_day=100),
    )
    with time_machine.travel(MONDAY, tick=False):
        await checks.run_batch()
        await checks.run_batch()
    assert made == [2 + daily_run.MAX_REACTION_CALLS], "the network is paused"
    assert await scenario.raw_connection.fetchval("SELECT sum(calls) FROM page_check_calls") == 0


async def test_refused_connection_to_ingest_is_not_counted_as_calls(scenario: PageChecksScenario) -> None:
    await scenario.page("101")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    service = scenario.registry.service
    async with aiohttp.ClientSession() as http:
        settings = service.settings.model_copy(update={"ingest_url": url})
        services = ServiceClient("registry", service.signer, settings, http)
        await DailyCheck(service.database, daily_run.via_ingest(services), RegistrySettings()).run_batch()
    assert await scenario.raw_connection.fetchval("SELECT sum(calls) FROM page_check_calls") == 0


async def test_second_concurrent_run_makes_no_calls(scenario: PageChecksScenario) -> None:
    await scenario.page("101")
    other = await scenario.database.connect("registry")
    async with other.transaction():
        await other.fetchval("SELECT pg_advisory_xact_lock(1885431653)")
        await scenario.run(MONDAY)
    await other.close()
    assert scenario.networks.asked == []


async def test_page_that_lost_its_badge_yesterday_is_listed_today(scenario: PageChecksScenario) -> None:
    page, other = await scenario.page("101"), await scenario.page("102")
    await scenario.run(MONDAY)
    steps = (await scenario.get(f"/pages/{page}"))["steps"]
    assert steps["verified"] == "2026-11-23", "the network's badge confirms the step"
    scenario.networks.says[page] = {"verified": False}
    await scenario.run(MONDAY + DAY)
    changed = await scenario.get("/pages/checks?changed=true&day=2026-11-24", MONDAY + 2 * DAY)
    (item,) = changed["items"]
    assert item["page"]["id"] == str(page)
    assert item["changes"] == [{"field": "verified", "before": True, "after": False}]
    assert item["snapshot"]["verified"] is False
    (lost,) = (await scenario.get("/pages/lost-steps?since=2026-11-24", MONDAY + 2 * DAY))["items"]
    assert (lost["page_id"], lost["step"], lost["lost_on"]) == (str(page), "verified", "2026-11-24")
    assert (await scenario.emitted())[-1] == ("page.badge_lost", page, scenario.organisation)
    assert "verified" not in (await scenario.get(f"/pages/{page}"))["steps"]
    assert "verified" in (await scenario.get(f"/pages/{other}"))["steps"]
    await scenario.run(MONDAY + 2 * DAY)
    assert (await scenario.get("/pages/checks?changed=true", MONDAY + 2 * DAY))["items"] == []
    assert [kind for kind, _, _ in await scenario.emitted()].count("page.badge_lost") == 1


async def test_manually_confirmed_step_is_kept_if_the_network_never_showed_a_badge(
    scenario: PageChecksScenario,
) -> None:
    page = await scenario.page("101")
    scenario.networks.says[page] = {"verified": False}
    await scenario.run(MONDAY)
    answer = await scenario.registry.client.put(
        f"/api/v1/pages/{page}/steps/verified",
        json={"evidence_kind": "document", "evidence": "Письмо № 17"},
        headers=scenario.registry.headers("moderator"),
    )
    assert answer.status_code in {200, 201}, answer.text
    await scenario.run(MONDAY + DAY)
    assert "verified" in (await scenario.get(f"/pages/{page}"))["steps"]


@pytest.mark.parametrize(
    ("says", "events", "state"),
    [
        ({"state": "closed", "reason": "banned"}, ["page.closed"], "closed"),
        ({"state": "gone", "reason": "not_found", "name": None}, ["page.gone"], "gone"),
        ({"name": "Магазин"}, ["page.renamed"], "open"),
        ({"name": "Магазин", "screen_name": "shop"}, ["page.renamed", "page.takeover_suspected"], "open"),
        (
            {"name": "Магазин", "verified": False},
            ["page.badge_lost", "page.renamed", "page.takeover_suspected"],
            "open",
        ),
        ({"cover": True, "members": 5}, [], "open"),
    ],
)
async def test_page_changes_emit_their_events(
    scenario: PageChecksScenario, says: dict[str, Any], events: list[str], state: str
) -> None:
    page = await scenario.page("101")
    await scenario.run(MONDAY)
    before = await scenario.get(f"/pages/{page}")
    silence = len(await scenario.emitted())
    scenario.networks.says[page] = says
    await scenario.run(MONDAY + DAY)
    emitted = (await scenario.emitted())[silence:]
    assert emitted == [(kind, page, scenario.organisation) for kind in events]
    after = await scenario.get(f"/pages/{page}")
    assert (after["state"], after["name"]) == (state, before["name"]), (
        "only people change the name in the registry"
    )
    assert (after["version"], after["updated_at"]) == (before["version"], before["updated_at"])
    await scenario.run(MONDAY + 2 * DAY)
    assert len(await scenario.emitted()) == silence + len(events), "a change must be emitted once"


async def test_checks_of_a_page_are_listed_by_day(scenario: PageChecksScenario) -> None:
    page = await scenario.page("101")
    for day in range(3):
        scenario.networks.says[page] = {"members": 1000 + day}
        await scenario.run(MONDAY + day * DAY)
    first = await scenario.get(f"/pages/{page}/checks?limit=2")
    assert [item["day"] for item in first["items"]] == ["2026-11-25", "2026-11-24"]
    assert [item["snapshot"]["members"] for item in first["items"]] == [1002, 1001]
    rest = await scenario.get(f"/pages/{page}/checks?limit=2&cursor={first['next_cursor']}")
    assert [item["day"] for item in rest["items"]] == ["2026-11-23"]
    days = await scenario.get("/pages/checks/days?limit=2")
    assert [item["day"] for item in days["items"]] == ["2026-11-25", "2026-11-24"]
    rest = await scenario.get(f"/pages/checks/days?limit=2&cursor={days['next_cursor']}")
    assert [item["day"] for item in rest["items"]] == ["2026-11-23"]


async def test_checks_of_a_day_are_paged_and_filtered(scenario: PageChecksScenario) -> None:
    pages = [await scenario.page(str(101 + number)) for number in range(3)]
    group = await scenario.page("7001", "ok")
    scenario.networks.says[pages[0]] = {"state": "closed", "reason": "deleted"}
    await scenario.run(MONDAY)
    await scenario.run(MONDAY)
    first = await scenario.get("/pages/checks?limit=3")
    rest = await scenario.get(f"/pages/checks?limit=3&cursor={first['next_cursor']}")
    assert {item["page"]["id"] for item in first["items"] + rest["items"]} == {str(one) for one in [*pages, group]}
    for query, expected in (
        ("network=ok", [group]),
        ("state=closed", [pages[0]]),
        (f"organisation_id={scenario.organisation}&network=vk&state=open", pages[1:]),
        ("changed=true", []),
        ("field=verified", []),
        ("day=2026-11-22", []),
    ):
        found = (await scenario.get(f"/pages/checks?{query}"))["items"]
        assert {item["page"]["id"] for item in found} == {str(one) for one in expected}, query


@pytest.mark.parametrize("query", ["day=вчера", "state=lost", "field=members", "network=tg", "changed=maybe"])
async def test_invalid_filter_is_refused_and_named(registry: ServiceUnderTest, query: str) -> None:
    answer = await registry.client.get(f"/api/v1/pages/checks?{query}", headers=registry.headers("moderator"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"query/{query.partition('=')[0]}"


async def test_checks_of_an_unknown_page_are_404(registry: ServiceUnderTest) -> None:
    answer = await registry.client.get(
        f"/api/v1/pages/{UUID(int=7)}/checks", headers=registry.headers("moderator")
    )
    assert answer.status_code == 404


async def test_moved_page_emits_an_event(registry: ServiceUnderTest, database: TestDatabase) -> None:
    old = await make(registry, "/organisations", name="Школа № 1", kind="institution")
    new = await make(registry, "/organisations", name="Школа № 2", kind="institution")
    page = await make(
        registry, "/pages", organisation_id=old["id"], network="vk", external_id="101", name="Школа № 1"
    )
    answer = await registry.client.patch(
        f"/api/v1/pages/{page['id']}",
        json={"organisation_id": new["id"]},
        headers=registry.headers("moderator") | {"If-Match": f'"{page["version"]}"'},
    )
    assert answer.status_code == 200, answer.text
    raw_connection = await database.connect()
    row = await raw_connection.fetchrow("SELECT * FROM events WHERE type = 'page.transferred'")
    await raw_connection.close()
    assert row is not None
    assert (str(row["subject_id"]), str(row["organisation_id"])) == (page["id"], new["id"])
    assert old["id"] in row["data"]


async def test_events_of_a_page_transferred_during_its_check_name_the_new_organisation(
    scenario: PageChecksScenario,
) -> None:
    page, heir = await scenario.page("101"), await insert_organisation(scenario.database, name="Преемник")
    await scenario.run(MONDAY)
    assert {event[2] for event in await scenario.emitted()} == {scenario.organisation}

    async def transfer_while_asked(page_ids: Sequence[UUID], calls: BatchCalls) -> PageDescriptions:
        await scenario.raw_connection.execute(
            "UPDATE pages SET organisation_id = $2, url = 'https://vk.com/heir' WHERE id = $1", page, heir
        )
        return await scenario.networks.ask(page_ids, calls)

    scenario.networks.says[page] = {"name": "Другое имя", "screen_name": "heir", "verified": False}
    settings = RegistrySettings(page_checks_calls_per_day=100)
    scenario.checks = DailyCheck(scenario.registry.service.database, transfer_while_asked, settings)
    before = len(await scenario.emitted())
    await scenario.run(MONDAY + DAY)
    events = (await scenario.emitted())[before:]
    assert {event[1:] for event in events} == {(page, heir)}
    assert {event[0] for event in events} >= {"page.badge_lost", "page.takeover_suspected"}
    addresses = await scenario.raw_connection.fetch(
        "SELECT DISTINCT data ->> 'url' AS url FROM events WHERE organisation_id = $1", heir
    )
    assert [row["url"] for row in addresses] == ["https://vk.com/heir"]
