"""Working calendars: the region's calendar, and calendars that extend it."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest

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


async def test_region_calendar_is_returned(registry: ServiceUnderTest) -> None:
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


async def test_calendar_inherits_the_days_off_of_the_region(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/calendars", **SIX_DAYS)
    assert (made["is_default"], made["weekly"]["7"]) == (False, [])
    days = by_day(made)
    assert days["2026-02-18"] == []
    assert days["2026-02-17"] == [["08:00", "14:00"]]
    assert days["2025-11-01"] == [["08:00", "12:00"]]  # A working Saturday, one hour shorter.
    assert {day["own"] for day in made["days"]} == {False}
    bare = await make(registry, "/calendars", **SIX_DAYS, base_id=None)
    assert (bare["days"], bare["base_id"]) == ([], None)
    school = await make(registry, "/organisations", name="Школа", kind="institution", calendar_id=made["id"])
    assert school["calendar_id"] == made["id"]


async def put_days(
    registry: ServiceUnderTest, calendar: dict[str, Any], *days: tuple[str, Any, str], year: int = 2026
) -> dict[str, Any]:
    answer = await registry.client.put(
        f"{PATH}/{calendar['id']}/days",
        json={
            "start": f"{year}-01-01",
            "end": f"{year}-12-31",
            "days": [{"day": day, "intervals": intervals, "title": title} for day, intervals, title in days],
        },
        headers=registry.headers("moderator", **{"If-Match": "*"}),
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get_days(registry: ServiceUnderTest, calendar: dict[str, Any]) -> dict[str, Any]:
    answer = await registry.client.get(f"{PATH}/{calendar['id']}", headers=registry.headers("head"))
    found: dict[str, Any] = answer.json()
    return by_day(found)


async def test_own_special_days_override_inherited_ones(registry: ServiceUnderTest) -> None:
    region = await regional(registry)
    school = await make(registry, "/calendars", name="Школа № 71")
    assert (school["base_id"], school["weekly"], school["time_zone"]) == (
        region["id"], region["weekly"], "Asia/Irkutsk",
    )  # fmt: skip
    changed = await put_days(
        registry, school, ("2026-12-03", [], "Карантин"), ("2026-11-04", [["10:00", "12:00"]], "Праздник в школе")
    )
    assert [(day["day"], day["title"]) for day in changed["days"] if day["own"]] == [
        ("2026-11-04", "Праздник в школе"), ("2026-12-03", "Карантин"),
    ]  # fmt: skip
    days = by_day(changed)
    assert (days["2026-11-04"], days["2026-12-03"]) == ([["10:00", "12:00"]], [])
    assert (days["2026-02-18"], days["2026-11-03"]) == ([], [["09:00", "13:00"], ["14:00", "17:00"]])
    assert "2026-12-03" not in by_day(await regional(registry))
    # New days of the region's calendar apply at once to every calendar that extends it.
    await put_days(registry, region, ("2028-02-26", [], "Сагаалган"), year=2028)
    assert (await get_days(registry, school))["2028-02-26"] == []
    # Without its own day, the inherited one applies again.
    assert by_day(await put_days(registry, school))["2026-11-04"] == []


async def test_calendar_inherits_days_through_two_levels(registry: ServiceUnderTest) -> None:
    six = await make(registry, "/calendars", **SIX_DAYS)
    await put_days(registry, six, ("2026-09-01", [["08:00", "10:00"]], "День знаний"))
    one = await make(registry, "/calendars", name="Школа № 1", base_id=six["id"])
    days = await get_days(registry, one)
    assert (days["2026-09-01"], days["2026-02-17"]) == ([["08:00", "10:00"]], [["08:00", "14:00"]])


async def test_inherited_days_are_adapted_to_a_changed_week(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/calendars", **SIX_DAYS)
    path, headers = f"{PATH}/{made['id']}", registry.headers("moderator")
    later = {"weekly": {"2": [["10:00", "13:00"], ["14:00", "20:00"]]}}
    assert (await registry.client.patch(path, json=later, headers=headers)).status_code == 428
    changed = await registry.client.patch(path, json=later, headers=headers | {"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert by_day(changed.json())["2026-02-17"] == [["10:00", "13:00"], ["14:00", "19:00"]]
    assert (changed.json()["weekly"]["1"], changed.json()["name"]) == ([], SIX_DAYS["name"])
    same = await registry.client.patch(path, json=later, headers=headers | {"If-Match": '"2"'})
    assert same.headers["etag"] == '"2"'
    for wrong, named in (
        ({"weekly": {"1": []}}, "/weekly"),
        ({"name": None}, "/name"),
        ({"base_id": made["id"]}, "/base_id"),
    ):
        answer = await registry.client.patch(path, json=wrong, headers=headers | {"If-Match": "*"})
        assert (answer.status_code, pointers(answer)) == (422, {named})


async def test_several_intervals_and_24_hour_days_are_accepted(registry: ServiceUnderTest) -> None:
    shifts = [["00:00", "02:00"], ["10:00", "12:00"], ["20:00", "24:00"]]
    made = await make(
        registry, "/calendars", name="Диспетчерская", weekly={"1": shifts, "2": [["00:00", "24:00"]]}
    )
    assert (made["weekly"]["1"], made["weekly"]["2"]) == (shifts, [["00:00", "24:00"]])


async def test_special_days_of_a_period_are_replaced(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/calendars", **SIX_DAYS, base_id=None)
    path = f"{PATH}/{made['id']}/days"
    headers = registry.headers("moderator")
    await put_days(registry, made, ("2025-12-30", [], "Каникулы"), year=2025)
    await put_days(registry, made, ("2026-05-04", [], "Отпуск"))
    body = {
        "start": "2026-01-01",
        "end": "2026-12-31",
        "days": [{"day": "2026-09-01", "intervals": [["08:00", "10:00"]], "title": "День знаний"}],
    }
    assert (await registry.client.put(path, json=body, headers=headers)).status_code == 428
    changed = await registry.client.put(path, json=body, headers=headers | {"If-Match": '"3"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"4"')
    assert by_day(changed.json()) == {"2025-12-30": [], "2026-09-01": [["08:00", "10:00"]]}
    again = await registry.client.put(path, json=body, headers=headers | {"If-Match": '"4"'})
    assert (again.headers["etag"], by_day(again.json())) == ('"4"', by_day(changed.json()))
    stale = await registry.client.put(path, json=body, headers=headers | {"If-Match": '"3"'})
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
        ({"weekly": {"1": [["24:00", "24:00"]]}}, "/weekly/1/0/0"),
        ({"weekly": None, "base_id": None}, "/weekly"),
        ({"base_id": str(UUID(int=9))}, "/base_id"),
    ],
)
async def test_invalid_calendar_is_refused_naming_the_field(
    registry: ServiceUnderTest, wrong: dict[str, Any], named: str
) -> None:
    answer = await registry.client.post(PATH, json=SIX_DAYS | wrong, headers=registry.headers("moderator"))
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == {named}


async def test_invalid_day_is_refused_naming_the_field(registry: ServiceUnderTest) -> None:
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
