"""The daily checks of a whole region, 3,600 pages of both networks, over HTTP and within the budget."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import time_machine

from emulators.ok.emulated_ok import EmulatedOk
from emulators.ok.settings import OkSettings
from emulators.ok.state.network_state import OkState
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.settings import VkSettings
from services.registry.page_checks import daily_run
from services.registry.page_checks.daily_run import DailyCheck
from services.registry.settings import RegistrySettings
from shared.service_client import ServiceClient
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, TOKEN_FIELDS, Emulator, running_emulator
from tests.support.eventually import eventually
from tests.support.served_app import served
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

EACH = 1_800
BUDGET = 600
# In the middle of a day in the region.
TODAY = datetime(2026, 11, 24, 3, tzinfo=UTC)
NETWORKS = ("vk", "ok")
FAST = {"vk_user_calls_per_second": "200", "ok_calls_per_second": "200"}


@pytest.fixture(scope="module")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Emulator]]:
    """Run both networks with all pages of the region; without per-second limits, which would only
    slow the test.
    """
    folders = {network: tmp_path_factory.mktemp(network) for network in NETWORKS}
    _fill(EmulatedVk(VkSettings(data=folders["vk"] / "vk.sqlite3")))
    _fill(EmulatedOk(OkState(OkSettings(data=folders["ok"] / "ok.sqlite3"))))
    with running_emulator("vk", folders["vk"]) as vk, running_emulator("ok", folders["ok"]) as ok:
        vk.post("settings", user_per_second=0)
        ok.post("settings", calls_per_second=0)
        yield {"vk": vk, "ok": ok}


def _fill(control: EmulatedVk | EmulatedOk) -> None:
    """Write the pages into the network's file instead of creating them one by one."""
    store = control.store if isinstance(control, EmulatedVk) else control.world.store
    with store.transaction():
        for number in range(EACH):
            control.create_page(name=f"Школа № {number}", screen_name=f"school{number}")
    store.close()


@dataclass
class Region:
    registry: ServiceUnderTest
    raw_connection: asyncpg.Connection
    emulators: dict[str, Emulator]
    checks: DailyCheck

    async def day(self, at: datetime) -> None:
        """Run a day's checks to the end."""
        with time_machine.travel(at):
            for _ in range(60):
                await self.checks.run_batch()

    async def get(self, path: str) -> list[dict[str, Any]]:
        """Return all items of a list of the API."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = await self.registry.client.get(
                f"/api/v1{path}&limit=200{cursor}", headers=self.registry.headers("moderator")
            )
            assert answer.status_code == 200, answer.text
            items += answer.json()["items"]
            if answer.json()["next_cursor"] is None:
                return items
            cursor = f"&cursor={answer.json()['next_cursor']}"

    def calls(self) -> Counter[str]:
        """Return the number of calls by method, as the emulated networks counted them."""
        found: Counter[str] = Counter()
        for emulator in self.emulators.values():
            for item in emulator.control.get("/_control/calls").json()["items"]:
                found[item["method"]] += item["count"]
        return found


@pytest.fixture
async def region(emulators: dict[str, Emulator], database: TestDatabase, keys_dir: Path) -> AsyncIterator[Region]:
    raw_connection = await database.connect()
    organisation = await insert_organisation(database)
    for network, emulator in emulators.items():
        pages = emulator.control.get("/_control/pages").json()["items"]
        await raw_connection.execute(
            "INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at,"
            " active, version, created_at, updated_at) SELECT gen_random_uuid(), $1, $2, external_id, external_id,"
            " external_id, 'https://example.invalid', now(), true, 1, now(), now()"
            " FROM unnest($3::text[]) AS external_id",
            organisation,
            network,
            [str(page["id"]) for page in pages],
        )
    urls = {"vk_api_url": emulators["vk"].url, "ok_api_url": emulators["ok"].url}
    async with service_under_test("registry", database, keys_dir) as registry:
        assert registry.service.database, "made here, with registry's role"
        signer, settings = registry.service.signer, registry.service.settings
        async with (
            service_under_test("ingest", database, keys_dir, process="api", **KEYS, **FAST, **urls) as ingest,
            served(ingest.client._transport.app) as url,  # type: ignore[attr-defined]
            aiohttp.ClientSession() as http,
        ):
            for network, emulator in emulators.items():
                for token in emulator.tokens():
                    if token["kind"] != "group":
                        body = {key: token[key] for key in token if key in TOKEN_FIELDS} | {"network": network}
                        made = await ingest.client.post(
                            "/api/v1/sources/tokens", json=body, headers=ingest.headers("moderator")
                        )
                        assert made.status_code in {200, 201}, made.text
            services = ServiceClient("registry", signer, settings.model_copy(update={"ingest_url": url}), http)
            checks = DailyCheck(
                registry.service.database,
                daily_run.via_ingest(services),
                RegistrySettings(page_checks_calls_per_day=BUDGET, page_checks_reach_calls_per_day=0),
            )
            yield Region(registry, raw_connection, emulators, checks)
    await raw_connection.close()


async def test_worker_checks_pages_through_ingest(
    emulators: dict[str, Emulator], database: TestDatabase, keys_dir: Path
) -> None:
    vk = emulators["vk"]
    page = vk.control.get("/_control/pages").json()["items"][0]
    organisation = await insert_organisation(database)
    page_id = await insert_page(database, organisation, external_id=str(page["id"]))
    async with service_under_test(
        "ingest", database, keys_dir, process="api", **KEYS, vk_api_url=vk.url
    ) as ingest:
        for token in vk.tokens():
            if token["kind"] != "group":
                made = await ingest.client.post(
                    "/api/v1/sources/tokens",
                    json={"network": "vk", "kind": token["kind"], "token": token["token"]},
                    headers=ingest.headers("moderator"),
                )
                assert made.status_code in {200, 201}, made.text
        async with (
            served(ingest.client._transport.app) as url,  # type: ignore[attr-defined]
            service_under_test("registry", database, keys_dir, process="all", ingest_url=url) as registry,
        ):

            async def checked() -> str | None:
                answer = await registry.client.get(f"/api/v1/pages/{page_id}", headers=registry.headers("head"))
                return str(answer.json()["state"]) if answer.json()["checked_at"] else None

            assert await eventually(checked) == "open"
            answer = await registry.client.get(f"/api/v1/pages/{page_id}/checks", headers=registry.headers("head"))
            (check,) = answer.json()["items"]
            snapshot = check["snapshot"]
            # The page has one post of this minute; the user token manages every page.
            assert snapshot["posts_7_days"] == 1
            assert isinstance(snapshot["views_7_days"], int)
            assert snapshot["comments_7_days"] == 0
            assert snapshot["reach_counted_by"] == "week"
            assert isinstance(snapshot["mean_post_reach"], int)
            assert check["calls"] == 4, "profile, wall, reactions, reach"


@pytest.mark.timeout(300)
@pytest.mark.long
async def test_region_is_checked_daily_within_the_budget(region: Region) -> None:
    vk, ok = (region.emulators[network] for network in NETWORKS)
    before = region.calls()
    await region.day(TODAY)
    made = region.calls() - before
    row = await region.raw_connection.fetchrow(
        "SELECT count(*) AS pages, sum(calls) AS calls, count(*) FILTER (WHERE state = 'open') AS open,"
        " count(snapshot -> 'posts_7_days') FILTER (WHERE snapshot ->> 'posts_7_days' IS NOT NULL) AS walls"
        " FROM page_checks WHERE day = '2026-11-24'"
    )
    assert (row["pages"], row["open"]) == (2 * EACH, 2 * EACH)
    assert (made["groups.getById"], made["group.getInfo"]) == (18, 18)
    assert made["wall.get"] + made["mediatopic.getTopics"] == row["walls"] > 0
    # The registry also counts a call that never reached the emulator.
    assert made.total() <= row["calls"] <= BUDGET, "every call is counted, and none is made beyond the budget"

    ids = {
        network: [str(page["id"]) for page in emulator.control.get("/_control/pages").json()["items"]]
        for network, emulator in region.emulators.items()
    }
    changed = {
        ids["vk"][7]: ["verified"],
        ids["vk"][1_799]: ["state"],
        ids["vk"][500]: ["name", "screen_name"],
        ids["ok"][3]: ["verified"],
        ids["ok"][1_700]: ["state"],
        ids["ok"][99]: ["phone", "address"],
    }
    vk.post("page", page=ids["vk"][7], verified=False)
    vk.post("page", page=ids["vk"][1_799], deactivated="banned")
    vk.post("page", page=ids["vk"][500], name="Магазин", screen_name="magazin")
    ok.post("page", page=ids["ok"][3], verified=False)
    ok.post("page", page=ids["ok"][1_700], removed=True)
    ok.post("page", page=ids["ok"][99], phone="8 (3012) 21-44-11", address="ул. Ленина, 54")

    before = region.calls()
    await region.day(TODAY + timedelta(days=1))
    assert (region.calls() - before).total() <= BUDGET
    listed = await region.get("/pages/checks?day=2026-11-25&changed=true")
    assert {item["page"]["external_id"]: [one["field"] for one in item["changes"]] for item in listed} == changed
    lost = await region.get("/pages/lost-steps?since=2026-11-25")
    assert {item["external_id"] for item in lost} == {ids["vk"][7], ids["ok"][3]}
    events = await region.raw_connection.fetch(
        "SELECT type, external_id FROM events JOIN pages ON pages.id = subject_id WHERE type IN"
        " ('page.badge_lost', 'page.closed', 'page.gone', 'page.renamed', 'page.takeover_suspected')"
    )
    assert sorted((one["type"], one["external_id"]) for one in events) == sorted(
        [
            ("page.badge_lost", ids["vk"][7]),
            ("page.badge_lost", ids["ok"][3]),
            ("page.closed", ids["vk"][1_799]),
            ("page.gone", ids["ok"][1_700]),
            ("page.renamed", ids["vk"][500]),
            ("page.takeover_suspected", ids["vk"][500]),
        ]
    )
