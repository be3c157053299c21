"""Submission of replies: validation, storing, and the request to publish."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.inbound.thread_context import select_messages
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import FINAL_STATUSES, allowed_moves
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import ReplyQueued
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, FieldError, Invalid, ReplyUnderWay
from shared.ids import new_id
from shared.tables.appeals import (
    PENDING_REPLY_STATUSES,
    Appeal,
    AppealMessage,
    Classification,
    Reply,
    TimelineEntry,
)
from shared.tables.ingest import Message, Publication

# The limit of ingest, which splits texts longer than the network's own limit.
MAX_REPLY_LENGTH = 20_000
# Within this time the same final text is refused, unless the request carries an `Idempotency-Key` of its own.
# Equal to the lifetime of idempotency keys.
DUPLICATE_TEXT_WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class NewReply:
    """A reply as its author wrote it."""

    text: str
    kind: str
    promised_at: datetime | None
    message_id: UUID | None


async def submit_reply(
    session: WriteSession, appeal: Appeal, draft: NewReply, caller: Caller, *, allow_duplicate: bool = False
) -> Reply:
    """Store the reply and request its publication; `appeal` is locked.

    `allow_duplicate`: the caller repeats an equal final text on purpose. Raises `Conflict` when the appeal takes
    no reply now, `ReplyUnderWay` and `Duplicate` naming the first reply, `Invalid` naming the wrong field.
    """
    if appeal.status in FINAL_STATUSES or appeal.status == "triage":
        raise Conflict(
            f"An appeal in status «{appeal.status}» cannot be replied to",
            allowed_moves=allowed_moves(appeal.status, caller.role),
        )
    return await create_reply(session, appeal, draft, caller.actor, repeats=allow_duplicate)


async def create_reply(
    session: WriteSession,
    appeal: Appeal,
    draft: NewReply,
    author: str,
    *,
    incident_reply_id: UUID | None = None,
    repeats: bool = False,
) -> Reply:
    """As `submit_reply`, for a locked appeal that is known to take a reply; writes nothing when it raises."""
    message = await target_message(session, appeal, draft.message_id)
    check_promise(draft)
    await _require_none_under_way(session, appeal)
    if draft.kind == "final" and not repeats:
        await _require_new_text(session, appeal, draft.text)
    # The database's clock, under the lock of the appeal: other machines and messages are compared with this value.
    now = await session.scalar(select(func.clock_timestamp()))
    reply = Reply(
        id=new_id(), appeal_id=appeal.id, origin="gospablik", kind=draft.kind, text=draft.text, status="queued",
        author=author, promised_at=draft.promised_at, publication_id=None, in_reply_to=message.id, message_id=None,
        url=None, published_at=None, failure=None, version=1, created_at=now, updated_at=clock.now(),
        incident_reply_id=incident_reply_id, submitted_at=now,
    )  # fmt: skip
    session.add(reply)
    if appeal.status in {"assigned", "reopened"}:
        appeal.status = "in_progress"
    appeal.reply_failed = None
    appeal.updated_at = clock.now()
    await session.flush()
    recorder = AppealRecorder()
    recorder.add_timeline_entry(
        appeal,
        "reply_queued",
        author,
        reply_id=str(reply.id),
        reply_kind=reply.kind,
        message_id=str(message.id),
    )
    recorder.add_event(ReplyQueued(**event_snapshot(appeal), reply_id=reply.id), author)
    await recorder.write(session)
    await enqueue_publication_request(session, reply)
    return reply


async def enqueue_publication_request(
    session: WriteSession, reply: Reply, *, dedupe_key: str | None = None
) -> None:
    """Enqueue the job that asks ingest to publish the reply to the message that was chosen when it was made."""
    await ensure_target_message(session, reply)
    await jobs.queue.enqueue(
        session,
        jobs.REQUEST_PUBLICATION,
        {"reply_id": str(reply.id), "message_id": str(reply.in_reply_to)},
        dedupe_key=dedupe_key,
    )


async def ensure_target_message(session: WriteSession, reply: Reply) -> None:
    """Set the message that a reply of an older version answers; that version stored it in the timeline only.

    Without a timeline entry it is chosen as for a new reply: one such row must not stop the schedule for all.
    """
    if reply.in_reply_to is not None:
        return
    entries = await session.scalars(
        select(TimelineEntry.data).where(
            TimelineEntry.appeal_id == reply.appeal_id, TimelineEntry.kind == "reply_queued"
        )
    )
    message_ids = [
        data["message_id"] for data in entries if data["reply_id"] == str(reply.id) and "message_id" in data
    ]
    if message_ids:
        reply.in_reply_to = UUID(message_ids[0])
    else:
        reply.in_reply_to = (await target_message(session, await session.get_one(Appeal, reply.appeal_id))).id


async def _require_none_under_way(session: AsyncSession, appeal: Appeal) -> None:
    """Raise `ReplyUnderWay` while another reply to the locked appeal is under way.

    A failed reply is under way again when ingest restarted its publication.
    """
    resumed = exists().where(
        Publication.reply_id == Reply.id, Publication.status.in_(("queued", "sending", "uncertain"))
    )
    first = await session.scalar(
        select(Reply)
        .where(
            Reply.appeal_id == appeal.id,
            or_(Reply.status.in_(PENDING_REPLY_STATUSES), (Reply.status == "failed") & resumed),
        )
        .order_by(Reply.created_at, Reply.id)
        .limit(1)
    )
    if first is not None:
        status = first.status if first.status in PENDING_REPLY_STATUSES else "queued"
        raise ReplyUnderWay(
            f"A reply to this appeal is under way («{status}»): wait until it is published or has failed",
            reply=_named(first) | {"status": status},
        )


async def _require_new_text(session: AsyncSession, appeal: Appeal, text: str) -> None:
    """Raise `Duplicate` when the same final text was sent to the citizen recently, by the database's clock."""
    earlier = await session.scalars(
        select(Reply)
        .where(
            Reply.appeal_id == appeal.id,
            Reply.origin == "gospablik",
            Reply.kind == "final",
            Reply.created_at > func.now() - DUPLICATE_TEXT_WINDOW,
        )
        .order_by(Reply.created_at, Reply.id)
    )
    first = next((reply for reply in earlier if without_whitespace(reply.text) == without_whitespace(text)), None)
    if first is None:
        return
    what = "has failed: retry it" if first.status == "failed" else "was already sent"
    raise Duplicate(
        f"A reply with this text {what}. To send it once more on purpose, give an Idempotency-Key of its own",
        reply=_named(first),
    )


def _named(reply: Reply) -> dict[str, Any]:
    return {
        "id": str(reply.id),
        "author": reply.author,
        "status": reply.status,
        "kind": reply.kind,
        "created_at": reply.created_at.isoformat(),
    }


def check_promise(draft: NewReply) -> None:
    """Raise `Invalid` naming the field when kind and promise do not fit together."""
    errors = []
    if draft.kind == "interim" and draft.promised_at is None:
        errors.append(
            FieldError(pointer="/promised_at", detail="An interim reply must name when the final one will come")
        )
    if draft.kind == "final" and draft.promised_at is not None:
        errors.append(FieldError(pointer="/promised_at", detail="Only an interim reply has a promised date"))
    if draft.promised_at is not None and draft.promised_at <= clock.now():
        errors.append(FieldError(pointer="/promised_at", detail="The promised date is in the past"))
    if errors:
        names = ", ".join(dict.fromkeys(error.pointer for error in errors))
        raise Invalid(f"Invalid: {names}", errors=errors)


async def target_message(session: AsyncSession, appeal: Appeal, wanted: UUID | None = None) -> Message:
    """Return the message that a reply answers: the given one, else the latest that needs an answer, else the
    latest.

    Deleted messages come last.
    """
    query = (
        select_messages()
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .outerjoin(Classification, Classification.message_id == Message.id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(
            Message.deleted_at.is_not(None),
            func.coalesce(Classification.needs_answer, "no") == "no",
            Message.written_at.desc(),
            Message.id.desc(),
        )
        .limit(1)
    )
    if wanted is not None:
        query = query.where(Message.id == wanted)
    message = await session.scalar(query)
    if message is None and wanted is not None:
        raise Invalid.field("/message_id", "No such message in this appeal")
    if message is None:
        raise Conflict("The appeal has no message in a network, so there is no thread to publish a reply in")
    return message


async def replies_of(session: AsyncSession, appeal_id: UUID) -> Sequence[Reply]:
    """Return the replies of an appeal, oldest first."""
    return list(
        await session.scalars(
            select(Reply).where(Reply.appeal_id == appeal_id).order_by(Reply.created_at, Reply.id)
        )
    )


async def retry_reply(
    session: WriteSession, appeal: Appeal, reply_id: UUID, caller: Caller, text: str | None = None
) -> Reply | None:
    """Retry a failed reply, with the corrected `text` if given; None when the appeal has no such reply.

    Raises `Conflict` unless it failed, `Invalid` when parts of it are published and `text` does not continue them.
    The former text stays in the timeline.
    """
    reply = await session.scalar(
        select(Reply).where(Reply.id == reply_id, Reply.appeal_id == appeal.id).with_for_update()
    )
    if reply is None:
        return None
    if reply.status != "failed":
        raise Conflict(f"Only a failed reply can be retried; this one is «{reply.status}»")
    await _require_none_under_way(session, appeal)
    recorder = AppealRecorder()
    if text is not None and text != reply.text:
        await _check_correction(session, reply, text)
        recorder.add_timeline_entry(
            appeal, "reply_corrected", caller.actor, reply_id=str(reply.id), former=reply.text
        )
        reply.text = text
    reply.status, reply.failure = "queued", None
    reply.version += 1
    reply.submitted_at = await session.scalar(select(func.clock_timestamp()))
    reply.updated_at = clock.now()
    appeal.reply_failed = None
    await session.flush()
    recorder.add_timeline_entry(appeal, "reply_queued", caller.actor, reply_id=str(reply.id), again=True)
    recorder.add_event(ReplyQueued(**event_snapshot(appeal), reply_id=reply.id), caller.actor)
    await recorder.write(session)
    if reply.publication_id is None:
        await enqueue_publication_request(session, reply)
    else:
        await jobs.queue.enqueue(session, jobs.RETRY_PUBLICATION, {"reply_id": str(reply.id)})
    return reply


async def _check_correction(session: AsyncSession, reply: Reply, text: str) -> None:
    """Raise `Invalid` unless the text continues the parts that are already published: those cannot be changed."""
    parts = await session.scalars(
        select(Publication.text)
        .where(Publication.reply_id == reply.id, Publication.status == "published")
        .order_by(Publication.part)
    )
    standing = without_whitespace("".join(parts))
    if not without_whitespace(text).startswith(standing):
        detail = "A part of the reply is already published: the corrected text must begin with it"
        raise Invalid.field("/text", detail)
    if standing == without_whitespace(text):
        raise Invalid.field("/text", "All of this text is already published")


def without_whitespace(text: str) -> str:
    """Return the text without white space, to compare texts by."""
    # Networks and the splitting of long replies change white space.
    return "".join(text.split())
