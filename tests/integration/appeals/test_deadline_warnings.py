"""An organisation is warned once per used share of the time, in working hours, while it has the appeal."""

import json
from datetime import timedelta
from typing import Any

from services.appeals.deadline_watch.deadline_warnings import record_warnings
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_clocks import SetTime, deadlines, opened, pause, set_time
from tests.integration.appeals.test_deadline_recomputation import add_day_off, registry_event

__all__ = ["set_time"]  # re-exported so that pytest finds the fixture here

HOUR = timedelta(hours=1)


async def warn(scenario: AppealsScenario) -> int:
    """Run the warning job once; return the number of clocks handled."""
    async with scenario.appeals.service.database.write() as session:
        return await record_warnings(session)


async def warned(scenario: AppealsScenario) -> list[tuple[str, float]]:
    """Return the clock and the used share of each recorded warning, oldest first."""
    events = [json.loads(event["data"]) for event in await scenario.events("appeal.deadline_near")]
    return [(event["clock"], event["share"]) for event in events]


async def test_warning_for_each_share_is_sent_once_and_only_in_working_hours(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    # Of nine working hours from Wednesday 10:01, half are used at 15:31 and four fifths on Thursday at 9:13.
    assert (await deadlines(scenario, appeal))["first_response"]["next_warning_at"] == "2026-03-04T07:31:00Z"
    set_time(WEDNESDAY + 5 * HOUR)
    assert await warn(scenario) == 0
    set_time(WEDNESDAY + 6 * HOUR)
    assert (await warn(scenario), await warn(scenario)) == (1, 0)
    assert await warned(scenario) == [("first_response", 0.5)]
    set_time(WEDNESDAY + 22 * HOUR)
    assert await warn(scenario) == 0
    set_time(WEDNESDAY + 24 * HOUR)
    assert await warn(scenario) == 1
    assert await warned(scenario) == [("first_response", 0.5), ("first_response", 0.8)]
    entry = (await scenario.appeal(appeal["id"]))["timeline"][-1]
    assert (entry["kind"], entry["data"]["share"]) == ("deadline_near", 0.8)
    assert 0 < entry["data"]["left_seconds"] < 3_700
    assert (await deadlines(scenario, appeal))["first_response"]["next_warning_at"] is None


async def test_only_the_last_of_several_passed_shares_is_recorded(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    await opened(scenario, set_time)
    set_time(WEDNESDAY + 24 * HOUR)
    assert await warn(scenario) == 1
    assert await warned(scenario) == [("first_response", 0.8)]


async def test_warning_that_a_changed_calendar_postponed_waits_for_its_moment(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    await opened(scenario, set_time)
    # The job that recomputes the deadlines has not run yet.
    calendar = await add_day_off(scenario, "2026-03-04")
    set_time(WEDNESDAY + 6 * HOUR)
    assert await warn(scenario) == 1
    assert await warned(scenario) == []
    await registry_event(scenario, "calendar.changed", calendar, version=2, start="2026-03-04", end="2026-03-04")
    set_time(WEDNESDAY + 29 * HOUR)
    assert await warn(scenario) == 1
    assert await warned(scenario) == [("first_response", 0.5)]


async def test_overdue_paused_and_returned_appeals_get_no_warning(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    late = await opened(scenario, set_time)
    set_time(WEDNESDAY + timedelta(days=3))
    await warn(scenario)
    assert await warned(scenario) == []

    async def another(author: str, at: Any) -> dict[str, Any]:
        set_time(at + timedelta(minutes=2))
        await scenario.citizen_writes(
            "Когда отремонтируют дорогу?", author=author, thread=f"vk:-101_{author}", at=at
        )
        return next(found for found in await scenario.all() if found["id"] != late["id"])

    tuesday = WEDNESDAY + timedelta(days=6)
    paused = await another("boris", tuesday)
    assert (await pause(scenario, paused, "pause", reason="Ждём адрес")).status_code == 200
    returned = await scenario.move(late, "triage", reason="Не наш вопрос")
    assert returned.status_code == 200, returned.text
    set_time(tuesday + 6 * HOUR)
    await warn(scenario)
    assert [clock for clock, _ in await warned(scenario) if clock != "final_answer"] == []
    # A closed appeal gets no warning either, and the job does not select it again.
    closed = await scenario.move(await scenario.appeal(paused["id"]), "closed", reason="Повтор")
    assert closed.status_code == 200, closed.text
    set_time(tuesday + timedelta(days=20))
    await warn(scenario)
    assert await warn(scenario) == 0


async def test_reopened_appeal_gets_the_warning_that_is_still_to_come(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    assert (await scenario.move(appeal, "closed", reason="Повтор")).status_code == 200
    set_time(WEDNESDAY + 6 * HOUR)
    await warn(scenario)
    assert await warned(scenario) == []
    reopened = await scenario.move(await scenario.appeal(appeal["id"]), "reopened", reason="Закрыто по ошибке")
    assert reopened.status_code == 200, reopened.text
    set_time(WEDNESDAY + 24 * HOUR)
    await warn(scenario)
    assert await warned(scenario) == [("first_response", 0.8)]
