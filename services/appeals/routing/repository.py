"""Loading of rule sets for routing, with the names that rules refer to, and the locks of the active set."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Text, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.appeals.classification.locations.page_locations import page_location
from services.appeals.classification.locations.settlement_names import settlement_key, settlement_names
from services.appeals.routing.engine import Router
from services.appeals.routing.registry_roles import load_registry_roles
from services.appeals.routing.roles import RegistryRoles
from services.appeals.routing.rules import NamedOrganisation, PageOwner, Rule, RuleIndex
from services.appeals.routing.spheres import sphere_codes, spheres_of_topic
from services.appeals.routing.wording import TaxonomyNames
from shared import clock
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.organisation_status import is_operating
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_routing import RoutingRule, RuleSet
from shared.tables.registry import Municipality, Organisation, Page

_LOCK = 0x72756C65  # "rule"


@dataclass(frozen=True)
class RuleCatalogue:
    """The objects that rules may refer to: topics, municipalities, organisations, and organisations with roles.
    `topic_ids` maps the code of an active topic to its id; `groups` maps a topic or group, also of a former
    taxonomy, to its group; `topic_spheres` maps a topic or group to the codes of its spheres. `settlements` are
    keyed by the name of the municipality, then by `settlement_key`.
    """

    topic_ids: Mapping[str, UUID]
    groups: Mapping[UUID, UUID]
    names: TaxonomyNames
    organisations: Mapping[UUID, NamedOrganisation]
    roles: RegistryRoles
    topic_spheres: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    settlements: Mapping[str, Mapping[str, str]] = field(default_factory=settlement_names)

    def canonical_settlement(self, municipality: str | None, settlement: str | None) -> str | None:
        """Return the settlement in the gazetteer's spelling; None if the municipality (an OKTMO) has no such
        settlement.
        """
        here = self.settlements.get(self.names.municipalities.get(municipality or "", ""), {})
        return here.get(settlement_key(settlement) or "")

    @staticmethod
    async def load(session: AsyncSession, organisations: Collection[UUID]) -> "RuleCatalogue":
        """Load all topics and municipalities, these organisations, and the organisations with roles."""
        today = clock.today()
        topics = (
            await session.execute(select(Topic.id, Topic.code, Topic.group_id, Topic.name, Topic.active))
        ).all()
        municipalities = (await session.execute(select(Municipality.oktmo, Municipality.name))).all()
        roles, bodies = await load_registry_roles(session, {topic.id: topic.code for topic in topics})
        named = await session.execute(
            select(Organisation.id, Organisation.name, is_operating(today).label("works")).where(
                is_one_of(Organisation.id, organisations)
            )
        )
        bodies |= {row.id: NamedOrganisation(row.name, row.works) for row in named}
        return RuleCatalogue(
            topic_ids={topic.code: topic.id for topic in topics if topic.active},
            groups={topic.id: topic.group_id or topic.id for topic in topics},
            topic_spheres={topic.id: spheres_of_topic(topic.code) for topic in topics},
            names=TaxonomyNames({topic.id: topic.name for topic in topics}, dict(municipalities)),
            organisations=bodies,
            roles=roles,
        )


def organisations_in(rules: Sequence[Rule], default_organisation_id: UUID | None) -> set[UUID]:
    """Return the ids of the organisations in these rules, and of the default organisation if there is one."""
    ids = {rule.organisation_id for rule in rules} | {rule.page_owner_id for rule in rules}
    return {organisation for organisation in (*ids, default_organisation_id) if organisation is not None}


async def load_rules(session: AsyncSession, rule_set_id: UUID) -> list[Rule]:
    """Return the rules of a set in the order in which they were given."""
    rows = await session.execute(
        select(
            RoutingRule.id, RoutingRule.send_to, RoutingRule.organisation_id, RoutingRule.topic_id,
            RoutingRule.municipality, RoutingRule.settlement, RoutingRule.page_owner_id, RoutingRule.urgency,
            RoutingRule.page_owner_sphere, RoutingRule.page_owner_kind, RoutingRule.reason,
        )
        .where(RoutingRule.rule_set_id == rule_set_id)
        .order_by(RoutingRule.created_at, RoutingRule.id)
    )  # fmt: skip
    return [Rule(*row) for row in rows]


async def lock_activation(session: WriteSession) -> None:
    """Lock activation exclusively until the transaction ends: no other set can be activated, and no batch can be
    routed by the former set.
    """
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def lock_active_set_shared(session: WriteSession) -> None:
    """Take a shared lock on the active set until the transaction ends: no other set can be activated before the
    batch is committed.

    Call it before any appeal is locked. Batches do not block each other.
    """
    await session.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))


async def active_set(session: AsyncSession) -> RuleSet:
    """Return the active set. There is always one: a migration creates the first."""
    return (await session.scalars(select(RuleSet).where(RuleSet.status == "active"))).one()


async def load_router(session: AsyncSession, rule_set: RuleSet) -> tuple[Router, RuleCatalogue]:
    """Return a router for a set, and the catalogue loaded for it."""
    rules = await load_rules(session, rule_set.id)
    catalogue = await RuleCatalogue.load(session, organisations_in(rules, rule_set.default_organisation_id))
    made = make_router(
        rules,
        catalogue,
        default_to=rule_set.default_to,
        default_organisation_id=rule_set.default_organisation_id,
        number=rule_set.number,
    )
    return made, catalogue


def make_router(
    rules: Sequence[Rule],
    catalogue: RuleCatalogue,
    *,
    default_to: str,
    default_organisation_id: UUID | None,
    number: int | None = None,
) -> Router:
    """Return a router for rules, stored or not."""
    index = RuleIndex(
        rules,
        groups=catalogue.groups,
        default_to=default_to,
        default_organisation_id=default_organisation_id,
        number=number,
        topic_spheres=catalogue.topic_spheres,
    )
    return Router(index, catalogue.organisations, catalogue.names, catalogue.roles)


async def page_owners(session: AsyncSession, pages: Collection[UUID]) -> dict[UUID, PageOwner]:
    """Return the owners of these pages, each with the municipality that the page implies."""
    founder = aliased(Organisation)
    query = (
        select(
            Page.id,
            Page.organisation_id,
            Organisation.name,
            type_coerce(Municipality.name, Text).label("seat"),
            is_operating(clock.today()).label("works"),
            Organisation.kind,
            Organisation.sphere,
            Organisation.other_spheres,
            Organisation.parent_id,
            founder.name.label("founder"),
            is_operating(clock.today(), founder).label("founder_works"),
        )
        .join(Organisation, Organisation.id == Page.organisation_id)
        .outerjoin(founder, founder.id == Organisation.parent_id)
        .outerjoin(Municipality, Municipality.oktmo == Organisation.municipality)
        .where(is_one_of(Page.id, pages))
    )
    rows = (await session.execute(query)).all()
    if not rows:
        return {}
    municipalities = (await session.execute(select(Municipality.name, Municipality.oktmo))).all()
    codes = {row.name: row.oktmo for row in municipalities}
    # In a thread: parsing names takes CPU time, and the first call loads the gazetteer.
    page_municipalities = await asyncio.to_thread(
        lambda: [page_location(row.name, row.seat).municipality for row in rows]
    )
    return {
        row.id: PageOwner(
            row.id,
            row.organisation_id,
            row.name,
            codes.get(municipality or ""),
            row.works,
            kind=row.kind,
            spheres=sphere_codes([row.sphere, *row.other_spheres]),
            founder_id=row.parent_id,
            founder=NamedOrganisation(row.founder, row.founder_works) if row.parent_id else None,
        )
        for row, municipality in zip(rows, page_municipalities, strict=True)
    }
