"""The sources API: lag, tokens, push and gaps of thousands of pages in a few queries."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import event

from services.ingest.sources.source_metrics import update_metrics
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test


@pytest.fixture
async def raw_connection(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    yield connection
    await connection.close()


@pytest.fixture
async def api(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as service:
        yield service


async def get(api: ServiceUnderTest, path: str, status: int = 200, role: str = "operations", **query: Any) -> Any:
    answer = await api.client.get(f"/api/v1/sources{path}", params=query, headers=api.headers(role))
    assert answer.status_code == status, answer.text
    return answer.json()


async def source(raw_connection: asyncpg.Connection, page_id: UUID, kind: str, **values: Any) -> None:
    await raw_connection.execute(
        """INSERT INTO sources (id, page_id, kind, cursor, last_success_at, last_message_at, last_error,
           consecutive_failures, gaps, last_gap_at, updated_at)
           VALUES (gen_random_uuid(), $1, $2, '{}', $3, $4, $5, $6, $7, $8, now())""",
        page_id,
        kind,
        values.get("seen"),
        values.get("brought"),
        values.get("error"),
        values.get("failures", 0),
        values.get("gaps", 0),
        values.get("gap_at"),
    )


async def token(raw_connection: asyncpg.Connection, page_id: UUID | None, state: str, **values: Any) -> None:
    await raw_connection.execute(
        """INSERT INTO network_tokens (id, network, kind, page_id, digest, secret, state, reason, limited_until,
           limited_methods, created_at, updated_at)
           VALUES (gen_random_uuid(), 'vk', $1, $2, gen_random_uuid()::text, '', $3, $4, $5, $6, now(), now())""",
        "service" if page_id is None else "group",
        page_id,
        state,
        values.get("reason"),
        values.get("until"),
        values.get("limited_methods", "{}"),
    )


async def test_page_shows_its_sources(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    organisation = await insert_organisation(database)
    page_id = await insert_page(database, organisation)
    now = clock.now()
    await source(
        raw_connection, page_id, "long_poll", seen=now - timedelta(seconds=5), brought=now - timedelta(hours=1)
    )
    await source(
        raw_connection, page_id, "wall_poll", seen=now - timedelta(hours=2), brought=now - timedelta(hours=2)
    )
    await source(raw_connection, page_id, "reconciliation", seen=now, gaps=3, gap_at=now - timedelta(days=1))
    await source(raw_connection, page_id, "read_back", seen=now, error="not shown")
    await token(raw_connection, page_id, "healthy")
    started = now - timedelta(hours=20)
    for age, gaps in ((0, 3), (24, 0)):
        await raw_connection.execute(
            """INSERT INTO reconciliations (id, page_id, since, started_at, finished_at, cursor, compared, gaps,
               within_grace, edited, deleted) VALUES (gen_random_uuid(), $1, $2, $3, $3, '{}', 40, $4, 0, 0, 0)""",
            page_id,
            started - timedelta(days=2),
            started - timedelta(hours=age),
            gaps,
        )
    await raw_connection.execute(
        "INSERT INTO poll_rates (page_id, source_kind, state, updated_at) VALUES ($1, 'wall_poll', $2, now())",
        page_id,
        '{"expected_delay_seconds": 640.5}',
    )
    await raw_connection.execute(
        """INSERT INTO callback_registrations (page_id, network, url, secret, digest, manual, state, reason,
           last_event_at, created_at, updated_at)
           VALUES ($1, 'vk', 'https://example.invalid/secret-path', '', 'd', true, 'failed', 'no answer', $2,
           now(), now())""",
        page_id,
        now,
    )
    (shown,) = (await get(api, ""))["items"]
    assert (shown["state"], shown["gaps"], shown["last_message_source"]) == ("healthy", 3, "long_poll")
    assert 5 <= shown["lag_seconds"] < 60, "reading history must not count as reading new messages"
    assert shown["expected_delay_seconds"] == 640.5
    assert shown["token"] == {"state": "healthy", "reason": None, "until": None}
    assert (shown["callback"]["state"], shown["callback"]["reason"], shown["callback"]["manual"]) == (
        "failed",
        "no answer",
        True,
    )
    assert shown["last_reconciliation"]["gaps"] == 3
    assert shown["last_reconciliation"]["compared"] == 40
    assert [one["kind"] for one in shown["sources"]] == ["long_poll", "reconciliation", "wall_poll"]
    assert "secret-path" not in str(shown)
    whole = await get(api, f"/{page_id}")
    assert {key: whole[key] for key in shown if key not in {"lag_seconds", "sources"}} == {
        key: value for key, value in shown.items() if key not in {"lag_seconds", "sources"}
    }
    assert [one["gaps"] for one in whole["reconciliations"]] == [3, 0]
    assert [one["state"] for one in whole["tokens"]] == ["healthy"]
    assert whole["backfill"] is None
    assert (await get(api, f"/{uuid4()}", 404))["title"] == "Not found"
    foreign = await api.client.get(f"/api/v1/sources/{page_id}", headers=api.headers("executor", uuid4()))
    assert foreign.status_code == 404
    own = await api.client.get(f"/api/v1/sources/{page_id}", headers=api.headers("executor", organisation))
    assert own.status_code == 200


@pytest.mark.parametrize(
    "case",
    [
        ([], [], "no_token", ("none", "no token was added for this page")),
        ([], [{"state": "healthy"}], "not_read_yet", ("healthy", None)),
        ([{"state": "revoked", "reason": "vk 5"}], [], "no_token", ("revoked", "vk 5")),
        ([{"state": "revoked", "reason": "vk 5"}], [{"state": "healthy"}], "failing", ("revoked", "vk 5")),
        ([{"state": "revoked"}, {"state": "healthy"}], [], "not_read_yet", ("healthy", None)),
        ([{"state": "captcha", "reason": "vk 14"}], [{"state": "healthy"}], "failing", ("captcha", "vk 14")),
        ([{"state": "limited", "reason": "vk 29", "age": -60}], [], "not_read_yet", ("limited", "vk 29")),
        ([{"state": "limited", "reason": "vk 29", "age": 60}], [], "not_read_yet", ("healthy", None)),
    ],
)
async def test_page_shows_best_token_state(
    database: TestDatabase,
    raw_connection: asyncpg.Connection,
    api: ServiceUnderTest,
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], str, tuple[str, str | None]],
) -> None:
    own, common, state, shown = case
    page_id = await insert_page(database, await insert_organisation(database))
    for owner, tokens in ((page_id, own), (None, common)):
        for one in tokens:
            until = clock.now() - timedelta(seconds=one["age"]) if "age" in one else None
            await token(raw_connection, owner, one["state"], reason=one.get("reason"), until=until)
    (page,) = (await get(api, ""))["items"]
    assert page["state"] == state
    assert (page["token"]["state"], page["token"]["reason"]) == shown


async def test_paused_method_is_shown_as_limit(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    page_id = await insert_page(database, await insert_organisation(database))
    later = (clock.now() + timedelta(hours=3)).isoformat()
    earlier = (clock.now() - timedelta(hours=3)).isoformat()
    limits = f'{{"wall.get": "{later}", "wall.getComments": "{earlier}"}}'
    await token(raw_connection, page_id, "healthy", limited_methods=limits)
    (page,) = (await get(api, ""))["items"]
    assert (page["token"]["state"], page["token"]["reason"]) == ("limited", "limited methods: wall.get")
    assert page["token"]["until"] is not None


async def test_item_route_does_not_shadow_other_routes(database: TestDatabase, api: ServiceUnderTest) -> None:
    for path in ("/tokens", "/call-budgets", "/backfills", "/reconciliations", "/reconciliations/summary"):
        await get(api, path)
    await get(api, "/not-a-page", 422)


async def test_page_count_does_not_change_query_count(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    organisation = await insert_organisation(database)
    await insert_page(database, organisation)
    counted = []

    def count(*_: Any) -> None:
        counted.append(1)

    engine = api.service.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    await get(api, "", limit=200)
    few = len(counted)
    await raw_connection.execute(
        """INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at, active,
           version, created_at, updated_at) SELECT gen_random_uuid(), organisation_id, network, 'x' || n, name,
           sort_key, url || n, go_live_at, true, 1, now(), now() FROM pages, generate_series(1, 4000) n"""
    )
    await raw_connection.execute(
        """INSERT INTO sources (id, page_id, kind, cursor, last_success_at, consecutive_failures, updated_at)
           SELECT gen_random_uuid(), id, kind, '{}', now(), 0, now()
           FROM pages, unnest(ARRAY['long_poll', 'wall_poll', 'reconciliation']) kind"""
    )
    counted.clear()
    page = await get(api, "", limit=200)
    event.remove(engine, "before_cursor_execute", count)
    assert len(page["items"]) == 200
    assert page["next_cursor"]
    assert len(counted) == few
    assert few < 12


async def test_reconciliations_are_requested_and_summarized(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    organisation = await insert_organisation(database)
    vk = await insert_page(database, organisation)
    ok = await insert_page(database, organisation, network="ok")
    manager = api.headers("operations")
    one = await api.client.post(f"/api/v1/sources/{vk}/reconciliations", json={}, headers=manager)
    assert one.status_code == 202, one.text
    assert (one.json()["finished_at"], one.json()["gaps"]) == (None, 0)
    asked = await api.client.post("/api/v1/sources/reconciliations", json={"network": "ok"}, headers=manager)
    assert (asked.status_code, asked.json()["page_count"]) == (202, 1), asked.text
    everything = await api.client.post("/api/v1/sources/reconciliations", headers=manager)
    assert everything.json()["page_count"] == 2
    await raw_connection.execute(
        "UPDATE reconciliations SET gaps = 2, compared = 9, finished_at = now() WHERE page_id = $1", ok
    )
    summary = await get(api, "/reconciliations/summary", started_from=asked.json()["started_at"])
    assert (summary["requested"], summary["finished"], summary["gaps"], summary["compared"]) == (3, 2, 4, 18)
    assert len((await get(api, "/reconciliations", with_gaps=True))["items"]) == 2
    assert len((await get(api, f"/{vk}/reconciliations"))["items"]) == 2
    assert [len((await get(api, "/reconciliations", network=name))["items"]) for name in ("vk", "ok")] == [2, 2]
    for wrong in ("2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        for path in ("/reconciliations", "/reconciliations/summary"):
            refused_moment = await get(api, path, 422, started_from=wrong)
            assert refused_moment["errors"][0]["pointer"] == "query/started_from"
    future = {"since": (clock.now() + timedelta(days=1)).isoformat()}
    for path in (f"/{vk}/reconciliations", "/reconciliations"):
        refused = await api.client.post(f"/api/v1/sources{path}", json=future, headers=manager)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/since")
        executor = api.headers("executor", organisation)
        assert (await api.client.post(f"/api/v1/sources{path}", json={}, headers=executor)).status_code == 403
    await raw_connection.execute("UPDATE pages SET active = false WHERE id = $1", vk)
    refused = await api.client.post(f"/api/v1/sources/{vk}/reconciliations", json={}, headers=manager)
    assert refused.status_code == 409


async def test_budget_shows_calls_used_and_left(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    page_id = await insert_page(database, await insert_organisation(database))
    for state in ("healthy", "healthy", "revoked"):
        await token(raw_connection, None, state)
    await token(raw_connection, page_id, "healthy")
    await raw_connection.execute(
        """INSERT INTO call_counts (token_id, method, bucket, calls)
           SELECT id, 'wall.get', now() - age, 100 FROM network_tokens,
           unnest(ARRAY[interval '1 h', interval '2 h', interval '3 d']) age WHERE kind = 'service'"""
    )
    items = {(one["network"], one["method"]): one for one in (await get(api, "/call-budgets"))["items"]}
    wall = items["vk", "wall.get"]
    assert (wall["tokens"], wall["calls_last_24h"], wall["daily_limit"], wall["calls_remaining"]) == (
        2,
        600,
        10_000,
        9_600,
    )
    refused = await api.client.get("/api/v1/sources/call-budgets", headers=api.headers("executor", uuid4()))
    assert refused.status_code == 403


async def test_metrics_cover_all_pages(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    organisation = await insert_organisation(database)
    now = clock.now()
    for number, age in ((1, 30), (2, 7_200), (3, 7_300)):
        page_id = await insert_page(database, organisation, external_id=str(number))
        await source(raw_connection, page_id, "wall_poll", seen=now - timedelta(seconds=age))
        await source(raw_connection, page_id, "reconciliation", seen=now, gaps=2)
    async with api.service.database.read() as session:
        await update_metrics(session)
    shown = {
        name: REGISTRY.get_sample_value(name, {"network": "vk"})
        for name in ("gospablik_source_lag_seconds", "gospablik_stale_pages", "gospablik_missed_messages")
    }
    assert shown["gospablik_source_lag_seconds"] == pytest.approx(7_300, abs=120)
    assert (shown["gospablik_stale_pages"], shown["gospablik_missed_messages"]) == (2, 6)
    assert REGISTRY.get_sample_value("gospablik_stale_pages", {"network": "ok"}) == 0
