"""Routes of SLA policies and routing rules."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals import rules
from services.appeals.api.appeals import READ, WRITE
from services.appeals.api.presenters import rule_sets as rule_views
from services.appeals.routing import rule_sets
from services.appeals.schemas import appeals
from services.appeals.schemas import rule_sets as rule_schemas
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import Duplicate, NotFound
from shared.service import Reading, Writing
from shared.tables.appeals import AppealsIdempotency, SlaPolicy

router = APIRouter(tags=["rules"])

Anyone = Annotated[Caller, allowed(Right.REGISTRY_READ)]
Keeper = Annotated[Caller, allowed(Right.RULES_MANAGE)]


@router.get("/sla-policies", responses=problems.responses(*READ), summary="SLA policies")
async def list_policies(
    session: Reading, caller: Anyone, paging: PagingDep, response: Response
) -> Page[appeals.PolicyOut]:
    """Policies, those that begin last first: of each urgency the first that has begun is in force."""
    rows, cursor = paging.page(
        await rules.policies(session, paging), lambda row: (row.valid_from, row.id), response
    )
    return Page(items=[_policy(row) for row in rows], next_cursor=cursor)


@router.post("/sla-policies", status_code=201, responses=problems.responses(*WRITE), summary="Add an SLA policy")
async def add_policy(
    session: Writing, caller: Keeper, body: appeals.PolicyIn, key: IdempotencyDep, response: Response
) -> appeals.PolicyOut:
    """A policy is never edited: one with a later `valid_from` takes its place for cases opened from then on."""

    async def work() -> appeals.PolicyOut:
        return _policy(await rules.add_policy(session, body))

    return await once(
        session,
        AppealsIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=appeals.PolicyOut,
        work=work,
    )


@router.get("/routing-rules", responses=problems.responses(*READ), summary="Routing rules")
async def list_rules(
    session: Reading, caller: Anyone, paging: PagingDep, response: Response
) -> Page[rule_schemas.RuleOut]:
    """Those of the set in force, newest first. The most specific that fits wins; else the set's default."""
    rows, cursor = paging.page(await rules.rules(session, paging), lambda row: (row.created_at, row.id), response)
    return Page(items=await rule_views.rules(session, rows), next_cursor=cursor)


@router.post(
    "/routing-rules",
    status_code=201,
    responses=problems.responses(*WRITE, Duplicate),
    summary="Add a routing rule",
)
async def add_rule(
    session: Writing, caller: Keeper, body: rule_schemas.RuleIn, key: IdempotencyDep, response: Response
) -> rule_schemas.RuleOut:
    """Makes the next rule set from the one in force, in force at once. Cases opened from now on follow it, and
    those without an owner are tried again; others stay where they are.
    """

    async def work() -> rule_schemas.RuleOut:
        (made,) = await rule_views.rules(session, [await rules.add_rule(session, body.rule(), caller.actor)])
        return made

    return await once(
        session,
        AppealsIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=rule_schemas.RuleOut,
        work=work,
    )


@router.delete(
    "/routing-rules/{rule_id}",
    status_code=204,
    responses=problems.responses(*WRITE, NotFound),
    summary="Retire a routing rule",
)
async def retire_rule(session: Writing, caller: Keeper, rule_id: UUID) -> None:
    """Makes the next rule set without it, in force at once; the rule may be named by its id in an earlier set.
    Cases that it routed keep its id.
    """
    await rule_sets.retire_rule(session, rule_id, caller.actor)


def _policy(row: SlaPolicy) -> appeals.PolicyOut:
    return appeals.PolicyOut(**{name: getattr(row, name) for name in appeals.PolicyOut.model_fields})
