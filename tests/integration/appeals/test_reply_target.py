"""A reply answers the message chosen when it was created, also after retries and an upgrade."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from services.appeals.publication import publication_requests
from shared.service import Service
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import answer, appeal, execute, publication_jobs, reply_fails, send

LATER = "Так когда дорогу отремонтируют? Дети спотыкаются о ямы."


async def writes_again(scenario: AppealsScenario) -> UUID:
    return await scenario.citizen_writes(LATER, at=WEDNESDAY + timedelta(minutes=30))


async def ask_again(scenario: AppealsScenario) -> int:
    await execute(scenario, "UPDATE replies SET created_at = created_at - interval '3 minutes'")
    async with scenario.appeals.service.database.write() as session:
        return await publication_requests.request_unacknowledged_again(session)


async def test_reply_requested_again_keeps_its_target(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(scenario, found)
    assert reply["in_reply_to"] == str(first)
    await writes_again(scenario)
    assert await ask_again(scenario) == 1
    assert await publication_jobs(scenario) == [(UUID(reply["id"]), first)] * 2
    assert (await scenario.single_appeal())["replies"][0]["in_reply_to"] == str(first)


async def test_reply_stored_by_the_previous_release_keeps_its_target(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(scenario, found)
    await writes_again(scenario)
    # The previous release stored the message only in the timeline and in the job.
    await execute(scenario, "UPDATE replies SET in_reply_to = NULL")
    asked: list[Any] = []

    async def post(_callee: str, _path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        asked.append(body["message_id"])
        return {"id": str(uuid4()), "status": "queued"}

    client = SimpleNamespace(post=post)
    service = cast("Service", SimpleNamespace(database=scenario.appeals.service.database, client=lambda: client))
    await publication_requests.send_publication_request(service, UUID(reply["id"]), again=False)
    assert asked == [str(first)]
    await execute(scenario, "UPDATE replies SET in_reply_to = NULL, publication_id = NULL")
    assert await ask_again(scenario) == 1
    assert await publication_jobs(scenario) == [(UUID(reply["id"]), first)] * 2


async def test_reply_to_an_earlier_message_keeps_its_target(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    second = await writes_again(scenario)
    reply = await answer(scenario, found, message_id=str(first))
    assert reply["in_reply_to"] == str(first) != str(second)
    assert await ask_again(scenario) == 1
    assert {message for _, message in await publication_jobs(scenario)} == {first}


async def test_retried_reply_keeps_its_target(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(scenario, found)
    await writes_again(scenario)
    # The request failed before ingest stored a publication.
    async with scenario.appeals.service.database.write() as session:
        await publication_requests.record_request_failure(
            session, UUID(reply["id"]), "refused", "Не принят.", final=True
        )
    again = await send(scenario, f"/appeals/{found['id']}/replies/{reply['id']}/retry")
    assert (again.status_code, again.json()["in_reply_to"]) == (202, str(first))
    assert await publication_jobs(scenario) == [(UUID(reply["id"]), first)] * 2


async def test_reply_to_a_deleted_message_keeps_its_target(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(scenario, found)
    await writes_again(scenario)
    await scenario.ingest.execute(
        "UPDATE messages SET deleted_at = now(), deleted_by = 'author' WHERE id = $1", first
    )
    await scenario.emit("message.deleted", first, scenario.organisation, deleted_by="author")
    await scenario.process_events()
    assert await ask_again(scenario) == 1
    assert {message for _, message in await publication_jobs(scenario)} == {first}
    # A new reply answers the remaining message.
    await reply_fails(scenario, reply)
    assert (await answer(scenario, found, "Включим завтра."))["in_reply_to"] != str(first)


async def test_reply_from_the_network_shows_its_target(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    (first,) = (message["id"] for message in found["messages"])
    await scenario.citizen_writes(
        "Ремонт в мае", from_community=True, reply_to=await scenario.external_id(UUID(first)), at=WEDNESDAY
    )
    (reply,) = (await scenario.single_appeal())["replies"]
    assert (reply["origin"], reply["in_reply_to"]) == ("network", first)
