"""Assignee rules: which people of an organisation take turns at its appeals, by topic."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import load_staff
from services.appeals.classification.topics import require_topic
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Duplicate, FieldError, Forbidden, Invalid, NotFound
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_work import AssigneeRule
from shared.tables.registry import Organisation

# A rule, and the names of its organisation and topic.
AssigneeRuleRow = Row[AssigneeRule, str, str | None]


class AssigneeRuleFilter(ListFilter):
    """Filter of a list of assignee rules."""

    organisation_id: UUID | None = None
    topic_id: UUID | None = Field(default=None, description="Rules of exactly this topic or topic group")


def _query(caller: Caller) -> Select[AssigneeRule, str, str | None]:
    return (
        select(AssigneeRule, Organisation.name, Topic.name)
        .join(Organisation, Organisation.id == AssigneeRule.organisation_id)
        .outerjoin(Topic, Topic.id == AssigneeRule.topic_id)
        .where(caller.scope(AssigneeRule.organisation_id))
    )


async def list_rules(
    session: AsyncSession, caller: Caller, filters: AssigneeRuleFilter, paging: Paging
) -> Sequence[AssigneeRuleRow]:
    """Return the rules that the caller may see, newest first: one page plus one row."""
    query = _query(caller).order_by(AssigneeRule.created_at.desc(), AssigneeRule.id.desc()).limit(paging.limit + 1)
    for column, value in (
        (AssigneeRule.organisation_id, filters.organisation_id),
        (AssigneeRule.topic_id, filters.topic_id),
    ):
        if value is not None:
            query = query.where(column == value)
    after = paging.after((AssigneeRule.created_at, AssigneeRule.id), (datetime.fromisoformat, UUID))
    return (await session.execute(query if after is None else query.where(after))).all()


async def get_rule(session: AsyncSession, caller: Caller, rule_id: UUID) -> AssigneeRuleRow:
    """Return a rule. Raises `NotFound` also for a rule out of the caller's scope."""
    row = (await session.execute(_query(caller).where(AssigneeRule.id == rule_id))).one_or_none()
    if row is None:
        raise NotFound("No such rule")
    return row


async def create_rule(
    session: WriteSession,
    caller: Caller,
    organisation_id: UUID | None,
    topic_id: UUID | None,
    person_ids: Sequence[UUID],
) -> AssigneeRule:
    """Create a rule for the organisation, by default the caller's.

    Raises `Invalid` naming the field, `Forbidden` for an organisation out of the caller's scope, `Duplicate` if
    the organisation has a rule for the topic.
    """
    organisation_id = organisation_id or caller.organisation_id
    if organisation_id is None:
        raise Invalid.field(
            "/organisation_id", "Give `organisation_id`: you belong to no organisation that could be the default"
        )
    known = await session.scalar(select(caller.scope(Organisation.id)).where(Organisation.id == organisation_id))
    if known is None:
        raise Invalid.field("/organisation_id", "No such organisation")
    if not known:
        raise Forbidden("Choose an organisation within your scope")
    await require_topic(session, topic_id)
    await _require_staff(session, organisation_id, person_ids)
    # Of two concurrent requests, the second waits for the first and finds its rule.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(organisation_id), 0))))
    taken = await session.scalar(
        select(AssigneeRule.id).where(
            AssigneeRule.organisation_id == organisation_id, AssigneeRule.topic_id.is_not_distinct_from(topic_id)
        )
    )
    if taken is not None:
        raise Duplicate(
            "The organisation already has a rule for this topic: change the existing rule", rule_id=str(taken)
        )
    rule = AssigneeRule(organisation_id=organisation_id, topic_id=topic_id, person_ids=list(person_ids))
    session.add(rule)
    await session.flush()
    return rule


async def change_people(
    session: WriteSession, caller: Caller, rule_id: UUID, version: int | None, person_ids: Sequence[UUID]
) -> None:
    """Replace the people of a rule, keeping who had the last turn. Raises `NotFound` for an unknown rule or a rule
    out of the caller's scope, `PreconditionFailed`, and `Invalid` naming the people who may not be in it.
    """
    rule = await _locked(session, caller, rule_id)
    check_version(rule.version, version)
    await _require_staff(session, rule.organisation_id, person_ids)
    rule.person_ids = list(person_ids)
    await session.flush()


async def delete_rule(session: WriteSession, caller: Caller, rule_id: UUID) -> None:
    """Delete a rule; appeals keep their assignees.

    Raises `NotFound` for an unknown rule or a rule out of the caller's scope.
    """
    await session.delete(await _locked(session, caller, rule_id))
    await session.flush()


async def _locked(session: WriteSession, caller: Caller, rule_id: UUID) -> AssigneeRule:
    rule = await session.scalar(
        select(AssigneeRule)
        .where(AssigneeRule.id == rule_id, caller.scope(AssigneeRule.organisation_id))
        .with_for_update()
    )
    if rule is None:
        raise NotFound("No such rule")
    return rule


async def _require_staff(session: AsyncSession, organisation_id: UUID, person_ids: Sequence[UUID]) -> None:
    """Raise `Invalid` naming each person who does not work on the organisation's appeals, or is listed twice."""
    staff = await load_staff(session, person_ids)
    errors = []
    for number, person_id in enumerate(person_ids):
        if person_id not in staff or not staff[person_id].may_work_for(organisation_id):
            detail = "Choose a person who works on the organisation's appeals"
            errors.append(FieldError(pointer=f"/person_ids/{number}", detail=detail))
        elif person_id in person_ids[:number]:
            errors.append(FieldError(pointer=f"/person_ids/{number}", detail="The person is listed twice"))
    if errors:
        raise Invalid("Invalid: " + ", ".join(error.pointer for error in errors), errors=errors)
