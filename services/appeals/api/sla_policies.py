"""Routes of SLA policies."""

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import READ, WRITE, Anyone, Keeper
from services.appeals.schemas import sla_policies
from services.appeals.sla import policies
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.service import Reading, Writing
from shared.tables.appeals import AppealsIdempotency, SlaPolicy

router = APIRouter(tags=["rules"])


@router.get("/sla-policies", responses=problems.responses(*READ), summary="SLA policies")
async def list_policies(
    session: Reading, caller: Anyone, paging: PagingDep, response: Response
) -> Page[sla_policies.PolicyOut]:
    """Policies, those that begin last first: of each urgency the first that has begun is in force."""
    rows, cursor = paging.page(
        await policies.policies(session, paging), lambda row: (row.valid_from, row.id), response
    )
    return Page(items=[_policy(row) for row in rows], next_cursor=cursor)


@router.post("/sla-policies", status_code=201, responses=problems.responses(*WRITE), summary="Add an SLA policy")
async def add_policy(
    session: Writing, caller: Keeper, body: sla_policies.PolicyIn, key: IdempotencyDep, response: Response
) -> sla_policies.PolicyOut:
    """A policy is never edited: one with a later `valid_from` takes its place for cases opened from then on."""

    async def work() -> sla_policies.PolicyOut:
        return _policy(await policies.add_policy(session, body))

    return await once(
        session,
        AppealsIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=sla_policies.PolicyOut,
        work=work,
    )


def _policy(row: SlaPolicy) -> sla_policies.PolicyOut:
    return sla_policies.PolicyOut(**{name: getattr(row, name) for name in sla_policies.PolicyOut.model_fields})
