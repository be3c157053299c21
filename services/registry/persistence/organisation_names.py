"""Names of organisations, for rows that refer to them."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tables.registry import Organisation


async def organisation_names(session: AsyncSession, ids: Iterable[UUID | None]) -> Mapping[UUID, str]:
    """Return the names of these organisations by id; ids that are None are ignored."""
    wanted = {one for one in ids if one is not None}
    if not wanted:
        return {}
    rows = await session.execute(select(Organisation.id, Organisation.name).where(Organisation.id.in_(wanted)))
    return {row.id: row.name for row in rows}
