"""Replies that staff wrote in the network follow what happens to their messages there."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import answer, appeal, execute, request, timeline_kinds
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_reply_changes import published, withdrawn
from tests.integration.appeals.test_withdrawn_answers import running_clocks

HOUR = timedelta(hours=1)
FORMER, NEW = "Отремонтируем в апреле.", "Отремонтируем в мае."


async def staff_reply(scenario: AppealsScenario, text: str = FORMER, at: timedelta = HOUR, **details: Any) -> UUID:
    """Let staff write in the network; return the message."""
    return await scenario.citizen_writes(text, from_community=True, at=WEDNESDAY + at, **details)


async def change_in_network(
    scenario: AppealsScenario, message: UUID, change: str, *, text: str | None = None, by: str = "community"
) -> None:
    """Edit, delete or restore a message as ingest stores it, without handling the event."""
    if change == "edited":
        await scenario.ingest.execute(
            "UPDATE messages SET text = $2, version = version + 1, edited_at = now() WHERE id = $1", message, text
        )
    else:
        await scenario.ingest.execute(
            "UPDATE messages SET deleted_at = CASE WHEN $2 THEN now() END, deleted_by = $3 WHERE id = $1",
            message,
            change == "deleted",
            by if change == "deleted" else None,
        )
    details: dict[str, dict[str, Any]] = {"deleted": {"deleted_by": by}, "edited": {"version": 2}}
    await scenario.emit(f"message.{change}", message, scenario.organisation, **details.get(change, {}))


async def changed(
    scenario: AppealsScenario, found: dict[str, Any], message: UUID, *changes: str, **given: Any
) -> dict[str, Any]:
    """Change a message in the network, let the service handle the events, and return the appeal."""
    for one in changes:
        await change_in_network(scenario, message, one, **given)
    await scenario.process_events()
    return await scenario.appeal(found["id"])


async def test_edited_staff_reply_has_the_new_text_everywhere(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    message = await staff_reply(scenario)
    before = await scenario.appeal(found["id"])
    after = await changed(scenario, found, message, "edited", text=NEW)
    (reply,) = after["replies"]
    (change,) = reply["changes"]
    assert (reply["text"], reply["status"]) == (NEW, "published")
    assert (change["kind"], change["status"], change["former_text"]) == ("edit", "applied", FORMER)
    assert (change["text"], change["requested_by"]["kind"]) == (NEW, "network")
    same = ("status", "first_response_at", "feedback")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    versions = await request(scenario, "GET", f"/appeals/{found['id']}/replies/{reply['id']}/versions")
    assert [(one["text"], one["author"]["kind"]) for one in versions.json()["items"]] == [
        (NEW, "network"), (FORMER, "network"),
    ]  # fmt: skip
    await scenario.index_texts()
    for words, count in (("мае", 1), ("апреле", 0)):
        listed = (await scenario.get("/appeals", q=words)).json()["items"]
        assert len(listed) == count, words
    # The same event again changes nothing.
    again = await changed(scenario, found, message, "edited", text=NEW)
    assert (again["version"], len(again["replies"][0]["changes"])) == (after["version"], 1)


async def test_deletion_of_the_only_staff_reply_reopens_the_appeal_and_restores_its_clocks(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    before = await running_clocks(scenario, found)
    message = await staff_reply(scenario)
    after = await changed(scenario, found, message, "deleted")
    (reply,) = after["replies"]
    assert (reply["status"], reply["text"]) == ("withdrawn", FORMER)
    (change,) = reply["changes"]
    assert (change["kind"], change["ground"], change["requested_by"]["kind"]) == ("withdrawal", None, "network")
    assert (after["status"], after["first_response_at"]) == ("reopened", None)
    assert after["first_response_due_at"] == found["first_response_due_at"]
    assert await running_clocks(scenario, found) == before
    (event,) = await scenario.events("reply.withdrawn")
    assert '"ground": null' in event["data"]
    # The next answer stops the clocks.
    await published(scenario, found, "Починим завтра.", at=3 * HOUR)
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_restored_staff_reply_is_the_answer_again(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    message = await staff_reply(scenario)
    before = await scenario.appeal(found["id"])
    clocks = (await scenario.get(f"/appeals/{found['id']}/deadlines")).json()["clocks"]
    await changed(scenario, found, message, "deleted")
    after = await changed(scenario, found, message, "restored")
    assert [reply["status"] for reply in after["replies"]] == ["published"]
    same = ("status", "first_response_at", "overdue", "outcome", "feedback_kind")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    rounds = await scenario.ingest.fetch("SELECT ended_at FROM feedback_rounds")
    assert [row["ended_at"] for row in rounds] == [None]
    shown = (await scenario.get(f"/appeals/{found['id']}/deadlines")).json()["clocks"]
    for one, former in zip(shown, clocks, strict=True):
        names = ("kind", "state", "stopped_at", "used_seconds", "on_time", "due_at")
        assert {name: one[name] for name in names} == {name: former[name] for name in names}
    # The restoration is a separate timeline entry, which shows when the reply was published.
    (deletion, reopening, answer_again) = after["timeline"][-3:]
    assert [entry["kind"] for entry in (deletion, reopening, answer_again)] == [
        "reply_withdrawn", "reopened", "answered",
    ]  # fmt: skip
    assert answer_again["at"] >= reopening["at"]
    assert datetime.fromisoformat(answer_again["data"]["published_at"]) == WEDNESDAY + HOUR
    # The reply can be deleted once more.
    assert (await changed(scenario, found, message, "deleted"))["status"] == "reopened"


async def test_changes_that_arrive_together_with_the_reply_give_its_last_state(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    message = await scenario.insert_message(FORMER, from_community=True, at=WEDNESDAY + HOUR)
    await change_in_network(scenario, message, "edited", text=NEW)
    await change_in_network(scenario, message, "deleted")
    await scenario.citizen_writes("Спасибо!", at=WEDNESDAY + 2 * HOUR)
    after = await scenario.appeal(found["id"])
    assert [(reply["text"], reply["status"]) for reply in after["replies"]] == [(NEW, "withdrawn")]
    assert (after["status"], after["first_response_at"]) == ("reopened", None)
    await change_in_network(scenario, message, "restored")
    await change_in_network(scenario, message, "deleted")
    await change_in_network(scenario, message, "restored")
    await scenario.process_events()
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_deletion_of_a_staff_reply_before_a_later_answer_changes_no_clock(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    message = await staff_reply(scenario)
    await published(scenario, found, "Отремонтировали.", at=3 * HOUR)
    before = await scenario.appeal(found["id"])
    after = await changed(scenario, found, message, "deleted")
    assert [reply["status"] for reply in after["replies"]] == ["withdrawn", "published"]
    same = ("status", "first_response_at", "closed_at")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    restored = await changed(scenario, found, message, "restored")
    assert {name: restored[name] for name in same} == {name: before[name] for name in same}


@pytest.mark.parametrize("by_staff", [True, False])
async def test_restored_reply_is_the_answer_after_a_later_one_is_deleted_or_withdrawn(
    scenario: AppealsScenario, by_staff: bool
) -> None:
    found = await appeal(scenario)
    first = await staff_reply(scenario)
    before = await scenario.appeal(found["id"])
    await changed(scenario, found, first, "deleted")
    if by_staff:
        second = await staff_reply(scenario, NEW, at=3 * HOUR)
    else:
        own = await published(scenario, found, NEW, at=3 * HOUR, kind="final")
    restored = await changed(scenario, found, first, "restored")
    assert restored["first_response_at"] == "2026-03-04T05:00:00Z"
    if by_staff:
        after = await changed(scenario, found, second, "deleted")
    else:
        await withdrawn(scenario, found, own)
        after = await scenario.appeal(found["id"])
    assert [reply["status"] for reply in after["replies"]] == ["published", "withdrawn"]
    same = ("status", "first_response_at", "overdue", "outcome", "closed_at")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert await running_clocks(scenario, found) == []
    rounds = await scenario.ingest.fetch("SELECT reply_id::text FROM feedback_rounds WHERE ended_at IS NULL")
    assert [row["reply_id"] for row in rounds] == [after["replies"][0]["id"]]


@pytest.mark.parametrize(
    ("by", "status"), [("unknown", "answered"), ("author", "answered"), ("community", "reopened")]
)
async def test_reply_deleted_with_the_question_is_awaited_again_only_if_the_page_deleted_the_question(
    scenario: AppealsScenario, by: str, status: str
) -> None:
    """A network deletes all comments with their post."""
    thread: dict[str, Any] = {"thread": "vk:-101_9"}
    question = await scenario.citizen_writes(QUESTION, kind="wall_post", **thread)
    found = await scenario.single_appeal()
    message = await staff_reply(scenario, **thread)
    await change_in_network(scenario, question, "deleted", by=by)
    after = await changed(scenario, found, message, "deleted", by="unknown")
    assert [reply["status"] for reply in after["replies"]] == ["withdrawn"]
    assert after["status"] == status
    assert (after["first_response_at"] is None) is (status == "reopened")


async def test_deleted_and_restored_staff_reply_keeps_its_feedback(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    message = await staff_reply(scenario)
    await scenario.citizen_writes("Спасибо большое!", at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.appeal(found["id"]))["feedback_kind"] == "thanks"
    assert (await changed(scenario, found, message, "deleted"))["feedback_kind"] is None
    after = await changed(scenario, found, message, "restored")
    assert (after["status"], after["feedback_kind"]) == ("answered", "thanks")
    assert len(after["feedback"]) == 1


async def test_dissatisfaction_with_a_deleted_and_restored_staff_reply_is_still_awaited(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    message = await staff_reply(scenario)
    await scenario.citizen_writes("⭐⭐", at=WEDNESDAY + 2 * HOUR)
    assert (await scenario.appeal(found["id"]))["feedback_kind"] == "not_solved"
    await changed(scenario, found, message, "deleted")
    after = await changed(scenario, found, message, "restored")
    assert (after["status"], after["feedback_kind"]) == ("reopened", "not_solved")
    assert after["next_response_due_at"] is not None


async def test_reopening_by_a_person_stays_when_the_reply_after_a_restored_one_is_withdrawn(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    first = await staff_reply(scenario)
    await changed(scenario, found, first, "deleted")
    own = await published(scenario, found, NEW, at=3 * HOUR, kind="final")
    await changed(scenario, found, first, "restored")
    reopened = await scenario.move(await scenario.appeal(found["id"]), "reopened", reason="Не всё")
    assert reopened.status_code == 200, reopened.text
    await withdrawn(scenario, found, own)
    assert (await scenario.appeal(found["id"]))["status"] == "reopened"


async def test_question_after_a_deleted_reply_is_still_awaited_after_its_restoration(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    message = await staff_reply(scenario)
    await changed(scenario, found, message, "deleted")
    await scenario.citizen_writes("А когда отремонтируют яму у школы?", at=WEDNESDAY + 2 * HOUR)
    after = await changed(scenario, found, message, "restored")
    assert (after["status"], after["first_response_at"]) == ("reopened", "2026-03-04T03:00:00Z")
    assert after["next_response_due_at"] is not None


async def test_own_reply_deleted_or_edited_by_hand_stays_as_it_is(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    message = await staff_reply(scenario, reply["text"], publication_id=UUID(int=5))
    for one in ("edited", "deleted", "restored"):
        after = await changed(scenario, found, message, one, text=NEW)
        assert [(shown["text"], shown["status"]) for shown in after["replies"]] == [(reply["text"], "published")]
        assert after["status"] == "answered"


@pytest.mark.parametrize("last", ["edited", "deleted"])
async def test_own_reply_changed_before_it_was_recognised_counts_once(
    scenario: AppealsScenario, last: str
) -> None:
    found = await appeal(scenario)
    reply = await answer(scenario, found)
    own = await staff_reply(scenario, "Начнём в понедельник, в 9.")
    await changed(scenario, found, own, "edited", text=NEW)
    if last == "deleted":
        assert (await changed(scenario, found, own, "deleted"))["status"] == "reopened"
    await scenario.emit_published(reply, at=WEDNESDAY + HOUR, external_id=await scenario.external_id(own))
    after = await scenario.appeal(found["id"])
    assert [(one["text"], one["status"]) for one in after["replies"]] == [(reply["text"], "published")]
    assert (after["status"], after["first_response_at"]) == ("answered", "2026-03-04T03:00:00Z")


async def test_change_of_a_staff_reply_to_an_erased_appeal_brings_no_text_back(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    message = await staff_reply(scenario)
    await execute(scenario, "UPDATE appeals SET erased_at = now()")
    await execute(scenario, "UPDATE replies SET text = ''")
    after = await changed(scenario, found, message, "edited", text=NEW)
    assert [(reply["text"], reply["changes"]) for reply in after["replies"]] == [("", [])]
    after = await changed(scenario, found, message, "deleted")
    assert ([reply["status"] for reply in after["replies"]], after["status"]) == (["withdrawn"], "answered")


async def test_restored_message_of_a_citizen_changes_nothing(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    question = UUID(found["messages"][0]["id"])
    deleted = await changed(scenario, found, question, "deleted", by="author")
    after = await changed(scenario, found, question, "restored")
    assert after["version"] == deleted["version"]
    assert await timeline_kinds(scenario, found) == [entry["kind"] for entry in deleted["timeline"]]
