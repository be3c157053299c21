"""Routes of answers."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals import appeals, replies, schemas
from services.appeals.api.appeals import READ, WRITE, Reader
from shared import problems
from shared.access import Caller, Right, allowed
from shared.idempotency import IdempotencyDep, once
from shared.problems import NotFound
from shared.service import Reading, Writing
from shared.tables.events import AppealsIdempotency

router = APIRouter(tags=["appeals"])

Answerer = Annotated[Caller, allowed(Right.APPEALS_ANSWER)]


@router.post(
    "/appeals/{appeal_id}/replies",
    status_code=201,
    responses=problems.responses(*WRITE, NotFound),
    summary="Answer the citizen",
)
async def answer(
    *,
    session: Writing,
    caller: Answerer,
    appeal_id: UUID,
    body: schemas.ReplyIn,
    key: IdempotencyDep,
    response: Response,
) -> schemas.ReplyOut:
    """The answer is published as the community, in the thread of the message, exactly once.

    It is `queued` first; its `status` follows the publication, and a failure shows in `failure`. An interim answer
    promises a moment, which is watched. A case that is over or not yet decided takes none: 409.
    """

    async def work() -> schemas.ReplyOut:
        appeal = await appeals.lock(session, caller, appeal_id)
        draft = replies.Draft(body.text, body.kind, body.promised_at, body.message_id)
        return appeals.reply(await replies.queue(session, appeal, draft, caller))

    return await once(
        session,
        AppealsIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=schemas.ReplyOut,
        work=work,
    )


@router.get(
    "/appeals/{appeal_id}/replies", responses=problems.responses(*READ, NotFound), summary="Answers of a case"
)
async def list_replies(session: Reading, caller: Reader, appeal_id: UUID) -> list[schemas.ReplyOut]:
    """All answers, oldest first, those written by hand in the network included."""
    await appeals.require(session, caller, appeal_id)
    return [appeals.reply(found) for found in await replies.of_appeal(session, appeal_id)]


@router.post(
    "/appeals/{appeal_id}/replies/{reply_id}/retry",
    status_code=202,
    responses=problems.responses(*WRITE, NotFound),
    summary="Try a failed answer again",
)
async def retry(
    session: Writing,
    caller: Answerer,
    appeal_id: UUID,
    reply_id: UUID,
    body: schemas.RetryIn | None = None,
) -> schemas.ReplyOut:
    """Only an answer whose `status` is `failed` can be tried again, in corrected words if `text` gives them.

    When the first parts of a long answer stand in the network already, `text` has to begin with their words: only
    what follows is changed and sent. The former words stay in the timeline (`reply_corrected`).
    """
    appeal = await appeals.lock(session, caller, appeal_id)
    found = await replies.retry(session, appeal, reply_id, caller, body.text if body else None)
    if found is None:
        raise NotFound("No such answer")
    return appeals.reply(found)
