"""Routes of SLA policies."""

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, RegistryReader, RuleManager
from services.appeals.schemas import sla_policies
from services.appeals.sla import policies
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables.appeals import SlaPolicy

router = APIRouter(tags=["sla"])


@router.get("/sla-policies", responses=problems.responses(*READ_PROBLEMS), summary="SLA policies")
async def list_sla_policies(
    session: ReadTransaction, caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[sla_policies.SlaPolicyOut]:
    """Return SLA policies, latest start first: of each urgency, the first that has started is in effect."""
    rows, cursor = paging.page(
        await policies.list_policies(session, paging), lambda row: (row.valid_from, row.id), response
    )
    return Page(items=[_policy(row) for row in rows], next_cursor=cursor)


@router.post(
    "/sla-policies", status_code=201, responses=problems.responses(*WRITE_PROBLEMS), summary="Add an SLA policy"
)
async def add_sla_policy(
    session: WriteTransaction,
    caller: RuleManager,
    body: sla_policies.SlaPolicyIn,
    once: Once,
) -> sla_policies.SlaPolicyOut:
    """Add a policy. Policies are never edited: one with a later `valid_from` replaces this one for appeals opened
    from then on.
    """

    async def work() -> sla_policies.SlaPolicyOut:
        return _policy(await policies.add_policy(session, body))

    return await once(sla_policies.SlaPolicyOut, work)


def _policy(row: SlaPolicy) -> sla_policies.SlaPolicyOut:
    return sla_policies.SlaPolicyOut(
        **{name: getattr(row, name) for name in sla_policies.SlaPolicyOut.model_fields}
    )
