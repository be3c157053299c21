"""Migration 0036 moves deadlines into clocks with events, and policies into versions; a downgrade undoes it."""

import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.integration.platform.upgrades import downgrade, upgrade

MOMENT, LATER, DUE = "2026-03-04T02:01:00+00:00", "2026-03-06T02:01:00+00:00", "2026-03-05T03:01:00+00:00"
ANSWERED, NEW, OPEN, TRIAGE, INTERIM = (UUID(int=number) for number in range(1, 6))
MESSAGE = UUID(int=9)


def stored(policy: UUID, starts_at: str = MOMENT) -> dict[str, Any]:
    return {
        "policy_id": str(policy), "policy": "9 часов", "hours": 9.0, "starts_from": "received",
        "starts_at": starts_at, "due_at": DUE, "calendar_id": None, "calendar": "Пятидневка",
        "time_zone": "Asia/Irkutsk", "days": [{"day": "2026-03-04", "minutes": 419, "note": None}],
        "text": "9 рабочих часов",
    }  # fmt: skip


async def insert_appeal(connection: asyncpg.Connection, appeal: UUID, deadline: Any, **values: Any) -> None:
    columns: dict[str, Any] = {
        "id": appeal, "version": 1, "status": "assigned", "urgency": "normal", "text": "x", "transfers": 0,
        "returns": 0, "route": "{}", "deadline": json.dumps(deadline) if deadline else None,
    } | values  # fmt: skip
    names = ", ".join(columns)
    marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await connection.execute(
        f"INSERT INTO appeals ({names}, written_at, opened_at, created_at, updated_at)"
        f" VALUES ({marks}, '{MOMENT}', '{MOMENT}', now(), now())",
        *columns.values(),
    )


async def test_deadlines_become_clocks_and_a_downgrade_restores_them(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0035")
    connection = await asyncpg.connect(admin)
    for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        await connection.execute(f"ALTER TABLE {row['tablename']} DISABLE TRIGGER ALL")
    policy = await connection.fetchval("SELECT id FROM sla_policies WHERE urgency = 'normal'")
    message = {"message_id": str(MESSAGE), "written_at": MOMENT, "received_at": LATER}
    stopped = stored(policy, LATER) | message | {"answered_at": DUE, "on_time": True, "working_seconds": 60}
    await connection.execute(
        """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
           from_community, text, attachments, url, history, source_kind, written_at, received_at, version, raw)
           VALUES ($1, 'vk', 'comment', '1', $1, $1, 't', false, 'x', '[]', 'u', false, 'poll', now(), now(), 1,
                   '{}')""",
        MESSAGE,
    )
    first = stored(policy)
    for appeal, deadline, values in (
        (NEW, None, {"status": "triage"}),
        (OPEN, first, {"due": DUE}),
        (ANSWERED, first | {"previous_responses": [stopped]}, {"due": DUE, "at": MOMENT, "status": "answered"}),
        (TRIAGE, first | {"next_response": message}, {"due": DUE, "at": MOMENT, "status": "triage"}),
        (
            INTERIM,
            first | {"next_response": stored(policy, LATER) | message},
            {"due": DUE, "at": MOMENT, "status": "interim", "next": DUE, "promised": LATER},
        ),
    ):
        await insert_appeal(connection, appeal, deadline, status=values.get("status", "assigned"))
        await connection.execute(
            """UPDATE appeals SET first_response_due_at = $2::text::timestamptz,
               resolution_due_at = $2::text::timestamptz, first_response_at = $3::text::timestamptz,
               next_response_due_at = $4::text::timestamptz, promised_at = $5::text::timestamptz WHERE id = $1""",
            appeal, *(values.get(name) for name in ("due", "at", "next", "promised")),
        )  # fmt: skip
    before = await connection.fetch("SELECT id, deadline FROM appeals ORDER BY id")

    await upgrade(monkeypatch, owner, "0036")
    rows = await connection.fetch("SELECT * FROM sla_clocks")
    found = [(row["appeal_id"], row["kind"], row["state"]) for row in rows]
    assert sorted(found) == sorted([
        (ANSWERED, "first_response", "stopped"), (ANSWERED, "next_response", "stopped"),
        (ANSWERED, "final_answer", "running"),
        (OPEN, "first_response", "running"), (OPEN, "final_answer", "running"),
        (TRIAGE, "first_response", "stopped"), (TRIAGE, "next_response", "waiting"),
        (TRIAGE, "final_answer", "running"),
        (INTERIM, "first_response", "stopped"), (INTERIM, "next_response", "running"),
        (INTERIM, "final_answer", "running"),
    ])  # fmt: skip
    assert {row["policy_id"] for row in rows if row["kind"] == "first_response"} == {policy}
    assert {row["target_seconds"] for row in rows if row["kind"] == "final_answer"} == {56 * 3_600}
    events = await connection.fetch(
        "SELECT kind, count(*), count(starts_at) AS starts FROM sla_clock_events GROUP BY kind ORDER BY kind"
    )
    assert [tuple(row) for row in events] == [("stopped", 4, 0)]
    assert {row["started_by"] for row in rows if row["state"] != "waiting"} == {"system"}
    granted = "SELECT has_table_privilege('gospablik_appeals', 'sla_clock_events', $1)"
    assert [await connection.fetchval(granted, verb) for verb in ("INSERT", "UPDATE", "DELETE")] == [
        True, False, False,
    ]  # fmt: skip

    # The service stores a running clock without an explanation.
    await connection.execute("UPDATE sla_clocks SET explanation = NULL WHERE appeal_id = $1", INTERIM)
    await downgrade("0035")
    await connection.reload_schema_state()
    running = json.loads(await connection.fetchval("SELECT deadline FROM appeals WHERE id = $1", INTERIM))
    assert set(running) == set(stored(policy)) | {"next_response"}
    assert set(running["next_response"]) == set(stored(policy) | message)
    assert running["next_response"]["policy_id"] == str(policy)
    before = [row for row in before if row["id"] != INTERIM]
    after = await connection.fetch("SELECT id, deadline FROM appeals WHERE id <> $1 ORDER BY id", INTERIM)
    assert [normal(row["deadline"]) for row in after] == [normal(row["deadline"]) for row in before]
    await connection.close()


def normal(deadline: str | None) -> Any:
    """Return a stored deadline with all its times in one format."""
    return json.loads(deadline.replace("+00:00", "Z").replace("+00", "Z")) if deadline else None


async def test_policies_of_an_urgency_become_versions(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0035")
    connection = await asyncpg.connect(admin)
    await connection.execute(
        """INSERT INTO sla_policies (id, name, urgency, first_response_hours, resolution_hours, starts_from,
           valid_from, created_at) VALUES (gen_random_uuid(), 'Новая', 'normal', 8, 40, 'received', $1, now())""",
        await connection.fetchval("SELECT timestamptz '2026-01-01 00:00:00+00'"),
    )
    await upgrade(monkeypatch, owner, "0036")
    rows = await connection.fetch(
        "SELECT policy_key, version, name, valid_until FROM sla_policies WHERE urgency = 'normal' ORDER BY version"
    )
    assert [(row["version"], row["valid_until"] is None) for row in rows] == [(1, False), (2, True)]
    assert len({row["policy_key"] for row in rows}) == 1
    assert rows[1]["name"] == "Новая"
    await connection.close()
