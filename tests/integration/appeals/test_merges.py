"""Merging two appeals of one author: one reply, one deadline, no lost messages, and undoing the merge."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.appeals.lifecycle.message_queries import WITHOUT_RAW_PAYLOAD
from services.appeals.lifecycle.waiting_messages import asked_at
from services.appeals.moderation import merges
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.tables.ingest import Message
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.people_helpers import register
from tests.integration.appeals.reply_helpers import answer, execute, reply_fails, restart_publication
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_appeals_api import UNCLEAR, _is_problem
from tests.integration.appeals.test_bulk_operations import completed, insert_appeals, rows_of, version_of
from tests.integration.appeals.test_clocks import SetTime, pause, set_time
from tests.integration.appeals.test_concurrent_matching import _waits_for_lock
from tests.integration.appeals.test_reply_changes import published, withdrawn
from tests.support.service_under_test import CENTRE_SUBJECT, insert_page

__all__ = ["set_time"]  # re-exported so that pytest finds the fixture here

HOUR = timedelta(hours=1)
MODERATOR = Caller(CENTRE_SUBJECT, "Test", Role.MODERATOR, None).with_right(Right.APPEALS_TRIAGE)
REASON = "Повтор того же вопроса"
OTHER_THREAD = "vk:-101_2"
AGAIN = "Так когда отремонтируют дорогу на Бабушкина?"


async def _appeal_of(scenario: AppealsScenario, text: str = QUESTION, **details: Any) -> dict[str, Any]:
    message = await scenario.citizen_writes(text, **details)
    row = await scenario.ingest.fetchval("SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message)
    return await scenario.appeal(str(row))


async def _two(scenario: AppealsScenario, text: str = QUESTION) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two appeals of one author in two threads, the earlier one first."""
    first = await _appeal_of(scenario)
    return first, await _appeal_of(scenario, text, thread=OTHER_THREAD, at=WEDNESDAY + HOUR)


async def _merge(
    scenario: AppealsScenario, appeal: dict[str, Any], into: dict[str, Any], *, role: str = "moderator"
) -> httpx.Response:
    body = {"into": into["id"], "reason": REASON}
    return await scenario.post(
        f"/appeals/{appeal['id']}/merge", body, role=role, If_Match=f'"{appeal["version"]}"'
    )


async def _unmerge(scenario: AppealsScenario, appeal_id: str) -> httpx.Response:
    return await scenario.post(f"/appeals/{appeal_id}/unmerge", {"reason": "Это другая дорога"}, If_Match="*")


def _texts(appeal: dict[str, Any]) -> list[str]:
    return [message["text"] for message in appeal["messages"]]


async def test_merge_keeps_all_messages_and_the_earlier_deadline(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    merged = await _merge(scenario, second, first)
    assert merged.status_code == 200, merged.text
    found, into = merged.json(), await scenario.appeal(first["id"])
    assert (found["status"], found["allowed_moves"], found["overdue"]) == ("merged", [], False)
    assert (found["version"], into["version"]) == (second["version"] + 1, first["version"] + 1)
    assert found["merged_into"] == {"id": first["id"], "number": first["number"]}
    assert into["merged_appeals"] == [{"id": second["id"], "number": second["number"]}]
    assert (found["messages"], _texts(into)) == ([], [QUESTION, QUESTION])
    assert into["first_response_due_at"] == first["first_response_due_at"] < second["first_response_due_at"]
    assert [entry["kind"] for entry in (found["timeline"][-1], into["timeline"][-1])] == ["merged", "merged_in"]
    assert into["timeline"][-1]["data"]["number"] == second["number"]
    (event,) = await scenario.events("appeal.merged")
    data = json.loads(event["data"])
    assert (str(event["subject_id"]), data["status"], data["into_id"]) == (second["id"], "merged", first["id"])
    # The counts show the merged appeal under its own status, and every action on it is refused.
    figures = await scenario.get("/appeals/counts")
    assert figures.json()["by_status"] == {"assigned": 1, "merged": 1}
    for path, body in (("replies", {"text": "Починим"}), ("triage", {"urgency": "high"})):
        _is_problem(await scenario.post(f"/appeals/{second['id']}/{path}", body), 409)
    _is_problem(await scenario.move(found, "assigned"), 409)


async def test_reply_answers_both_merged_appeals_and_later_messages_join_the_remaining_one(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    assert (await _merge(scenario, second, first)).is_success
    reply = await answer(scenario, first)
    # The reply answers the last message that needs an answer, which came from the merged appeal.
    assert reply["in_reply_to"] == second["messages"][0]["id"]
    await scenario.emit_published(reply, at=WEDNESDAY + 2 * HOUR)
    await scenario.citizen_writes(AGAIN, thread=OTHER_THREAD, at=WEDNESDAY + 3 * HOUR)
    into = await scenario.appeal(first["id"])
    assert (into["status"], len(into["messages"])) == ("reopened", 3)
    assert (await scenario.appeal(second["id"]))["status"] == "merged"
    assert len(await scenario.all()) == 2
    # A published reply has answered both appeals, so the merge cannot be undone.
    refused = _is_problem(await _unmerge(scenario, second["id"]), 409)
    assert refused["reply_id"] == reply["id"]


async def test_staff_reply_in_the_thread_of_the_merged_appeal_answers_the_remaining_one(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    assert (await _merge(scenario, second, first)).is_success
    await scenario.citizen_writes(
        "Отремонтируем в мае.", thread=OTHER_THREAD, from_community=True, at=WEDNESDAY + 2 * HOUR
    )
    into = await scenario.appeal(first["id"])
    assert (into["status"], [reply["origin"] for reply in into["replies"]]) == ("answered", ["network"])


async def test_staff_reply_that_waited_for_the_merge_answers_the_remaining_appeal(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    question = second["messages"][0]["external_id"]
    details: dict[str, Any] = {"thread": OTHER_THREAD, "from_community": True, "at": WEDNESDAY + 2 * HOUR}
    await scenario.insert_message("Отремонтируем в мае.", reply_to=question, **details)
    async with scenario.appeals.service.database.write() as session:
        await merges.merge(session, MODERATOR, UUID(second["id"]), UUID(first["id"]), reason=REASON, version=None)
        handling = asyncio.create_task(scenario.process_events())
        await _waits_for_lock(scenario)
    await handling
    into, merged = await scenario.appeal(first["id"]), await scenario.appeal(second["id"])
    assert (into["status"], merged["status"]) == ("answered", "merged")
    assert (len(into["replies"]), merged["replies"]) == (1, [])


async def test_staff_reply_that_waited_for_the_undo_of_the_merge_answers_the_former_appeal(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    assert (await _merge(scenario, second, first)).is_success
    question = second["messages"][0]["external_id"]
    details: dict[str, Any] = {"thread": OTHER_THREAD, "from_community": True, "at": WEDNESDAY + 2 * HOUR}
    await scenario.insert_message("Отремонтируем в мае.", reply_to=question, **details)
    async with scenario.appeals.service.database.write() as session:
        await merges.unmerge(session, MODERATOR, UUID(second["id"]), reason="Другая дорога", version=None)
        handling = asyncio.create_task(scenario.process_events())
        await _waits_for_lock(scenario)
    await handling
    remaining, former = await scenario.appeal(first["id"]), await scenario.appeal(second["id"])
    assert (remaining["status"], former["status"]) == ("assigned", "answered")
    assert (remaining["replies"], len(former["replies"])) == ([], 1)


async def test_message_that_waited_for_the_merge_joins_the_remaining_appeal(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    await scenario.insert_message(AGAIN, thread=OTHER_THREAD, at=WEDNESDAY + 2 * HOUR)
    async with scenario.appeals.service.database.write() as session:
        await merges.merge(session, MODERATOR, UUID(second["id"]), UUID(first["id"]), reason=REASON, version=None)
        handling = asyncio.create_task(scenario.process_events())
        await _waits_for_lock(scenario)
    await handling
    assert _texts(await scenario.appeal(first["id"])) == [QUESTION, QUESTION, AGAIN]
    assert len(await scenario.all()) == 2


async def test_message_that_waited_for_the_undo_of_the_merge_joins_its_former_appeal(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    assert (await _merge(scenario, second, first)).is_success
    await scenario.insert_message(AGAIN, thread=OTHER_THREAD, at=WEDNESDAY + 2 * HOUR)
    async with scenario.appeals.service.database.write() as session:
        await merges.unmerge(session, MODERATOR, UUID(second["id"]), reason="Другая дорога", version=None)
        handling = asyncio.create_task(scenario.process_events())
        await _waits_for_lock(scenario)
    await handling
    assert _texts(await scenario.appeal(second["id"])) == [QUESTION, AGAIN]
    assert _texts(await scenario.appeal(first["id"])) == [QUESTION]


async def test_question_on_the_merged_appeals_page_keeps_the_remaining_organisation(
    scenario: AppealsScenario,
) -> None:
    first = await _appeal_of(scenario, UNCLEAR)
    page = await insert_page(scenario.database, scenario.other_organisation, external_id="303")
    scenario.pages[page] = (scenario.other_organisation, "vk")
    details: dict[str, Any] = {"page": page, "thread": "vk:-303_1"}
    second = await _appeal_of(scenario, at=WEDNESDAY + HOUR, **details)
    assert (first["status"], second["organisation"]["id"]) == ("triage", str(scenario.other_organisation))
    assert (await _merge(scenario, second, first)).is_success
    await scenario.citizen_writes(QUESTION, at=WEDNESDAY + 2 * HOUR, **details)
    into = await scenario.appeal(first["id"])
    assert (into["status"], len(into["messages"])) == ("assigned", 3)
    assert into["organisation"]["id"] == str(scenario.organisation), "the owner of the page of the appeal"


async def test_earlier_start_of_the_merged_appeal_moves_the_deadline_with_an_event(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    # As with a policy that counts from the assignment, if the earlier appeal was assigned later.
    earlier = "UPDATE sla_clocks SET started_at = started_at - interval '90 minutes' WHERE appeal_id = $1"
    await execute(scenario, earlier, UUID(second["id"]))
    assert (await _merge(scenario, second, first)).is_success
    into = await scenario.appeal(first["id"])
    assert into["first_response_due_at"] < first["first_response_due_at"]
    (event,) = await scenario.events("appeal.deadline_changed")
    data = json.loads(event["data"])
    assert (data["id"], data["version"]) == (first["id"], into["version"])
    due_at = datetime.fromisoformat(data["first_response_due_at"])
    assert due_at == datetime.fromisoformat(into["first_response_due_at"])


async def test_urgent_appeal_makes_the_remaining_one_urgent(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario, "Опора со столбом упала на дорогу, провода искрят, опасно для детей!")
    assert (first["urgency"], second["urgency"]) == ("normal", "high")
    assert (await _merge(scenario, second, first)).is_success
    into = await scenario.appeal(first["id"])
    assert into["urgency"] == "high"
    assert into["first_response_due_at"] <= min(first["first_response_due_at"], second["first_response_due_at"])
    (changed,) = [entry["data"] for entry in into["timeline"] if entry["kind"] == "urgency_changed"]
    assert str(second["number"]) in changed["why"]


async def _clock_of(scenario: AppealsScenario, appeal: dict[str, Any], kind: str) -> dict[str, Any]:
    found = (await scenario.get(f"/appeals/{appeal['id']}/deadlines")).json()["clocks"]
    (clock,) = [one for one in found if one["kind"] == kind]
    return dict(clock)


async def test_question_of_the_merged_appeal_restarts_paused_clocks(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    set_time(WEDNESDAY + timedelta(minutes=90))
    first, second = await _two(scenario)
    assert (await pause(scenario, first, "pause", reason="Ждём адрес")).is_success
    assert (await _merge(scenario, second, first)).is_success
    into = await scenario.appeal(first["id"])
    for due_at in ("first_response_due_at", "resolution_due_at"):
        assert into[due_at] == second[due_at] is not None
    for kind in ("first_response", "final_answer"):
        clock = await _clock_of(scenario, first, kind)
        assert (clock["state"], clock["message_id"]) == ("running", second["messages"][0]["id"])
        assert [event["kind"] for event in clock["events"]] == ["started", "paused", "restarted"]
        assert (
            clock["events"][-1]["reason"] == f"Присоединено обращение № {second['number']}: его вопрос ждёт ответа"
        )
    entry = next(one for one in into["timeline"] if one["kind"] == "clock_resumed")
    assert str(second["number"]) in entry["data"]["reason"]
    assert entry["data"]["deadline"].startswith("9 рабочих часов со среды 04.03 11:01")
    (event,) = await scenario.events("appeal.clock_resumed")
    assert json.loads(event["data"])["first_response_due_at"] is not None


async def test_merge_keeps_clocks_paused_in_both_appeals_and_a_missed_deadline(
    scenario: AppealsScenario, set_time: SetTime
) -> None:
    set_time(WEDNESDAY + timedelta(minutes=90))
    first, second = await _two(scenario)
    for one in (first, second):
        assert (await pause(scenario, one, "pause", reason="Ждём адрес")).is_success
    assert (await _merge(scenario, await scenario.appeal(second["id"]), first)).is_success
    assert (await _clock_of(scenario, first, "first_response"))["state"] == "paused"
    late, other = [
        await _appeal_of(scenario, author="boris", thread=f"vk:-101_{number}", at=WEDNESDAY + number * HOUR)
        for number in (3, 4)
    ]
    set_time(WEDNESDAY + timedelta(days=2))
    assert (await pause(scenario, late, "pause", reason="Ждём адрес")).is_success
    assert (await _merge(scenario, other, late)).is_success
    assert (await scenario.appeal(late["id"]))["first_response_due_at"] == late["first_response_due_at"]
    # The deadline of the final answer had not passed before the pause: the question restarts that clock.
    for kind, event in (("first_response", "resumed"), ("final_answer", "restarted")):
        clock = await _clock_of(scenario, late, kind)
        assert (clock["state"], clock["events"][-1]["kind"]) == ("running", event)


async def test_merge_is_undone_if_no_reply_was_published(scenario: AppealsScenario) -> None:
    executor = await register(scenario, "Борис")
    first, second = await _two(scenario)
    assert (await executor.move(second, to="in_progress")).is_success
    second = await scenario.appeal(second["id"])
    assert (await _merge(scenario, second, first)).is_success
    added = await scenario.citizen_writes("Когда же дорогу на Бабушкина починят?", at=WEDNESDAY + 2 * HOUR)
    stale = await scenario.post(f"/appeals/{second['id']}/unmerge", {"reason": "Другая дорога"}, If_Match='"99"')
    _is_problem(stale, 412)
    back = await _unmerge(scenario, second["id"])
    assert back.status_code == 200, back.text
    found, into = back.json(), await scenario.appeal(first["id"])
    same = ("status", "assignee", "organisation", "messages", "first_response_due_at", "closed_at", "merged_into")
    assert {name: found[name] for name in same} == {name: second[name] for name in same}
    assert [message["id"] for message in into["messages"]] == [first["messages"][0]["id"], str(added)]
    assert (into["merged_appeals"], into["timeline"][-1]["kind"]) == ([], "unmerged")
    assert [event["type"] for event in await scenario.events("appeal.merged", "appeal.unmerged")] == [
        "appeal.merged",
        "appeal.unmerged",
    ]
    # After the undo, later messages of its thread join the appeal again, and it may be merged again.
    await scenario.citizen_writes(QUESTION, thread=OTHER_THREAD, at=WEDNESDAY + 3 * HOUR)
    again = await scenario.appeal(second["id"])
    assert len(again["messages"]) == 2
    _is_problem(await _unmerge(scenario, second["id"]), 409)
    assert (await _merge(scenario, again, first)).is_success


async def test_merge_is_undone_after_its_reply_was_withdrawn(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    assert (await _merge(scenario, second, first)).is_success
    reply = await published(scenario, first, at=2 * HOUR, message_id=second["messages"][0]["id"])
    _is_problem(await _unmerge(scenario, second["id"]), 409)
    assert (await withdrawn(scenario, first, reply))["status"] == "reopened"
    back = await _unmerge(scenario, second["id"])
    assert back.status_code == 200, back.text
    found, into = back.json(), await scenario.appeal(first["id"])
    same = ("status", "messages", "first_response_at", "first_response_due_at")
    assert {name: found[name] for name in same} == {name: second[name] for name in same}
    assert (into["status"], into["first_response_due_at"]) == ("reopened", first["first_response_due_at"])
    assert ([one["id"] for one in into["replies"]], found["replies"]) == ([reply["id"]], [])


async def test_merge_of_an_appeal_with_a_draft_is_refused_naming_the_draft(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    draft = await answer(scenario, second, status="draft")
    refused = _is_problem(await _merge(scenario, second, first), 409)
    assert (refused["type"], refused["reply"]["id"]) == ("/problems/reply-under-way", draft["id"])
    await answer(scenario, first)
    third = await _appeal_of(scenario, thread="vk:-101_3", at=WEDNESDAY + 2 * HOUR)
    # A submitted reply prevents the merge too: its author has not seen the messages that would be added.
    _is_problem(await _merge(scenario, third, first), 409)
    assert await scenario.ingest.fetchval("SELECT count(*) FROM appeal_merges") == 0


async def test_undo_of_a_merge_is_refused_while_a_draft_answers_a_moved_message(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    assert (await _merge(scenario, second, first)).is_success
    draft = await answer(scenario, first, status="draft")
    refused = _is_problem(await _unmerge(scenario, second["id"]), 409)
    assert refused["reply_id"] == draft["id"]


async def test_failed_reply_is_not_retried_under_a_message_moved_by_the_undo_of_the_merge(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    await _merge(scenario, second, first)
    reply = await answer(scenario, first, message_id=second["messages"][0]["id"])
    await reply_fails(scenario, reply)
    path = f"/appeals/{first['id']}/replies/{reply['id']}/retry"
    undone = await _unmerge(scenario, second["id"])
    assert undone.status_code == 200, undone.text
    refused = await scenario.post(path, {})
    assert refused.status_code == 409
    assert "was moved to another appeal" in refused.json()["detail"]


async def test_merge_and_its_undo_are_refused_while_a_failed_reply_is_published_again(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    early = await answer(scenario, first)
    await reply_fails(scenario, early)
    await restart_publication(scenario, early)
    refused = _is_problem(await _merge(scenario, second, first), 409)
    assert refused["reply_id"] == early["id"]
    await scenario.ingest.execute("UPDATE publications SET status = 'failed'")
    assert (await _merge(scenario, second, first)).is_success
    reply = await answer(scenario, first, "Починим завтра.", message_id=second["messages"][0]["id"])
    await reply_fails(scenario, reply)
    await restart_publication(scenario, reply)
    refused = _is_problem(await _unmerge(scenario, second["id"]), 409)
    assert refused["reply_id"] == reply["id"]


async def test_undo_of_a_merge_is_refused_after_a_reply_of_the_merged_appeal_was_published(
    scenario: AppealsScenario,
) -> None:
    """Ingest may still publish a failed reply, because merges are not reported to it."""
    first, second = await _two(scenario)
    failed = await answer(scenario, second)
    await reply_fails(scenario, failed)
    second = await scenario.appeal(second["id"])
    assert (await _merge(scenario, second, first)).is_success
    await scenario.emit_published(failed, at=WEDNESDAY + 2 * HOUR)
    refused = _is_problem(await _unmerge(scenario, second["id"]), 409)
    assert refused["reply_id"] == failed["id"]
    assert (await scenario.appeal(second["id"]))["status"] == "merged"


async def test_only_appeals_of_one_author_that_await_their_first_reply_are_merged(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    stranger = await _appeal_of(scenario, author="boris", thread=OTHER_THREAD, at=WEDNESDAY + 2 * HOUR)
    (phone,) = await insert_appeals(scenario, 1)
    called = await scenario.appeal(phone)
    for one, into in ((stranger, first), (called, first), (first, second)):
        _is_problem(await _merge(scenario, one, into), 409)
    _is_problem(await _merge(scenario, first, first), 422, "/into")
    unknown = {"id": "01a00000-0000-7000-8000-000000000000"}
    _is_problem(await _merge(scenario, first, unknown), 422, "/into")
    _is_problem(await _merge(scenario, {**unknown, "version": 1}, first), 404)
    _is_problem(await _merge(scenario, second | {"version": 99}, first), 412)
    executor = await register(scenario, "Борис")
    path, body = f"/appeals/{second['id']}", {"into": first["id"], "reason": REASON}
    _is_problem(await executor.post(f"{path}/merge", body, If_Match="*"), 403)
    _is_problem(await scenario.post(f"{path}/merge", body), 428)
    await scenario.move(first, "closed", reason="Решено")
    _is_problem(await _merge(scenario, second, first), 409)
    assert (await scenario.appeal(second["id"]))["version"] == second["version"]


async def test_merge_with_an_appeal_that_is_merged_or_has_merged_appeals_is_refused(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    third = await _appeal_of(scenario, thread="vk:-101_3", at=WEDNESDAY + 2 * HOUR)
    assert (await _merge(scenario, third, second)).is_success
    second = await scenario.appeal(second["id"])
    _is_problem(await _merge(scenario, second, first), 409)
    assert (await _unmerge(scenario, third["id"])).is_success
    second = await scenario.appeal(second["id"])
    assert (await _merge(scenario, second, first)).is_success
    third = await scenario.appeal(third["id"])
    _is_problem(await _merge(scenario, third, second), 409)
    assert (await _merge(scenario, third, first)).is_success
    assert len((await scenario.appeal(first["id"]))["messages"]) == 3


@pytest.mark.parametrize("rounds", [3, pytest.param(15, marks=pytest.mark.long)])
async def test_concurrent_merges_in_opposite_directions_lose_no_message(
    scenario: AppealsScenario, rounds: int
) -> None:
    for number in range(rounds):
        author = f"author-{number}"
        made = [
            await _appeal_of(
                scenario, author=author, thread=f"vk:-101_{number}{which}", at=WEDNESDAY + which * HOUR
            )
            for which in range(3)
        ]
        pairs = [(2, 1), (1, 0), (1, 2), (2, 0), (0, 1)]
        answers = await asyncio.gather(*(_merge(scenario, made[one], made[into]) for one, into in pairs))
        statuses = sorted(one.status_code for one in answers)
        assert set(statuses) <= {200, 409, 412}
        found = [await scenario.appeal(one["id"]) for one in made]
        # At least one merge succeeded; every message belongs to an appeal that is not merged.
        merged = [one for one in found if one["status"] == "merged"]
        assert len(merged) == statuses.count(200) >= 1
        assert sum(len(one["messages"]) for one in found if one["status"] != "merged") == 3
        open_ids = {one["id"] for one in found if one["status"] != "merged"}
        assert {one["merged_into"]["id"] for one in merged} <= open_ids


async def test_repeated_request_with_its_key_merges_once(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    body = {"into": first["id"], "reason": REASON}
    version = f'"{second["version"]}"'
    path = f"/appeals/{second['id']}/merge"
    answers = [await scenario.post(path, body, If_Match=version, Idempotency_Key="once") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert len(await scenario.events("appeal.merged")) == 1


async def test_message_of_the_merged_appeal_can_be_split_off(scenario: AppealsScenario) -> None:
    """The new appeal belongs to the thread of the message."""
    first, second = await _two(scenario)
    assert (await _merge(scenario, second, first)).is_success
    into = await scenario.appeal(first["id"])
    decision = {"message_id": second["messages"][0]["id"], "decision": "split_off"}
    split = await scenario.post(
        f"/appeals/{first['id']}/matter-decisions", decision, If_Match=f'"{into["version"]}"'
    )
    assert split.status_code == 201, split.text
    row = await scenario.ingest.fetchrow(
        "SELECT thread_key, matter_number FROM appeals WHERE id = $1", split.json()["id"]
    )
    assert tuple(row) == (OTHER_THREAD, 2)
    _is_problem(await _unmerge(scenario, second["id"]), 409)


async def test_bulk_closing_refuses_an_appeal_that_a_merge_gave_an_unseen_message(
    scenario: AppealsScenario,
) -> None:
    first = await _appeal_of(scenario)
    unclear = await _appeal_of(scenario, UNCLEAR, thread=OTHER_THREAD, at=WEDNESDAY + HOUR)
    assert (first["status"], unclear["status"]) == ("assigned", "triage")
    moderator = await register(scenario, "Модератор", "moderator")
    seen = await version_of(moderator, "status=assigned")
    assert (await _merge(scenario, unclear, first)).status_code == 200
    body = {"action": "close", "reason": "Решено", "filter": {"status": ["assigned"]}, "list_version": seen}
    (row,) = await rows_of(moderator, await completed(scenario, moderator, body))
    assert (row["outcome"], row["problem"]["errors"][0]["pointer"]) == ("refused", "/list_version")
    assert (await scenario.appeal(first["id"]))["status"] == "assigned"


async def test_failed_reply_published_after_a_merge_does_not_answer_the_merged_question(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario, AGAIN)
    reply = await answer(scenario, first, "Отремонтируем в мае.")
    await reply_fails(scenario, reply)
    assert (await _merge(scenario, second, await scenario.appeal(first["id"]))).status_code == 200
    await scenario.emit_published(reply, at=WEDNESDAY + 2 * HOUR)
    after = await scenario.appeal(first["id"])
    assert (after["status"], len(after["messages"])) == ("reopened", 2)


async def test_merged_messages_keep_their_order(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario, AGAIN)
    for hour, text in ((2, "Спасибо"), (3, "И тротуар на Бабушкина разбит")):
        await scenario.citizen_writes(text, thread=OTHER_THREAD, at=WEDNESDAY + hour * HOUR)
    second = await scenario.appeal(second["id"])
    order = "SELECT message_id FROM appeal_messages ORDER BY greatest(created_at, merged_at), created_at"
    before = await scenario.ingest.fetch(order)
    assert (await _merge(scenario, second, first)).status_code == 200
    assert (len(before), await scenario.ingest.fetch(order)) == (4, before)


async def test_failed_reply_published_after_the_undo_of_a_merge_answers_the_question_that_its_author_saw(
    scenario: AppealsScenario,
) -> None:
    first, second = await _two(scenario)
    reply = await answer(scenario, second, "Отремонтируем в мае.")
    await reply_fails(scenario, reply)
    assert (await _merge(scenario, await scenario.appeal(second["id"]), first)).status_code == 200
    assert (await _unmerge(scenario, second["id"])).status_code == 200
    await scenario.emit_published(reply, at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.appeal(second["id"]))["status"] == "answered"


async def test_merge_is_not_taken_for_an_edit_that_made_its_messages_ask(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    question = UUID(second["messages"][0]["id"])
    await scenario.ingest.execute("UPDATE messages SET edited_at = now()")
    assert (await _merge(scenario, second, first)).status_code == 200
    async with scenario.appeals.service.database.write() as session:
        message = await session.get_one(Message, question, options=[WITHOUT_RAW_PAYLOAD])
        assert await asked_at(session, message) is None


async def test_undo_of_a_merge_ends_the_unread_marks_that_only_merges_made(scenario: AppealsScenario) -> None:
    first, second = await _two(scenario)
    third = await _appeal_of(scenario, thread="vk:-101_3", at=WEDNESDAY + 2 * HOUR)
    early, late = await register(scenario, "Ольга"), await register(scenario, "Пётр")
    await early.post(f"/appeals/{first['id']}/watchers", {})
    await scenario.citizen_writes(AGAIN, at=WEDNESDAY + 2 * HOUR)
    await late.post(f"/appeals/{first['id']}/watchers", {})

    async def unread() -> list[str | None]:
        rows = [(await one.get(f"/appeals/{first['id']}")).json()["unread"] for one in (early, late)]
        return [row and row["reason"] for row in rows]

    assert await unread() == ["message", None]
    for appeal in (second, third):
        assert (await _merge(scenario, appeal, await scenario.appeal(first["id"]))).status_code == 200
    assert await unread() == ["message", "message"]
    assert (await _unmerge(scenario, second["id"])).status_code == 200
    assert await unread() == ["message", "message"]
    assert (await _unmerge(scenario, third["id"])).status_code == 200
    # The message that came before the merges is still unread.
    assert await unread() == ["message", None]
    assert (await _merge(scenario, await scenario.appeal(second["id"]), first)).status_code == 200
    await scenario.citizen_writes(AGAIN, at=WEDNESDAY + 3 * HOUR)
    assert (await _unmerge(scenario, second["id"])).status_code == 200
    assert await unread() == ["message", "message"]
