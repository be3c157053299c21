"""Reviews: people's decisions about classified messages, by which the model is measured and trained. A review
keeps the first automatic classification, however often the message is reviewed, and the last decision on each
field: correcting only the urgency keeps the topic that another person set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.types import LOCATION_PARTS
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.moderation.corrections import Corrections
from shared.api.pagination import Paging
from shared.api.preconditions import Seen, check_version
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import DecidedByAnother
from shared.tables.appeals import Appeal, Assignment
from shared.tables.appeals_classification import Classification, Review

NO_PREDICTION = "none"
REVIEWED_FIELDS = ("needs_answer", "topic_group", "topic", "location", "urgency", "organisation")
# The columns of a classification that a review stores unchanged.
_PREDICTED = (
    "needs_answer", "type", "urgency", "needs_answer_confidence", "topic_confidence", "top3", "settlement",
    "street", "house", "municipality", "location_source", "language", "utility_failure", "why",
)  # fmt: skip

ReviewSnapshot = dict[str, Any]


class ReviewFilter(ListFilter):
    """Filter of a list of reviews."""

    corrected: bool | None = Field(
        default=None, description="Whether people disagreed with the prediction in any field"
    )
    topic_group_id: UUID | None = Field(
        default=None, description="The topic group that people decided on, else the predicted one"
    )


async def lock_review(session: WriteSession, message_id: UUID) -> None:
    """Take the advisory lock of a message's review, so that a concurrent reviewer waits and sees this decision.
    Call it before anything about the message is read.
    """
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"review:{message_id}", 0))))


def classification_snapshot(row: Classification) -> ReviewSnapshot:
    """Return a classification in the form that a review stores."""
    return {name: getattr(row, name) for name in _PREDICTED} | {
        "topic_id": str(row.topic_id) if row.topic_id else None
    }


async def first_routed_organisation(session: AsyncSession, appeal: Appeal | None) -> UUID | None:
    """Return the id of the organisation that the rules assigned or suggested before any person decided."""
    if appeal is None:
        return None
    first = await session.scalar(
        select(Assignment).where(Assignment.appeal_id == appeal.id).order_by(Assignment.at, Assignment.id).limit(1)
    )
    if first is not None:
        return first.to_organisation_id if first.kind == "routed" else None
    return route_of(appeal).suggested_organisation_id


def decided_values(
    corrections: Corrections, before: ReviewSnapshot, owner: UUID | None, *, needs_answer: bool
) -> ReviewSnapshot:
    """Return the decided values by field; `before` and `owner` are the values that a confirmation includes."""
    decided: ReviewSnapshot = {"needs_answer": "yes" if needs_answer else "no"}
    same_need = before.get("needs_answer") == decided["needs_answer"]
    if corrections.type is not None:
        decided["type"] = corrections.type
    elif corrections.confirms_rest and same_need:
        decided["type"] = before["type"]
    if not needs_answer:
        return decided
    location = {part: before.get(part) for part in LOCATION_PARTS}
    if corrections.topic_id is not None:
        decided["topic_id"] = str(corrections.topic_id)
    elif corrections.confirms_rest and before.get("topic_id"):
        decided["topic_id"] = before["topic_id"]
    if corrections.sets_location or (corrections.confirms_rest and any(location.values())):
        decided["location"] = corrections.merged_location(location)
    if corrections.urgency is not None:
        decided["urgency"] = corrections.urgency
    elif corrections.confirms_rest and before.get("urgency"):
        decided["urgency"] = before["urgency"]
    if corrections.organisation_id is not None:
        decided["organisation_id"] = str(corrections.organisation_id)
    elif corrections.confirms_rest and owner is not None:
        decided["organisation_id"] = str(owner)
    return decided


def agreement(
    predicted: ReviewSnapshot, decided: ReviewSnapshot, groups: Mapping[UUID, UUID]
) -> dict[str, bool | None]:
    """Return by field whether people agree with the prediction; None if the decision or the prediction has no
    value for it. `groups` maps a topic or group to its group. A predicted group without a topic is compared by
    group, a location by its municipality. An unsure prediction has no value for `needs_answer`. If the prediction
    or the decision is «no answer due», the other fields have none.
    """
    need, sees_need = predicted.get("needs_answer"), predicted.get("needs_answer") in {"yes", "unsure"}
    agreed: dict[str, bool | None] = dict.fromkeys(REVIEWED_FIELDS)
    if need in {"yes", "no"}:
        agreed["needs_answer"] = need == decided["needs_answer"]
    if decided["needs_answer"] == "no" or not sees_need:
        return agreed
    if predicted.get("topic_id") and decided.get("topic_id"):
        one, other = UUID(predicted["topic_id"]), UUID(decided["topic_id"])
        group, other_group = groups.get(one, one), groups.get(other, other)
        agreed["topic_group"] = group == other_group
        # A person who gives only the group, the same as predicted, has not decided about the topic.
        if one != group and (other != other_group or not agreed["topic_group"]):
            agreed["topic"] = one == other
    if predicted.get("municipality") and "location" in decided:
        agreed["location"] = predicted["municipality"] == decided["location"]["municipality"]
    if "urgency" in decided:
        agreed["urgency"] = predicted["urgency"] == decided["urgency"]
    if predicted.get("organisation_id") and decided.get("organisation_id"):
        agreed["organisation"] = predicted["organisation_id"] == decided["organisation_id"]
    return agreed


def check_not_stale(
    seen: Seen,
    triage: Classification | None,
    previous: Review | None,
    caller: Caller,
    corrections: Corrections,
    *,
    needs_answer: bool,
) -> None:
    """Refuse a decision if the caller has not seen the decision that it would replace; call under `lock_review`.
    Raises `PreconditionFailed` if the classification is not in the version given by `If-Match` (0 before the first
    classification). Without `If-Match` raises `DecidedByAnother` if another person has decided and the caller
    decides otherwise, or confirms the rest. Both name the current decision.
    """
    version = triage.version if triage else 0
    decision = None
    if previous is not None:
        decision = {
            "by": previous.reviewed_by,
            "at": previous.updated_at.isoformat(),
            "version": version,
            "decided": previous.decided,
        }
    check_version(version, seen.version, version=version, decision=decision)
    if seen.given or previous is None or previous.reviewed_by == caller.actor:
        return
    before = classification_snapshot(triage) if triage else {}
    decided = decided_values(replace(corrections, confirms_rest=False), before, None, needs_answer=needs_answer)
    otherwise = sorted(name for name, value in decided.items() if previous.decided.get(name, value) != value)
    if otherwise or corrections.confirms_rest:
        raise DecidedByAnother(
            "Another person has decided about this message. Read their decision, and send If-Match with its "
            "version to decide otherwise",
            decision=decision,
            differs=otherwise,
        )


async def store_review(
    session: WriteSession,
    message_id: UUID,
    predicted: ReviewSnapshot,
    predicted_by: str,
    decided: ReviewSnapshot,
    *,
    groups: Mapping[UUID, UUID],
    organisation_id: UUID | None,
    reviewed_by: str,
) -> Review:
    """Store a review under `lock_review`. An existing review keeps its prediction and gets the new decision."""
    review = await session.get(Review, message_id)
    if review is None:
        review = Review(message_id=message_id, predicted=predicted, predicted_by=predicted_by)
        session.add(review)
    elif review.decided["needs_answer"] == decided["needs_answer"]:
        decided = review.decided | decided
    review.decided = decided
    review.reviewed_by = reviewed_by
    review.organisation_id = organisation_id
    topic = decided.get("topic_id") or review.predicted.get("topic_id")
    review.topic_group_id = groups.get(UUID(topic)) if topic else None
    for question, agrees in agreement(review.predicted, decided, groups).items():
        setattr(review, f"agrees_{question}", agrees)
    await session.flush()
    return review


def review_list_query(caller: Caller, filters: ReviewFilter, paging: Paging) -> Select[Review]:
    """Return the query for one page of reviews plus one row, newest first."""
    query = (
        select(Review)
        .where(caller.scope(Review.organisation_id))
        .order_by(Review.created_at.desc(), Review.message_id.desc())
        .limit(paging.limit + 1)
    )
    if filters.corrected is not None:
        wrong = or_(*(getattr(Review, f"agrees_{question}").is_(False) for question in REVIEWED_FIELDS))
        query = query.where(wrong if filters.corrected else ~wrong)
    if filters.topic_group_id is not None:
        query = query.where(Review.topic_group_id == filters.topic_group_id)
    after = paging.after((Review.created_at, Review.message_id), (datetime.fromisoformat, UUID))
    return query if after is None else query.where(after)


async def list_reviews(
    session: AsyncSession, caller: Caller, filters: ReviewFilter, paging: Paging
) -> Sequence[Review]:
    """Return one page of reviews plus one row."""
    return list(await session.scalars(review_list_query(caller, filters, paging)))
