"""The deadline of the final answer: warnings, recorded breaches and escalations."""

import json
from datetime import timedelta
from typing import Any

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import answer
from tests.integration.appeals.test_clocks import SetTime, deadlines, opened, set_time
from tests.support.service_under_test import CENTRE_SUBJECT

__all__ = ["set_time"]  # re-exported so that pytest finds the fixture here

HOUR = timedelta(hours=1)
JOBS = ("warn-of-deadlines", "record-breaches", "record-broken-promises", "escalate-appeals")
# 56 working hours from Wednesday 4 March 10:01 end on Monday 16 March at 10:01: Monday 9 March is a day off.
DUE = WEDNESDAY + timedelta(days=12, minutes=1)
PROMISED = DUE + timedelta(days=10)


async def run_jobs(scenario: AppealsScenario) -> None:
    for job in JOBS:
        await scenario.handle_schedule(job)


async def recorded(scenario: AppealsScenario, event_type: str) -> list[dict[str, Any]]:
    return [json.loads(event["data"]) for event in await scenario.events(event_type)]


async def opened_and_promised(scenario: AppealsScenario, set_time: SetTime) -> dict[str, Any]:
    """Return an appeal whose interim reply promises the final answer for ten days after its deadline."""
    appeal = await opened(scenario, set_time)
    interim = await answer(scenario, appeal, "Уточним", kind="interim", promised_at=PROMISED.isoformat())
    await scenario.emit_published(interim, at=WEDNESDAY + HOUR)
    return await scenario.single_appeal()


async def test_late_final_answer_causes_a_warning_a_breach_and_escalations_once(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    executor = await register(scenario, "Исполнитель")
    manager = await register(scenario, "Руководитель", "manager")
    appeal = await opened_and_promised(scenario, set_time)
    set_time(DUE - HOUR)
    await run_jobs(scenario)
    assert (await scenario.single_appeal())["overdue"] is False
    set_time(DUE + HOUR)
    for _ in range(2):
        await run_jobs(scenario)
    assert [(near["clock"], near["share"]) for near in await recorded(scenario, "appeal.deadline_near")] == [
        ("final_answer", 0.8)
    ]
    late = await recorded(scenario, "appeal.overdue")
    assert [(event["clock"], event["due_at"]) for event in late] == [("final_answer", DUE.isoformat())]
    steps = await recorded(scenario, "appeal.escalated")
    assert [(step["clock"], step["step"], step["told"]) for step in steps] == [
        ("final_answer", "executor", [executor.ref]), ("final_answer", "manager", [manager.ref]),
    ]  # fmt: skip
    (found,) = await scenario.all(overdue=True)
    assert (found["id"], found["overdue"]) == (appeal["id"], True)
    (entry,) = [one for one in (await scenario.single_appeal())["timeline"] if one["kind"] == "overdue"]
    assert (entry["data"]["clock"], entry["data"]["due_at"]) == ("final_answer", DUE.isoformat())
    assert entry["data"]["deadline"].startswith("56 рабочих часов")
    final = await answer(scenario, found, "Починили.")
    await scenario.emit_published(final, at=DUE + HOUR, external_id="-101_78")
    set_time(DUE + timedelta(days=20))
    await run_jobs(scenario)
    assert len(await recorded(scenario, "appeal.overdue")) == 1
    assert len(await recorded(scenario, "appeal.escalated")) == 2
    assert await scenario.all(overdue=True) == []


async def test_breach_is_escalated_once_to_each_person(scenario: AppealsScenario, set_time: SetTime) -> None:
    """The appeal is transferred after the breach was escalated to the centre: only the new manager is added."""
    first, centre = (
        await register(scenario, "Первый", "manager"),
        await register(scenario, "Модератор", "moderator"),
    )
    second = await register(scenario, "Второй", "manager", scenario.other_organisation)
    await opened_and_promised(scenario, set_time)
    set_time(DUE + 6 * HOUR)
    await run_jobs(scenario)
    appeal = await scenario.single_appeal()
    moved = await scenario.move(appeal, "assigned", organisation_id=str(scenario.other_organisation))
    assert moved.status_code == 200, moved.text
    await run_jobs(scenario)
    escalations = [(step["step"], step["told"]) for step in await recorded(scenario, "appeal.escalated")]
    # The test client, who moved the appeal, is a moderator too.
    assert escalations == [
        ("manager", [first.ref]), ("centre", sorted([CENTRE_SUBJECT, centre.ref])), ("manager", [second.ref]),
    ]  # fmt: skip
    assert len(await recorded(scenario, "appeal.overdue")) == 1


async def test_unanswered_appeal_has_a_recorded_breach_of_both_deadlines(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    await opened(scenario, set_time)
    set_time(DUE + HOUR)
    await run_jobs(scenario)
    assert [late["clock"] for late in await recorded(scenario, "appeal.overdue")] == [
        "first_response",
        "final_answer",
    ]
    steps = await recorded(scenario, "appeal.escalated")
    assert sorted({step["clock"] for step in steps}) == ["final_answer", "first_response"]


async def test_final_answer_of_a_returned_appeal_is_not_late(scenario: AppealsScenario, set_time: SetTime) -> None:
    appeal = await opened(scenario, set_time)
    assert (await scenario.move(appeal, "triage", reason="Не наше")).status_code == 200
    set_time(DUE + HOUR)
    await run_jobs(scenario)
    assert await scenario.events("appeal.overdue", "appeal.escalated") == []
    assert await scenario.all(overdue=True) == []


async def test_appeal_closed_by_mistake_keeps_its_breaches_when_it_is_reopened(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    await opened(scenario, set_time)
    await scenario.citizen_writes("Отремонтируем завтра", from_community=True, at=WEDNESDAY + HOUR)
    set_time(WEDNESDAY + 2 * HOUR)
    await scenario.citizen_writes("Когда отремонтируете дорогу?", at=WEDNESDAY + 2 * HOUR)
    set_time(DUE + 24 * HOUR)
    await run_jobs(scenario)
    late = await scenario.single_appeal()
    assert (late["status"], late["overdue"]) == ("reopened", True)
    reopened = await _closed_and_reopened(scenario, late)
    dates = ("next_response_due_at", "resolution_due_at", "overdue")
    assert [reopened[name] for name in dates] == [late[name] for name in dates]
    found = await deadlines(scenario, reopened)
    assert [[event["kind"] for event in found[kind]["events"]] for kind in ("next_response", "final_answer")] == [
        ["started"], ["started"],
    ]  # fmt: skip
    await run_jobs(scenario)
    assert sorted(event["clock"] for event in await recorded(scenario, "appeal.overdue")) == [
        "final_answer", "next_response",
    ]  # fmt: skip


async def test_promise_and_final_answer_stay_due_when_a_closed_appeal_is_reopened(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    promised = await opened_and_promised(scenario, set_time)
    set_time(DUE + HOUR)
    await run_jobs(scenario)
    reopened = await _closed_and_reopened(scenario, promised)
    assert (reopened["promised_at"], reopened["overdue"]) == (promised["promised_at"], True)
    final = (await deadlines(scenario, reopened))["final_answer"]
    assert [event["kind"] for event in final["events"]] == ["started"]
    # A reply that staff write in the network still answers the appeal.
    await scenario.citizen_writes("Яма засыпана", from_community=True, at=DUE + HOUR)
    assert (await scenario.single_appeal())["status"] == "answered"


async def _closed_and_reopened(scenario: AppealsScenario, appeal: dict[str, Any]) -> dict[str, Any]:
    closed = await scenario.move(appeal, "closed", reason="Повтор")
    assert closed.status_code == 200, closed.text
    reopened = await scenario.move(closed.json(), "reopened", reason="Закрыто по ошибке")
    assert reopened.status_code == 200, reopened.text
    return await scenario.single_appeal()
