"""SLA policies: list, add, change (by a new version) and end."""

from collections.abc import Sequence
from datetime import datetime
from typing import get_args
from uuid import UUID

from pydantic import Field
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.field_types import BoundedDatetime
from services.appeals.sla.policy_selection import is_general, is_in_effect
from services.appeals.sla.sla_context import load_policies
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.api.query_parameters import ListFilter
from shared.contracts.values import Urgency
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_sla import SlaPolicy


class SlaPolicyFilter(ListFilter):
    """Filter of the list of SLA policies."""

    policy_key: UUID | None = Field(default=None, description="The versions of one policy")
    in_effect_at: BoundedDatetime | None = Field(default=None, description="Versions in effect at this moment")


async def list_policies(session: AsyncSession, filters: SlaPolicyFilter, paging: Paging) -> Sequence[SlaPolicy]:
    """Return versions of SLA policies, latest start first: one page plus one row."""
    query = select(SlaPolicy).order_by(SlaPolicy.valid_from.desc(), SlaPolicy.id.desc()).limit(paging.limit + 1)
    if filters.policy_key is not None:
        query = query.where(SlaPolicy.policy_key == filters.policy_key)
    if filters.in_effect_at is not None:
        query = query.where(
            SlaPolicy.valid_from <= filters.in_effect_at,
            or_(SlaPolicy.valid_until.is_(None), SlaPolicy.valid_until > filters.in_effect_at),
        )
    after = paging.after((SlaPolicy.valid_from, SlaPolicy.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def latest_version(session: AsyncSession, policy_key: UUID) -> SlaPolicy:
    """Return the latest version of a policy. Raises `NotFound` for an unknown key."""
    found = await session.scalar(
        select(SlaPolicy).where(SlaPolicy.policy_key == policy_key).order_by(SlaPolicy.version.desc()).limit(1)
    )
    if found is None:
        raise NotFound("No such SLA policy")
    return found


async def add_policy(
    session: WriteSession, policy: SlaPolicy, *, valid_from: datetime | None, actor: str
) -> SlaPolicy:
    """Add a policy, given as a row without key, version and validity, that starts now or later.

    Raises `Invalid` for a start in the past: the explanations of deadlines already computed must remain true.
    """
    policy.policy_key, policy.version = new_id(), 1
    await _add(session, policy, valid_from, actor)
    await session.flush()
    return policy


async def change_policy(
    session: WriteSession,
    policy_key: UUID,
    seen_version: int | None,
    policy: SlaPolicy,
    *,
    valid_from: datetime | None,
    actor: str,
) -> SlaPolicy:
    """Add a new version of the policy, given as for `add_policy`; it replaces versions planned for that time.
    Clocks that have started keep their version. Raises `NotFound`, `PreconditionFailed`, `Invalid`, or `Conflict`
    if some appeals would have no policy.
    """
    await _lock(session)
    latest = await latest_version(session, policy_key)
    check_version(latest.version, seen_version)
    policy.policy_key, policy.version = policy_key, latest.version + 1
    await _add(session, policy, valid_from, actor)
    await _end(session, policy_key, policy.valid_from, except_for=policy)
    await session.flush()
    await _require_coverage(session)
    return policy


async def end_policy(session: WriteSession, policy_key: UUID, seen_version: int | None) -> SlaPolicy:
    """End the policy now, including planned versions; return its latest version. Running clocks keep their
    version. Raises `NotFound`, `PreconditionFailed`, or `Conflict` if some appeals would have no policy.
    """
    await _lock(session)
    latest = await latest_version(session, policy_key)
    check_version(latest.version, seen_version)
    await _end(session, policy_key, clock.now())
    await session.flush()
    await _require_coverage(session)
    return latest


async def _add(session: WriteSession, policy: SlaPolicy, valid_from: datetime | None, actor: str) -> None:
    now = clock.now()
    if valid_from is not None and valid_from < now:
        raise Invalid.field(
            "/valid_from", "A policy cannot start in the past: give a later `valid_from`, or omit it"
        )
    if policy.first_response_unit == policy.resolution_unit and (
        policy.resolution_hours < policy.first_response_hours
    ):
        raise Invalid.field("/resolution_hours", "The resolution must not be due before the first response")
    if policy.warn_at != sorted(set(policy.warn_at)):
        raise Invalid.field("/warn_at", "Give the shares in ascending order, each only once")
    late = (policy.escalation[level] for level in ("manager_hours", "centre_hours", "deputy_head_hours"))
    hours = [found for found in late if found is not None]
    if hours != sorted(hours):
        raise Invalid.field("/escalation", "The hours must not decrease from manager to centre to deputy head")
    if policy.topic_id is not None and await session.get(Topic, policy.topic_id) is None:
        raise Invalid.field("/topic_id", "No such topic")
    policy.valid_from, policy.created_by = valid_from or now, actor
    session.add(policy)


async def _lock(session: WriteSession) -> None:
    """Lock the policies: otherwise two concurrent changes could each end a policy on which the other relies."""
    await session.execute(select(SlaPolicy.id).order_by(SlaPolicy.id).with_for_update())


async def _end(
    session: WriteSession, policy_key: UUID, moment: datetime, *, except_for: SlaPolicy | None = None
) -> None:
    """End the versions in effect at the moment; later versions never take effect. Ended versions do not change."""
    rows = await session.scalars(
        select(SlaPolicy).where(
            SlaPolicy.policy_key == policy_key,
            or_(SlaPolicy.valid_until.is_(None), SlaPolicy.valid_until > moment),
        )
    )
    for row in rows:
        if row is not except_for:
            row.valid_until = max(moment, row.valid_from)


async def _require_coverage(session: WriteSession) -> None:
    """Raise `Conflict` if, now or later, an urgency has no policy that applies to all its appeals."""
    policies = await load_policies(session)
    now = clock.now()
    moments = {
        now,
        *(row.valid_until for row in policies if row.valid_until is not None and row.valid_until > now),
    }
    for moment in sorted(moments):
        in_effect = [policy for policy in policies if is_in_effect(policy, moment)]
        for urgency in get_args(Urgency.__value__):
            if not any(is_general(policy, urgency) for policy in in_effect):
                raise Conflict(
                    f"Appeals of urgency «{urgency}» would have no policy from {moment.isoformat()}: "
                    "first add a policy that applies to all of them",
                    urgency=urgency,
                )
