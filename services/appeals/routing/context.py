"""What judging and routing need to know, read once for a request or a batch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.types import Judgement
from services.appeals.routing import repository
from services.appeals.routing.engine import Facts, PageOwner, Route, Router
from services.appeals.sla.deadlines import CalendarBook, NamedCalendar
from shared.tables.appeals import Appeal, RuleSet, SlaPolicy


@dataclass(frozen=True)
class Reference:
    """Topics, rules, policies, the owners of some pages, and the calendars of whoever may become an owner."""

    topic_ids: Mapping[str, UUID]
    # Topic or group → its group; name of a municipality → its OKTMO.
    groups: Mapping[UUID, UUID]
    municipalities: Mapping[str, str]
    router: Router
    policies: Sequence[SlaPolicy]
    owners: dict[UUID, PageOwner]
    calendars: CalendarBook

    @staticmethod
    async def load(
        session: AsyncSession,
        pages: Collection[UUID],
        organisations: Collection[UUID] = (),
        *,
        rule_set: RuleSet | None = None,
    ) -> "Reference":
        """Read what these pages and organisations need, with the rules in force or those of `rule_set`."""
        router, around = await repository.router_of(session, rule_set or await repository.active_set(session))
        owners = await repository.page_owners(session, pages)
        possible = {
            *organisations,
            *repository.named_in(router.book.rules, router.book.default_organisation_id),
            *(owner.organisation_id for owner in owners.values()),
        }
        return Reference(
            topic_ids=around.codes,
            groups=around.groups,
            municipalities={name: oktmo for oktmo, name in around.names.municipalities.items()},
            router=router,
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

    def route_message(self, page_id: UUID | None, judgement: Judgement) -> Route:
        """Who must answer what was judged so, written on this page."""
        topics = ((self.topic_ids.get(code), chance) for code, chance in judgement.top)
        return self.route(
            page_id=page_id,
            topic_id=self.topic_id(judgement),
            municipality=self.oktmo(judgement),
            settlement=judgement.settlement,
            urgency=judgement.urgency,
            confidence=judgement.topic_confidence,
            candidates=[(topic_id, chance) for topic_id, chance in topics if topic_id is not None],
            why=judgement.why,
        )

    def route_case(self, appeal: Appeal) -> Route:
        """Who must answer a case by what it holds now.

        The topic is as sure as it was when it was read; one that a person named since is certain.
        """
        read = appeal.route.get("topic") or {}
        named = appeal.topic_id is not None and read.get("id") != str(appeal.topic_id)
        return self.route(
            page_id=appeal.page_id,
            topic_id=appeal.topic_id,
            municipality=appeal.municipality,
            settlement=appeal.settlement,
            urgency=appeal.urgency,
            confidence=None if named else read.get("confidence"),
            candidates=() if named else [(UUID(topic_id), chance) for topic_id, chance in read.get("top3", ())],
            why=appeal.route.get("why"),
        )

    def route(
        self,
        *,
        page_id: UUID | None,
        topic_id: UUID | None,
        municipality: str | None = None,
        settlement: str | None = None,
        urgency: str = "normal",
        confidence: float | None = None,
        candidates: Sequence[tuple[UUID, float]] = (),
        why: str | None = None,
    ) -> Route:
        """Who must answer. `municipality` is an OKTMO; `confidence` that of the topic, null: it is certain."""
        facts = facts_of(
            self.owners.get(page_id) if page_id else None,
            topic_id=topic_id,
            municipality=municipality,
            settlement=settlement,
            urgency=urgency,
            confidence=confidence,
        )
        return self.router.route(facts, candidates=candidates, why=why)

    def calendar(self, organisation_id: UUID | None) -> NamedCalendar:
        """Working time of an owner."""
        return self.calendars.of(organisation_id)


def facts_of(
    owner: PageOwner | None,
    *,
    topic_id: UUID | None,
    municipality: str | None,
    settlement: str | None,
    urgency: str,
    confidence: float | None,
) -> Facts:
    """What rules look at: where the message names no place, that is the one that its page tells, if any."""
    if municipality is None:
        municipality, settlement = (owner.municipality if owner else None), None
    return Facts(topic_id, municipality, settlement, urgency, owner, 1.0 if confidence is None else confidence)
