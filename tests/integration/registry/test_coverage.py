"""Coverage: which organisations must keep pages, which do, which pages are missing, and the history."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import time_machine

from services.registry import worker
from services.registry.coverage import coverage_query, history
from services.registry.schemas import coverage as coverage_schemas
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import pointers
from tests.support.service_under_test import ServiceUnderTest

PATH = "/api/v1/coverage"
CITY, DISTRICT = "81701000", "81624000"
NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)  # noon in Irkutsk


@dataclass
class Region:
    """Inserts organisations and pages with the role of registry."""

    connection: asyncpg.Connection
    bodies: dict[str, UUID] = field(default_factory=dict)
    pages: int = 0

    async def body(self, name: str, kind: str = "institution", owner: str | None = None, **columns: Any) -> None:
        values = {"municipality": CITY, "sphere": "образование", "active": True} | columns
        named = ", ".join(values)
        places = ", ".join(f"${place}" for place in range(5, 5 + len(values)))
        self.bodies[name] = await self.connection.fetchval(
            f"""INSERT INTO organisations (id, name, sort_key, kind, parent_id, version, created_at, updated_at,
                {named})
                VALUES ($1, $2, lower($2), $3, $4, 1, now(), now(), {places}) RETURNING id""",
            uuid4(),
            name,
            kind,
            self.bodies[owner] if owner else None,
            *values.values(),
        )

    async def page(
        self,
        owner: str,
        network: str,
        *steps: str,
        lost: tuple[str, ...] = (),
        active: bool = True,
        state: str = "open",
    ) -> str:
        self.pages += 1
        page_id, url = uuid4(), f"https://example.invalid/{self.pages}"
        await self.connection.execute(
            """INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at,
               state, active, version, created_at, updated_at)
               VALUES ($1, $2, $3, $4, 'Страница', 'страница', $5, now(), $6, $7, 1, now(), now())""",
            page_id, self.bodies[owner], network, str(self.pages), url, state, active,
        )  # fmt: skip
        for step in (*steps, *lost):
            await self.connection.execute(
                """INSERT INTO page_steps (id, page_id, step, reached_on, evidence_kind, confirmed_by, lost_on,
                   created_at)
                   VALUES ($1, $2, $3, '2026-01-01', 'network', 'system', $4, now())""",
                uuid4(), page_id, step, date(2026, 2, 1) if step in lost else None,
            )  # fmt: skip
        return url


@pytest.fixture(autouse=True)
def two_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit coverage to two networks, for which the figures below were computed."""
    monkeypatch.setattr(coverage_query, "NETWORKS", ("vk", "ok"))
    monkeypatch.setattr(coverage_schemas, "_NETWORKS", ("any", "vk", "ok"))


@pytest.fixture
async def region(database: TestDatabase) -> AsyncIterator[Region]:
    """Insert a ministry with schools at each step, a club in a district, and organisations exempt from pages."""
    connection = await database.connect("registry")
    made = Region(connection)
    await made.body("Министерство", "regional", sphere=None)
    await made.body("Школа 1", owner="Министерство")
    await made.body("Школа 2", owner="Министерство")
    await made.body("Школа 3", owner="Министерство", exempt_reason="закрытый объект", exempt_document="№ 5")
    await made.body("Клуб", owner="Школа 2", municipality=DISTRICT, sphere="культура")
    await made.body("Прочее", "other")
    await made.body("Бывшая школа", active=False)
    await made.body("Закрытая школа", valid_to=date(2026, 11, 24))
    await made.body("Будущая школа", valid_from=date(2026, 11, 26))
    await made.page("Министерство", "vk", "created", "verified", "live")
    await made.page("Министерство", "ok", "created", "verified", "live")
    await made.page("Школа 1", "vk", "verified", "live")
    await made.page("Школа 1", "vk", state="closed")
    await made.page("Школа 2", "vk", "created", lost=("verified", "live"))
    await made.page("Школа 2", "ok", "verified")
    await made.page("Клуб", "vk", "verified", "live", active=False)
    with time_machine.travel(NOON, tick=False):
        yield made
    await connection.close()


async def get(registry: ServiceUnderTest, path: str = "", **query: Any) -> dict[str, Any]:
    answer = await registry.client.get(PATH + path, params=query, headers=registry.headers("head"))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def brief(networks: list[dict[str, Any]]) -> dict[str, tuple[int, int, int, int]]:
    return {row["network"]: (row["required"], row["exempt"], row["covered"], row["live"]) for row in networks}


async def lacks(registry: ServiceUnderTest, **query: Any) -> list[tuple[str, str, str]]:
    items = (await get(registry, "/missing", **query))["items"]
    return [(item["organisation"]["name"], item["network"], item["reason"]) for item in items]


async def test_figures_are_counted_by_network(registry: ServiceUnderTest, region: Region) -> None:
    found = await get(registry)
    assert (found["day"], found["group_by"], found["groups"]) == ("2026-11-25", None, [])
    # required, exempt, covered, live
    assert brief(found["total"]) == {"any": (4, 1, 3, 2), "vk": (4, 1, 2, 2), "ok": (4, 1, 2, 1)}
    by_network = {row["network"]: row for row in found["total"]}
    stages = ("no_page", "closed", "not_verified", "not_live", "live")
    assert [by_network["vk"][stage] for stage in stages] == [0, 1, 1, 0, 2]
    assert [by_network["ok"][stage] for stage in stages] == [2, 0, 0, 1, 1]
    assert [by_network["any"][stage] for stage in stages] == [0, 1, 0, 1, 2]
    assert (by_network["any"]["covered_share"], by_network["any"]["live_share"]) == (0.75, 0.5)


async def test_empty_registry_has_no_required_pages(registry: ServiceUnderTest) -> None:
    found = await get(registry, group_by="parent")
    assert brief(found["total"]) == dict.fromkeys(("any", "vk", "ok"), (0, 0, 0, 0))
    assert {row["covered_share"] for row in found["total"]} == {None}
    assert found["groups"] == []


async def test_coverage_is_counted_in_each_grouping(registry: ServiceUnderTest, region: Region) -> None:
    names = dict(await region.connection.fetch("SELECT oktmo, name FROM municipalities"))
    # required, exempt, covered, live in any network
    expected: dict[str, dict[str | None, tuple[int, int, int, int]]] = {
        "municipality": {names[CITY]: (3, 1, 3, 2), names[DISTRICT]: (1, 0, 0, 0)},
        "sphere": {"культура": (1, 0, 0, 0), "образование": (2, 1, 2, 1), None: (1, 0, 1, 1)},
        "parent": {"Министерство": (2, 1, 2, 1), "Школа 2": (1, 0, 0, 0), None: (1, 0, 1, 1)},
        "kind": {"Подведомственные учреждения": (3, 1, 2, 1), "Региональные органы": (1, 0, 1, 1)},
    }
    for group_by, wanted in expected.items():
        groups = (await get(registry, group_by=group_by))["groups"]
        assert {group["name"]: brief(group["networks"])["any"] for group in groups} == wanted
        assert {group["networks"][0]["network"] for group in groups} == {"any"}
        if None in wanted:
            assert [group["name"] for group in groups] == list(wanted)
            assert groups[-1]["key"] == "none"


async def test_figures_are_filtered(registry: ServiceUnderTest, region: Region) -> None:
    async def total(**query: Any) -> int:
        found = await get(registry, **query)
        return int(brief(found["total"])["any"][0])

    ministry = str(region.bodies["Министерство"])
    assert await total(municipality=CITY) == 3
    assert await total(sphere="культура") == 1
    assert await total(sphere="none") == 1
    assert await total(kind="regional") == 1
    assert await total(kind="other") == 0
    assert await total(parent_id=ministry) == 2
    assert await total(parent_id="none") == 1
    assert await total(ancestor_id=ministry) == 3
    assert await total(ancestor_id=ministry, municipality=DISTRICT) == 1
    assert await total(ancestor_id=str(uuid4())) == 0


async def test_missing_pages_are_listed_with_reasons(registry: ServiceUnderTest, region: Region) -> None:
    assert await lacks(registry) == [
        ("Клуб", "ok", "no_page"),
        ("Клуб", "vk", "closed"),
        ("Школа 1", "ok", "no_page"),
        ("Школа 2", "ok", "not_live"),
        ("Школа 2", "vk", "not_verified"),
        ("Школа 3", "ok", "exempt"),
        ("Школа 3", "vk", "exempt"),
    ]
    assert await lacks(registry, network="any") == [
        ("Клуб", "any", "closed"),
        ("Школа 2", "any", "not_live"),
        ("Школа 3", "any", "exempt"),
    ]
    assert await lacks(registry, network="vk", reason="not_verified") == [("Школа 2", "vk", "not_verified")]
    assert await lacks(registry, reason="no_page", q="ШКОЛА") == [("Школа 1", "ok", "no_page")]
    (exempt,) = (await get(registry, "/missing", reason="exempt", network="vk"))["items"]
    assert (exempt["exempt_reason"], exempt["exempt_document"], exempt["page"]) == ("закрытый объект", "№ 5", None)
    (club,) = (await get(registry, "/missing", q="клуб", network="vk"))["items"]
    assert club["parent"] == {"id": str(region.bodies["Школа 2"]), "name": "Школа 2"}
    assert club["page"]["url"] == "https://example.invalid/7"


async def test_list_of_missing_pages_is_paged(registry: ServiceUnderTest, region: Region) -> None:
    whole = await lacks(registry)
    seen: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(registry, "/missing", limit=2, **cursor)
        seen += [(item["organisation"]["name"], item["network"], item["reason"]) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == whole


async def test_exempt_organisation_with_live_page_is_not_listed(
    registry: ServiceUnderTest, region: Region
) -> None:
    await region.page("Школа 3", "vk", "verified", "live")
    assert await lacks(registry, reason="exempt") == [("Школа 3", "ok", "exempt")]
    assert brief((await get(registry))["total"])["vk"] == (4, 1, 2, 2)


async def test_tables_are_returned_as_csv(registry: ServiceUnderTest, region: Region) -> None:
    await region.body("=ЗАПУСК()", owner="Министерство")
    headers = registry.headers("head")
    answer = await registry.client.get(f"{PATH}/missing", params={"format": "csv", "limit": 1}, headers=headers)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 9
    assert [row["Наименование"] for row in rows if "ЗАПУСК" in row["Наименование"]] == ["'=ЗАПУСК()"] * 2
    club = next(row for row in rows if row["Наименование"] == "Клуб" and row["Сеть"] == "ВКонтакте")
    assert (club["Причина"], club["Страница"]) == ("Страница закрыта", "https://example.invalid/7")
    accepted = await registry.client.get(
        f"{PATH}?group_by=sphere", headers=headers | {"Accept": "text/csv;q=0.9, */*;q=0.1"}
    )
    table = list(csv.DictReader(io.StringIO(accepted.content.decode("utf-8-sig"))))
    assert [(row["Название"], row["Сеть"], row["Обязаны вести страницу"]) for row in table[:2]] == [
        ("культура", "Хотя бы одна сеть", "1"),
        ("культура", "ВКонтакте", "1"),
    ]
    assert table[-1]["Название"] == "Всего"
    as_json = await registry.client.get(PATH, headers=headers | {"Accept": "application/json, text/csv"})
    assert as_json.headers["content-type"] == "application/json"


async def test_history_shows_the_share_over_time(registry: ServiceUnderTest, region: Region) -> None:
    database = registry.service.database

    async def record(day: date) -> int:
        async with database.write() as session:
            return await history.record_day(session, day)

    await record(date(2026, 11, 20))
    await region.page("Школа 2", "vk", "verified", "live")
    await record(date(2026, 11, 23))
    rows = await record(date(2026, 11, 25))
    assert await record(date(2026, 11, 25)) == rows  # Recording the same day again replaces its rows.

    async def shown(**query: Any) -> list[tuple[str, int, int, float | None]]:
        items = (await get(registry, "/history", **query))["items"]
        return [(item["day"], item["required"], item["live"], item["live_share"]) for item in items]

    # One school closed permanently on the 24th.
    assert await shown() == [
        ("2026-11-20", 5, 2, 0.4), ("2026-11-23", 5, 3, 0.6), ("2026-11-25", 4, 3, 0.75),
    ]  # fmt: skip
    assert await shown(interval="week") == [("2026-11-20", 5, 2, 0.4), ("2026-11-25", 4, 3, 0.75)]
    assert await shown(interval="month", network="ok") == [("2026-11-25", 4, 1, 0.25)]
    assert await shown(**{"from": "2026-11-21", "to": "2026-11-24"}) == [("2026-11-23", 5, 3, 0.6)]
    assert await shown(sphere="культура", to="2026-11-20") == [("2026-11-20", 1, 0, 0.0)]
    assert await shown(ancestor_id=str(region.bodies["Министерство"]), to="2026-11-20") == [
        ("2026-11-20", 3, 1, 0.3333)
    ]
    assert await shown(sphere="спорт", to="2026-11-20") == [("2026-11-20", 0, 0, None)]
    first = await get(registry, "/history", limit=2)
    second = await get(registry, "/history", limit=2, cursor=first["next_cursor"])
    assert [item["day"] for item in second["items"]] == ["2026-11-25"]
    answer = await registry.client.get(f"{PATH}/history?format=csv", headers=registry.headers("head"))
    assert len(answer.text.splitlines()) == 4


async def test_worker_records_the_coverage_of_the_day(registry: ServiceUnderTest, region: Region) -> None:
    work = asyncio.create_task(worker.record_coverage(registry.service))
    try:
        while not (items := (await get(registry, "/history"))["items"]):
            await asyncio.sleep(0.05)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert [(item["day"], item["covered"]) for item in items] == [("2026-11-25", 3)]


async def test_invalid_days_are_refused(registry: ServiceUnderTest) -> None:
    for query, named in (
        ("from=2026-11-25&to=2026-11-24", "query/from"),
        ("from=yesterday", "query/from"),
        ("to=0001-01-01", "query/to"),
        ("interval=year", "query/interval"),
        ("network=max", "query/network"),
        ("parent_id=ministry", "query/parent_id"),
    ):
        answer = await registry.client.get(f"{PATH}/history?{query}", headers=registry.headers("head"))
        assert answer.status_code == 422, query
        assert any(pointer.startswith(named) for pointer in pointers(answer)), answer.text
