"""Open data: off by default, readable without signing in, and unchanged once a week is published."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import time_machine

from services.metrics.open_data.published_weeks import published_weeks
from services.metrics.rendering.canonical_json import digest, encode
from services.metrics.schemas.weekly_report import ReportDocument
from services.metrics.settings import MetricsSettings, metrics_settings
from tests.conftest import TestDatabase
from tests.integration.metrics.test_sla import Region, add, region
from tests.support.sample_report import sample_report
from tests.support.service_under_test import ServiceUnderTest, service_under_test

__all__ = ["region"]  # re-exported so that pytest finds the fixture here
WEEKS = "/api/v1/open-data/weeks"
MOMENT = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass
class OpenData:
    """The metrics service with a published report."""

    metrics: ServiceUnderTest
    database: TestDatabase
    report: ReportDocument

    async def get(self, path: str = "", **headers: str) -> httpx.Response:
        return await self.metrics.client.get(WEEKS + path, headers=headers)

    async def publish(self) -> None:
        assert self.metrics.service.jobs is not None
        await self.metrics.service.jobs.schedules["publish-open-data"][1]()

    async def insert_report(self, document: ReportDocument) -> None:
        connection = await self.database.connect()
        await connection.execute(
            """INSERT INTO weekly_reports (id, week, document, digest, appeals, published_at, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $6)""",
            uuid4(), document.week, encode(document).decode(), digest(encode(document)),
            document.outcomes.opened, MOMENT,
        )  # fmt: skip
        await connection.close()


@pytest.fixture(autouse=True)
def _no_kept_weeks() -> Iterator[None]:
    """Clear the cache of weeks: the next test has another database."""
    yield
    published_weeks.cache_clear()


@pytest.fixture
async def open_data(database: TestDatabase, keys_dir: Path) -> AsyncIterator[OpenData]:
    async with service_under_test("metrics", database, keys_dir) as metrics:
        found = OpenData(metrics, database, sample_report().report)
        await found.insert_report(found.report)
        yield found


@pytest.fixture
async def settings(open_data: OpenData, monkeypatch: pytest.MonkeyPatch) -> MetricsSettings:
    """The settings of the running service, which a test may change."""
    found = metrics_settings()
    for name in ("open_data", "open_data_minimum", "open_data_requests_per_minute"):
        monkeypatch.setattr(found, name, getattr(found, name))
    return found


async def test_nothing_is_published_while_open_data_is_switched_off(open_data: OpenData) -> None:
    await open_data.publish()
    for path in ("", f"/{open_data.report.week}", f"/{open_data.report.week}.csv"):
        answer = await open_data.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"
        assert "GOSPABLIK_OPEN_DATA" in answer.json()["detail"]
    connection = await open_data.database.connect()
    assert await connection.fetchval("SELECT count(*) FROM open_data_weeks") == 0
    await connection.close()


async def test_week_is_readable_without_a_token_as_json_and_csv(
    open_data: OpenData, settings: MetricsSettings
) -> None:
    settings.open_data = True
    await open_data.publish()
    (listed,) = (await open_data.get()).json()["items"]
    assert (listed["week"], listed["url"]) == (open_data.report.week, f"{WEEKS}/{open_data.report.week}")

    answer = await open_data.get(f"/{open_data.report.week}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"].startswith("public")
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Retry-After"} <= set(exposed)
    # A shared cache would serve these headers to other clients.
    assert "ratelimit" not in answer.headers
    tables: dict[str, Any] = {table["code"]: table for table in answer.json()["tables"]}
    assert tables["outcomes"]["total"] == open_data.report.outcomes.opened
    again = await open_data.get(f"/{open_data.report.week}", **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")

    file = await open_data.get(f"/{open_data.report.week}.csv")
    accepted = await open_data.get(f"/{open_data.report.week}", Accept="text/csv")
    assert accepted.content == file.content
    lines = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    cells = [
        line for line in lines if line["row"] and line["column"] and line["table"] == "topics_by_municipality"
    ]
    shown = [count for row in tables["topics_by_municipality"]["cells"] for count in row]
    assert [int(line["count"]) if line["count"] else None for line in cells] == shown


async def test_published_week_is_unchanged_by_a_new_minimum(
    open_data: OpenData, settings: MetricsSettings
) -> None:
    settings.open_data = True
    await open_data.publish()
    first = await open_data.get(f"/{open_data.report.week}")
    # Two suppressions of one week together could reveal hidden cells.
    settings.open_data_minimum = 20
    later = open_data.report.model_copy(update={"week": "2026-W48"})
    await open_data.insert_report(later)
    await open_data.publish()
    assert (await open_data.get(f"/{open_data.report.week}")).content == first.content
    assert (await open_data.get("/2026-W48")).json()["minimum"] == 20
    assert [item["week"] for item in (await open_data.get()).json()["items"]] == [
        "2026-W48",
        open_data.report.week,
    ]


async def test_week_whose_publication_fails_does_not_block_later_weeks(
    open_data: OpenData, settings: MetricsSettings
) -> None:
    settings.open_data = True
    connection = await open_data.database.connect()
    await connection.execute(
        """INSERT INTO weekly_reports (id, week, document, digest, appeals, published_at, created_at)
           VALUES ($1, '2026-W01', '{"format": 1}', '', 1, $2, $2)""",
        uuid4(), MOMENT,
    )  # fmt: skip
    await connection.close()
    with pytest.raises(ExceptionGroup) as failed:
        await open_data.publish()
    assert len(failed.value.exceptions) == 1
    assert [item["week"] for item in (await open_data.get()).json()["items"]] == [open_data.report.week]


async def test_many_concurrent_requests_get_503_and_cached_weeks_are_still_served(
    open_data: OpenData, settings: MetricsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.open_data = True
    await open_data.publish()
    first = await open_data.get(f"/{open_data.report.week}")
    weeks = published_weeks(open_data.metrics.service.database)
    monkeypatch.setattr("services.metrics.open_data.published_weeks.WAIT_SECONDS", 0.01)
    async with weeks.session(), weeks.session():
        refused = await open_data.get()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await open_data.get(f"/{open_data.report.week}")).content == first.content
        assert (await open_data.get(f"/{open_data.report.week}.csv")).status_code == 200
    assert (await open_data.get()).status_code == 200


async def test_week_of_real_rows_is_published_after_its_report(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 12 appeals to the school, 9 to the ministry, which is in no municipality; two came through OK, 19 through VK.
    connection = await region.database.connect()
    for number in range(21):
        await add(
            connection, opened_at=f"11-24 0{number % 9}:00", organisation_id=region.school if number < 12 else
            region.ministry, topic_id=region.topic if number < 7 else None, network="ok" if number < 2 else "vk",
        )  # fmt: skip
    await connection.close()
    monkeypatch.setattr(metrics_settings(), "open_data", True)
    jobs = region.metrics.service.jobs
    assert jobs is not None
    with time_machine.travel("2026-11-30T08:00:00+08:00", tick=False):
        for name in ("publish-weekly-report", "publish-open-data"):
            await jobs.schedules[name][1]()
        answer = await region.metrics.client.get(f"{WEEKS}/2026-W48")
    tables = {table["code"]: table for table in answer.json()["tables"]}
    topics = tables["topics_by_municipality"]
    assert topics["total"] == 21
    assert [row["total"] for row in topics["rows"]] == [14, 7]
    assert [column["total"] for column in topics["columns"]] == [12, 9]
    # 7 and 0 appeals with the topic, 5 and 9 without: hiding the zero requires hiding all four.
    assert topics["cells"] == [[None, None], [None, None]]
    assert [row["total"] for row in tables["organisations"]["rows"]] == [12, 9]
    # Two appeals from OK are too few to show, and could be computed from the total if VK were shown.
    assert [(row["key"], row["total"]) for row in tables["channels"]["rows"]] == [("_other", 21)]


async def test_invalid_week_and_too_many_requests_are_refused(
    open_data: OpenData, settings: MetricsSettings
) -> None:
    settings.open_data = True
    assert (await open_data.get("/2026-W01")).status_code == 404
    wrong = await open_data.get("/2026-W60")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "path/week")
    settings.open_data_requests_per_minute = 2
    statuses = [(await open_data.get()).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await open_data.get()
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["access-control-allow-origin"] == "*"
