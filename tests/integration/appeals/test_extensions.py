"""Extensions of deadlines: requested by the organisation and decided once by the centre, before the deadline."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import select

from services.appeals.sla.clock_rows import store_results
from services.appeals.sla.sla_context import SlaContext
from shared.tables.appeals import Appeal
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import COLLEAGUE, answer, appeal, execute, request, timeline_kinds
from tests.integration.appeals.test_appeals_api import _is_problem
from tests.integration.appeals.test_clocks import RESULTS, SetTime, set_time
from tests.support.service_under_test import CENTRE_SUBJECT

__all__ = ["set_time"]  # re-exported so that pytest finds the fixture here
HOUR = timedelta(hours=1)
GROUND = "Нужна экспертиза моста: акт подрядчик даст во вторник"
EXECUTOR = str(UUID(int=7))


async def opened(scenario: AppealsScenario, set_time: SetTime, **names: str) -> dict[str, Any]:
    """Open an appeal on Wednesday at 10:01 local time, set the clock to 11:00, and return the appeal."""
    set_time(WEDNESDAY + timedelta(minutes=2))
    found = await appeal(scenario, **names)
    set_time(WEDNESDAY + HOUR)
    return found


async def ask(scenario: AppealsScenario, found: dict[str, Any], **more: Any) -> httpx.Response:
    """Request an extension as an executor of the organisation."""
    body = {"hours": 16, "ground": GROUND} | {key: more.pop(key) for key in ("hours", "clock") if key in more}
    return await request(
        scenario, "POST", f"/appeals/{found['id']}/extension-requests", body,
        **({"subject": EXECUTOR, "If_Match": f'"{found["version"]}"'} | more),
    )  # fmt: skip


async def asked(scenario: AppealsScenario, found: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = await ask(scenario, found, **more)
    assert made.status_code == 201, made.text
    assert made.headers["ETag"] == '"1"'
    found_request: dict[str, Any] = made.json()
    return found_request


async def decide(
    scenario: AppealsScenario, made: dict[str, Any], action: str, *, subject: str = CENTRE_SUBJECT, **more: Any
) -> httpx.Response:
    path = f"/appeals/{made['appeal_id']}/extension-requests/{made['id']}/{action}"
    body = {"remarks": "Ответьте, что уже сделано"} if action == "refuse" else {}
    return await request(
        scenario, "POST", path, body,
        **({"role": "moderator", "subject": subject, "If_Match": f'"{made["version"]}"'} | more),
    )  # fmt: skip


async def deadlines(scenario: AppealsScenario, found: dict[str, Any], **who: Any) -> dict[str, Any]:
    shown = await request(scenario, "GET", f"/appeals/{found['id']}/deadlines", **({"role": "moderator"} | who))
    assert shown.status_code == 200, shown.text
    body: dict[str, Any] = shown.json()
    return body


async def withdraw(scenario: AppealsScenario, made: dict[str, Any], **more: Any) -> httpx.Response:
    """Withdraw a request, as the executor who made it unless `more` names another person."""
    path = f"/appeals/{made['appeal_id']}/extension-requests/{made['id']}/withdraw"
    who = {"subject": EXECUTOR, "If_Match": f'"{made["version"]}"'} | more
    return await request(scenario, "POST", path, **who)


async def test_withdrawn_request_is_not_decided_and_may_be_made_again(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    made = await asked(scenario, found)
    answers = [await withdraw(scenario, made, Idempotency_Key="back") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200], answers[0].text
    assert answers[0].json() == answers[1].json()
    body = answers[0].json()
    assert (body["status"], body["version"], body["decided_by"]["id"]) == ("withdrawn", 2, EXECUTOR)
    assert answers[0].headers["ETag"] == '"2"'
    assert (await scenario.appeal(found["id"]))["resolution_due_at"] == found["resolution_due_at"]
    kinds = await timeline_kinds(scenario, found)
    assert kinds[-2:] == ["extension_requested", "extension_withdrawn"]
    (event,) = await scenario.events("appeal.extension_withdrawn")
    assert GROUND not in event["data"]
    listed = await request(scenario, "GET", "/extension-requests", role="moderator")
    assert listed.json()["items"] == []
    # A withdrawn request can be neither decided nor withdrawn again.
    for late in (await decide(scenario, body, "approve"), await withdraw(scenario, body)):
        assert _is_problem(late, 409)["request_status"] == "withdrawn"
    again = await asked(scenario, await scenario.appeal(found["id"]))
    assert (await decide(scenario, again, "approve")).status_code == 200
    assert _is_problem(await withdraw(scenario, again | {"version": 2}), 409)["request_status"] == "approved"


async def test_request_is_withdrawn_only_by_its_author_and_managers_of_the_organisation(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    _is_problem(await ask(scenario, found, If_Match='"99"'), 412)
    made = await asked(scenario, found)
    for refused, status in (
        ({"subject": COLLEAGUE}, 403),
        ({"role": "moderator", "subject": COLLEAGUE}, 403),
        ({"role": "manager", "org": scenario.other_organisation}, 404),
        ({"If_Match": '"7"'}, 412),
    ):
        _is_problem(await withdraw(scenario, made, **refused), status)
    path = f"/appeals/{found['id']}/extension-requests/{made['id']}/withdraw"
    assert (await request(scenario, "POST", path, subject=EXECUTOR)).status_code == 428
    assert (await withdraw(scenario, made, role="manager", subject=COLLEAGUE)).status_code == 200


async def final_clock(scenario: AppealsScenario, found: dict[str, Any]) -> dict[str, Any]:
    clocks = (await deadlines(scenario, found))["clocks"]
    return next(clock for clock in clocks if clock["kind"] == "final_answer")


async def status_of(scenario: AppealsScenario, made: dict[str, Any]) -> tuple[str, str | None]:
    (shown,) = (await deadlines(scenario, {"id": made["appeal_id"]}))["extension_requests"]
    return shown["status"], shown["ended_reason"]


async def stored_results_equal_recomputed(scenario: AppealsScenario) -> None:
    """Check that the stored results of all clocks equal those recomputed from their events."""
    async with scenario.appeals.service.database.write() as session:
        appeals = (await session.scalars(select(Appeal))).all()
        sla = await SlaContext.load(session, {found.organisation_id for found in appeals})
        for row in [row for found in appeals for row in found.clocks]:
            before = {name: getattr(row, name) for name in (*RESULTS, "unextended_due_at")}
            store_results(row, sla)
            assert {name: getattr(row, name) for name in before} == before
        await session.rollback()


async def test_approved_request_extends_the_deadline_and_its_explanation(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    made = await asked(scenario, found)
    assert (made["status"], made["unit"], made["hours"], made["ground"]) == ("open", "working", 16, GROUND)
    assert made["due_at"] == found["resolution_due_at"]
    assert (await scenario.appeal(found["id"]))["resolution_due_at"] == found["resolution_due_at"]
    approved = await decide(scenario, made, "approve")
    assert approved.status_code == 200, approved.text
    assert (approved.json()["status"], approved.json()["version"]) == ("approved", 2)
    now = await scenario.appeal(found["id"])
    assert (now["extensions"], now["version"] > found["version"]) == (1, True)
    assert now["first_response_due_at"] == found["first_response_due_at"]
    clock = await final_clock(scenario, found)
    # Seven working days from Wednesday 10:01, without the day off on 9 March; then the two of the extension.
    assert (clock["unextended_due_at"], clock["due_at"]) == ("2026-03-16T02:01:00Z", "2026-03-18T02:01:00Z")
    assert clock["due_at"] == now["resolution_due_at"] == approved.json()["extended_due_at"]
    assert (clock["target_seconds"], clock["extension_seconds"]) == (56 * 3600, 16 * 3600)
    assert clock["used_seconds"] + clock["left_seconds"] == 72 * 3600
    assert [event["kind"] for event in clock["events"]] == ["started", "extended"]
    text = clock["text"]
    assert text.startswith(
        "56 рабочих часов со среды 04.03 10:01, продлено на 16 рабочих часов: 04.03 — 6 ч 59 мин;"
    )
    assert "→ среда 18.03 10:01 (без продления — понедельник 16.03 10:01). Использовано" in text
    assert "из 72 ч, осталось 71 ч" in text
    entries = [entry for entry in now["timeline"] if entry["kind"].startswith("extension")]
    assert [entry["kind"] for entry in entries] == ["extension_requested", "extension_approved"]
    assert "продлено на 16 рабочих часов" in entries[1]["data"]["deadline"]
    events = await scenario.events("appeal.extension_requested", "appeal.extension_approved")
    assert [event["type"] for event in events] == ["appeal.extension_requested", "appeal.extension_approved"]
    assert json.loads(events[1]["data"])["due_at"] == "2026-03-18T02:01:00+00:00"
    assert all(GROUND not in event["data"] for event in events)
    await stored_results_equal_recomputed(scenario)


async def test_refused_request_shows_the_remarks_and_keeps_the_deadline(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    made = await asked(scenario, found)
    path = f"/appeals/{found['id']}/extension-requests/{made['id']}/refuse"
    blank = await request(scenario, "POST", path, {"remarks": " "}, role="moderator", If_Match="*")
    _is_problem(blank, 422, "/remarks")
    refused = await decide(scenario, made, "refuse")
    assert (refused.status_code, refused.json()["status"]) == (200, "refused")
    now = await scenario.appeal(found["id"])
    assert (now["resolution_due_at"], now["extensions"]) == (found["resolution_due_at"], 0)
    (shown,) = (await deadlines(scenario, found, role="executor"))["extension_requests"]
    assert shown["remarks"] == "Ответьте, что уже сделано"
    assert (await timeline_kinds(scenario, found))[-2:] == ["extension_requested", "extension_refused"]
    _is_problem(await decide(scenario, made, "approve"), 409)
    # After a refusal a new request is accepted.
    await asked(scenario, now)


async def test_request_is_decided_only_by_a_moderator_other_than_its_author(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    made = await asked(scenario, found, role="moderator", subject=CENTRE_SUBJECT)
    for action in ("approve", "refuse"):
        _is_problem(await decide(scenario, made, action), 403)
        for role in ("manager", "approver", "executor"):
            _is_problem(await decide(scenario, made, action, role=role, subject=COLLEAGUE), 403)
        _is_problem(await decide(scenario, made, action, subject=COLLEAGUE, If_Match='"7"'), 412)
    assert (await decide(scenario, made, "approve", subject=COLLEAGUE)).status_code == 200


async def test_organisation_sees_only_its_own_extension_requests(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    foreign = await ask(scenario, found, org=scenario.other_organisation)
    _is_problem(foreign, 404)
    made = await asked(scenario, found)

    async def listed(**who: Any) -> list[dict[str, Any]]:
        shown = await request(scenario, "GET", "/extension-requests", **who)
        assert shown.status_code == 200, shown.text
        items: list[dict[str, Any]] = shown.json()["items"]
        return items

    assert [item["request"]["id"] for item in await listed(role="moderator")] == [made["id"]]
    (own,) = await listed()
    assert (own["appeal_number"], own["organisation"]) == (found["number"], "Школа № 1")
    assert await listed(org=scenario.other_organisation) == []
    moved = await scenario.move(
        await scenario.appeal(found["id"]), "assigned", organisation_id=str(scenario.other_organisation)
    )
    assert moved.status_code == 200, moved.text
    assert await status_of(scenario, made) == ("ended", "transferred")
    assert await listed(role="moderator") == []
    gained = await deadlines(scenario, found, role="executor", org=scenario.other_organisation)
    assert gained["extension_requests"] == []
    assert GROUND not in json.dumps(gained, ensure_ascii=False)
    ended = await scenario.events("appeal.extension_ended")
    assert [event["organisation_id"] for event in ended] == [scenario.organisation]


async def test_policy_limits_extensions_by_clock_number_and_hours(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    set_time(WEDNESDAY - HOUR)
    policy = {
        "name": "С продлением", "urgency": "normal", "channel": "vk", "first_response_hours": 9,
        "resolution_hours": 56,
        "extensions": {"final_answer": {"count": 1, "hours": 8}, "first_response": {"count": 1, "hours": 4}},
    }  # fmt: skip
    made_policy = await scenario.post("/sla-policies", policy)
    assert made_policy.status_code == 201, made_policy.text
    found = await opened(scenario, set_time)
    _is_problem(await ask(scenario, found), 422, "/hours")
    _is_problem(await ask(scenario, found, hours=4, clock="next_response"), 409)
    response = await asked(scenario, found, hours=4, clock="first_response")
    final = await asked(scenario, found, hours=8)
    _is_problem(await ask(scenario, found, hours=8), 409)
    for made in (response, final):
        assert (await decide(scenario, made, "approve")).status_code == 200
    now = await scenario.appeal(found["id"])
    # Four working hours after Thursday 11:01, excluding an hour of lunch, end at 16:01.
    assert (now["first_response_due_at"], now["extensions"]) == ("2026-03-05T08:01:00Z", 2)
    used_up = await ask(scenario, now, hours=1)
    _is_problem(used_up, 409)
    assert "used up" in used_up.json()["detail"]
    # A new version of the policy does not change the extensions that this running clock may get.
    key = made_policy.json()["policy_key"]
    wider = policy | {"extensions": {"final_answer": {"count": 9, "hours": 99}}}
    changed = await request(scenario, "PUT", f"/sla-policies/{key}", wider, role="moderator", If_Match='"1"')
    assert changed.status_code == 200, changed.text
    _is_problem(await ask(scenario, now, hours=1), 409)
    assert (await scenario.appeal(found["id"]))["resolution_due_at"] == now["resolution_due_at"]


async def test_approval_is_refused_after_a_change_to_a_policy_without_extensions(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    set_time(WEDNESDAY - HOUR)
    urgent = {
        "name": "Срочное без продления", "urgency": "high", "channel": "vk", "first_response_hours": 4,
        "resolution_hours": 56, "extensions": {"final_answer": None},
    }  # fmt: skip
    assert (await scenario.post("/sla-policies", urgent)).status_code == 201
    found = await opened(scenario, set_time)
    made = await asked(scenario, found)
    triage = {"needs_answer": True, "urgency": "high"}
    raised = await scenario.post(f"/messages/{found['messages'][0]['id']}/triage", triage)
    assert raised.status_code == 200, raised.text
    assert await status_of(scenario, made) == ("open", None)
    _is_problem(await decide(scenario, made, "approve"), 409)
    assert (await decide(scenario, made, "refuse")).status_code == 200


async def test_first_response_is_not_extended_by_default(scenario: AppealsScenario, set_time: SetTime) -> None:
    found = await opened(scenario, set_time)
    refused = await ask(scenario, found, clock="first_response")
    _is_problem(refused, 409)
    assert "allows no extension" in refused.json()["detail"]


async def test_deadline_that_has_passed_is_not_extended(scenario: AppealsScenario, set_time: SetTime) -> None:
    found = await opened(scenario, set_time)
    made = await asked(scenario, found)
    set_time(datetime(2026, 3, 16, 2, 2, tzinfo=UTC))
    _is_problem(await decide(scenario, made, "approve"), 409)
    await scenario.handle_schedule("end-late-extension-requests")
    assert await status_of(scenario, made) == ("ended", "deadline_passed")
    _is_problem(await ask(scenario, found), 409)
    assert (await timeline_kinds(scenario, found))[-1] == "extension_ended"
    (event,) = await scenario.events("appeal.extension_ended")
    assert json.loads(event["data"])["reason"] == "deadline_passed"


async def test_request_ends_when_the_appeal_is_answered_closed_or_returned(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found, closed, returned = [
        await opened(scenario, set_time, author=author, thread=f"vk:-101_{number}")
        for number, author in enumerate(("anna", "boris", "vera"), start=1)
    ]
    requests = [await asked(scenario, one) for one in (found, closed, returned)]
    # An interim reply does not stop the clock of the final answer, so the request stays open.
    promised_at = (WEDNESDAY + timedelta(days=3)).isoformat()
    interim = await answer(scenario, found, kind="interim", promised_at=promised_at)
    await scenario.emit_published(interim, at=WEDNESDAY + HOUR)
    assert await status_of(scenario, requests[0]) == ("open", None)
    final = await answer(scenario, found, text="Мост отремонтирован.")
    await scenario.emit_published(final, at=WEDNESDAY + 2 * HOUR, external_id="-101_78")
    assert (await scenario.move(closed, "closed", reason="Повтор")).status_code == 200
    assert (await scenario.move(returned, "triage", reason="Не наше")).status_code == 200
    assert [await status_of(scenario, made) for made in requests] == [
        ("ended", "answered"),
        ("ended", "closed"),
        ("ended", "returned"),
    ]


async def test_request_ends_when_the_appeal_is_merged(scenario: AppealsScenario, set_time: SetTime) -> None:
    into = await opened(scenario, set_time)
    merged = await opened(scenario, set_time, thread="vk:-101_2")
    made = await asked(scenario, merged)
    done = await request(
        scenario, "POST", f"/appeals/{merged['id']}/merge", {"into": into["id"], "reason": "Повтор"},
        role="moderator", If_Match="*",
    )  # fmt: skip
    assert done.status_code == 200, done.text
    assert await status_of(scenario, made) == ("ended", "merged")


async def test_retry_with_the_same_key_requests_and_approves_once(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    key = str(uuid4())
    first, again = [await ask(scenario, found, Idempotency_Key=key) for _ in range(2)]
    assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
    _is_problem(await ask(scenario, found, Idempotency_Key=key, hours=8), 422, "header/Idempotency-Key")
    _is_problem(await ask(scenario, found), 409)
    key = str(uuid4())
    approvals = [await decide(scenario, first.json(), "approve", Idempotency_Key=key) for _ in range(2)]
    assert [made.status_code for made in approvals] == [200, 200]
    assert (await scenario.appeal(found["id"]))["extensions"] == 1
    assert (await final_clock(scenario, found))["extension_seconds"] == 16 * 3600


async def test_second_of_two_concurrent_decisions_about_a_request_is_refused(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    for number, actions in enumerate((("approve", "approve"), ("approve", "refuse")), start=1):
        found = await opened(scenario, set_time, author=f"author-{number}", thread=f"vk:-101_{number}")
        made = await asked(scenario, found)
        answers = await asyncio.gather(
            decide(scenario, made, actions[0], subject=CENTRE_SUBJECT),
            decide(scenario, made, actions[1], subject=COLLEAGUE),
        )
        assert sorted(one.status_code for one in answers) == [200, 409]
        kinds = [kind for kind in await timeline_kinds(scenario, found) if kind.startswith("extension")]
        assert len(kinds) == 2
        clock = await final_clock(scenario, found)
        approved = kinds[-1] == "extension_approved"
        assert clock["extension_seconds"] == (16 * 3600 if approved else 0)


async def test_approval_concurrent_with_the_final_answer_is_applied_before_it_or_refused(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    """Either may be handled first; the clock stops once and the request ends once."""
    for number in (1, 2):
        found = await opened(scenario, set_time, author=f"author-{number}", thread=f"vk:-101_{number}")
        made = await asked(scenario, found)
        reply = await answer(scenario, found, text=f"Мост отремонтирован, бригада {number}.")
        decided, _ = await asyncio.gather(
            decide(scenario, made, "approve"),
            scenario.emit_published(reply, at=WEDNESDAY + HOUR, external_id=f"-101_7{number}"),
        )
        clock = await final_clock(scenario, found)
        assert (clock["state"], clock["on_time"]) == ("stopped", True)
        kinds = [event["kind"] for event in clock["events"]]
        if decided.status_code == 200:
            assert (await status_of(scenario, made), kinds) == (
                ("approved", None),
                ["started", "extended", "stopped"],
            )
        else:
            _is_problem(decided, 409)
            assert (await status_of(scenario, made), kinds) == (("ended", "answered"), ["started", "stopped"])
        now = await scenario.appeal(found["id"])
        assert (now["status"], now["extensions"]) == ("answered", kinds.count("extended"))
    await stored_results_equal_recomputed(scenario)


async def test_extension_delays_further_warnings_and_escalations(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    set_time(WEDNESDAY - HOUR)
    policy = {
        "name": "С продлением", "urgency": "normal", "channel": "vk", "first_response_hours": 9,
        "resolution_hours": 56, "extensions": {"first_response": {"count": 1, "hours": 8}},
    }  # fmt: skip
    assert (await scenario.post("/sla-policies", policy)).status_code == 201
    await register(scenario, "Мария Исполнитель")
    found = await opened(scenario, set_time)
    made = await asked(scenario, found, hours=8, clock="first_response")
    # On Thursday at 10:00 local time almost 8 of 9 hours are used: a warning is sent, the executor is notified.
    set_time(WEDNESDAY + timedelta(days=1))
    for job in ("warn-of-deadlines", "escalate-appeals"):
        await scenario.handle_schedule(job)
    escalated = (await deadlines(scenario, found))["escalations"]
    assert [row["step"] for row in escalated] == ["executor"]
    assert (await decide(scenario, made, "approve")).status_code == 200
    # The manager was to be notified on Thursday at 11:01; now every step is a working day later.
    set_time(WEDNESDAY + timedelta(days=1, hours=2))
    for job in ("warn-of-deadlines", "escalate-appeals", "record-breaches"):
        await scenario.handle_schedule(job)
    shown = await deadlines(scenario, found)
    assert [row["step"] for row in shown["escalations"]] == ["executor"]
    # With the new deadline, four fifths of 17 hours (13 h 36 min) are used on Thursday at 16:37.
    assert shown["next_escalation_at"].startswith("2026-03-05T08:37:00")
    kinds = await timeline_kinds(scenario, found)
    assert (kinds.count("deadline_near"), kinds.count("overdue")) == (1, 0)
    first = next(clock for clock in shown["clocks"] if clock["kind"] == "first_response")
    assert (first["due_at"], first["next_warning_at"]) == ("2026-03-06T03:01:00Z", None)


async def test_request_during_a_pause_is_approved_and_has_no_new_deadline_yet(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    found = await opened(scenario, set_time)
    paused = await scenario.post(f"/appeals/{found['id']}/clocks/pause", {"reason": "Ждём адрес"}, If_Match="*")
    assert paused.status_code == 200
    made = await asked(scenario, await scenario.appeal(found["id"]))
    assert made["due_at"] is None
    approved = await decide(scenario, made, "approve")
    assert (approved.status_code, approved.json()["extended_due_at"]) == (200, None)
    clock = await final_clock(scenario, found)
    assert clock["used_seconds"] + clock["left_seconds"] == 72 * 3600


async def test_list_of_open_requests_is_paged_and_masks_personal_data(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    made = []
    for number in range(1, 4):
        found = await opened(scenario, set_time, author=f"author-{number}", thread=f"vk:-101_{number}")
        made.append(await asked(scenario, found))
    await execute(
        scenario, "UPDATE extension_requests SET ground = 'Заявитель просит: +7 902 123-45-67' WHERE id = $1",
        UUID(made[0]["id"]),
    )  # fmt: skip
    first = await scenario.get("/extension-requests", limit=2)
    assert "123-45-67" not in first.text
    second = await scenario.get("/extension-requests", limit=2, cursor=first.json()["next_cursor"])
    items = first.json()["items"] + second.json()["items"]
    oldest_first = sorted(made, key=lambda one: str(one["requested_at"]))
    assert [item["request"]["id"] for item in items] == [one["id"] for one in oldest_first]
