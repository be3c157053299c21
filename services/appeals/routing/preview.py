"""Preview of a rule set: the route that a message would get, and the rules that match it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.classifier_pool import classifier_pool
from services.appeals.classification.topics import require_topic
from services.appeals.classification.types import ClassificationResult, MessageContext
from services.appeals.routing.context import RoutingContext, routing_facts
from services.appeals.routing.engine import Route
from services.appeals.routing.rules import RoutingFacts, Rule
from shared.contracts.values import MessageKind
from shared.http.problems import Invalid
from shared.tables.appeals_routing import RuleSet
from shared.tables.registry import Municipality, Page


@dataclass(frozen=True)
class PreviewInput:
    """A message to preview. Given fields take precedence over what is found in the text."""

    text: str | None = None
    kind: MessageKind = "comment"
    post_context: str | None = None
    topic_id: UUID | None = None
    municipality: str | None = None
    settlement: str | None = None
    page_id: UUID | None = None
    urgency: str | None = None


@dataclass(frozen=True)
class PreviewResult:
    """The route, the facts that the rules compared, and the matching rules, most specific first."""

    route: Route
    facts: RoutingFacts
    matching_rules: list[Rule]
    classification: ClassificationResult | None
    routing_context: RoutingContext
    topic_was_classified: bool


async def preview_route(session: AsyncSession, rule_set: RuleSet, preview: PreviewInput) -> PreviewResult:
    """Classify the text like that of a message, and route it by the rules of the set. Raises `Invalid` naming an
    unknown field value.
    """
    await _check(session, preview)
    routing_context = await RoutingContext.load(
        session, {preview.page_id} if preview.page_id else (), rule_set=rule_set
    )
    page_owner = routing_context.page_owners.get(preview.page_id) if preview.page_id else None
    predicted = None
    if preview.text is not None:
        municipality_names = routing_context.router.names.municipalities
        context = MessageContext(
            kind=preview.kind,
            post_text=preview.post_context,
            page_owner=page_owner.organisation if page_owner else None,
            page_municipality=municipality_names.get(page_owner.municipality or "") if page_owner else None,
        )
        predicted = (await classifier_pool().classify_one((preview.text, context))).result
    facts = _facts(preview, predicted, routing_context)
    candidates = predicted.topic_candidates if predicted is not None and preview.topic_id is None else ()
    known = ((routing_context.topic_ids.get(code), probability) for code, probability in candidates)
    route = routing_context.router.route(
        facts,
        candidates=[(topic_id, probability) for topic_id, probability in known if topic_id is not None],
        why=predicted.why if predicted else None,
    )
    fitting = list(routing_context.router.index.matching_rules(facts))
    was_read = facts.topic_id is not None and preview.topic_id is None
    return PreviewResult(route, facts, fitting, predicted, routing_context, was_read)


async def _check(session: AsyncSession, preview: PreviewInput) -> None:
    if preview.post_context is not None and preview.text is None:
        raise Invalid.field("/text", "Give the text of the message under the post")
    await require_topic(session, preview.topic_id)
    if preview.municipality is not None and await session.get(Municipality, preview.municipality) is None:
        raise Invalid.field("/municipality", "No such municipality")
    if preview.settlement is not None and preview.municipality is None:
        raise Invalid.field(
            "/municipality", "Give the municipality too: settlements in several municipalities have the same name"
        )
    if preview.page_id is not None and await session.get(Page, preview.page_id) is None:
        raise Invalid.field("/page_id", "No such page")


def _facts(
    preview: PreviewInput, predicted: ClassificationResult | None, routing_context: RoutingContext
) -> RoutingFacts:
    named = preview.topic_id is not None or predicted is None
    location_given = preview.municipality is not None or predicted is None
    return routing_facts(
        routing_context.page_owners.get(preview.page_id) if preview.page_id else None,
        topic_id=preview.topic_id or (routing_context.topic_id(predicted) if predicted else None),
        municipality=preview.municipality or (routing_context.municipality_code(predicted) if predicted else None),
        settlement=preview.settlement if location_given else (predicted.settlement if predicted else None),
        urgency=preview.urgency or (predicted.urgency if predicted else "normal"),
        confidence=None if named else (predicted.topic_confidence if predicted else None),
        location_source="person" if preview.municipality else (predicted.location_source if predicted else None),
    )
