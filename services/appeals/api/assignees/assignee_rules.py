"""Routes of assignee rules."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, AssigneeManager, Reader
from services.appeals.api.presenters.assignees import rules_out
from services.appeals.assignees import assignee_rules
from services.appeals.assignees.assignee_rules import AssigneeRuleFilter
from services.appeals.schemas.assignees import assignees
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import Duplicate, NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(prefix="/assignee-rules", tags=["assignees"])


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List assignee rules")
async def list_assignee_rules(
    session: ReadTransaction,
    caller: Reader,
    filters: Annotated[AssigneeRuleFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[assignees.AssigneeRuleOut]:
    """Return the rules that choose who works on an organisation's appeals, newest first. The rule of the topic
    applies, else the rule of its topic group, else the rule without a topic.
    """
    rows, cursor = paging.page(
        await assignee_rules.list_rules(session, caller, filters, paging),
        lambda row: (row[0].created_at, row[0].id),
        response,
    )
    return Page(items=await rules_out(session, rows), next_cursor=cursor)


@router.post(
    "",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, Duplicate) | with_headers(201, "Location"),
    summary="Create an assignee rule",
)
async def create_assignee_rule(
    session: WriteTransaction,
    caller: AssigneeManager,
    body: assignees.AssigneeRuleIn,
    once: Once,
    response: Response,
) -> assignees.AssigneeRuleOut:
    """Let people take turns at the organisation's appeals, or only at appeals of one topic. The rule applies to
    appeals that the organisation gets from now on. Absent people are skipped, or their substitute takes the turn.
    """

    async def work() -> assignees.AssigneeRuleOut:
        made = await assignee_rules.create_rule(
            session, caller, body.organisation_id, body.topic_id, body.person_ids
        )
        (shown,) = await rules_out(session, [await assignee_rules.get_rule(session, caller, made.id)])
        return shown

    made = await once(assignees.AssigneeRuleOut, work)
    response.headers["Location"] = f"/api/v1/assignee-rules/{made.id}"
    set_etag(response, made.version)
    return made


@router.get("/{rule_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get an assignee rule")
async def get_assignee_rule(
    session: ReadTransaction, caller: Reader, rule_id: UUID, response: Response
) -> assignees.AssigneeRuleOut:
    """Return the rule. Send the ETag as `If-Match`."""
    (shown,) = await rules_out(session, [await assignee_rules.get_rule(session, caller, rule_id)])
    set_etag(response, shown.version)
    return shown


@router.patch(
    "/{rule_id}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Change the people of an assignee rule",
)
async def change_assignee_rule(
    *,
    session: WriteTransaction,
    caller: AssigneeManager,
    rule_id: UUID,
    body: assignees.AssigneeRuleUpdate,
    version: RequiredVersion,
    response: Response,
) -> assignees.AssigneeRuleOut:
    """Replace the people of the rule. Turns continue after the person who had the last turn; if that person is no
    longer in the rule, they start with the first one.
    """
    await assignee_rules.change_people(session, caller, rule_id, version, body.person_ids)
    (shown,) = await rules_out(session, [await assignee_rules.get_rule(session, caller, rule_id)])
    set_etag(response, shown.version)
    return shown


@router.delete(
    "/{rule_id}",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Delete an assignee rule",
)
async def delete_assignee_rule(session: WriteTransaction, caller: AssigneeManager, rule_id: UUID) -> None:
    """Delete the rule. Appeals keep their assignees."""
    await assignee_rules.delete_rule(session, caller, rule_id)
