"""Routes of triage: people's decisions about messages and appeals."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import WRITE_PROBLEMS, Moderator, Worker
from services.appeals.api.presenters import classifications
from services.appeals.api.presenters.appeals import appeal_detail
from services.appeals.lifecycle import appeal_queries
from services.appeals.moderation import decision_undo, decisions, matter_decisions, merges
from services.appeals.schemas.appeals import appeals
from services.appeals.schemas.classification.classifications import ClassificationIn, TriageIn, TriageResult
from shared.api.preconditions import OptionalVersion, RequiredVersion, set_etag
from shared.api.response_headers import declared, with_headers
from shared.database.sessions import retry_on_deadlock
from shared.http import problems
from shared.http.problems import (
    DecidedByAnother,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    ReplyUnderWay,
    Unavailable,
)
from shared.service import Once, WriteTransaction

router = APIRouter()


@router.post(
    "/messages/{message_id}/triage",
    tags=["messages"],
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, DecidedByAnother, PreconditionFailed, Unavailable)
    | with_headers(200, "ETag"),
    summary="Confirm or correct the classification of a message",
)
async def triage_message(
    *,
    session: WriteTransaction,
    caller: Moderator,
    message_id: UUID,
    body: TriageIn,
    seen: OptionalVersion,
    response: Response,
) -> TriageResult:
    """Confirm or correct the classification of a message and its appeal: need, topic, location, urgency and
    organisation. `{"needs_answer": true, "confirm": true}` confirms everything.

    `needs_answer: true` opens an appeal, joins the author's appeal about the same matter, starts the clock of an
    appeal in triage, or reopens an appeal whose answer does not answer the message (409 if it is closed). A
    corrected topic or location reroutes an appeal that nobody has started and no person has assigned.
    `needs_answer: false` closes an appeal that nobody has started, unless another of its messages needs an answer.
    If the message reopened its appeal, the appeal awaits the next message that needs an answer, or is answered
    again. The decision takes precedence over the rules.

    `If-Match` names the `version` of the classification that you saw (`classification.version`, 0 if there is
    none): a 412 contains the current version and the `decision` made meanwhile. Without `If-Match`, a decision
    that contradicts another person's, or that confirms what they changed, is a 409 (`decided-by-another`) naming
    that decision; a decision that only adds to it is accepted. If the message was classified during the request,
    the response is a 409 too: read it again. `appeal_version` checks the appeal likewise, since a colleague may
    have moved it: a 412 contains its `version` and its `last_change`.
    """
    corrections, needs_answer = body.corrections(), body.needs_answer
    decided = await retry_on_deadlock(
        session,
        lambda: decisions.decide_message(
            session,
            caller,
            message_id,
            corrections,
            needs_answer=needs_answer,
            seen=seen,
            appeal_version=body.appeal_version,
        ),
    )
    set_etag(response, decided.classification.version)
    return await classifications.triage_result(session, decided)


@router.post(
    "/appeals/{appeal_id}/triage",
    tags=["appeals"],
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, DecidedByAnother, PreconditionFailed),
    summary="Decide about an appeal without messages",
)
async def triage_appeal(
    *,
    session: WriteTransaction,
    caller: Moderator,
    appeal_id: UUID,
    body: ClassificationIn,
    seen: OptionalVersion,
    response: Response,
) -> appeals.AppealOut:
    """Classify an appeal that was opened manually from a text. 409 if the appeal has messages of a citizen: decide
    on a message instead; `message_id` of the problem names the first. As with messages, a corrected topic or
    location reroutes an appeal that nobody has started and no person has assigned. With `If-Match` the appeal must
    be in the version that you saw: otherwise 412 with its `version` and `last_change`. Without `If-Match`, values
    set by another person are not replaced: 409 (`decided-by-another`) names their `decision`.
    """
    corrections = body.corrections()

    async def decide() -> None:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        await appeal_queries.check_version(session, appeal, seen.version)
        await decisions.triage_appeal(session, caller, appeal, corrections, seen=seen)

    await retry_on_deadlock(session, decide)
    detail = await appeal_detail(session, caller, appeal_id)
    set_etag(response, detail.version)
    return detail


@router.post(
    "/appeals/{appeal_id}/undo",
    tags=["appeals"],
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)
    | with_headers(200, "ETag"),
    summary="Undo your last decision about an appeal",
)
async def undo_decision(
    *, session: WriteTransaction, caller: Worker, appeal_id: UUID, version: RequiredVersion, response: Response
) -> appeals.AppealOut:
    """Restore the status, organisation, assignee, topic, location and urgency that the appeal had before your last
    decision, and the former classification and review of the message that you decided on.

    Triage decisions about a message or an appeal, and moves to `assigned`, `closed` and `not_required`, can be
    undone for 15 minutes, while the appeal has not changed since and no reply is under way. Otherwise, or if the
    last decision is another person's, the response is a 409: decide again, or move the appeal. An appeal that was
    in `triage` after a reply does not return to `triage`. Clocks that the decision started continue, because the
    citizen is waiting; nothing is overdue in `triage`. Returns the appeal; its timeline has the decision and the
    undo, and `appeal.moved` has the reason «Решение отменено».
    """

    async def undo() -> None:
        await decision_undo.undo_decision(session, caller, appeal_id, version=version)

    await retry_on_deadlock(session, undo)
    detail = await appeal_detail(session, caller, appeal_id)
    set_etag(response, detail.version)
    return detail


@router.post(
    "/appeals/{appeal_id}/matter-decisions",
    tags=["appeals"],
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)
    | with_headers(201, "Location", "ETag")
    | {
        200: {
            "model": appeals.AppealOut,
            "description": "The message stays",
            "headers": declared("Location", "ETag"),
        }
    },
    summary="Decide whether a message is about another matter",
)
async def decide_matter(
    *,
    session: WriteTransaction,
    caller: Moderator,
    appeal_id: UUID,
    body: appeals.MatterDecisionIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> appeals.AppealOut:
    """Decide whether a message is about another matter than its appeal. `split_off` moves it to a new appeal
    (201), which the rules route and whose clock counts from the message; `keep` leaves it (200). Returns the
    appeal that the message then belongs to.

    409 for the message that opened the appeal, and for a message that has a reply: they cannot be split off.
    """

    async def work() -> appeals.AppealOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        await appeal_queries.check_version(session, appeal, version)
        found = appeal
        if body.decision == "keep":
            await matter_decisions.keep(session, caller, appeal, body.message_id)
        else:
            found = await matter_decisions.split_off(
                session, caller.actor, appeal, body.message_id, reason=body.reason
            )
        await session.flush()
        return await appeal_detail(session, caller, found.id)

    response.status_code = 200 if body.decision == "keep" else 201
    decided = await once(appeals.AppealOut, lambda: retry_on_deadlock(session, work))
    response.headers["Location"] = f"/api/v1/appeals/{decided.id}"
    set_etag(response, decided.version)
    return decided


@router.post(
    "/appeals/{appeal_id}/merge",
    tags=["appeals"],
    responses=problems.responses(
        *WRITE_PROBLEMS, NotFound, ReplyUnderWay, PreconditionFailed, PreconditionRequired
    )
    | with_headers(200, "ETag"),
    summary="Merge an appeal into another one",
)
async def merge_appeal(
    *,
    session: WriteTransaction,
    caller: Moderator,
    appeal_id: UUID,
    body: appeals.MergeIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> appeals.AppealOut:
    """Merge the appeal into an earlier one of the same author, while both await their first reply. Its messages,
    and later messages about its matter, go to the earlier appeal (`merged_into`), whose deadline stays, or becomes
    that of an urgent appeal if the merged appeal is urgent. Returns the merged appeal. 409 (`reply-under-way`) if
    the merged appeal has a reply or a draft, which is named.
    """

    async def work() -> appeals.AppealOut:
        await merges.merge(session, caller, appeal_id, body.into, reason=body.reason, version=version)
        return await appeal_detail(session, caller, appeal_id)

    merged = await once(appeals.AppealOut, lambda: retry_on_deadlock(session, work))
    set_etag(response, merged.version)
    return merged


@router.post(
    "/appeals/{appeal_id}/unmerge",
    tags=["appeals"],
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)
    | with_headers(200, "ETag"),
    summary="Undo the merge of an appeal",
)
async def unmerge_appeal(
    *,
    session: WriteTransaction,
    caller: Moderator,
    appeal_id: UUID,
    body: appeals.UnmergeIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> appeals.AppealOut:
    """Return the messages and the former status to the merged appeal. 409 if a reply was published since the
    merge, or is under way. The urgency that the other appeal got from it stays. Returns the appeal.
    """

    async def work() -> appeals.AppealOut:
        await merges.unmerge(session, caller, appeal_id, reason=body.reason, version=version)
        return await appeal_detail(session, caller, appeal_id)

    found = await once(appeals.AppealOut, lambda: retry_on_deadlock(session, work))
    set_etag(response, found.version)
    return found
