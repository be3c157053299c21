"""What judging and routing need to know, read once for a request or a batch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.deadlines import CalendarBook, NamedCalendar
from services.appeals.routing import PageOwner, Route, choose
from services.appeals.understanding.judgement import Judgement
from shared.tables.appeals import RoutingRule, RuleSet, SlaPolicy, Topic
from shared.tables.registry import Municipality, Organisation, Page


@dataclass(frozen=True)
class Reference:
    """Topics, rules, policies, the owners of some pages, and the calendars of whoever may become an owner."""

    topic_ids: dict[str, UUID]
    # Topic or group → its group; name of a municipality → its OKTMO.
    groups: dict[UUID, UUID]
    municipalities: dict[str, str]
    rules: Sequence[RoutingRule]
    policies: Sequence[SlaPolicy]
    owners: dict[UUID, PageOwner]
    calendars: CalendarBook

    @staticmethod
    async def load(
        session: AsyncSession, pages: Collection[UUID], organisations: Collection[UUID] = ()
    ) -> "Reference":
        """Read what these pages and organisations need."""
        topics = (await session.execute(select(Topic.id, Topic.code, Topic.group_id).where(Topic.active))).all()
        municipalities = (await session.execute(select(Municipality.name, Municipality.oktmo))).all()
        rules = list(
            await session.scalars(
                select(RoutingRule)
                .join(RuleSet, RuleSet.id == RoutingRule.rule_set_id)
                .join(Organisation, Organisation.id == RoutingRule.organisation_id)
                .where(RuleSet.status == "active", Organisation.active)
            )
        )
        owners = {
            row.id: PageOwner(row.id, row.organisation_id, row.name, row.municipality, row.active)
            for row in await session.execute(
                select(
                    Page.id,
                    Page.organisation_id,
                    Organisation.name,
                    Organisation.municipality,
                    Organisation.active,
                )
                .join(Organisation, Organisation.id == Page.organisation_id)
                .where(Page.id.in_(pages))
            )
        }
        possible = {
            *organisations,
            *(rule.organisation_id for rule in rules if rule.organisation_id is not None),
            *(owner.organisation_id for owner in owners.values()),
        }
        return Reference(
            topic_ids={topic.code: topic.id for topic in topics},
            groups={topic.id: topic.group_id or topic.id for topic in topics},
            municipalities={place.name: place.oktmo for place in municipalities},
            rules=rules,
            policies=list(await session.scalars(select(SlaPolicy))),
            owners=owners,
            calendars=await CalendarBook.load(session, possible),
        )

    def topic_id(self, judgement: Judgement) -> UUID | None:
        """The row of the judged topic."""
        return self.topic_ids.get(judgement.topic) if judgement.topic else None

    def oktmo(self, judgement: Judgement) -> str | None:
        """The code of the judged municipality."""
        return self.municipalities.get(judgement.municipality) if judgement.municipality else None

    def route(self, page_id: UUID | None, topic_id: UUID | None, confidence: float) -> Route:
        """Who must answer what came to this page about this topic."""
        owner = self.owners.get(page_id) if page_id else None
        return choose(
            self.rules,
            topic_id=topic_id,
            municipality=owner.municipality if owner else None,
            owner=owner,
            confidence=confidence,
        )

    def calendar(self, organisation_id: UUID | None) -> NamedCalendar:
        """Working time of an owner."""
        return self.calendars.of(organisation_id)
