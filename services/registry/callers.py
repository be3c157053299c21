"""Whether callers still have what their tokens say: asked where who lost it could give it away for good."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared import clock
from shared.access import Caller
from shared.problems import Unauthenticated
from shared.tables.registry import ApiClient, Person


async def check_standing(session: AsyncSession, caller: Caller) -> None:
    """Raise `Unauthenticated` when the caller was locked, removed, moved or narrowed since the token was given."""
    changed = Unauthenticated("Your access was changed or taken since this token was given: sign in again")
    try:
        subject = UUID(caller.subject)
    except ValueError as error:
        raise changed from error
    place = (caller.role, caller.organisation_id, caller.beneath)
    person = select(Person.role, Person.organisation_id, Person.beneath).where(
        Person.id == subject, Person.active, Person.locked_at.is_(None)
    )
    client = select(ApiClient.role, ApiClient.organisation_id, ApiClient.beneath, ApiClient.scopes).where(
        ApiClient.id == subject,
        ApiClient.active,
        or_(ApiClient.expires_at.is_(None), ApiClient.expires_at > clock.now()),
    )
    if (found := (await session.execute(person)).one_or_none()) is not None:
        if tuple(found) != place:
            raise changed
        return
    system = (await session.execute(client)).one_or_none()
    if system is None or tuple(system)[:3] != place or not _within(caller.scopes, system.scopes):
        raise changed


def _within(scopes: Collection[str] | None, held: Collection[str] | None) -> bool:
    return held is None or (scopes is not None and set(scopes) <= set(held))
