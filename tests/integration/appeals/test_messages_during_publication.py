"""Messages written while a reply is being published: the reply does not answer what its author could not see."""

import json
from datetime import timedelta

import pytest

from tests.integration.appeals.conftest import WEDNESDAY, World
from tests.integration.appeals.reply_helpers import answer, appeal, fails
from tests.integration.appeals.test_appeal_matching import QUESTION

HOUR = timedelta(hours=1)
FURTHER_QUESTION = "А когда починят фонарь у школы на улице Гагарина? Там тоже темно!"


async def test_question_before_the_publication_is_known_reopens_the_appeal(world: World) -> None:
    found = await appeal(world)
    reply = await answer(world, found)
    await world.writes(FURTHER_QUESTION, at=WEDNESDAY + 2 * HOUR)
    assert (await world.appeal(found["id"]))["status"] == "in_progress"
    await world.published(reply, at=WEDNESDAY + HOUR)
    after = await world.appeal(found["id"])
    assert after["status"] == "reopened"
    assert after["first_response_at"] is not None
    assert after["next_response_due_at"] is not None
    told = [event["type"] for event in await world.events("appeal.answered", "appeal.reopened")]
    assert told == ["appeal.answered", "appeal.reopened"]
    assert json.loads((await world.events("appeal.reopened"))[0]["data"])["status"] == "reopened"


async def test_unclear_message_before_the_publication_is_known_goes_to_triage(world: World) -> None:
    found = await appeal(world)
    reply = await answer(world, found)
    message = await world.writes(FURTHER_QUESTION, at=WEDNESDAY + 2 * HOUR)
    connection = await world.database.connect()
    await connection.execute("UPDATE classifications SET needs_answer = 'unsure' WHERE message_id = $1", message)
    await connection.close()
    await world.published(reply, at=WEDNESDAY + HOUR)
    after = await world.appeal(found["id"])
    assert (after["status"], after["next_response_due_at"]) == ("triage", None)


@pytest.mark.parametrize(
    ("text", "before_the_reply"),
    [("Спасибо большое!", False), (FURTHER_QUESTION, True)],
    ids=["thanks", "question_that_the_author_saw"],
)
async def test_message_that_needs_no_further_reply_leaves_the_appeal_answered(
    world: World, text: str, before_the_reply: bool
) -> None:
    found = await appeal(world)
    if before_the_reply:
        await world.writes(text, at=WEDNESDAY + HOUR / 2)
        found = await world.appeal(found["id"])
    reply = await answer(world, found)
    if not before_the_reply:
        await world.writes(text, at=WEDNESDAY + 2 * HOUR)
    await world.published(reply, at=WEDNESDAY + HOUR)
    assert (await world.appeal(found["id"]))["status"] == "answered"


async def test_retried_reply_answers_messages_received_before_the_retry(world: World) -> None:
    found = await appeal(world)
    reply = await answer(world, found)
    await fails(world, reply)
    await world.writes(FURTHER_QUESTION, at=WEDNESDAY + HOUR)
    again = await world.post(f"/appeals/{found['id']}/replies/{reply['id']}/retry", {})
    assert again.status_code == 202, again.text
    await world.published(reply, at=WEDNESDAY + 2 * HOUR)
    assert (await world.appeal(found["id"]))["status"] == "answered"


@pytest.mark.parametrize(("staff_hour", "status"), [(1, "reopened"), (3, "answered")])
async def test_staff_reply_received_late_answers_only_what_was_written_before_it(
    world: World, staff_hour: int, status: str
) -> None:
    first = await world.writes(QUESTION)
    found = await world.only()
    await world.writes(FURTHER_QUESTION, at=WEDNESDAY + 2 * HOUR)
    await world.writes(
        "Сделаем до пятницы.",
        from_community=True,
        reply_to=await world.external_id(first),
        at=WEDNESDAY + staff_hour * HOUR,
    )
    assert (await world.appeal(found["id"]))["status"] == status


async def test_earlier_reply_found_published_late_does_not_reopen(world: World) -> None:
    """A later reply has answered what came after the earlier one was submitted."""
    found = await appeal(world)
    first = await answer(world, found)
    await fails(world, first)
    await world.writes(FURTHER_QUESTION, at=WEDNESDAY + HOUR)
    second = await answer(world, found, "Починим оба фонаря.")
    await world.published(second, at=WEDNESDAY + 2 * HOUR, external_id="-101_78")
    await world.published(first, at=WEDNESDAY + 3 * HOUR)
    assert (await world.appeal(found["id"]))["status"] == "answered"


async def test_own_reply_first_taken_for_a_staff_reply_answers_only_what_its_author_saw(world: World) -> None:
    found = await appeal(world)
    reply = await answer(world, found)
    await world.writes(FURTHER_QUESTION, at=WEDNESDAY + HOUR)
    own = await world.writes("Начнём в понедельник, в 9.", from_community=True, at=WEDNESDAY + 2 * HOUR)
    assert (await world.appeal(found["id"]))["status"] == "answered"
    await world.published(reply, at=WEDNESDAY + 2 * HOUR, external_id=await world.external_id(own))
    after = await world.appeal(found["id"])
    assert (after["status"], len(after["replies"])) == ("reopened", 1)
