"""SLA figures equal those worked out by hand."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import time_machine

from services.metrics.api import metrics as api
from tests.conftest import TestDatabase
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, service_under_test

NOW = "2026-11-25T12:00:00+08:00"  # a Wednesday
WEEK = {"from": "2026-11-23", "to": "2026-11-29"}
COLUMNS = (
    "id", "status", "urgency", "organisation_id", "topic_id", "network", "text", "written_at", "opened_at",
    "first_response_due_at", "first_response_at", "first_response_working_seconds", "closed_at", "route",
    "final_answer_at", "outcome", "feedback_kind",
    "version", "created_at", "updated_at",
)  # fmt: skip


@dataclass
class Region:
    """Two organisations, one of them in a municipality, and a topic."""

    metrics: ServiceUnderTest
    database: TestDatabase
    school: UUID
    ministry: UUID
    topic: UUID

    async def get(self, path: str = "/api/v1/metrics/sla", *, headers: Any = None, **query: Any) -> dict[str, Any]:
        answer = await self.metrics.client.get(
            path, params=query, headers=headers or self.metrics.headers("moderator")
        )
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


def local(text: str) -> datetime:
    """Return the moment of a text such as `11-23 10:00`, in 2026 and Irkutsk time."""
    return datetime.fromisoformat(f"2026-{text}+08:00")


async def add(connection: asyncpg.Connection, **given: Any) -> UUID:
    """Insert a row of `appeals` and return its id; times are `MM-DD hh:mm` in the region's time zone."""
    row: dict[str, Any] = {
        "id": uuid4(), "status": "assigned", "urgency": "normal", "text": "Не горит фонарь", "network": "vk",
        "route": "{}", "version": 1, "created_at": local("11-01 00:00"), "updated_at": local("11-01 00:00"),
    } | given  # fmt: skip
    row.setdefault("written_at", row["opened_at"])
    for name, value in row.items():
        if name.endswith("_at") and isinstance(value, str):
            row[name] = local(value)
    names = [name for name in COLUMNS if name in row]
    await connection.execute(
        f"INSERT INTO appeals ({', '.join(names)}) VALUES ({', '.join(f'${i + 1}' for i in range(len(names)))})",
        *(row[name] for name in names),
    )
    found: UUID = row["id"]
    return found


@pytest.fixture
async def region(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Region]:
    connection = await database.connect()
    oktmo = await connection.fetchval("SELECT oktmo FROM municipalities ORDER BY oktmo LIMIT 1")
    if oktmo is None:
        oktmo = "81999000"
        await connection.execute(
            "INSERT INTO municipalities VALUES ($1, 'Н-ский район', 'district', 'н-ский')", oktmo
        )
    topic = uuid4()
    await connection.execute(
        """INSERT INTO topics (id, code, name, position, taxonomy_version, aliases, active)
           VALUES ($1, 'test', 'Дороги', 1, 'test', '[]', true)""",
        topic,
    )
    await connection.close()
    school = await insert_organisation(database, name="Школа", municipality=oktmo)
    ministry = await insert_organisation(database, name="Министерство")
    with time_machine.travel(NOW, tick=False):
        async with service_under_test("metrics", database, keys_dir) as metrics:
            yield Region(metrics, database, school, ministry, topic)


@pytest.fixture
async def cases(region: Region) -> dict[str, UUID]:
    """Insert a week of appeals whose figures were worked out by hand; return their ids by name."""
    school, ministry, topic = region.school, region.ministry, region.topic
    connection = await region.database.connect()
    rows: dict[str, dict[str, Any]] = {
        # On time, exactly at the deadline; one hour of working time; received 10 minutes after it was written.
        "exact": {
            "status": "answered", "organisation_id": school, "topic_id": topic, "written_at": "11-23 09:50",
            "opened_at": "11-23 10:00", "first_response_due_at": "11-23 11:00",
            "first_response_at": "11-23 11:00", "first_response_working_seconds": 3600,
            "final_answer_at": "11-23 11:00", "outcome": "solved", "feedback_kind": "thanks",
        },
        # Late by a minute, then closed as solved although the citizen says that the problem is not solved.
        "late": {
            "status": "closed", "organisation_id": school, "network": "ok", "written_at": "11-23 23:30",
            "opened_at": "11-23 23:59", "first_response_due_at": "11-24 18:00",
            "first_response_at": "11-24 18:01", "first_response_working_seconds": 28860,
            "closed_at": "11-25 09:00", "final_answer_at": "11-24 18:01", "outcome": "solved",
            "feedback_kind": "not_solved",
        },
        # Unanswered past the deadline.
        "overdue": {
            "organisation_id": ministry, "topic_id": topic, "opened_at": "11-24 00:00",
            "first_response_due_at": "11-25 11:59",
        },
        # Unanswered, an hour before the deadline.
        "waiting": {
            "organisation_id": ministry, "opened_at": "11-25 09:00", "first_response_due_at": "11-25 13:00",
        },
        # Not routed yet, so it has no deadline.
        "unrouted": {"status": "assigned", "opened_at": "11-25 10:00"},
        # Closed in time without an answer.
        "silent": {
            "status": "closed", "organisation_id": school, "opened_at": "11-25 10:30",
            "first_response_due_at": "11-26 10:30", "closed_at": "11-25 11:00",
        },
        # Not counted in `opened`.
        "not_required": {"status": "not_required", "organisation_id": school, "opened_at": "11-24 12:00"},
        "triage": {"status": "triage", "opened_at": "11-24 12:00"},
        "merged": {
            "status": "merged", "organisation_id": school, "opened_at": "11-24 12:00",
            "first_response_due_at": "11-24 13:00", "closed_at": "11-24 14:00", "outcome": "solved",
            "final_answer_at": "11-24 12:30",
        },
        # The last second before the week, and the first second after it.
        "before": {
            "organisation_id": school, "opened_at": "11-22 23:59:59", "first_response_due_at": "11-23 18:00",
        },
        "after": {"organisation_id": school, "opened_at": "11-30 00:00"},
    }  # fmt: skip
    found = {name: await add(connection, **row) for name, row in rows.items()}
    await connection.close()
    return found


BEHIND = {
    "opened": {"exact", "late", "overdue", "waiting", "unrouted", "silent"},
    "answered": {"exact", "late"},
    "on_time": {"exact"},
    "overdue": {"late", "overdue"},
    "waiting": {"waiting", "unrouted"},
    "closed_unanswered": {"silent"},
    "final_answered": {"exact", "late"},
    "solved": {"exact"},
    "disputed": {"late"},
    "not_required": {"not_required"},
    "in_triage": {"triage"},
}


async def test_totals_cover_the_current_week_by_default(region: Region, cases: dict[str, UUID]) -> None:
    body = await region.get()
    assert (body["from"], body["to"]) == ("2026-11-23T00:00:00+08:00", "2026-11-30T00:00:00+08:00")
    assert (body["time_zone"], body["group_by"], body["groups"]) == ("Asia/Irkutsk", None, [])
    total = body["total"]
    assert {name: total[name] for name in BEHIND} == {name: len(rows) for name, rows in BEHIND.items()}
    # Median and 90th percentile, interpolated between 3600 and 28860.
    assert total["first_response"] == {"median": 16230.0, "p90": pytest.approx(26334.0)}
    # Delays of the six counted cases: 600 s, 1740 s and four of 0; the percentile is half-way from 600 to 1740.
    assert total["receipt_delay"] == {"median": 0.0, "p90": pytest.approx(1170.0)}
    assert await region.get(**WEEK) == body


async def test_list_of_each_figure_has_exactly_the_counted_rows(region: Region, cases: dict[str, UUID]) -> None:
    names = {str(row): name for name, row in cases.items()}
    for figure, expected in BEHIND.items():
        found = await region.get("/api/v1/metrics/sla/appeals", figure=figure, **WEEK)
        assert {names[item["id"]] for item in found["items"]} == expected, figure
        assert found["next_cursor"] is None


async def test_rows_are_paged_newest_first(region: Region, cases: dict[str, UUID]) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"figure": "opened", "limit": 4, **WEEK}
    pages = 0
    while True:
        page = await region.get("/api/v1/metrics/sla/appeals", **query)
        seen += [item["id"] for item in page["items"]]
        pages += 1
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    order = ["silent", "unrouted", "waiting", "overdue", "late", "exact"]
    assert seen == [str(cases[name]) for name in order]
    assert pages == 2


@pytest.mark.parametrize(
    "group_by", ["organisation", "municipality", "network", "topic_group", "topic", "day", "week"]
)
async def test_groups_sum_to_the_total_and_each_lists_its_rows(
    region: Region, cases: dict[str, UUID], group_by: str
) -> None:
    body = await region.get(group_by=group_by, **WEEK)
    assert body["total"] == (await region.get(**WEEK))["total"]
    for figure in BEHIND:
        assert sum(group[figure] for group in body["groups"]) == body["total"][figure], figure
    for group in body["groups"]:
        for figure in BEHIND:
            rows = await region.get(
                "/api/v1/metrics/sla/appeals", figure=figure, group_by=group_by, key=group["key"], **WEEK
            )
            assert len(rows["items"]) == group[figure], (group["key"], figure)


async def test_groups_have_keys_and_names(region: Region, cases: dict[str, UUID]) -> None:
    async def groups(group_by: str, **query: str) -> dict[str, tuple[str | None, int]]:
        body = await region.get(group_by=group_by, **(query or WEEK))
        return {group["key"]: (group["name"], group["opened"]) for group in body["groups"]}

    assert await groups("organisation") == {
        str(region.school): ("Школа", 3),
        str(region.ministry): ("Министерство", 2),
        "none": (None, 1),
    }
    assert await groups("network") == {"ok": (None, 1), "vk": (None, 5)}
    assert await groups("topic_group") == {str(region.topic): ("Дороги", 2), "none": (None, 4)}
    # 23:59 and 00:00 in Irkutsk are one day in UTC, two days there.
    assert await groups("day") == {"2026-11-23": (None, 2), "2026-11-24": (None, 1), "2026-11-25": (None, 3)}
    assert await groups("week", **{"from": "2026-11-16", "to": "2026-12-06"}) == {
        "2026-W47": (None, 1),
        "2026-W48": (None, 6),
        "2026-W49": (None, 1),
    }
    by_municipality = await groups("municipality")
    assert by_municipality.pop("none") == (None, 3)
    assert [opened for _, opened in by_municipality.values()] == [3]


async def test_medians_are_computed_per_group(region: Region, cases: dict[str, UUID]) -> None:
    body = await region.get(group_by="network", **WEEK)
    medians = {group["key"]: group["first_response"]["median"] for group in body["groups"]}
    assert medians == {"vk": 3600.0, "ok": 28860.0}


async def test_figures_of_a_period_without_appeals_are_zero(region: Region, cases: dict[str, UUID]) -> None:
    body = await region.get(group_by="organisation", **{"from": "2025-01-01", "to": "2025-01-07"})
    assert body["groups"] == []
    assert {body["total"][figure] for figure in BEHIND} == {0}
    nothing = {"median": None, "p90": None}
    assert (body["total"]["first_response"], body["total"]["receipt_delay"]) == (nothing, nothing)


async def test_staff_see_only_appeals_of_their_own_organisation(region: Region, cases: dict[str, UUID]) -> None:
    headers = region.metrics.headers("executor", region.school)
    body = await region.get(headers=headers, group_by="organisation", **WEEK)
    assert [group["key"] for group in body["groups"]] == [str(region.school)]
    assert body["total"]["opened"] == 3
    rows = await region.get("/api/v1/metrics/sla/appeals", headers=headers, figure="opened", **WEEK)
    assert {item["id"] for item in rows["items"]} == {str(cases[name]) for name in ("exact", "late", "silent")}
    foreign = await region.get(
        "/api/v1/metrics/sla/appeals",
        headers=headers,
        figure="opened",
        group_by="organisation",
        key=str(region.ministry),
        **WEEK,
    )
    assert foreign["items"] == []


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/sla", {"from": "tomorrow"}, "query/from"),
        ("/sla", {"to": "2026-02-30"}, "query/to"),
        ("/sla", {"from": "2026-11-25", "to": "2026-11-24"}, "query/from"),
        ("/sla", {"group_by": "colour"}, "query/group_by"),
        ("/sla/appeals", {}, "query/figure"),
        ("/sla/appeals", {"figure": "lost"}, "query/figure"),
        ("/sla/appeals", {"figure": "opened", "group_by": "day"}, "query/key"),
        ("/sla/appeals", {"figure": "opened", "key": "vk"}, "query/group_by"),
        ("/sla/appeals", {"figure": "opened", "group_by": "network", "key": "v\x00k"}, "query/key"),
        ("/sla/appeals", {"figure": "opened", "cursor": "AAAA"}, "query/cursor"),
        ("/sla/appeals", {"figure": "opened", "limit": "0"}, "query/limit"),
    ],
)
async def test_invalid_parameter_is_refused_naming_the_field(
    region: Region, path: str, query: dict[str, str], pointer: str
) -> None:
    answer = await region.metrics.client.get(
        f"/api/v1/metrics{path}", params=query, headers=region.metrics.headers("head")
    )
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_slow_query_is_cancelled_with_503(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "STATEMENT_TIMEOUT_MS", 100)
    connection = await region.database.connect()
    async with connection.transaction():
        await connection.execute("LOCK TABLE appeals IN ACCESS EXCLUSIVE MODE")
        answer = await region.metrics.client.get(
            "/api/v1/metrics/sla", headers=region.metrics.headers("moderator")
        )
    await connection.close()
    assert answer.status_code == 503, answer.text
    assert answer.json()["type"] == "/problems/unavailable"


async def test_caller_without_right_is_refused(region: Region) -> None:
    client = region.metrics.client
    assert (await client.get("/api/v1/metrics/sla")).status_code == 401
    refused = await client.get("/api/v1/metrics/sla", headers=region.metrics.headers("operations"))
    assert refused.status_code == 403
    assert (await client.get("/metrics")).headers["content-type"].startswith("text/plain")
