"""Promises: the dates given in published interim replies. Each promise ends as kept, moved or broken.

A promise is kept by a final reply published by its date, moved by another interim reply published by its date or
by an edit with a different date, and broken when its date passes, which makes the appeal overdue. The time of
publication decides: a promise that was recorded as broken before the publication became known is corrected.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from services.appeals.lifecycle.timeline import AppealRecorder, TimelineEntryKind, event_snapshot
from shared.contracts.appeal_events import (
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseMoved,
    PromiseSnapshot,
)
from shared.contracts.values import PromiseStatus
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Promise, Reply, ReplyChange
from shared.tables.ingest import Publication

_RECORDS: dict[str, tuple[TimelineEntryKind, type[PromiseSnapshot]]] = {
    "open": ("promise_made", PromiseMade),
    "kept": ("promise_kept", PromiseKept),
    "moved": ("promise_moved", PromiseMoved),
    "broken": ("promise_broken", PromiseBroken),
}


def promise_status(promised_at: datetime, reply_kind: str, published_at: datetime) -> PromiseStatus:
    """Return the status in which a reply published at this moment ends an open promise."""
    if published_at > promised_at:
        return "broken"
    return "kept" if reply_kind == "final" else "moved"


async def apply_reply_to_promises(
    session: WriteSession, appeal: Appeal, reply: Reply, recorder: AppealRecorder
) -> None:
    """Apply a published reply to the promises of its locked appeal: end the earlier ones, open the reply's own.

    A reply does not end the promises of replies published after it. It does end a promise of an earlier reply that
    was moved by an edit, even if the edit came later: the editor did not know of this reply yet.
    """
    published_at = reply.published_at
    if published_at is None:
        raise ValueError(f"Reply {reply.id} is not published")
    promises = await session.scalars(
        select(Promise)
        .join(Reply, Reply.id == Promise.reply_id)
        .where(
            Promise.appeal_id == appeal.id,
            Reply.published_at <= published_at,
            Promise.final_reply_at.is_(None),
        )
        .order_by(Promise.made_at, Promise.id)
    )
    for promise in promises:
        if promise.reply_id == reply.id:
            continue
        if reply.kind == "final":
            promise.final_reply_at = published_at
        # A moved promise has ended; a promise recorded as broken may still turn out to be kept.
        if promise.status in {"open", "broken"}:
            status = promise_status(promise.promised_at, reply.kind, published_at)
            if status != promise.status:
                promise.status = status
                promise.ended_at = promise.promised_at if status == "broken" else published_at
                record_status(promise, appeal, reply.author, recorder)
    if reply.kind == "interim" and reply.promised_at is not None:
        organisation_id = await _organisation_of_reply(session, appeal, reply)
        promise = _promise(organisation_id, reply, reply.promised_at, published_at)
        session.add(promise)
        record_status(promise, appeal, reply.author, recorder)


async def move_promise(
    session: WriteSession, appeal: Appeal, reply: Reply, change: ReplyChange, recorder: AppealRecorder
) -> None:
    """Move the last promise of an edited reply: it ends as moved, or as broken if its date had passed before the
    edit. Its organisation makes a promise with the new date, even if the appeal has been transferred since.
    Nothing changes if a later reply has ended it.
    """
    if change.promised_at is None or change.ended_at is None:
        raise ValueError(f"Reply change {change.id} has no promised date, or has not ended")
    last = await session.scalar(
        select(Promise).where(Promise.reply_id == reply.id).order_by(Promise.made_at.desc()).limit(1)
    )
    if last is None or last.status not in {"open", "broken"} or last.final_reply_at is not None:
        return
    # A promise recorded as broken may still turn out to have been moved in time.
    status = promise_status(last.promised_at, reply.kind, change.ended_at)
    if status != last.status:
        last.status = status
        last.ended_at = last.promised_at if status == "broken" else change.ended_at
        record_status(last, appeal, change.requested_by, recorder)
    promise = _promise(last.organisation_id, reply, change.promised_at, change.ended_at)
    session.add(promise)
    record_status(promise, appeal, change.requested_by, recorder)


async def _organisation_of_reply(session: WriteSession, appeal: Appeal, reply: Reply) -> UUID | None:
    """Return the organisation that made the reply: the appeal may have been transferred while the reply was
    queued. A recorded answer has no publication and is published when it is made.
    """
    publications = await session.scalars(
        select(Publication.organisation_id).where(Publication.reply_id == reply.id, Publication.part == 0)
    )
    return next(iter(publications), appeal.organisation_id)


def _promise(organisation_id: UUID | None, reply: Reply, promised_at: datetime, made_at: datetime) -> Promise:
    return Promise(
        id=new_id(),
        appeal_id=reply.appeal_id,
        organisation_id=organisation_id,
        reply_id=reply.id,
        promised_at=promised_at,
        made_at=made_at,
        status="open",
    )


async def reopen_promises(session: WriteSession, appeal: Appeal, published_at: datetime) -> None:
    """Reopen the promises that a withdrawn reply, published at this moment, kept or moved. A promise made by the
    withdrawn reply itself stays in the ledger.
    """
    await session.execute(
        update(Promise)
        .where(
            Promise.appeal_id == appeal.id,
            Promise.status.in_(("kept", "moved")),
            Promise.ended_at == published_at,
        )
        .values(status="open", ended_at=None)
        .execution_options(synchronize_session="fetch")
    )
    await session.execute(
        update(Promise)
        .where(Promise.appeal_id == appeal.id, Promise.final_reply_at == published_at)
        .values(final_reply_at=None)
        .execution_options(synchronize_session="fetch")
    )


def record_status(promise: Promise, appeal: Appeal, actor: str, recorder: AppealRecorder) -> None:
    """Record the new status of the promise, with a timeline entry and an event."""
    kind, event_model = _RECORDS[promise.status]
    recorder.add_timeline_entry(
        appeal, kind, actor, promise_id=str(promise.id), promised_at=promise.promised_at.isoformat()
    )
    event = event_model(**event_snapshot(appeal), promise_id=promise.id, promised_at=promise.promised_at)
    recorder.add_event(event, actor)
