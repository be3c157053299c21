"""The services show the demo's made-up history from a database."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import time_machine

from cli.demo import region
from cli.demo.past.history import write_history
from cli.demo.past.row_writer import RowWriter
from shared.ids import new_id
from tests.conftest import TestDatabase
from tests.support.service_under_test import environment, service_under_test

# A Wednesday.
NOW = datetime(2026, 11, 25, 12, tzinfo=ZoneInfo("Asia/Irkutsk"))
LONG_AGO = datetime(2020, 1, 1, tzinfo=ZoneInfo("Asia/Irkutsk"))


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database with the region of the demo."""
    found = await database.connect()
    writer = RowWriter()
    ids = {one.code: new_id() for one in region.load()}
    moments = {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    for number, one in enumerate(region.load(), 1):
        writer.add(
            "organisations",
            id=ids[one.code],
            code=one.code,
            name=one.name,
            sort_key=one.name.lower(),
            kind=one.kind,
            municipality=one.municipality,
            parent_id=ids[one.parent] if one.parent else None,
            lineage=[],
            **moments,
        )
        for network in one.pages:
            writer.add(
                "pages",
                organisation_id=ids[one.code],
                network=network,
                external_id=str(number),
                name=one.short_name,
                sort_key=one.short_name.lower(),
                url=f"https://{network}.example/{number}",
                go_live_at=LONG_AGO,
                **moments,
            )
    await writer.write(found)
    yield found
    await found.close()


async def test_history_is_shown_by_the_services(
    connection: asyncpg.Connection, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment("metrics", database, keys_dir).items():
        monkeypatch.setenv(name, value)
    with time_machine.travel(NOW, tick=False):
        written = await write_history(database.url("postgres"), 2, NOW)
        again = await write_history(database.url("postgres"), 2, NOW)
        assert (written.reports, again.appeals, again.reports) == (2, 0, 0)
        assert written.appeals == await connection.fetchval("SELECT count(*) FROM appeals") > 80

        async with service_under_test("appeals", database, keys_dir) as appeals:
            headers = appeals.headers("moderator")
            page = (await appeals.client.get("/api/v1/appeals?limit=200", headers=headers)).json()
            assert len(page["items"]) == written.appeals
            counted = await connection.fetchval("SELECT sum(appeals) FROM appeal_counts")
            assert counted == written.appeals
            one_of_each = {item["status"]: item for item in page["items"]}
            assert len(one_of_each) >= 5
            for item in one_of_each.values():
                answer = await appeals.client.get(f"/api/v1/appeals/{item['id']}", headers=headers)
                assert answer.status_code == 200, answer.text
            reopened = await connection.fetchval(
                "SELECT appeal_id FROM sla_clocks WHERE kind = 'next_response' AND state = 'stopped' LIMIT 1"
            )
            shown = (await appeals.client.get(f"/api/v1/appeals/{reopened}", headers=headers)).json()
            deadlines = await appeals.client.get(f"/api/v1/appeals/{reopened}/deadlines", headers=headers)
            assert deadlines.status_code == 200, deadlines.text
            assert len(shown["messages"]) >= 2
            assert len(shown["replies"]) >= 2
            kinds = [entry["kind"] for entry in shown["timeline"]]
            assert kinds[:2] == ["opened", "assigned"]
            assert "reopened" in kinds
            found = await appeals.client.get(
                "/api/v1/appeals", params={"q": str(shown["number"])}, headers=headers
            )
            assert shown["id"] in [item["id"] for item in found.json()["items"]]

        async with service_under_test("metrics", database, keys_dir) as metrics:
            answer = await metrics.client.get("/api/v1/reports/weekly/2026-W47", headers=metrics.headers("head"))
            report = answer.json()
            assert report["status"] == "published"
            assert report["report"]["totals"][0]["appeals"]["value"] > 30
            health = await metrics.client.get(
                "/api/v1/metrics/pages", params={"week": "2026-W47"}, headers=metrics.headers("head")
            )
            assert health.status_code == 200, health.text
            items = health.json()["items"]
            assert all(item["engagement"] is not None for item in items)
            assert {item["reach"] is None for item in items} == {True, False}, "not every manager gave a token"
            assert all((item["engagement"]["views"] is None) == (item["network"] == "ok") for item in items)
            vk, ok = report["report"]["pages"]["audience"]
            assert (vk["engagement_of"], ok["engagement_of"]) == ("views", "members")
            assert 0.5 < vk["engagement"] < 6
            assert vk["reach_pages"] > 0
