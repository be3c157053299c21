"""What people and systems may do as of now, whatever a token given earlier says.

Every service reads the columns of `people` and `api_clients` that decide about access, so one query by primary key
answers it in the transaction of a change, without a call to registry.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import CompoundSelect, Connection, cast, event, null, or_, select, union_all
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Role
from shared.database.sessions import WriteSession
from shared.http.problems import Unauthenticated
from shared.tables.registry import ApiClient, Person, RefreshToken


async def of_subjects(session: AsyncSession, subjects: Collection[UUID]) -> dict[UUID, Caller]:
    """Return those of the people and systems who have access now, with their present role, place and scopes."""
    if not subjects:
        return {}
    rows = await session.execute(_access(subjects))
    return {
        row.id: Caller(
            subject=str(row.id),
            name="",
            role=Role(row.role),
            organisation_id=row.organisation_id,
            beneath=row.beneath,
            scopes=None if row.scopes is None else frozenset(row.scopes),
        )
        for row in rows
    }


def recheck(session: WriteSession, caller: Caller) -> None:
    """Make the session's first statement the question whether the caller still has what the token says.

    That statement raises `Unauthenticated` when the caller was locked, removed, moved or narrowed, or the session
    of the token was ended. It is not asked here: a route may do slow work before it takes a connection.
    """

    def ask(_session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
        _check(connection, caller)

    event.listen(session.sync_session, "after_begin", ask, once=True)


def _check(connection: Connection, caller: Caller) -> None:
    changed = Unauthenticated("Your access was changed or taken since this token was given: sign in again")
    try:
        subject = UUID(caller.subject)
    except ValueError as error:
        raise changed from error
    found = connection.execute(_access([subject], session_id=caller.session_id)).one_or_none()
    place = (caller.role, caller.organisation_id, caller.beneath)
    if found is None or (found.role, found.organisation_id, found.beneath) != place:
        raise changed
    if found.scopes is not None and not (caller.scopes is not None and caller.scopes <= set(found.scopes)):
        raise changed


def _access(subjects: Collection[UUID], *, session_id: UUID | None = None) -> CompoundSelect[Any]:
    """Rows of who has access: a person whose session `session_id` was ended has none under it."""
    people = select(
        Person.id, Person.role, Person.organisation_id, Person.beneath, cast(null(), JSONB).label("scopes")
    ).where(Person.id.in_(subjects), Person.active, Person.locked_at.is_(None))
    if session_id is not None:
        # By name: other services may not read all columns.
        ended = select(RefreshToken.session_id).where(
            RefreshToken.session_id == session_id, RefreshToken.revoked_at.is_not(None)
        )
        people = people.where(~ended.exists())
    clients = select(
        ApiClient.id, ApiClient.role, ApiClient.organisation_id, ApiClient.beneath, ApiClient.scopes
    ).where(
        ApiClient.id.in_(subjects),
        ApiClient.active,
        or_(ApiClient.expires_at.is_(None), ApiClient.expires_at > clock.now()),
    )
    return union_all(people, clients)
