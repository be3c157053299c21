"""Presenters of classifications, decisions and reviews: rows to response models, with the names that they show."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.presenters import routes
from services.appeals.api.presenters.topics import location_of, topic_ref
from services.appeals.assignees.directory import ActorNames
from services.appeals.classification.classification_queries import ClassificationRow
from services.appeals.classification.topics import TopicAndMunicipalityNames
from services.appeals.classification.types import LOCATION_PARTS
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.moderation.decisions import TriageDecision
from services.appeals.moderation.reviews import REVIEWED_FIELDS, ReviewSnapshot
from services.appeals.schemas import common
from services.appeals.schemas.classification import classifications
from services.appeals.schemas.classification.reviews import Agreement, ReviewOut, ReviewSide
from shared.masking import mask
from shared.tables.appeals_classification import Classification, Review

_SAME = (
    "needs_answer", "type", "urgency", "topic_id", "needs_answer_confidence", "topic_confidence",
    "location_source", "language", "utility_failure", "why", "classified_by", "version",
)  # fmt: skip


async def classifications_out(
    session: AsyncSession, rows: Sequence[Classification]
) -> list[classifications.ClassificationOut]:
    """Return classifications in the order of the rows."""
    topics = {row.topic_id for row in rows if row.topic_id}
    topics |= {UUID(one["topic_id"]) for row in rows for one in row.top3}
    names = await TopicAndMunicipalityNames.load(
        session, topics, {row.municipality for row in rows if row.municipality}
    )
    return [_classification_out(row, names) for row in rows]


def _classification_out(
    row: Classification, names: TopicAndMunicipalityNames
) -> classifications.ClassificationOut:
    candidates = ((_topic(names, UUID(one["topic_id"])), one["confidence"]) for one in row.top3)
    return classifications.ClassificationOut(
        **{name: getattr(row, name) for name in _SAME},
        topic=_topic(names, row.topic_id),
        top3=[
            classifications.TopicCandidate(topic=topic, confidence=probability)
            for topic, probability in candidates
            if topic is not None
        ],
        location=location_of(names, row.municipality, row.settlement, row.street, row.house),
    )


def _topic(names: TopicAndMunicipalityNames, topic_id: UUID | None) -> common.TopicRef | None:
    name = names.topics.get(topic_id) if topic_id else None
    return topic_ref(name) if name is not None else None


async def triage_result(session: AsyncSession, decided: TriageDecision) -> classifications.TriageResult:
    """Return the result of a decision as the API shows it."""
    appeal, suggested = decided.appeal, decided.suggested
    wanted = [found.organisation_id for found in (appeal, suggested) if found is not None]
    names = await routes.organisation_names(session, wanted)
    organisations = {found: common.NamedRef(id=found, name=name) for found, name in names.items()}
    (classification,) = await classifications_out(session, [decided.classification])
    return classifications.TriageResult(
        message_id=decided.classification.message_id,
        classification=classification,
        agreement=_agreement(decided.review),
        appeal_id=appeal.id if appeal else None,
        appeal_number=appeal.number if appeal else None,
        appeal_status=appeal.status if appeal else None,
        appeal_version=appeal.version if appeal else None,
        organisation=organisations.get(appeal.organisation_id) if appeal and appeal.organisation_id else None,
        triage_reason=route_of(appeal).triage_reason if appeal and appeal.status == "triage" else None,
        route=await routes.load_route(session, route_of(appeal)) if appeal else None,
        rerouted=decided.rerouted,
        suggested_organisation=classifications.SuggestedOrganisation(
            organisation=organisations[suggested.organisation_id], reason=suggested.reason
        )
        if suggested and suggested.organisation_id
        else None,
    )


async def reviews_out(session: AsyncSession, rows: Sequence[Review]) -> list[ReviewOut]:
    """Return reviews in the order of the rows."""
    kept = [side for row in rows for side in (row.predicted, row.decided)]
    topics = {UUID(side["topic_id"]) for side in kept if side.get("topic_id")}
    municipalities = {
        location["municipality"] for side in kept if (location := _location_parts(side))["municipality"]
    }
    names = await TopicAndMunicipalityNames.load(session, topics, municipalities)
    people = await ActorNames.load(session, {row.reviewed_by for row in rows})
    return [
        ReviewOut(
            message_id=row.message_id,
            predicted_by=row.predicted_by,
            predicted=_verdict(row.predicted, names),
            decided=_verdict(row.decided, names),
            agreement=_agreement(row),
            organisation_id=row.organisation_id,
            reviewed_by=people.ref(row.reviewed_by),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def _agreement(row: Review) -> Agreement:
    return Agreement(**{question: getattr(row, f"agrees_{question}") for question in REVIEWED_FIELDS})


def _location_parts(side: ReviewSnapshot) -> dict[str, Any]:
    # A prediction has the parts of the location as separate fields; a decision has them in
    # `location`, or not at all.
    return {part: (side.get("location") or side).get(part) for part in LOCATION_PARTS}


def _verdict(side: ReviewSnapshot, names: TopicAndMunicipalityNames) -> ReviewSide:
    return ReviewSide(
        **{name: side.get(name) for name in ("needs_answer", "type", "urgency", "organisation_id")},
        topic=_topic(names, UUID(side["topic_id"]) if side.get("topic_id") else None),
        location=location_of(names, *(_location_parts(side)[part] for part in LOCATION_PARTS)),
    )


async def classified_messages_out(
    session: AsyncSession, rows: Sequence[ClassificationRow]
) -> list[classifications.ClassifiedMessageOut]:
    """Return classified messages as lists show them, personal data masked in the text and its quotes."""
    shown = await classifications_out(session, [row.Classification for row in rows])
    return [
        classifications.ClassifiedMessageOut(
            message_id=row.Classification.message_id,
            network=row.network,
            kind=row.kind,
            page_id=row.page_id,
            organisation=common.NamedRef(id=row.organisation_id, name=row.organisation),
            url=row.url,
            text=mask(row.text),
            written_at=row.written_at,
            received_at=row.received_at,
            deleted_at=row.deleted_at,
            appeal_id=row.appeal_id,
            classification=classification.model_copy(update={"why": mask(classification.why)}),
            classified_at=row.Classification.created_at,
            updated_at=row.Classification.updated_at,
        )
        for row, classification in zip(rows, shown, strict=True)
    ]
