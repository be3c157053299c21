"""Edits and withdrawals of published replies are recorded; withdrawing an answer restarts its clock."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.appeals.publication import change_results
from shared.service_client import ServiceRejected, ServiceUnavailable
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import (
    COLLEAGUE,
    answer,
    appeal,
    replies_of,
    request,
    require_approval,
    timeline_kinds,
)
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.support.service_under_test import CENTRE_SUBJECT

HOUR = timedelta(hours=1)
NEW = "Ямочный ремонт начнётся во вторник."
EDIT = {"text": NEW, "reason": "Подрядчик перенёс работы"}
WITHDRAWAL = {"ground": "factual_error", "reason": "Назван не тот адрес"}


async def published(
    scenario: AppealsScenario,
    found: dict[str, Any],
    text: str = "Начнём в понедельник.",
    *,
    at: timedelta = HOUR,
    parts: int = 1,
    channel: tuple[str, str] = ("vk", "comment"),
    external_id: str | None = None,
    **body: Any,
) -> dict[str, Any]:
    """Submit a reply and publish it, with its publications in ingest; return the reply."""
    reply: dict[str, Any] = await answer(scenario, found, text, **body)
    publication = uuid4()
    for part in range(parts):
        await scenario.ingest.execute(
            """INSERT INTO publications (id, reply_id, part, parts, page_id, organisation_id, network, kind,
               thread_key, text, on_behalf_of, status, attempts, version, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'vk:-101_1', $9, 'x', 'published', 1, 1, now(), now())""",
            publication if not part else uuid4(), UUID(reply["id"]), part, parts, scenario.page,
            scenario.organisation, *channel, "" if part else reply["text"],
        )  # fmt: skip
    external_id = external_id or f"-101_{uuid4().int % 10**6}"
    await scenario.emit_published(reply, at=WEDNESDAY + at, external_id=external_id)
    (shown,) = [one for one in await replies_of(scenario, found) if one["id"] == reply["id"]]
    assert shown["status"] == "published"
    return shown


async def change(
    scenario: AppealsScenario,
    found: dict[str, Any],
    reply: dict[str, Any],
    body: dict[str, Any],
    *,
    role: str = "manager",
    version: int | None = None,
    **more: Any,
) -> Any:
    """Request an edit of the reply, or its withdrawal if the body has a ground; return the response."""
    what = "withdrawal" if "ground" in body else "edits"
    more.setdefault("if_match", f'"{version or reply["version"]}"')
    path = f"/appeals/{found['id']}/replies/{reply['id']}/{what}"
    return await request(scenario, "POST", path, body, role=role, **more)


async def emit_outcome(
    scenario: AppealsScenario, reply: dict[str, Any], changed: Any, outcome: str, **data: Any
) -> None:
    """Emit the event with which ingest reports the outcome of the reply's last change."""
    assert changed.status_code == 202, changed.text
    change_id = changed.json()["changes"][-1]["id"]
    await scenario.emit(
        f"publication.{outcome}", uuid4(), scenario.organisation, reply_id=reply["id"], change_id=change_id, **data
    )
    await scenario.process_events()


async def withdrawn(scenario: AppealsScenario, found: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    """Withdraw the reply, and report that ingest completed this; return the appeal."""
    await emit_outcome(scenario, reply, await change(scenario, found, reply, WITHDRAWAL), "withdrawn")
    return await scenario.appeal(found["id"])


async def test_edit_is_shown_after_ingest_has_published_it(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    assert (await change(scenario, found, reply, EDIT, version=99)).status_code == 412
    asked = await change(scenario, found, reply, EDIT)
    assert (asked.json()["text"], asked.json()["changes"][0]["status"]) == (reply["text"], "queued")
    await emit_outcome(scenario, reply, asked, "edited")
    details = await scenario.appeal(found["id"])
    (shown,) = details["replies"]
    (applied,) = shown["changes"]
    assert (shown["text"], shown["status"], applied["status"]) == (NEW, "published", "applied")
    assert (applied["former_text"], applied["reason"]) == (reply["text"], EDIT["reason"])
    assert applied["requested_by"]["id"] == CENTRE_SUBJECT
    (entry,) = [entry for entry in details["timeline"] if entry["kind"] == "reply_edited"]
    assert (entry["data"]["former"], entry["data"]["reason"]) == (reply["text"], EDIT["reason"])
    assert details["status"] == "answered"
    versions = await request(scenario, "GET", f"/appeals/{found['id']}/replies/{reply['id']}/versions")
    assert [version["text"] for version in versions.json()["items"]] == [NEW, reply["text"]]
    (event,) = await scenario.events("reply.edited")
    assert NEW not in event["data"]


async def test_second_change_is_refused_while_an_edit_is_queued(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    first = await change(scenario, found, reply, EDIT, idempotency_key="edit-1")
    repeated = await change(scenario, found, reply, EDIT, idempotency_key="edit-1")
    assert first.json() == repeated.json()
    assert (await change(scenario, found, reply, WITHDRAWAL)).status_code == 412
    refused = await change(scenario, found, reply, WITHDRAWAL, version=first.json()["version"])
    assert refused.status_code == 409
    assert refused.json()["change"]["kind"] == "edit"
    for _ in range(2):
        await emit_outcome(scenario, reply, first, "edited")
    assert len(await scenario.events("reply.edited")) == 1


async def test_edit_refused_by_the_network_keeps_the_text_and_shows_the_reason(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    failure = {"code": "ok:704", "message": "Время для правки вышло.", "final": True}
    await emit_outcome(
        scenario, reply, await change(scenario, found, reply, EDIT), "change_failed", failure=failure
    )
    (shown,) = await replies_of(scenario, found)
    assert (shown["text"], shown["changes"][0]["failure"]["code"]) == (reply["text"], "ok:704")
    assert "reply_change_failed" in await timeline_kinds(scenario, found)
    (event,) = await scenario.events("reply.change_failed")
    assert json.loads(event["data"])["code"] == "ok:704"
    assert (await change(scenario, found, shown, EDIT)).status_code == 202


HOSTILE = "<script>alert(1)</script> «'; DROP TABLE replies; --» \u202eпривет"
REFUSED_TEXTS = (
    "Звоните Ивану: +7 914 123-45-67", "Начнём в понедельник.", "   ", "\u0000", "д" * 20_001,
)  # fmt: skip


async def test_text_of_an_edit_is_checked_and_stored_exactly(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    for text in REFUSED_TEXTS:
        refused = await change(scenario, found, reply, EDIT | {"text": text})
        assert refused.status_code == 422, text
        assert refused.json()["errors"][0]["pointer"] == "/text"
    await emit_outcome(scenario, reply, await change(scenario, found, reply, EDIT | {"text": HOSTILE}), "edited")
    assert (await replies_of(scenario, found))[0]["text"] == HOSTILE


async def test_edit_by_the_author_or_without_the_right_to_approve_is_refused_where_a_rule_requires_approval(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    await require_approval(scenario, organisation_id=str(scenario.organisation))
    by_executor = await change(scenario, found, reply, EDIT, role="executor", subject=COLLEAGUE)
    by_author = await change(scenario, found, reply, EDIT)
    assert (by_executor.status_code, by_author.status_code) == (409, 409)
    assert "approver" in by_executor.json()["detail"]
    by_approver = await change(scenario, found, reply, EDIT, role="approver", subject=COLLEAGUE)
    assert by_approver.status_code == 202


async def test_withdrawal_without_right_version_ground_or_reason_is_refused(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    for body in (EDIT, WITHDRAWAL):
        foreign = await change(scenario, found, reply, body, org=scenario.other_organisation)
        assert foreign.status_code == 404
    assert (await change(scenario, found, reply, WITHDRAWAL, role="executor")).status_code == 403
    unseen = await request(
        scenario, "POST", f"/appeals/{found['id']}/replies/{reply['id']}/withdrawal", WITHDRAWAL, role="manager"
    )
    assert unseen.status_code == 428
    for body in ({"reason": "Ошибка"}, WITHDRAWAL | {"ground": "mood"}, WITHDRAWAL | {"reason": " "}):
        path = f"/appeals/{found['id']}/replies/{reply['id']}/withdrawal"
        wrong = await request(scenario, "POST", path, body, role="manager", if_match=f'"{reply["version"]}"')
        assert wrong.status_code == 422


async def test_change_of_an_unpublished_reply_or_one_the_network_cannot_change_is_refused(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    queued = await answer(scenario, found)
    assert (await change(scenario, found, queued, EDIT)).status_code == 409
    third = await appeal(scenario, author="vera", thread="vk:-101_3")
    private = await published(scenario, third, channel=("ok", "message"))
    refused = await change(scenario, third, private, WITHDRAWAL)
    assert refused.status_code == 409
    assert "Одноклассники" in refused.json()["detail"]


async def test_withdrawn_answer_reopens_the_appeal_and_restarts_its_first_clock(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    assert (await scenario.appeal(found["id"]))["status"] == "answered"
    after = await withdrawn(scenario, found, reply)
    assert (after["status"], after["first_response_at"]) == ("reopened", None)
    for kept in ("first_response_due_at", "resolution_due_at"):
        assert after[kept] == found[kept]
    (shown,) = after["replies"]
    assert (shown["status"], shown["text"]) == ("withdrawn", reply["text"])
    kinds = [entry["kind"] for entry in after["timeline"]]
    assert {"reply_withdrawn", "reopened"} <= set(kinds)
    clocks = (await scenario.get(f"/appeals/{found['id']}/deadlines")).json()["clocks"]
    (first,) = [clock for clock in clocks if clock["kind"] == "first_response"]
    assert first["stopped_at"] is None
    assert [event["kind"] for event in first["events"]][-2:] == ["stopped", "answer_withdrawn"]
    assert first["due_at"] == found["first_response_due_at"]
    (event,) = await scenario.events("reply.withdrawn")
    data = json.loads(event["data"])
    assert (data["ground"], data["status"]) == ("factual_error", "reopened")
    assert WITHDRAWAL["reason"] not in event["data"]
    # The same text may be sent again; the new answer stops the restarted clock.
    again = await published(scenario, found, reply["text"], at=3 * HOUR)
    details = await scenario.appeal(found["id"])
    assert (details["status"], details["first_response_at"]) == ("answered", "2026-03-04T05:00:00Z")
    assert (await change(scenario, found, again, WITHDRAWAL)).status_code == 202


async def test_withdrawal_of_a_final_answer_removes_outcome_and_feedback(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found, kind="final", outcome="solved")
    await scenario.citizen_writes("Спасибо!", at=WEDNESDAY + 2 * HOUR)
    thanked = await scenario.appeal(found["id"])
    assert (thanked["final_answer_at"], thanked["outcome"], thanked["feedback_kind"]) == (
        "2026-03-04T03:00:00Z", "solved", "thanks",
    )  # fmt: skip
    after = await withdrawn(scenario, found, reply)
    assert (after["final_answer_at"], after["outcome"], after["feedback_kind"]) == (None, None, None)
    (said,) = after["feedback"]
    assert said["kind"] == "thanks"
    monkeypatch.setattr("shared.clock.now", lambda: datetime.fromisoformat(said["silent_after"]) + HOUR)
    await scenario.handle_schedule("record-silence")
    assert (await scenario.appeal(found["id"]))["feedback_kind"] is None


async def test_withdrawal_of_an_earlier_answer_changes_no_clock(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    first = await published(scenario, found)
    await published(scenario, found, "И ещё одно.", at=2 * HOUR)
    before = await scenario.appeal(found["id"])
    after = await withdrawn(scenario, found, first)
    for unchanged in ("status", "first_response_at", "first_response_due_at", "resolution_due_at"):
        assert after[unchanged] == before[unchanged]


async def test_withdrawal_of_the_second_answer_leaves_the_appeal_answered(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await published(scenario, found)
    second = await published(scenario, found, "И ещё одно.", at=2 * HOUR)
    after = await withdrawn(scenario, found, second)
    assert (after["status"], after["first_response_at"]) == ("answered", "2026-03-04T03:00:00Z")


async def test_withdrawal_of_the_final_reply_reopens_the_promise(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    promised = "2099-01-01T00:00:00+08:00"
    await published(scenario, found, "Уточним.", kind="interim", promised_at=promised)
    final = await published(scenario, found, "Починили.", at=2 * HOUR)
    assert (await scenario.appeal(found["id"]))["promises"][0]["status"] == "kept"
    after = await withdrawn(scenario, found, final)
    assert (after["status"], after["promises"][0]["status"]) == ("interim", "open")
    assert after["promised_at"] == after["promises"][0]["promised_at"]
    assert after["first_response_at"] == "2026-03-04T03:00:00Z"


async def test_withdrawal_of_the_answer_to_a_second_question_restores_its_deadline(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found)
    await scenario.citizen_writes(QUESTION, author="anna", thread="vk:-101_1", at=WEDNESDAY + 2 * HOUR)
    asked = await scenario.appeal(found["id"])
    assert asked["status"] == "reopened"
    second = await published(scenario, found, "Уже едем.", at=3 * HOUR)
    after = await withdrawn(scenario, found, second)
    assert (after["status"], after["first_response_at"]) == ("reopened", "2026-03-04T03:00:00Z")
    assert after["next_response_due_at"] == asked["next_response_due_at"]


async def test_withdrawal_of_an_answer_cancels_the_clocks_of_the_question_after_it(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    await scenario.citizen_writes(QUESTION, author="anna", thread="vk:-101_1", at=WEDNESDAY + 2 * HOUR)
    asked = await scenario.appeal(found["id"])
    assert asked["resolution_due_at"] != found["resolution_due_at"]
    after = await withdrawn(scenario, found, reply)
    assert (after["status"], after["first_response_at"], after["next_response_due_at"]) == ("reopened", None, None)
    assert after["resolution_due_at"] == found["resolution_due_at"]
    clocks = (await scenario.get(f"/appeals/{found['id']}/deadlines")).json()["clocks"]
    assert sorted((clock["kind"], clock["state"]) for clock in clocks) == [
        ("final_answer", "cancelled"), ("final_answer", "running"),
        ("first_response", "running"), ("next_response", "cancelled"),
    ]  # fmt: skip


async def late(scenario: AppealsScenario) -> list[str]:
    """Return the kind of clock of each recorded breach, sorted."""
    return sorted(json.loads(event["data"])["clock"] for event in await scenario.events("appeal.overdue"))


async def test_breaches_are_recorded_once_if_a_late_answer_is_withdrawn(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await scenario.handle_schedule("record-breaches")
    reply = await published(scenario, found, at=timedelta(days=10))
    after = await withdrawn(scenario, found, reply)
    assert (after["status"], after["overdue"]) == ("reopened", True)
    await scenario.handle_schedule("record-breaches")
    assert await late(scenario) == ["final_answer", "first_response"]


async def test_recorded_breach_of_a_question_stays_after_the_answer_before_it_is_withdrawn(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, "Уточним.", kind="interim", promised_at="2099-01-01T00:00:00+08:00")
    final = await published(scenario, found, "Починили.", at=2 * HOUR)
    await scenario.citizen_writes(QUESTION, author="anna", thread="vk:-101_1", at=WEDNESDAY + 3 * HOUR)
    await scenario.handle_schedule("record-breaches")
    await withdrawn(scenario, found, final)
    await scenario.handle_schedule("record-breaches")
    assert await late(scenario) == ["final_answer", "next_response"]


async def test_withdrawal_of_an_interim_reply_restores_the_final_answer_before_it(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    await published(scenario, found, kind="final", outcome="solved")
    interim = await published(
        scenario, found, "Уточним.", at=2 * HOUR, kind="interim", promised_at="2099-01-01T00:00:00+08:00"
    )
    assert (await scenario.appeal(found["id"]))["status"] == "interim"
    after = await withdrawn(scenario, found, interim)
    assert (after["status"], after["outcome"], after["promised_at"]) == ("answered", "solved", None)
    (entry,) = [entry for entry in after["timeline"] if entry["kind"] == "moved"]
    assert (entry["data"]["from"], entry["data"]["to"]) == ("interim", "answered")
    assert entry["data"]["reply_id"] == interim["id"]
    (event,) = await scenario.events("appeal.moved")
    assert (json.loads(event["data"])["from"], json.loads(event["data"])["to"]) == ("interim", "answered")


@pytest.mark.parametrize("promised", [False, True])
async def test_own_answer_mistaken_for_a_staff_reply_can_be_withdrawn(
    scenario: AppealsScenario, *, promised: bool
) -> None:
    found = await appeal(scenario)
    if promised:
        date = "2099-01-01T00:00:00+08:00"
        await published(scenario, found, "Уточним.", at=HOUR / 4, kind="interim", promised_at=date)
    mistaken = await scenario.citizen_writes("Начнём…", from_community=True, at=WEDNESDAY + HOUR / 2)
    reply = await published(scenario, found, external_id=await scenario.external_id(mistaken))
    answered = await scenario.appeal(found["id"])
    assert (answered["status"], reply["published_at"]) == ("answered", "2026-03-04T02:30:00Z")
    assert [one["origin"] for one in answered["replies"]] == ["gospablik"] * len(answered["replies"])
    after = await withdrawn(scenario, found, reply)
    assert after["status"] == ("interim" if promised else "reopened")
    assert [one["status"] for one in after["promises"]] == ["open"] * promised
    assert (after["first_response_at"] is None) is not promised
    clocks = (await scenario.get(f"/appeals/{found['id']}/deadlines")).json()["clocks"]
    (final,) = [clock for clock in clocks if clock["kind"] == "final_answer"]
    assert final["state"] == "running"


async def test_closed_appeal_is_reopened_by_the_withdrawal_of_its_answer(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    version = (await scenario.appeal(found["id"]))["version"]
    moved = await request(
        scenario, "POST", f"/appeals/{found['id']}/moves", {"to": "closed", "outcome": "solved"},
        role="moderator", if_match=f'"{version}"',
    )  # fmt: skip
    assert moved.status_code in {200, 201}, moved.text
    after = await withdrawn(scenario, found, reply)
    assert (after["status"], after["closed_at"], after["outcome"]) == ("reopened", None, None)


class Ingest:
    """A fake client of ingest: raises the next of `answers`; accepts the request if none is left."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []

    async def post(self, _callee: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Record the body; raise the next error or accept the request."""
        self.bodies.append(body)
        if self.answers:
            raise self.answers.pop(0)
        return {"id": body["id"], "status": "queued"}


async def test_change_is_requested_until_ingest_accepts_or_rejects_it(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    change_id = UUID((await change(scenario, found, reply, EDIT)).json()["changes"][0]["id"])
    ingest = Ingest(ServiceUnavailable("down"))
    service = scenario.appeals.service
    monkeypatch.setattr(service, "client", lambda: ingest)
    with pytest.raises(Exception, match="ingest does not answer"):
        await change_results.send_change_request(service, change_id)
    for _ in range(2):
        await change_results.send_change_request(service, change_id)
    assert [body["text"] for body in ingest.bodies] == [NEW, NEW]
    found = await appeal(scenario, author="boris", thread="vk:-101_2")
    reply = await published(scenario, found)
    change_id = UUID((await change(scenario, found, reply, EDIT)).json()["changes"][0]["id"])
    problem = {"detail": "Invalid: /text", "errors": [{"pointer": "/text", "detail": "Longer"}]}
    monkeypatch.setattr(service, "client", lambda: Ingest(ServiceRejected(422, problem)))
    await change_results.send_change_request(service, change_id)
    (shown,) = await replies_of(scenario, found)
    assert shown["changes"][0]["failure"]["code"] == "refused"
    assert "не помещается" in shown["changes"][0]["failure"]["message"]
    assert shown["text"] == reply["text"]


async def test_change_whose_job_was_dead_lettered_fails_and_can_be_requested_again(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    change_id = (await change(scenario, found, reply, EDIT)).json()["changes"][0]["id"]
    queue = scenario.appeals.service.jobs
    assert queue is not None
    async with scenario.appeals.service.database.write() as session:
        await queue.on_dead_letter["change_publication"](session, {"change_id": change_id}, "a bug")
    (shown,) = await replies_of(scenario, found)
    assert (shown["text"], shown["changes"][0]["status"]) == (reply["text"], "failed")
    assert shown["changes"][0]["failure"]["code"] == "job_dead_lettered"
    assert (await change(scenario, found, shown, EDIT)).status_code == 202
