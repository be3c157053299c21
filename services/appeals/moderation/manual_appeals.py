"""Appeals that a person enters by hand, from a telephone call or a letter."""

from datetime import timedelta

from sqlalchemy import func, select

from services.appeals.classification.types import MessageContext
from services.appeals.lifecycle import transitions
from services.appeals.lifecycle.route_snapshot import manual_route
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.moderation.corrections import Corrections, check_corrections
from services.appeals.moderation.decisions import MODERATOR_REASON, classify_text, corrected_result
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealOpened
from shared.database.sessions import WriteSession
from shared.http.problems import Duplicate
from shared.ids import new_id
from shared.tables.appeals import Appeal, TimelineEntry

# The same text by the same person within this time is one appeal that was sent twice.
DUPLICATE_TEXT_WINDOW = timedelta(minutes=10)


async def open_from_text(
    session: WriteSession,
    caller: Caller,
    text: str,
    corrections: Corrections,
    *,
    url: str | None,
    repeats: bool = False,
) -> Appeal:
    """Open an appeal from a text; it has no thread to publish a reply in.

    Raises `Duplicate` naming the first when this caller opened one with the same text within
    `DUPLICATE_TEXT_WINDOW`, unless the text `repeats` on purpose.
    """
    if not repeats:
        await _require_new_text(session, caller, text)
    topic = await check_corrections(session, corrections, needs_answer=True)
    routing_context = await RoutingContext.load(
        session, (), {corrections.organisation_id} if corrections.organisation_id else ()
    )
    predicted = await classify_text((text, MessageContext()))
    result = corrected_result(predicted, corrections, topic, routing_context, needs_answer=True)
    topic_id = corrections.topic_id or routing_context.topic_id(result)
    route = routing_context.route_message(None, result)
    now = clock.now()
    appeal = Appeal(
        id=new_id(), status="triage", urgency=result.urgency, outcome=None, topic_id=topic_id, text=text,
        url=url, municipality=routing_context.municipality_code(result), settlement=result.settlement,
        street=result.street, house=result.house, utility_failure=result.utility_failure, language=result.language,
        written_at=now, opened_at=now, organisation_id=None, page_id=None, network=None, thread_key=None,
        author_key=None, route=route.to_triage_snapshot().dump(), created_at=now, updated_at=now,
    )  # fmt: skip
    organisation_id = corrections.organisation_id or route.organisation_id
    if organisation_id is not None:
        appeal.status, appeal.organisation_id, appeal.assigned_at = "assigned", organisation_id, now
        stored = route.to_snapshot()
        if corrections.organisation_id:
            stored = stored.text_reading().replaced_by(manual_route(MODERATOR_REASON))
        appeal.route = stored.dump()
        clocks.start_first_response_clock(
            appeal, routing_context.policies, routing_context.calendar(organisation_id)
        )
    session.add(appeal)
    await session.flush()
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "opened", caller.actor, manual=True)
    recorder.add_event(AppealOpened(**event_snapshot(appeal)), caller.actor)
    if organisation_id is not None:
        assignment_kind: transitions.AssignmentKind = "assigned" if corrections.organisation_id else "routed"
        transitions.record_first_assignment(recorder, appeal, caller.actor, assignment_kind=assignment_kind)
    if appeal.urgency == "high":
        recorder.add_alert("urgent", appeal, predicted.why if predicted.urgency == "high" else MODERATOR_REASON)
    await recorder.write(session)
    return appeal


async def _require_new_text(session: WriteSession, caller: Caller, text: str) -> None:
    text_hash = func.hashtextextended(func.lower(text), 0)
    # Two requests at once: the second waits for the first and sees its appeal.
    await session.execute(select(func.pg_advisory_xact_lock(text_hash)))
    first = await session.scalar(
        select(Appeal.id)
        .join(TimelineEntry, TimelineEntry.appeal_id == Appeal.id)
        .where(
            func.hashtextextended(func.lower(Appeal.text), 0) == text_hash,
            Appeal.text == text,
            Appeal.opened_at > clock.now() - DUPLICATE_TEXT_WINDOW,
            TimelineEntry.kind == "opened",
            TimelineEntry.actor == caller.actor,
            TimelineEntry.data["manual"].as_boolean(),
        )
        .limit(1)
    )
    if first is not None:
        raise Duplicate(
            "You have just opened an appeal with this text. Give an Idempotency-Key to open another",
            appeal_id=str(first),
        )
