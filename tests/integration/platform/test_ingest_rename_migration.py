"""Rows of ingest written by the version before migration 0028 are readable by their new names."""

import json
import re
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.integration.platform.upgrades import upgrade

pytestmark = pytest.mark.long  # upgrades a database from an old revision, so it is slow

# Rows as the version before migration 0028 wrote them; `$1` is an id of the test.
INGEST_ROWS = (
    """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key, from_community,
       text, attachments, url, history, way_in, written_at, received_at, version, raw)
       SELECT gen_random_uuid(), 'vk', 'message', way, $1, $1, 't', false, 'x', '[]', 'x', false, way, now(),
       now(), 1, '{}' FROM unnest(ARRAY['dialogs_poll', 'suggests_poll', 'reconcile', 'callback']) way""",
    "INSERT INTO set_aside (id, network, page_id, way_in, reason, raw, created_at)"
    " VALUES ($1, 'vk', $1, 'dialogs_poll', 'x', '{}', now())",
    "INSERT INTO tombstones (network, kind, external_id, page_id, created_at)"
    " VALUES ('vk', 'comment', '1', $1, now())",
    "INSERT INTO seen_events (page_id, event_id, created_at) VALUES ($1, 'e', now())",
    """INSERT INTO sources (id, page_id, way, cursor, failures, updated_at)
       VALUES ($1, $1, 'reconcile', '{"since": 1}', 3, now())""",
    "INSERT INTO poll_rates (page_id, way, state, updated_at) VALUES ($1, 'dialogs_poll', '{}', now())",
    """INSERT INTO threads (thread_key, page_id, marker, anchor, read_at, difference, rechecks)
       VALUES ('t', $1, '~1', 'a1', now(), 2, 4)""",
    """INSERT INTO network_tokens (id, network, kind, digest, secret, state, usage, created_at, updated_at)
       SELECT gen_random_uuid(), 'vk', 'user', limits::text, '', 'healthy', limits, now(), now()
       FROM unnest(ARRAY['{}', '{"limited": {"wall.get": "2026-11-25T12:00:00+00:00"}}']::jsonb[]) limits
       WHERE $1::uuid IS NOT NULL""",
    """INSERT INTO callback_servers (page_id, network, url, secret, digest, by_hand, state, awaited_until,
       created_at, updated_at)
       VALUES ($1, 'vk', 'x', '', 'd', true, 'working', '2026-01-01T00:00:00Z', now(), now())""",
    """INSERT INTO reconciliations (id, page_id, since, started_at, cursor, compared, gaps, late, edited, deleted)
       VALUES ($1, $1, now(), now(), '{"step": "dialogs"}', 9, 1, 2, 0, 0)""",
    """INSERT INTO backfills (id, page_id, organisation_id, since, open_cases, status, cursor, share, found,
       stored, asked_by, created_at, updated_at)
       VALUES ($1, $1, $1, now(), true, 'running', '{"step": "suggests"}', 0.5, 7, 6, 'ann', now(), now())""",
    """INSERT INTO publications (id, reply_id, page_id, organisation_id, network, kind, thread_key, target, text,
       on_behalf_of, status, attempts, sent_after, stood_before, sent_texts, failure, version, created_at,
       updated_at)
       VALUES ($1, $1, $1, $1, 'vk', 'comment', 't', '-1_2', 'x', 'x', 'failed', 1, 5, '{a}', '{b}',
       '{"code": "in_doubt", "message": "m", "final": true}', 1, now(), now())""",
    """INSERT INTO webhook_endpoints (id, url, description, secret, event_types, active, created_by, version,
       created_at, updated_at)
       VALUES ($1, 'x', '', '', '["token.state_changed", "appeal.opened"]', true, 'x', 1, now(), now())""",
    "INSERT INTO ingest_idempotency (caller, key, fingerprint, created_at)"
    " VALUES ($1::uuid::text, 'k', '', now())",
    """INSERT INTO ingest_jobs.pgqueuer_schedules (expression, entrypoint, next_run)
       SELECT '* * * * *', name, now() FROM unnest(ARRAY['publications_recovery', 'purge']) name
       WHERE $1::uuid IS NOT NULL""",
)
INGEST_EVENTS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "token.state_changed": (
        {"token_id": "x", "network": "vk", "state": "retired"},
        "network_token.state_changed",
        {"network": "vk", "state": "deleted"},
    ),
    "publication.delayed": (
        {"reply_id": "x", "failure": {"code": "no_token", "final": False}},
        "publication.retry_scheduled",
        {"reply_id": "x", "failure": {"code": "no_usable_token", "final": False}},
    ),
    "publication.failed": (
        {"failure": {"code": "vk:213", "final": True}},
        "publication.failed",
        {"failure": {"code": "vk:213", "final": True}},
    ),
    "publication.published": (
        {"external_id": "1", "external_ids": ["1", "2"], "adopted": True},
        "publication.published",
        {"external_ids": ["1", "2"], "matched": True},
    ),
    "source.gap_found": ({"count": 2, "network": "vk"}, "source.gap_found", {"gaps": 2, "network": "vk"}),
    "message.received": ({"history": False}, "message.received", {"history": False}),
}


async def test_rows_of_ingest_are_readable_by_their_new_names(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0027")
    connection = await asyncpg.connect(admin)
    # Foreign keys are not checked, so that only the needed rows are inserted.
    await connection.execute("SET session_replication_role = replica")
    one = uuid4()
    for statement in INGEST_ROWS:
        await connection.execute(statement, one)
    for number, (former, (data, _, _)) in enumerate(INGEST_EVENTS.items()):
        await connection.execute(
            """INSERT INTO events (id, type, subject_id, actor, occurred_at, created_at, data, position)
               VALUES (gen_random_uuid(), $1, $2, 'x', now(), now(), $3, $4)""",
            former, one, json.dumps(data), number,
        )  # fmt: skip
        payload = {"type": former, "data": {"state": data.get("state"), "count": data.get("count")}}
        await connection.execute(
            """INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, payload, status, attempts,
               next_attempt_at, created_at)
               SELECT gen_random_uuid(), $1, id, type, $3, 'pending', 0, now(), now()
               FROM events WHERE type = $2""",
            one, former, json.dumps(payload),
        )  # fmt: skip
    await upgrade(monkeypatch, owner, "0028")

    async def row(query: str) -> tuple[Any, ...]:
        (found,) = await connection.fetch(query)
        return tuple(found)

    kinds = await connection.fetch("SELECT external_id, source_kind FROM messages")
    assert dict(kinds) == {
        "dialogs_poll": "conversations_poll",
        "suggests_poll": "suggested_posts_poll",
        "reconcile": "reconciliation",
        "callback": "callback",
    }
    assert await row("SELECT id, source_kind FROM quarantine") == (one, "conversations_poll")
    assert await row("SELECT external_id FROM pending_deletions") == ("1",)
    assert await row("SELECT event_id FROM processed_push_events") == ("e",)
    assert await row("SELECT id, kind, consecutive_failures FROM sources") == (one, "reconciliation", 3)
    assert await row("SELECT source_kind FROM poll_rates") == ("conversations_poll",)
    thread = await row("SELECT marker, cursor, count_difference, recheck_count FROM threads")
    assert thread == ("~1", "a1", 2, 4)
    limits = await connection.fetch("SELECT method_limits FROM network_tokens ORDER BY length(digest)")
    assert [json.loads(found["method_limits"]) for found in limits] == [
        {},
        {"wall.get": "2026-11-25T12:00:00+00:00"},
    ]
    callback = "SELECT manual, state, extract(year FROM confirmation_until)::int FROM callback_registrations"
    assert await row(callback) == (True, "active", 2026)
    assert await row("SELECT within_grace, cursor ->> 'step' FROM reconciliations") == (2, "dialogs")
    backfill = await row(
        "SELECT open_appeals, progress, items_read, messages_added, requested_by, cursor ->> 'step' FROM backfills"
    )
    assert backfill == (True, 0.5, 7, 6, "ann", "suggests")
    publication = await row(
        "SELECT reply_to, baseline_position, baseline_external_ids, previous_texts, failure ->> 'code',"
        " failure ->> 'message' FROM publications"
    )
    assert publication == ("-1_2", 5, ["a"], ["b"], "outcome_unknown", "m")
    events = await connection.fetch("SELECT type, data FROM events ORDER BY position")
    assert [(found["type"], json.loads(found["data"])) for found in events] == [
        (current, data) for _, current, data in INGEST_EVENTS.values()
    ]
    subscribed = await connection.fetchval("SELECT event_types FROM webhook_endpoints")
    assert sorted(json.loads(subscribed)) == ["appeal.opened", "network_token.state_changed"]
    deliveries = {
        found["event_type"]: json.loads(found["payload"])
        for found in await connection.fetch("SELECT event_type, payload FROM webhook_deliveries")
    }
    assert all(payload["type"] == event_type for event_type, payload in deliveries.items())
    assert deliveries["network_token.state_changed"]["data"]["state"] == "deleted"
    assert deliveries["source.gap_found"]["data"]["gaps"] == 2
    assert await connection.fetchval("SELECT count(*) FROM ingest_idempotency") == 0
    assert await row("SELECT entrypoint FROM ingest_jobs.pgqueuer_schedules") == ("purge",)
    names = await connection.fetch(
        "SELECT relname FROM pg_class UNION SELECT conname FROM pg_constraint WHERE contype <> 'n'"
    )
    old_names = re.compile("set_aside|tombstones|seen_events|callback_servers|living|in_doubt|page_id_way")
    assert [found["relname"] for found in names if old_names.search(found["relname"])] == []
    await connection.close()
