"""Late and nearly late appeals are escalated to the next level once, in working hours, until they are answered."""

import json
from datetime import timedelta
from typing import Any

from services.appeals.deadline_watch.deadline_warnings import record_warnings
from services.appeals.deadline_watch.escalations import record_escalations
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import answer
from tests.integration.appeals.test_clocks import SetTime, opened, pause, set_time
from tests.integration.appeals.test_review_decisions import decide

__all__ = ["set_time"]  # re-exported so that pytest finds the fixture here

HOUR = timedelta(hours=1)
# Of nine working hours from Wednesday 10:01, four fifths are used on Thursday at 9:13; the deadline is at 11:01.
NEAR, LATE = WEDNESDAY + 23.5 * HOUR, WEDNESDAY + 25.5 * HOUR


async def escalate(scenario: AppealsScenario) -> int:
    """Run the escalation job once; return the number of appeals handled."""
    async with scenario.appeals.service.database.write() as session:
        return await record_escalations(session)


async def escalated(scenario: AppealsScenario) -> list[tuple[str, list[str]]]:
    """Return the step and the notified people of each escalation, oldest first."""
    events = [json.loads(event["data"]) for event in await scenario.events("appeal.escalated")]
    return [(event["step"], event["told"]) for event in events]


async def shown(scenario: AppealsScenario, appeal: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await scenario.get(f"/appeals/{appeal['id']}/deadlines")).json()
    return found


async def test_each_level_is_notified_once_at_its_time(scenario: AppealsScenario, set_time: SetTime) -> None:
    people = {
        role: await register(scenario, f"Сотрудник {role}", role)
        for role in ("executor", "manager", "moderator", "head")
    }
    appeal = await opened(scenario, set_time)
    steps = (("executor", NEAR), ("manager", LATE), ("moderator", LATE + 5 * HOUR), ("head", LATE + 27 * HOUR))
    for role, moment in steps:
        assert await escalate(scenario) == 0
        set_time(moment)
        assert (await escalate(scenario), await escalate(scenario)) == (1, 0)
        assert (await escalated(scenario))[-1][1] == [people[role].ref]
    assert [step for step, _ in await escalated(scenario)] == ["executor", "manager", "centre", "deputy_head"]
    found = await shown(scenario, appeal)
    # The next escalation is of the final answer, when four fifths of its 56 hours are used.
    assert found["next_escalation_at"] == "2026-03-12T07:49:00Z"
    assert [(row["step"], row["notified"][0]["name"], row["skipped"]) for row in found["escalations"]] == [
        ("executor", "Сотрудник executor", False), ("manager", "Сотрудник manager", False),
        ("centre", "Сотрудник moderator", False), ("deputy_head", "Сотрудник head", False),
    ]  # fmt: skip
    after = await scenario.appeal(appeal["id"])
    entries = [entry for entry in after["timeline"] if entry["kind"] == "escalated"]
    assert [entry["data"]["notified"][0]["name"] for entry in entries][:2] == [
        "Сотрудник executor", "Сотрудник manager",
    ]  # fmt: skip
    # An escalation changes neither `updated_at` nor the version: a new version would make concurrent edits fail.
    assert after["version"] == appeal["version"]
    changed_at = "SELECT updated_at FROM appeals WHERE number = $1"
    assert await scenario.ingest.fetchval(changed_at, appeal["number"]) < NEAR


async def test_nobody_is_notified_at_night_and_a_role_without_people_is_skipped(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    moderator = await register(scenario, "Модератор", "moderator")
    appeal = await opened(scenario, set_time)
    set_time(WEDNESDAY + 34 * HOUR)
    assert (await escalate(scenario), await escalate(scenario)) == (1, 0)
    assert await escalated(scenario) == []
    assert (await shown(scenario, appeal))["next_escalation_at"] == "2026-03-06T01:00:00Z"
    set_time(WEDNESDAY + 47.5 * HOUR)
    assert await escalate(scenario) == 1
    assert await escalated(scenario) == [("manager", []), ("centre", [moderator.ref])]
    assert [row["skipped"] for row in (await shown(scenario, appeal))["escalations"]] == [True, False]


async def test_assignee_is_notified_instead_of_all_executors(scenario: AppealsScenario, set_time: SetTime) -> None:
    await register(scenario, "Анна")
    boris = await register(scenario, "Борис")
    appeal = await opened(scenario, set_time)
    assert (await boris.move(appeal, assignee_id=boris.ref)).status_code == 200
    set_time(NEAR)
    assert await escalate(scenario) == 1
    assert await escalated(scenario) == [("executor", [boris.ref])]


async def test_substitute_of_an_absent_assignee_is_notified(scenario: AppealsScenario, set_time: SetTime) -> None:
    anna, boris = await register(scenario, "Анна"), await register(scenario, "Борис")
    appeal = await opened(scenario, set_time)
    assert (await boris.move(appeal, assignee_id=boris.ref)).status_code == 200
    await register(scenario, "Вера")
    away = {"starts_on": "2026-03-05", "ends_on": "2026-03-06", "substitute_id": anna.ref}
    assert (await boris.post("/absences", away)).status_code == 201
    set_time(NEAR)
    assert await escalate(scenario) == 1
    assert await escalated(scenario) == [("executor", [anna.ref])]


async def test_present_executors_are_notified_if_there_is_no_substitute(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    anna, boris = await register(scenario, "Анна"), await register(scenario, "Борис")
    appeal = await opened(scenario, set_time)
    assert (await boris.move(appeal, assignee_id=boris.ref)).status_code == 200
    assert (await boris.post("/absences", {"starts_on": "2026-03-05", "ends_on": "2026-03-05"})).status_code == 201
    set_time(NEAR)
    assert await escalate(scenario) == 1
    assert await escalated(scenario) == [("executor", [anna.ref])]


async def test_escalation_restarts_after_a_transfer_and_ends_after_an_answer(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    first = await register(scenario, "Первый", "manager")
    second = await register(scenario, "Второй", "manager", scenario.other_organisation)
    appeal = await opened(scenario, set_time)
    set_time(LATE)
    assert await escalate(scenario) == 1
    moved = await scenario.move(appeal, "assigned", organisation_id=str(scenario.other_organisation))
    assert moved.status_code == 200, moved.text
    assert (await escalate(scenario), await escalate(scenario)) == (1, 0)
    assert await escalated(scenario) == [("manager", [first.ref]), ("manager", [second.ref])]
    await scenario.citizen_writes("Отремонтировали", from_community=True, at=LATE)
    assert (await shown(scenario, appeal))["next_escalation_at"] is None
    set_time(LATE + 30 * HOUR)
    assert await escalate(scenario) == 0


async def test_paused_and_returned_appeals_are_not_escalated(scenario: AppealsScenario, set_time: SetTime) -> None:
    await register(scenario, "Руководитель", "manager")
    appeal = await opened(scenario, set_time)
    assert (await pause(scenario, appeal, "pause", reason="Ждём адрес")).status_code == 200
    set_time(LATE)
    assert await escalate(scenario) == 0
    assert (await pause(scenario, appeal, "resume")).status_code == 200
    returned = await scenario.move(await scenario.single_appeal(), "triage", reason="Не наше")
    assert returned.status_code == 200, returned.text
    set_time(LATE + 50 * HOUR)
    await escalate(scenario)
    assert await escalated(scenario) == []
    assert (await shown(scenario, appeal))["next_escalation_at"] is None


async def test_resumed_late_clock_keeps_the_interval_between_escalation_levels(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    for role in ("manager", "moderator", "head"):
        await register(scenario, f"Сотрудник {role}", role)
    appeal = await opened(scenario, set_time)
    set_time(LATE)
    assert await escalate(scenario) == 1
    assert (await pause(scenario, appeal, "pause", reason="Ждём адрес")).status_code == 200
    resumed = LATE + timedelta(days=7)
    set_time(resumed)
    assert (await pause(scenario, appeal, "resume")).status_code == 200
    await escalate(scenario)
    assert [step for step, _ in await escalated(scenario)] == ["manager"]
    # The centre is notified four working hours later, with lunch in between.
    set_time(resumed + 5.5 * HOUR)
    await escalate(scenario)
    assert [step for step, _ in await escalated(scenario)] == ["manager", "centre"]
    set_time(resumed + 30 * HOUR)
    await escalate(scenario)
    assert [step for step, _ in await escalated(scenario)] == ["manager", "centre", "deputy_head"]


async def test_broken_promise_is_escalated_to_the_manager(scenario: AppealsScenario, set_time: SetTime) -> None:
    manager = await register(scenario, "Руководитель", "manager")
    appeal = await opened(scenario, set_time)
    promised = WEDNESDAY + 48 * HOUR
    interim = await answer(scenario, appeal, "Уточним", kind="interim", promised_at=promised.isoformat())
    await scenario.emit_published(interim, at=WEDNESDAY + HOUR)
    set_time(promised - HOUR)
    assert await escalate(scenario) == 0
    set_time(promised + HOUR)
    assert await escalate(scenario) == 1
    assert await escalated(scenario) == [("manager", [manager.ref])]
    assert (await shown(scenario, appeal))["escalations"][0]["clock"] == "promise"


async def test_message_marked_as_needing_no_answer_causes_no_warning_and_no_escalation(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    """The organisation returned the reopened appeal, and a moderator decided that the message needs no answer."""
    appeal = await opened(scenario, set_time)
    await scenario.citizen_writes("Отремонтируем в мае.", from_community=True, at=WEDNESDAY + HOUR)
    set_time(WEDNESDAY + 2 * HOUR)
    again = await scenario.citizen_writes("Когда же дорогу на Бабушкина починят?", at=WEDNESDAY + 2 * HOUR)
    reopened = await scenario.appeal(appeal["id"])
    assert (await scenario.move(reopened, "triage", reason="Уже ответили")).status_code == 200
    await decide(scenario, again, needs_answer=False)
    found = await scenario.appeal(appeal["id"])
    assert (found["status"], found["next_response_due_at"]) == ("answered", None)
    set_time(LATE + 27 * HOUR)
    async with scenario.appeals.service.database.write() as session:
        assert (await record_escalations(session), await record_warnings(session)) == (0, 0)
    assert await scenario.events("appeal.deadline_near", "appeal.escalated") == []
