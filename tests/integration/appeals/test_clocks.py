"""SLA clocks over the API: explanation to the minute, pause and resume, transfer, and stored results."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from services.appeals.sla.clock_rows import all_events, last_of_kind, store_results, unfinished
from services.appeals.sla.sla_context import SlaContext
from shared import clock as time_source
from shared.tables.appeals import Appeal
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import answer
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import _is_problem

HOUR = timedelta(hours=1)
SetTime = Callable[[datetime], None]
RESULTS = (
    "state",
    "due_at",
    "started_at",
    "stopped_at",
    "used_seconds",
    "on_time",
    "explanation",
    "next_warning_at",
)


@pytest.fixture
def set_time(monkeypatch: pytest.MonkeyPatch) -> SetTime:
    """Return a function that sets the application's clock."""

    def to(moment: datetime) -> None:
        monkeypatch.setattr("shared.clock._shift", moment - datetime.now(UTC))

    return to


async def opened(scenario: AppealsScenario, set_time: SetTime, **details: Any) -> dict[str, Any]:
    """Return the only appeal, opened on Wednesday at 10:01 local time."""
    set_time(WEDNESDAY + timedelta(minutes=2))
    await scenario.citizen_writes(QUESTION, **details)
    return await scenario.single_appeal()


async def deadlines(scenario: AppealsScenario, appeal: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the last clock of each kind; check that its used time is the sum of its segments."""
    answer = await scenario.get(f"/appeals/{appeal['id']}/deadlines")
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[str, Any]] = {}
    for clock in answer.json()["clocks"]:
        # A promise is a date, so its clock has no used time to sum up.
        if clock["kind"] != "promise":
            used = sum(part["seconds"] for part in clock["segments"] if not part["planned"])
            assert clock["used_seconds"] == used
        found[clock["kind"]] = clock
    return found


async def pause(scenario: AppealsScenario, appeal: dict[str, Any], verb: str, **body: Any) -> Any:
    return await scenario.post(f"/appeals/{appeal['id']}/clocks/{verb}", body, If_Match="*")


async def test_running_clock_is_explained_in_words_and_figures(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    set_time(WEDNESDAY + 2 * HOUR)
    clock = (await deadlines(scenario, appeal))["first_response"]
    assert (clock["state"], clock["due_at"]) == ("running", "2026-03-05T03:01:00Z")
    assert clock["policy"]["version"] == 1
    assert (clock["target_seconds"], clock["unit"], clock["time_zone"]) == (32_400, "working", "Asia/Irkutsk")
    # The clock keeps running during the test, so the used time is some seconds more than 7,140.
    assert 7_140 <= clock["used_seconds"] < 7_200
    assert clock["used_seconds"] + clock["left_seconds"] == 32_400
    assert clock["text"] == (
        "9 рабочих часов со среды 04.03 10:01: 04.03 — 6 ч 59 мин; 05.03 — 2 ч 1 мин → четверг 05.03 11:01. "
        "Использовано 1 ч 59 мин из 9 ч, осталось 7 ч 1 мин."
    )
    assert [event["kind"] for event in clock["events"]] == ["started"]


async def test_clocks_of_an_ended_appeal_cannot_be_paused(scenario: AppealsScenario) -> None:
    """The deadline of the closed appeal stays: it shows whether the appeal was closed in time."""
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    closed = (await scenario.move(appeal, "closed", reason="Повтор")).json()
    _is_problem(await pause(scenario, closed, "pause", reason="Ждём адрес"), 409)
    found = await scenario.appeal(appeal["id"])
    assert found["first_response_due_at"] == appeal["first_response_due_at"] is not None


async def test_pause_keeps_the_remaining_time_and_is_recorded(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    set_time(WEDNESDAY + 2 * HOUR)
    paused = await pause(scenario, appeal, "pause", reason="Ждём адрес от автора")
    assert paused.status_code == 200, paused.text
    assert {clock["kind"]: clock["state"] for clock in paused.json()["clocks"]} == {
        "first_response": "paused",
        "final_answer": "paused",
    }
    now = await scenario.appeal(appeal["id"])
    assert (now["first_response_due_at"], now["resolution_due_at"], now["overdue"]) == (None, None, False)
    assert now["version"] > appeal["version"]
    _is_problem(await pause(scenario, appeal, "pause", reason="Ещё раз"), 409)
    set_time(WEDNESDAY + timedelta(days=7))
    assert (await scenario.appeal(appeal["id"]))["overdue"] is False
    waiting = (await deadlines(scenario, appeal))["first_response"]
    assert waiting["due_if_resumed_now"].startswith("2026-03-12T01:0")
    assert "пауза (Ждём адрес от автора)" in waiting["text"]
    assert (await pause(scenario, appeal, "resume")).status_code == 200
    _is_problem(await pause(scenario, appeal, "resume"), 409)
    # A little more than seven working hours are left on Wednesday at 10:00: they end on Thursday at 9:01.
    resumed = await scenario.appeal(appeal["id"])
    assert resumed["first_response_due_at"].startswith("2026-03-12T01:0")
    kinds = [entry["kind"] for entry in resumed["timeline"]]
    assert kinds[-2:] == ["clock_paused", "clock_resumed"]
    events = await scenario.events("appeal.clock_paused", "appeal.clock_resumed")
    assert [event["type"] for event in events] == ["appeal.clock_paused", "appeal.clock_resumed"]


async def test_clocks_are_stopped_if_question_and_answer_are_in_one_batch(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    set_time(WEDNESDAY + 2 * HOUR)
    await scenario.insert_message(QUESTION)
    await scenario.insert_message("Отремонтировали", from_community=True, at=WEDNESDAY + HOUR)
    await scenario.process_events()
    appeal = await scenario.single_appeal()
    assert appeal["status"] == "answered"
    found = await deadlines(scenario, appeal)
    assert {clock["state"] for clock in found.values()} == {"stopped"}
    assert [event["kind"] for event in found["first_response"]["events"]] == ["started", "stopped"]
    assert found["first_response"]["used_seconds"] == appeal["first_response_working_seconds"] == 3_540


async def test_answer_during_a_pause_is_on_time(scenario: AppealsScenario, set_time: SetTime) -> None:
    appeal = await opened(scenario, set_time)
    set_time(WEDNESDAY + HOUR)
    await pause(scenario, appeal, "pause", reason="Ждём смету")
    set_time(WEDNESDAY + timedelta(days=9))
    await scenario.citizen_writes(
        "Дорогу отремонтировали", from_community=True, at=WEDNESDAY + timedelta(days=9) - HOUR
    )
    answered = await scenario.appeal(appeal["id"])
    assert answered["status"] == "answered"
    clock = (await deadlines(scenario, appeal))["first_response"]
    assert (clock["state"], clock["on_time"]) == ("stopped", True)
    assert clock["used_seconds"] == pytest.approx(3_540, abs=60)
    assert answered["first_response_working_seconds"] == clock["used_seconds"]
    assert "в срок" in clock["text"]


async def test_only_moderators_and_managers_pause_clocks_of_their_appeals(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    appeal = await opened(scenario, set_time)
    path, body = f"/appeals/{appeal['id']}/clocks/pause", {"reason": "Ждём адрес"}
    executor = await scenario.post(path, body, role="executor", org=scenario.organisation, If_Match="*")
    _is_problem(executor, 403)
    foreign = await scenario.post(path, body, role="manager", org=scenario.other_organisation, If_Match="*")
    _is_problem(foreign, 404)
    _is_problem(await scenario.post(path, body), 428)
    _is_problem(await scenario.post(path, {"reason": " "}, If_Match="*"), 422, "/reason")
    for verb in ("pause", "resume"):
        stale = await scenario.post(f"/appeals/{appeal['id']}/clocks/{verb}", body, If_Match='"99"')
        _is_problem(stale, 412)
    own = await scenario.post(
        path, body, role="manager", org=scenario.organisation, If_Match=f'"{appeal["version"]}"'
    )
    assert own.status_code == 200, own.text
    hidden = await scenario.get(
        f"/appeals/{appeal['id']}/deadlines", role="manager", org=scenario.other_organisation
    )
    _is_problem(hidden, 404)


async def test_transfer_keeps_the_time_used_in_the_earlier_calendar(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    await set_calendar(scenario, scenario.other_organisation, "Круглосуточно", [["00:00", "24:00"]])
    appeal = await opened(scenario, set_time)
    set_time(WEDNESDAY + 7 * HOUR)
    moved = await scenario.move(appeal, "assigned", organisation_id=str(scenario.other_organisation))
    assert moved.status_code == 200, moved.text
    clock = (await deadlines(scenario, appeal))["first_response"]
    assert [event["kind"] for event in clock["events"]] == ["started", "moved"]
    # By 17:00 local time 5 h 59 min are used; the other 3 h 1 min count around the clock.
    assert clock["due_at"].startswith("2026-03-04T12:01")
    assert "по календарю «Круглосуточно»" in clock["text"]


async def test_return_by_staff_after_the_time_limit_of_the_policy_is_refused(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    set_time(WEDNESDAY - timedelta(days=1))
    policy = {"name": "С возвратом", "urgency": "normal", "channel": "vk", "return_hours": 2}
    added = await scenario.post("/sla-policies", policy | {"first_response_hours": 9, "resolution_hours": 56})
    assert added.status_code == 201, added.text
    appeal = await opened(scenario, set_time)
    shown = (await scenario.get(f"/appeals/{appeal['id']}/deadlines")).json()
    assert shown["return_until"].startswith("2026-03-04T04:02")
    assert shown["latest_promise_at"] is None
    set_time(WEDNESDAY + 3 * HOUR)
    path, body = f"/appeals/{appeal['id']}/moves", {"to": "triage", "reason": "Не наша дорога"}
    late = await scenario.post(path, body, role="executor", org=scenario.organisation, If_Match="*")
    assert _is_problem(late, 409)["return_until"].startswith("2026-03-04T04:02")
    assert (await scenario.post(path, body, If_Match="*")).status_code == 200


async def test_appeal_returned_after_an_interim_reply_is_assigned_again(scenario: AppealsScenario) -> None:
    """No message awaits a reply; the appeal still awaits the promised final reply."""
    await scenario.citizen_writes(QUESTION)
    appeal = await scenario.single_appeal()
    promised = (time_source.now() + timedelta(days=3)).isoformat()
    reply = await answer(scenario, appeal, kind="interim", promised_at=promised)
    await scenario.emit_published(reply, at=time_source.now())
    for to, reason in (("assigned", "Уточнено"), ("triage", "Не наш вопрос"), ("assigned", "Всё же их")):
        found = await scenario.appeal(appeal["id"])
        moved = await scenario.move(found, to, organisation_id=_named(scenario, to), reason=reason)
        assert moved.status_code == 200, moved.text
    found = await scenario.appeal(appeal["id"])
    assert (found["status"], found["organisation"]["id"]) == ("assigned", str(scenario.organisation))
    assert (await deadlines(scenario, found))["final_answer"]["state"] == "running"


def _named(scenario: AppealsScenario, to: str) -> str | None:
    return str(scenario.organisation) if to == "assigned" else None


async def set_calendar(scenario: AppealsScenario, organisation: UUID, name: str, hours: list[list[str]]) -> UUID:
    """Give the organisation a calendar with the same hours on every day, as the registry does."""
    connection = await scenario.database.connect()
    try:
        calendar: UUID = await connection.fetchval(
            """INSERT INTO calendars (id, name, time_zone, weekly, is_default, version, created_at, updated_at)
               VALUES (gen_random_uuid(), $1, 'Asia/Irkutsk', $2::text::jsonb, false, 1, now(), now())
               RETURNING id""",
            name,
            "{" + ", ".join(f'"{day}": {hours!r}'.replace("'", '"') for day in range(1, 8)) + "}",
        )
        await connection.execute("UPDATE organisations SET calendar_id = $1 WHERE id = $2", calendar, organisation)
    finally:
        await connection.close()
    return calendar


STEPS = ("pause", "resume", "transfer", "return", "assign", "urgent", "question", "staff", "close", "reopen")


@pytest.mark.parametrize("seed", range(4))
async def test_stored_deadlines_equal_recomputed_ones_after_random_steps(
    scenario: AppealsScenario, set_time: SetTime, seed: int
) -> None:
    await set_calendar(scenario, scenario.other_organisation, "Круглосуточно", [["00:00", "24:00"]])
    appeal = await opened(scenario, set_time)
    chance, now = random.Random(seed), WEDNESDAY + timedelta(minutes=2)
    done = 0
    for step in chance.choices(STEPS, k=14):
        now += timedelta(minutes=chance.randint(1, 900))
        set_time(now)
        done += await _step(scenario, await scenario.appeal(appeal["id"]), step, now)
    assert done >= 5
    async with scenario.appeals.service.database.write() as session:
        row = await session.scalar(select(Appeal).where(Appeal.id == UUID(appeal["id"])))
        assert row is not None
        sla = await SlaContext.load(session, {row.organisation_id})
        for clock in row.clocks:
            assert [event.sequence for event in all_events(clock)] == list(range(1, len(all_events(clock)) + 1))
            if clock.start_recorded_at is not None:
                before = {name: getattr(clock, name) for name in RESULTS}
                store_results(clock, sla)
                assert {name: getattr(clock, name) for name in RESULTS} == before
        first, final = last_of_kind(row, "first_response"), last_of_kind(row, "final_answer")
        following = unfinished(row, "next_response")
        assert first is not None
        assert final is not None
        assert (row.first_response_due_at, row.resolution_due_at) == (first.due_at, final.due_at)
        assert row.next_response_due_at == (following.due_at if following else None)
        await session.rollback()


async def _step(scenario: AppealsScenario, appeal: dict[str, Any], step: str, now: datetime) -> bool:
    """Try one step; return True if the service accepted it."""
    organisations = (scenario.organisation, scenario.other_organisation)
    owner = appeal["organisation"]["id"] if appeal["organisation"] else None
    other = next(str(found) for found in organisations if str(found) != owner)
    if step in {"pause", "resume"}:
        body = {"reason": "Ждём адрес"} if step == "pause" else {}
        answer = await pause(scenario, appeal, step, **body)
    elif step in {"question", "staff"}:
        text = "Когда отремонтируете дорогу?" if step == "question" else "Отремонтируем завтра"
        await scenario.citizen_writes(text, from_community=step == "staff", at=now - timedelta(minutes=1))
        return True
    elif step == "urgent":
        message = appeal["messages"][0]["id"]
        answer = await scenario.post(f"/messages/{message}/triage", {"needs_answer": True, "urgency": "high"})
    else:
        to = {"transfer": "assigned", "assign": "assigned", "return": "triage", "close": "closed"}.get(
            step, "reopened"
        )
        named = {"organisation_id": other} if step == "transfer" or owner is None else {}
        answer = await scenario.move(appeal, to, reason="Так решили", **(named if to == "assigned" else {}))
    assert answer.status_code in {200, 201, 409, 422}, answer.text
    return bool(answer.status_code < 300)
