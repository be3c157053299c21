"""API models of people, with the name of their organisation."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.persistence.organisation_names import organisation_names
from services.registry.schemas import people as schemas
from services.registry.schemas.fields import OrganisationRef
from shared.tables.registry import Person


async def present_people(session: AsyncSession, rows: Sequence[Person]) -> list[schemas.Person]:
    """Return people as API models."""
    names = await organisation_names(session, [row.organisation_id for row in rows])
    columns = schemas.Person.model_fields.keys() - {"organisation"}
    return [
        schemas.Person(
            organisation=OrganisationRef.of(row.organisation_id, names),
            **{name: getattr(row, name) for name in columns},
        )
        for row in rows
    ]


async def present_person(session: AsyncSession, row: Person) -> schemas.Person:
    """Return one person as an API model."""
    (shown,) = await present_people(session, [row])
    return shown
