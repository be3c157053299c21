"""Choice of an appeal's assignee by the rules of its organisation."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.absences import absences_today
from services.appeals.assignees.directory import Staff, load_staff
from shared.audit import recorder
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, TimelineEntry
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_work import AssigneeRule

ASSIGNEE_CHANGED = "assignee_changed"
BY_RULE = "По правилу распределения"
AS_SUBSTITUTE = "По правилу распределения: замещает отсутствующего"
AS_BEFORE = "Уже работал с этим обращением"
MAY_NOT_WORK = "Прежний исполнитель больше не может работать с обращением"


@dataclass(frozen=True)
class Choice:
    """The new assignee of an appeal (None for nobody) and the reason."""

    appeal: Appeal
    person_id: UUID | None
    reason: str


@dataclass
class Turns:
    """The people of a rule in order, and who had the last turn."""

    person_ids: Sequence[UUID]
    last_person_id: UUID | None = None

    def following(self) -> list[UUID]:
        """Return the people in the order of their next turns, the next first."""
        if self.last_person_id not in self.person_ids:
            return list(self.person_ids)
        start = self.person_ids.index(self.last_person_id) + 1
        return [*self.person_ids[start:], *self.person_ids[:start]]


@dataclass(frozen=True)
class Availability:
    """The people who have access now, and which of them are absent today, with the substitute if one is named."""

    staff: Mapping[UUID, Staff]
    absent: Mapping[UUID, UUID | None] = field(default_factory=dict)

    @staticmethod
    async def load(session: AsyncSession, people: Collection[UUID]) -> "Availability":
        """Load these people and their substitutes."""
        absent = await absences_today(session, people)
        substitutes = {found for found in absent.values() if found is not None} - set(people)
        absent |= await absences_today(session, substitutes)
        return Availability(await load_staff(session, {*people, *substitutes}), absent)

    def is_available(self, person_id: UUID | None, organisation_id: UUID | None) -> bool:
        """Return whether the person works for the organisation and is not absent today."""
        found = self.staff.get(person_id) if person_id is not None else None
        return found is not None and found.may_work_for(organisation_id) and person_id not in self.absent


def take_turn(turns: Turns, organisation_id: UUID, availability: Availability) -> UUID | None:
    """Return who has the next turn and record the turn; None if no person of the rule is available. An absent
    person's turn goes to their substitute; if the substitute is not available either, the person is skipped.
    """
    for person_id in turns.following():
        substitute = availability.absent.get(person_id) if person_id in availability.staff else None
        for taker in (person_id, substitute):
            if availability.is_available(taker, organisation_id):
                turns.last_person_id = person_id
                return taker
    return None


def owner_of_next_step(appeal: Appeal) -> UUID | None:
    """Return the organisation responsible for the next step; None for the centre, which decides in triage."""
    return None if appeal.status == "triage" else appeal.organisation_id


async def choose_assignees(session: WriteSession, appeals: Iterable[Appeal]) -> list[Choice]:
    """Return the new assignees of the locked appeals that are unassigned, or whose assignee may no longer work on
    them. An appeal that was answered before goes to a person who worked on it and is available; otherwise the
    organisation's rules choose. The rules stay locked, so that concurrent choices take turns in order.
    """
    waiting = await _without_assignee(session, appeals)
    if not waiting:
        return []
    organisations = {owner for appeal in waiting if (owner := owner_of_next_step(appeal)) is not None}
    rules = await _Rules.lock(session, organisations, waiting)
    former = await _former_assignees(session, [appeal for appeal in waiting if appeal.first_response_at])
    availability = await Availability.load(
        session, rules.people() | {one for found in former.values() for one in found}
    )
    choices = [_choose(appeal, rules, former.get(appeal.id, ()), availability) for appeal in waiting]
    await rules.store_turns(session)
    return [choice for choice in choices if choice.person_id != choice.appeal.assignee_id]


def _choose(appeal: Appeal, rules: "_Rules", former: Sequence[UUID], availability: Availability) -> Choice:
    owner = owner_of_next_step(appeal)
    if appeal.status not in OPEN_APPEAL_STATUSES:
        # No next step is needed, for example after an answer in the network before the appeal was assigned.
        return Choice(appeal, None, MAY_NOT_WORK)
    for person_id in former:
        if availability.is_available(person_id, owner):
            return Choice(appeal, person_id, AS_BEFORE)
    turns = rules.turns_for(owner, appeal.topic_id) if owner is not None else None
    if turns is not None and owner is not None:
        taker = take_turn(turns, owner, availability)
        if taker is not None:
            return Choice(appeal, taker, BY_RULE if taker == turns.last_person_id else AS_SUBSTITUTE)
    return Choice(appeal, None, MAY_NOT_WORK)


async def _without_assignee(session: AsyncSession, appeals: Iterable[Appeal]) -> list[Appeal]:
    found = sorted(appeals, key=lambda appeal: (appeal.opened_at, appeal.id))
    staff = await load_staff(session, {appeal.assignee_id for appeal in found if appeal.assignee_id is not None})

    def keeps_assignee(appeal: Appeal) -> bool:
        present = staff.get(appeal.assignee_id) if appeal.assignee_id is not None else None
        return present is not None and present.may_work_for(owner_of_next_step(appeal))

    return [appeal for appeal in found if not keeps_assignee(appeal)]


async def _former_assignees(session: AsyncSession, appeals: Sequence[Appeal]) -> dict[UUID, list[UUID]]:
    """Return who worked on each of these appeals, the most recent person first."""
    if not appeals:
        return {}
    rows = await session.execute(
        select(TimelineEntry.appeal_id, TimelineEntry.data)
        .where(
            is_one_of(TimelineEntry.appeal_id, [appeal.id for appeal in appeals]),
            TimelineEntry.kind == ASSIGNEE_CHANGED,
        )
        .order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
    )
    found: dict[UUID, list[UUID]] = defaultdict(list)
    for row in rows:
        if (person_id := row.data.get("assignee_id")) is not None:
            found[row.appeal_id].append(UUID(person_id))
    return found


@dataclass
class _Rules:
    """The locked rules of given organisations, by organisation and topic, and the group of each topic."""

    by_key: dict[tuple[UUID, UUID | None], tuple[UUID, Turns]]
    groups: Mapping[UUID, UUID | None]
    _before: dict[UUID, UUID | None] = field(default_factory=dict)

    @staticmethod
    async def lock(session: WriteSession, organisations: Collection[UUID], appeals: Sequence[Appeal]) -> "_Rules":
        """Lock the rules in the order of their ids, to avoid deadlocks."""
        if not organisations:
            return _Rules({}, {})
        rows = (
            await session.execute(
                select(
                    AssigneeRule.id,
                    AssigneeRule.organisation_id,
                    AssigneeRule.topic_id,
                    AssigneeRule.person_ids,
                    AssigneeRule.last_person_id,
                )
                .where(is_one_of(AssigneeRule.organisation_id, organisations))
                .order_by(AssigneeRule.id)
                .with_for_update()
            )
        ).all()
        topics = {appeal.topic_id for appeal in appeals if appeal.topic_id is not None}
        groups: dict[UUID, UUID | None] = {}
        if topics and any(row.topic_id is not None for row in rows):
            found = await session.execute(select(Topic.id, Topic.group_id).where(Topic.id.in_(topics)))
            groups = {row.id: row.group_id for row in found}
        return _Rules(
            {
                (row.organisation_id, row.topic_id): (row.id, Turns(row.person_ids, row.last_person_id))
                for row in rows
            },
            groups,
            {row.id: row.last_person_id for row in rows},
        )

    def people(self) -> set[UUID]:
        """Return all people of the rules."""
        return {person_id for _, turns in self.by_key.values() for person_id in turns.person_ids}

    def turns_for(self, organisation_id: UUID, topic_id: UUID | None) -> Turns | None:
        """Return the turns of the most specific rule: of the topic, else its group, else all topics; None without
        one.
        """
        group_id = self.groups.get(topic_id) if topic_id is not None else None
        for wanted in (topic_id, group_id, None):
            found = self.by_key.get((organisation_id, wanted))
            if found is not None:
                return found[1]
        return None

    async def store_turns(self, session: WriteSession) -> None:
        """Store who had the last turn. It is not audited: the appeal's timeline records the choice."""
        for rule_id, turns in self.by_key.values():
            if turns.last_person_id != self._before[rule_id]:
                await session.execute(
                    update(AssigneeRule)
                    .where(AssigneeRule.id == rule_id)
                    .values(last_person_id=turns.last_person_id, updated_at=AssigneeRule.updated_at)
                    .execution_options(synchronize_session=False)
                )
                await recorder.record(session, AssigneeRule)
