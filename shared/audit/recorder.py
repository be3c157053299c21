"""The audit trail: who changed what, on whose behalf, from where; written in the transaction of the change.

A session that serves a caller or an operator's command carries an `Origin`. Every row that it changes through the
ORM leaves its audit row by itself. A statement that changes rows of an audited table past the ORM must be
followed by `record`: the transaction refuses to commit without. Sessions of workers carry no origin, so that the
bulk flows, whose record is the events, pay nothing.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session
from structlog.contextvars import get_contextvars

from shared import clock
from shared.audit.column_policy import AUDITED, shown
from shared.audit.row_changes import Change, change_of, made, placed
from shared.database.bulk_insert import insert_into, insert_rows
from shared.database.sessions import WriteSession
from shared.http.client_address import client_address
from shared.ids import new_id
from shared.tables import Base
from shared.tables.common import AuditEntry

__all__ = [
    "Change",
    "Origin",
    "UnrecordedChange",
    "act_as",
    "attribute",
    "attributed",
    "made",
    "note",
    "operator",
    "origin",
    "record",
]

_KEY = "audit"


class UnrecordedChange(Exception):  # noqa: N818 — reads better where it is raised
    """Rows of an audited table were changed past the ORM and `record` was not told: nothing is committed."""


@dataclass
class Origin:
    """Who changes something, by what, from where. Without an `actor` nobody is known yet and nothing is kept.

    `actor` and `on_behalf_of` are ids, never names; `action` is a route's operation or a command.
    """

    service: str
    action: str
    request_id: str | None = None
    came_from: str | None = None
    actor: str | None = None
    on_behalf_of: str | None = None
    owed: set[str] = field(default_factory=set)


def origin(request: Request) -> Origin:
    """The origin of what this request changes; whoever finds out who calls sets its `actor`."""
    found: Origin | None = getattr(request.state, _KEY, None)
    if found is None:
        service = request.app.state.service.name
        found = Origin(
            service=service,
            action=request.scope["route"].name,  # the operationId of the OpenAPI document
            request_id=get_contextvars().get("request_id"),
            came_from=client_address(request),
        )
        setattr(request.state, _KEY, found)
    return found


def operator(service: str, command: str) -> Origin:
    """The origin of what a command at the machine itself changes; the operator is known by their user id."""
    return Origin(service=service, action=f"gospablik {command}", actor=f"operator:{os.getuid()}")


def attribute(session: WriteSession, source: Origin) -> None:
    """From here on, what the session changes is recorded as coming from there."""
    session.info[_KEY] = source
    # Heard of at every statement, so only where somebody is to be held to it.
    event.listen(session.sync_session, "do_orm_execute", _note_debt)


def act_as(session: WriteSession, actor: str) -> None:
    """From here on, what the session changes is recorded as this actor's, whom the request itself did not name."""
    source: Origin | None = session.info.get(_KEY)
    if source is not None:
        source.actor = actor


async def record(session: WriteSession, table: type[Base], changes: Iterable[Change] = ()) -> None:
    """Record what a statement changed past the ORM; with no changes: that there is nothing to keep of it.

    Values that are the same before and after are left out. Outside a caller's or an operator's session it does
    not even look at `changes`, so that domain code may always call it.
    """
    source = _source(session.sync_session)
    if source is None:
        return
    source.owed.discard(table.__tablename__)
    found = await placed(session, table, list(changes))
    rows = [row for change in found if (row := _entry(source, table, change)) is not None]
    await insert_rows(session, AuditEntry, rows)


async def note(session: WriteSession, kind: str, *subject_ids: str) -> None:
    """Record that something was done to what is no row of an audited table, such as a job."""
    source = _source(session.sync_session)
    if source is not None and subject_ids:
        await insert_rows(session, AuditEntry, [_row(source, kind, subject_id) for subject_id in subject_ids])


def attributed(session: WriteSession) -> bool:
    """Whether what the session changes is recorded: before reading what only the trail would need."""
    return _source(session.sync_session) is not None


def _source(session: Session) -> Origin | None:
    found: Origin | None = session.info.get(_KEY)
    return found if found is not None and found.actor is not None else None


def _entry(source: Origin, table: type[Base], change: Change) -> dict[str, Any] | None:
    before, after = change.before, change.after
    if before is not None and after is not None:
        differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        before = {name: before.get(name) for name in differing}
        after = {name: after.get(name) for name in differing}
    subject_id = str(change.subject_id)
    kept = [None if values is None else shown(table, subject_id, values) for values in (before, after)]
    if not any(kept):
        return None
    return _row(source, table.__tablename__, subject_id) | {
        "organisation_id": change.organisation_id,
        "before": kept[0],
        "after": kept[1],
    }


def _row(source: Origin, kind: str, subject_id: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "created_at": clock.now(),
        "service": source.service,
        "actor": source.actor,
        "on_behalf_of": source.on_behalf_of,
        "action": source.action,
        "subject_kind": kind,
        "subject_id": subject_id,
        "organisation_id": None,
        "before": None,
        "after": None,
        "request_id": source.request_id,
        "came_from": source.came_from,
    }


def _flushed_rows(session: Session) -> Sequence[Base]:
    rows = [*session.new, *session.dirty, *session.deleted]
    return [row for row in rows if row.__tablename__ in AUDITED]


# After the statements, before SQLAlchemy forgets what the values were.
@event.listens_for(WriteSession.sync_session_class, "after_flush")
def _record_flush(session: Session, _flush: object) -> None:
    source = _source(session)
    if source is None:
        return
    deleted = session.deleted
    entries = [_entry(source, type(row), change_of(session, row, deleted)) for row in _flushed_rows(session)]
    if kept := [entry for entry in entries if entry is not None]:
        session.connection().execute(insert_into(AuditEntry), kept)


def _note_debt(state: ORMExecuteState) -> None:
    if state.is_select or (source := _source(state.session)) is None:
        return
    table = getattr(getattr(state.statement, "table", None), "name", None)
    if table in AUDITED:
        source.owed.add(table)


@event.listens_for(WriteSession.sync_session_class, "before_commit")
def _refuse_debt(session: Session) -> None:
    source = _source(session)
    if source is not None and source.owed and not session.in_nested_transaction():
        raise UnrecordedChange(f"{source.action} changed {', '.join(sorted(source.owed))} without an audit row")
