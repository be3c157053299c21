"""Effects of partners' events on appeals: open one, record the partner's status, record or draft an answer.

No event moves an appeal to another status by itself: a partner that reports `done` or `rejected` closes nothing.
Only an answer that the citizen got changes the status, as an answer recorded by a person does.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from services.appeals.answers import recorded_answers
from services.appeals.answers.recorded_answers import NewRecordedAnswer
from services.appeals.lifecycle import appeal_queries
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.moderation import manual_appeals
from services.appeals.moderation.corrections import Corrections
from services.appeals.moderation.manual_appeals import NewSubmission
from services.appeals.partners.received_events import EventEffect
from services.appeals.replies import drafts, edit_lease
from services.appeals.replies.new_reply import NewReply
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealPartnerStatusChanged
from shared.contracts.values import PartnerStatus
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.tables.appeals import Appeal, AppealSubmission
from shared.tables.appeals_partners import Partner


@dataclass(frozen=True)
class NamedAppeal:
    """An appeal as a partner names it: by the partner's own id or by ours."""

    external_id: str | None
    appeal_id: UUID | None


@dataclass(frozen=True)
class ReportedStatus:
    """The status that a partner reports. `occurred_at`: when the status changed, if the partner says so."""

    status: PartnerStatus
    note: str | None
    occurred_at: datetime | None


async def open_appeal(
    session: WriteSession,
    caller: Caller,
    text: str,
    corrections: Corrections,
    submission: NewSubmission,
    *,
    url: str | None,
) -> EventEffect:
    """Open an appeal, or return the one that was already submitted with this external id and content.

    Raises the errors of `manual_appeals.open_from_text`.
    """
    appeal, is_new = await manual_appeals.open_from_text(session, caller, text, corrections, submission, url=url)
    return EventEffect(appeal.id, opened=is_new)


async def record_status(
    session: WriteSession, partner: Partner, caller: Caller, named: NamedAppeal, reported: ReportedStatus
) -> EventEffect:
    """Add the partner's status to the appeal's timeline and to the feed; the appeal's own status stays.

    Raises `NotFound` for an unknown appeal or one out of the partner's scope, `Conflict` if it was erased.
    """
    appeal = await _lock(session, partner, caller, named)
    recorder = AppealRecorder()
    recorder.add_timeline_entry(
        appeal,
        "partner_status",
        caller.actor,
        partner_status=reported.status,
        note=reported.note,
        occurred_at=reported.occurred_at.isoformat() if reported.occurred_at is not None else None,
    )
    changed = AppealPartnerStatusChanged(
        **event_snapshot(appeal), partner_id=partner.id, partner_status=reported.status
    )
    recorder.add_event(changed, caller.actor)
    await recorder.write(session)
    return EventEffect(appeal.id)


async def record_answer(
    session: WriteSession, partner: Partner, caller: Caller, named: NamedAppeal, new: NewRecordedAnswer
) -> EventEffect:
    """Record an answer to an appeal without a thread, as a person does. If the citizen wrote in a network, the
    text becomes a draft: only a public reply in the thread is an answer, and staff decide about it.

    Raises `NotFound` for an unknown appeal or one out of the partner's scope, and the errors of
    `recorded_answers.record_answer` and `drafts.create_draft`.
    """
    appeal = await _lock(session, partner, caller, named)
    if not await recorded_answers.has_thread(session, appeal):
        reply = await recorded_answers.record_answer(session, appeal, new, caller)
        return EventEffect(appeal.id, reply_id=reply.id)
    proposed = NewReply(new.text, new.kind, new.promised_at, None, (), new.outcome)
    draft = await drafts.create_draft(session, appeal, proposed, caller)
    draft.answered_by = new.answered_by
    # The partner does not go on writing: colleagues may edit the draft at once.
    await edit_lease.release_lease(session, appeal, caller)
    recorder = AppealRecorder()
    recorder.add_timeline_entry(
        appeal,
        "partner_answer_proposed",
        caller.actor,
        reply_id=str(draft.id),
        channel=new.channel,
        answered_at=new.answered_at.isoformat(),
    )
    await recorder.write(session)
    return EventEffect(appeal.id, reply_id=draft.id)


async def _lock(session: WriteSession, partner: Partner, caller: Caller, named: NamedAppeal) -> Appeal:
    appeal_id = named.appeal_id
    if appeal_id is None:
        appeal_id = await session.scalar(
            select(AppealSubmission.appeal_id).where(
                AppealSubmission.external_id == named.external_id,
                AppealSubmission.source == partner.source,
                AppealSubmission.organisation_id.is_not_distinct_from(partner.organisation_id),
            )
        )
        if appeal_id is None:
            raise NotFound("No such appeal: send `appeal.create` with this external_id first")
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    if appeal.erased_at is not None:
        raise Conflict("The personal data of the author was erased, so nothing can be added to the appeal")
    return appeal
