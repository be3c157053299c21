"""An appeal has at most one pending reply, regardless of author and route."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.appeals import jobs
from shared.jobs import RetryLater
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import (
    COLLEAGUE,
    answer,
    appeal,
    draft,
    execute,
    publication_event,
    reply_fails,
    request,
    restart_publication,
    send,
)
from tests.support.service_under_test import CENTRE_SUBJECT

HOUR = timedelta(hours=1)
PROMISE = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}


async def test_second_of_two_concurrent_replies_is_refused(scenario: AppealsScenario) -> None:
    found = [await appeal(scenario, author=f"a{number}", thread=f"vk:-101_{number}") for number in range(10)]
    for _ in range(3):
        for one in found:
            path = f"/appeals/{one['id']}/replies"
            answers = await asyncio.gather(
                send(scenario, path, {"text": "Начнём в понедельник."}),
                send(scenario, path, {"text": "Уже чиним."}, subject=COLLEAGUE),
            )
            won, lost = sorted(answers, key=lambda found: found.status_code)
            assert (won.status_code, lost.status_code) == (201, 409), (won.text, lost.text)
            assert lost.json()["type"] == "/problems/reply-under-way"
            first = {name: lost.json()["reply"][name] for name in ("id", "author", "status")}
            assert first == {name: won.json()[name] for name in ("id", "author", "status")}
            await execute(scenario, "DELETE FROM reply_versions")
            await execute(scenario, "DELETE FROM replies WHERE appeal_id = $1", UUID(one["id"]))
    assert await scenario.ingest.fetchval("SELECT count(*) FROM replies") == 0


async def test_second_pending_reply_violates_a_unique_index(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await answer(scenario, found)
    copied = "id, appeal_id, origin, kind, text, status, author, version, created_at, updated_at"
    with pytest.raises(asyncpg.UniqueViolationError, match="uq_replies_under_way"):
        await execute(
            scenario,
            f"INSERT INTO replies ({copied}) SELECT $1, {copied.removeprefix('id, ')} FROM replies",
            uuid4(),
        )


async def test_next_reply_is_accepted_after_the_first_is_published_or_failed(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    path = f"/appeals/{found['id']}/replies"
    first = await answer(scenario, found, "Уточним.", **PROMISE)
    assert (await send(scenario, path, {"text": "Починили."})).status_code == 409
    await publication_event(scenario, first, "uncertain")
    refused = await send(scenario, path, {"text": "Починили."}, subject=COLLEAGUE)
    assert (refused.status_code, refused.json()["reply"]["status"]) == (409, "uncertain")
    await scenario.emit_published(first, at=WEDNESDAY + HOUR)
    second = await answer(scenario, found, "Починили.")
    await reply_fails(scenario, second)
    await answer(scenario, found, "Починили вчера.")


async def test_retry_while_another_reply_is_under_way_is_refused(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    first = await answer(scenario, found)
    await reply_fails(scenario, first)
    second = await answer(scenario, found, "Уже чиним.")
    retry = f"/appeals/{found['id']}/replies/{first['id']}/retry"
    refused = await send(scenario, retry, subject=COLLEAGUE)
    assert (refused.status_code, refused.json()["reply"]["id"]) == (409, second["id"])
    # A late event about the failed reply does not make it pending in addition to the second.
    for outcome in ("uncertain", "retry_scheduled"):
        await publication_event(
            scenario, first, outcome, failure={"code": "x", "message": "Ждём.", "final": False}
        )
    assert [reply["status"] for reply in (await scenario.single_appeal())["replies"]] == ["failed", "queued"]
    await scenario.emit_published(second, at=WEDNESDAY + HOUR)
    assert (await send(scenario, retry)).status_code == 202


async def test_new_reply_is_refused_while_a_restarted_publication_is_under_way(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    first = await answer(scenario, found)
    await reply_fails(scenario, first)
    await restart_publication(scenario, first)
    refused = await send(scenario, f"/appeals/{found['id']}/replies", {"text": "Уже чиним."})
    named = refused.json()["reply"]
    assert (refused.status_code, named["id"], named["status"]) == (409, first["id"], "queued")


async def test_draft_is_not_submitted_while_a_restarted_publication_is_under_way(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    first = await answer(scenario, found)
    await reply_fails(scenario, first)
    begun = await draft(scenario, found, "Уже чиним.")
    await restart_publication(scenario, first)
    path = f"/appeals/{found['id']}/replies/{begun['id']}"
    refused = await request(scenario, "POST", f"{path}/submit", If_Match="*")
    assert (refused.status_code, refused.json()["reply"]["id"]) == (409, first["id"])
    await execute(scenario, "UPDATE replies SET status = 'on_approval' WHERE id = $1", UUID(begun["id"]))
    refused = await request(scenario, "POST", f"{path}/approve", role="manager", subject=COLLEAGUE, If_Match="*")
    assert (refused.status_code, refused.json()["reply"]["id"]) == (409, first["id"])


async def test_stale_version_is_refused_naming_the_last_change(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    path, seen = f"/appeals/{found['id']}/replies", f'"{found["version"]}"'
    for malformed in ("3", "x"):
        assert (await send(scenario, path, {"text": "Да"}, If_Match=malformed)).status_code == 422
    answers = await asyncio.gather(
        *(
            send(scenario, path, {"text": f"Чиним, {subject}"}, subject=subject, If_Match=seen)
            for subject in (CENTRE_SUBJECT, COLLEAGUE)
        )
    )
    won, lost = sorted(answers, key=lambda found: found.status_code)
    assert (won.status_code, lost.status_code) == (201, 412), lost.text
    now = await scenario.single_appeal()
    assert (lost.headers["ETag"], lost.json()["version"]) == (f'"{now["version"]}"', now["version"])
    last = lost.json()["last_change"]
    assert (last["kind"], last["reply_id"]) == ("reply_queued", won.json()["id"])
    assert last["actor"] == won.json()["author"]
    moved = await send(scenario, f"/appeals/{found['id']}/moves", {"to": "in_progress"}, If_Match=seen)
    assert (moved.status_code, moved.json()["last_change"]["kind"]) == (412, "reply_queued")
    assert (await send(scenario, path, {"text": "Да"}, If_Match="*")).json()["reply"]["id"] == won.json()["id"]


async def test_same_final_text_is_refused_within_the_window(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    path, text = f"/appeals/{found['id']}/replies", "Начнём в понедельник."
    first = await answer(scenario, found, text)
    await scenario.emit_published(first, at=WEDNESDAY + HOUR)
    refused = await send(scenario, path, {"text": "Начнём  в понедельник.\n"}, subject=COLLEAGUE)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/duplicate")
    assert refused.json()["reply"]["id"] == first["id"]
    # The same text is accepted with a new `Idempotency-Key`, and after the window has ended.
    meant = await send(scenario, path, {"text": text}, Idempotency_Key="again")
    assert meant.status_code == 201
    await reply_fails(scenario, meant.json())
    refused = await send(scenario, path, {"text": text})
    assert (refused.status_code, refused.json()["reply"]["id"]) == (409, first["id"])
    await execute(scenario, "UPDATE replies SET created_at = created_at - interval '24 hours 1 second'")
    assert (await send(scenario, path, {"text": text})).status_code == 201


async def test_duplicate_text_window_uses_the_database_clock(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await appeal(scenario)
    first = await answer(scenario, found)
    await scenario.emit_published(first, at=WEDNESDAY + HOUR)
    for days in (-3, 3):
        monkeypatch.setattr("shared.clock._shift", timedelta(days=days))
        refused = await send(scenario, f"/appeals/{found['id']}/replies", {"text": "Начнём в понедельник."})
        assert refused.status_code == 409, refused.text


async def test_bulk_reply_is_created_after_the_interim_reply_under_way(scenario: AppealsScenario) -> None:
    found = [await appeal(scenario, author=f"a{number}", thread=f"vk:-101_{number}") for number in range(2)]
    incident = (await send(scenario, "/incidents", {"appeal_ids": [one["id"] for one in found]})).json()
    interim = await answer(scenario, found[0], "Уточним.", **PROMISE)
    path = f"/incidents/{incident['id']}/replies"
    assert (await send(scenario, path, {"text": "Свет включат до 18:00."})).status_code == 202
    again = await send(scenario, path, {"text": "Свет включат до 18:00."}, subject=COLLEAGUE)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/duplicate")

    async def run() -> list[dict[str, str]]:
        connection = await scenario.database.connect()
        rows = await connection.fetch(
            "SELECT payload FROM appeals_jobs.pgqueuer WHERE entrypoint = $1", jobs.CREATE_INCIDENT_REPLIES
        )
        await connection.execute(
            "DELETE FROM appeals_jobs.pgqueuer WHERE entrypoint = $1", jobs.CREATE_INCIDENT_REPLIES
        )
        await connection.close()
        payloads = [json.loads(row["payload"]) for row in rows]
        for payload in payloads:
            await scenario.handle_job(jobs.CREATE_INCIDENT_REPLIES, payload)
        return payloads

    await run()
    (shown,) = (await scenario.get(path)).json()["items"]
    assert (shown["by_status"], shown["pending_count"]) == ({"queued": 1}, 1)
    with pytest.raises(RetryLater):
        await run()
    await scenario.emit_published(interim, at=WEDNESDAY + HOUR)
    await scenario.handle_job(
        jobs.CREATE_INCIDENT_REPLIES, {"incident_reply_id": shown["id"], "appeal_id": found[0]["id"]}
    )
    texts = [reply["text"] for reply in (await scenario.appeal(found[0]["id"]))["replies"]]
    assert texts == ["Уточним.", "Свет включат до 18:00."]
    (shown,) = (await scenario.get(path)).json()["items"]
    assert (shown["by_status"], shown["pending_count"]) == ({"queued": 2}, 0)
