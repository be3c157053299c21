"""The audit trail: who changed what, on whose behalf, from where; written in the transaction of the change.

A session that serves a caller or an operator's command has an `AuditContext`. Changes of rows through the ORM are
recorded automatically. After a statement that changes an audited table without the ORM, `record` must be called:
otherwise the transaction cannot commit. Sessions of workers have no context, so that bulk processing, which is
recorded as events, has no additional cost; a job that works on behalf of a person sets one.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from sqlalchemy import event
from sqlalchemy.orm import FromStatement, ORMExecuteState, Session
from structlog.contextvars import get_contextvars

from shared import clock
from shared.audit.column_policy import READABLE_COLUMNS, audited_values
from shared.audit.row_changes import RowChange, flushed_change, inserted, with_organisations
from shared.database.bulk_insert import insert_into, insert_rows
from shared.database.sessions import WriteSession
from shared.http.client_address import client_address
from shared.ids import new_id
from shared.tables import Base
from shared.tables.common import AuditEntry

__all__ = [
    "AuditContext",
    "RowChange",
    "UnrecordedChangeError",
    "inserted",
    "is_recorded",
    "operator_context",
    "record",
    "record_action",
    "request_audit_context",
    "set_actor",
    "set_context",
]

_KEY = "audit"


class UnrecordedChangeError(Exception):
    """Rows of an audited table were changed without the ORM and without `record`: nothing is committed."""


@dataclass
class AuditContext:
    """Who changes rows, by which action, and from where. Without an `actor` nothing is recorded.

    `actor` and `on_behalf_of` are ids, never names; `action` is a route's operation or a command.
    """

    service: str
    action: str
    request_id: str | None = None
    ip_address: str | None = None
    actor: str | None = None
    on_behalf_of: str | None = None
    unrecorded_tables: set[str] = field(default_factory=set)


def request_audit_context(request: Request) -> AuditContext:
    """Return the audit context of a request; authentication sets its `actor`."""
    found: AuditContext | None = getattr(request.state, _KEY, None)
    if found is None:
        service = request.app.state.service.name
        found = AuditContext(
            service=service,
            action=request.scope["route"].name,  # the operationId of the OpenAPI document
            request_id=get_contextvars().get("request_id"),
            ip_address=client_address(request),
        )
        setattr(request.state, _KEY, found)
    return found


def operator_context(service: str, command: str) -> AuditContext:
    """Return the audit context of a command run on the server, by the operator's system user id."""
    return AuditContext(service=service, action=f"gospablik {command}", actor=f"operator:{os.getuid()}")


def set_context(session: WriteSession, context: AuditContext) -> None:
    """Record all later changes of the session with this context."""
    session.info[_KEY] = context
    # The listener runs at every statement, so it is added only to sessions with a context.
    event.listen(session.sync_session, "do_orm_execute", _mark_unrecorded)


def set_actor(session: WriteSession, actor: str) -> None:
    """Set the actor of later changes of the session, for a request without a caller."""
    context: AuditContext | None = session.info.get(_KEY)
    if context is not None:
        context.actor = actor


async def record(session: WriteSession, table: type[Base], changes: Iterable[RowChange] = ()) -> None:
    """Record what a statement changed without the ORM. Without `changes`, declare that no audit rows are needed.

    Equal values before and after are left out. In a session without a context `changes` is not read, so domain
    code can always call this.
    """
    context = _context(session.sync_session)
    if context is None:
        return
    context.unrecorded_tables.discard(table.__tablename__)
    found = await with_organisations(session, table, list(changes))
    rows = [row for change in found if (row := _entry(context, table, change)) is not None]
    await insert_rows(session, AuditEntry, rows)


async def record_action(session: WriteSession, kind: str, *subject_ids: str) -> None:
    """Record an action on a subject that is not a row of an audited table, such as a job."""
    context = _context(session.sync_session)
    if context is not None and subject_ids:
        await insert_rows(session, AuditEntry, [_row(context, kind, subject_id) for subject_id in subject_ids])


def is_recorded(session: WriteSession) -> bool:
    """Return whether changes of the session are recorded, to avoid queries that only the audit trail needs."""
    return _context(session.sync_session) is not None


def _context(session: Session) -> AuditContext | None:
    found: AuditContext | None = session.info.get(_KEY)
    return found if found is not None and found.actor is not None else None


def _entry(context: AuditContext, table: type[Base], change: RowChange) -> dict[str, Any] | None:
    before, after = change.before, change.after
    if before is not None and after is not None:
        differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        before = {name: before.get(name) for name in differing}
        after = {name: after.get(name) for name in differing}
    subject_id = str(change.subject_id)
    kept = [None if values is None else audited_values(table, subject_id, values) for values in (before, after)]
    if not any(kept):
        return None
    return _row(context, table.__tablename__, subject_id) | {
        "organisation_id": change.organisation_id,
        "before": kept[0],
        "after": kept[1],
    }


def _row(context: AuditContext, kind: str, subject_id: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "created_at": clock.now(),
        "service": context.service,
        "actor": context.actor,
        "on_behalf_of": context.on_behalf_of,
        "action": context.action,
        "subject_kind": kind,
        "subject_id": subject_id,
        "organisation_id": None,
        "before": None,
        "after": None,
        "request_id": context.request_id,
        "came_from": context.ip_address,
    }


def _flushed_rows(session: Session) -> Sequence[Base]:
    rows = [*session.new, *session.dirty, *session.deleted]
    return [row for row in rows if row.__tablename__ in READABLE_COLUMNS]


# Runs after the statements of the flush, and before SQLAlchemy discards the old values.
@event.listens_for(WriteSession.sync_session_class, "after_flush")
def _record_flush(session: Session, _flush: object) -> None:
    context = _context(session)
    if context is None:
        return
    deleted = session.deleted
    entries = [_entry(context, type(row), flushed_change(session, row, deleted)) for row in _flushed_rows(session)]
    if kept := [entry for entry in entries if entry is not None]:
        session.connection().execute(insert_into(AuditEntry), kept)


def _mark_unrecorded(state: ORMExecuteState) -> None:
    if state.is_select or (context := _context(state.session)) is None:
        return
    # `select(…).from_statement(INSERT … RETURNING)` contains the INSERT.
    statement = state.statement.element if isinstance(state.statement, FromStatement) else state.statement
    table = getattr(getattr(statement, "table", None), "name", None)
    if table in READABLE_COLUMNS:
        context.unrecorded_tables.add(table)


@event.listens_for(WriteSession.sync_session_class, "before_commit")
def _refuse_unrecorded(session: Session) -> None:
    context = _context(session)
    if context is not None and context.unrecorded_tables and not session.in_nested_transaction():
        raise UnrecordedChangeError(
            f"{context.action} changed {', '.join(sorted(context.unrecorded_tables))} without an audit row"
        )
