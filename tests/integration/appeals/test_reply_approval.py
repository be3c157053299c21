"""Approval of replies by rule: who may decide, refusals with remarks, and concurrent decisions."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import httpx

from services.appeals import jobs
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import (
    COLLEAGUE,
    answer,
    appeal,
    draft,
    execute,
    publication_jobs,
    replies_of,
    reply_fails,
    request,
    require_approval,
    send,
    timeline_kinds,
)
from tests.support.service_under_test import CENTRE_SUBJECT

TEXT = "Здравствуйте! Яму засыплем до 5 декабря."
APPROVER = str(UUID(int=4))


async def waiting(scenario: AppealsScenario, **names: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Submit an executor's reply that needs approval; return the appeal and the reply."""
    found = await appeal(scenario, **names)
    begun = await draft(scenario, found, TEXT)
    submitted = await request(scenario, "POST", _path(found, begun, "submit"), If_Match='"1"')
    assert submitted.status_code == 200, submitted.text
    assert submitted.json()["status"] == "on_approval"
    return found, submitted.json()


def _path(found: dict[str, Any], reply: dict[str, Any], action: str) -> str:
    return f"/appeals/{found['id']}/replies/{reply['id']}/{action}"


async def decide(
    scenario: AppealsScenario,
    found: dict[str, Any],
    reply: dict[str, Any],
    action: str,
    *,
    remarks: str = "Назовите мастера",
    role: str = "approver",
    subject: str = APPROVER,
    **more: Any,
) -> httpx.Response:
    body = {"remarks": remarks} if action == "refuse" else None
    return await request(
        scenario, "POST", _path(found, reply, action), body, role=role, subject=subject,
        **({"If_Match": f'"{reply["version"]}"'} | more),
    )  # fmt: skip


async def test_approved_reply_is_queued_with_its_author_and_published_once(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    assert await publication_jobs(scenario) == []
    assert reply["approval"]["reason"] == "Нужно согласование: все ответы"
    assert (await scenario.appeal(found["id"]))["first_response_at"] is None
    approved = await decide(scenario, found, reply, "approve")
    assert approved.status_code == 200, approved.text
    assert (approved.json()["status"], approved.json()["author"]["id"]) == ("queued", CENTRE_SUBJECT)
    decided = approved.json()["approval"]
    assert (decided["decision"], decided["decided_by"]["id"], decided["remarks"]) == ("approved", APPROVER, None)
    assert [job[0] for job in await publication_jobs(scenario)] == [UUID(reply["id"])]
    await scenario.emit_published(approved.json(), at=WEDNESDAY)
    assert (await scenario.appeal(found["id"]))["status"] == "answered"
    kinds = [kind for kind in await timeline_kinds(scenario, found) if kind.startswith("reply")]
    assert kinds == ["reply_approval_requested", "reply_approved", "reply_queued"]
    events = await scenario.events("reply.approval_requested", "reply.approved", "reply.queued", "appeal.answered")
    assert [event["type"] for event in events] == [
        "reply.approval_requested", "reply.approved", "reply.queued", "appeal.answered",
    ]  # fmt: skip
    for event in events[:2]:
        assert json.loads(event["data"])["reply_id"] == reply["id"]
        assert TEXT not in event["data"]


async def test_refused_reply_becomes_a_draft_with_the_remarks(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    for blank in ("", "  "):
        assert (await decide(scenario, found, reply, "refuse", remarks=blank)).status_code == 422
    refused = await decide(scenario, found, reply, "refuse")
    assert (refused.status_code, refused.json()["status"]) == (200, "draft")
    assert refused.json()["approval"]["remarks"] == "Назовите мастера"
    assert await publication_jobs(scenario) == []
    entry = (await scenario.appeal(found["id"]))["timeline"][-1]
    assert (entry["kind"], entry["data"]["remarks"]) == ("reply_refused", "Назовите мастера")
    (event,) = await scenario.events("reply.refused")
    assert "мастера" not in event["data"]
    better = TEXT + " Мастер участка на связи."
    saved = await request(
        scenario, "PUT", f"/appeals/{found['id']}/replies/{reply['id']}", {"text": better},
        If_Match=refused.headers["ETag"],
    )  # fmt: skip
    assert saved.status_code == 200, saved.text
    again = await request(scenario, "POST", _path(found, reply, "submit"), If_Match=saved.headers["ETag"])
    assert (again.json()["status"], again.json()["approval"]["decision"]) == ("on_approval", None)
    versions = await request(scenario, "GET", _path(found, reply, "versions"))
    assert [one["text"] for one in versions.json()["items"]] == [better, TEXT]


async def test_executor_author_other_organisation_and_anonymous_cannot_approve(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    for action in ("approve", "refuse"):
        assert (
            await decide(scenario, found, reply, action, role="executor", subject=COLLEAGUE)
        ).status_code == 403
        # The author cannot decide even with the role of an approver.
        own = await decide(scenario, found, reply, action, subject=CENTRE_SUBJECT)
        assert (own.status_code, own.json()["type"]) == (403, "/problems/forbidden")
        foreign = await decide(scenario, found, reply, action, org=scenario.other_organisation)
        assert foreign.status_code == 404
        anonymous = await scenario.appeals.client.post(f"/api/v1{_path(found, reply, action)}", json={})
        assert anonymous.status_code == 401
    (still,) = await replies_of(scenario, found)
    assert (still["status"], still["version"]) == ("on_approval", reply["version"])
    for role, subject in (("manager", APPROVER), ("moderator", COLLEAGUE)):
        decided = await decide(scenario, found, still, "refuse", role=role, subject=subject)
        assert decided.status_code == 200, decided.text
        again = await request(scenario, "POST", _path(found, reply, "submit"), If_Match="*")
        still = again.json()


async def test_decision_without_the_current_version_of_the_reply_is_refused(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    assert (await decide(scenario, found, reply, "approve", If_Match='"1"')).status_code == 412
    without = await request(scenario, "POST", _path(found, reply, "approve"), role="approver", subject=APPROVER)
    assert without.status_code == 428
    assert (await decide(scenario, found, reply, "approve", If_Match="*")).status_code == 200
    late = await decide(scenario, found, reply, "refuse", If_Match="*")
    assert late.status_code == 409, "the decision is made once"


async def test_rules_match_by_topic_group_urgency_organisation_and_kind(scenario: AppealsScenario) -> None:
    connection = await scenario.database.connect()
    topic, group = await connection.fetchrow("SELECT id, group_id FROM topics WHERE group_id IS NOT NULL LIMIT 1")
    other = await connection.fetchval("SELECT id FROM topics WHERE group_id IS NULL AND id <> $1 LIMIT 1", group)
    await connection.close()
    number = 0

    async def status_with(**conditions: Any) -> str:
        nonlocal number
        number += 1
        rule = await require_approval(scenario, **conditions)
        found = await appeal(scenario, author=f"a{number}", thread=f"vk:-101_{number}")
        await execute(scenario, "UPDATE appeals SET topic_id = $1 WHERE id = $2", topic, UUID(found["id"]))
        sent = await answer(scenario, found, f"{TEXT} {number}")
        removed = await request(scenario, "DELETE", f"/approval-rules/{rule['id']}", role="moderator")
        assert removed.status_code == 204, removed.text
        return str(sent["status"])

    matching: tuple[dict[str, Any], ...] = (
        {}, {"topic_id": str(topic)}, {"topic_id": str(group)}, {"urgency": "normal"},
        {"organisation_id": str(scenario.organisation)}, {"organisation_kind": "institution"},
        {"topic_id": str(group), "urgency": "normal", "organisation_id": str(scenario.organisation)},
    )  # fmt: skip
    for conditions in matching:
        assert await status_with(**conditions) == "on_approval", conditions
    others: tuple[dict[str, Any], ...] = (
        {"topic_id": str(other)}, {"urgency": "high"}, {"organisation_id": str(scenario.other_organisation)},
        {"topic_id": str(topic), "urgency": "high"},
    )  # fmt: skip
    for conditions in others:
        assert await status_with(**conditions) == "queued", conditions


async def test_invalid_and_equal_rules_are_refused(scenario: AppealsScenario) -> None:
    async def add(role: str = "moderator", **conditions: Any) -> httpx.Response:
        return await request(scenario, "POST", "/approval-rules", conditions, role=role)

    for field in ("topic_id", "organisation_id"):
        refused = await add(**{field: str(uuid4())})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{field}")
    unknown = await add(organisation_kind="цирк")
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/organisation_kind")
    assert (await add("manager", urgency="high")).status_code == 403
    answers = await asyncio.gather(*(add(urgency="high") for _ in range(3)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409]
    listed = await request(scenario, "GET", "/approval-rules")
    (rule,) = listed.json()["items"]
    assert (await request(scenario, "GET", f"/approval-rules/{rule['id']}")).json() == rule


async def test_reply_stays_on_approval_after_its_rule_was_removed(scenario: AppealsScenario) -> None:
    rule = await require_approval(scenario)
    found, reply = await waiting(scenario)
    await request(scenario, "DELETE", f"/approval-rules/{rule['id']}", role="moderator")
    assert (await replies_of(scenario, found))[0]["status"] == "on_approval"
    assert (await decide(scenario, found, reply, "approve")).status_code == 200


async def test_list_of_replies_on_approval_shows_those_of_the_callers_organisation(
    scenario: AppealsScenario,
) -> None:
    await require_approval(scenario)
    for number in range(3):
        await waiting(scenario, author=f"a{number}", thread=f"vk:-101_{number}")
    first = (await request(scenario, "GET", "/reply-approvals?limit=2", role="approver")).json()
    cursor = first["next_cursor"]
    rest = (await request(scenario, "GET", f"/reply-approvals?limit=2&cursor={cursor}", role="approver")).json()
    items = first["items"] + rest["items"]
    assert len({item["appeal_id"] for item in items}) == 3
    asked = [item["reply"]["approval"]["requested_at"] for item in items]
    assert asked == sorted(asked), "oldest first"
    foreign = await request(scenario, "GET", "/reply-approvals", role="approver", org=scenario.other_organisation)
    assert foreign.json()["items"] == []
    assert (await request(scenario, "GET", "/reply-approvals")).status_code == 403
    assert {item["reply"]["text"] for item in items} == {TEXT}
    await execute(scenario, "UPDATE replies SET text = 'Звоните: 8 914 123-45-67'")
    centre = await request(scenario, "GET", "/reply-approvals", role="moderator")
    items = centre.json()["items"]
    assert [item["reply"]["text"] for item in items] == ["Звоните: [телефон]"] * 3


async def test_reply_on_approval_blocks_another_reply_and_can_be_discarded(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    refused = await request(scenario, "POST", f"/appeals/{found['id']}/replies", {"text": "Иначе"})
    assert (refused.status_code, refused.json()["reply"]["status"]) == (409, "on_approval")
    edited = await request(
        scenario, "PUT", f"/appeals/{found['id']}/replies/{reply['id']}", {"text": "Иначе"}, If_Match="*"
    )
    assert edited.status_code == 409
    where = f"/appeals/{found['id']}/replies/{reply['id']}"
    assert (await request(scenario, "DELETE", where, If_Match="*")).status_code == 204
    assert (await decide(scenario, found, reply, "approve", If_Match="*")).status_code == 404


async def test_concurrent_decisions_and_discard_have_one_outcome(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    for number in range(4):
        found, reply = await waiting(scenario, author=f"a{number}", thread=f"vk:-101_{number}")
        where = f"/appeals/{found['id']}/replies/{reply['id']}"
        answers = await asyncio.gather(
            decide(scenario, found, reply, "approve"),
            decide(scenario, found, reply, "approve", subject=COLLEAGUE),
            decide(scenario, found, reply, "refuse", role="moderator", subject=str(UUID(int=9))),
            request(scenario, "DELETE", where, If_Match=f'"{reply["version"]}"'),
        )
        won = [one for one in answers if one.status_code in {200, 204}]
        assert len(won) == 1, [one.text for one in answers]
        assert {one.status_code for one in answers} - {200, 204} <= {404, 409, 412}
        queued = [job for job in await publication_jobs(scenario) if job[0] == UUID(reply["id"])]
        assert len(queued) == (1 if won[0] in answers[:2] else 0)


async def test_approval_after_the_appeal_was_closed_is_refused(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    closed = await scenario.move(await scenario.appeal(found["id"]), "closed", reason="Решено")
    assert closed.status_code == 200, closed.text
    assert (await decide(scenario, found, reply, "approve")).status_code == 409
    assert (await decide(scenario, found, reply, "refuse")).status_code == 200
    assert await publication_jobs(scenario) == []


async def test_approval_after_the_promised_date_passed_is_refused(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found = await appeal(scenario)
    sent = await answer(scenario, found, TEXT, kind="interim", promised_at="2099-01-01T00:00:00+08:00")
    await execute(scenario, "UPDATE replies SET promised_at = now() - interval '1 minute'")
    refused = await decide(scenario, found, sent, "approve")
    assert (refused.status_code, "promised date" in refused.json()["detail"]) == (409, True)


async def test_message_received_during_approval_reopens_the_appeal_after_publication(
    scenario: AppealsScenario,
) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    await scenario.citizen_writes("А когда починят тротуар у школы?", author="anna")
    approved = await decide(scenario, found, reply, "approve", If_Match="*")
    assert approved.status_code == 200, approved.text
    await scenario.emit_published(approved.json(), at=WEDNESDAY)
    assert (await scenario.appeal(found["id"]))["status"] == "reopened", "its author did not see the message"


async def test_retry_with_a_text_corrected_by_its_author_is_refused_without_approval(
    scenario: AppealsScenario,
) -> None:
    await require_approval(scenario)
    found, reply = await waiting(scenario)
    approved = (await decide(scenario, found, reply, "approve")).json()
    await reply_fails(scenario, approved)
    retry = _path(found, reply, "retry")
    assert (await request(scenario, "POST", retry, {"text": "Иначе"})).status_code == 409
    # The author cannot publish another text unapproved in any role; the unchanged text was approved.
    assert (await request(scenario, "POST", retry, {"text": "Иначе"}, role="manager")).status_code == 409
    assert (await request(scenario, "POST", retry)).status_code == 202


async def test_bulk_replies_to_an_incident_wait_for_approval(scenario: AppealsScenario) -> None:
    await require_approval(scenario)
    found = [await appeal(scenario, author=f"a{number}", thread=f"vk:-101_{number}") for number in range(2)]
    incident = (await send(scenario, "/incidents", {"appeal_ids": [one["id"] for one in found]})).json()
    where = f"/incidents/{incident['id']}/replies"
    sent = (await send(scenario, where, {"text": "Свет включат до 18:00."})).json()
    await scenario.handle_job(jobs.CREATE_INCIDENT_REPLIES, {"incident_reply_id": sent["id"]})
    (shown,) = (await scenario.get(where)).json()["items"]
    assert shown["by_status"] == {"on_approval": 2}
    assert await publication_jobs(scenario) == []
