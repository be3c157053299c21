"""Routes of routing rules."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, RegistryReader, RuleManager
from services.appeals.api.presenters import rule_sets as presenters
from services.appeals.routing import rule_sets
from services.appeals.schemas.routing import rule_sets as schemas
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.http.problems import Duplicate, NotFound
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(tags=["routing"])


@router.get("/routing-rules", responses=problems.responses(*READ_PROBLEMS), summary="List routing rules")
async def list_routing_rules(
    session: ReadTransaction, caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[schemas.RuleOut]:
    """Return the rules of the active set, newest first. The most specific matching rule applies; without one, the
    set's default.
    """
    rows, cursor = paging.page(
        await rule_sets.list_active_rules(session, paging), lambda row: (row.created_at, row.id), response
    )
    return Page(items=await presenters.rules_out(session, rows), next_cursor=cursor)


@router.post(
    "/routing-rules",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS, Duplicate),
    summary="Add a routing rule",
)
async def add_routing_rule(
    session: WriteTransaction, caller: RuleManager, body: schemas.RuleIn, once: Once
) -> schemas.RuleOut:
    """Create the next rule set from the active one, with this rule, and activate it. It applies to appeals opened
    from now on and to unassigned appeals; assigned appeals stay.
    """

    async def work() -> schemas.RuleOut:
        (made,) = await presenters.rules_out(
            session, [await rule_sets.add_checked_rule(session, body.rule(), caller.actor)]
        )
        return made

    return await once(schemas.RuleOut, work)


@router.delete(
    "/routing-rules/{rule_id}",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Retire a routing rule",
)
async def retire_routing_rule(session: WriteTransaction, caller: RuleManager, rule_id: UUID) -> None:
    """Create the next rule set from the active one, without this rule, and activate it. The rule may be named by
    its id in an earlier set. Appeals that it routed keep its id.
    """
    await rule_sets.retire_rule(session, rule_id, caller.actor)
