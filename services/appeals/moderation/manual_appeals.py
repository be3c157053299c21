"""Appeals without a thread: entered by a person, from a call, a visit or a letter, or by another system."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.types import MessageContext
from services.appeals.lifecycle import transitions
from services.appeals.lifecycle.route_snapshot import manual_route
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.moderation import contacts
from services.appeals.moderation.corrected_results import MODERATOR_REASON, classify_text, corrected_result
from services.appeals.moderation.corrections import Corrections, check_corrections
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.appeal_events import AppealOpened
from shared.database.sessions import WriteSession
from shared.http.problems import Duplicate, Forbidden, Invalid
from shared.ids import new_id
from shared.networks import NETWORKS
from shared.tables.appeals import Appeal, AppealSubmission, TimelineEntry
from shared.tables.registry import Organisation

OPEN311_SOURCE = "open311"
# Sources that people enter, and Open311, whose requests need no id. Every other source is a system, which must
# give one.
SOURCES_WITHOUT_IDS = frozenset({"phone", "reception", "letter", OPEN311_SOURCE})
# Tolerated lead of another system's clock; a time of writing that is ahead by less counts as now.
CLOCK_TOLERANCE = timedelta(minutes=5)
# The same text from the same caller within this time is treated as one appeal sent twice.
DUPLICATE_TEXT_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class NewSubmission:
    """How an appeal was submitted. `request` is the request without the contact, by which a repetition is
    recognised.
    """

    source: str
    external_id: str | None
    written_at: datetime | None
    contact: dict[str, str] | None
    metadata: dict[str, Any]
    request: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Return a digest of the request, equal for a repeated request."""
        canonical = json.dumps(self.request, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


async def open_from_text(
    session: WriteSession,
    caller: Caller,
    text: str,
    corrections: Corrections,
    submission: NewSubmission | None,
    *,
    url: str | None,
    allow_duplicate: bool = False,
) -> tuple[Appeal, bool]:
    """Open an appeal from a text; it has no thread in which a reply could be published. Return the appeal and
    whether it is new. For an `external_id` that the caller's organisation has already submitted, the first appeal
    is returned. Raises `Duplicate` naming the first appeal if it is out of the caller's scope by now, or if this
    caller opened an appeal with the same text within `DUPLICATE_TEXT_WINDOW`, unless `allow_duplicate`: the caller
    repeats it on purpose. Raises `Invalid` naming the field, `Forbidden` for an organisation that is not the
    caller's.
    """
    _check_submission(caller, submission)
    await _require_own_organisation(session, caller, corrections.organisation_id)
    if submission is not None and submission.external_id is not None:
        first = await _submitted_before(session, caller, submission)
        if first is not None:
            return first, False
    elif not allow_duplicate:
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
        written_at=min(submission.written_at or now, now) if submission else now,
        source=submission.source if submission else None, opened_at=now, organisation_id=None, page_id=None,
        network=None, thread_key=None,
        author_key=None, route=route.to_triage_snapshot().dump(), created_at=now, updated_at=now,
    )  # fmt: skip
    organisation_id = corrections.organisation_id or route.organisation_id
    if organisation_id is not None:
        appeal.status, appeal.organisation_id, appeal.assigned_at = "assigned", organisation_id, now
        stored = route.to_snapshot()
        if corrections.organisation_id:
            stored = stored.text_reading().replaced_by(manual_route(MODERATOR_REASON))
        appeal.route = stored.dump()
        clocks.start_first_response_clock(appeal, routing_context.sla, caller.actor)
    session.add(appeal)
    await session.flush()
    if submission is not None:
        session.add(_submission_row(appeal, caller, submission))
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "opened", caller.actor, manual=True, source=appeal.source)
    recorder.add_event(AppealOpened(**event_snapshot(appeal)), caller.actor)
    if organisation_id is not None:
        assignment_kind: transitions.AssignmentKind = "assigned" if corrections.organisation_id else "routed"
        transitions.record_first_assignment(
            recorder, appeal, routing_context.sla, caller.actor, assignment_kind=assignment_kind
        )
    if appeal.urgency == "high":
        recorder.add_alert("urgent", appeal, predicted.why if predicted.urgency == "high" else MODERATOR_REASON)
    await recorder.write(session)
    return appeal, True


def _check_submission(caller: Caller, submission: NewSubmission | None) -> None:
    """Raise `Invalid` naming the field that is missing or wrong."""
    if submission is None:
        if Right.APPEALS_TRIAGE not in caller.rights:
            raise Invalid.field(
                "/source",
                "Give `source` (how the citizen got in touch): `phone`, `reception`, `letter` or a system's name",
            )
        return
    if submission.source in NETWORKS:
        raise Invalid.field(
            "/source",
            f"`{submission.source}` is a network, whose messages are collected automatically: give `phone`, "
            "`reception`, `letter` or a system's name",
        )
    if submission.source not in SOURCES_WITHOUT_IDS and submission.external_id is None:
        raise Invalid.field(
            "/external_id",
            "Give `external_id` (the system's own id), so that a repeated request does not open a second appeal",
        )
    if submission.written_at is not None and submission.written_at > clock.now() + CLOCK_TOLERANCE:
        raise Invalid.field("/written_at", "The time of writing must not be in the future")


async def _require_own_organisation(session: AsyncSession, caller: Caller, organisation_id: UUID | None) -> None:
    """Raise `Forbidden` for an organisation that is out of the caller's scope or does not exist."""
    if organisation_id is None or caller.is_region_wide:
        return
    query = select(Organisation.id).where(Organisation.id == organisation_id, caller.scope(Organisation.id))
    if await session.scalar(query) is None:
        raise Forbidden(
            "Choose an organisation that you have access to, or none: then the rules or the moderators do"
        )


def _submission_row(appeal: Appeal, caller: Caller, submission: NewSubmission) -> AppealSubmission:
    return AppealSubmission(
        appeal_id=appeal.id,
        source=submission.source,
        external_id=submission.external_id,
        organisation_id=caller.organisation_id,
        fingerprint=submission.fingerprint,
        contact=contacts.encrypt(submission.contact) if submission.contact is not None else None,
        extra=submission.metadata,
    )


async def _submitted_before(session: WriteSession, caller: Caller, submission: NewSubmission) -> Appeal | None:
    """Return the appeal that the caller's organisation submitted under this id.

    Returns None if there is none. Raises `Invalid` for different content, `Duplicate` for an appeal out of the
    caller's scope.
    """
    key = f"{submission.source}\n{caller.organisation_id}\n{submission.external_id}"
    # Of two concurrent requests, the second waits for the first and sees its appeal.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    row = (
        await session.execute(
            select(AppealSubmission, Appeal, caller.scope(Appeal.organisation_id).label("visible"))
            .join(Appeal, Appeal.id == AppealSubmission.appeal_id)
            .where(
                AppealSubmission.external_id == submission.external_id,
                AppealSubmission.source == submission.source,
                AppealSubmission.organisation_id.is_not_distinct_from(caller.organisation_id),
            )
        )
    ).one_or_none()
    if row is None:
        return None
    stored, appeal, visible = row
    if stored.fingerprint != submission.fingerprint or contacts.decrypt(stored.contact) != submission.contact:
        raise Invalid.field(
            "/external_id", "Different content was submitted under this id before: use a new `external_id`"
        )
    if not visible:
        raise Duplicate(
            f"This text was already submitted as appeal № {appeal.number}, which you may no longer read",
            appeal_id=str(appeal.id),
            appeal_number=appeal.number,
        )
    return appeal


async def _require_new_text(session: WriteSession, caller: Caller, text: str) -> None:
    text_hash = func.hashtextextended(func.lower(text), 0)
    # Of two concurrent requests, the second waits for the first and sees its appeal.
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
