"""The data that classification and routing need, loaded once for a request or a batch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.types import ClassificationResult, LocationSource
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.routing import repository
from services.appeals.routing.engine import Route, Router
from services.appeals.routing.rules import PageOwner, RoutingFacts
from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.sla_context import SlaContext, load_policies
from shared.tables.appeals import Appeal
from shared.tables.appeals_routing import RuleSet


@dataclass(frozen=True)
class RoutingContext:
    """Topics, rules, SLA policies, the owners of given pages, and the calendars of possible organisations."""

    topic_ids: Mapping[str, UUID]
    # Topic or group → its group; name of a municipality → its OKTMO.
    groups: Mapping[UUID, UUID]
    municipalities: Mapping[str, str]
    router: Router
    page_owners: dict[UUID, PageOwner]
    sla: SlaContext

    @staticmethod
    async def load(
        session: AsyncSession,
        pages: Collection[UUID],
        organisations: Collection[UUID] = (),
        *,
        rule_set: RuleSet | None = None,
    ) -> "RoutingContext":
        """Load the data for these pages and organisations, with the active rules or those of `rule_set`."""
        router, catalogue = await repository.load_router(session, rule_set or await repository.active_set(session))
        page_owners = await repository.page_owners(session, pages)
        possible = {
            *organisations,
            *repository.organisations_in(router.index.rules, router.index.default_organisation_id),
            *(owner.organisation_id for owner in page_owners.values()),
        }
        if router.index.uses_registry_roles:
            possible |= router.roles.organisation_ids()
            possible |= {owner.founder_id for owner in page_owners.values() if owner.founder_id is not None}
        return RoutingContext(
            topic_ids=catalogue.topic_ids,
            groups=catalogue.groups,
            municipalities={name: oktmo for oktmo, name in catalogue.names.municipalities.items()},
            router=router,
            page_owners=page_owners,
            sla=SlaContext(
                policies=await load_policies(session),
                topic_groups=catalogue.groups,
                calendars=await CalendarLookup.load(session, possible),
            ),
        )

    def topic_id(self, result: ClassificationResult) -> UUID | None:
        """Return the id of the topic in a classification, or None."""
        return self.topic_ids.get(result.topic) if result.topic else None

    def municipality_code(self, result: ClassificationResult) -> str | None:
        """Return the OKTMO of the municipality in a classification, or None."""
        return self.municipalities.get(result.municipality) if result.municipality else None

    def route_message(self, page_id: UUID | None, result: ClassificationResult) -> Route:
        """Return the route of a message with this classification, written on this page."""
        topics = ((self.topic_ids.get(code), probability) for code, probability in result.topic_candidates)
        return self.route(
            page_id=page_id,
            topic_id=self.topic_id(result),
            municipality=self.municipality_code(result),
            settlement=result.settlement,
            urgency=result.urgency,
            confidence=result.topic_confidence,
            candidates=[(topic_id, probability) for topic_id, probability in topics if topic_id is not None],
            why=result.why,
            location_source=result.location_source,
        )

    def route_appeal(self, appeal: Appeal) -> Route:
        """Return the route of an appeal in its current state. A predicted topic keeps its confidence; a topic set
        by a person is certain.
        """
        stored = route_of(appeal)
        topic = stored.topic
        if topic is not None and appeal.topic_id not in {None, topic.id}:
            topic = None  # a person has set another topic
        return self.route(
            page_id=appeal.page_id,
            topic_id=appeal.topic_id,
            municipality=appeal.municipality,
            settlement=appeal.settlement,
            urgency=appeal.urgency,
            confidence=topic.confidence if topic else None,
            candidates=topic.top3 if topic else (),
            why=stored.why,
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
        location_source: LocationSource | None = None,
    ) -> Route:
        """Return the route for these values. `municipality` is an OKTMO; `confidence` is the topic's, None means
        certain.
        """
        facts = routing_facts(
            self.page_owners.get(page_id) if page_id else None,
            topic_id=topic_id,
            municipality=municipality,
            settlement=settlement,
            urgency=urgency,
            confidence=confidence,
            location_source=location_source,
        )
        return self.router.route(facts, candidates=candidates, why=why)


def routing_facts(
    page_owner: PageOwner | None,
    *,
    topic_id: UUID | None,
    municipality: str | None,
    settlement: str | None,
    urgency: str,
    confidence: float | None,
    location_source: LocationSource | None = None,
) -> RoutingFacts:
    """Return the facts that rules compare; if the message has no location, the location of its page is used."""
    if municipality is None:
        municipality, settlement, location_source = (page_owner.municipality if page_owner else None), None, "page"
    certain = 1.0 if confidence is None else confidence
    return RoutingFacts(topic_id, municipality, settlement, urgency, page_owner, certain, location_source)
