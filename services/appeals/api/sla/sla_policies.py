"""Routes of SLA policies."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, RegistryReader, RuleManager
from services.appeals.schemas.sla import sla_policies
from services.appeals.sla import policies
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables.appeals_sla import SlaPolicy

router = APIRouter(prefix="/sla-policies", tags=["sla"])


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List SLA policies")
async def list_sla_policies(
    session: ReadTransaction,
    caller: RegistryReader,
    filters: Annotated[policies.SlaPolicyFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[sla_policies.SlaPolicyOut]:
    """Return versions of SLA policies, latest start first. `in_effect_at` returns only the versions in effect at
    that moment.
    """
    rows, cursor = paging.page(
        await policies.list_policies(session, filters, paging), lambda row: (row.valid_from, row.id), response
    )
    return Page(items=[_policy(row) for row in rows], next_cursor=cursor)


@router.post(
    "",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS) | with_headers(201, "Location"),
    summary="Add an SLA policy",
)
async def add_sla_policy(
    session: WriteTransaction,
    caller: RuleManager,
    body: sla_policies.SlaPolicyIn,
    once: Once,
    response: Response,
) -> sla_policies.SlaPolicyOut:
    """Add a policy for the appeals that its conditions describe. Of the matching policies in effect when a message
    was received, the one with the most conditions applies; among equals the one with an urgency, then one with a
    topic before one with a group, then the latest `valid_from`.
    """

    async def work() -> sla_policies.SlaPolicyOut:
        return _policy(
            await policies.add_policy(session, _row(body), valid_from=body.valid_from, actor=caller.actor)
        )

    added = await once(sla_policies.SlaPolicyOut, work)
    response.headers["Location"] = f"/api/v1/sla-policies/{added.policy_key}"
    set_etag(response, added.version)
    return added


@router.get("/{policy_key}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get an SLA policy")
async def get_sla_policy(
    session: ReadTransaction, caller: RegistryReader, policy_key: UUID, response: Response
) -> sla_policies.SlaPolicyOut:
    """Return the latest version of the policy. Send the ETag as `If-Match`."""
    found = await policies.latest_version(session, policy_key)
    set_etag(response, found.version)
    return _policy(found)


@router.put(
    "/{policy_key}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="Change an SLA policy",
)
async def change_sla_policy(
    *,
    session: WriteTransaction,
    caller: RuleManager,
    policy_key: UUID,
    body: sla_policies.SlaPolicyIn,
    version: RequiredVersion,
    response: Response,
) -> sla_policies.SlaPolicyOut:
    """Give the policy a new version from now or from `valid_from`; it replaces the version in effect then and
    those planned for later. Earlier versions stay, and clocks started under them keep them. 409 if some appeals
    would have no policy.
    """
    changed = await policies.change_policy(
        session, policy_key, version, _row(body), valid_from=body.valid_from, actor=caller.actor
    )
    set_etag(response, changed.version)
    return _policy(changed)


@router.delete(
    "/{policy_key}",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired),
    summary="End an SLA policy",
)
async def end_sla_policy(
    *,
    session: WriteTransaction,
    caller: RuleManager,
    policy_key: UUID,
    version: RequiredVersion,
    response: Response,
) -> sla_policies.SlaPolicyOut:
    """End the policy now. Its versions stay, and clocks started under them keep them. 409 if some appeals would
    have no policy.
    """
    ended = await policies.end_policy(session, policy_key, version)
    set_etag(response, ended.version)
    return _policy(ended)


def _row(body: sla_policies.SlaPolicyIn) -> SlaPolicy:
    return SlaPolicy(**body.model_dump(exclude={"valid_from"}))


def _policy(row: SlaPolicy) -> sla_policies.SlaPolicyOut:
    return sla_policies.SlaPolicyOut(
        **{name: getattr(row, name) for name in sla_policies.SlaPolicyOut.model_fields}
    )
