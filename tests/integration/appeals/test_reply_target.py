"""A reply answers the message chosen at its creation, however often and by whichever version it is sent."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from services.appeals.replies import publication_requests
from shared.service import Service
from tests.integration.appeals.conftest import WEDNESDAY, World
from tests.integration.appeals.reply_helpers import answer, appeal, execute, fails, requests, send

LATER = "И ещё: когда включат отопление в школе? Дети мёрзнут."


async def writes_again(world: World) -> UUID:
    return await world.writes(LATER, at=WEDNESDAY + timedelta(minutes=30))


async def ask_again(world: World) -> int:
    await execute(world, "UPDATE replies SET created_at = created_at - interval '3 minutes'")
    async with world.appeals.service.database.write() as session:
        return await publication_requests.request_unacknowledged_again(session)


async def test_reply_requested_again_keeps_its_target(world: World) -> None:
    found = await appeal(world)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(world, found)
    assert reply["in_reply_to"] == str(first)
    await writes_again(world)
    assert await ask_again(world) == 1
    assert await requests(world) == [(UUID(reply["id"]), first)] * 2
    assert (await world.only())["replies"][0]["in_reply_to"] == str(first)


async def test_reply_of_the_previous_version_keeps_its_target(
    world: World,
) -> None:
    found = await appeal(world)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(world, found)
    await writes_again(world)
    # The previous version stores the message in the timeline and in its job.
    await execute(world, "UPDATE replies SET in_reply_to = NULL")
    asked: list[Any] = []

    async def post(_callee: str, _path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        asked.append(body["message_id"])
        return {"id": str(uuid4()), "status": "queued"}

    client = SimpleNamespace(post=post)
    service = cast("Service", SimpleNamespace(database=world.appeals.service.database, client=lambda: client))
    await publication_requests.send_publication_request(service, UUID(reply["id"]), again=False)
    assert asked == [str(first)]
    await execute(world, "UPDATE replies SET in_reply_to = NULL, publication_id = NULL")
    assert await ask_again(world) == 1
    assert await requests(world) == [(UUID(reply["id"]), first)] * 2


async def test_reply_to_an_earlier_message_keeps_its_target(world: World) -> None:
    found = await appeal(world)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    second = await writes_again(world)
    reply = await answer(world, found, message_id=str(first))
    assert reply["in_reply_to"] == str(first) != str(second)
    assert await ask_again(world) == 1
    assert {message for _, message in await requests(world)} == {first}


async def test_retried_reply_keeps_its_target(world: World) -> None:
    found = await appeal(world)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(world, found)
    await writes_again(world)
    # It failed before ingest had a publication of it.
    async with world.appeals.service.database.write() as session:
        await publication_requests.record_request_failure(
            session, UUID(reply["id"]), "refused", "Не принят.", final=True
        )
    again = await send(world, f"/appeals/{found['id']}/replies/{reply['id']}/retry")
    assert (again.status_code, again.json()["in_reply_to"]) == (202, str(first))
    assert await requests(world) == [(UUID(reply["id"]), first)] * 2


async def test_reply_to_a_deleted_message_keeps_its_target(world: World) -> None:
    found = await appeal(world)
    (first,) = (UUID(message["id"]) for message in found["messages"])
    reply = await answer(world, found)
    await writes_again(world)
    await world.ingest.execute(
        "UPDATE messages SET deleted_at = now(), deleted_by = 'author' WHERE id = $1", first
    )
    await world.emit("message.deleted", first, world.organisation, deleted_by="author")
    await world.work()
    assert await ask_again(world) == 1
    assert {message for _, message in await requests(world)} == {first}
    # A new reply answers the message that was not deleted.
    await fails(world, reply)
    assert (await answer(world, found, "Включим завтра."))["in_reply_to"] != str(first)


async def test_staff_reply_shows_its_target(world: World) -> None:
    found = await appeal(world)
    (first,) = (message["id"] for message in found["messages"])
    await world.writes(
        "Ремонт в мае", from_community=True, reply_to=await world.external_id(UUID(first)), at=WEDNESDAY
    )
    (reply,) = (await world.only())["replies"]
    assert (reply["origin"], reply["in_reply_to"]) == ("network", first)
