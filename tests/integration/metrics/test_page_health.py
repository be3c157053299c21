"""Weekly scores of pages: their inputs, when they are computed, and that they never change."""

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.weeks import Week
from services.metrics.page_health import score_queries
from services.metrics.page_health.engagement import read_audiences
from services.metrics.page_health.formulas import formula_of_week, parse_formula
from services.metrics.page_health.health_summary import summarize_page_health
from services.metrics.page_health.page_inputs import read_inputs
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from tests.conftest import TestDatabase
from tests.integration.data_growth.query_plans import MODES, explain
from tests.support.service_under_test import (
    ServiceUnderTest,
    insert_organisation,
    insert_page,
    service_under_test,
)

# Week 48 is 23 to 29 November; it is scored from 4:00 on the next Monday.
MONDAY = "2026-11-30T04:00:00+08:00"
NEXT_MONDAY = "2026-12-07T04:11:00+08:00"
OPEN: dict[str, Any] = {"avatar": True, "description": True, "cover": True, "comments_open": True, "members": 1000}
NO_REACH = dict.fromkeys(("reach_7_days", "reach_counted_by", "mean_post_reach"))
LIGHTS = ("green", "yellow", "red", "unknown")
POSTS_ONLY = {"kind": "posts", "weight": 10, "days": 7, "levels": [{"threshold": 1, "points": 10}]}


def local(text: str) -> datetime:
    """Return the moment of a text such as `11-23 10:00`, in 2026 and Irkutsk time."""
    return datetime.fromisoformat(f"2026-{text}+08:00")


@dataclass
class Region:
    """Metrics with a raw connection, and pages of a school and of a ministry."""

    metrics: ServiceUnderTest
    database: TestDatabase
    raw: asyncpg.Connection
    school: UUID
    ministry: UUID
    numbers: list[str] = field(default_factory=lambda: [str(number) for number in range(999, 100, -1)])

    async def page(self, organisation: UUID, *, network: str = "vk", read: bool = True) -> UUID:
        """Register a page and return its id; if `read`, its wall counts as read in all weeks of the tests."""
        page_id = await insert_page(self.database, organisation, network=network, external_id=self.numbers.pop())
        await self.raw.execute("UPDATE pages SET created_at = $2 WHERE id = $1", page_id, local("11-01 00:00"))
        if read:
            await self.raw.execute(
                """INSERT INTO sources
                       (id, page_id, kind, cursor, consecutive_failures, last_success_at, updated_at)
                   VALUES ($1, $2, 'wall_poll', '{}', 0, '2027-01-01', now())""",
                uuid4(),
                page_id,
            )
        return page_id

    async def step(self, page_id: UUID, step: str, reached_on: str, lost_on: str | None = None) -> None:
        """Confirm a step of a page; dates are of 2026."""
        await self.raw.execute(
            """INSERT INTO page_steps (id, page_id, step, reached_on, lost_on, evidence_kind, confirmed_by,
               created_at) VALUES ($1, $2, $3, $4, $5, 'manual', 'test', now())""",
            uuid4(),
            page_id,
            step,
            date.fromisoformat(f"2026-{reached_on}"),
            date.fromisoformat(f"2026-{lost_on}") if lost_on else None,
        )

    async def check(self, page_id: UUID, day: str, state: str = "open", **snapshot: Any) -> None:
        """Store the check of a day of 2026."""
        await self.raw.execute(
            """INSERT INTO page_checks (id, page_id, day, checked_at, state, snapshot, changes, calls)
               VALUES ($1, $2, $3, now(), $4, $5, '[]', 0)""",
            uuid4(),
            page_id,
            date.fromisoformat(f"2026-{day}"),
            state,
            json.dumps(snapshot),
        )

    async def write(
        self, page_id: UUID, at: str, *, kind: str = "wall_post", thread: str = "t1", by: str = "page", **more: Any
    ) -> UUID:
        """Store a message of the page or of a citizen."""
        row: dict[str, Any] = {
            "id": uuid4(), "network": "vk", "kind": kind, "external_id": self.numbers.pop(), "page_id": page_id,
            "organisation_id": self.school, "thread_key": thread, "from_community": by == "page", "text": "Текст",
            "attachments": "[]", "url": "https://vk.com/wall1", "history": False, "source_kind": "wall_poll",
            "written_at": local(at), "received_at": local(at), "version": 1, "raw": "{}",
        } | more  # fmt: skip
        columns = ", ".join(row)
        values = ", ".join(f"${index + 1}" for index in range(len(row)))
        await self.raw.execute(f"INSERT INTO messages ({columns}) VALUES ({values})", *row.values())
        message_id: UUID = row["id"]
        return message_id

    async def appeal(self, message_id: UUID, opened: str, due: str, answered: str | None, status: str) -> None:
        """Open an appeal by a message."""
        appeal_id = uuid4()
        await self.raw.execute(
            """INSERT INTO appeals (id, status, urgency, network, text, written_at, opened_at,
               first_response_due_at, first_response_at, route, version, created_at, updated_at)
               VALUES ($1, $5, 'normal', 'vk', 'Текст', $2, $2, $3, $4, '{}', 1, now(), now())""",
            appeal_id,
            local(opened),
            local(due),
            local(answered) if answered else None,
            status,
        )
        await self.raw.execute(
            "INSERT INTO appeal_messages (message_id, appeal_id, created_at) VALUES ($1, $2, now())",
            message_id,
            appeal_id,
        )

    async def score(self, at: str = MONDAY) -> int:
        """Run the scheduled job at a moment; return how many scores it stored."""
        count = "SELECT count(*) FROM page_scores"
        before: int = await self.raw.fetchval(count)
        jobs = self.metrics.service.jobs
        assert jobs is not None
        with time_machine.travel(at, tick=False):
            await jobs.schedules["score-pages"][1]()
        return int(await self.raw.fetchval(count)) - before

    async def call(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """Call a route of metrics, as the centre by default; return the body."""
        answer = await self.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def request(
        self, method: str, path: str, *, organisation: UUID | None = None, **more: Any
    ) -> httpx.Response:
        """Call a route of metrics."""
        role = "moderator" if organisation is None else "executor"
        headers = self.metrics.headers(role, organisation) | more.pop("headers", {})
        return await self.metrics.client.request(method, f"/api/v1/metrics{path}", headers=headers, **more)

    async def weeks(self, page_id: UUID) -> list[dict[str, Any]]:
        """Return the weeks of a page as the centre reads them."""
        found: list[dict[str, Any]] = (await self.call("GET", f"/pages/{page_id}"))["items"]
        return found


@pytest.fixture
async def region(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Region]:
    school = await insert_organisation(database, name="Школа")
    ministry = await insert_organisation(database, name="Министерство")
    raw = await database.connect()
    async with service_under_test("metrics", database, keys_dir) as metrics:
        yield Region(metrics, database, raw, school, ministry)
    await raw.close()


async def test_score_is_computed_from_steps_checks_and_posts(region: Region) -> None:
    page = await region.page(region.school)
    await region.step(page, "connected", "11-02")
    await region.step(page, "gov_badge", "11-02", lost_on="11-29")  # lost on the last day of the week
    await region.step(page, "widgets", "11-30")  # reached after it
    await region.check(page, "11-22", **OPEN)
    await region.check(page, "11-25", **OPEN | {"cover": False})
    for at in ("11-22 23:59", "11-23 00:00", "11-25 12:00", "11-29 23:59", "11-30 00:00"):
        await region.write(page, at)
    await region.write(page, "11-26 12:00", deleted_at=local("11-27 12:00"), deleted_by="community")
    await region.write(page, "11-26 12:00", by="citizen")

    assert await region.score() == 1
    [week] = await region.weeks(page)
    assert {found["key"]: (found["points"], found["possible"]) for found in week["criteria"]} == {
        "step_connected": (10, 10),
        "step_gov_badge": (0, 10),
        "appearance": (10, 20),
        "widgets": (0, 10),
        "posts_7": (30, 30),
        "reach_share": (0, 0),
        "mean_post_reach": (0, 0),
    }
    # 10 + 10 + 30 of 80
    assert (week["week"], week["score"], week["light"]) == ("2026-W48", 62.5, "yellow")
    assert (week["points"], week["possible"], week["weight"]) == (50, 80, 95)
    assert week["inputs"]["posts"] == {"7": 3}
    assert week["inputs"]["profile_on"] == "2026-11-25"
    assert datetime.fromisoformat(week["inputs"]["last_post_at"]) == local("11-29 23:59")
    evidence = {found["key"]: (found["source"], found["evidence"]) for found in week["criteria"]}
    assert evidence["step_connected"] == ("page_steps", "Подтверждено 02.11.2026")
    assert evidence["appearance"] == ("page_checks", "Аватар: есть; описание: есть; обложка: нет")
    assert evidence["posts_7"] == ("messages", "Записей за 7 дней: 3")
    assert evidence["reach_share"] == (
        None,
        "Нет данных: охват известен только по ключу администратора страницы",
    )
    [item] = (await region.call("GET", "/pages"))["items"]
    assert item["advice"] == "Получите госметку: подтвердите статус через Госуслуги. Это добавит 12,5 балла."


async def test_posts_of_an_unread_wall_are_scored_by_the_check_of_sunday_or_not_at_all(region: Region) -> None:
    sunday, friday = await region.page(region.school, read=False), await region.page(region.school, read=False)
    posts = {"posts_7_days": 4, "last_post_at": "2026-11-28T10:00:00+08:00"}
    await region.check(sunday, "11-29", **OPEN | posts)
    await region.check(friday, "11-27", **OPEN | posts)
    await region.score()
    [seen], [unseen] = await region.weeks(sunday), await region.weeks(friday)
    assert [(found["points"], found["source"]) for found in seen["criteria"] if found["kind"] == "posts"] == [
        (30, "page_checks")
    ]
    assert [found["possible"] for found in unseen["criteria"] if found["kind"] == "posts"] == [0]
    # 20 of the 50 points that can be known, which are more than half of the weight
    assert (unseen["possible"], unseen["score"]) == (50, 40.0)


AUDIENCE = {
    "posts_7_days": 4,
    "views_7_days": 2000,
    "likes_7_days": 60,
    "comments_7_days": 15,
    "reposts_7_days": 5,
    "reach_7_days": 500,
    "reach_counted_by": "week",
    "mean_post_reach": 310,
}


async def test_audience_comes_from_the_last_check_since_friday(region: Region) -> None:
    page, early = await region.page(region.school), await region.page(region.school)
    await region.check(page, "11-27", **OPEN | AUDIENCE)
    # On Saturday the network refused the reach, on Sunday all figures of the audience.
    await region.check(page, "11-28", **OPEN | AUDIENCE | NO_REACH | {"likes_7_days": 70})
    await region.check(page, "11-29", **OPEN)
    await region.check(early, "11-26", **OPEN | AUDIENCE)
    await region.score()
    [week], [other] = await region.weeks(page), await region.weeks(early)
    inputs = week["inputs"]
    assert (inputs["reactions_on"], inputs["likes"], inputs["views"]) == ("2026-11-28", 70, 2000)
    assert (inputs["reach_on"], inputs["reach"], inputs["mean_post_reach"]) == ("2026-11-27", 500, 310)
    # 70 + 15 + 5 of 2,000 views; 500 of 1,000 subscribers give 7 of 10 points.
    assert week["engagement"] == {
        "posts": 4, "views": 2000, "interactions": 90, "rate": 4.5, "rate_of": "views"
    }  # fmt: skip
    assert (week["reach"], week["reach_share"]) == (500, 50.0)
    [reach] = [found for found in week["criteria"] if found["kind"] == "reach_share"]
    assert (reach["points"], reach["possible"], reach["source"]) == (7, 10, "page_checks")
    assert reach["evidence"] == "Охват: 500; подписчиков: 1000; проверка 27.11.2026"
    assert (other["engagement"], other["reach"], other["inputs"]["likes"]) == (None, None, None)
    items = (await region.call("GET", "/pages"))["items"]
    assert {item["page_id"]: (item["reach_share"], item["engagement"]) for item in items} == {
        str(page): (50.0, week["engagement"]),
        str(early): (None, None),
    }


async def test_audience_of_a_network_sums_only_pages_with_a_known_audience(region: Region) -> None:
    known, more, bare = [await region.page(region.school) for _ in range(3)]
    group, silent = [await region.page(region.ministry, network="ok") for _ in range(2)]
    await region.check(known, "11-29", **OPEN | AUDIENCE)
    await region.check(more, "11-29", **OPEN | AUDIENCE | NO_REACH | {"posts_7_days": 1, "views_7_days": 1000})
    await region.check(bare, "11-29", **OPEN)
    of_ok = {"views_7_days": None, "reach_counted_by": "days", "mean_post_reach": None}
    await region.check(group, "11-29", **OPEN | AUDIENCE | of_ok)
    none = dict.fromkeys(AUDIENCE, 0) | NO_REACH
    await region.check(silent, "11-29", **OPEN | none)
    await region.score()
    async with region.metrics.service.database.read() as session:
        vk, ok = await read_audiences(session, Week.parse("2026-W48"))
        assert await read_audiences(session, Week.parse("2026-W47")) == []
    assert vk.model_dump() == {
        "network": "vk", "pages": 2, "posts": 5, "views": 3000, "interactions": 160, "engagement": 5.33,
        "engagement_of": "views", "reach_pages": 1, "reach": 500, "reach_share": 50.0, "mean_post_reach": 310,
    }  # fmt: skip
    # The silent page has 0 views; OK reports no views for the other page, so the sum is unknown.
    assert ok.model_dump() == {
        "network": "ok", "pages": 2, "posts": 4, "views": None, "interactions": 80, "engagement": 8.0,
        "engagement_of": "members", "reach_pages": 1, "reach": 500, "reach_share": 50.0, "mean_post_reach": None,
    }  # fmt: skip


async def test_pages_are_compared_with_those_of_similar_organisations_in_their_network(region: Region) -> None:
    pages = [await region.page(region.school, read=False) for _ in range(5)]
    group = await region.page(region.school, network="ok", read=False)
    foreign = await region.page(region.ministry, read=False)
    for number, page in enumerate(pages):
        await region.step(page, "connected", "11-02")
        posts = {"posts_7_days": number, "likes_7_days": 10 * number, "last_post_at": "2026-11-28T10:00:00+08:00"}
        await region.check(page, "11-29", **OPEN | AUDIENCE | posts | {"cover": number > 1})
    await region.check(group, "11-29", **OPEN | AUDIENCE)
    await region.check(foreign, "11-29", **OPEN)
    await region.score()
    found = await region.call("GET", "/page-peers")
    assert (found["week"], found["page"]) == ("2026-W48", None)
    vk, ok, ministry = found["groups"]
    assert [(one["code"], one["network"], one["pages"]) for one in (vk, ok, ministry)] == [
        ("schools", "vk", 5), ("schools", "ok", 1), ("other_institutions", "vk", 1)
    ]  # fmt: skip
    scores = sorted([week["score"] for page in pages for week in await region.weeks(page)])
    assert (vk["median_score"], vk["lower_quartile"], vk["upper_quartile"]) == (scores[2], scores[1], scores[3])
    # The page without posts has no engagement, and the four remaining values are too few for a median.
    assert (vk["median_posts"], vk["median_engagement"], vk["median_reach_share"]) == (2.0, None, 50.0)
    assert vk["note"] is None
    assert (ok["median_score"], ok["engagement_of"]) == (None, None)
    assert ok["note"] == "мало данных: 1 страница с баллом, а для сравнения нужно не меньше 5"

    best, worst = pages[4], pages[0]
    own = await region.call("GET", f"/page-peers?page_id={best}&week=2026-W48")
    assert own["groups"] == [vk]
    assert own["page"] == {
        "page_id": str(best), "score": scores[4], "rank": 1, "to_median": round(scores[4] - scores[2], 1)
    }  # fmt: skip
    # Two pages without a cover and with fewer than three posts are equally last.
    ranks = [(await region.call("GET", f"/page-peers?page_id={one}"))["page"]["rank"] for one in pages[:2]]
    assert ranks == [4, 4]
    assert (await region.call("GET", f"/page-peers?page_id={group}"))["page"]["rank"] is None
    hidden = await region.call("GET", f"/page-peers?page_id={worst}", organisation=region.ministry)
    assert (hidden["groups"], hidden["page"]) == ([], None)
    assert (await region.call("GET", "/page-peers?network=ok"))["groups"] == [ok]


async def test_table_counts_pages_by_week_network_and_group_and_links_to_them(region: Region) -> None:
    pages = [await region.page(region.school, read=False) for _ in range(2)]
    group = await region.page(region.school, network="ok", read=False)
    foreign = await region.page(region.ministry, read=False)
    for page in (*pages, foreign):
        await region.check(page, "11-29", **OPEN | AUDIENCE)
    await region.check(pages[0], "12-06", **OPEN | AUDIENCE | {"likes_7_days": 160, "reach_7_days": 250})
    of_ok = {"views_7_days": None, "reach_counted_by": "days", "mean_post_reach": None}
    await region.check(group, "11-29", **OPEN | AUDIENCE | of_ok)
    await region.score()
    await region.score(NEXT_MONDAY)
    await region.raw.execute("UPDATE organisations SET municipality = '81701000' WHERE id = $1", region.school)

    table = await region.call("GET", "/page-table?by=peer_group")
    assert (table["first_week"], table["last_week"]) == ("2026-W38", "2026-W49")
    shown = {(row["network"], row["key"], row["week"]): row for row in table["rows"]}
    assert [key for key in shown if key[0] == "vk"] == [
        ("vk", "schools", "2026-W48"), ("vk", "schools", "2026-W49"),
        ("vk", "other_institutions", "2026-W48"), ("vk", "other_institutions", "2026-W49"),
    ]  # fmt: skip
    before, now = shown["vk", "schools", "2026-W48"], shown["vk", "schools", "2026-W49"]
    assert (before["name"], before["pages"], before["views"], before["reach"]) == ("Школы", 2, 4000, 1000)
    assert (before["engagement"], before["engagement_of"], before["reach_share"]) == (4.0, "views", 50.0)
    # In the second week one page was not checked.
    assert (now["pages"], now["interactions"], now["engagement"], now["reach_share"]) == (1, 180, 9.0, 25.0)
    assert (shown["ok", "schools", "2026-W48"]["engagement_of"], now["scored"] + now["unknown"]) == ("members", 2)
    for row in table["rows"]:
        listed = (await region.call("GET", row["listed"].removeprefix("/api/v1/metrics")))["items"]
        assert len(listed) == row["total"] == row["scored"] + row["unknown"]
        assert row["total"] == sum(row[light] for light in LIGHTS)

    by_place = (await region.call("GET", "/page-table?by=municipality&from=2026-W48&to=2026-W48&network=vk"))[
        "rows"
    ]
    assert [(row["key"], row["scored"] + row["unknown"]) for row in by_place] == [("81701000", 2), ("none", 1)]
    assert by_place[1]["listed"] is None
    of_schools = await region.call("GET", "/page-table?by=organisation&peer_group=schools&to=2026-W48")
    assert {row["key"] for row in of_schools["rows"]} == {str(region.school)}
    assert of_schools["first_week"] == "2026-W48"
    own = await region.call("GET", "/page-table?by=organisation", organisation=region.ministry)
    assert {row["name"] for row in own["rows"]} == {"Министерство"}
    assert [row["network"] for row in (await region.call("GET", "/page-table?to=2026-W48"))["rows"]] == [
        "vk",
        "ok",
    ]


async def test_table_of_pages_is_returned_as_csv_and_has_an_etag(region: Region) -> None:
    assert (await region.call("GET", "/page-table"))["rows"] == []
    page = await region.page(region.school, read=False)
    await region.check(page, "11-29", **OPEN | AUDIENCE)
    await region.score()
    file = await region.request("GET", "/page-table.csv?by=peer_group")
    accepted = await region.request("GET", "/page-table?by=peer_group", headers={"Accept": "text/csv"})
    assert accepted.content == file.content
    (row,) = csv.DictReader(io.StringIO(file.content.decode("utf-8-sig")))
    assert list(row)[:5] == ["week", "network", "key", "name", "total"]
    assert (row["week"], row["key"], row["engagement"], row["reach"]) == ("2026-W48", "schools", "4.0", "500")
    for path in ("/page-table.csv?by=peer_group", "/page-table?by=peer_group"):
        first = await region.request("GET", path)
        again = await region.request("GET", path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("from=2026-W49&to=2026-W48", "from"),
        ("from=2020-W01&to=2026-W48", "from"),
        ("to=2026-W60", "to"),
        ("peer_group=houses", "peer_group"),
        ("by=colour", "by"),
        ("week=2026-W48", "week"),
    ],
)
async def test_invalid_page_table_query_is_refused_naming_the_parameter(
    region: Region, query: str, parameter: str
) -> None:
    refused = await region.call("GET", f"/page-table?{query}", status=422)
    assert refused["errors"][0]["pointer"] == f"query/{parameter}"


async def test_closed_page_gets_no_points(region: Region) -> None:
    page = await region.page(region.school)
    await region.step(page, "connected", "11-02")
    await region.check(page, "11-27", **OPEN)
    await region.check(page, "11-28", state="closed")
    await region.write(page, "11-25 12:00")
    await region.score()
    [week] = await region.weeks(page)
    assert (week["score"], week["light"], week["advice"]) == (
        0.0,
        "red",
        "Откройте страницу: сейчас граждане её не видят.",
    )


async def test_dialogue_and_answers_are_counted_from_messages_and_appeals(region: Region) -> None:
    page = await region.page(region.school)
    for number, at in enumerate(("11-24 10:00", "11-24 12:00", "11-24 14:00")):  # the page writes at 13:00
        message = await region.write(page, at, kind="comment", by="citizen")
        due, answered, status = [
            ("11-25 10:00", "11-24 13:00", "answered"),
            ("11-26 10:00", None, "assigned"),
            ("11-26 10:00", None, "not_required"),
        ][number]
        await region.appeal(message, at, due, answered, status)
    await region.write(page, "11-24 13:00", kind="comment")
    # Not counted: another week's comment, history, one deleted by its author. One deleted by the community counts.
    await region.write(page, "11-22 10:00", kind="comment", by="citizen", thread="t2")
    await region.write(page, "11-25 10:00", kind="comment", by="citizen", thread="t3", history=True)
    deleted: dict[str, Any] = {"kind": "comment", "by": "citizen", "deleted_at": local("11-26 10:00")}
    await region.write(page, "11-25 10:00", thread="t4", deleted_by="author", **deleted)
    await region.write(page, "11-25 10:00", thread="t5", deleted_by="community", **deleted)
    # This appeal is due only after the end of the week.
    late = await region.write(page, "11-29 20:00", kind="message", by="citizen", thread="t6")
    await region.appeal(late, "11-29 20:00", "11-30 10:00", None, "assigned")
    await region.score()
    [week] = await region.weeks(page)
    inputs = week["inputs"]
    assert (inputs["citizen_messages"], inputs["citizen_messages_in_dialogue"]) == (4, 2)
    assert (inputs["appeals_due"], inputs["appeals_answered"]) == (2, 1)


async def test_every_active_page_is_scored_once_per_week_including_missed_weeks(region: Region) -> None:
    page, idle, new = [await region.page(region.school) for _ in range(3)]
    await region.raw.execute("UPDATE pages SET active = false WHERE id = $1", idle)
    await region.raw.execute("UPDATE pages SET created_at = $2 WHERE id = $1", new, local("11-30 00:00"))
    assert await region.score("2026-11-30T03:59:00+08:00") == 1, "week 48 is not over for long enough: week 47"
    assert await region.score() == 1
    assert await region.score() == 0
    # The job did not run for a week: it now scores weeks 49 and 50 of both active pages.
    assert await region.score("2026-12-14T05:00:00+08:00") == 4
    assert [week["week"] for week in await region.weeks(page)] == ["2026-W50", "2026-W49", "2026-W48", "2026-W47"]
    assert [week["week"] for week in await region.weeks(new)] == ["2026-W50", "2026-W49"]
    assert await region.weeks(idle) == []


async def test_new_formula_does_not_change_scores_of_earlier_weeks(region: Region) -> None:
    page = await region.page(region.school)
    await region.check(page, "11-25", **OPEN)
    await region.write(page, "11-25 12:00")
    await region.score()
    before = await region.raw.fetch("SELECT * FROM page_scores")
    [shown] = await region.weeks(page)
    assert shown["score"] == 25.0  # 20 of 80

    with time_machine.travel("2026-11-30T12:00:00+08:00", tick=False):
        body = {"name": "Только записи", "criteria": [POSTS_ONLY], "green_from": 90, "yellow_from": 20}
        added = await region.call("POST", "/page-formulas", status=201, json=body)
    assert (added["number"], added["valid_from"]) == (2, "2026-W49")
    await region.write(page, "12-02 12:00")
    await region.step(page, "connected", "11-02")  # confirmed late, for a day before week 48
    await region.score(NEXT_MONDAY)

    assert [
        row for row in await region.raw.fetch("SELECT * FROM page_scores") if row["week"] == "2026-W48"
    ] == before
    new, old = await region.weeks(page)
    assert old == shown
    assert (new["week"], new["score"], new["light"], new["formula_number"]) == ("2026-W49", 100.0, "green", 2)
    assert [criterion["key"] for criterion in new["criteria"]] == ["posts_7"]
    assert new["change"] is None, "scores of two formulas are not compared"


async def test_scores_and_formulas_cannot_be_changed_by_the_service(region: Region) -> None:
    connection = await region.database.connect("metrics")
    try:
        for table in ("page_scores", "page_score_formulas"):
            for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
    finally:
        await connection.close()


async def test_page_list_is_filtered_and_paged_worst_first_with_changes(region: Region) -> None:
    good, silent = await region.page(region.school), await region.page(region.ministry, network="ok")
    unknown = await region.page(region.ministry, read=False)
    for day in ("11-25", "12-02"):
        await region.check(good, day, **OPEN)
        await region.check(silent, day, **OPEN)
    for day in ("11-24", "11-25", "11-26"):
        await region.write(good, f"{day} 12:00")
        await region.write(silent, f"{day} 12:00")
    for day in ("12-01", "12-02", "12-03"):
        await region.write(good, f"{day} 12:00")
    await region.step(good, "connected", "12-01")
    await region.score()
    await region.score(NEXT_MONDAY)

    first = await region.call("GET", "/pages", params={"limit": 2})
    rest = await region.call("GET", "/pages", params={"limit": 2, "cursor": first["next_cursor"]})
    listed = [*first["items"], *rest["items"]]
    assert [(item["page_id"], item["score"], item["change"], item["light"]) for item in listed] == [
        (str(silent), 25.0, -37.5, "red"),
        (str(good), 75.0, 12.5, "yellow"),
        (str(unknown), None, None, "unknown"),
    ]
    assert "next_cursor" not in rest or rest["next_cursor"] is None

    async def ids(**params: Any) -> list[str]:
        return [item["page_id"] for item in (await region.call("GET", "/pages", params=params))["items"]]

    assert await ids(network="ok") == [str(silent)]
    assert await ids(organisation_id=str(region.school)) == [str(good)]
    assert await ids(light="yellow") == [str(good)]
    assert await ids(silent="true") == [str(silent)]
    assert await ids(silent="false") == [str(good), str(unknown)]
    assert len(await ids(week="2026-W48")) == 3
    assert await ids(week="2026-W30") == []
    answer = await region.request("GET", "/pages", params={"week": "2025-W53"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/week")


async def test_staff_see_only_pages_of_their_own_organisation(region: Region) -> None:
    own, foreign = await region.page(region.school), await region.page(region.ministry)
    await region.score()
    found = await region.call("GET", "/pages", organisation=region.school)
    assert [item["page_id"] for item in found["items"]] == [str(own)]
    assert (await region.request("GET", f"/pages/{own}", organisation=region.school)).status_code == 200
    assert (await region.request("GET", f"/pages/{foreign}", organisation=region.school)).status_code == 404
    answer = await region.request(
        "POST", "/page-formulas", organisation=region.school, json={"name": "Своя", "criteria": [POSTS_ONLY]}
    )
    assert answer.status_code == 403


async def test_summary_has_light_counts_silent_pages_and_score_changes(region: Region) -> None:
    lively, silent = await region.page(region.school), await region.page(region.ministry, network="ok")
    await region.page(region.ministry, read=False)
    for page in (lively, silent):
        for day in ("11-25", "12-02"):
            await region.check(page, day, **OPEN)
    for day in ("11-24", "11-25", "11-26"):
        await region.write(silent, f"{day} 12:00")
    for day in ("12-01", "12-02", "12-03"):
        await region.write(lively, f"{day} 12:00")
    await region.score()
    await region.score(NEXT_MONDAY)
    week = Week.parse("2026-W49")
    async with region.metrics.service.database.read() as session:
        found = await summarize_page_health(session, week)
        empty = await summarize_page_health(session, week.shifted(5))
    counts = {one.network: (one.green, one.yellow, one.red, one.unknown) for one in found.lights}
    assert counts == {"vk": (0, 1, 0, 1), "ok": (0, 0, 1, 0)}
    assert [(page.page_id, page.last_post_at) for page in found.silent] == [(silent, local("11-26 12:00"))]
    assert [(page.page_id, page.score, page.change) for page in found.best] == [(lively, 62.5, 37.5)]
    assert [(page.page_id, page.score, page.change) for page in found.worst] == [(silent, 25.0, -37.5)]
    assert sum(one.red + one.unknown for one in empty.lights) == 0


async def test_inputs_and_lists_are_read_by_indexes(region: Region) -> None:
    page = await region.page(region.school)
    await region.score()
    week = Week.parse("2026-W48")
    database = region.metrics.service.database
    caller = Caller(str(UUID(int=1)), "", Role.MODERATOR, None).with_right(Right.METRICS_READ)
    paging = Paging(50, None, "binding", "/list")

    async def inputs(session: AsyncSession) -> None:
        await read_inputs(session, [page], week, parse_formula(await formula_of_week(session, week)))

    async def lists(session: AsyncSession) -> None:
        await score_queries.list_page_scores(session, score_queries.PageScoreFilter(), caller, paging)
        await score_queries.list_weeks(session, page, caller, paging)
        await summarize_page_health(session, week)

    # Dead rows of other tests would influence the planner's choice.
    await region.raw.execute("VACUUM (ANALYZE) messages, page_scores")
    used: set[str] = set()
    for work in (inputs, lists):
        for mode in MODES:
            # Sequential scans are disabled, so a table is read sequentially only if no index serves the query.
            found = await explain(database, work, mode, {"enable_seqscan": "off"})
            assert not [plan.sequential for plan in found.plans if plan.sequential]
            used |= {index for plan in found.plans for index in plan.indexes}
    assert used >= {
        "ix_messages_undeleted_posts",
        "ix_page_scores_week_score",
        "uq_page_scores_page_id_week",
    }


async def test_formula_is_added_once_per_key_and_listed(region: Region) -> None:
    body = {"name": " Записи ", "criteria": [POSTS_ONLY], "valid_from": "2026-W50"}
    with time_machine.travel("2026-11-25T12:00:00+08:00", tick=False):
        answers = [
            await region.request("POST", "/page-formulas", json=body, headers={"Idempotency-Key": "k1"})
            for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    found = (await region.call("GET", "/page-formulas"))["items"]
    assert [(one["number"], one["name"], one["valid_from"]) for one in found] == [
        (2, "Записи", "2026-W50"),
        (1, "Светофор: таблица Амурской области", "2000-W01"),
    ]
    assert await region.call("GET", f"/page-formulas/{found[0]['id']}") == answers[0].json()
    assert answers[0].headers["Location"].endswith(f"/page-formulas/{found[0]['id']}")


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"valid_from": "2026-W47"}, ["/valid_from"]),
        ({"valid_from": "2027-W54"}, ["/valid_from"]),
        ({"criteria": []}, ["/criteria"]),
        ({"criteria": [POSTS_ONLY | {"weight": 20}], "yellow_from": 95}, ["/yellow_from", "/criteria/0/levels"]),
        ({"criteria": [{"kind": "likes", "weight": 1}]}, ["/criteria/0/kind"]),
        ({"name": " "}, ["/name"]),
        ({"colour": "blue"}, ["/colour"]),
    ],
)
async def test_invalid_formula_is_refused_with_its_fields(
    region: Region, change: dict[str, Any], pointers: list[str]
) -> None:
    with time_machine.travel("2026-11-25T12:00:00+08:00", tick=False):
        body = {"name": "Записи", "criteria": [POSTS_ONLY]} | change
        answer = await region.request("POST", "/page-formulas", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
