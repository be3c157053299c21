"""Changes of rows for the audit trail: the values, identity and organisation of each row."""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, column, inspect, select
from sqlalchemy import table as sql_table
from sqlalchemy.orm import Session

from shared.database.sessions import WriteSession
from shared.tables import Base

# Tables without an organisation column: the column that refers to a row with an organisation, and its table.
_OWNER_VIA: dict[str, tuple[str, str]] = {
    "page_steps": ("page_id", "pages"),
    "client_secrets": ("client_id", "api_clients"),
    "refresh_tokens": ("person_id", "people"),
    "network_tokens": ("page_id", "pages"),
    "callback_registrations": ("page_id", "pages"),
    "quarantine": ("page_id", "pages"),
    "reconciliations": ("page_id", "pages"),
    "classifications": ("message_id", "messages"),
    "replies": ("appeal_id", "appeals"),
    "incident_members": ("appeal_id", "appeals"),
    "alerts": ("appeal_id", "appeals"),
    "absences": ("person_id", "people"),
    "appeal_watchers": ("appeal_id", "appeals"),
    "appeal_merges": ("appeal_id", "appeals"),
}
_ORGANISATION_COLUMNS: dict[str, str] = {"organisations": "id", "successions": "predecessor_id"}
# Tables whose primary key is the digest of a secret: the column that identifies a row instead.
_IDENTITY_COLUMNS: dict[str, str] = {"refresh_tokens": "session_id"}


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """The change of one row: values by column name; `before` is None for a new row, `after` for a deleted one.

    An omitted organisation is looked up through a row that this row refers to, such as the page of `page_id`.
    """

    subject_id: UUID | str
    organisation_id: UUID | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def inserted(row: Base) -> RowChange:
    """Return the change for a row that a statement inserted and returned."""
    return RowChange(
        subject_id=_identity(row), organisation_id=_own_organisation(row), after=_without_none(_values(row))
    )


async def with_organisations(
    session: WriteSession, table: type[Base], changes: list[RowChange]
) -> list[RowChange]:
    """Return the changes with the missing organisations, found by one query."""
    if table.__tablename__ not in _OWNER_VIA or all(change.organisation_id for change in changes):
        return changes
    reference, above = _OWNER_VIA[table.__tablename__]
    keys = {id(change): {**(change.before or {}), **(change.after or {})}.get(reference) for change in changes}
    found = await session.execute(_organisations(above, {key for key in keys.values() if key}))
    owners: dict[Any, UUID | None] = {row.id: row.organisation_id for row in found}
    return [
        replace(change, organisation_id=change.organisation_id or owners.get(keys[id(change)]))
        for change in changes
    ]


def _organisations(name: str, keys: Collection[Any]) -> Select[tuple[UUID, UUID | None]]:
    """Return the query for the organisations of rows with these ids.

    It names the columns itself: with their mapped classes, each service would load the tables of all others.
    """
    rows = sql_table(name, column("id", Uuid), column("organisation_id", Uuid))
    return select(rows.c.id, rows.c.organisation_id).where(rows.c.id.in_(keys))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _values(row: Base) -> dict[str, Any]:
    """Return the loaded columns of a row: loading others during a flush would query the database."""
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
    if (name := _IDENTITY_COLUMNS.get(row.__tablename__)) is not None:
        return str(getattr(row, name))
    return "/".join(str(part) for part in inspect(row).mapper.primary_key_from_instance(row))


def _own_organisation(row: Base) -> UUID | None:
    found: UUID | None = getattr(row, _ORGANISATION_COLUMNS.get(row.__tablename__, "organisation_id"), None)
    return found


def _organisation(session: Session, row: Base) -> UUID | None:
    if row.__tablename__ not in _OWNER_VIA:
        return _own_organisation(row)
    reference, above = _OWNER_VIA[row.__tablename__]
    key = getattr(row, reference)
    if key is None:
        return None
    found = session.connection().execute(_organisations(above, [key])).one_or_none()
    return None if found is None else found.organisation_id


def flushed_change(session: Session, row: Base, deleted: Container[object]) -> RowChange:
    """Return the change that a flush makes to a row; call it before SQLAlchemy discards the old values."""
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    # Not `row in session.new`, which builds a set of all new rows on every access.
    if inspect(row).pending:
        before, after = None, _without_none(_values(row))
    elif row in deleted:
        before, after = _without_none(_values(row)), None
    else:
        before, after = _changed(row)
    return RowChange(
        subject_id=_identity(row), organisation_id=_organisation(session, row), before=before, after=after
    )
