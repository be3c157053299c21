"""The people who sign in to the demo."""

from uuid import UUID

from services.registry.access import people
from shared.audit import recorder
from shared.database.sessions import Database
from shared.settings import settings


async def ensure_people(organisation: str | None) -> None:
    """Create the demo people, those of organisations only if one is given; refused in production."""
    database = Database(settings().database_url.get_secret_value(), 1, name="create-demo-people")
    try:
        async with database.write() as session:
            recorder.set_context(session, recorder.operator_context("registry", "create-demo-people"))
            await people.ensure_demo_people(session, organisation_id=UUID(organisation) if organisation else None)
    finally:
        await database.close()
