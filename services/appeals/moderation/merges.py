"""Merging an appeal into another one of the same author, and undoing the merge. Both appeals await their first
reply, and the later appeal is merged into the earlier one. So the earlier deadline remains, and one reply to the
author answers both. Appeals of several people about one cause form an incident instead.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from services.appeals.deadline_watch.deadline_changes import due_dates, record_changed_deadline
from services.appeals.lifecycle import appeal_queries, classification_changes, clock_pauses, unread_marks
from services.appeals.lifecycle.timeline import AppealRecorder, TimelineEntryKind, event_snapshot
from services.appeals.lifecycle.workflow import MERGE
from services.appeals.replies import reply_queries, submission
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealMerged, AppealUnmerged
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.ids import new_id
from shared.reply_lock import lock_replies
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Review
from shared.tables.appeals_merges import AppealMerge
from shared.tables.appeals_replies import PENDING_REPLY_STATUSES, VOID_REPLY_STATUSES, Reply
from shared.tables.ingest import Message

# An appeal's id and number.
LinkRow = Row[UUID, int]


async def merge(
    session: WriteSession, caller: Caller, appeal_id: UUID, into_id: UUID, *, reason: str, version: int | None
) -> Appeal:
    """Merge an appeal into another one, which gets its messages; return the merged appeal.

    Raises `NotFound`, `Invalid` naming `/into`, `PreconditionFailed`, `ReplyUnderWay` naming a reply or draft of
    the merged appeal, and `Conflict` if the two cannot be merged.
    """
    if appeal_id == into_id:
        raise Invalid.field("/into", "Choose another appeal: an appeal cannot be merged into itself")
    locked = await _lock_both(session, caller, appeal_id, into_id)
    if appeal_id not in locked:
        raise NotFound("No such appeal")
    if into_id not in locked:
        raise Invalid.field("/into", "No such appeal")
    appeal, into = locked[appeal_id], locked[into_id]
    await appeal_queries.check_version(session, appeal, version)
    await _require_mergeable(session, appeal, into)
    context = await _routing_context(session, appeal, into)
    recorder = AppealRecorder()
    message_ids, question = await _message_ids(session, appeal), await _question(session, appeal)
    # The messages count as received by their new appeal now: neither the author of an earlier reply nor a person
    # who saw a list before knows that they are in it.
    await _move_messages(session, message_ids, into, merged_at=await database_time(session))
    now, merge_id = clock.now(), new_id()
    session.add(
        AppealMerge(
            id=merge_id, appeal_id=appeal.id, into_id=into.id, thread_key=appeal.thread_key,
            author_key=appeal.author_key, message_ids=message_ids, former_status=appeal.status, reason=reason,
            merged_by=caller.actor, merged_at=now,
        )
    )  # fmt: skip
    before = classification_changes.classification_fields(into)
    _keep_earlier_deadline(into, appeal, context, recorder, caller, question=question)
    classification_changes.record_reclassified(recorder, into, before, caller.actor)
    appeal.status, appeal.closed_at, appeal.updated_at, into.updated_at = MERGE.to, now, now, now
    _record(recorder, caller, "merged", appeal, into, reason=reason)
    _record(recorder, caller, "merged_in", into, appeal, reason=reason)
    merged = AppealMerged(**event_snapshot(appeal), into_id=into.id, into_number=into.number)
    _emit_to_both(recorder, merged, appeal, into, caller)
    await recorder.write(session)
    await unread_marks.mark_merged(session, into, caller.actor, merge_id)
    return appeal


async def unmerge(
    session: WriteSession, caller: Caller, appeal_id: UUID, *, reason: str, version: int | None
) -> Appeal:
    """Undo the merge of an appeal: restore its messages and its former status; return the appeal. The messages
    count as received when they were before the merge. The urgency that the other appeal got from the merge stays
    there, and so does a reply that was withdrawn since. Raises `NotFound`, `PreconditionFailed`, and `Conflict` if
    the appeal is not merged, all its messages were split off, a reply was published since, or one is under way or
    answers one of the messages.
    """
    of_appeal = _in_effect(AppealMerge.appeal_id, appeal_id)
    into_id = await session.scalar(select(AppealMerge.into_id).where(*of_appeal))
    locked = await _lock_both(session, caller, appeal_id, into_id or appeal_id)
    if appeal_id not in locked:
        raise NotFound("No such appeal")
    appeal = locked[appeal_id]
    await appeal_queries.check_version(session, appeal, version)
    found = await session.scalar(select(AppealMerge).where(*of_appeal))
    if found is None or found.into_id not in locked:
        raise Conflict("The appeal is not merged into another one")
    into = locked[found.into_id]
    await _require_nothing_published_since(session, appeal, into, found)
    # Messages that were split off since stay in their new appeals.
    message_ids = sorted({*found.message_ids}.intersection(await _message_ids(session, into)))
    if not message_ids:
        raise Conflict("All messages of the merged appeal were split off since, so the merge cannot be undone")
    await _move_messages(session, message_ids, appeal, merged_at=None)
    context, recorder, now = await _routing_context(session, appeal, into), AppealRecorder(), clock.now()
    found.undone_by, found.undone_at = caller.actor, now
    await unread_marks.unmark_merged(session, into.id, found.id)
    appeal.status, appeal.closed_at, appeal.updated_at, into.updated_at = found.former_status, None, now, now
    clocks.follow_appeal(appeal, context.sla, caller.actor)
    _record(recorder, caller, "unmerged", appeal, into, reason=reason)
    _record(recorder, caller, "unmerged", into, appeal, reason=reason)
    unmerged = AppealUnmerged(**event_snapshot(appeal), from_id=into.id, from_number=into.number)
    _emit_to_both(recorder, unmerged, appeal, into, caller)
    # The former assignee may work in another organisation by now.
    recorder.queue_assignee_choice(appeal)
    await recorder.write(session)
    return appeal


# Built once: building the statement takes longer than executing it.
_LINKS = select(Appeal.id, Appeal.number).where(AppealMerge.undone_at.is_(None))
_MERGED_INTO = _LINKS.join(AppealMerge, AppealMerge.into_id == Appeal.id).where(
    AppealMerge.appeal_id == bindparam("appeal_id")
)
_MERGED = (
    _LINKS.join(AppealMerge, AppealMerge.appeal_id == Appeal.id)
    .where(AppealMerge.into_id == bindparam("appeal_id"))
    .order_by(Appeal.number)
)


async def merged_into(session: AsyncSession, appeal: Appeal) -> LinkRow | None:
    """Return the appeal that this one was merged into, or None."""
    if appeal.status != MERGE.to:
        return None
    return (await session.execute(_MERGED_INTO, {"appeal_id": appeal.id})).one_or_none()


async def merged_appeals(session: AsyncSession, appeal_id: UUID) -> Sequence[LinkRow]:
    """Return the appeals that were merged into this one, ordered by number."""
    return (await session.execute(_MERGED, {"appeal_id": appeal_id})).all()


def _in_effect(column: InstrumentedAttribute[UUID], appeal_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions of merges in effect (not undone) whose `column` is this appeal."""
    return column == appeal_id, AppealMerge.undone_at.is_(None)


async def _lock_both(session: WriteSession, caller: Caller, *appeal_ids: UUID) -> dict[UUID, Appeal]:
    """Lock those of the two appeals that the caller may see, in id order to avoid deadlocks; return them by id."""
    rows = await session.scalars(
        select(Appeal)
        .where(Appeal.id.in_(appeal_ids), caller.scope(Appeal.organisation_id))
        .order_by(Appeal.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {appeal.id: appeal for appeal in rows}


async def _require_mergeable(session: WriteSession, appeal: Appeal, into: Appeal) -> None:
    """Raise `Conflict` with the reason if the two appeals cannot be merged."""
    for one, what in ((appeal, "appeal"), (into, "appeal to merge into")):
        if one.status not in MERGE.statuses or one.first_response_at is not None:
            raise Conflict(
                f"The {what} is «{one.status}»: only appeals that await their first reply can be merged"
            )
    if appeal.author_key is None or appeal.thread_key is None or appeal.author_key != into.author_key:
        raise Conflict(
            "Only appeals of the same author in a network can be merged; join other appeals in an incident"
        )
    if (into.opened_at, into.number) > (appeal.opened_at, appeal.number):
        raise Conflict("The other appeal was received later: merge the other appeal into this one")
    if await session.scalar(select(AppealMerge.id).where(*_in_effect(AppealMerge.into_id, appeal.id)).limit(1)):
        raise Conflict("Other appeals were merged into this one: undo these merges first")
    if appeal.possible_other_matters:
        raise Conflict("A message of the appeal may be about another matter: decide about this message first")
    await submission.require_none_under_way(session, appeal)
    await lock_replies(session, into.id)
    submitted = ("on_approval", *PENDING_REPLY_STATUSES)
    unseen = await session.scalar(
        select(Reply.id)
        .where(Reply.appeal_id == into.id, or_(Reply.status.in_(submitted), reply_queries.is_resumed()))
        .limit(1)
    )
    if unseen is not None:
        raise Conflict(
            "A reply to the other appeal was already submitted, and its author has not seen this appeal",
            reply_id=str(unseen),
        )


def _keep_earlier_deadline(
    into: Appeal,
    merged: Appeal,
    context: RoutingContext,
    recorder: AppealRecorder,
    caller: Caller,
    *,
    question: UUID | None,
) -> None:
    """Make `into` urgent with the shorter deadline if `merged` is urgent, and keep the earlier start. If `into` is
    paused and `merged` is not, the `question` of `merged`, a message, resumes the clocks of `into`. The clocks of
    `merged` do not change, like those of a closed appeal.
    """
    if merged.urgency == "high" != into.urgency:
        why = f"Срочным было присоединённое обращение № {merged.number}"
        classification_changes.raise_urgency(into, context.sla, recorder, caller.actor, why=why)
    why = f"Присоединено обращение № {merged.number}: его вопрос ждёт ответа"
    if clocks.end_pause_by_question(into, merged, context.sla, caller.actor, message_id=question, reason=why):
        clock_pauses.record_resumed(into, context.sla, recorder, caller.actor, why)
    before = due_dates(into)
    clocks.keep_earlier_start(into, merged, context.sla, caller.actor)
    record_changed_deadline(recorder, into, before, context.sla, caller.actor)


async def _require_nothing_published_since(
    session: WriteSession, appeal: Appeal, into: Appeal, found: AppealMerge
) -> None:
    await lock_replies(session, appeal.id, into.id)
    # Replies of the merged appeal count too: ingest may still publish a failed reply when it retries.
    of_either = Reply.appeal_id.in_((appeal.id, into.id))
    # A withdrawn reply does not count as an answer, neither for clocks nor for promises.
    since = (Reply.published_at > found.merged_at) & (Reply.status != "withdrawn")
    under_way = or_(Reply.status.in_(PENDING_REPLY_STATUSES), reply_queries.is_resumed())
    # Drafts count too: they answer a message that would leave the appeal.
    answers_moved = Reply.in_reply_to.in_(found.message_ids) & Reply.status.not_in(VOID_REPLY_STATUSES)
    reply_id = await session.scalar(
        select(Reply.id).where(of_either, or_(since, under_way, answers_moved)).limit(1)
    )
    if reply_id is not None or any(one.first_response_at is not None for one in (appeal, into)):
        raise Conflict(
            "The merge cannot be undone: since then a reply was published, or a reply is being published or "
            "answers a message that would leave the appeal",
            reply_id=str(reply_id) if reply_id else None,
        )


async def _routing_context(session: WriteSession, *appeals: Appeal) -> RoutingContext:
    pages = {appeal.page_id for appeal in appeals if appeal.page_id is not None}
    organisations = {appeal.organisation_id for appeal in appeals if appeal.organisation_id is not None}
    return await RoutingContext.load(session, pages, organisations)


async def _message_ids(session: WriteSession, appeal: Appeal) -> list[UUID]:
    rows = await session.scalars(
        select(AppealMessage.message_id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(AppealMessage.message_id)
    )
    return list(rows)


async def _question(session: WriteSession, appeal: Appeal) -> UUID | None:
    """Return the id of the message that opened the appeal."""
    found: UUID | None = await session.scalar(
        select(Message.id)
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(Message.received_at != appeal.opened_at, Message.received_at, Message.id)
        .limit(1)
    )
    return found


async def _move_messages(
    session: WriteSession, message_ids: Sequence[UUID], to: Appeal, *, merged_at: datetime | None
) -> None:
    """Move the messages to an appeal, and their reviews to its organisation if it has one. `merged_at`: the
    database's time if a merge brings them.
    """
    await session.execute(
        update(AppealMessage)
        .where(AppealMessage.message_id.in_(message_ids))
        .values(appeal_id=to.id, merged_at=merged_at)
        .execution_options(synchronize_session=False)
    )
    if to.organisation_id is None:
        return
    for review in await session.scalars(select(Review).where(Review.message_id.in_(message_ids))):
        review.organisation_id = to.organisation_id


def _record(
    recorder: AppealRecorder,
    caller: Caller,
    kind: TimelineEntryKind,
    appeal: Appeal,
    other: Appeal,
    *,
    reason: str,
) -> None:
    recorder.add_timeline_entry(
        appeal,
        kind,
        caller.actor,
        appeal_id=str(other.id),
        number=other.number,
        status=appeal.status,
        reason=reason,
    )


def _emit_to_both(
    recorder: AppealRecorder, data: AppealMerged | AppealUnmerged, appeal: Appeal, into: Appeal, caller: Caller
) -> None:
    recorder.add_event(data, caller.actor)
    if into.organisation_id not in {None, appeal.organisation_id}:
        recorder.add_event(data, caller.actor, recipient_organisation_id=into.organisation_id)
