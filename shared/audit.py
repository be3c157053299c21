"""The audit trail: who changed what, on whose behalf, from where; written in the transaction of the change.

A session that serves a caller or an operator's command carries an `Origin`. Every row that it changes through the
ORM leaves its audit row by itself. A statement that changes rows of an audited table past the ORM must be
followed by `record`: the transaction refuses to commit without. Sessions of workers carry no origin, so that the
bulk flows, whose record is the events, pay nothing.
"""

import ipaddress
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from fastapi import Request
from sqlalchemy import event, insert, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session
from structlog.contextvars import get_contextvars

from shared import clock
from shared.audit_columns import AUDITED, shown
from shared.database import WriteSession
from shared.ids import new_id
from shared.tables import Base
from shared.tables.appeals import Appeal
from shared.tables.events import AuditEntry
from shared.tables.ingest import Message
from shared.tables.registry import ApiClient, Page, Person

_KEY = "audit"

_Placed = Page | ApiClient | Person | Appeal | Message

# Rows that do not name their organisation: the column that leads to one that does.
_VIA: dict[str, tuple[str, type[_Placed]]] = {
    "page_steps": ("page_id", Page),
    "client_secrets": ("client_id", ApiClient),
    "refresh_tokens": ("person_id", Person),
    "network_tokens": ("page_id", Page),
    "callback_servers": ("page_id", Page),
    "set_aside": ("page_id", Page),
    "reconciliations": ("page_id", Page),
    "triage": ("message_id", Message),
    "replies": ("appeal_id", Appeal),
}
_OWN: dict[str, str] = {"organisations": "id", "successions": "predecessor_id"}
# Rows whose key is a secret's digest: the column that names them all the same.
_NAMED_BY: dict[str, str] = {"refresh_tokens": "session_id"}


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


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one row: values by column name; `before` is None for a new row, `after` for one deleted.

    Left out, the organisation is found through the columns that lead to one, such as `page_id`.
    """

    subject_id: UUID | str
    organisation_id: UUID | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def origin(request: Request) -> Origin:
    """The origin of what this request changes; whoever finds out who calls sets its `actor`."""
    found: Origin | None = getattr(request.state, _KEY, None)
    if found is None:
        service = request.app.state.service.name
        found = Origin(
            service=service,
            action=f"{service}_{request.scope['route'].name}",  # the operationId of the OpenAPI document
            request_id=get_contextvars().get("request_id"),
            came_from=_address(request),
        )
        setattr(request.state, _KEY, found)
    return found


def operator(service: str, command: str) -> Origin:
    """The origin of what a command at the machine itself changes; the operator is known by their user id."""
    return Origin(service=service, action=f"gospablik {command}", actor=f"operator:{os.getuid()}")


def attribute(session: WriteSession, source: Origin) -> None:
    """From here on, what the session changes is recorded as coming from there."""
    session.info[_KEY] = source


async def record(session: WriteSession, table: type[Base], changes: Iterable[Change] = ()) -> None:
    """Record what a statement changed past the ORM; with no changes: that there is nothing to keep of it.

    Values that are the same before and after are left out. Outside a caller's or an operator's session it does
    not even look at `changes`, so that domain code may always call it.
    """
    source = _source(session.sync_session)
    if source is None:
        return
    source.owed.discard(table.__tablename__)
    placed = await _placed(session, table, list(changes))
    rows = [row for change in placed if (row := _entry(source, table, change)) is not None]
    if rows:
        await session.execute(insert(AuditEntry), rows)


def attributed(session: WriteSession) -> bool:
    """Whether what the session changes is recorded: before reading what only the trail would need."""
    return _source(session.sync_session) is not None


def made(row: Base) -> Change:
    """A row that a statement made, as it was read back."""
    return Change(subject_id=_identity(row), organisation_id=_own_organisation(row), after=_given(_values(row)))


async def _placed(session: WriteSession, table: type[Base], changes: list[Change]) -> list[Change]:
    """The changes with the organisations that they left out, by one query."""
    if table.__tablename__ not in _VIA or all(change.organisation_id for change in changes):
        return changes
    column, above = _VIA[table.__tablename__]
    keys = {id(change): {**(change.before or {}), **(change.after or {})}.get(column) for change in changes}
    found = await session.execute(
        select(above.id, above.organisation_id).where(above.id.in_({key for key in keys.values() if key}))
    )
    owners: dict[Any, UUID | None] = {row.id: row.organisation_id for row in found}
    return [
        replace(change, organisation_id=change.organisation_id or owners.get(keys[id(change)]))
        for change in changes
    ]


def _address(request: Request) -> str | None:
    # The last address is the one that the gateway saw; any before it are what others say of themselves.
    told = request.headers.get("x-forwarded-for", "").rsplit(",", 1)[-1].strip()
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return request.client.host if request.client else None


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
    return {
        "id": new_id(),
        "created_at": clock.now(),
        "service": source.service,
        "actor": source.actor,
        "on_behalf_of": source.on_behalf_of,
        "action": source.action,
        "subject_kind": table.__tablename__,
        "subject_id": subject_id,
        "organisation_id": change.organisation_id,
        "before": kept[0],
        "after": kept[1],
        "request_id": source.request_id,
        "came_from": source.came_from,
    }


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _values(row: Base) -> dict[str, Any]:
    """What is loaded of a row: asking for more inside a flush would read the database."""
    state = inspect(row)
    return {name: state.dict[name] for name in state.mapper.column_attrs.keys() if name in state.dict}  # noqa: SIM118


def _changed(row: Base) -> tuple[dict[str, Any], dict[str, Any]]:
    state = inspect(row)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name in state.mapper.column_attrs.keys():  # noqa: SIM118
        history = state.attrs[name].history
        if history.has_changes():
            before[name] = history.deleted[0] if history.deleted else None
            after[name] = history.added[0] if history.added else None
    return before, after


def _identity(row: Base) -> str:
    if (name := _NAMED_BY.get(row.__tablename__)) is not None:
        return str(getattr(row, name))
    return "/".join(str(part) for part in inspect(row).mapper.primary_key_from_instance(row))


def _own_organisation(row: Base) -> UUID | None:
    found: UUID | None = getattr(row, _OWN.get(row.__tablename__, "organisation_id"), None)
    return found


def _organisation(session: Session, row: Base) -> UUID | None:
    if row.__tablename__ not in _VIA:
        return _own_organisation(row)
    column, above = _VIA[row.__tablename__]
    key = getattr(row, column)
    if key is None:
        return None
    return session.connection().scalar(select(above.organisation_id).where(above.id == key))


def _change(session: Session, row: Base, deleted: Container[object]) -> Change:
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    # Not `row in session.new`, which makes a set of all new rows at each look.
    if inspect(row).pending:
        before, after = None, _given(_values(row))
    elif row in deleted:
        before, after = _given(_values(row)), None
    else:
        before, after = _changed(row)
    return Change(
        subject_id=_identity(row), organisation_id=_organisation(session, row), before=before, after=after
    )


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
    entries = [_entry(source, type(row), _change(session, row, deleted)) for row in _flushed_rows(session)]
    if kept := [entry for entry in entries if entry is not None]:
        session.connection().execute(insert(AuditEntry), kept)


@event.listens_for(WriteSession.sync_session_class, "do_orm_execute")
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
