"""Roles: targets of rules that the registry resolves to an organisation for each appeal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.appeals.classification.locations.settlement_names import settlement_key
from services.appeals.routing.rules import RoutingFacts


@dataclass(frozen=True, slots=True)
class Administration:
    """The administration of a municipality, or of one settlement in it (by `settlement_key`).

    `above` are its superior organisations; the administrations of a city's districts are subordinate to the
    city's.
    """

    organisation_id: UUID
    settlement: str | None = None
    above: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class RegistryRoles:
    """The organisations that have a role. `administrations` are keyed by OKTMO, `sphere_bodies` by the code of a
    sphere; `topic_spheres` maps a topic or group to its closest spheres, of which the first with a body is used.
    """

    administrations: Mapping[str, Sequence[Administration]] = field(default_factory=dict)
    sphere_bodies: Mapping[str, Sequence[UUID]] = field(default_factory=dict)
    topic_spheres: Mapping[UUID, Sequence[str]] = field(default_factory=dict)

    def organisation_ids(self) -> set[UUID]:
        """Return the ids of all organisations with a role, except founders."""
        found = {one.organisation_id for here in self.administrations.values() for one in here}
        return found.union(*self.sphere_bodies.values())

    def holders(self, role: str, facts: RoutingFacts) -> Sequence[UUID]:
        """Return the ids of the organisations that have the role for an appeal: one, none, or several
        candidates.
        """
        match role:
            case "municipality_administration":
                return self._administrations(facts)
            case "sphere_body":
                return self._sphere_bodies(facts)
            case _:
                founder = facts.page_owner.founder_id if facts.page_owner else None
                return [founder] if founder is not None else []

    def _administrations(self, facts: RoutingFacts) -> Sequence[UUID]:
        """Return the administration of the settlement, else the page's owner if it governs there, else the
        administration of the municipality.
        """
        here = self.administrations.get(facts.municipality or "", ())
        settlement = settlement_key(facts.settlement)
        if settlement and (local := _uppermost([one for one in here if one.settlement == settlement])):
            return local
        owner = facts.page_owner.organisation_id if facts.page_owner else None
        governing = [one for one in here if one.settlement is None or settlement is None]
        if owner is not None and any(one.organisation_id == owner for one in governing):
            return [owner]
        return _uppermost([one for one in here if one.settlement is None])

    def _sphere_bodies(self, facts: RoutingFacts) -> Sequence[UUID]:
        spheres = self.topic_spheres.get(facts.topic_id, ()) if facts.topic_id else ()
        found = next((bodies for sphere in spheres if (bodies := self.sphere_bodies.get(sphere))), ())
        owner = facts.page_owner.organisation_id if facts.page_owner else None
        return [owner] if owner is not None and owner in found else found


def _uppermost(administrations: Sequence[Administration]) -> Sequence[UUID]:
    found = {one.organisation_id for one in administrations}
    return [one.organisation_id for one in administrations if one.above.isdisjoint(found)]
