"""SLA policies: finding the one in effect, listing and adding them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.schemas.sla_policies import SlaPolicyIn
from shared import clock
from shared.api.pagination import Paging
from shared.database.sessions import WriteSession
from shared.http.problems import Invalid
from shared.tables.appeals import SlaPolicy


def policy_in_effect(policies: Sequence[SlaPolicy], urgency: str, moment: datetime) -> SlaPolicy:
    """Return the policy of this urgency in effect at the moment. Raises `LookupError` when there is none."""
    valid = [policy for policy in policies if policy.urgency == urgency and policy.valid_from <= moment]
    if not valid:
        raise LookupError(f"no SLA policy for urgency «{urgency}» at {moment.isoformat()}")
    return max(valid, key=lambda policy: (policy.valid_from, policy.created_at, policy.id))


async def list_policies(session: AsyncSession, paging: Paging) -> Sequence[SlaPolicy]:
    """Return SLA policies, latest start first, one more than the page takes."""
    query = select(SlaPolicy).order_by(SlaPolicy.valid_from.desc(), SlaPolicy.id.desc()).limit(paging.limit + 1)
    after = paging.after((SlaPolicy.valid_from, SlaPolicy.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def add_policy(session: WriteSession, wanted: SlaPolicyIn) -> SlaPolicy:
    """Add a policy that starts now or later.

    Raises `Invalid` for a start in the past: the explanations of deadlines already computed must remain true.
    """
    now = clock.now()
    if wanted.valid_from is not None and wanted.valid_from < now:
        raise Invalid.field("/valid_from", "A policy cannot start in the past")
    if wanted.resolution_hours < wanted.first_response_hours:
        raise Invalid.field("/resolution_hours", "The resolution cannot be due before the first response")
    policy = SlaPolicy(**wanted.model_dump(exclude={"valid_from"}), valid_from=wanted.valid_from or now)
    session.add(policy)
    await session.flush()
    return policy
