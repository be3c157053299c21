"""Rules by which replies need approval: by topic, urgency, organisation and kind of organisation."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.topics import TopicGroup, require_topic
from shared import clock
from shared.api.pagination import Paging
from shared.contracts.values import OrganisationKind
from shared.database.sessions import WriteSession
from shared.http.problems import Duplicate, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_replies import ApprovalRule
from shared.tables.registry import Organisation

# A rule, the name of its topic, the id and name of its topic group, and the name of its organisation.
ApprovalRuleRow = Row[ApprovalRule, str | None, UUID | None, str | None, str | None]

_KINDS: dict[str, str] = {
    OrganisationKind.REGIONAL: "отвечает орган власти республики",
    OrganisationKind.MUNICIPALITY: "отвечает орган местного самоуправления",
    OrganisationKind.INSTITUTION: "отвечает учреждение",
    OrganisationKind.COURT: "отвечает суд",
    OrganisationKind.OTHER: "отвечает организация другого вида",
}


def _rows() -> Select[ApprovalRule, str | None, UUID | None, str | None, str | None]:
    return (
        select(ApprovalRule, Topic.name, Topic.group_id, TopicGroup.name, Organisation.name)
        .outerjoin(Topic, Topic.id == ApprovalRule.topic_id)
        .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
        .outerjoin(Organisation, Organisation.id == ApprovalRule.organisation_id)
    )


async def list_rules(session: AsyncSession, paging: Paging) -> Sequence[ApprovalRuleRow]:
    """Return the rules, newest first: one page plus one row."""
    query = _rows().order_by(ApprovalRule.created_at.desc(), ApprovalRule.id.desc()).limit(paging.limit + 1)
    after = paging.after((ApprovalRule.created_at, ApprovalRule.id), (datetime.fromisoformat, UUID))
    return (await session.execute(query if after is None else query.where(after))).all()


async def get_rule(session: AsyncSession, rule_id: UUID) -> ApprovalRuleRow:
    """Return a rule. Raises `NotFound` for an unknown id."""
    row = (await session.execute(_rows().where(ApprovalRule.id == rule_id))).one_or_none()
    if row is None:
        raise NotFound("No such approval rule")
    return row


async def add_rule(
    session: WriteSession,
    actor: str,
    *,
    topic_id: UUID | None,
    urgency: str | None,
    organisation_id: UUID | None,
    organisation_kind: str | None,
) -> ApprovalRule:
    """Add a rule for replies that are submitted from now on.

    Raises `Invalid` naming an unknown topic or organisation, and `Duplicate` naming an equal rule.
    """
    await require_topic(session, topic_id)
    if organisation_id is not None and await session.get(Organisation, organisation_id) is None:
        raise Invalid.field("/organisation_id", "No such organisation")
    # Of two equal rules added concurrently, the second waits here and finds the first.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("approval_rules"))))
    equal = await session.scalar(
        select(ApprovalRule.id).where(
            ApprovalRule.topic_id.is_not_distinct_from(topic_id),
            ApprovalRule.urgency.is_not_distinct_from(urgency),
            ApprovalRule.organisation_id.is_not_distinct_from(organisation_id),
            ApprovalRule.organisation_kind.is_not_distinct_from(organisation_kind),
        )
    )
    if equal is not None:
        raise Duplicate("A rule with these conditions already exists", rule_id=str(equal))
    rule = ApprovalRule(
        id=new_id(),
        topic_id=topic_id,
        urgency=urgency,
        organisation_id=organisation_id,
        organisation_kind=organisation_kind,
        created_by=actor,
        created_at=clock.now(),
    )
    session.add(rule)
    await session.flush()
    return rule


async def remove_rule(session: WriteSession, rule_id: UUID) -> None:
    """Remove a rule; replies that are already on approval still need an approval.

    Raises `NotFound` for an unknown id.
    """
    rule = await session.get(ApprovalRule, rule_id)
    if rule is None:
        raise NotFound("No such approval rule")
    await session.delete(rule)


async def approval_reason(session: AsyncSession, appeal: Appeal) -> str | None:
    """Return the reason, in Russian, why a reply to the appeal needs approval; None if no rule requires it."""
    group = select(Topic.group_id).where(Topic.id == appeal.topic_id).scalar_subquery()
    kind = select(Organisation.kind).where(Organisation.id == appeal.organisation_id).scalar_subquery()
    conditions: list[ColumnElement[bool]] = [
        or_(
            ApprovalRule.topic_id.is_(None),
            ApprovalRule.topic_id == appeal.topic_id,
            ApprovalRule.topic_id == group,
        ),
        or_(ApprovalRule.urgency.is_(None), ApprovalRule.urgency == appeal.urgency),
        or_(ApprovalRule.organisation_id.is_(None), ApprovalRule.organisation_id == appeal.organisation_id),
        or_(ApprovalRule.organisation_kind.is_(None), ApprovalRule.organisation_kind == kind),
    ]
    rows = await session.execute(
        _rows().where(*conditions).order_by(ApprovalRule.created_at, ApprovalRule.id).limit(1)
    )
    row = rows.first()
    return None if row is None else _in_words(row)


def _in_words(row: ApprovalRuleRow) -> str:
    rule, topic, _, _, organisation = row
    parts = []
    if topic is not None:
        parts.append(f"тема «{topic}»")
    if rule.urgency is not None:
        parts.append("срочное обращение" if rule.urgency == "high" else "обычное обращение")
    if organisation is not None:
        parts.append(f"организация {organisation}")
    if rule.organisation_kind is not None:
        parts.append(_KINDS[rule.organisation_kind])
    return "Нужно согласование: " + (", ".join(parts) or "все ответы")
