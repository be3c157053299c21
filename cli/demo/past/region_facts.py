"""Data of the database that made-up history refers to: organisations, pages, topics and SLA rules."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from cli.demo.past.matters import DISTRICT, DISTRICTS, Matter
from services.appeals.sla.sla_context import SlaContext
from shared.tables.appeals_classification import Topic
from shared.tables.registry import Organisation, Page, Person

# The share of problems that the first possible owner gets; the last possible owner gets the others.
_FIRST_OWNER = 0.8
CENTRE_USERNAME = "centre"


@dataclass(frozen=True)
class OfficialPage:
    """A page, and its id in the network."""

    id: UUID
    organisation_id: UUID
    network: str
    external_id: str


@dataclass(frozen=True)
class Body:
    """An organisation that answers. `quality`: from 0 (answers badly) to 1 (answers well and in time)."""

    id: UUID
    code: str
    municipality: str | None
    quality: float
    pages: Sequence[OfficialPage]


@dataclass(frozen=True)
class RegionFacts:
    """Organisations by code, topics by code, and the SLA context.

    `author`: id of the person who writes replies, or None. `topic_names`: by topic code, the names of the topic
    and its group.
    """

    bodies: Mapping[str, Body]
    topics: Mapping[str, UUID]
    sla: SlaContext
    feedback_window_hours: int
    author: str | None = None
    districts: Sequence[str] = ()
    topic_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def owner(self, matter: Matter, district: Body, rng: random.Random) -> Body:
        """Return the organisation that answers about this matter in this district."""
        found = [body for name in matter.owners for body in self._candidates(name, district, rng)]
        first = found[0] if rng.random() < _FIRST_OWNER else found[-1]
        return first if found else district

    def _candidates(self, name: str, district: Body, rng: random.Random) -> list[Body]:
        if name == DISTRICT:
            return [district]
        if name in self.bodies:
            return [self.bodies[name]]
        here = [
            body
            for code, body in self.bodies.items()
            if code.startswith(name) and body.municipality == district.municipality
        ]
        return [rng.choice(here)] if here else []


def body_quality(code: str, seed: int) -> float:
    """Return the quality of the organisation, from 0 to 1: high for most, low for a few."""
    return random.Random(f"{seed}:{code}").betavariate(4, 1.6)


async def read_region(session: AsyncSession, seed: int, feedback_window_hours: int) -> RegionFacts:
    """Read the data from the database. Raises `LookupError` if the database has no district of the demo."""
    pages: dict[UUID, list[OfficialPage]] = {}
    for page in await session.scalars(select(Page).where(Page.active).order_by(Page.network, Page.external_id)):
        pages.setdefault(page.organisation_id, []).append(
            OfficialPage(page.id, page.organisation_id, page.network, page.external_id)
        )
    rows = await session.execute(
        select(Organisation.id, Organisation.code, Organisation.municipality)
        .where(Organisation.active, Organisation.code.is_not(None))
        .order_by(Organisation.code)
    )
    bodies = {
        row.code: Body(row.id, row.code, row.municipality, body_quality(row.code, seed), pages.get(row.id, []))
        for row in rows
    }
    districts = [code for code in DISTRICTS if code in bodies]
    if not districts:
        raise LookupError("the database has no district of the demo's region")
    topics = {topic.code: topic for topic in await session.scalars(select(Topic))}
    groups = {topic.id: topic.name for topic in topics.values() if topic.group_id is None}
    centre = await session.scalar(select(Person.id).where(Person.username == CENTRE_USERNAME))
    return RegionFacts(
        bodies=bodies,
        topics={code: topic.id for code, topic in topics.items()},
        topic_names={
            code: (topic.name, groups[topic.group_id])
            for code, topic in topics.items()
            if topic.group_id is not None
        },
        sla=await SlaContext.load(session, {body.id for body in bodies.values()}),
        feedback_window_hours=feedback_window_hours,
        author=str(centre) if centre is not None else None,
        districts=districts,
    )
