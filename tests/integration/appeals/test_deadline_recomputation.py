"""Deadlines follow the registry's calendars: running clocks are recomputed, finished clocks stay."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.appeals import jobs
from services.appeals.deadline_watch import deadline_recomputation
from shared import clock
from shared.tables.common import Event
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_clocks import SetTime, deadlines, opened, set_calendar, set_time
from tests.integration.appeals.test_concurrent_matching import Workers, workers
from tests.integration.appeals.test_escalations import escalate, shown
from tests.support.sample_events import sample_data

__all__ = ["set_time", "workers"]  # re-exported so that pytest finds the fixtures here


async def registry_event(scenario: AppealsScenario, event: str, subject: UUID, **data: Any) -> None:
    """Emit an event as the registry does; let the service handle it and the recomputation jobs it enqueues."""
    await scenario.emit(event, subject, None, **data)
    await scenario.process_events()
    await recompute(scenario, within=deadline_recomputation.RECOMPUTE_AGAIN_AFTER)


async def recompute(scenario: AppealsScenario, *, within: timedelta) -> None:
    """Run the recomputation jobs that are due within this time."""
    connection = await scenario.database.connect()
    rows = await connection.fetch(
        """DELETE FROM appeals_jobs.pgqueuer WHERE entrypoint = $1 AND execute_after <= now() + $2::interval
           RETURNING payload""",
        jobs.RECOMPUTE_DEADLINES,
        within,
    )
    await connection.close()
    assert rows
    for row in rows:
        await scenario.handle_job(jobs.RECOMPUTE_DEADLINES, json.loads(row["payload"]))


async def add_day_off(scenario: AppealsScenario, day: str, *, calendar: UUID | None = None) -> UUID:
    """Add a day off to a calendar, by default the region's; return the calendar's id."""
    connection = await scenario.database.connect()
    try:
        found: UUID = calendar or await connection.fetchval("SELECT id FROM calendars WHERE is_default")
        await connection.execute(
            """INSERT INTO calendar_days (calendar_id, day, intervals, title)
               VALUES ($1, $2::text::date, '[]', 'Траур')""",
            found,
            day,
        )
    finally:
        await connection.close()
    return found


async def test_new_day_off_moves_running_deadlines_and_keeps_finished_clocks(
    scenario: AppealsScenario, set_time: SetTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline_recomputation, "RECOMPUTE_BATCH", 1)
    first = await opened(scenario, set_time)
    await scenario.citizen_writes(QUESTION, author="boris", thread="vk:-101_2")
    await scenario.citizen_writes(QUESTION, author="vera", thread="vk:-101_3")
    await scenario.citizen_writes(
        "Отремонтируем", from_community=True, thread="vk:-101_2", at=WEDNESDAY + timedelta(minutes=5)
    )
    answered = next(found for found in await scenario.all() if found["status"] == "answered")
    before = (await deadlines(scenario, answered))["first_response"]
    calendar = await add_day_off(scenario, "2026-03-05")
    await registry_event(scenario, "calendar.changed", calendar, version=2, start="2026-03-05", end="2026-03-05")
    running = [found for found in await scenario.all() if found["status"] != "answered"]
    assert [found["first_response_due_at"] for found in running] == ["2026-03-06T03:01:00Z"] * 2
    after = (await deadlines(scenario, answered))["first_response"]
    assert (after["due_at"], after["segments"]) == (before["due_at"], before["segments"])
    changed = await scenario.events("appeal.deadline_changed")
    assert {event["subject_id"] for event in changed} == {UUID(found["id"]) for found in running}
    entry = (await scenario.appeal(first["id"]))["timeline"][-1]
    assert entry["kind"] == "deadline_changed"
    assert "05.03 — не идёт (Траур)" in entry["data"]["deadline"]
    # Handling the same event again changes nothing.
    await registry_event(scenario, "calendar.changed", calendar, version=2, start="2026-03-05", end="2026-03-05")
    assert len(await scenario.events("appeal.deadline_changed")) == len(changed)


async def test_removed_day_off_moves_the_next_escalation_of_a_late_appeal(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    due = datetime.fromisoformat(appeal["resolution_due_at"])
    assert due == datetime(2026, 3, 16, 2, 1, tzinfo=UTC)
    calendar = await add_day_off(scenario, "2026-03-17")
    # Both deadlines have passed. All levels except the deputy head, due nine working hours later, were notified.
    set_time(due + timedelta(hours=7))
    await escalate(scenario)
    late = await scenario.appeal(appeal["id"])
    assert (await shown(scenario, appeal))["next_escalation_at"] == "2026-03-18T03:01:00Z"
    connection = await scenario.database.connect()
    await connection.execute("DELETE FROM calendar_days WHERE day = '2026-03-17'")
    await connection.close()
    await registry_event(scenario, "calendar.changed", calendar, version=3, start="2026-03-17", end="2026-03-17")
    await escalate(scenario)
    assert (await shown(scenario, appeal))["next_escalation_at"] == "2026-03-17T03:01:00Z"
    assert await scenario.appeal(appeal["id"]) == late
    assert await scenario.events("appeal.deadline_changed") == []


async def test_day_off_of_the_base_calendar_moves_deadlines_in_calendars_based_on_it(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    own = await set_calendar(scenario, scenario.organisation, "Свой", [["09:00", "13:00"], ["14:00", "18:00"]])
    connection = await scenario.database.connect()
    await connection.execute(
        "UPDATE calendars SET base_id = (SELECT id FROM calendars WHERE is_default) WHERE id = $1", own
    )
    await connection.close()
    appeal = await opened(scenario, set_time)
    base = await add_day_off(scenario, "2026-03-05")
    await registry_event(scenario, "calendar.changed", base, version=2, start="2026-03-05", end="2026-03-05")
    assert (await scenario.appeal(appeal["id"]))["first_response_due_at"] == "2026-03-06T03:01:00Z"


async def test_new_calendar_of_the_organisation_counts_only_the_remaining_time(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    set_time(WEDNESDAY + timedelta(hours=7))
    await set_calendar(scenario, scenario.organisation, "Круглосуточно", [["00:00", "24:00"]])
    await registry_event(
        scenario, "organisation.changed", scenario.organisation, version=2, changed=["calendar_id"]
    )
    counted = (await deadlines(scenario, appeal))["first_response"]
    assert [event["kind"] for event in counted["events"]] == ["started", "moved"]
    assert counted["due_at"].startswith("2026-03-04T12:01")


async def test_appeal_being_opened_while_the_calendar_changes_gets_the_new_deadline(
    scenario: AppealsScenario, workers: Workers, set_time: SetTime
) -> None:
    set_time(WEDNESDAY + timedelta(minutes=2))
    message = await scenario.insert_message(QUESTION)
    async with workers.one.write() as session:
        matcher, item = await workers.place(session, message)
        calendar = await add_day_off(scenario, "2026-03-05")
        data = sample_data("calendar.changed", version=2, start="2026-03-05", end="2026-03-05").to_stored()
        event = Event(type="calendar.changed", subject_id=calendar, occurred_at=clock.now(), data=data)
        async with workers.two.write() as other:
            await deadline_recomputation.handle_registry_events(other, [event])
        await recompute(scenario, within=timedelta())
        await matcher.place([item])
        matcher.match(item)
        await matcher.write()
    assert (await scenario.single_appeal())["first_response_due_at"] == "2026-03-05T03:01:00Z"
    await recompute(scenario, within=deadline_recomputation.RECOMPUTE_AGAIN_AFTER)
    assert (await scenario.single_appeal())["first_response_due_at"] == "2026-03-06T03:01:00Z"


async def test_renamed_calendar_recomputes_nothing(scenario: AppealsScenario, set_time: SetTime) -> None:
    await opened(scenario, set_time)
    calendar = await add_day_off(scenario, "2026-03-05")
    await scenario.emit("calendar.changed", calendar, None, version=2, changed=["name"], start=None, end=None)
    await scenario.process_events()
    connection = await scenario.database.connect()
    waiting = await connection.fetchval(
        "SELECT count(*) FROM appeals_jobs.pgqueuer WHERE entrypoint = $1", jobs.RECOMPUTE_DEADLINES
    )
    await connection.close()
    assert waiting == 0


async def test_appeal_that_ended_keeps_its_deadline_until_it_is_reopened(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    assert (await scenario.move(appeal, "closed", reason="Повтор")).status_code == 200
    closed = await scenario.appeal(appeal["id"])
    calendar = await add_day_off(scenario, "2026-03-05")
    await registry_event(scenario, "calendar.changed", calendar, version=2, start="2026-03-05", end="2026-03-05")
    assert await scenario.events("appeal.deadline_changed") == []
    unchanged = await scenario.appeal(appeal["id"])
    assert (unchanged["version"], unchanged["first_response_due_at"]) == (
        closed["version"],
        appeal["first_response_due_at"],
    )
    reopened = await scenario.move(unchanged, "reopened", reason="Закрыто по ошибке")
    assert reopened.status_code == 200, reopened.text
    assert reopened.json()["first_response_due_at"] == "2026-03-06T03:01:00Z"
