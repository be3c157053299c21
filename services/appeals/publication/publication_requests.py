"""Requests to ingest to publish a reply, and their results."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from services.appeals.answers.published_replies import fail_reply, lock_with_appeal
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.replies import handover
from services.appeals.replies.handover import enqueue_publication_request
from services.appeals.replies.reply_attachments import attachments_of, named_for_ingest
from shared import clock
from shared.api.pagination import inline_literal
from shared.database.sessions import WriteSession
from shared.jobs import RetryLater
from shared.service import Service
from shared.service_client import ServiceRejected, ServiceUnavailable
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply
from shared.tables.attachments import Attachment

INGEST_UNAVAILABLE = "ingest_unavailable"
JOB_DEAD_LETTERED = "job_dead_lettered"
REQUEST_AGAIN_AFTER = timedelta(minutes=2)


async def record_accepted(session: WriteSession, reply_id: UUID, publication: dict[str, Any]) -> None:
    """Record that ingest accepted the request.

    Events of the publication may have arrived first; their status takes precedence.
    """
    reply = await session.scalar(select(Reply).where(Reply.id == reply_id).with_for_update())
    if reply is None:
        return
    reply.publication_id = UUID(str(publication["id"]))
    if reply.status == "queued":
        if reply.failure is not None and reply.failure.get("code") == INGEST_UNAVAILABLE:
            reply.failure = None
        if publication.get("status") in {"sending", "uncertain"}:
            reply.status = publication["status"]


async def record_request_failure(
    session: WriteSession, reply_id: UUID, code: str, message: str, *, final: bool
) -> None:
    """Record in the reply that the request failed. With `final` the reply is failed until a person retries it."""
    locked = await lock_with_appeal(session, reply_id)
    if locked is None or locked[1].status not in {"queued", "sending", "uncertain"}:
        return
    appeal, reply = locked
    failure = {"code": code, "message": message, "at": clock.now().isoformat(), "will_retry": not final}
    if not final:
        reply.failure = failure
        return
    recorder = AppealRecorder()
    fail_reply(appeal, reply, failure, recorder)
    await recorder.write(session)


async def record_dead_lettered(session: WriteSession, reply_id: UUID) -> None:
    """Mark the reply as failed because its publication job was dead-lettered; a person may retry it."""
    message = "Отправка не удалась после нескольких попыток: отправьте ответ снова."
    await record_request_failure(session, reply_id, JOB_DEAD_LETTERED, message, final=True)


async def request_unacknowledged_again(session: WriteSession) -> int:
    """Request again the publication of replies that ingest has not accepted for a while; return how many."""
    waiting = list(
        await session.scalars(
            select(Reply)
            .where(
                Reply.status == inline_literal("queued"),
                Reply.publication_id.is_(None),
                Reply.origin == "gospablik",
                Reply.created_at < func.now() - REQUEST_AGAIN_AFTER,
            )
            .limit(100)
        )
    )
    for reply in waiting:
        await enqueue_publication_request(session, reply, dedupe_key=f"again:{reply.id}")
    return len(waiting)


async def on_job_dead_lettered(session: WriteSession, payload: dict[str, Any], _reason: str) -> None:
    """Mark the reply of a dead-lettered job as failed, because its publication will not be requested again."""
    await record_dead_lettered(session, UUID(payload["reply_id"]))


async def send_publication_request(service: Service, reply_id: UUID, *, again: bool) -> None:
    """Request the publication of the reply from ingest, or with `again` a retry of its failed publication, outside
    any transaction.
    """
    async with service.database.write() as session:
        reply = await session.get(Reply, reply_id)
        appeal = await session.get(Appeal, reply.appeal_id) if reply else None
        if reply is None or appeal is None or reply.status != "queued":
            return
        if not again:
            await handover.ensure_target_message(session, reply)
        attached = await attachments_of(session, [reply])
    photos = [attached[found] for found in reply.attachment_ids if found in attached]
    # The organisation of the reply comes first: the appeal may have been transferred since the submission.
    organisation_id = reply.organisation_id or appeal.organisation_id
    path, body, key = _request_body(reply, organisation_id, photos, again=again)
    try:
        publication = await service.client().post(
            "ingest", path, body, on_behalf_of=reply.author, idempotency_key=key
        )
    except ServiceRejected as refused:
        async with service.database.write() as session:
            words = f"Ответ не принят к публикации: {refused.problem.get('detail', refused)}"
            await record_request_failure(session, reply_id, "refused", words, final=True)
    except ServiceUnavailable as unavailable:
        async with service.database.write() as session:
            words = "Служба обмена с сетями не отвечает, отправка повторится сама."
            await record_request_failure(session, reply_id, INGEST_UNAVAILABLE, words, final=False)
        raise RetryLater(timedelta(seconds=10), "ingest does not answer") from unavailable
    else:
        async with service.database.write() as session:
            await record_accepted(session, reply_id, publication)


def _request_body(
    reply: Reply, organisation_id: UUID | None, photos: Sequence[Attachment], *, again: bool
) -> tuple[str, dict[str, Any], str]:
    if again:
        # Each attempt raises the version, so it has its own idempotency key.
        path = f"/internal/publications/{reply.publication_id}/retry"
        return path, {"text": reply.text}, f"{reply.id}:{reply.version}"
    body: dict[str, Any] = {
        "reply_id": str(reply.id),
        "appeal_id": str(reply.appeal_id),
        "message_id": str(reply.in_reply_to),
        "text": reply.text,
        "on_behalf_of": reply.author,
        "organisation_id": str(organisation_id) if organisation_id else None,
    }
    if photos:
        body["attachments"] = [named_for_ingest(photo) for photo in photos]
    return "/internal/publications", body, str(reply.id)
