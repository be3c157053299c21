"""Migration 0075 erases what erasures of former versions left, and nothing of other citizens."""

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.platform.upgrades import downgrade, upgrade

BEFORE, REVISION = "0073", "0075"
ADDRESS = "https://vk.com/gim101?sel=5001"
EXPLANATION = {
    "text": "9 рабочих часов: с 04.03 11:00 по 04.03 12:00 — пауза (Ждём Марию); с 05.03 — пауза (Ждём)",
    "segments": [
        {"why_not": "paused", "note": "Ждём"},
        {"why_not": "holiday", "note": "Сагаалган"},
        {"why_not": "paused", "note": "Ждём Марию"},
        {"why_not": "paused", "note": None},
    ],
}
WITHOUT_REASONS = {
    "text": "9 рабочих часов: с 04.03 11:00 по 04.03 12:00 — пауза; с 05.03 — пауза",
    "segments": [
        {"why_not": "paused", "note": None},
        {"why_not": "holiday", "note": "Сагаалган"},
        {"why_not": "paused", "note": None},
        {"why_not": "paused", "note": None},
    ],
}


async def insert(connection: asyncpg.Connection, table: str, **values: Any) -> UUID:
    """Insert a row with a new id; return the id."""
    found = uuid4()
    row = {"id": found} | values
    names, marks = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", *row.values())
    return found


async def insert_appeal(connection: asyncpg.Connection, *, erased: bool, url: str | None) -> UUID:
    """Insert an appeal with a stopped clock, a reply and its timeline entry."""
    now = await connection.fetchval("SELECT now()")
    times = {"created_at": now, "updated_at": now}
    appeal = await insert(
        connection, "appeals", version=1, status="answered", urgency="normal", text="", transfers=0, returns=0,
        route="{}", written_at=now, opened_at=now, url=url, erased_at=now if erased else None, **times,
    )  # fmt: skip
    await insert(
        connection, "sla_clocks", appeal_id=appeal, kind="first_response", state="stopped", written_at=now,
        received_at=now, explanation=json.dumps(EXPLANATION), **times,
    )  # fmt: skip
    await insert(
        connection, "replies", appeal_id=appeal, origin="gospablik", kind="final", text="", status="published",
        author="x", version=1, url=ADDRESS, **times,
    )  # fmt: skip
    data = json.dumps({"url": ADDRESS, "reply_kind": "final"})
    await insert(connection, "timeline", appeal_id=appeal, at=now, kind="answered", actor="x", data=data)
    data = json.dumps({"url": url, "reply_url": ADDRESS, "reason": "Ждём"})
    await insert(
        connection, "events", type="appeal.answered", subject_id=appeal, actor="x", occurred_at=now,
        created_at=now, data=data,
    )  # fmt: skip
    return appeal


async def remains(connection: asyncpg.Connection, appeal: UUID) -> dict[str, Any]:
    """Return what the tables have about the appeal."""
    found = await connection.fetchrow(
        """SELECT c.explanation::text, r.url, t.data::text AS entry, e.data::text AS event
           FROM sla_clocks c JOIN replies r USING (appeal_id) JOIN timeline t USING (appeal_id)
           JOIN events e ON e.subject_id = c.appeal_id WHERE c.appeal_id = $1""",
        appeal,
    )
    return {
        "explanation": json.loads(found["explanation"]),
        "reply": found["url"],
        "entry": json.loads(found["entry"])["url"],
        "event": json.loads(found["event"])["reply_url"],
    }


async def insert_alert(connection: asyncpg.Connection, *appeals: UUID) -> UUID:
    """Insert an incident of these appeals with an alert; return the alert's id."""
    now = await connection.fetchval("SELECT now()")
    incident = await insert(
        connection, "incidents", version=1, origin="spike", title="x", urgency="normal", member_count=1,
        first_written_at=now, last_written_at=now, opened_at=now, opened_by="x", created_at=now, updated_at=now,
    )  # fmt: skip
    for appeal in appeals:
        await insert(
            connection, "incident_members", incident_id=incident, appeal_id=appeal, why="", joined_at=now,
            joined_by="x",
        )  # fmt: skip
    return await insert(
        connection, "alerts", kind="spike", incident_id=incident, why="Нет света у Марии", created_at=now
    )


async def test_remains_of_erased_data_are_erased(empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, BEFORE)
    connection = await asyncpg.connect(admin)
    conversation = await insert_appeal(connection, erased=True, url=None)
    public = await insert_appeal(connection, erased=True, url="https://vk.com/wall-101_1")
    other = await insert_appeal(connection, erased=False, url=None)
    alone = await insert_alert(connection, conversation)
    shared = await insert_alert(connection, public, other)
    await upgrade(monkeypatch, owner, REVISION)
    assert await remains(connection, conversation) == {
        "explanation": WITHOUT_REASONS, "reply": None, "entry": None, "event": None,
    }  # fmt: skip
    kept = {"reply": ADDRESS, "entry": ADDRESS, "event": ADDRESS}
    assert await remains(connection, public) == {"explanation": WITHOUT_REASONS} | kept
    assert await remains(connection, other) == {"explanation": EXPLANATION} | kept
    reasons = {row["id"]: row["why"] for row in await connection.fetch("SELECT id, why FROM alerts")}
    assert reasons == {alone: "", shared: "Нет света у Марии"}
    await downgrade(BEFORE)
    assert await connection.fetchval("SELECT to_regproc('ids_in_response')") is None
    await upgrade(monkeypatch, owner, REVISION)
    await connection.close()
