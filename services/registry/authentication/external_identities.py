"""Claims of people who sign in at an external OIDC issuer."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from services.registry.authentication import sign_in
from shared.auth.oidc import VerifiedIdentity
from shared.database.sessions import WriteSession
from shared.identity import FindPerson
from shared.service import Service
from shared.tables.registry import Person


async def find_claims(
    session: WriteSession, issuer: str, subject: str, signed_in_at: datetime
) -> dict[str, Any] | None:
    """Return the claims of the person with this subject at this issuer, and record the sign-in.

    Return None when no such person may sign in.
    """
    person = await session.scalar(
        select(Person).where(
            Person.issuer == issuer,
            Person.external_subject == subject,
            Person.active,
            Person.locked_at.is_(None),
        )
    )
    if person is None:
        return None
    if person.last_sign_in_at is None or person.last_sign_in_at < signed_in_at:
        await sign_in.record_sign_in(session, person.id, signed_in_at)
    return {
        "sub": str(person.id),
        "name": person.full_name,
        "role": person.role,
        "org": str(person.organisation_id) if person.organisation_id else None,
        "include_subordinates": person.include_subordinates,
    }


def local_lookup(service: Service) -> FindPerson:
    """Return a lookup that reads the registry's own database; other services call the registry over HTTP."""

    async def found(verified: VerifiedIdentity) -> dict[str, Any] | None:
        async with service.database.write() as session:
            return await find_claims(session, verified.issuer, verified.subject, verified.signed_in_at)

    return found
