"""Reference that people keep: SLA policies, routing rules."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.schemas import PolicyIn, RuleIn
from services.appeals.wishes import require_organisation, require_topic
from shared import clock
from shared.database import WriteSession
from shared.pagination import Paging
from shared.problems import Duplicate, FieldError, Invalid, NotFound
from shared.tables.appeals import RoutingRule, RuleSet, SlaPolicy
from shared.tables.registry import Municipality, Organisation


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


async def rules(session: AsyncSession, paging: Paging) -> Sequence[Row[RoutingRule, str]]:
    """Routing rules, newest first; one more than the page takes."""
    query = (
        select(RoutingRule, Organisation.name)
        .join(Organisation, Organisation.id == RoutingRule.organisation_id)
        .order_by(RoutingRule.created_at.desc(), RoutingRule.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((RoutingRule.created_at, RoutingRule.id), (datetime.fromisoformat, UUID))
    return (await session.execute(query if after is None else query.where(after))).all()


async def add_rule(session: WriteSession, wanted: RuleIn) -> tuple[RoutingRule, str]:
    """A rule and the name of its organisation. Raises `Invalid` naming the field, or `Duplicate`."""
    if wanted.topic_id is None and wanted.municipality is None:
        detail = "A rule goes by topic, municipality or both; what no rule takes goes to the page's owner"
        raise Invalid(
            detail, errors=[FieldError(pointer=p, detail=detail) for p in ("/topic_id", "/municipality")]
        )
    await require_topic(session, wanted.topic_id)
    await require_organisation(session, wanted.organisation_id)
    if wanted.municipality is not None and await session.get(Municipality, wanted.municipality) is None:
        raise Invalid.field("/municipality", "No such municipality")
    active = await session.scalar(select(RuleSet).where(RuleSet.status == "active").with_for_update())
    if active is None:
        raise NotFound("No rule set is active")
    present = await session.scalar(
        select(RoutingRule.id).where(
            RoutingRule.rule_set_id == active.id,
            RoutingRule.topic_id.is_not_distinct_from(wanted.topic_id),
            RoutingRule.municipality.is_not_distinct_from(wanted.municipality),
        )
    )
    if present is not None:
        raise Duplicate("A rule for this topic and municipality stands already", rule_id=str(present))
    rule = RoutingRule(**wanted.model_dump(), rule_set_id=active.id, send_to="organisation")
    session.add(rule)
    await session.flush()
    name = await session.scalar(select(Organisation.name).where(Organisation.id == wanted.organisation_id))
    return rule, name or ""


async def retire_rule(session: WriteSession, rule_id: UUID) -> None:
    """The rule routes nothing from now on; cases that it routed keep its id. Raises `NotFound`."""
    rule = await session.scalar(select(RoutingRule).where(RoutingRule.id == rule_id).with_for_update())
    if rule is None:
        raise NotFound("No such rule")
    await session.delete(rule)
