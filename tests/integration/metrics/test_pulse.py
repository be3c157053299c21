"""The daily pulse: its figures equal those worked out by hand, and it shows a burst."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.metrics.pulse import daily_pulse, day_queries
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.clock import REGION_TIME_ZONE
from tests.integration.data_growth.query_plans import MODES, explain
from tests.integration.metrics.test_sla import Region, add, local, region

__all__ = ["region"]  # re-exported so that pytest finds the fixture here
PATH = "/api/v1/metrics/pulse"
TUESDAY = date(2026, 11, 24)  # the fixture `region` sets the clock to the next day


def triple(figure: Mapping[str, Any]) -> tuple[Any, ...]:
    return figure["value"], figure["previous"], figure["change"], figure["mean"]


async def add_topics(connection: asyncpg.Connection) -> tuple[UUID, UUID, UUID]:
    """Insert a topic group with two topics; return their ids."""
    group, heating, water = uuid4(), uuid4(), uuid4()
    for id_, code, name, parent in (
        (group, "pulse", "ЖКХ", None),
        (heating, "pulse.01", "Отопление", group),
        (water, "pulse.02", "Вода", group),
    ):
        await connection.execute(
            """INSERT INTO topics (id, code, name, position, group_id, taxonomy_version, aliases, active)
               VALUES ($1, $2, $3, 1, $4, 'test', '[]', true)""",
            id_, code, name, parent,
        )  # fmt: skip
    return group, heating, water


async def add_day(connection: asyncpg.Connection, day: date, count: int, **given: Any) -> None:
    """Insert `count` appeals on a day, each by a different author unless an author is given."""
    opened = datetime.combine(day, time(9), REGION_TIME_ZONE)
    rows = []
    for number in range(count):
        moment = opened + timedelta(minutes=number)
        row = {
            "id": uuid4(), "status": "assigned", "urgency": "normal", "text": "Холодно", "network": "vk",
            "route": "{}", "version": 1, "author_key": f"{day}-{number}", "written_at": moment,
            "opened_at": moment, "created_at": moment, "updated_at": moment,
        } | given  # fmt: skip
        rows.append(row)
    if rows:
        names = ", ".join(rows[0])
        places = ", ".join(f"${place}" for place in range(1, len(rows[0]) + 1))
        await connection.executemany(
            f"INSERT INTO appeals ({names}) VALUES ({places})", [tuple(row.values()) for row in rows]
        )


async def add_history(connection: asyncpg.Connection, daily: int, **given: Any) -> None:
    """Insert appeals of 12 weeks before Tuesday: this many per working day, a third as many per weekend day."""
    for back in range(1, 85):
        day = TUESDAY - timedelta(days=back)
        await add_day(connection, day, daily if day.weekday() < 5 else daily // 3, **given)


async def oktmo_of(connection: asyncpg.Connection) -> tuple[str, str]:
    """Insert two municipalities if they are missing; return their codes."""
    for code in ("81990000", "81991000"):
        await connection.execute(
            "INSERT INTO municipalities VALUES ($1, $2, 'district', $2) ON CONFLICT DO NOTHING",
            code,
            f"Район {code}",
        )
    return "81990000", "81991000"


async def test_burst_of_tuesday_is_shown_by_the_pulse_of_wednesday(region: Region) -> None:
    connection = await region.database.connect()
    group, heating, water = await add_topics(connection)
    here, elsewhere = await oktmo_of(connection)
    of_school = {"organisation_id": region.school}
    for topic, place, daily in ((heating, here, 6), (heating, elsewhere, 6), (region.topic, here, 3)):
        await add_history(connection, daily, topic_id=topic, municipality=place, **of_school)
    burst = {"topic_id": heating, "municipality": here, **of_school}
    await add_day(connection, TUESDAY, 20, **burst)
    # Two topics of one group; one author wrote twice, so 24 people; appeals that need no answer are not counted.
    await add_day(connection, TUESDAY, 4, **{**burst, "topic_id": water, "network": "ok"})
    await connection.execute("UPDATE appeals SET author_key = 'ok-' || id WHERE network = 'ok'")
    await add_day(connection, TUESDAY, 1, **burst, author_key="2026-11-24-0")
    await add_day(connection, TUESDAY, 30, **burst, status="not_required")
    await add_day(connection, TUESDAY, 6, topic_id=heating, municipality=elsewhere, **of_school)
    await add_day(connection, TUESDAY, 3, topic_id=region.topic, municipality=here, **of_school)
    behind = await connection.fetch(
        """SELECT id FROM appeals WHERE opened_at >= $1 AND municipality = $2 AND topic_id IN ($3, $4)
           AND status = 'assigned'""",
        local("11-24 00:00"), here, heating, water,
    )  # fmt: skip
    await connection.close()

    body = await region.get(PATH)
    assert body["day"] == "2026-11-24"
    (found,) = body["unusual_topics"]
    assert (found["topic_group_id"], found["topic_group"]) == (str(group), "ЖКХ")
    assert (found["municipality"], found["municipality_name"]) == (here, f"Район {here}")
    assert (found["people"], found["appeals"], found["topics"]) == (24, 25, ["Отопление", "Вода"])
    assert found["expected"] == pytest.approx(6, abs=0.5)
    assert found["probability"] < 1e-5
    assert found["reason"].startswith("написали 24 человека, во вторник обычно около ")
    assert set(found["appeal_ids"]) == {str(row["id"]) for row in behind}
    assert len(found["appeal_ids"]) == 25
    assert (body["pairs_tested"], body["history_days"]) == (3, 84)
    assert body["verdict"]["level"] == "tenser"
    assert body["verdict"]["text"].startswith(
        "напряжённее обычного: поступило 34 обращения, во вторник обычно около 1"
    )

    # The day before was as usual.
    body = await region.get(PATH, day="2026-11-23")
    assert (body["unusual_topics"], body["verdict"]["level"]) == ([], "usual")


async def test_day_with_most_appeals_in_triage_is_not_reported_as_calm(region: Region) -> None:
    connection = await region.database.connect()
    _, heating, _ = await add_topics(connection)
    here, _ = await oktmo_of(connection)
    row = {"topic_id": heating, "municipality": here, "organisation_id": region.school}
    await add_history(connection, 9, **row)
    await add_day(connection, TUESDAY, 1, **row)
    await add_day(connection, TUESDAY, 8, **row, status="triage")
    await connection.close()
    body = await region.get(PATH)
    assert (body["total"]["opened"]["value"], body["in_triage"]) == (1, 8)
    assert body["verdict"]["level"] == "usual"


async def test_pulse_is_read_from_one_snapshot(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await region.database.connect()
    _, heating, _ = await add_topics(connection)
    here, _ = await oktmo_of(connection)
    row = {"topic_id": heating, "municipality": here, "organisation_id": region.school}
    await add_history(connection, 3, **row)
    await add_day(connection, TUESDAY, 24, **row)
    show = daily_pulse._topics

    async def show_after_a_change(*given: Any) -> Any:
        await connection.execute("UPDATE appeals SET status = 'not_required'")
        return await show(*given)

    monkeypatch.setattr(daily_pulse, "_topics", show_after_a_change)
    (found,) = (await region.get(PATH))["unusual_topics"]
    await connection.close()
    assert (found["people"], len(found["appeal_ids"])) == (24, 24)


async def test_figures_are_compared_with_the_days_before(region: Region) -> None:
    connection = await region.database.connect()
    opened = {"organisation_id": region.school, "updated_at": "11-25 11:00"}
    # Tuesday: three from VK, one from OK; Monday: one; the Tuesday before: seven. The mean: 17 to 23 November.
    for at, given in (
        ("11-24 00:00", {}),
        ("11-24 12:00", {"organisation_id": None, "status": "assigned"}),
        ("11-24 23:59:59", {}),
        ("11-24 10:00", {"network": "ok"}),
        ("11-24 10:00", {"status": "not_required"}),
        ("11-24 10:00", {"status": "triage"}),
        ("11-23 10:00", {}),
        ("11-16 23:59", {}),
        ("11-25 00:00", {}),
    ):
        await add(connection, **{**opened, "opened_at": at, **given})
    for _ in range(7):
        await add(connection, **{**opened, "opened_at": "11-17 10:00"})
    await connection.close()
    body = await region.get(PATH)
    assert triple(body["total"]["opened"]) == (4, 1, 3, pytest.approx(8 / 7, abs=0.01))
    assert body["in_triage"] == 1
    assert [(channel["channel"], channel["name"]) for channel in body["channels"]] == [
        ("vk", "ВКонтакте"),
        ("ok", "Одноклассники"),
    ]
    assert triple(body["channels"][0]["opened"]) == (3, 1, 2, pytest.approx(8 / 7, abs=0.01))
    assert triple(body["channels"][1]["opened"]) == (1, 0, 1, 0)
    assert body["verdict"] == {
        "level": "unknown",
        "text": "мало данных для сравнения: поступило 5 обращений",
        "expected": None,
    }
    assert (body["unusual_topics"], body["history_days"]) == ([], 8)


async def test_answers_count_on_the_day_on_which_they_were_given(region: Region) -> None:
    connection = await region.database.connect()
    for answered, given in (
        ("11-24 00:00", {"opened_at": "01-05 10:00"}),
        ("11-24 23:59:59", {"opened_at": "11-24 09:00", "status": "closed", "closed_at": "11-25 09:00"}),
        ("11-25 00:00", {"opened_at": "11-24 09:00"}),
        ("11-23 10:00", {"opened_at": "11-23 09:00"}),
        ("11-17 00:00", {"opened_at": "11-16 09:00"}),
        ("11-16 23:59", {"opened_at": "11-16 09:00"}),
        ("11-24 10:00", {"opened_at": "11-24 09:00", "status": "merged"}),
    ):
        row = {"organisation_id": region.school, "status": "answered", "updated_at": answered} | given
        await add(connection, first_response_at=answered, **row)
    await connection.close()
    body = await region.get(PATH)
    assert triple(body["total"]["answered"]) == (2, 1, 1, pytest.approx(2 / 7, abs=0.01))


async def test_overdue_appeals_are_counted_at_the_end_of_each_day(region: Region) -> None:
    connection = await region.database.connect()
    for due, given in (
        # Late at the ends of both days, still unanswered; last changed long ago.
        ("11-23 18:00", {}),
        # Late only at the end of Monday: answered or closed on Tuesday.
        ("11-23 18:00", {"first_response_at": "11-24 10:00", "status": "answered", "updated_at": "11-24 10:00"}),
        ("11-23 18:00", {"closed_at": "11-24 10:00", "status": "closed", "updated_at": "11-24 10:00"}),
        # Late at the end of Tuesday, answered on Wednesday.
        ("11-24 23:59", {"first_response_at": "11-25 00:00", "status": "answered", "updated_at": "11-25 00:00"}),
        # Not late yet, answered in time, not counted, in triage.
        ("11-25 00:00", {}),
        ("11-24 18:00", {"first_response_at": "11-24 18:00", "status": "answered", "updated_at": "11-24 18:00"}),
        ("11-23 18:00", {"status": "not_required", "updated_at": "11-25 10:00"}),
        ("11-23 18:00", {"status": "triage", "updated_at": "11-25 10:00"}),
    ):
        row = {"organisation_id": region.school, "opened_at": "11-20 10:00", "network": None} | given
        await add(connection, first_response_due_at=due, **row)
    await connection.execute("UPDATE appeals SET source = 'phone' WHERE first_response_at IS NULL")
    await connection.close()
    body = await region.get(PATH)
    assert triple(body["total"]["overdue"]) == (2, 3, -1, pytest.approx(3 / 4, abs=0.01))
    found = {channel["name"]: triple(channel["overdue"])[:2] for channel in body["channels"]}
    assert found == {"Внесены вручную": (1, 1), "Телефон": (1, 2)}


async def test_staff_get_only_the_pulse_of_their_own_organisation(region: Region) -> None:
    connection = await region.database.connect()
    _, heating, _ = await add_topics(connection)
    here, _ = await oktmo_of(connection)
    of_ministry = {"topic_id": heating, "municipality": here, "organisation_id": region.ministry}
    await add_history(connection, 6, **of_ministry)
    await add_day(connection, TUESDAY, 24, **of_ministry)
    await add_day(connection, TUESDAY, 2, organisation_id=region.school)
    await connection.close()
    school = await region.get(PATH, headers=region.metrics.headers("manager", region.school))
    assert (school["total"]["opened"]["value"], school["unusual_topics"], school["history_days"]) == (2, [], 0)
    ministry = await region.get(PATH, headers=region.metrics.headers("manager", region.ministry))
    assert ministry["total"]["opened"]["value"] == 24
    assert [topic["people"] for topic in ministry["unusual_topics"]] == [24]
    assert (await region.get(PATH))["total"]["opened"]["value"] == 26


@pytest.mark.parametrize("day", ["2026-11-25", "2026-11-26", "1999-12-31", "yesterday", "2026-02-30"])
async def test_unfinished_or_invalid_day_is_refused(region: Region, day: str) -> None:
    answer = await region.metrics.client.get(
        PATH, params={"day": day}, headers=region.metrics.headers("moderator")
    )
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["query/day"]


async def test_figures_of_a_day_without_appeals_are_zero(region: Region) -> None:
    body = await region.get(PATH, day="2026-01-01")
    assert {triple(figure) for figure in body["total"].values()} == {(0, None, None, None)}
    assert (body["channels"], body["unusual_topics"], body["pairs_tested"]) == ([], [], 0)


async def test_days_before_the_first_appeal_are_not_compared(region: Region) -> None:
    connection = await region.database.connect()
    of_school = {"organisation_id": region.school}
    for back, count in ((2, 40), (1, 42), (0, 41)):
        await add_day(connection, TUESDAY - timedelta(days=back), count, **of_school)
    # A day on which only an appeal without figures was opened.
    await add_day(connection, TUESDAY - timedelta(days=3), 1, **of_school, status="not_required")
    await connection.close()
    opened = {
        day: triple((await region.get(PATH, day=f"2026-11-{day}"))["total"]["opened"]) for day in (21, 22, 23, 24)
    }
    assert opened == {
        21: (0, None, None, None),
        22: (40, 0, 40, 0),
        23: (42, 40, 2, 20),
        24: (41, 42, -1, pytest.approx(82 / 3, abs=0.01)),
    }


async def test_every_query_of_the_pulse_uses_an_index(region: Region) -> None:
    centre = Caller("somebody", "", Role.MODERATOR, None).with_right(Right.METRICS_READ)
    span = day_queries.DaySpan(TUESDAY)
    pairs = [("81990000", uuid4())]
    queries: tuple[Any, ...] = (
        day_queries.opened_query(span, centre, clock.now()),
        day_queries.earlier_query(span, centre),
        day_queries.answered_query(span, centre),
        day_queries.overdue_query(span, centre),
        day_queries.history_query(TUESDAY, centre),
        day_queries.appeals_query(TUESDAY, pairs, centre),
    )
    # A reused database has dead rows of earlier tests, which change the planner's estimates. Truncate, so that
    # every run has the same plans.
    connection = await region.metrics.database.connect()
    await connection.execute("TRUNCATE appeals CASCADE")
    await connection.close()
    for mode, query in product(MODES, queries):
        # The planner scans an empty table unless sequential scans are disabled.
        found = await explain(
            region.metrics.service.database,
            lambda session, query=query: session.execute(query),  # type: ignore[misc]
            mode,
            {"enable_seqscan": "off"},
        )
        (plan,) = found.plans
        # On an empty table the planner may choose any index that ends with the time: each of them reads one day.
        assert any(name.endswith(("_opened_at", "_updated_at")) for name in plan.indexes), plan.statement
        assert "appeals" not in plan.sequential, plan.statement
