"""Working calendars: the region's days, and organisations that work otherwise."""

from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from services.registry.calendars import fitted, shortened
from tests.harness import ServiceUnderTest
from tests.integration.registry.conftest import make, pointers

PATH = "/api/v1/calendars"
SIX_DAYS: dict[str, Any] = {
    "name": "Шестидневная неделя",
    "weekly": {**{str(day): [["08:00", "15:00"]] for day in range(1, 6)}, "6": [["08:00", "13:00"]]},
}


def by_day(calendar: dict[str, Any]) -> dict[str, Any]:
    return {day["day"]: day["intervals"] for day in calendar["days"]}


async def regional(registry: ServiceUnderTest) -> dict[str, Any]:
    items = (await registry.client.get(PATH, headers=registry.headers("head"))).json()["items"]
    (default,) = [item for item in items if item["is_default"]]
    found: dict[str, Any] = (
        await registry.client.get(f"{PATH}/{default['id']}", headers=registry.headers("head"))
    ).json()
    return found


async def test_the_regions_calendar(registry: ServiceUnderTest) -> None:
    calendar = await regional(registry)
    whole, short = [["09:00", "13:00"], ["14:00", "18:00"]], [["09:00", "13:00"], ["14:00", "17:00"]]
    assert calendar["time_zone"] == "Asia/Irkutsk"
    assert calendar["weekly"] == {**{str(day): whole for day in range(1, 6)}, "6": [], "7": []}
    days = by_day(calendar)
    known = {
        "2025-03-01": [],
        "2025-03-03": [],
        "2025-11-01": short,
        "2026-01-09": [],
        "2026-02-17": short,
        "2026-02-18": [],
        "2026-04-30": short,
        "2026-11-03": short,
        "2026-11-04": [],
        "2026-12-31": [],
        "2027-02-20": short,
        "2027-02-22": [],
    }
    assert {day: days[day] for day in known} == known
    assert "2026-11-25" not in days
    assert {day["title"] for day in calendar["days"] if day["day"] == "2026-02-18"} == {"Сагаалган"}


async def test_a_calendar_of_ones_own_has_the_regions_days_off(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/calendars", **SIX_DAYS)
    assert (made["is_default"], made["weekly"]["7"]) == (False, [])
    days = by_day(made)
    assert days["2026-02-18"] == []
    assert days["2026-02-17"] == [["08:00", "14:00"]]
    assert days["2025-11-01"] == [["08:00", "12:00"]]  # a Saturday on which they work anyway, an hour less
    bare = await make(registry, "/calendars", **SIX_DAYS, with_regional_days=False)
    assert bare["days"] == []
    school = await make(registry, "/organisations", name="Школа", kind="institution", calendar_id=made["id"])
    assert school["calendar_id"] == made["id"]


async def test_the_days_of_a_time_are_replaced(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/calendars", **SIX_DAYS)
    path = f"{PATH}/{made['id']}/days"
    headers = registry.headers("moderator")
    body = {
        "start": "2026-01-01",
        "end": "2026-12-31",
        "days": [{"day": "2026-09-01", "intervals": [["08:00", "10:00"]], "title": "День знаний"}],
    }
    assert (await registry.client.put(path, json=body, headers=headers)).status_code == 428
    changed = await registry.client.put(path, json=body, headers=headers | {"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    before, after = by_day(made), by_day(changed.json())
    assert {day: after[day] for day in after if day.startswith("2026")} == {"2026-09-01": [["08:00", "10:00"]]}
    assert {day: after[day] for day in after if not day.startswith("2026")} == {
        day: before[day] for day in before if not day.startswith("2026")
    }
    again = await registry.client.put(path, json=body, headers=headers | {"If-Match": '"2"'})
    assert by_day(again.json()) == after
    stale = await registry.client.put(path, json=body, headers=headers | {"If-Match": '"1"'})
    assert stale.status_code == 412
    missing = await registry.client.put(f"{PATH}/{uuid4()}/days", json=body, headers=headers | {"If-Match": "*"})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"weekly": {"8": []}}, "/weekly/8/[key]"),
        ({"weekly": {"1": []}}, "/weekly"),
        ({"weekly": {"1": [["09:00", "08:00"]]}}, "/weekly/1"),
        ({"weekly": {"1": [["09:00", "12:00"], ["11:00", "13:00"]]}}, "/weekly/1"),
        ({"weekly": {"1": [["9:00", "12:00"]]}}, "/weekly/1/0/0"),
        ({"time_zone": "Asia"}, "/time_zone"),
        ({"time_zone": "../etc/passwd"}, "/time_zone"),
        ({"name": ""}, "/name"),
    ],
)
async def test_bad_calendars_are_named(registry: ServiceUnderTest, wrong: dict[str, Any], named: str) -> None:
    answer = await registry.client.post(PATH, json=SIX_DAYS | wrong, headers=registry.headers("moderator"))
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == {named}


async def test_bad_days_are_named(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/calendars", **SIX_DAYS)
    day = {"day": "2026-09-01", "intervals": [], "title": "Выходной"}
    good: dict[str, Any] = {"start": "2026-01-01", "end": "2026-12-31", "days": [day]}
    for wrong, field in (
        ({"end": "2025-12-31"}, "/end"),
        ({"start": "2026-10-01"}, "/days"),
        ({"days": [day, day]}, "/days"),
        ({"days": [day | {"title": ""}]}, "/days/0/title"),
        ({"days": [day | {"intervals": [["10:00", "09:00"]]}]}, "/days/0/intervals"),
    ):
        answer = await registry.client.put(
            f"{PATH}/{made['id']}/days",
            json=good | wrong,
            headers=registry.headers("moderator", **{"If-Match": "*"}),
        )
        assert answer.status_code == 422
        assert field in pointers(answer)


def test_a_short_day_is_taken_from_its_end() -> None:
    intervals = [["09:00", "13:00"], ["14:00", "14:30"]]
    assert shortened(intervals, 60) == [["09:00", "12:30"]]
    assert shortened(intervals, 30) == [["09:00", "13:00"]]
    assert shortened(intervals, 0) == intervals
    assert shortened(intervals, 300) == []
    assert intervals == [["09:00", "13:00"], ["14:00", "14:30"]]


def test_a_moved_working_day_where_nobody_works_on_it() -> None:
    region = {"1": [["09:00", "18:00"]]}
    shifts = {"2": [["07:00", "19:00"]]}
    saturday = date(2025, 11, 1)
    assert fitted(saturday, [["09:00", "17:00"]], region, shifts) == [["07:00", "18:00"]]
    assert fitted(saturday, [], region, shifts) == []
