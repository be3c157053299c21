"""What the audit trail keeps of each table: which columns stand in it readable, which as digests, which never.

Whatever is not named here is kept back: text and JSON become keyed digests, bytes and secrets show only that they
changed. So a column that is added later can reveal nothing until somebody writes it down here.
"""

import hmac
import json
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from shared.settings import settings
from shared.tables import Base

# Table → its text and JSON columns that say nothing of a person and nothing in anybody's words.
AUDITED: dict[str, frozenset[str]] = {
    "calendars": frozenset({"time_zone", "weekly"}),
    "calendar_days": frozenset({"intervals"}),
    "organisations": frozenset(
        {"code", "kind", "sphere", "other_spheres", "municipality", "oktmo", "inn", "ogrn", "pos_opa_id"}
    ),
    "organisation_names": frozenset({"kind"}),
    "successions": frozenset({"kind"}),
    "pages": frozenset({"network", "external_id", "state"}),
    "page_steps": frozenset({"step", "evidence_kind", "confirmed_by"}),
    "people": frozenset({"role", "issuer"}),
    "api_clients": frozenset({"role", "scopes"}),
    "client_secrets": frozenset(),
    "refresh_tokens": frozenset(),
    "network_tokens": frozenset({"network", "kind", "state"}),
    "callback_servers": frozenset({"network", "state", "server_id"}),
    "set_aside": frozenset({"network", "way_in"}),
    "reconciliations": frozenset(),
    "backfills": frozenset({"status", "asked_by"}),
    "publications": frozenset({"network", "kind", "status", "on_behalf_of"}),
    "topics": frozenset({"code", "classifier"}),
    "sla_policies": frozenset({"urgency", "starts_from"}),
    "appeals": frozenset({"status", "urgency", "outcome", "network", "municipality", "fault", "language"}),
    "triage": frozenset(
        {"needs_answer", "type", "urgency", "judged_by", "municipality", "place_from", "language", "fault", "top3"}
    ),
    "reviews": frozenset({"judged_by", "reviewed_by"}),
    "incidents": frozenset({"origin", "fault", "municipality", "urgency", "opened_by"}),
    "incident_members": frozenset({"joined_by", "left_by"}),
    "incident_replies": frozenset({"kind", "author"}),
    "alerts": frozenset({"kind", "seen_by"}),
    "rule_sets": frozenset({"status", "default_to", "made_by", "activated_by"}),
    "replies": frozenset({"origin", "kind", "status", "author"}),
    "routing_rules": frozenset({"municipality", "urgency", "send_to"}),
    "webhook_endpoints": frozenset({"event_types", "created_by", "suspended_reason"}),
    "webhook_deliveries": frozenset({"event_type", "status"}),
}

# Tables whose changes nobody makes by hand, or that are a record themselves, and why they leave no audit rows.
UNAUDITED: dict[str, str] = {
    "events": "the outbox is append-only itself",
    "audit": "the trail itself",
    "feed_epochs": "written by the relay: which server numbers events",
    **dict.fromkeys(
        ("registry_idempotency", "ingest_idempotency", "appeals_idempotency", "webhooks_idempotency"),
        "remembered answers, forgotten after a day",
    ),
    **dict.fromkeys(("appeals_cursors", "webhooks_cursors", "ingest_cursors"), "a reader's place in the events"),
    "municipalities": "changed by migrations alone",
    "page_checks": "what the network said, written by the worker",
    "page_check_calls": "counts, written by the worker",
    "coverage_days": "figures, written by the worker",
    "sign_in_failures": "counts of wrong passwords, under a digest, forgotten after an hour",
    **dict.fromkeys(
        ("messages", "message_versions", "authors", "tombstones", "seen_events"),
        "what citizens wrote comes from the networks: its versions and events are its record",
    ),
    **dict.fromkeys(("sources", "threads", "poll_rates", "call_counts"), "the worker's own bookkeeping"),
    **dict.fromkeys(
        ("timeline", "appeal_messages", "hands"), "a case's own permanent record, which joins messages to it"
    ),
}

SECRET = frozenset({"password_hash", "secret", "digest", "identity", "raw", "challenge"})
# Made from other columns, or told by the row itself.
SKIPPED = frozenset({"sort_key", "folded", "lineage", "created_at", "updated_at"})


def shown(table: type[Base], subject_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a row as the trail keeps them; `subject_id` makes a digest good for this one row alone."""
    columns = table.__table__.columns
    plain = AUDITED[table.__tablename__]
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if name in SKIPPED:
            continue
        if value is None:
            kept[name] = None
        elif name in SECRET or isinstance(columns[name].type, LargeBinary):
            kept[name] = {"secret": True}
        elif name in plain or not is_telling(columns[name].type):
            kept[name] = _plain(value)
        else:
            kept[name] = {"digest": digest(f"{table.__tablename__}.{name}", subject_id, value)}
    return kept


def is_telling(kind: TypeEngine[Any]) -> bool:
    """Whether a column of this type may hold somebody's words."""
    inner = kind.impl if isinstance(kind, TypeDecorator) else kind
    return isinstance(inner, Text | JSON | JSONB)


def digest(column: str, subject_id: str, value: Any) -> str:
    """HMAC-SHA256 of a value of one column of one row: equal values of other rows have other digests."""
    key = settings().audit_key.get_secret_value().encode()
    said = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return hmac.digest(key, f"{column}\0{subject_id}\0{said}".encode(), "sha256").hex()


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int() | float() | str():
            return value
        case UUID():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case _:
            raise TypeError(f"the audit trail cannot keep a {type(value).__name__}")
