"""Helpers for tests of replies: requests of several people, and ingest's events about a reply."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx

from services.appeals import jobs
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.support.service_under_test import CENTRE_SUBJECT

COLLEAGUE = str(UUID(int=2))


async def appeal(scenario: AppealsScenario, *, author: str = "anna", thread: str = "vk:-101_1") -> dict[str, Any]:
    """Let this author write a question; return the appeal that it opens, with all details."""
    message = await scenario.citizen_writes(QUESTION, author=author, thread=thread)
    row = await scenario.ingest.fetchval("SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message)
    return await scenario.appeal(str(row))


async def send(
    scenario: AppealsScenario, path: str, body: Any = None, *, subject: str = CENTRE_SUBJECT, **headers: str
) -> httpx.Response:
    """Send a POST request as the moderator `subject`; header names are given with underscores."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    token = scenario.appeals.token("moderator", subject=subject)
    return await scenario.appeals.client.post(
        f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"} | more
    )


async def answer(
    scenario: AppealsScenario, found: dict[str, Any], text: str = "Начнём в понедельник.", **body: Any
) -> Any:
    """Submit a reply to an appeal as a moderator; return the queued reply."""
    sent = await send(scenario, f"/appeals/{found['id']}/replies", {"text": text, **body})
    assert sent.status_code == 201, sent.text
    return sent.json()


async def reply_fails(
    scenario: AppealsScenario, reply: dict[str, Any], message: str = "Сеть не дала доступа."
) -> None:
    """Emit the event saying that the network finally refused the reply, and let the service handle it."""
    failure = {"code": "vk:15", "message": message, "final": True}
    await publication_event(scenario, reply, "failed", failure=failure)


async def publication_event(scenario: AppealsScenario, reply: dict[str, Any], outcome: str, **data: Any) -> None:
    """Emit `publication.<outcome>` for the reply and let the service handle it."""
    await scenario.emit(f"publication.{outcome}", uuid4(), scenario.organisation, reply_id=reply["id"], **data)
    await scenario.process_events()


async def restart_publication(scenario: AppealsScenario, reply: dict[str, Any]) -> None:
    """Insert a queued publication of a failed reply, as if ingest had restarted it."""
    await scenario.ingest.execute(
        """INSERT INTO publications (id, reply_id, part, parts, page_id, organisation_id, network, kind,
           thread_key, text, on_behalf_of, status, attempts, version, created_at, updated_at)
           VALUES ($1, $2, 0, 1, $3, $4, 'vk', 'comment', 'vk:-101_1', 'x', 'x', 'queued', 0, 1, now(), now())""",
        uuid4(), UUID(reply["id"]), scenario.page, scenario.organisation,
    )  # fmt: skip


async def publication_jobs(scenario: AppealsScenario) -> list[tuple[UUID, UUID]]:
    """Return the reply id and message id of each enqueued publication request, oldest first."""
    connection = await scenario.database.connect()
    rows = await connection.fetch(
        "SELECT payload FROM appeals_jobs.pgqueuer WHERE entrypoint = $1 ORDER BY id", jobs.REQUEST_PUBLICATION
    )
    await connection.close()
    payloads = [json.loads(row["payload"]) for row in rows]
    return [(UUID(found["reply_id"]), UUID(found["message_id"])) for found in payloads]


async def execute(scenario: AppealsScenario, statement: str, *values: Any) -> None:
    """Execute an SQL statement with the database rights of appeals."""
    connection = await scenario.database.connect("appeals")
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def request(
    scenario: AppealsScenario,
    method: str,
    path: str,
    body: Any = None,
    *,
    role: str = "executor",
    org: UUID | None = None,
    subject: str = CENTRE_SUBJECT,
    **headers: str,
) -> httpx.Response:
    """Send a request as a person of the scenario's organisation or of `org`; moderators belong to none."""
    organisation = None if role == "moderator" else org or scenario.organisation
    token = scenario.appeals.token(role, organisation, subject=subject)
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return await scenario.appeals.client.request(
        method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"} | more
    )


async def draft(
    scenario: AppealsScenario, found: dict[str, Any], text: str = "Начнём в понедельник.", **body: Any
) -> Any:
    """Create a draft as an executor of the organisation; return it."""
    made = await request(
        scenario, "POST", f"/appeals/{found['id']}/replies", {"text": text, "status": "draft", **body}
    )
    assert made.status_code == 201, made.text
    return made.json()


async def require_approval(scenario: AppealsScenario, **conditions: Any) -> Any:
    """Add an approval rule with these conditions; return it."""
    made = await request(scenario, "POST", "/approval-rules", conditions, role="moderator")
    assert made.status_code == 201, made.text
    return made.json()


async def replies_of(scenario: AppealsScenario, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the replies of an appeal as its organisation sees them."""
    answer = await request(scenario, "GET", f"/appeals/{found['id']}/replies")
    assert answer.status_code == 200, answer.text
    replies: list[dict[str, Any]] = answer.json()
    return replies


async def timeline_kinds(scenario: AppealsScenario, found: dict[str, Any]) -> list[str]:
    """Return the kind of each entry in an appeal's timeline, oldest first."""
    return [entry["kind"] for entry in (await scenario.appeal(found["id"]))["timeline"]]


async def make_replies(scenario: AppealsScenario) -> None:
    """Run the enqueued jobs that create the replies to the members of incidents."""
    connection = await scenario.database.connect()
    # The jobs of the first name enqueue jobs of the second.
    for name in (jobs.REPLY_TO_ASSIGNED_MEMBERS, jobs.CREATE_INCIDENT_REPLIES):
        rows = await connection.fetch(
            "DELETE FROM appeals_jobs.pgqueuer WHERE entrypoint = $1 RETURNING id, payload", name
        )
        for row in sorted(rows, key=lambda row: row["id"]):
            await scenario.handle_job(name, json.loads(row["payload"]))
    await connection.close()
