"""Classification results: of the classifier, as stored, and as corrected by a person."""

from dataclasses import replace
from uuid import UUID

from services.appeals.classification.classifier_pool import classifier_pool
from services.appeals.classification.classifier_process import ClassifierInput
from services.appeals.classification.types import ANSWERED_TYPES, ClassificationResult
from services.appeals.moderation import reviews
from services.appeals.moderation.corrections import Corrections
from services.appeals.routing.context import RoutingContext
from shared.tables.appeals_classification import Topic

MODERATOR_REASON = "Решение модератора"


async def classify_text(item: ClassifierInput) -> ClassificationResult:
    """Return the classification of a text. Raises `Unavailable` if the classifier is not available."""
    return (await classifier_pool().classify_one(item)).result


def stored_result(stored: reviews.ReviewSnapshot, routing_context: RoutingContext) -> ClassificationResult:
    """Return a stored classification in the form of a classifier's result."""
    codes = {topic_id: code for code, topic_id in routing_context.topic_ids.items()}
    municipality_names = {oktmo: name for name, oktmo in routing_context.municipalities.items()}
    same = ("needs_answer", "type", "urgency", "topic_confidence", "settlement", "street", "house", "language",
            "utility_failure", "why")  # fmt: skip
    candidates = ((codes.get(UUID(one["topic_id"])), one["confidence"]) for one in stored["top3"])
    return ClassificationResult(
        **{name: stored[name] for name in same},
        needs_answer_confidence=stored["needs_answer_confidence"],
        location_source=stored["location_source"],
        topic=codes.get(UUID(stored["topic_id"])) if stored["topic_id"] else None,
        topic_candidates=tuple((code, probability) for code, probability in candidates if code is not None),
        municipality=municipality_names.get(stored["municipality"]),
    )


def corrected_result(
    predicted: ClassificationResult,
    corrections: Corrections,
    topic: Topic | None,
    routing_context: RoutingContext,
    *,
    needs_answer: bool,
) -> ClassificationResult:
    """Return a person's decision as a result; fields that the person left out come from the prediction."""
    kind = corrections.type or (
        predicted.type
        if (predicted.type in ANSWERED_TYPES) == needs_answer
        else "request"
        if needs_answer
        else "chatter"
    )
    if not needs_answer:
        return ClassificationResult("no", kind, "normal", None, 1.0, MODERATOR_REASON, language=predicted.language)
    result = replace(
        predicted,
        needs_answer="yes",
        type=kind,
        urgency="high" if (corrections.urgency or predicted.urgency) == "high" else "normal",
        topic=topic.code if topic else predicted.topic,
        # A topic that a person gave or confirmed is certain.
        topic_confidence=1.0
        if topic or (corrections.confirms_rest and predicted.topic)
        else predicted.topic_confidence,
        needs_answer_confidence=1.0,
        why=MODERATOR_REASON,
    )
    if not corrections.sets_location:
        return result
    oktmo = routing_context.municipality_code(predicted)
    location = corrections.merged_location(
        {
            "municipality": oktmo,
            "settlement": predicted.settlement,
            "street": predicted.street,
            "house": predicted.house,
        }
    )
    names = {oktmo: name for name, oktmo in routing_context.municipalities.items()}
    return replace(
        result,
        municipality=names.get(location["municipality"] or ""),
        settlement=location["settlement"],
        street=location["street"],
        house=location["house"],
        location_source="person" if any(location.values()) else None,
    )
