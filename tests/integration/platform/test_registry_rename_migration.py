"""Rows of registry and webhooks written before migration 0027 are readable by their new names."""

import json
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import select

from shared.audit.hash_chain import GENESIS, ChainHead, chain_hash, verify
from shared.contracts.catalogue import EVENT_MODELS
from shared.database.sessions import Database
from shared.tables.common import AuditEntry
from tests.integration.platform.upgrades import downgrade, upgrade

pytestmark = pytest.mark.long  # upgrades and downgrades a database, so it is slow


async def test_registry_rows_are_readable_by_their_new_names(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    await connection.execute("SET session_replication_role = replica")
    own, day, moment = uuid4(), date(2026, 11, 25), datetime(2026, 11, 25, 1, tzinfo=UTC)
    statements: list[tuple[str, tuple[Any, ...]]] = [
        ("organisations (id, name, sort_key, kind, active, version, created_at, updated_at)"
         " VALUES ($1, 'x', 'x', 'other', true, 1, $2, $2)", (own, moment)),
        ("organisation_names (id, organisation_id, kind, name, folded, created_at)"
         " VALUES ($1, $1, 'official', 'Ёлка', 'елка', $2)", (own, moment)),
        ("successions (id, predecessor_id, successor_id, kind, took_place_on, created_at)"
         " VALUES ($1, $1, $1, 'merged', $2, $3)", (own, day, moment)),
        ("pages (id, organisation_id, network, external_id, name, sort_key, url, live_from, active, version,"
         " created_at, updated_at) VALUES ($1, $1, 'vk', '1', 'x', 'x', 'x', $2, true, 1, $2, $2)", (own, moment)),
        ("page_checks (id, page_id, day, checked_at, outcome, facts, changed, calls)"
         """ VALUES ($1, $1, $2, $3, 'open', '{"name": "x"}', '[{"field": "name"}]', 1)""", (own, day, moment)),
        ("coverage_days (id, day, network, owner_id, kind, total, exempt, covered, live)"
         " VALUES ($1, $2, 'vk', $1, 'other', 7, 1, 5, 3)", (own, day)),
        ("people (id, username, full_name, role, beneath, active, version, created_at, updated_at)"
         " VALUES ($1, 'x', 'x', 'manager', true, true, 1, $2, $2)", (own, moment)),
        ("api_clients (id, name, role, beneath, active, created_at)"
         " VALUES ($1, 'x', 'manager', true, true, $2)", (own, moment)),
        ("refresh_tokens (digest, session_id, person_id, came_from, created_at, expires_at)"
         " VALUES ('x', $1, $1, '192.0.2.7', $2, $2)", (own, moment)),
        *(
            ("page_steps (id, page_id, step, reached_on, evidence_kind, confirmed_by, created_at)"
             " VALUES ($1, $2, $3, $4, 'manual', $5, $6)", (uuid4(), own, step, day, by, moment))
            for step, by in (("verified", "system"), ("marked", str(own)), ("created", "migration"))
        ),
        *(
            (f"{service}_idempotency (caller, key, fingerprint, created_at) VALUES ('x', 'x', 'x', $1)", (moment,))
            for service in ("registry", "webhooks", "appeals")
        ),
    ]  # fmt: skip
    for statement, values in statements:
        await connection.execute(f"INSERT INTO {statement}", *values)
    await upgrade(monkeypatch, owner, "0027")
    for query, expected in (
        ("SELECT normalized_name FROM organisation_names", "елка"),
        ("SELECT effective_on FROM successions", day),
        ("SELECT go_live_at FROM pages", moment),
        ("SELECT (state, snapshot ->> 'name', changes -> 0 ->> 'field') FROM page_checks", ("open", "x", "name")),
        ("SELECT (parent_id, required, exempt) FROM coverage_days", (own, 7, 1)),
        ("SELECT include_subordinates FROM people", True),
        ("SELECT include_subordinates FROM api_clients", True),
        ("SELECT ip_address FROM refresh_tokens", "192.0.2.7"),
        ("SELECT array_agg(step ORDER BY step) FROM page_steps", ["created", "gov_badge", "verified"]),
        ("SELECT array_agg(confirmed_by ORDER BY step) FROM page_steps", ["migration", str(own), "registry"]),
        ("SELECT count(*) FROM registry_idempotency", 0),
        ("SELECT count(*) FROM webhooks_idempotency", 0),
    ):
        assert await connection.fetchval(query) == expected, query
    await connection.execute("SET session_replication_role = origin")
    await connection.execute("UPDATE organisations SET parent_id = NULL")  # the trigger sets the lineage
    child = uuid4()
    await connection.execute(
        "INSERT INTO organisations (id, name, sort_key, kind, parent_id, active, version, created_at, updated_at)"
        " VALUES ($1, 'y', 'y', 'other', $2, true, 1, now(), now())",
        child, own,
    )  # fmt: skip
    with pytest.raises(asyncpg.CheckViolationError, match="one of its descendants"):
        await connection.execute("UPDATE organisations SET parent_id = $1 WHERE id = $2", child, own)
    await connection.close()


async def test_events_deliveries_and_subscriptions_get_the_new_names(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    await connection.execute("SET session_replication_role = replica")
    page, moved = {"network": "vk", "external_id": "1", "url": "x"}, str(uuid4())
    registered = page | {"active": True, "version": 1, "live_from": "2026-11-20T01:00:00+00:00"}
    renamed = {"name": {"before": "marked", "after": "live_from"}}
    reason = "its owner lacks the right «registry:read», which «{}» needs"
    went = registered | {"go_live_at": registered["live_from"]}
    del went["live_from"]
    # The old type, actor and data of an event; then the new ones.
    rows: list[tuple[str, str, dict[str, Any], str, str, dict[str, Any]]] = [
        ("page.registered", moved, registered, "page.registered", moved, went),
        ("page.changed", moved, registered | {"changed": ["live_from", "name"], "moved_from": moved},
         "page.changed", moved, went | {"changed": ["go_live_at", "name"], "previous_organisation_id": moved}),
        ("page.changed_hands", moved, registered | {"moved_from": moved},
         "page.transferred", moved, went | {"previous_organisation_id": moved}),
        ("page.step_reached", "system", page | {"step": "marked", "evidence_kind": "network"},
         "page.step_reached", "registry", page | {"step": "gov_badge", "evidence_kind": "network"}),
        ("page.mark_lost", "system", page | {"step": "marked", "reason": "marked"},
         "page.badge_lost", "registry", page | {"step": "gov_badge", "reason": "marked"}),
        ("page.unreachable", "system", page | {"reason": None}, "page.gone", "registry", page | {"reason": None}),
        ("page.stolen", "system", page | renamed | {"signs": ["name_and_address_changed", "mark_lost_with_name"]},
         "page.takeover_suspected", "registry",
         page | renamed | {"signals": ["name_and_screen_name_changed", "badge_lost_with_rename"]}),
        ("organisation.succeeded", moved,
         {"code": None, "version": 1, "kind": "merged", "took_place_on": "2026-09-01", "successors": [moved]},
         "organisation.succession_recorded", moved,
         {"code": None, "version": 1, "kind": "merged", "effective_on": "2026-09-01", "successor_ids": [moved]}),
        ("person.changed", moved, {"changed": ["beneath", "role"], "version": 2},
         "person.changed", moved, {"changed": ["include_subordinates", "role"], "version": 2}),
        ("webhook.suspended", "webhooks", {"reason": reason.format("page.stolen")},
         "webhook.endpoint_suspended", "webhooks", {"reason": reason.format("page.takeover_suspected")}),
        ("appeal.opened", "system", {"step": "marked", "signs": 1}, "appeal.opened", "system",
         {"step": "marked", "signs": 1}),
    ]  # fmt: skip

    def is_sent(kind: str) -> bool:
        return kind.startswith(("page.", "organisation.", "appeal."))

    endpoint_id = uuid4()
    await connection.execute(
        """INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, personal_data,
           created_by, version, created_at, updated_at, suspended_reason)
           VALUES ($1, 'x', 'x', $2::text::jsonb, '', true, false, 'x', 1, now(), now(), $3)""",
        endpoint_id, json.dumps([row[0] for row in rows if is_sent(row[0])]), reason.format("page.stolen"),
    )  # fmt: skip
    for number, (kind, actor, data, *_) in enumerate(rows):
        event_id = uuid4()
        await connection.execute(
            """INSERT INTO events (id, position, type, subject_id, actor, occurred_at, created_at, data)
               VALUES ($1, $2, $3, $1, $4, now(), now(), $5::text::jsonb)""",
            event_id, number, kind, actor, json.dumps(data),
        )  # fmt: skip
        if not is_sent(kind):
            continue
        payload = {"type": kind, "timestamp": "x", "position": "0.1", "data": data | {"id": moved}}
        await connection.execute(
            """INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, payload, status, attempts,
               next_attempt_at, created_at, last_error)
               VALUES ($1, $2, $3, $4, $5::text::jsonb, 'failed', 1, now(), now(), $6)""",
            uuid4(), endpoint_id, event_id, kind, json.dumps(payload), reason.format(kind),
        )  # fmt: skip
    await upgrade(monkeypatch, owner, "0027")
    found = await connection.fetch("SELECT type, actor, data::text FROM events ORDER BY position")
    assert [(row["type"], row["actor"], json.loads(row["data"])) for row in found] == [row[3:] for row in rows]
    for row in found:
        if row["type"].startswith(("page.registered", "page.transferred", "page.takeover", "organisation.")):
            EVENT_MODELS[row["type"]].model_validate_json(row["data"])
    delivered = await connection.fetch(
        """SELECT delivery.event_type, delivery.payload::text, delivery.last_error FROM webhook_deliveries delivery
           JOIN events ON events.id = delivery.event_id ORDER BY events.position"""
    )
    for row, (kind, _, data) in zip(delivered, [row[3:] for row in rows if is_sent(row[3])], strict=True):
        assert json.loads(row["payload"]) == {
            "type": kind, "timestamp": "x", "position": "0.1", "data": data | {"id": moved}
        }  # fmt: skip
        assert (row["event_type"], row["last_error"]) == (kind, reason.format(kind))
    endpoint = await connection.fetchrow("SELECT event_types::text, suspended_reason FROM webhook_endpoints")
    assert endpoint is not None
    assert json.loads(endpoint["event_types"]) == [row[3] for row in rows if is_sent(row[3])]
    assert endpoint["suspended_reason"] == reason.format("page.takeover_suspected")
    await connection.close()


async def test_audit_rows_of_the_former_version_are_verified(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    chain = GENESIS
    for position in (1, 2):
        entry: dict[str, Any] = {
            "id": uuid4(), "position": position, "created_at": datetime(2026, 11, 25, 1, tzinfo=UTC),
            "service": "registry", "actor": "x", "on_behalf_of": None, "action": "registry_patch_page",
            "subject_kind": "pages", "subject_id": "x", "organisation_id": None, "before": {"live_from": "x"},
            "after": {"beneath": True}, "request_id": None, "came_from": "192.0.2.7",
        }  # fmt: skip
        chain = chain_hash(chain, entry)
        values = entry | {
            "before": json.dumps(entry["before"]),
            "after": json.dumps(entry["after"]),
            "chain": chain,
        }
        numbered = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await connection.execute(f"INSERT INTO audit ({', '.join(values)}) VALUES ({numbered})", *values.values())
    await connection.close()
    await upgrade(monkeypatch, owner, "0027")
    database = Database(admin, 1, name="test")
    try:
        async with database.read() as session:
            result = await verify(session)
            assert [row.ip_address for row in await session.scalars(select(AuditEntry))] == ["192.0.2.7"] * 2
    finally:
        await database.close()
    assert (result.head, result.error) == (ChainHead(2, chain), None)


async def test_registry_names_are_restored_by_a_downgrade(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    columns = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
        " ORDER BY 1, 2"
    )
    data = {"step": "marked", "live_from": "x", "changed": ["beneath"], "signs": ["mark_lost_with_name"]}
    await connection.execute(
        """INSERT INTO events (id, type, subject_id, actor, occurred_at, created_at, data)
           VALUES ($1, 'page.stolen', $1, 'system', now(), now(), $2::text::jsonb)""",
        uuid4(), json.dumps(data),
    )  # fmt: skip
    before = await connection.fetch(columns), await connection.fetch("SELECT * FROM events")
    await upgrade(monkeypatch, owner, "0027")
    assert await connection.fetch(columns) != before[0]
    await downgrade("0025")
    assert (await connection.fetch(columns), await connection.fetch("SELECT * FROM events")) == before
    await connection.close()
