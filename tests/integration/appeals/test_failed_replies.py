"""A failed reply is shown in the list of appeals until it is resolved; an event reports it to other systems."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_list import list_query
from services.appeals.promises import broken_promises
from services.appeals.publication import publication_requests
from services.webhooks.event_catalogue.catalogue import delivery_body_of_event
from shared.tables.common import Event
from tests.conftest import TestDatabase
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario, build_scenario
from tests.integration.appeals.reply_helpers import (
    answer,
    appeal,
    execute,
    publication_event,
    publication_jobs,
    reply_fails,
    send,
)
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_list_indexes import CENTRE, PAGING, plan_of
from tests.support.eventually import eventually
from tests.support.service_under_test import service_under_test

HOUR = timedelta(hours=1)
PROMISE = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}


async def failed_ones(scenario: AppealsScenario) -> list[str]:
    """Return the ids of appeals with a failed reply; check that filter and field `reply_failed` agree."""
    listed = await scenario.all(reply_failed=True)
    assert all(one["reply_failed"] for one in listed)
    assert not any(one["reply_failed"] for one in await scenario.all(reply_failed=False))
    return [one["id"] for one in listed]


async def test_failed_reply_shows_in_the_list_until_somebody_answers(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await appeal(scenario, author="boris", thread="vk:-101_2")
    first = await answer(scenario, found)
    assert await failed_ones(scenario) == []
    await reply_fails(scenario, first)
    assert await failed_ones(scenario) == [found["id"]]
    details = await scenario.appeal(found["id"])
    failed_at = datetime.fromisoformat(details["replies"][0]["failure"]["at"])
    assert datetime.fromisoformat(details["reply_failed"].pop("at")) == failed_at
    assert details["reply_failed"] == {
        "reply_id": first["id"], "code": "vk:15", "message": "Сеть не дала доступа.",
    }  # fmt: skip
    assert (await scenario.get("/appeals/counts", reply_failed=True)).json()["total"] == 1
    assert (await send(scenario, f"/appeals/{found['id']}/replies/{first['id']}/retry")).status_code == 202
    assert await failed_ones(scenario) == []
    await reply_fails(scenario, first, "Снова не дала.")
    assert await failed_ones(scenario) == [found["id"]]
    second = await answer(scenario, found, "Уже чиним.")
    assert await failed_ones(scenario) == []
    await reply_fails(scenario, second)
    # A reply of staff in the network resolves the failure.
    await scenario.citizen_writes("Уже чиним, правда", from_community=True, at=WEDNESDAY + HOUR)
    assert await failed_ones(scenario) == []


async def test_filter_by_failed_reply_uses_an_index(scenario: AppealsScenario) -> None:
    plan = await plan_of(scenario, list_query(AppealFilter(reply_failed=True).conditions(CENTRE), PAGING))
    assert "using ix_appeals_reply_failed" in plan.replace("Backward ", ""), plan
    assert "Sort" not in plan, plan


async def test_failed_reply_emits_an_event_with_appeal_and_reason(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    await reply_fails(scenario, reply)
    (row,) = await scenario.events("reply.failed")
    event = Event(
        type=row["type"], subject_id=row["subject_id"], organisation_id=row["organisation_id"],
        occurred_at=datetime.now(UTC), data=json.loads(row["data"]),
    )  # fmt: skip
    data = delivery_body_of_event(event, {scenario.organisation: "Школа № 1"})["data"]
    assert (data["id"], data["number"], data["reply_id"]) == (found["id"], found["number"], reply["id"])
    assert (data["kind"], data["code"], data["reason"]) == ("final", "vk:15", "Сеть не дала доступа.")
    assert data["organisation"]["name"] == "Школа № 1"


async def test_reply_published_after_it_failed_answers_the_appeal(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    await reply_fails(scenario, reply)
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    details = await scenario.single_appeal()
    assert [(one["status"], one["failure"]) for one in details["replies"]] == [("published", None)]
    assert (details["status"], details["reply_failed"]) == ("answered", None)
    assert details["first_response_at"] == "2026-03-04T03:00:00Z"


async def test_interim_reply_published_late_does_not_change_the_answered_appeal(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    interim = await answer(scenario, found, "Уточним.", **PROMISE)
    await reply_fails(scenario, interim)
    final = await answer(scenario, found, "Починили.")
    await scenario.emit_published(final, at=WEDNESDAY + 2 * HOUR)
    before = await scenario.single_appeal()
    await scenario.emit_published(interim, at=WEDNESDAY + HOUR, external_id="-101_78")
    after = await scenario.single_appeal()
    assert [one["status"] for one in after["replies"]] == ["published", "published"]
    for unchanged in ("status", "promised_at", "first_response_at", "next_response_due_at"):
        assert after[unchanged] == before[unchanged]


async def record_overdue(scenario: AppealsScenario) -> int:
    async with scenario.appeals.service.database.write() as session:
        return await broken_promises.record_broken_promises(session)


async def promise_passes(scenario: AppealsScenario) -> None:
    await execute(
        scenario,
        """WITH late AS (UPDATE appeals SET promised_at = now() - interval '1 minute'),
           promising AS (
               UPDATE replies SET promised_at = now() - interval '1 minute' WHERE promised_at IS NOT NULL
           )
           UPDATE promises SET promised_at = now() - interval '1 minute' WHERE status = 'open'""",
    )


async def test_each_broken_promise_is_recorded_once(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    for number in (1, 2, 3):
        interim = await answer(scenario, found, f"Уточним {number}", **PROMISE)
        await scenario.emit_published(interim, at=WEDNESDAY + number * HOUR, external_id=f"-101_{number}")
        assert await record_overdue(scenario) == 0
        await promise_passes(scenario)
        assert (await scenario.single_appeal())["overdue"] is True
        assert [await record_overdue(scenario) for _ in range(2)] == [1, 0]
    assert len(await scenario.events("appeal.overdue")) == 3


async def test_promise_is_monitored_after_work_starts(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    interim = await answer(scenario, found, "Уточним", **PROMISE)
    await scenario.emit_published(interim, at=WEDNESDAY + HOUR)
    assert (await scenario.move(await scenario.single_appeal(), "in_progress")).status_code == 200
    await promise_passes(scenario)
    assert (await scenario.single_appeal())["overdue"] is True
    assert len(await scenario.all(overdue=True)) == 1
    assert await record_overdue(scenario) == 1


@pytest.mark.parametrize("again", [False, True])
async def test_reply_whose_job_was_dead_lettered_can_be_retried(scenario: AppealsScenario, again: bool) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    path = f"/appeals/{found['id']}/replies/{reply['id']}/retry"
    if again:
        await reply_fails(scenario, reply)
        assert (await send(scenario, path)).status_code == 202
    queue = scenario.appeals.service.jobs
    assert queue is not None
    job = "retry_publication" if again else "request_publication"
    async with scenario.appeals.service.database.write() as session:
        await queue.on_dead_letter[job](session, {"reply_id": reply["id"]}, "a bug")
    details = await scenario.single_appeal()
    (shown,) = details["replies"]
    assert (shown["status"], shown["failure"]["code"]) == ("failed", "job_dead_lettered")
    assert details["reply_failed"]["reply_id"] == reply["id"]
    asked = len(await publication_jobs(scenario))
    assert (await send(scenario, path)).status_code == 202
    assert len(await publication_jobs(scenario)) == asked + (0 if again else 1)
    # The publication request had reached ingest although its job failed.
    await publication_event(scenario, reply, "uncertain")
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR)
    assert (await scenario.single_appeal())["status"] == "answered"


async def test_reply_fails_when_its_job_is_dead_lettered(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(publication_requests, "send_publication_request", broken)
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("appeals", database, keys_dir, process="all") as running:
            assert running.service.jobs is not None
            running.service.jobs.max_attempts = 1
            scenario = await build_scenario(database, running, ingest)
            await scenario.insert_message(QUESTION)

            async def opened() -> bool:
                return len(await scenario.all()) == 1

            await eventually(opened)
            await answer(scenario, await scenario.single_appeal())

            async def failed() -> bool:
                return (await scenario.single_appeal())["reply_failed"] is not None

            await eventually(failed)
            (reply,) = (await scenario.single_appeal())["replies"]
            assert (reply["status"], reply["failure"]["code"]) == ("failed", "job_dead_lettered")
    finally:
        await ingest.close()


async def test_dead_lettered_job_of_an_unknown_reply_is_ignored(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    async with scenario.appeals.service.database.write() as session:
        await publication_requests.record_dead_lettered(session, UUID(int=7))
    assert await scenario.events("reply.failed") == []
