"""Import and export of special days as iCalendar files."""

from typing import Any

import httpx
import pytest

from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest

PATH = "/api/v1/calendars"


def file(*events: str) -> bytes:
    blocks = [f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT" for event in events]
    lines = "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//RU", *blocks, "END:VCALENDAR"])
    return "\r\n".join(line.strip() for line in lines.splitlines()).encode()


async def put(registry: ServiceUnderTest, calendar: dict[str, Any], body: bytes, **query: str) -> httpx.Response:
    return await registry.client.put(
        f"{PATH}/{calendar['id']}/days.ics",
        content=body,
        params=query,
        headers=registry.headers("moderator", **{"If-Match": "*", "Content-Type": "text/calendar"}),
    )


async def get(registry: ServiceUnderTest, calendar: dict[str, Any], **query: str) -> httpx.Response:
    answer = await registry.client.get(
        f"{PATH}/{calendar['id']}/days.ics", params=query, headers=registry.headers("head")
    )
    assert answer.status_code == 200, answer.text
    return answer


def brief(calendar: dict[str, Any], *, own: bool = True) -> dict[str, Any]:
    return {day["day"]: (day["intervals"], day["title"]) for day in calendar["days"] if day["own"] or not own}


@pytest.fixture
async def bare(registry: ServiceUnderTest) -> dict[str, Any]:
    """Return a calendar without a base."""
    return await make(registry, "/calendars", name="Без основы", base_id=None, weekly={"1": [["09:00", "18:00"]]})


async def test_exported_file_imports_to_the_same_days(registry: ServiceUnderTest, bare: dict[str, Any]) -> None:
    calendars = (await registry.client.get(PATH, headers=registry.headers("head"))).json()["items"]
    (region,) = [item for item in calendars if item["is_default"]]
    whole = (await registry.client.get(f"{PATH}/{region['id']}", headers=registry.headers("head"))).json()
    out = await get(registry, region)
    assert out.headers["content-type"] == "text/calendar; charset=utf-8"
    assert "SUMMARY:Сагаалган" in out.text
    changed = await put(registry, bare, out.content)
    assert changed.status_code == 200, changed.text
    assert brief(changed.json()) == brief(whole)
    again = await put(registry, bare, out.content)
    assert again.headers["etag"] == changed.headers["etag"]
    assert (await get(registry, region)).content == out.content


async def test_export_can_omit_inherited_days(registry: ServiceUnderTest) -> None:
    school = await make(registry, "/calendars", name="Школа")
    await put(registry, school, file("DTSTART;VALUE=DATE:20261203\nSUMMARY:Карантин"))
    own = (await get(registry, school, own_only="true")).text
    assert (own.count("BEGIN:VEVENT"), "Карантин" in own, "Сагаалган" in own) == (1, True, False)
    assert "Сагаалган" in (await get(registry, school)).text


async def test_events_of_other_programs_are_imported(registry: ServiceUnderTest, bare: dict[str, Any]) -> None:
    answer = await put(
        registry,
        bare,
        file(
            "DTSTART;VALUE=DATE:20280101\nDTEND;VALUE=DATE:20280104\nSUMMARY:Каникулы",
            "DTSTART;VALUE=DATE:20280308\nDURATION:P1D\nSUMMARY:Женский день",
            "DTSTART;VALUE=DATE:20280308\nSUMMARY:Выходной",
            "DTSTART;TZID=Asia/Irkutsk:20280307T090000\nDTEND;TZID=Asia/Irkutsk:20280307T130000\nSUMMARY:Канун",
            "DTSTART:20280307T060000Z\nDURATION:PT3H\nSUMMARY:Канун",  # 14:00 in Irkutsk
            "DTSTART:20280401T200000\nDTEND:20280402T000000\nSUMMARY:Ночь",  # local, until midnight
            "DTSTART;VALUE=DATE:20280501\nSUMMARY:Отменённый\nSTATUS:CANCELLED",
        ),
    )
    assert answer.status_code == 200, answer.text
    assert brief(answer.json()) == {
        "2028-01-01": ([], "Каникулы"),
        "2028-01-02": ([], "Каникулы"),
        "2028-01-03": ([], "Каникулы"),
        "2028-03-07": ([["09:00", "13:00"], ["14:00", "17:00"]], "Канун"),
        "2028-03-08": ([], "Женский день; Выходной"),
        "2028-04-01": ([["20:00", "24:00"]], "Ночь"),
    }


async def test_import_replaces_whole_years(registry: ServiceUnderTest, bare: dict[str, Any]) -> None:
    def day(date: str) -> str:
        return f"DTSTART;VALUE=DATE:{date}\nSUMMARY:Выходной"

    await put(registry, bare, file(day("20270610"), day("20280610")))
    changed = await put(registry, bare, file(day("20280611")))
    assert list(brief(changed.json())) == ["2027-06-10", "2028-06-11"]
    month = {"start": "2028-07-01", "end": "2028-07-31"}
    changed = await put(registry, bare, file(day("20280703")), **month)
    assert list(brief(changed.json())) == ["2027-06-10", "2028-06-11", "2028-07-03"]
    changed = await put(registry, bare, file(), **month)
    assert list(brief(changed.json())) == ["2027-06-10", "2028-06-11"]
    for body, query, named in (
        (file(day("20280703"), day("20280803")), month, "/VEVENT/1/DTSTART"),
        (file(), {}, "/VEVENT"),
        (file(day("20280703")), {"end": "2027-01-01"}, "query/end"),
    ):
        refused = await put(registry, bare, body, **query)
        assert refused.status_code == 422
        assert pointers(refused) == {named}


async def test_every_error_names_its_event(registry: ServiceUnderTest, bare: dict[str, Any]) -> None:
    faults = [
        ("SUMMARY:Без даты", "DTSTART"),
        ("DTSTART;VALUE=DATE:20280230\nSUMMARY:Нет такого дня", "DTSTART"),
        ("DTSTART;VALUE=DATE:18990101\nSUMMARY:Давно", "DTSTART"),
        ("DTSTART;VALUE=DATE:20280101", "SUMMARY"),
        ("DTSTART;VALUE=DATE:20280102\nRRULE:FREQ=YEARLY\nSUMMARY:Каждый год", "RRULE"),
        ("DTSTART;VALUE=DATE:20280103\nDTEND;VALUE=DATE:20280103\nSUMMARY:Ни дня", "DTEND"),
        ("DTSTART;VALUE=DATE:20280104\nDTEND;VALUE=DATE:20310104\nSUMMARY:Годы", "DTEND"),
        ("DTSTART;VALUE=DATE:20280104\nDURATION:P9999D\nSUMMARY:Годы", "DURATION"),
        ("DTSTART;VALUE=DATE:20280105\nDTEND;VALUE=DATE:20280106\nDURATION:P1D\nSUMMARY:Два конца", "DURATION"),
        ("DTSTART:20280107T090000\nSUMMARY:Без конца", "DTEND"),
        ("DTSTART:20280108T090000\nDTEND:20280108T080000\nSUMMARY:Назад", "DTEND"),
        ("DTSTART:20280109T220000\nDTEND:20280110T020000\nSUMMARY:Через полночь", "DTEND"),
        ("DTSTART:20280111T090030\nDTEND:20280111T100000\nSUMMARY:Секунды", "DTSTART"),
        ("DTSTART;TZID=Nowhere/Land:20280112T090000\nDURATION:PT1H\nSUMMARY:Где", "DTSTART"),
        ("DTSTART;VALUE=DATE:20280113\nDTSTART;VALUE=DATE:20280114\nSUMMARY:Дважды", "DTSTART"),
        ("DTSTART;VALUE=DATE:20280115\nSUMMARY:а\nSUMMARY:б", "SUMMARY"),
        ("no colon here", None),
    ]
    whole = "DTSTART;VALUE=DATE:20280120\nSUMMARY:Выходной"
    refused = await put(registry, bare, file(whole, *(event for event, _ in faults)))
    assert refused.status_code == 422
    wanted = {f"/VEVENT/{place}" + (f"/{name}" if name else "") for place, (_, name) in enumerate(faults, start=1)}
    assert pointers(refused) == wanted
    unchanged = (await registry.client.get(f"{PATH}/{bare['id']}", headers=registry.headers("head"))).json()
    assert (unchanged["days"], unchanged["version"]) == ([], 1)


async def test_contradictory_events_are_refused(registry: ServiceUnderTest, bare: dict[str, Any]) -> None:
    work = "DTSTART:20280110T090000\nDTEND:20280110T120000\nSUMMARY:Утро\nUID:a@b"
    for other in (
        "DTSTART;VALUE=DATE:20280110\nSUMMARY:Выходной",
        "DTSTART:20280110T110000\nDTEND:20280110T130000\nSUMMARY:День",
    ):
        refused = await put(registry, bare, file(work, other))
        assert refused.status_code == 422
        assert pointers(refused) == {"/VEVENT/0/DTSTART"}
    refused = await put(registry, bare, file(work.replace("120000", "080000")))
    assert refused.json()["errors"][0]["detail"].startswith("UID a@b: ")


async def test_invalid_file_is_refused(registry: ServiceUnderTest, bare: dict[str, Any]) -> None:
    zone = "BEGIN:VTIMEZONE\r\nTZID:А\r\nEND:VTIMEZONE\r\n"
    for body in (
        b"",
        b"hello",
        b"\xff\xfe",
        b"{}",
        b"BEGIN:VEVENT\r\nEND:VEVENT\r\n",
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n",
        file() + file(),
        f"BEGIN:VCALENDAR\r\n{zone}END:VCALENDAR".encode(),
    ):
        refused = await put(registry, bare, body)
        assert refused.status_code == 422, body
        assert pointers(refused) <= {"/VCALENDAR", "/VEVENT"}


async def test_time_zone_defined_by_one_file_does_not_affect_the_next(
    registry: ServiceUnderTest, bare: dict[str, Any]
) -> None:
    def own_zone(offset: str) -> bytes:
        zone = (
            "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
            f"TZOFFSETFROM:{offset}\r\nTZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
        )
        event = file("DTSTART;TZID=Ours:20280110T090000\nDURATION:PT1H\nSUMMARY:Час").decode()
        return event.replace("BEGIN:VEVENT", zone + "BEGIN:VEVENT").encode()

    for offset, hours in (("+0800", ["09:00", "10:00"]), ("+0700", ["10:00", "11:00"])):
        answer = await put(registry, bare, own_zone(offset))
        assert brief(answer.json()) == {"2028-01-10": ([hours], "Час")}
    unknown = await put(registry, bare, file("DTSTART;TZID=Ours:20280110T090000\nDURATION:PT1H\nSUMMARY:Час"))
    assert pointers(unknown) == {"/VEVENT/0/DTSTART"}
