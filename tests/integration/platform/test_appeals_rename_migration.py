"""Migration 0029 keeps every row of appeals, and the rows are readable by the new names."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from cli.deployment import migrate
from services.appeals.lifecycle.route_snapshot import RouteSnapshot
from services.webhooks.event_catalogue.catalogue import CATALOGUE
from shared.contracts.stored_events import parse_event
from shared.tables.common import Event
from tests.integration.platform.upgrades import downgrade, upgrade

pytestmark = pytest.mark.long  # upgrades and downgrades a database, so it is slow

REVISION, BEFORE = "0029", "0028"
ID, MESSAGE, TOPIC, OTHER = (UUID(int=number) for number in range(1, 5))
MOMENT = "2026-11-23T02:00:00+00:00"
CLOCK = {
    "policy_id": str(ID), "policy": "8 часов", "hours": 8.0, "starts_from": "received", "start": MOMENT,
    "due_at": MOMENT, "calendar_id": None, "calendar": "Пятидневка", "time_zone": "Asia/Irkutsk",
    "days": [
        {"day": "2026-11-23", "minutes": 480, "title": None}, {"day": "2026-11-24", "minutes": 0, "title": "x"},
    ],
    "text": "8 рабочих часов",
}  # fmt: skip
AWAITED = {"message_id": str(MESSAGE), "written_at": MOMENT, "received_at": MOMENT}
STOPPED = CLOCK | AWAITED | {"answered_at": MOMENT, "on_time": True, "working_seconds": 60}
APPEAL = {
    "id": str(ID), "number": 7, "status": "assigned", "urgency": "normal", "network": None, "page_id": None,
    "url": None, "organisation_id": str(OTHER), "topic_id": None, "municipality": None, "settlement": None,
    "language": None, "incident_id": None, "written_at": MOMENT, "opened_at": MOMENT,
    "first_response_due_at": None, "first_response_at": None, "next_response_due_at": None,
    "resolution_due_at": None,
}  # fmt: skip
INCIDENT = {
    "number": 3, "origin": "burst", "topic_id": None, "fault": "power", "municipality": None, "settlement": None,
    "urgency": "high", "own": True, "members": 12, "first_at": MOMENT, "last_at": MOMENT, "closed_at": None,
}  # fmt: skip
FAILURE = {"code": "job_held", "message": "Отправка не удалась", "at": MOMENT, "will_retry": False}
EVENTS = {
    "appeal.moved": APPEAL | {"from": "assigned", "to": "triage", "reason": None, "left": True},
    "incident.opened": INCIDENT,
    "incident.closed": INCIDENT | {"origin": "person", "own": False},
    "alert.raised": {
        "kind": "ping_pong", "appeal_id": str(ID), "appeal_number": 7, "incident_id": None,
        "incident_number": None,
    },
    "reply.failed": APPEAL
    | {
        "reply_id": str(ID), "kind": "final", "code": "job_held", "reason": "Отправка не удалась",
        "failed_at": MOMENT, "failure": FAILURE,
    },
    "appeal.assigned": APPEAL,
}  # fmt: skip
REASONS = {
    "buryat": "buryat_text", "by_rule": "moderators_by_rule", "unruled": "no_rule", "no_page": "page_unknown",
    "closed": "organisation_closed", "topic_unsure": "topic_uncertain", "need_unclear": "need_unclear",
    "other_region": "other_region", "returned": "returned",
}  # fmt: skip


@pytest.fixture
async def former(empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncpg.Connection]:
    """A database of the previous revision without foreign key checks: tests insert only the rows they need."""
    owner, admin = empty
    await upgrade(monkeypatch, owner, BEFORE)
    connection = await asyncpg.connect(admin)
    for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        await connection.execute(f"ALTER TABLE {row['tablename']} DISABLE TRIGGER ALL")
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    yield connection
    await connection.close()


async def upgraded(revision: str = "head") -> None:
    """Upgrade the database of `former`, whose URL is in the environment."""
    await asyncio.to_thread(migrate.upgrade, revision)


async def insert(connection: asyncpg.Connection, table: str, **values: Any) -> None:
    names = ", ".join(values)
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", *values.values())


async def insert_appeal(connection: asyncpg.Connection, appeal: UUID = ID, **values: Any) -> None:
    moment = await connection.fetchval("SELECT now()")
    await insert(
        connection, "appeals", id=appeal, version=1, status="triage", urgency="normal", text="x",
        written_at=moment, opened_at=moment, created_at=moment, updated_at=moment,
        **({"route": {}, "handovers": 0, "returns": 0} | values),
    )  # fmt: skip


async def insert_stored_reviews(connection: asyncpg.Connection) -> None:
    moment = await connection.fetchval("SELECT now()")
    stamps = {"created_at": moment, "updated_at": moment}
    await insert(
        connection, "triage", message_id=MESSAGE, needs_answer="yes", type="request", urgency="normal",
        confidence=0.9, fault="heat", top3=[{"topic_id": str(TOPIC), "confidence": 0.8}], place_from="text",
        language="ru", why="x", judged_by="rule:plain-1", **stamps,
    )  # fmt: skip
    judged = {"needs_answer": "yes", "confidence": 0.9, "place_from": "page", "fault": "power"}
    decided = {"needs_answer": "yes", "place": {"municipality": "81624000"}}
    for message, values in {
        MESSAGE: {"judged_by": "rule:plain-1", "judged": judged, "decided": decided},
        OTHER: {"judged_by": "nobody", "judged": {}, "decided": {"needs_answer": "no"}},
    }.items():
        await insert(
            connection, "reviews", message_id=message, group_id=TOPIC, organisation_id=ID, agrees_need=True,
            agrees_group=False, agrees_place=True, agrees_owner=None, reviewed_by="x", **stamps, **values,
        )  # fmt: skip


async def test_classifications_reviews_and_assignments_are_kept(former: asyncpg.Connection) -> None:
    await insert_stored_reviews(former)
    await insert(
        former, "hands", id=ID, appeal_id=ID, at=await former.fetchval("SELECT now()"), kind="routed", actor="x",
        to_organisation_id=OTHER,
    )  # fmt: skip
    await upgraded()
    (classification,) = await former.fetch("SELECT * FROM classifications")
    assert [
        classification[name]
        for name in ("classified_by", "needs_answer_confidence", "location_source", "utility_failure")
    ] == ["rule:plain-1", 0.9, "text", "heat"]
    assert classification["top3"] == [{"topic_id": str(TOPIC), "confidence": 0.8}]
    rows = {row["message_id"]: row for row in await former.fetch("SELECT * FROM reviews")}
    review = rows[MESSAGE]
    assert review["predicted"] == {
        "needs_answer": "yes", "needs_answer_confidence": 0.9, "location_source": "page",
        "utility_failure": "power",
    }  # fmt: skip
    assert review["decided"] == {"needs_answer": "yes", "location": {"municipality": "81624000"}}
    assert (review["predicted_by"], review["topic_group_id"]) == ("rule:plain-1", TOPIC)
    questions = ("needs_answer", "topic_group", "location", "organisation")
    assert [review[f"agrees_{question}"] for question in questions] == [True, False, True, None]
    assert (rows[OTHER]["predicted_by"], rows[OTHER]["predicted"]) == ("none", {})
    (assignment,) = await former.fetch("SELECT * FROM assignments")
    assert (assignment["kind"], assignment["to_organisation_id"]) == ("routed", OTHER)


async def test_routes_and_deadlines_are_readable_by_the_new_names(former: asyncpg.Connection) -> None:
    routes = {
        uuid4(): {"reason": "x", "confidence": 0.5, "waiting_for": former_reason} for former_reason in REASONS
    }
    for appeal, route in routes.items():
        await insert_appeal(former, appeal, route=route)
    held, undone = uuid4(), uuid4()
    await insert_appeal(former, held, route={"held_by": str(OTHER), "waiting_for": None}, handovers=2, fault="gas")
    deadlines = {
        ID: CLOCK | {"next": CLOCK | AWAITED, "earlier": [STOPPED, STOPPED]},
        OTHER: {"next": AWAITED},
        MESSAGE: CLOCK,
    }
    for appeal, deadline in deadlines.items():
        await insert_appeal(former, appeal, deadline=deadline, reply_failed={"reply_id": str(ID), **FAILURE})
    await insert_appeal(former, undone)
    await upgraded(REVISION)
    rows = {row["id"]: row for row in await former.fetch("SELECT * FROM appeals")}
    for appeal, route in routes.items():
        expected = {"reason": "x", "confidence": 0.5, "triage_reason": REASONS[str(route["waiting_for"])]}
        assert rows[appeal]["route"] == expected
        assert RouteSnapshot.parse(rows[appeal]["route"]).dump() == expected
    assert rows[held]["route"] == {"unassigned_from": str(OTHER), "triage_reason": None}
    assert (rows[held]["transfers"], rows[held]["utility_failure"]) == (2, "gas")
    for appeal in deadlines:
        assert rows[appeal]["reply_failed"]["code"] == "job_dead_lettered"
    stored = rows[ID]["deadline"]
    assert [day["note"] for day in stored["days"]] == [None, "x"]
    assert (stored["starts_at"], stored["next_response"]["starts_at"]) == (MOMENT, MOMENT)
    assert len(stored["previous_responses"]) == 2
    assert rows[OTHER]["deadline"] == {"next_response": AWAITED}
    assert rows[MESSAGE]["deadline"].keys() == CLOCK.keys() - {"start"} | {"starts_at"}
    assert (rows[undone]["deadline"], rows[undone]["reply_failed"]) == (None, None)


async def test_stored_events_and_deliveries_match_the_models(former: asyncpg.Connection) -> None:
    moment = await former.fetchval("SELECT now()")
    for position, (event_type, data) in enumerate(EVENTS.items(), start=1):
        event = UUID(int=position)
        await insert(
            former, "events", id=event, position=position, type=event_type, subject_id=ID, organisation_id=OTHER,
            actor="x", occurred_at=moment, created_at=moment, data=data,
        )  # fmt: skip
        delivered = {name: value for name, value in data.items() if name != "failure"}
        await insert(
            former, "webhook_deliveries", id=event, endpoint_id=ID, event_id=event, event_type=event_type,
            payload={"type": event_type, "data": delivered}, status="pending", attempts=0,
            next_attempt_at=moment, created_at=moment,
        )  # fmt: skip
    await upgraded()
    rows = await former.fetch("SELECT * FROM events ORDER BY position")
    assert [row["type"] for row in rows] == list(EVENTS)
    events = {row["type"]: row["data"] for row in rows}
    for row in rows:
        stored = Event(id=row["id"], type=row["type"], subject_id=ID, occurred_at=moment, data=row["data"])
        assert parse_event(stored).to_stored() == row["data"]
    assert events["appeal.moved"]["assignment_lost"] is True
    assert events["incident.opened"]["origin"] == "spike"
    assert events["incident.closed"]["origin"] == "person"
    assert events["incident.opened"]["member_count"] == 12
    assert events["incident.opened"]["utility_failure"] == "power"
    assert events["alert.raised"]["kind"] == "repeated_transfers"
    assert (events["reply.failed"]["code"], "failure" in events["reply.failed"]) == ("job_dead_lettered", False)
    for row in await former.fetch("SELECT event_type, payload FROM webhook_deliveries"):
        assert row["payload"] == {"type": row["event_type"], "data": events[row["event_type"]]}
        fields = CATALOGUE[row["event_type"]].data.model_fields
        known = {field.alias or name for name, field in fields.items()} | {"page_id", "organisation_id", "reason"}
        assert row["payload"]["data"].keys() <= known


async def test_other_stored_values_are_readable_by_the_new_names(former: asyncpg.Connection) -> None:
    moment = await former.fetchval("SELECT now()")
    stamps = {"created_at": moment, "updated_at": moment}
    for kind in ("burst", "ping_pong", "urgent"):
        await insert(former, "alerts", id=uuid4(), kind=kind, why="x", created_at=moment)
    await insert(
        former, "incidents", id=ID, version=1, origin="burst", title="x", urgency="high", members=5,
        first_at=moment, last_at=moment, opened_at=moment, opened_by="system", **stamps,
    )  # fmt: skip
    await insert(
        former, "incident_members", id=ID, incident_id=ID, appeal_id=ID, likeness=0.5, why="x", joined_at=moment,
        joined_by="system",
    )  # fmt: skip
    await insert(
        former, "incident_replies", id=ID, incident_id=ID, kind="final", text="x", author="x", beneath=True,
        also_later=True, created_at=moment,
    )  # fmt: skip
    await insert(
        former, "replies", id=ID, appeal_id=ID, origin="gospablik", kind="final", text="x", status="failed",
        author="x", failure=FAILURE, version=1, **stamps,
    )  # fmt: skip
    entries = {
        "place_changed": ("location_changed", {"place": {"house": "1"}}, {"location": {"house": "1"}}),
        "incident_answer_skipped": ("incident_reply_skipped", {"reason": "x"}, {"reason": "x"}),
        "triaged": ("triage_decided", {"needs_answer": "no"}, {"needs_answer": "no"}),
        "opened": ("opened", {"by_hand": True}, {"manual": True}),
        "reply_failed": (
            "reply_failed",
            {"failure": FAILURE},
            {"failure": FAILURE | {"code": "job_dead_lettered"}},
        ),
        "answered": ("answered", {"reply_kind": "final"}, {"reply_kind": "final"}),
    }
    for kind, (_, data, _) in entries.items():
        await insert(former, "timeline", id=uuid4(), appeal_id=ID, at=moment, kind=kind, actor="x", data=data)
    for name, scopes in (("all", None), ("some", ["appeals:read", "understanding:read", "audit:read"])):
        await insert(
            former, "api_clients", id=uuid4(), name=name, role="analyst", scopes=scopes, active=True, **stamps
        )
    await insert(former, "appeals_idempotency", caller="x", key="x", fingerprint="x", created_at=moment)
    await upgraded()
    assert {row["kind"] for row in await former.fetch("SELECT kind FROM alerts")} == {
        "spike", "repeated_transfers", "urgent",
    }  # fmt: skip
    (incident,) = await former.fetch("SELECT * FROM incidents")
    assert [incident[name] for name in ("origin", "member_count", "first_written_at", "last_written_at")] == [
        "spike", 5, moment, moment,
    ]  # fmt: skip
    assert await former.fetchval("SELECT similarity FROM incident_members") == 0.5
    (reply,) = await former.fetch("SELECT include_subordinates, include_later_members FROM incident_replies")
    assert tuple(reply) == (True, True)
    assert (await former.fetchval("SELECT failure FROM replies"))["code"] == "job_dead_lettered"
    found = {row["kind"]: row["data"] for row in await former.fetch("SELECT kind, data FROM timeline")}
    assert found == {kind: data for kind, _, data in entries.values()}
    assert dict(await former.fetch("SELECT name, scopes FROM api_clients")) == {
        "all": None, "some": ["appeals:read", "classifications:read", "audit:read"],
    }  # fmt: skip
    assert await former.fetchval("SELECT count(*) FROM appeals_idempotency") == 0


async def test_waiting_jobs_get_their_new_names(former: asyncpg.Connection) -> None:
    jobs = {
        "reroute": (
            "reroute_appeals",
            {"rule_set_id": "1", "untouched": True},
            {"rule_set_id": "1", "include_untouched": True},
        ),
        "answer_incident": ("create_incident_replies", {"incident_reply_id": "2"}, {"incident_reply_id": "2"}),
        "request_publication": ("request_publication", {"reply_id": "3"}, {"reply_id": "3"}),
    }
    for name, (_, payload, _) in jobs.items():
        await former.execute(
            """INSERT INTO appeals_jobs.pgqueuer (priority, entrypoint, status, payload)
               VALUES (0, $1, 'queued', $2)""",
            name, json.dumps(payload).encode(),
        )  # fmt: skip
    for schedule in ("retry-ownerless", "note-overdue", "ask-again", "purge"):
        await former.execute(
            """INSERT INTO appeals_jobs.pgqueuer_schedules (expression, next_run, entrypoint)
               VALUES ('* * * * *', now(), $1)""",
            schedule,
        )
    await upgraded()
    rows = await former.fetch("SELECT entrypoint, payload FROM appeals_jobs.pgqueuer")
    assert {row["entrypoint"]: json.loads(row["payload"]) for row in rows} == {
        name: payload for name, _, payload in jobs.values()
    }
    assert await former.fetch("SELECT entrypoint FROM appeals_jobs.pgqueuer_schedules") == [("purge",)]


async def test_downgrade_restores_the_former_names(former: asyncpg.Connection) -> None:
    await insert_stored_reviews(former)
    deadline = CLOCK | {"next": CLOCK | AWAITED, "earlier": [STOPPED]}
    await insert_appeal(former, route={"waiting_for": "closed"}, deadline=deadline)
    moment = await former.fetchval("SELECT now()")
    for position, (event_type, data) in enumerate(EVENTS.items(), start=1):
        await insert(
            former, "events", id=UUID(int=position), position=position, type=event_type, subject_id=ID, actor="x",
            occurred_at=moment, created_at=moment, data=data,
        )  # fmt: skip
    tables = ("triage", "reviews", "appeals", "events")
    before = [await former.fetch(f"SELECT * FROM {table}") for table in tables]
    await upgraded(REVISION)
    await downgrade(BEFORE)
    await former.reload_schema_state()
    after = [await former.fetch(f"SELECT * FROM {table}") for table in tables]
    assert [sorted(map(dict, rows), key=str) for rows in after] == [
        sorted(map(dict, rows), key=str) for rows in before
    ]
