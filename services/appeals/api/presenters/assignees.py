"""Presenters of assignee rules and absences: rows to response models, with the names that they show."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.absences import absences_today
from services.appeals.assignees.assignee_rules import AssigneeRuleRow
from services.appeals.assignees.directory import ActorNames
from services.appeals.assignments.assignee_changes import PersonRow
from services.appeals.schemas.assignees.assignees import AbsenceOut, AssigneeRuleOut, PossibleAssigneeOut
from services.appeals.schemas.common import NamedRef, named_ref
from shared.tables.appeals_work import Absence


async def rules_out(session: AsyncSession, rows: Sequence[AssigneeRuleRow]) -> list[AssigneeRuleOut]:
    """Return assignee rules in the order of the rows."""
    people = {person_id for row in rows for person_id in (*row[0].person_ids, row[0].last_person_id)}
    names = await ActorNames.load(session, people)
    return [
        AssigneeRuleOut(
            id=rule.id,
            version=rule.version,
            organisation=NamedRef(id=rule.organisation_id, name=organisation),
            topic=named_ref(rule.topic_id, topic),
            people=[names.ref(person_id) for person_id in rule.person_ids],
            last_person=names.ref(rule.last_person_id) if rule.last_person_id is not None else None,
            created_at=rule.created_at,
            updated_at=rule.updated_at,
        )
        for rule, organisation, topic in rows
    ]


async def possible_assignees_out(session: AsyncSession, rows: Sequence[PersonRow]) -> list[PossibleAssigneeOut]:
    """Return possible assignees in the order of the rows."""
    absent = await absences_today(session, [row.id for row in rows])
    names = await ActorNames.load(session, absent.values())
    return [
        PossibleAssigneeOut(
            id=row.id,
            name=row.full_name,
            kind="person",
            absent=row.id in absent,
            substitute=names.ref(substitute) if (substitute := absent.get(row.id)) is not None else None,
        )
        for row in rows
    ]


async def absences_out(session: AsyncSession, rows: Sequence[Absence]) -> list[AbsenceOut]:
    """Return absences in the order of the rows."""
    people = {person for row in rows for person in (row.person_id, row.substitute_id, row.created_by)}
    names = await ActorNames.load(session, people)
    return [
        AbsenceOut(
            id=row.id,
            person=names.ref(row.person_id),
            starts_on=row.starts_on,
            ends_on=row.ends_on,
            substitute=names.ref(row.substitute_id) if row.substitute_id is not None else None,
            created_by=names.ref(row.created_by),
            created_at=row.created_at,
        )
        for row in rows
    ]
