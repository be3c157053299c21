"""Loading of the organisations that have a role: administrations, and regional bodies in charge of spheres."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Text, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.locations.page_locations import page_location
from services.appeals.classification.locations.settlement_names import settlement_key
from services.appeals.routing.roles import Administration, RegistryRoles
from services.appeals.routing.rules import NamedOrganisation
from services.appeals.routing.spheres import closest_spheres, is_sectoral, sphere_codes
from shared import clock
from shared.organisation_status import is_operating
from shared.tables.registry import Municipality, Organisation


@dataclass(frozen=True, slots=True)
class OrganisationEntry:
    """The data of an organisation in the registry; `seat` is the name of its municipality."""

    id: UUID
    name: str
    kind: str
    sphere: str | None
    other_spheres: Sequence[str]
    municipality: str | None
    seat: str | None
    lineage: Sequence[UUID]


async def load_registry_roles(
    session: AsyncSession, topics: Mapping[UUID, str]
) -> tuple[RegistryRoles, dict[UUID, NamedOrganisation]]:
    """Return the organisations with roles, and their names; `topics` maps a topic or group to its code. The
    administration of a settlement is recognised by its name, like the location of a page.
    """
    rows = (
        await session.execute(
            select(
                Organisation.id,
                Organisation.name,
                Organisation.kind,
                Organisation.sphere,
                Organisation.other_spheres,
                Organisation.municipality,
                type_coerce(Municipality.name, Text).label("seat"),
                Organisation.lineage,
            )
            .outerjoin(Municipality, Municipality.oktmo == Organisation.municipality)
            .where(Organisation.kind.in_(("regional", "municipality")), is_operating(clock.today()))
            # Among equals the organisation registered first is suggested first.
            .order_by(func.cardinality(Organisation.lineage), Organisation.created_at, Organisation.id)
        )
    ).all()
    # In a thread: parsing names takes CPU time, and the first call loads the gazetteer.
    roles = await asyncio.to_thread(roles_of, [OrganisationEntry(*row) for row in rows], topics)
    holders = roles.organisation_ids()
    return roles, {row.id: NamedOrganisation(row.name, active=True) for row in rows if row.id in holders}


def roles_of(organisations: Sequence[OrganisationEntry], topics: Mapping[UUID, str]) -> RegistryRoles:
    """Return which of these operating organisations have a role; `topics` maps a topic or group to its code."""
    return RegistryRoles(
        _administrations(organisations),
        _sphere_bodies(organisations),
        {topic_id: closest_spheres(code) for topic_id, code in topics.items()},
    )


def _administrations(organisations: Sequence[OrganisationEntry]) -> dict[str, list[Administration]]:
    found: dict[str, list[Administration]] = {}
    for one in organisations:
        if one.kind != "municipality" or one.municipality is None:
            continue
        # A committee or department of a municipality answers for its sphere, not for the territory.
        if is_sectoral(sphere_codes([one.sphere, *one.other_spheres])):
            continue
        settlement = settlement_key(page_location(one.name, one.seat).settlement)
        above = frozenset(one.lineage) - {one.id}
        found.setdefault(one.municipality, []).append(Administration(one.id, settlement, above))
    return found


def _sphere_bodies(organisations: Sequence[OrganisationEntry]) -> dict[str, list[UUID]]:
    """Return the regional bodies of each sphere: bodies whose main sphere it is, else bodies that have it as
    another sphere. A body that is subordinate to another body of the list is left out.
    """
    ranked: dict[str, dict[bool, list[OrganisationEntry]]] = {}
    for one in organisations:
        if one.kind != "regional":
            continue
        main = sphere_codes([one.sphere])
        for sphere in main | sphere_codes(one.other_spheres):
            ranked.setdefault(sphere, {}).setdefault(sphere not in main, []).append(one)
    closest = {sphere: bodies[min(bodies)] for sphere, bodies in ranked.items()}
    return {
        sphere: [
            one.id for one in bodies if not any(other.id in one.lineage for other in bodies if other is not one)
        ]
        for sphere, bodies in closest.items()
    }
