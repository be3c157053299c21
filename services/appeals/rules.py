"""SLA policies, and the routing rules in force one by one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.routing import rule_sets
from services.appeals.routing.engine import Rule, key_of
from services.appeals.schemas.appeals import PolicyIn
from shared import clock
from shared.api.pagination import Paging
from shared.database.sessions import WriteSession
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import RoutingRule, RuleSet, SlaPolicy


async def policies(session: AsyncSession, paging: Paging) -> Sequence[SlaPolicy]:
    """SLA policies, those that begin last first; one more than the page takes."""
    query = select(SlaPolicy).order_by(SlaPolicy.valid_from.desc(), SlaPolicy.id.desc()).limit(paging.limit + 1)
    after = paging.after((SlaPolicy.valid_from, SlaPolicy.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def add_policy(session: WriteSession, wanted: PolicyIn) -> SlaPolicy:
    """A policy from now or a later moment on. Raises `Invalid` for the past: deadlines that ran stay explained."""
    now = clock.now()
    if wanted.valid_from is not None and wanted.valid_from < now:
        raise Invalid.field("/valid_from", "A policy cannot begin in the past")
    if wanted.resolution_hours < wanted.first_response_hours:
        raise Invalid.field("/resolution_hours", "The resolution cannot be due before the first response")
    policy = SlaPolicy(**wanted.model_dump(exclude={"valid_from"}), valid_from=wanted.valid_from or now)
    session.add(policy)
    await session.flush()
    return policy


async def rules(session: AsyncSession, paging: Paging) -> Sequence[RoutingRule]:
    """The rules in force, newest first; one more than the page takes."""
    query = (
        select(RoutingRule)
        .join(RuleSet, RuleSet.id == RoutingRule.rule_set_id)
        .where(RuleSet.status == "active")
        .order_by(RoutingRule.created_at.desc(), RoutingRule.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((RoutingRule.created_at, RoutingRule.id), (datetime.fromisoformat, UUID))
    return (await session.scalars(query if after is None else query.where(after))).all()


async def add_rule(session: WriteSession, rule: Rule, actor: str) -> RoutingRule:
    """One more rule, in force at once. Raises `Invalid` naming the field, or `Duplicate`."""
    if key_of(rule) == (None,) * 5:
        named = ("topic_id", "municipality", "page_owner_id", "urgency")
        detail = "Name one at least: what no rule takes goes by the default of the set"
        raise Invalid(
            f"A rule without conditions: give {', '.join(named[:-1])} or {named[-1]}. What no rule takes goes by "
            "the default of the set",
            errors=[FieldError(pointer=f"/{name}", detail=detail) for name in named],
        )
    _, made = await rule_sets.add_rule(session, rule, actor)
    return made
