"""Check the current access of people and API clients in the database, whatever their token says.

Every service can read the columns of `people` and `api_clients` that determine access, so one query by primary key
in the transaction of a change is enough, without a call to registry.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    DateTime,
    Row,
    Select,
    Uuid,
    bindparam,
    cast,
    event,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Role
from shared.database.sessions import WriteSession
from shared.http.problems import Unauthenticated
from shared.tables.registry import ApiClient, ClientSecret, Person, RefreshToken

_RECHECKED = "rechecked_caller"


async def load_callers(session: AsyncSession, subjects: Collection[UUID]) -> dict[UUID, Caller]:
    """Return the callers who have access now, with their current role, organisation and scopes, by id."""
    if not subjects:
        return {}
    rows = await session.execute(_ACCESS, {"subjects": list(subjects), "now": clock.now()})
    return {
        row.id: Caller(
            subject=str(row.id),
            name="",
            role=Role(row.role),
            organisation_id=row.organisation_id,
            include_subordinates=row.include_subordinates,
            scopes=None if row.scopes is None else frozenset(row.scopes),
        )
        for row in rows
    }


async def callers_with_access(session: AsyncSession, callers: Collection[Caller]) -> set[Caller]:
    """Return the callers who still have the access that their token names and whose session has not ended.

    The session of a client's token is the secret with which the client signed in; it ends with its expiry.
    """
    subjects = {subject for caller in callers if (subject := _subject(caller)) is not None}
    if not subjects:
        return set()
    now = clock.now()
    rows = await session.execute(_ACCESS, {"subjects": list(subjects), "now": now})
    current = {row.id: row for row in rows}
    sessions = {caller.session_id for caller in callers if caller.session_id is not None}
    ended: set[UUID] = set()
    if sessions:
        ended.update(
            await session.scalars(
                union_all(
                    _ended_sessions(RefreshToken.session_id.in_(sessions)),
                    _ended_secrets(ClientSecret.id.in_(sessions), now),
                )
            )
        )
    return {
        caller
        for caller in callers
        if caller.session_id not in ended and _has_access(current.get(_subject(caller)), caller)
    }


async def require_access(session: AsyncSession, caller: Caller) -> None:
    """Raise `Unauthenticated` unless the caller still has the access that the token names.

    A write transaction checks this itself, but only with its first statement: a route that does slow work before
    that statement calls this function first.
    """
    if not await callers_with_access(session, [caller]):
        raise access_changed()


def recheck_on_first_statement(session: WriteSession, caller: Caller) -> None:
    """Check the caller's current access with the session's first statement.

    That statement raises `Unauthenticated` if the caller was locked, removed, moved or restricted, or if the
    session of the token was ended or the secret of the client's sign-in revoked. The check is deferred, because a
    route may do slow work before it takes a connection.
    """

    session.info[_RECHECKED] = caller


# One listener for all sessions, since adding one to each session takes longer than calling it.
@event.listens_for(WriteSession.sync_session_class, "after_begin")
def _recheck(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    caller: Caller | None = session.info.pop(_RECHECKED, None)
    if caller is not None:
        _check(connection, caller)


def _check(connection: Connection, caller: Caller) -> None:
    if (subject := _subject(caller)) is None:
        raise access_changed()
    values = {"subjects": [subject], "session_id": caller.session_id, "now": clock.now()}
    query = _ACCESS if caller.session_id is None else _ACCESS_IN_SESSION
    if not _has_access(connection.execute(query, values).one_or_none(), caller):
        raise access_changed()


def access_changed() -> Unauthenticated:
    """Return the error for a caller who no longer has the access that the token names."""
    return Unauthenticated("Your access was changed or removed after this token was issued: sign in again")


def _subject(caller: Caller) -> UUID | None:
    try:
        return UUID(caller.subject)
    except ValueError:
        return None


def _has_access(current: Row[Any] | None, caller: Caller) -> bool:
    """Return whether the current access includes what the token names."""
    access = (caller.role, caller.organisation_id, caller.include_subordinates)
    if current is None or (current.role, current.organisation_id, current.include_subordinates) != access:
        return False
    return current.scopes is None or (caller.scopes is not None and caller.scopes <= set(current.scopes))


# Select single columns, because other services may not read all of them.
def _ended_sessions(of: ColumnElement[bool]) -> Select[UUID]:
    return select(RefreshToken.session_id).where(of, RefreshToken.revoked_at.is_not(None))


def _ended_secrets(of: ColumnElement[bool], now: datetime | ColumnElement[datetime]) -> Select[UUID]:
    return select(ClientSecret.id).where(of, ClientSecret.expires_at <= now)


def _access_query(*, in_session: bool) -> CompoundSelect[Any]:
    """Return the query for `subjects` with access at `now`; `in_session`: unless `session_id` has ended."""
    subjects = bindparam("subjects", expanding=True, type_=Uuid())
    now = bindparam("now", type_=DateTime(timezone=True))
    people = select(
        Person.id,
        Person.role,
        Person.organisation_id,
        Person.include_subordinates,
        cast(null(), JSONB).label("scopes"),
    ).where(Person.id.in_(subjects), Person.active, Person.locked_at.is_(None))
    clients = select(
        ApiClient.id, ApiClient.role, ApiClient.organisation_id, ApiClient.include_subordinates, ApiClient.scopes
    ).where(
        ApiClient.id.in_(subjects),
        ApiClient.active,
        or_(ApiClient.expires_at.is_(None), ApiClient.expires_at > now),
    )
    if in_session:
        session_id = bindparam("session_id", type_=Uuid())
        people = people.where(~_ended_sessions(RefreshToken.session_id == session_id).exists())
        clients = clients.where(~_ended_secrets(ClientSecret.id == session_id, now).exists())
    return union_all(people, clients)


# Built once: every change runs one of these queries, and building it takes longer than running it.
_ACCESS, _ACCESS_IN_SESSION = _access_query(in_session=False), _access_query(in_session=True)
