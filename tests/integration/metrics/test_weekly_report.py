"""The weekly report: figures equal those of an independent program and, for one week, published totals."""

import asyncio
import csv
import io
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import time_machine
from openpyxl import Workbook, load_workbook
from pypdf import PdfReader

from cli.demo.past.row_writer import RowWriter
from services.metrics.api import weekly_reports
from services.registry.coverage.history import record_day
from shared.auth.callers import ServiceCaller
from shared.caller_queue import CallerQueue
from tests.conftest import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.generated_reports import GeneratedAppeals, add_page_scores, add_pages, read_surroundings
from tests.support.large_size import REPORT_APPEALS
from tests.support.recomputed_report import TABLES, Recomputation, percent
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, service_under_test

ZONE = ZoneInfo("Asia/Irkutsk")
# A Wednesday.
NOW = datetime(2026, 11, 25, 12, tzinfo=ZONE)
FORMATS = {
    "json": "application/json",
    "html": "text/html",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass
class Reports:
    """The metrics service on a database with some organisations and pages."""

    metrics: ServiceUnderTest
    database: TestDatabase
    connection: asyncpg.Connection
    organisations: Sequence[UUID]

    async def get(self, path: str, role: str = "head", **query: Any) -> Any:
        answer = await self.metrics.client.get(
            f"/api/v1/reports/weekly{path}", params=query, headers=self.metrics.headers(role)
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def run_job(self, name: str) -> None:
        assert self.metrics.service.jobs is not None
        await self.metrics.service.jobs.schedules[name][1]()

    async def exported_tables(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """Return the rows of all tables that the report reads, as exported to CSV."""
        tables = {}
        for name in TABLES:
            file = io.BytesIO()
            await self.connection.copy_from_table(name, output=file, format="csv", header=True)
            tables[name] = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
        return tables


@pytest.fixture
async def reports(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Reports]:
    connection = await database.connect()
    await connection.execute("SET timezone = 'UTC'")
    oktmos = [row["oktmo"] for row in await connection.fetch("SELECT oktmo FROM municipalities ORDER BY oktmo")]
    organisations = [
        await insert_organisation(
            database,
            name=f"Организация {number}",
            municipality=oktmos[number] if number % 4 else None,
            kind=("institution", "municipality", "regional")[number % 3],
            sphere=("education", "health")[number % 2],
        )
        for number in range(12)
    ]
    writer = RowWriter()
    add_pages(writer, organisations)
    await writer.write(connection)
    with time_machine.travel(NOW, tick=False):
        async with service_under_test("metrics", database, keys_dir) as metrics:
            yield Reports(metrics, database, connection, organisations)
    await connection.close()


async def _generate(reports: Reports, appeals: int, *, weeks: int, seed: int = 7) -> None:
    """Write appeals of the last weeks; about one in twenty is 364 days older."""
    writer = RowWriter()
    generated = GeneratedAppeals(writer, await read_surroundings(reports.connection), seed)
    rng = random.Random(seed)
    for _ in range(appeals):
        age = timedelta(hours=rng.uniform(0, weeks * 7 * 24))
        generated.add(NOW - (age if rng.random() < 0.95 else age + timedelta(days=364)), NOW)
    await writer.write(reports.connection)
    await reports.connection.execute("ANALYZE")


def _figures(axes: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {measure["code"]: measure for axis in axes for measure in axis["measures"]}


async def _compare(reports: Reports, week: str, monday: datetime) -> None:
    """Compare every number of a report with the recomputed ones."""
    report = (await reports.get(f"/{week}"))["report"]
    again = Recomputation(await reports.exported_tables(), monday, min(NOW, monday + timedelta(weeks=1)))
    everything = again.counts_by(lambda _appeal: "all")
    channels = everything | again.counts_by(again.channel)
    assert {total["channel"]: total["appeals"] for total in report["totals"]} == channels
    groups = again.counts_by(again.group)
    topics = {topic["topic_group_id"] or "": topic for topic in report["topics"]}
    assert {key: topic["appeals"] for key, topic in topics.items()} == groups
    for key, topic in topics.items():
        assert topic["share"] == percent(groups[key]["value"], everything["all"]["value"])
    _compare_places(report, again)
    outcomes = again.outcomes()
    assert report["outcomes"] == {name: outcomes[name] for name in report["outcomes"]}
    by_organisation = again.figures()
    total = {name: sum(counts[name] for counts in by_organisation.values()) for name in _names(by_organisation)}
    _compare_measures(_figures(report["axes"]), total, again)
    before = Recomputation(again.tables, monday - timedelta(weeks=1), monday)
    former = before.figures()
    names = _names(former)
    _compare_measures(
        {code: {"value": measure["last_week"]} for code, measure in _figures(report["axes"]).items()},
        {name: sum(counts[name] for counts in former.values()) for name in names},
        before,
    )
    if monday + timedelta(weeks=1) > NOW:
        assert {measure["change"] for measure in _figures(report["axes"]).values()} == {None}
    else:
        assert _figures(report["axes"])["overdue"]["change"] is not None
    assert report["promises"] == {
        name: total.get(f"promises_{name}", 0) for name in ("due", "kept", "moved", "broken", "open")
    }
    _compare_pages(report["pages"], again)
    rows = [row for group in report["peer_groups"] for row in group["organisations"]]
    opened = Counter(appeal["organisation_id"] for appeal in again.opened(again.bounds()))
    assert {row["organisation_id"] for row in rows} == (set(by_organisation) | set(opened)) - {""}
    for group in report["peer_groups"]:
        for row in group["organisations"]:
            counts = by_organisation[row["organisation_id"]]
            named = (
                "responses",
                "on_time",
                "overdue",
                "deleted",
                "closed_unanswered",
                "final_answers",
                "solved",
                "canned",
                "not_solved_said",
            )
            assert {name: row[name] for name in named} == {name: counts[name] for name in named}
            assert row["unanswered"] == counts["responses"] - counts["answered"]
            assert row["appeals"] == opened[row["organisation_id"]]


# The peer groups of the inserted organisations by kind: none has a name or sphere that puts it in another group.
GROUPS = {
    "regional": "regional_bodies", "municipality": "municipal_units", "institution": "other_institutions"
}  # fmt: skip
SCORED_WEEKS = ("2026-W44", "2026-W45", "2026-W46", "2026-W47")
LIGHTS = ("green", "yellow", "red", "unknown")


def _compare_pages(shown: Mapping[str, Any] | None, again: Recomputation) -> None:
    expected = again.page_health()
    if shown is None or expected is None:
        assert shown is expected is None
        return
    formulas = expected.pop("formulas")
    assert formulas == [
        (one["number"], one["name"], one["green_from"], one["yellow_from"]) for one in shown["formulas"]
    ]
    total = expected.pop("all")
    assert shown["lights_last_week"] == total["last_week"]
    assert shown["mean_score_last_week"] == total["mean_last_week"]
    assert shown["scored"] == sum(total["lights"][light] for light in LIGHTS[:3])
    assert _lights(shown) == _without_last_week(total)
    assert {one["code"]: _lights(one) for one in shown["groups"]} == {
        GROUPS[kind]: _without_last_week(figures) for kind, figures in expected.items()
    }


def _lights(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "lights": {light: shown[light] for light in LIGHTS},
        "changes": shown["light_changes"],
        "mean_score": shown["mean_score"],
        "change": shown["change"],
    }


def _without_last_week(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if not name.endswith("last_week")}


def _names(by_organisation: Mapping[str, Mapping[str, int]]) -> set[str]:
    return {name for counts in by_organisation.values() for name in counts}


def _compare_places(report: Mapping[str, Any], again: Recomputation) -> None:
    places = again.counts_by(again.oktmo)
    overdue: dict[str, int] = {}
    for _, appeal in again.overdue_clocks():
        overdue[again.oktmo(appeal)] = overdue.get(again.oktmo(appeal), 0) + 1
    shown = {row["oktmo"] or "": row for row in report["municipalities"]}
    assert set(shown) == set(places) | set(overdue)
    for oktmo, row in shown.items():
        assert row["overdue"] == overdue.get(oktmo, 0)
        if oktmo in places:
            assert row["appeals"] == places[oktmo]
    cells: dict[tuple[str, str, str], int] = {}
    for appeal in again.opened(again.bounds()):
        key = again.group(appeal), again.oktmo(appeal), appeal["organisation_id"]
        cells[key] = cells.get(key, 0) + 1
    assert cells == {
        (cell["topic_group_id"] or "", cell["oktmo"] or "", cell["organisation_id"] or ""): cell["appeals"]
        for cell in report["cells"]
    }


def _compare_measures(shown: Mapping[str, Any], total: Mapping[str, int], again: Recomputation) -> None:
    decided = total.get("promises_kept", 0) + total.get("promises_broken", 0)
    shares = {
        "response_on_time": ("on_time", "responses"),
        "answered": ("answered", "questions"),
        "complaints_answered": ("complaints_answered", "complaints"),
        "canned": ("canned", "comparable"),
        "to_the_point": ("to_the_point", "checked"),
        "with_substance": ("with_substance", "checked"),
        "with_contact": ("with_contact", "checked"),
        "with_proof": ("with_proof", "written_here"),
        "solved": ("solved", "with_outcome"),
    }
    expected: dict[str, Any] = {
        code: percent(total.get(part, 0), total.get(whole, 0)) for code, (part, whole) in shares.items()
    }
    expected["promises_kept"] = percent(total.get("promises_kept", 0), decided)
    expected |= {
        "overdue": total.get("overdue", 0),
        "questions_deleted": total.get("deleted", 0),
        "closed_unanswered": total.get("closed_unanswered", 0),
        "not_solved_said": total.get("not_solved_said", 0),
        "response_median": again.working_hours(0.5),
        "response_p90": again.working_hours(0.9),
        "mark": round(total["mark_sum"] / total["marks"], 2) if total.get("marks") else None,
    }
    assert {code: measure["value"] for code, measure in shown.items()} == expected


async def test_every_number_equals_recomputation_from_exported_rows(reports: Reports) -> None:
    await _generate(reports, 1500, weeks=12)
    await add_page_scores(reports.connection, SCORED_WEEKS, seed=7)
    await _compare(reports, "2026-W47", datetime(2026, 11, 16, tzinfo=ZONE))
    await _compare(reports, "2026-W48", datetime(2026, 11, 23, tzinfo=ZONE))
    # Most of the eight weeks before have no appeals.
    await _compare(reports, "2026-W38", datetime(2026, 9, 14, tzinfo=ZONE))


@pytest.mark.long
async def test_every_number_over_many_appeals_equals_recomputation(reports: Reports) -> None:
    await _generate(reports, REPORT_APPEALS, weeks=60, seed=11)
    await add_page_scores(reports.connection, SCORED_WEEKS, seed=11)
    await _compare(reports, "2026-W47", datetime(2026, 11, 16, tzinfo=ZONE))
    await _compare(reports, "2026-W45", datetime(2026, 11, 2, tzinfo=ZONE))


async def test_empty_week_has_no_shares_and_no_comparison(reports: Reports) -> None:
    report = (await reports.get("/2026-W47"))["report"]
    assert report["totals"][0]["appeals"] == {
        "value": 0, "last_week": None, "change": None, "last_year": None, "change_to_last_year": None,
        "mean_of_8_weeks": None,
    }  # fmt: skip
    assert _figures(report["axes"])["response_on_time"]["value"] is None
    assert report["attention"] == []


async def test_coverage_is_taken_from_the_last_recorded_day_of_the_week(reports: Reports, keys_dir: Path) -> None:
    async with service_under_test("registry", reports.database, keys_dir) as registry:
        for day in (date(2026, 11, 20), date(2026, 11, 22), date(2026, 11, 23)):
            async with registry.service.database.write() as session:
                await record_day(session, day)
    rows = await reports.connection.fetch(
        """SELECT network, sum(required) AS required, sum(covered) AS covered, sum(live) AS live FROM coverage_days
           WHERE day = '2026-11-22' AND network IN ('vk', 'ok') GROUP BY network"""
    )
    report = (await reports.get("/2026-W47"))["report"]
    shown = {row["network"]: (row["required"], row["covered"], row["live"]) for row in report["coverage"]}
    assert shown == {row["network"]: (row["required"], row["covered"], row["live"]) for row in rows}
    assert sum(required for required, _, _ in shown.values()) > 0


async def _all_rows(reports: Reports, population: str, **filters: str) -> list[Any]:
    rows: list[Any] = []
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        page = await reports.get(f"/2026-W47/rows/{population}", limit=50, **filters, **cursor)
        rows += page["items"]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    return rows


async def test_each_attention_item_lists_exactly_the_rows_it_counts(reports: Reports) -> None:
    await _generate(reports, 600, weeks=3)
    report = (await reports.get("/2026-W47"))["report"]
    kinds = {item["kind"]: item for item in report["attention"]}
    assert {"overdue", "promises_broken"} <= set(kinds)
    assert 0 < kinds["promises_broken"]["count"] < report["promises"]["due"], "some promises were kept"
    for item in report["attention"]:
        rows = await _all_rows(reports, item["population"], **item["filter"])
        assert len(rows) == item["count"], item
    refused = await reports.metrics.client.get(
        "/api/v1/reports/weekly/2026-W47/rows/opened?status=broken", headers=reports.metrics.headers("head")
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "query/status"
    for wrong in ("overdue?light=red", "pages?light=blue", "opened?peer_group=schools", "pages?peer_group=house"):
        refused = await reports.metrics.client.get(
            f"/api/v1/reports/weekly/2026-W47/rows/{wrong}", headers=reports.metrics.headers("head")
        )
        assert refused.status_code == 422, wrong
        assert refused.json()["errors"][0]["pointer"] == "query/" + wrong.partition("?")[2].partition("=")[0]


async def test_export_of_rows_that_waits_for_its_turn_holds_no_connection(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = CallerQueue("", concurrency=1, max_waiting=3)
    monkeypatch.setattr(weekly_reports, "REPORT_QUEUE", queue)
    path, headers = "/api/v1/reports/weekly/2026-W47", reports.metrics.headers("head")
    pool: Any = reports.metrics.service.database.engine.pool
    async with asyncio.timeout(HANG_SECONDS):
        async with queue.turn(ServiceCaller("webhooks", "webhooks")):
            waiting = [
                asyncio.create_task(reports.metrics.client.get(f"{path}/rows/opened.csv", headers=headers))
                for _ in range(3)
            ]
            while queue.waiting < 3:
                await asyncio.sleep(0.01)
            assert pool.checkedout() == 0
            refused = await reports.metrics.client.get(f"{path}.json", headers=headers)
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")


async def test_rows_of_each_population_are_listed_and_exported(reports: Reports) -> None:
    await _generate(reports, 600, weeks=3)
    await add_page_scores(reports.connection, SCORED_WEEKS, seed=7)
    report = (await reports.get("/2026-W47"))["report"]
    figures = _figures(report["axes"])
    expected = {
        "opened": report["outcomes"]["opened"],
        "overdue": figures["overdue"]["value"],
        "promises": report["promises"]["due"],
        "deleted": figures["questions_deleted"]["value"],
        "closed_unanswered": figures["closed_unanswered"]["value"],
    }
    for population, count in expected.items():
        rows = await _all_rows(reports, population)
        assert len(rows) == len({row["row_id"] for row in rows}) == count
        answer = await reports.metrics.client.get(
            f"/api/v1/reports/weekly/2026-W47/rows/{population}.csv", headers=reports.metrics.headers("head")
        )
        exported = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert sorted(row["row_id"] for row in exported) == sorted(row["row_id"] for row in rows)
    pages = report["pages"]
    assert len(await _all_rows(reports, "pages")) == pages["scored"] + pages["unknown"]
    for group in pages["groups"]:
        for light in LIGHTS:
            rows = await _all_rows(reports, "pages", light=light, peer_group=group["code"])
            assert len(rows) == group[light]
            assert all(row["values"]["light"] == light for row in rows)
    total = report["totals"][1]
    listed = await reports.get("/2026-W47/rows/opened", channel=total["channel"], limit=200)
    assert len(listed["items"]) == total["appeals"]["value"]
    nowhere = sum(row["appeals"]["value"] for row in report["municipalities"] if row["oktmo"] is None)
    assert len((await reports.get("/2026-W47/rows/opened", oktmo="none", limit=200))["items"]) == nowhere


async def test_published_report_is_unchanged_and_later_differences_are_corrections(reports: Reports) -> None:
    await _generate(reports, 300, weeks=3)
    before = await reports.get("/2026-W47")
    assert (before["status"], before["digest"]) == ("preliminary", None)
    await reports.run_job("publish-weekly-report")
    await reports.run_job("publish-weekly-report")
    published = await reports.get("/2026-W47")
    assert published["status"] == "published"
    assert published["report"] == before["report"]
    assert [item["week"] for item in (await reports.get(""))["items"]] == ["2026-W47"]
    stored = await reports.connection.fetchval("SELECT document FROM weekly_reports")
    events = await reports.connection.fetch(
        "SELECT data ->> 'digest' AS digest FROM events WHERE type = 'report.ready'"
    )
    assert [event["digest"] for event in events] == [published["digest"]]

    # An earlier appeal is moved into the published week, as if its message had been collected late.
    late = await reports.connection.fetchval(
        "SELECT id FROM appeals WHERE network = 'vk' AND opened_at < '2026-11-16' AND status = 'assigned' LIMIT 1"
    )
    await reports.connection.execute("UPDATE appeals SET opened_at = '2026-11-18' WHERE id = $1", late)
    await reports.run_job("note-report-corrections")
    corrected = await reports.get("/2026-W47")
    assert corrected["report"] == published["report"]
    assert corrected["digest"] == published["digest"]
    assert await reports.connection.fetchval("SELECT document FROM weekly_reports") == stored
    value = published["report"]["totals"][0]["appeals"]["value"]
    notes = {note["pointer"]: (note["published"], note["now"]) for note in corrected["corrections"]}
    assert notes["/totals/all/appeals/value"] == (value, value + 1)
    assert "/totals/vk/appeals/value" in notes
    assert (await reports.get(""))["items"][0]["corrected"]

    # The next week's report compares with the current figures; equal differences are noted once.
    assert (await reports.get("/2026-W48"))["report"]["totals"][0]["appeals"]["last_week"] == value + 1
    await reports.run_job("note-report-corrections")
    assert await reports.connection.fetchval("SELECT count(*) FROM weekly_report_corrections") == 1
    await reports.connection.execute("UPDATE appeals SET opened_at = '2026-11-15' WHERE id = $1", late)
    await reports.run_job("note-report-corrections")
    again = {note["pointer"] for note in (await reports.get("/2026-W47"))["corrections"]}
    assert "/totals/all/appeals/value" not in again


async def test_page_figures_missing_from_a_report_of_an_older_version_are_not_corrections(
    reports: Reports,
) -> None:
    await _generate(reports, 100, weeks=3)
    await add_page_scores(reports.connection, SCORED_WEEKS, seed=7)
    await reports.run_job("publish-weekly-report")
    await reports.connection.execute(
        """UPDATE weekly_reports SET document = (document::jsonb #- '{pages,groups}' #- '{pages,unknown}'
           #- '{pages,lights_last_week}' #- '{pages,light_changes}' #- '{pages,formulas}'
           #- '{pages,mean_score_last_week}')::text"""
    )
    await reports.run_job("note-report-corrections")
    published = await reports.get("/2026-W47")
    assert published["corrections"] == []
    assert published["report"]["pages"]["groups"] == []
    for kind in ("html", "pdf", "xlsx"):
        answer = await reports.metrics.client.get(
            f"/api/v1/reports/weekly/2026-W47.{kind}", headers=reports.metrics.headers("head")
        )
        assert answer.status_code == 200, kind


async def test_appeal_reopened_later_still_counts_as_closed_in_its_week(reports: Reports) -> None:
    opened, due = datetime(2026, 11, 17, 10, tzinfo=ZONE), datetime(2026, 11, 19, 10, tzinfo=ZONE)
    closed = datetime(2026, 11, 18, 10, tzinfo=ZONE)
    writer = RowWriter()
    appeal = writer.add(
        "appeals", status="closed", text="Когда?", route={}, written_at=opened, opened_at=opened,
        assigned_at=opened, first_response_due_at=due, closed_at=closed,
        organisation_id=reports.organisations[0],
    )  # fmt: skip
    _write_entry(writer, appeal, closed, "moved", {"from": "assigned", "to": "closed"})
    writer.add(
        "sla_clocks", appeal_id=appeal["id"], kind="final_answer", state="running", written_at=opened,
        received_at=opened, started_at=opened, due_at=due, unit="working", target_seconds=1,
    )  # fmt: skip
    await writer.write(reports.connection)
    await reports.run_job("publish-weekly-report")
    before = (await reports.get("/2026-W47"))["report"]
    assert (before["outcomes"]["closed_unanswered"], before["outcomes"]["overdue"]) == (1, 0)
    assert [_figures(before["axes"])[code]["value"] for code in ("closed_unanswered", "overdue")] == [1, 0]

    reopened = datetime(2026, 11, 24, 10, tzinfo=ZONE)
    _write_entry(writer, appeal, reopened, "reopened", {"status": "reopened"})
    await writer.write(reports.connection)
    await reports.connection.execute("UPDATE appeals SET status = 'reopened', closed_at = NULL")
    await reports.run_job("note-report-corrections")
    assert (await reports.get("/2026-W47"))["corrections"] == []
    (row,) = await _all_rows(reports, "closed_unanswered")
    assert (row["appeal_id"], datetime.fromisoformat(row["at"])) == (str(appeal["id"]), closed)
    # In the current week the answer is awaited again.
    now = _figures((await reports.get("/2026-W48"))["report"]["axes"])
    assert [now[code]["value"] for code in ("closed_unanswered", "overdue")] == [0, 1]


async def test_appeal_closed_before_its_deadline_is_a_question_without_an_answer(reports: Reports) -> None:
    opened, due, closed = (datetime(2026, 11, day, 10, tzinfo=ZONE) for day in (17, 20, 18))
    writer = RowWriter()
    for kind, due_at, answered in (
        ("first_response", due, closed),
        ("first_response", due, None),
        # The deadline of a further question was paused when the appeal was closed.
        ("next_response", None, None),
    ):
        appeal = writer.add(
            "appeals", status="answered" if answered else "closed", text="Когда?", route={}, written_at=opened,
            opened_at=opened, assigned_at=opened, first_response_due_at=due_at,
            first_response_at=opened if kind == "next_response" else answered,
            closed_at=None if answered else closed, organisation_id=reports.organisations[0],
        )  # fmt: skip
        writer.add(
            "sla_clocks", appeal_id=appeal["id"], kind=kind, written_at=opened, received_at=opened,
            state="stopped" if answered else "running" if due_at else "paused", started_at=opened, due_at=due_at,
            stopped_at=answered, unit="working", target_seconds=1, organisation_id=reports.organisations[0],
        )  # fmt: skip
    await writer.write(reports.connection)

    report = (await reports.get("/2026-W47"))["report"]
    figures = _figures(report["axes"])
    assert _part_and_whole(figures["answered"]) == (1, 3)
    assert _part_and_whole(figures["response_on_time"]) == (1, 1)
    (row,) = [row for group in report["peer_groups"] for row in group["organisations"]]
    assert (row["responses"], row["on_time"], row["unanswered"]) == (1, 1, 0)
    rows = await _all_rows(reports, "responses")
    left = [row for row in rows if row["values"]["closed_before_due"]]
    assert [datetime.fromisoformat(row["at"]) for row in left] == [closed, closed]

    # A reopened appeal without a response counts as late, because its deadline has passed.
    await reports.connection.execute(
        "UPDATE appeals SET status = 'reopened', closed_at = NULL WHERE first_response_at IS NULL"
    )
    figures = _figures((await reports.get("/2026-W47"))["report"]["axes"])
    assert _part_and_whole(figures["answered"]) == (1, 3)
    assert _part_and_whole(figures["response_on_time"]) == (1, 2)


def _part_and_whole(measure: Mapping[str, Any]) -> tuple[int, int]:
    return measure["numerator"], measure["denominator"]


async def test_reply_withdrawn_later_still_counts_as_an_answer_in_its_week(reports: Reports) -> None:
    opened, due, answered, closed = (datetime(2026, 11, day, 10, tzinfo=ZONE) for day in (16, 24, 17, 18))
    writer = RowWriter()
    appeal = writer.add(
        "appeals", status="closed", text="Когда?", route={}, written_at=opened, opened_at=opened,
        assigned_at=opened, first_response_due_at=due, first_response_at=answered, final_answer_at=answered,
        closed_at=closed, organisation_id=reports.organisations[0],
    )  # fmt: skip
    reply = writer.add(
        "replies", appeal_id=appeal["id"], origin="gospablik", kind="final", text="Сделано", status="published",
        author="person:test", published_at=answered,
    )  # fmt: skip
    _write_entry(writer, appeal, closed, "moved", {"from": "answered", "to": "closed"})
    await writer.write(reports.connection)
    await reports.run_job("publish-weekly-report")
    published = (await reports.get("/2026-W47"))["report"]
    assert (published["outcomes"]["answered"], published["outcomes"]["closed_unanswered"]) == (1, 0)

    withdrawn = datetime(2026, 11, 24, 10, tzinfo=ZONE)
    writer.add(
        "reply_changes", reply_id=reply["id"], kind="withdrawal", status="applied", former_text="Сделано",
        reason="Ошибка", requested_by="person:test", requested_at=withdrawn, ended_at=withdrawn,
    )  # fmt: skip
    _write_entry(writer, appeal, withdrawn, "reopened", {"status": "reopened"})
    await writer.write(reports.connection)
    await reports.connection.execute("UPDATE replies SET status = 'withdrawn'")
    await reports.connection.execute(
        """UPDATE appeals SET status = 'reopened', closed_at = NULL, first_response_at = NULL,
                  final_answer_at = NULL"""
    )
    await reports.run_job("note-report-corrections")
    corrected = (await reports.get("/2026-W47"))["corrections"]
    assert [one["pointer"] for one in corrected if "closed_unanswered" in one["pointer"]] == []
    assert await _all_rows(reports, "closed_unanswered") == []
    (row,) = await _all_rows(reports, "opened")
    assert row["values"]["state"] == "waiting"


async def test_undone_closing_is_not_listed_as_closed_unanswered(reports: Reports) -> None:
    opened, due, closed, undone = (datetime(2026, 11, day, 10, tzinfo=ZONE) for day in (16, 19, 18, 24))
    writer = RowWriter()
    appeal = writer.add(
        "appeals", status="assigned", text="Когда?", route={}, written_at=opened, opened_at=opened,
        assigned_at=opened, first_response_due_at=due, organisation_id=reports.organisations[0],
    )  # fmt: skip
    _write_entry(writer, appeal, closed, "moved", {"from": "assigned", "to": "closed"})
    taken_back = {"from": "closed", "to": "assigned", "undone_since": closed.isoformat()}
    _write_entry(writer, appeal, undone, "moved", taken_back)
    await writer.write(reports.connection)
    assert await _all_rows(reports, "closed_unanswered") == []
    (row,) = await _all_rows(reports, "opened")
    assert row["values"]["state"] == "overdue"


def _write_entry(
    writer: RowWriter, appeal: Mapping[str, Any], at: datetime, kind: str, data: dict[str, Any]
) -> None:
    writer.add("timeline", appeal_id=appeal["id"], at=at, kind=kind, actor="person:test", data=data)


async def test_text_of_a_hard_appeal_is_masked_and_removed_by_an_erasure(reports: Reports) -> None:
    await _generate(reports, 200, weeks=2)
    await reports.connection.execute("UPDATE appeals SET text = 'Третий день нет тепла, звоните 8 902 123-45-67'")
    await reports.run_job("publish-weekly-report")
    before = (await reports.get("/2026-W47"))["report"]["hard_appeals"]
    assert {appeal["text"] for appeal in before} == {"Третий день нет тепла, звоните [телефон]"}
    # The stored report contains no citizen's text, so an erasure need not change it.
    assert "тепла" not in await reports.connection.fetchval("SELECT document FROM weekly_reports")
    await reports.connection.execute("UPDATE appeals SET text = '', erased_at = now()")
    after = (await reports.get("/2026-W47"))["report"]["hard_appeals"]
    assert {appeal["text"] for appeal in after} == {"Текст удалён вместе с персональными данными."}


async def test_report_is_published_on_monday_morning_and_missed_weeks_are_published_later(
    reports: Reports,
) -> None:
    weeks = "SELECT array_agg(week ORDER BY week) FROM weekly_reports"
    await reports.run_job("publish-weekly-report")
    assert await reports.connection.fetchval(weeks) is None, "there was no appeal by then"
    await _generate(reports, 100, weeks=6)
    with time_machine.travel(datetime(2026, 11, 23, 6, 59, tzinfo=ZONE), tick=False):
        await reports.run_job("publish-weekly-report")
    assert await reports.connection.fetchval(weeks) == ["2026-W46"]
    with time_machine.travel(datetime(2026, 11, 23, 7, 1, tzinfo=ZONE), tick=False):
        await reports.run_job("publish-weekly-report")
    assert await reports.connection.fetchval(weeks) == ["2026-W46", "2026-W47"]
    # A worker that was down for weeks publishes all missed weeks.
    with time_machine.travel(datetime(2026, 12, 16, 9, tzinfo=ZONE), tick=False):
        await reports.run_job("publish-weekly-report")
    assert await reports.connection.fetchval(weeks) == [f"2026-W{number}" for number in range(46, 51)]


async def test_published_document_matches_its_digest_and_cannot_be_changed(reports: Reports) -> None:
    await _generate(reports, 100, weeks=3)
    headers = reports.metrics.headers("head")
    path = "/api/v1/reports/weekly/2026-W47/document"
    assert (await reports.metrics.client.get(path, headers=headers)).status_code == 404
    await reports.run_job("publish-weekly-report")
    document = (await reports.metrics.client.get(path, headers=headers)).content
    assert sha256(document).hexdigest() == (await reports.get("/2026-W47"))["digest"]
    metrics = await reports.database.connect("metrics")
    for change in ("UPDATE weekly_reports SET digest = ''", "DELETE FROM weekly_reports"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await metrics.execute(change)
    await metrics.close()


async def test_stored_document_with_an_unknown_field_is_still_read(reports: Reports) -> None:
    await _generate(reports, 100, weeks=3)
    await reports.run_job("publish-weekly-report")
    await reports.connection.execute(
        """UPDATE weekly_reports SET document = jsonb_set(document::jsonb, '{former_field}', '1')::text"""
    )
    assert (await reports.get("/2026-W47"))["status"] == "published"
    await reports.run_job("note-report-corrections")


async def test_two_concurrent_workers_publish_one_report(reports: Reports) -> None:
    await _generate(reports, 100, weeks=3)
    await asyncio.gather(*(reports.run_job("publish-weekly-report") for _ in range(2)))
    assert await reports.connection.fetchval("SELECT count(*) FROM weekly_reports") == 1
    ready = "SELECT count(*) FROM events WHERE type = 'report.ready'"
    assert await reports.connection.fetchval(ready) == 1


async def test_every_format_chosen_by_suffix_or_accept_shows_the_same_total(reports: Reports) -> None:
    await _generate(reports, 200, weeks=2)
    total = (await reports.get("/2026-W47"))["report"]["totals"][0]["appeals"]["value"]
    headers = reports.metrics.headers("head")
    contents = {}
    for kind, media_type in FORMATS.items():
        path = "/api/v1/reports/weekly/2026-W47"
        by_ending = await reports.metrics.client.get(f"{path}.{kind}", headers=headers)
        by_header = await reports.metrics.client.get(path, headers=headers | {"Accept": media_type})
        assert by_ending.status_code == by_header.status_code == 200
        assert by_ending.headers["content-type"].split(";")[0] == media_type
        assert by_header.content == by_ending.content
        contents[kind] = by_ending.content
    assert json.loads(contents["json"])["report"]["totals"][0]["appeals"]["value"] == total
    assert f">{total}<" in contents["html"].decode()
    pdf = "".join(page.extract_text() for page in PdfReader(io.BytesIO(contents["pdf"])).pages)
    assert str(total) in pdf
    workbook = load_workbook(io.BytesIO(contents["xlsx"]), read_only=True)
    rows = list(workbook["Строки – обращения недели"].iter_rows(values_only=True))
    assert len(rows) == total + 1
    _compare_shares_of_answers(workbook, json.loads(contents["json"])["report"])


def _compare_shares_of_answers(workbook: Workbook, report: Mapping[str, Any]) -> None:
    """Compare the shares of repeated texts and of answers with photos with the rows in the workbook."""
    heading, *rows = workbook["Строки – опубликованные ответы"].iter_rows(values_only=True)
    answers = [dict(zip(heading, row, strict=True)) for row in rows]
    figures = _figures(report["axes"])
    compared = [one for one in answers if one["Сравнивается с другими текстами"] == "да"]
    repeated = [one for one in answers if one["Текст повторяется"] == "да"]
    assert (len(repeated), len(compared)) == _part_and_whole(figures["canned"])
    here = [one for one in answers if one["Вид"] == "окончательный" and one["Откуда ответ"] == "написан здесь"]
    with_photo = [one for one in here if one["С вложением"] == "да"]
    assert (len(with_photo), len(here)) == _part_and_whole(figures["with_proof"])
    assert 0 < len(here) < len(answers)


@pytest.mark.parametrize("week", ["2026-W00", "2026-W54", "2027-W01", "2026-47", "x"])
async def test_nonexistent_or_future_week_is_refused(reports: Reports, week: str) -> None:
    answer = await reports.metrics.client.get(
        f"/api/v1/reports/weekly/{week}", headers=reports.metrics.headers("head")
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "path/week"


# Published figures of the week of 19 to 25 June 2023: appeals of the week and of the week before.
CHANNELS = {"pos": (264, 270), "vk": (150, 170), "ok": (94, 118)}
TOPICS = {"health": (201, 171), "roads": (62, 70), "military": (33, 40), "social": (25, 30), "waste": (23, 35)}
OTHERS = ("safety", "amenities", "utilities", "education", "transport", "communications", "energy", "ecology")


async def test_report_of_june_2023_has_the_totals_published_then(reports: Reports) -> None:
    topic_ids = dict(await reports.connection.fetch("SELECT code, id FROM topics"))
    writer = RowWriter()
    for place, monday in enumerate((datetime(2023, 6, 19, 9, tzinfo=ZONE), datetime(2023, 6, 12, 9, tzinfo=ZONE))):
        channels = [name for name, counts in CHANNELS.items() for _ in range(counts[place])]
        topics = [code for code, counts in TOPICS.items() for _ in range(counts[place])]
        topics += [OTHERS[number % len(OTHERS)] for number in range(len(channels) - len(topics))]
        for number, (channel, topic) in enumerate(zip(channels, topics, strict=True)):
            network = channel if channel in ("vk", "ok") else None
            opened = monday + timedelta(minutes=15 * number)
            writer.add(
                "appeals", status="assigned", topic_id=topic_ids[topic], network=network,
                source=None if network else channel, text="Когда?", route={}, written_at=opened, opened_at=opened,
            )  # fmt: skip
    await writer.write(reports.connection)
    report = (await reports.get("/2023-W25"))["report"]
    shown = {total["label"]: (total["appeals"]["value"], total["appeals"]["change"]) for total in report["totals"]}
    assert shown == {
        "Всего": (508, -50),
        "Госуслуги": (264, -6),
        "ВКонтакте": (150, -20),
        "Одноклассники": (94, -24),
    }
    five = [
        (topic["label"], topic["appeals"]["value"], topic["appeals"]["last_week"])
        for topic in report["topics"][:5]
    ]
    assert five == [
        ("Здравоохранение", 201, 171),
        ("Дороги", 62, 70),
        ("СВО", 33, 40),
        ("Соцзащита", 25, 30),
        ("Мусор", 23, 35),
    ]
    assert sum(topic["appeals"]["value"] for topic in report["topics"][5:]) == 164
    assert (report["first_day"], report["last_day"]) == ("2023-06-19", "2023-06-25")
