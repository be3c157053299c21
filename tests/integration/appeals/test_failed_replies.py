"""A failed reply is shown in the list of appeals and emitted to other systems, until it is resolved."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.appeals.lifecycle import appeal_queries, breach_recording
from services.appeals.lifecycle.appeal_queries import AppealFilter
from services.appeals.replies import publication_requests
from services.webhooks.event_catalogue.catalogue import delivery_body_of_event
from shared.tables.common import Event
from tests.conftest import TestDatabase
from tests.integration.appeals.conftest import WEDNESDAY, World, build_world
from tests.integration.appeals.reply_helpers import answer, appeal, execute, fails, requests, send, tells
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_list_indexes import CENTRE, PAGING, plan_of
from tests.support.eventually import eventually
from tests.support.service_under_test import service_under_test

HOUR = timedelta(hours=1)
PROMISE = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}


async def failed_ones(world: World) -> list[str]:
    """Return the appeals that the filter finds; their own field agrees with it."""
    listed = await world.all(reply_failed=True)
    assert all(one["reply_failed"] for one in listed)
    assert not any(one["reply_failed"] for one in await world.all(reply_failed=False))
    return [one["id"] for one in listed]


async def test_failed_reply_shows_in_the_list_until_somebody_answers(world: World) -> None:
    found = await appeal(world)
    await appeal(world, author="boris", thread="vk:-101_2")
    first = await answer(world, found)
    assert await failed_ones(world) == []
    await fails(world, first)
    assert await failed_ones(world) == [found["id"]]
    details = await world.appeal(found["id"])
    failed_at = datetime.fromisoformat(details["replies"][0]["failure"]["at"])
    assert datetime.fromisoformat(details["reply_failed"].pop("at")) == failed_at
    assert details["reply_failed"] == {
        "reply_id": first["id"], "code": "vk:15", "message": "Сеть не дала доступа.",
    }  # fmt: skip
    assert (await world.get("/appeals/counts", reply_failed=True)).json()["total"] == 1
    assert (await send(world, f"/appeals/{found['id']}/replies/{first['id']}/retry")).status_code == 202
    assert await failed_ones(world) == []
    await fails(world, first, "Снова не дала.")
    assert await failed_ones(world) == [found["id"]]
    second = await answer(world, found, "Уже чиним.")
    assert await failed_ones(world) == []
    await fails(world, second)
    # Staff reply in the network itself instead.
    await world.writes("Уже чиним, правда", from_community=True, at=WEDNESDAY + HOUR)
    assert await failed_ones(world) == []


async def test_failed_replies_are_found_by_index(world: World) -> None:
    plan = await plan_of(world, appeal_queries.list_query(CENTRE, AppealFilter(reply_failed=True), PAGING))
    assert "using ix_appeals_reply_failed" in plan.replace("Backward ", ""), plan
    assert "Sort" not in plan, plan


async def test_failed_reply_emits_an_event_with_appeal_and_reason(world: World) -> None:
    found = await appeal(world)
    reply = await answer(world, found)
    await fails(world, reply)
    (row,) = await world.events("reply.failed")
    event = Event(
        type=row["type"], subject_id=row["subject_id"], organisation_id=row["organisation_id"],
        occurred_at=datetime.now(UTC), data=json.loads(row["data"]),
    )  # fmt: skip
    data = delivery_body_of_event(event, {world.organisation: "Школа № 1"})["data"]
    assert (data["id"], data["number"], data["reply_id"]) == (found["id"], found["number"], reply["id"])
    assert (data["kind"], data["code"], data["reason"]) == ("final", "vk:15", "Сеть не дала доступа.")
    assert data["organisation"]["name"] == "Школа № 1"


async def test_reply_published_after_it_failed_answers_the_appeal(world: World) -> None:
    found = await appeal(world)
    reply = await answer(world, found)
    await fails(world, reply)
    await world.published(reply, at=WEDNESDAY + HOUR)
    details = await world.only()
    assert [(one["status"], one["failure"]) for one in details["replies"]] == [("published", None)]
    assert (details["status"], details["reply_failed"]) == ("answered", None)
    assert details["first_response_at"] == "2026-03-04T03:00:00Z"


async def test_late_interim_reply_does_not_supersede_the_final_one(world: World) -> None:
    found = await appeal(world)
    interim = await answer(world, found, "Уточним.", **PROMISE)
    await fails(world, interim)
    final = await answer(world, found, "Починили.")
    await world.published(final, at=WEDNESDAY + 2 * HOUR)
    before = await world.only()
    await world.published(interim, at=WEDNESDAY + HOUR, external_id="-101_78")
    after = await world.only()
    assert [one["status"] for one in after["replies"]] == ["published", "published"]
    for unchanged in ("status", "promised_at", "first_response_at", "next_response_due_at"):
        assert after[unchanged] == before[unchanged]


async def note_overdue(world: World) -> int:
    async with world.appeals.service.database.write() as session:
        return await breach_recording.record_breaches(session)


async def test_each_broken_promise_is_recorded_once(world: World) -> None:
    found = await appeal(world)
    for number in (1, 2, 3):
        interim = await answer(world, found, f"Уточним {number}", **PROMISE)
        await world.published(interim, at=WEDNESDAY + number * HOUR, external_id=f"-101_{number}")
        assert await note_overdue(world) == 0
        await execute(world, "UPDATE appeals SET promised_at = now() - interval '1 minute'")
        assert (await world.only())["overdue"] is True
        assert [await note_overdue(world) for _ in range(2)] == [1, 0]
    assert len(await world.events("appeal.overdue")) == 3


async def test_promise_is_monitored_after_work_starts(world: World) -> None:
    found = await appeal(world)
    interim = await answer(world, found, "Уточним", **PROMISE)
    await world.published(interim, at=WEDNESDAY + HOUR)
    assert (await world.move(await world.only(), "in_progress")).status_code == 200
    await execute(world, "UPDATE appeals SET promised_at = now() - interval '1 minute'")
    assert (await world.only())["overdue"] is True
    assert len(await world.all(overdue=True)) == 1
    assert await note_overdue(world) == 1


@pytest.mark.parametrize("again", [False, True])
async def test_reply_of_a_dead_lettered_job_can_be_retried(world: World, again: bool) -> None:
    found = await appeal(world)
    reply = await answer(world, found)
    path = f"/appeals/{found['id']}/replies/{reply['id']}/retry"
    if again:
        await fails(world, reply)
        assert (await send(world, path)).status_code == 202
    async with world.appeals.service.database.write() as session:
        await publication_requests.record_dead_lettered(session, UUID(reply["id"]))
    details = await world.only()
    (shown,) = details["replies"]
    assert (shown["status"], shown["failure"]["code"]) == ("failed", "job_dead_lettered")
    assert details["reply_failed"]["reply_id"] == reply["id"]
    asked = len(await requests(world))
    assert (await send(world, path)).status_code == 202
    assert len(await requests(world)) == asked + (0 if again else 1)
    # The request had reached ingest nevertheless.
    await tells(world, reply, "uncertain")
    await world.published(reply, at=WEDNESDAY + HOUR)
    assert (await world.only())["status"] == "answered"


async def test_reply_of_a_dead_lettered_job_fails(
    database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(publication_requests, "send_publication_request", broken)
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("appeals", database, keys_dir, process="all") as running:
            assert running.service.jobs is not None
            running.service.jobs.max_attempts = 1
            world = await build_world(database, running, ingest)
            await world.insert_message(QUESTION)

            async def opened() -> bool:
                return len(await world.all()) == 1

            await eventually(opened)
            await answer(world, await world.only())

            async def failed() -> bool:
                return (await world.only())["reply_failed"] is not None

            await eventually(failed)
            (reply,) = (await world.only())["replies"]
            assert (reply["status"], reply["failure"]["code"]) == ("failed", "job_dead_lettered")
    finally:
        await ingest.close()


async def test_dead_lettered_job_of_an_unknown_reply_is_ignored(world: World) -> None:
    await world.writes(QUESTION)
    async with world.appeals.service.database.write() as session:
        await publication_requests.record_dead_lettered(session, UUID(int=7))
    assert await world.events("reply.failed") == []
