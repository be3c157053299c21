"""Decisions of people: whether a message needs an answer, who answers an appeal, and moves."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from services.appeals.assignees.assignee_wish import UNCHANGED, AssigneeWish
from services.appeals.assignments import assignee_changes, assignments
from services.appeals.assignments.assignments import require_open_organisation
from services.appeals.classification.types import is_automatic
from services.appeals.inbound.appeal_matching import AppealMatcher
from services.appeals.inbound.locked_appeals import LockedAppeals
from services.appeals.lifecycle import appeal_queries, moves
from services.appeals.lifecycle.erasure_lock import require_reading
from services.appeals.lifecycle.message_queries import select_messages
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.moderation import reviews
from services.appeals.moderation.corrected_results import classify_text, corrected_result, stored_result
from services.appeals.moderation.corrections import Corrections, check_corrections
from services.appeals.moderation.decided_appeals import (
    AppealState,
    apply_corrections,
    await_answer_to,
    close_unneeded,
)
from services.appeals.moderation.decision_subject import DecisionSubject
from services.appeals.moderation.decision_undo import BeforeDecision, remember
from services.appeals.moderation.earlier_decisions import require_not_decided_by_another
from services.appeals.routing.context import RoutingContext
from services.appeals.routing.engine import Route
from shared.api.preconditions import UNSEEN, Seen, check_version
from shared.auth.callers import Caller
from shared.contracts.values import AppealOutcome
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification, Review
from shared.tables.ingest import Message

# Moves that can be undone, by the new status. After other moves, such as returns and work steps, only a further
# move is possible.
_UNDOABLE_MOVES = frozenset({"assigned", "closed", "not_required"})


@dataclass(frozen=True)
class TriageDecision:
    """The result of a person's decision about a message.

    `opened`: the message opened the appeal. `rerouted`: the corrected topic or location gave the appeal another
    organisation. `suggested`: the route that the rules give now, if it differs from the appeal's organisation.
    """

    classification: Classification
    review: Review
    appeal: Appeal | None
    opened: bool = False
    rerouted: bool = False
    suggested: Route | None = None


async def decide_message(
    session: WriteSession,
    caller: Caller,
    message_id: UUID,
    corrections: Corrections,
    *,
    needs_answer: bool,
    seen: Seen = UNSEEN,
    appeal_version: int | None = None,
) -> TriageDecision:
    """Confirm or correct the classification of a message, and apply it to the message's appeal.

    `seen` and `appeal_version` are the versions of the classification and of the appeal that the person saw.
    `needs_answer` true opens an appeal, joins the author's appeal about the matter, starts the clock of an unclear
    appeal, or reopens an answered one; false closes an appeal that nobody has started to work on, unless another
    of its messages needs an answer, and ends the reopening by this message. Raises `NotFound`, `Invalid`,
    `Conflict` if the page itself wrote the message, the message is erased or the status of the appeal no longer
    allows the decision, `PreconditionFailed`, and the errors of `reviews.check_not_stale`.
    """
    await require_reading(session)
    await reviews.lock_review(session, message_id)
    message = await session.scalar(select_messages().where(Message.id == message_id))
    if message is None:
        raise NotFound("No such message")
    if message.from_community:
        raise Conflict("The page itself wrote this message: only citizens' messages can be decided about")
    if needs_answer:
        _require_not_erased(message)
    return await _decide(
        session, caller, message, corrections, needs_answer=needs_answer, seen=seen, appeal_version=appeal_version
    )


def _require_not_erased(message: Message) -> None:
    if message.erased_at is not None:
        raise Conflict("The personal data of the author was erased, so no reply can be sent")


async def _decide(
    session: WriteSession,
    caller: Caller,
    message: Message,
    corrections: Corrections,
    *,
    needs_answer: bool,
    seen: Seen = UNSEEN,
    appeal_version: int | None = None,
) -> TriageDecision:
    topic = await check_corrections(session, corrections, needs_answer=needs_answer)
    subject = await DecisionSubject.load(session, message, corrections.organisation_id)
    await _require_seen(
        session, caller, subject, corrections,
        needs_answer=needs_answer, seen=seen, appeal_version=appeal_version,
    )  # fmt: skip
    former = subject.before()
    owner = await reviews.first_routed_organisation(session, subject.appeal)
    prediction, predicted_by = _first_prediction(subject.classification, subject.classified, owner)
    base = _base_prediction(subject.classified, subject.review, needs_answer=needs_answer)
    if base:
        predicted = stored_result(base, subject.routing)
    else:
        predicted = await classify_text(subject.thread.classifier_input(message))
    result = corrected_result(predicted, corrections, topic, subject.routing, needs_answer=needs_answer)
    recorder = AppealRecorder()
    opening = AppealMatcher(session, subject.routing, recorder, subject.locked)
    # The rules assign the appeal, unless the person gives an organisation: then the corrections assign it.
    item = subject.classified_message(result, caller.actor, by_rules=corrections.organisation_id is None)
    written = await opening.store_results([item])
    _require_unchanged(subject, seen, written[message.id])
    if subject.appeal is None:
        await opening.place([item])
    appeal, state = opening.match(item), subject.state
    if appeal is not None and needs_answer:
        state = state or await AppealState.load(session, appeal, message.id)
        await await_answer_to(
            session, appeal, message, caller,
            confirms=subject.classified.get("needs_answer") == "yes",
            routing_context=subject.routing, recorder=recorder,
        )  # fmt: skip
        apply_corrections(state, corrections, result, caller, routing_context=subject.routing, recorder=recorder)
    elif state is not None:
        await close_unneeded(
            session, state, message.id, caller, routing_context=subject.routing, recorder=recorder
        )
    await session.flush()
    assignment_ids = recorder.assignment_ids(subject.appeal) if subject.appeal is not None else []
    await opening.write()
    # A confirmation includes the organisation that the person saw, if the appeal still has it.
    confirmed = appeal is not None and appeal.organisation_id == subject.organisation_id
    review = await reviews.store_review(
        session, message.id, prediction, predicted_by,
        reviews.decided_values(
            corrections, base, subject.organisation_id if confirmed else None, needs_answer=needs_answer
        ),
        groups=subject.routing.groups,
        organisation_id=(state.appeal.organisation_id if state else None) or message.organisation_id,
        reviewed_by=caller.actor,
    )  # fmt: skip
    if subject.appeal is not None and former is not None:
        await remember(session, caller, subject.appeal, former, assignment_ids)
    return TriageDecision(
        await session.get_one(Classification, message.id, populate_existing=True),
        review,
        appeal,
        opened=message.id in opening.opened,
        rerouted=state.rerouted if state else False,
        suggested=state.suggested if state else None,
    )


async def _require_seen(
    session: WriteSession,
    caller: Caller,
    subject: DecisionSubject,
    corrections: Corrections,
    *,
    needs_answer: bool,
    seen: Seen,
    appeal_version: int | None,
) -> None:
    """Raise as `decide_message` does if the message or its appeal changed since the person saw them."""
    if subject.appeal is not None:
        await appeal_queries.check_version(session, subject.appeal, appeal_version)
    reviews.check_not_stale(
        seen, subject.classification, subject.review, caller, corrections, needs_answer=needs_answer
    )
    if subject.appeal is not None and not seen.given:
        # A move by a colleague is not in the message's review, so it is checked separately.
        await require_not_decided_by_another(
            session, caller, subject.appeal, Corrections(organisation_id=corrections.organisation_id)
        )


def _require_unchanged(subject: DecisionSubject, seen: Seen, written: int) -> None:
    """Raise `PreconditionFailed` or `Conflict` if the message was classified since the subject was loaded: then it
    may belong to an appeal now. `written` is the version of the decided classification.
    """
    before, current = subject.classification.version if subject.classification else 0, written - 1
    if current != before:
        check_version(current, seen.version, version=current)
        raise Conflict("The message was just classified: read its classification, and decide again")


def _base_prediction(
    before: reviews.ReviewSnapshot, previous: Review | None, *, needs_answer: bool
) -> reviews.ReviewSnapshot:
    """Return the classification that a decision corrects, empty if there is none. If a former decision «no answer
    needed» is reversed, this is the first prediction.
    """
    if previous is not None and needs_answer and before.get("needs_answer") == "no":
        return previous.predicted or before
    return before


def _first_prediction(
    triage: Classification | None, before: reviews.ReviewSnapshot, owner: UUID | None
) -> tuple[reviews.ReviewSnapshot, str]:
    """Return the automatic classification and its classifier's name; `NO_PREDICTION` if a person classified the
    message first.
    """
    if triage is None or not is_automatic(triage.classified_by):
        return {}, reviews.NO_PREDICTION
    return before | {"organisation_id": str(owner) if owner else None}, triage.classified_by


async def triage_appeal(
    session: WriteSession, caller: Caller, appeal: Appeal, corrections: Corrections, *, seen: Seen = UNSEEN
) -> None:
    """Set topic, location, urgency and organisation of a locked appeal without messages.

    Raises `Invalid`, `DecidedByAnother`, or `Conflict` if the appeal was merged or has messages: then decide about
    the other appeal or one of the messages.
    """
    if appeal.status == "merged":
        raise Conflict("The appeal was merged into another one: decide about the other appeal")
    message_id = await session.scalar(
        select(AppealMessage.message_id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(AppealMessage.received_at(), AppealMessage.created_at)
        .limit(1)
    )
    if message_id is not None:
        raise Conflict(
            "The appeal has messages of a citizen: decide about one of them", message_id=str(message_id)
        )
    await check_corrections(session, corrections, needs_answer=True)
    if not seen.given:
        await require_not_decided_by_another(session, caller, appeal, corrections)
    organisations = {one for one in (appeal.organisation_id, corrections.organisation_id) if one is not None}
    routing_context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    recorder, former = AppealRecorder(), BeforeDecision.of(appeal)
    state = await AppealState.load(session, appeal, None)
    apply_corrections(state, corrections, None, caller, routing_context=routing_context, recorder=recorder)
    await session.flush()
    assignment_ids = recorder.assignment_ids(appeal)
    await recorder.write(session)
    await remember(session, caller, appeal, former, assignment_ids)


async def open_from_message(
    session: WriteSession, caller: Caller, message_id: UUID, corrections: Corrections
) -> tuple[Appeal, bool]:
    """Open an appeal from a stored message, or join the author's appeal about the matter; return the appeal and
    whether it is new. Raises `Invalid` naming `/message_id`, `Conflict` if the message is erased or belongs to an
    appeal.
    """
    await require_reading(session)
    await reviews.lock_review(session, message_id)
    message = await session.scalar(select_messages().where(Message.id == message_id))
    if message is None:
        raise Invalid.field("/message_id", "No such message")
    if message.from_community:
        raise Invalid.field(
            "/message_id", "The page itself wrote this message: only a citizen's message can open an appeal"
        )
    _require_not_erased(message)
    locked = await LockedAppeals.load(session, [message])
    if (present := locked.by_message.get(message.id)) is not None:
        raise Conflict("The message already belongs to an appeal", appeal_id=str(present))
    decided = await _decide(session, caller, message, corrections, needs_answer=True)
    if decided.appeal is None:
        raise Conflict("The appeals of this thread are being changed by other requests: try again")
    return decided.appeal, decided.opened


async def move_appeal(
    session: WriteSession,
    caller: Caller,
    appeal: Appeal,
    to: str,
    *,
    organisation_id: UUID | None,
    reason: str | None,
    outcome: AppealOutcome | None,
    assignee: AssigneeWish = UNCHANGED,
) -> None:
    """Apply a person's move to a locked appeal, and assign it to a person if requested.

    Raises the errors of `moves.apply_move` and `assignee_changes.apply_wish`, and `Invalid` for an unknown
    organisation.
    """
    await require_open_organisation(session, organisation_id)
    organisations = {found for found in (organisation_id, appeal.organisation_id) if found}
    if suggested := route_of(appeal).suggested_organisation_id:
        organisations.add(suggested)
    routing_context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    recorder, former = AppealRecorder(), BeforeDecision.of(appeal)
    moves.apply_move(
        appeal, to, caller, routing_context.sla, recorder, organisation_id=organisation_id, reason=reason,
        outcome=outcome, previous_organisations=await assignments.all_organisations(session, appeal),
    )  # fmt: skip
    if assignee.given:
        await assignee_changes.apply_wish(
            session, appeal, assignee, caller, recorder, former_organisation_id=former.appeal.organisation_id
        )
    elif appeal.status == "in_progress" and appeal.assignee_id is None:
        await assignee_changes.take(session, appeal, caller, recorder)
    await recorder.choose_assignees(session)
    await session.flush()
    assignment_ids = recorder.assignment_ids(appeal)
    await recorder.write(session)
    if to in _UNDOABLE_MOVES:
        await remember(session, caller, appeal, former, assignment_ids)
