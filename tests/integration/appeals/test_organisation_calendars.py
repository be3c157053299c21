"""Deadlines of organisations whose calendar is based on the region's calendar."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg

from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.deadlines import ClockEvent, Target, compute_deadline
from services.appeals.sla.named_calendar import DEFAULT_CALENDAR
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.support.service_under_test import insert_organisation

ZONE = ZoneInfo("Asia/Irkutsk")


async def calendar_on(
    connection: asyncpg.Connection, base: UUID, name: str, weekly: str | None = None, **days: list[list[str]]
) -> UUID:
    """Insert a calendar as the registry does; a keyword `d20260217` gives the intervals of 17 February 2026."""
    calendar_id = uuid4()
    await connection.execute(
        """INSERT INTO calendars (id, name, time_zone, weekly, base_id, is_default, version, created_at,
           updated_at) SELECT $1, $2, time_zone, coalesce($3::jsonb, weekly), id, false, 1, now(), now()
           FROM calendars WHERE id = $4""",
        calendar_id,
        name,
        weekly,
        base,
    )
    for day, intervals in days.items():
        await connection.execute(
            "INSERT INTO calendar_days (calendar_id, day, intervals, title) VALUES ($1, $2, $3, $4)",
            calendar_id,
            date.fromisoformat(day[1:]),
            json.dumps(intervals),
            name,
        )
    return calendar_id


async def test_deadlines_follow_an_organisations_own_exceptions(database: TestDatabase) -> None:
    registry = await database.connect("registry")
    region = await registry.fetchval("SELECT id FROM calendars WHERE is_default")
    week = json.dumps({str(day): [["08:00", "15:00"]] for day in range(1, 7)})
    six = await calendar_on(registry, region, "Шестидневка", week)
    closed = await calendar_on(registry, six, "Карантин", d20260219=[])
    plain, school, quarantine = [await insert_organisation(database, name=name) for name in ("А", "Б", "В")]
    for organisation, calendar in ((school, six), (quarantine, closed)):
        await registry.execute("UPDATE organisations SET calendar_id = $2 WHERE id = $1", organisation, calendar)
    await registry.close()
    appeals = Database(database.url("appeals"), 1, name="appeals")
    async with appeals.read() as session:
        book = await CalendarLookup.load(session, [plain, school, quarantine])
    await appeals.close()

    def due(organisation: UUID) -> tuple[str, str]:
        # In the region's calendar Tuesday is an hour shorter and Wednesday is a holiday, Сагаалган.
        start, calendar = datetime(2026, 2, 17, 5, tzinfo=UTC), book.for_organisation(organisation)
        made = compute_deadline([ClockEvent(1, "started", start, start, calendar, Target(timedelta(hours=4)))])
        assert made.due_at is not None
        return f"{made.due_at.astimezone(ZONE):%d %H:%M}", calendar.name

    assert due(plain) == ("19 10:00", "Республика Бурятия, пятидневная неделя")
    assert due(school) == ("19 11:00", "Шестидневка")
    assert due(quarantine) == ("20 11:00", "Карантин")
    assert book.for_organisation(None) is not DEFAULT_CALENDAR
