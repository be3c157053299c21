"""People, API clients and partners as appeals show and use them: names of actors, and who may work on appeals.

Registry owns the tables of people and clients, and grants `full_name` of people to appeals. Names are shown to
colleagues, and in an appeal to all who may see it. They are never logged.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Row, and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from shared.auth.rights import RIGHTS, Right, RightScope, Role
from shared.tables.appeals_partners import Partner
from shared.tables.registry import ApiClient, Person

# Roles of an organisation's staff, and of the centre, that work on appeals.
STAFF_ROLES: frozenset[Role] = frozenset(
    role for role, rights in RIGHTS.items() if rights.get(Right.APPEALS_WORK) is RightScope.ORGANISATION
)
CENTRE_WORK_ROLES: frozenset[Role] = frozenset(
    role for role, rights in RIGHTS.items() if rights.get(Right.APPEALS_WORK) is RightScope.REGION
)

ActorKind = TypeAliasType("ActorKind", Literal["person", "client", "partner", "system", "network"])
# Actors without an id.
_OTHER_ACTORS: Mapping[str, tuple[str, ActorKind]] = {"network": ("Сотрудник страницы в соцсети", "network")}
_SYSTEM: tuple[str, ActorKind] = ("Система", "system")
_UNKNOWN_PERSON = "Неизвестный сотрудник"
# Built once: building the statement takes longer than executing it.
_PEOPLE = select(Person.id, Person.full_name).where(Person.id.in_(bindparam("ids", expanding=True)))
_CLIENTS = select(ApiClient.id, ApiClient.name).where(ApiClient.id.in_(bindparam("ids", expanding=True)))
_PARTNERS = select(Partner.id, Partner.name).where(Partner.id.in_(bindparam("ids", expanding=True)))

STAFF_COLUMNS = (Person.id, Person.role, Person.organisation_id, Person.include_subordinates)


class ActorRef(BaseModel):
    """Who did something: a person, an API client, a partner system, this system, or a page's staff in the network
    itself.
    """

    id: UUID | None = Field(
        description="Id of the person, client or partner; null for others",
        examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"],
    )
    name: str = Field(examples=["Цыренова Баирма Дашиевна"])
    kind: ActorKind = Field(examples=["person"])


@dataclass(frozen=True)
class Staff:
    """A person who has access now."""

    id: UUID
    role: Role
    organisation_id: UUID | None
    include_subordinates: bool

    def may_work_for(self, organisation_id: UUID | None) -> bool:
        """Return whether the person may work on appeals of this organisation; None means appeals of the centre."""
        roles = CENTRE_WORK_ROLES if organisation_id is None else STAFF_ROLES
        return self.role in roles and self.organisation_id == organisation_id

    def has_right(self, right: Right, organisation_id: UUID | None, lineage: Collection[UUID]) -> bool:
        """Return whether the person has the right for this organisation; None means the centre.

        `lineage` contains the ids from the root of the tree down to the organisation itself.
        """
        scope = RIGHTS[self.role].get(right)
        if scope is None or scope is RightScope.REGION:
            return scope is not None
        own = self.organisation_id == organisation_id
        return own or (self.include_subordinates and self.organisation_id in lineage)


@dataclass(frozen=True)
class ActorNames:
    """The names of people, clients and partners by id."""

    people: Mapping[UUID, str] = field(default_factory=dict)
    clients: Mapping[UUID, str] = field(default_factory=dict)
    partners: Mapping[UUID, str] = field(default_factory=dict)

    @staticmethod
    async def load(session: AsyncSession, actors: Iterable[str | UUID | None]) -> "ActorNames":
        """Load the names of these actors. Actors without an id, such as the system, need not be loaded."""
        ids = {found for actor in actors if (found := actor_id(actor)) is not None}
        if not ids:
            return ActorNames()
        people = await session.execute(_PEOPLE, {"ids": list(ids)})
        names = {row.id: row.full_name for row in people}
        if not ids - names.keys():
            return ActorNames(names)
        clients = await session.execute(_CLIENTS, {"ids": list(ids - names.keys())})
        of_clients = {row.id: row.name for row in clients}
        if not (unknown := ids - names.keys() - of_clients.keys()):
            return ActorNames(names, of_clients)
        partners = await session.execute(_PARTNERS, {"ids": list(unknown)})
        return ActorNames(names, of_clients, {row.id: row.name for row in partners})

    def ref(self, actor: str | UUID) -> ActorRef:
        """Return a reference to the actor, with the name."""
        found = actor_id(actor)
        if found is None:
            name, kind = _OTHER_ACTORS.get(str(actor), _SYSTEM)
            return ActorRef(id=None, name=name, kind=kind)
        if (client := self.clients.get(found)) is not None:
            return ActorRef(id=found, name=client, kind="client")
        if (partner := self.partners.get(found)) is not None:
            return ActorRef(id=found, name=partner, kind="partner")
        return ActorRef(id=found, name=self.people.get(found, _UNKNOWN_PERSON), kind="person")


def actor_id(actor: str | UUID | None) -> UUID | None:
    """Return the id of a person, client or partner; None for an actor without an id."""
    if actor is None or isinstance(actor, UUID):
        return actor
    try:
        return UUID(actor)
    except ValueError:
        return None


def has_access() -> ColumnElement[bool]:
    """Return the SQL condition that a person can sign in."""
    return Person.active & Person.locked_at.is_(None)


def works_for(organisation_id: UUID | None) -> ColumnElement[bool]:
    """Return the SQL condition that corresponds to `Staff.may_work_for`, for people with access."""
    roles = CENTRE_WORK_ROLES if organisation_id is None else STAFF_ROLES
    return and_(has_access(), Person.role.in_(roles), Person.organisation_id.is_not_distinct_from(organisation_id))


async def load_staff(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, Staff]:
    """Return those of the people who have access now, by id."""
    wanted = set(ids)
    if not wanted:
        return {}
    rows = await session.execute(select(*STAFF_COLUMNS).where(Person.id.in_(wanted), has_access()))
    return {row.id: staff_of(row) for row in rows}


def staff_of(row: Row[*tuple[Any, ...]]) -> Staff:
    """Return the person that a row with `STAFF_COLUMNS` describes."""
    return Staff(row.id, Role(row.role), row.organisation_id, row.include_subordinates)
