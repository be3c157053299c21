"""Check the current access of people and API clients, independent of what their token says.

Every service can read the columns of `people` and `api_clients` that determine access, so one query by primary key
in the transaction of a change is enough, without a call to registry.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CompoundSelect,
    Connection,
    DateTime,
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
from shared.tables.registry import ApiClient, Person, RefreshToken


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


def recheck_on_first_statement(session: WriteSession, caller: Caller) -> None:
    """Check the caller's current access with the session's first statement.

    That statement raises `Unauthenticated` if the caller was locked, removed, moved or restricted, or the session
    of the token was ended. The check is deferred, because a route may do slow work before it takes a connection.
    """

    def check(_session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
        _check(connection, caller)

    event.listen(session.sync_session, "after_begin", check, once=True)


def _check(connection: Connection, caller: Caller) -> None:
    changed = Unauthenticated("Your access was changed or removed after this token was issued: sign in again")
    try:
        subject = UUID(caller.subject)
    except ValueError as error:
        raise changed from error
    values = {"subjects": [subject], "session_id": caller.session_id, "now": clock.now()}
    query = _ACCESS if caller.session_id is None else _ACCESS_IN_SESSION
    found = connection.execute(query, values).one_or_none()
    access = (caller.role, caller.organisation_id, caller.include_subordinates)
    if found is None or (found.role, found.organisation_id, found.include_subordinates) != access:
        raise changed
    if found.scopes is not None and not (caller.scopes is not None and caller.scopes <= set(found.scopes)):
        raise changed


def _access_query(*, in_session: bool) -> CompoundSelect[Any]:
    """Return the query of `subjects` with access at `now`; one whose session `session_id` was ended has none."""
    subjects = bindparam("subjects", expanding=True, type_=Uuid())
    people = select(
        Person.id,
        Person.role,
        Person.organisation_id,
        Person.include_subordinates,
        cast(null(), JSONB).label("scopes"),
    ).where(Person.id.in_(subjects), Person.active, Person.locked_at.is_(None))
    if in_session:
        # Select single columns, because other services may not read all of them.
        ended = select(RefreshToken.session_id).where(
            RefreshToken.session_id == bindparam("session_id", type_=Uuid()), RefreshToken.revoked_at.is_not(None)
        )
        people = people.where(~ended.exists())
    clients = select(
        ApiClient.id, ApiClient.role, ApiClient.organisation_id, ApiClient.include_subordinates, ApiClient.scopes
    ).where(
        ApiClient.id.in_(subjects),
        ApiClient.active,
        or_(
            ApiClient.expires_at.is_(None), ApiClient.expires_at > bindparam("now", type_=DateTime(timezone=True))
        ),
    )
    return union_all(people, clients)


# Every change runs one of them; making it takes longer than its execution.
_ACCESS, _ACCESS_IN_SESSION = _access_query(in_session=False), _access_query(in_session=True)
