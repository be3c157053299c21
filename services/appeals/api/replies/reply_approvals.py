"""Routes of reply approval: list waiting replies, approve, refuse, and the rules that require approval."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import (
    READ_PROBLEMS,
    WRITE_PROBLEMS,
    RegistryReader,
    ReplyApprover,
    RuleManager,
)
from services.appeals.api.presenters.replies import approval_rule_out, masked_reply, replies_out, reply_out
from services.appeals.lifecycle import appeal_queries
from services.appeals.replies import approval, approval_rules
from services.appeals.schemas.replies import replies
from services.appeals.schemas.replies.approval_rules import ApprovalRuleIn, ApprovalRuleOut
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import Duplicate, NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(tags=["approval"])

_DECISION_PROBLEMS = (*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)


@router.get(
    "/reply-approvals", responses=problems.responses(*READ_PROBLEMS), summary="List replies that wait for approval"
)
async def list_reply_approvals(
    session: ReadTransaction, caller: ReplyApprover, paging: PagingDep, response: Response
) -> Page[replies.WaitingReply]:
    """Return the replies that wait for an approver of your organisation, oldest first.

    Personal data is masked in `text` and in the names of photos; the appeal shows them in full.
    """
    rows, cursor = paging.page(
        await approval.list_waiting(session, caller, paging),
        lambda row: (row[0].submitted_at, row[0].id),
        response,
    )
    shown = await replies_out(session, [reply for reply, _ in rows])
    items = [
        replies.WaitingReply(
            appeal_id=reply.appeal_id,
            appeal_number=number,
            reply=masked_reply(out),
        )
        for (reply, number), out in zip(rows, shown, strict=True)
    ]
    return Page(items=items, next_cursor=cursor)


@router.post(
    "/appeals/{appeal_id}/replies/{reply_id}/approve",
    responses=problems.responses(*_DECISION_PROBLEMS),
    summary="Approve a reply",
)
async def approve_reply(
    *,
    session: WriteTransaction,
    caller: ReplyApprover,
    appeal_id: UUID,
    reply_id: UUID,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> replies.ReplyOut:
    """Approve the reply in the version that you saw; its publication begins. 403 for the author of the reply."""

    async def work() -> replies.ReplyOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        return await reply_out(session, await approval.approve(session, appeal, reply_id, version, caller))

    made = await once(replies.ReplyOut, work)
    set_etag(response, made.version)
    return made


@router.post(
    "/appeals/{appeal_id}/replies/{reply_id}/refuse",
    responses=problems.responses(*_DECISION_PROBLEMS),
    summary="Refuse a reply",
)
async def refuse_reply(
    *,
    session: WriteTransaction,
    caller: ReplyApprover,
    appeal_id: UUID,
    reply_id: UUID,
    body: replies.ReplyRefusalIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> replies.ReplyOut:
    """Refuse the reply with remarks; it becomes a draft again and shows the remarks. 403 for the author of the
    reply.
    """

    async def work() -> replies.ReplyOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        refused = await approval.refuse(session, appeal, reply_id, body.remarks, caller, version=version)
        return await reply_out(session, refused)

    made = await once(replies.ReplyOut, work)
    set_etag(response, made.version)
    return made


@router.get("/approval-rules", responses=problems.responses(*READ_PROBLEMS), summary="List approval rules")
async def list_approval_rules(
    session: ReadTransaction, caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[ApprovalRuleOut]:
    """Return the rules by which replies need approval, newest first. A reply needs approval if at least one rule
    matches.
    """
    rows, cursor = paging.page(
        await approval_rules.list_rules(session, paging), lambda row: (row[0].created_at, row[0].id), response
    )
    return Page(items=[approval_rule_out(row) for row in rows], next_cursor=cursor)


@router.post(
    "/approval-rules",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, Duplicate) | with_headers(201, "Location"),
    summary="Add an approval rule",
)
async def add_approval_rule(
    session: WriteTransaction, caller: RuleManager, body: ApprovalRuleIn, once: Once, response: Response
) -> ApprovalRuleOut:
    """Add a rule for replies that are submitted from now on. Rules are not edited: remove one and add another."""

    async def work() -> ApprovalRuleOut:
        rule = await approval_rules.add_rule(session, caller.actor, **body.model_dump())
        return approval_rule_out(await approval_rules.get_rule(session, rule.id))

    made = await once(ApprovalRuleOut, work)
    response.headers["Location"] = f"/api/v1/approval-rules/{made.id}"
    return made


@router.get(
    "/approval-rules/{rule_id}",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Get an approval rule",
)
async def get_approval_rule(session: ReadTransaction, caller: RegistryReader, rule_id: UUID) -> ApprovalRuleOut:
    """Return the rule."""
    return approval_rule_out(await approval_rules.get_rule(session, rule_id))


@router.delete(
    "/approval-rules/{rule_id}",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Remove an approval rule",
)
async def remove_approval_rule(session: WriteTransaction, caller: RuleManager, rule_id: UUID) -> None:
    """Remove the rule. Replies that are already on approval still need an approval."""
    await approval_rules.remove_rule(session, rule_id)
