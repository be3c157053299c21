"""Rows of the database as changes for the audit trail: what was in them, what names them, whose they are."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from shared.database.sessions import WriteSession
from shared.tables import Base
from shared.tables.appeals import Appeal
from shared.tables.ingest import Message
from shared.tables.registry import ApiClient, Page, Person

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
    "incident_members": ("appeal_id", Appeal),
    "alerts": ("appeal_id", Appeal),
}
_OWN: dict[str, str] = {"organisations": "id", "successions": "predecessor_id"}
# Rows whose key is a secret's digest: the column that names them all the same.
_NAMED_BY: dict[str, str] = {"refresh_tokens": "session_id"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one row: values by column name; `before` is None for a new row, `after` for one deleted.

    Left out, the organisation is found through the columns that lead to one, such as `page_id`.
    """

    subject_id: UUID | str
    organisation_id: UUID | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def made(row: Base) -> Change:
    """A row that a statement made, as it was read back."""
    return Change(subject_id=_identity(row), organisation_id=_own_organisation(row), after=_given(_values(row)))


async def placed(session: WriteSession, table: type[Base], changes: list[Change]) -> list[Change]:
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


def change_of(session: Session, row: Base, deleted: Container[object]) -> Change:
    """What a flush does to a row; to be asked before SQLAlchemy forgets what its values were."""
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
