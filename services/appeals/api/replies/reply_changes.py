"""Routes that change a published reply: edit it, withdraw it."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import WRITE_PROBLEMS, Replier, ReplyWithdrawer
from services.appeals.api.presenters.replies import reply_out
from services.appeals.lifecycle import appeal_queries
from services.appeals.replies import reply_changes
from services.appeals.schemas.replies import replies
from shared.api.preconditions import RequiredVersion, set_etag
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, WriteTransaction

router = APIRouter(tags=["appeals"])

_CHANGE_PROBLEMS = (*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)


@router.post(
    "/appeals/{appeal_id}/replies/{reply_id}/edits",
    status_code=202,
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Edit a published reply",
)
async def edit_reply(
    *,
    session: WriteTransaction,
    caller: Replier,
    appeal_id: UUID,
    reply_id: UUID,
    body: replies.ReplyEditIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> replies.ReplyOut:
    """Replace the text of a published reply in the network, in all its parts. `If-Match` names its version.

    `changes` shows the edit as `queued`, and as `applied` once the network shows the new text; until then `text`
    is the former text. If the network refuses (the reply is too old, or was deleted there), the edit is `failed`
    with the reason. `progress` says how many parts of a long reply have the new text; if the network refuses
    halfway, `text` is what the network then shows, and the same edit may be requested again.

    The text is checked like the text of a new reply. A reply that asks for a mark (`asks_mark`) keeps the request
    with which it was published: it is added to a text that does not end with it. `promised_at` moves the open
    promise of an interim reply (409 if the promise is not open, or another reply is under way), and the text must
    change with it; `attachments` replaces the photos if the network can edit them. Omitted fields and the kind
    stay unchanged.

    If a rule requires approval, only an approver other than the author may edit: otherwise 409. Also 409 if the
    network takes no edits, or while another change is under way, which `change` names. An edit fails if its text
    needs more comments than the reply has.
    """

    async def work() -> replies.ReplyOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        edited = await reply_changes.edit_reply(
            session,
            appeal,
            reply_id,
            caller,
            given=reply_changes.EditOfReply(body.text, body.reason, body.promised_at, body.attachments),
            version=version,
        )
        return await reply_out(session, edited)

    made = await once(replies.ReplyOut, work)
    set_etag(response, made.version)
    return made


@router.post(
    "/appeals/{appeal_id}/replies/{reply_id}/withdrawal",
    status_code=202,
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Withdraw a published reply",
)
async def withdraw_reply(
    *,
    session: WriteTransaction,
    caller: ReplyWithdrawer,
    appeal_id: UUID,
    reply_id: UUID,
    body: replies.ReplyWithdrawalIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> replies.ReplyOut:
    """Delete a published reply in the network, with all its parts. Its text stays here, with the person, time and
    reason.

    The reply is `withdrawn` once the network has deleted it. If it had stopped a clock and no later reply was
    published, the clock continues as if there had been no answer, and the appeal is reopened. Progress, failure
    and 409 are as for an edit.
    """

    async def work() -> replies.ReplyOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        withdrawn = await reply_changes.withdraw_reply(
            session, appeal, reply_id, caller, ground=body.ground, reason=body.reason, version=version
        )
        return await reply_out(session, withdrawn)

    made = await once(replies.ReplyOut, work)
    set_etag(response, made.version)
    return made
