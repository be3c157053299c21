"""Edits and withdrawals of published replies: requests to ingest, and their results."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from services.appeals.answers.published_replies import lock_with_appeal
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.promises.promise_lifecycle import move_promise
from services.appeals.publication import public_text
from services.appeals.publication.withdrawn_answers import take_answer_back
from services.appeals.replies.reply_attachments import named_for_ingest
from services.appeals.replies.reply_changes import enqueue_change
from services.appeals.replies.reply_queries import is_latest_published
from services.appeals.replies.reply_versions import record_edit
from services.appeals.sla import clocks
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.api.pagination import inline_literal
from shared.contracts.appeal_events import ReplyChangeFailed, ReplyEdited, ReplyWithdrawn
from shared.contracts.ingest_events import PublicationChangeFailed, PublicationChangeResult, PublicationEdited
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.jobs import RetryLater
from shared.service import Service
from shared.service_client import ServiceRejected, ServiceUnavailable
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.attachments import Attachment
from shared.tables.common import Event
from shared.tables.ingest import PublicationChange

REQUEST_AGAIN_AFTER = timedelta(minutes=2)
_REFUSED = "Изменение не принято: "
_TOO_LONG = (
    "текст не помещается в комментарии или сообщения, из которых состоит ответ, а новое сеть добавит только в "
    "конец ветки. Сократите текст или удалите ответ и напишите новый."
)
_DEAD_LETTERED = "Изменение не удалось после нескольких попыток: проверьте текст в сети и повторите."


async def send_change_request(service: Service, change_id: UUID) -> None:
    """Request the change from ingest, outside any transaction. Raises `RetryLater` if it does not answer."""
    async with service.database.write() as session:
        change = await session.get(ReplyChange, change_id)
        reply = await session.get(Reply, change.reply_id) if change is not None else None
        wanted = (change.attachment_ids if change is not None else None) or ()
        attached = [await session.get_one(Attachment, attachment_id) for attachment_id in wanted]
    if change is None or reply is None or change.status != "queued" or change.accepted_at is not None:
        return
    body: dict[str, Any] = {"id": str(change.id), "text": change.text, "on_behalf_of": change.requested_by}
    if change.attachment_ids is not None:
        body["attachments"] = [named_for_ingest(photo) for photo in attached]
    try:
        await service.client().post(
            "ingest",
            f"/internal/publications/{reply.publication_id}/changes",
            body,
            on_behalf_of=change.requested_by,
            idempotency_key=str(change.id),
        )
    except ServiceRejected as refused:
        pointers = [error.get("pointer") for error in refused.problem.get("errors", ())]
        why = _TOO_LONG if "/text" in pointers else refused.problem.get("detail", str(refused))
        async with service.database.write() as session:
            await fail_change(session, change_id, {"code": "refused", "message": f"{_REFUSED}{why}"})
    except ServiceUnavailable as unavailable:
        raise RetryLater(timedelta(seconds=10), "ingest does not answer") from unavailable
    else:
        async with service.database.write() as session:
            row = await session.get(ReplyChange, change_id, with_for_update=True)
            if row is not None:
                row.accepted_at = await database_time(session)


async def request_unacknowledged_again(session: WriteSession) -> None:
    """Enqueue again the changes that ingest has not accepted for a while, because their jobs may be lost."""
    waiting = await session.scalars(
        select(ReplyChange.id)
        .where(
            ReplyChange.status == inline_literal("queued"),
            ReplyChange.accepted_at.is_(None),
            ReplyChange.requested_at < func.now() - REQUEST_AGAIN_AFTER,
        )
        .limit(100)
    )
    for change_id in waiting.all():
        await enqueue_change(session, change_id, dedupe_key=f"change-again:{change_id}")


async def on_job_dead_lettered(session: WriteSession, payload: dict[str, Any], _reason: str) -> None:
    """Mark the change of a dead-lettered job as failed; a person may request it again."""
    failure = {"code": "job_dead_lettered", "message": _DEAD_LETTERED}
    await fail_change(session, UUID(payload["change_id"]), failure)


async def fail_change(session: WriteSession, change_id: UUID, failure: dict[str, Any]) -> None:
    """Record that a queued change failed."""
    reply_id = await session.scalar(select(ReplyChange.reply_id).where(ReplyChange.id == change_id))
    locked = await lock_with_appeal(session, reply_id) if reply_id is not None else None
    change = await _lock(session, change_id)
    if locked is None or change is None or change.status != "queued":
        return
    recorder = AppealRecorder()
    _fail(*locked, change, failure, at=clock.now(), recorder=recorder)
    await recorder.write(session)


async def apply_result(session: WriteSession, event: Event, data: PublicationChangeResult) -> None:
    """Apply the result of a change that ingest reports. Idempotent."""
    locked = await lock_with_appeal(session, data.reply_id)
    change = await _lock(session, data.change_id)
    if locked is None or change is None or change.status == "applied":
        return
    appeal, reply = locked
    recorder = AppealRecorder()
    if isinstance(data, PublicationChangeFailed):
        if change.status == "failed":
            return
        failure = {"code": data.failure.code, "message": data.failure.message}
        if change.kind == "edit":
            await _store_public_text(session, appeal, reply, change)
        _fail(appeal, reply, change, failure, at=event.occurred_at, recorder=recorder)
    else:
        change.status, change.ended_at, change.failure = "applied", event.occurred_at, None
        reply.version += 1
        reply.updated_at = appeal.updated_at = clock.now()
        if isinstance(data, PublicationEdited):
            await _edit(session, appeal, reply, change, recorder)
        else:
            await _withdraw(session, appeal, reply, change, recorder)
    await recorder.write(session)


async def _lock(session: WriteSession, change_id: UUID) -> ReplyChange | None:
    return await session.scalar(
        select(ReplyChange)
        .where(ReplyChange.id == change_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def _edit(
    session: WriteSession, appeal: Appeal, reply: Reply, change: ReplyChange, recorder: AppealRecorder
) -> None:
    reply.text = change.text or reply.text
    if change.attachment_ids is not None:
        reply.attachment_ids = change.attachment_ids
    if change.promised_at is not None:
        reply.promised_at = change.promised_at
    await record_edit(session, reply, change)
    recorder.add_timeline_entry(
        appeal,
        "reply_edited",
        change.requested_by,
        reply_id=str(reply.id),
        change_id=str(change.id),
        former=change.former_text,
        reason=change.reason,
    )
    if change.promised_at is not None:
        await _move_promise(session, appeal, reply, change, recorder)
    edited = ReplyEdited(**event_snapshot(appeal), reply_id=reply.id, change_id=change.id, kind=reply.kind)
    recorder.add_event(edited, change.requested_by)


async def _move_promise(
    session: WriteSession, appeal: Appeal, reply: Reply, change: ReplyChange, recorder: AppealRecorder
) -> None:
    """Move the appeal's promise to the new date, unless a later reply ended it meanwhile. The appeal may have left
    `interim`: the citizen still waits for that date, unless they wrote again.
    """
    if not await is_latest_published(session, reply):
        return
    if appeal.promised_at is not None and appeal.promised_at == change.former_promised_at:
        # A breach is recorded once per promise: clear the record for the new promise.
        appeal.overdue_recorded_at = None
        sla = await SlaContext.load(session, {appeal.organisation_id}, selects_policies=False)
        clocks.set_promise(appeal, change.promised_at, sla)
    await move_promise(session, appeal, reply, change, recorder)


async def _store_public_text(session: WriteSession, appeal: Appeal, reply: Reply, change: ReplyChange) -> None:
    """Set the reply's text to what is public after an edit failed halfway: new parts beside former parts. Not in
    an erased appeal, because ingest erases its rows of the reply only after the change.
    """
    if appeal.erased_at is not None:
        return
    begun = await session.scalar(select(PublicationChange.parts_done > 0).where(PublicationChange.id == change.id))
    parts = await public_text.public_parts(session, reply.id)
    if not begun or not parts:
        return
    reply.text = public_text.joined_text(parts)
    if change.attachment_ids is not None:
        reply.attachment_ids = [UUID(photo["id"]) for photo in parts[0].attachments]
    await record_edit(session, reply, change)


async def _withdraw(
    session: WriteSession, appeal: Appeal, reply: Reply, change: ReplyChange, recorder: AppealRecorder
) -> None:
    reply.status = "withdrawn"
    recorder.add_timeline_entry(
        appeal,
        "reply_withdrawn",
        change.requested_by,
        reply_id=str(reply.id),
        change_id=str(change.id),
        ground=change.ground,
        reason=change.reason,
    )
    await session.flush()
    await take_answer_back(session, appeal, reply, change, recorder)
    withdrawn = ReplyWithdrawn(
        **event_snapshot(appeal), reply_id=reply.id, change_id=change.id, kind=reply.kind, ground=change.ground
    )
    recorder.add_event(withdrawn, change.requested_by)


def _fail(
    appeal: Appeal,
    reply: Reply,
    change: ReplyChange,
    failure: dict[str, Any],
    *,
    at: datetime,
    recorder: AppealRecorder,
) -> None:
    change.status, change.ended_at, change.failure = "failed", at, failure
    reply.version += 1
    reply.updated_at = appeal.updated_at = clock.now()
    recorder.add_timeline_entry(
        appeal,
        "reply_change_failed",
        reply_id=str(reply.id),
        change_id=str(change.id),
        change=change.kind,
        failure=failure,
    )
    failed = ReplyChangeFailed(
        **event_snapshot(appeal),
        reply_id=reply.id,
        change_id=change.id,
        kind=reply.kind,
        change=change.kind,
        code=failure["code"],
        reason=failure["message"],
        failed_at=at,
    )
    recorder.add_event(failed)
