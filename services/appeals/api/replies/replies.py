"""Routes of replies."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.answers import recorded_answers
from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Replier
from services.appeals.api.presenters.replies import replies_out, reply_out
from services.appeals.lifecycle import appeal_queries
from services.appeals.replies import drafts, reply_queries, submission
from services.appeals.replies.new_reply import NewReply
from services.appeals.schemas.replies import replies
from shared.api.preconditions import OptionalVersion, set_etag
from shared.http import problems
from shared.http.problems import Duplicate, NotFound, PreconditionFailed, ReplyBeingWritten, ReplyUnderWay
from shared.personal_data_reads import note_read
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(tags=["appeals"])


@router.post(
    "/appeals/{appeal_id}/replies",
    status_code=201,
    responses=problems.responses(
        *WRITE_PROBLEMS, NotFound, ReplyUnderWay, ReplyBeingWritten, Duplicate, PreconditionFailed
    ),
    summary="Reply to the citizen",
)
async def reply_to_appeal(
    *,
    session: WriteTransaction,
    caller: Replier,
    appeal_id: UUID,
    body: replies.ReplyIn,
    once: Once,
    seen: OptionalVersion,
    response: Response,
) -> replies.ReplyOut:
    """Submit a reply. It is published on behalf of the page, in the thread of the message, exactly once. The reply
    is `queued` first; its `status` follows the publication, and `failure` shows an error. An interim reply gives
    the date of the final one, which is monitored. 409 if the appeal is closed or in triage.

    `attachments` lists photos of your organisation from `POST /attachments`. 422 naming the field, also for a
    draft, if the network does not accept the photos in this thread.

    A text that the checks block (personal data, a forbidden link, an unfilled field of a template) is a 422 that
    says where. If a rule requires approval, the reply is `on_approval` first. With `status: "draft"` only a draft
    is stored: the checks run when it is submitted, and its author gets the edit lease.

    An appeal has one reply under way at a time, drafts included: a second is a 409 (`reply-under-way`) whose
    `reply` names the first by `id`, `author` and `status`. While another person has the edit lease, it is a 409
    (`reply-being-written`). The same final text within 24 hours is a 409 (`duplicate`) that names the first in the
    same way, unless the request has a new `Idempotency-Key`. With `If-Match` the appeal must be in the version
    that you saw: otherwise 412 with its current `version` and its `last_change`.
    """

    async def work() -> replies.ReplyOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        await appeal_queries.check_version(session, appeal, seen.version)
        draft = NewReply(
            body.text,
            body.kind,
            body.promised_at,
            body.message_id,
            body.attachments,
            body.outcome,
            body.ask_mark,
        )
        if body.status == "draft":
            return await reply_out(session, await drafts.create_draft(session, appeal, draft, caller))
        sent = await submission.submit_reply(session, appeal, draft, caller, allow_duplicate=once.has_key)
        return await reply_out(session, sent)

    made = await once(replies.ReplyOut, work)
    set_etag(response, made.version)
    return made


@router.post(
    "/appeals/{appeal_id}/recorded-answers",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, Duplicate, PreconditionFailed),
    summary="Record an answer given outside the networks",
)
async def record_answer(
    *,
    session: WriteTransaction,
    caller: Replier,
    appeal_id: UUID,
    body: replies.RecordedAnswerIn,
    once: Once,
    seen: OptionalVersion,
    response: Response,
) -> replies.ReplyOut:
    """Record an answer given by phone, in person or in writing, for an appeal that has no thread.

    The answer is a published reply with `origin: "recorded"`, and stops the clock at `answered_at` like any other
    reply. 409 if the appeal has a thread: there only a public reply counts. The same text with the same
    `answered_at` is a 409 (`duplicate`), unless the request has a new `Idempotency-Key`.
    """

    async def work() -> replies.ReplyOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        await appeal_queries.check_version(session, appeal, seen.version)
        new = recorded_answers.NewRecordedAnswer(**dict(body))
        recorded = await recorded_answers.record_answer(session, appeal, new, caller, allow_duplicate=once.has_key)
        return await reply_out(session, recorded)

    made = await once(replies.ReplyOut, work)
    set_etag(response, made.version)
    return made


@router.get(
    "/appeals/{appeal_id}/replies",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="List the replies of an appeal",
)
async def list_appeal_replies(session: ReadTransaction, caller: Reader, appeal_id: UUID) -> list[replies.ReplyOut]:
    """Return the replies, oldest first, including those that staff wrote in the network itself, but no discarded
    drafts.
    """
    await appeal_queries.require_visible(session, caller, appeal_id)
    rows = await reply_queries.replies_of(session, appeal_id)
    if rows:
        note_read(session, caller, "appeal", [appeal_id])
    return await replies_out(session, rows)


@router.post(
    "/appeals/{appeal_id}/replies/{reply_id}/retry",
    status_code=202,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, ReplyUnderWay),
    summary="Retry a failed reply",
)
async def retry_reply(
    *,
    session: WriteTransaction,
    caller: Replier,
    appeal_id: UUID,
    reply_id: UUID,
    response: Response,
    body: replies.ReplyRetryIn | None = None,
) -> replies.ReplyOut:
    """Retry a reply whose `status` is `failed`, with a corrected `text` if given.

    When the first parts of a long reply are already published, `text` must begin with them: only the rest is
    changed and sent. The former text stays in the timeline (`reply_corrected`). The reply goes to the message that
    it was written for (`in_reply_to`), even if the citizen has written again since; 409 if that message was moved
    to another appeal. 409 (`reply-under-way`) while another reply is under way. A corrected text is checked like a
    new one, and ends with the request for a mark if the reply has one. If a rule requires approval, only an
    approver other than the author may retry with it.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    retried = await submission.retry_reply(session, appeal, reply_id, caller, body.text if body else None)
    if retried is None:
        raise NotFound("No such reply")
    set_etag(response, retried.version)
    return await reply_out(session, retried)
