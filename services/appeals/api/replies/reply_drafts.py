"""Routes of drafts: edit lease, checks, saving, versions, submission."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Replier
from services.appeals.api.presenters.replies import hints_out, lease_out, reply_out, versions_out
from services.appeals.lifecycle import appeal_queries
from services.appeals.replies import check_context, drafts, edit_lease, reply_queries, reply_versions
from services.appeals.replies.new_reply import NewReply
from services.appeals.schemas.replies import replies
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.http import problems
from shared.http.problems import Duplicate, NotFound, PreconditionFailed, PreconditionRequired, ReplyBeingWritten
from shared.personal_data_reads import note_read
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(prefix="/appeals/{appeal_id}", tags=["appeals"])

_CHANGE_PROBLEMS = (*WRITE_PROBLEMS, NotFound, ReplyBeingWritten, PreconditionFailed, PreconditionRequired)


@router.get(
    "/reply-lease", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get the edit lease of a reply"
)
async def get_reply_lease(session: ReadTransaction, caller: Reader, appeal_id: UUID) -> replies.ReplyLeaseOut:
    """Return who is writing the reply to the appeal, and until when the lease lasts. 404 if nobody is writing
    one.
    """
    await appeal_queries.require_visible(session, caller, appeal_id)
    lease = await edit_lease.current_lease(session, appeal_id)
    if lease is None:
        raise NotFound("Nobody is writing a reply to this appeal")
    return lease_out(lease)


@router.put(
    "/reply-lease",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, ReplyBeingWritten),
    summary="Take or renew the edit lease of a reply",
)
async def take_reply_lease(
    session: WriteTransaction, caller: Replier, appeal_id: UUID, body: replies.ReplyLeaseIn | None = None
) -> replies.ReplyLeaseOut:
    """Take the edit lease: only its holder writes the reply. It lasts a short time, and each saved draft renews
    it.

    409 (`reply-being-written`) while another person has the lease, with their name. With `take_over` a moderator
    or a manager gets the lease; the timeline records it.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    lease = await edit_lease.take_lease(
        session, appeal, caller, take_over=body.take_over if body is not None else False
    )
    return lease_out(lease)


@router.delete(
    "/reply-lease",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Release the edit lease of a reply",
)
async def release_reply_lease(session: WriteTransaction, caller: Replier, appeal_id: UUID) -> None:
    """End your own lease, so that a colleague can write at once. Another person's lease stays."""
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await edit_lease.release_lease(session, appeal, caller)


@router.post(
    "/replies/check", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Check the text of a reply"
)
async def check_reply_text(
    session: ReadTransaction, caller: Replier, appeal_id: UUID, body: replies.ReplyDraftIn
) -> replies.ReplyHints:
    """Return hints for a text while it is written; nothing is stored. Only `blocking` hints prevent
    publication.
    """
    appeal = await appeal_queries.get_visible(session, caller, appeal_id)
    message = await reply_queries.find_target_message(session, appeal, body.message_id)
    given = NewReply(body.text, body.kind, body.promised_at, body.message_id, (), body.outcome)
    return hints_out(await check_context.hints_for(session, appeal, given, message))


@router.put(
    "/replies/{reply_id}",
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Save a draft",
)
async def save_reply_draft(
    *,
    session: WriteTransaction,
    caller: Replier,
    appeal_id: UUID,
    reply_id: UUID,
    body: replies.ReplyDraftIn,
    version: RequiredVersion,
    response: Response,
) -> replies.ReplyOut:
    """Save the current content of the draft, and renew the edit lease. `If-Match` names the version that you
    edited: a 412 names the current version, and nothing is overwritten. Saving the same content again changes
    nothing.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    given = NewReply(
        body.text,
        body.kind,
        body.promised_at,
        body.message_id,
        body.attachments,
        body.outcome,
        body.ask_mark,
    )
    saved = await drafts.save_draft(session, appeal, reply_id, given, caller, version=version)
    set_etag(response, saved.version)
    return await reply_out(session, saved)


@router.delete(
    "/replies/{reply_id}",
    status_code=204,
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Discard a draft",
)
async def discard_reply_draft(
    session: WriteTransaction, caller: Replier, appeal_id: UUID, reply_id: UUID, version: RequiredVersion
) -> None:
    """Discard a draft, or a reply on approval. Its versions can still be read."""
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await drafts.discard_draft(session, appeal, reply_id, version, caller)


@router.get(
    "/replies/{reply_id}/versions",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="List the versions of a reply",
)
async def list_reply_versions(
    *,
    session: ReadTransaction,
    caller: Reader,
    appeal_id: UUID,
    reply_id: UUID,
    paging: PagingDep,
    response: Response,
) -> Page[replies.ReplyVersionOut]:
    """Return the saved versions of the reply, newest first, also of a discarded draft. Saves of one person within
    a minute are one version.
    """
    await appeal_queries.require_visible(session, caller, appeal_id)
    await reply_queries.require_reply(session, appeal_id, reply_id)
    rows, cursor = paging.page(
        await reply_versions.list_versions(session, reply_id, paging), lambda row: (row.number,), response
    )
    if rows:
        note_read(session, caller, "appeal", [appeal_id])
    return Page(items=await versions_out(session, rows), next_cursor=cursor)


@router.post(
    "/replies/{reply_id}/submit",
    responses=problems.responses(*_CHANGE_PROBLEMS, Duplicate),
    summary="Submit a draft",
)
async def submit_reply_draft(
    *,
    session: WriteTransaction,
    caller: Replier,
    appeal_id: UUID,
    reply_id: UUID,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> replies.ReplyOut:
    """Submit the draft in the version that you saw; you become its author. It is `queued` for publication, or
    `on_approval` if a rule requires it.

    A text that the checks block is a 422 that says where. The results of the checks are stored with the version.
    """

    async def work() -> replies.ReplyOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        submitted = await drafts.submit_draft(
            session, appeal, reply_id, version, caller, allow_duplicate=once.has_key
        )
        return await reply_out(session, submitted)

    made = await once(replies.ReplyOut, work)
    set_etag(response, made.version)
    return made
