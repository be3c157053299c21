"""Escalation of late and nearly late appeals: executor, manager, centre, deputy head, at the times of the policy.

A step is taken once per organisation that has the appeal and per deadline (of the response, of the final answer):
a transfer or a new deadline starts the steps again. Nobody is notified twice of one breach: people notified before
a transfer are left out. People are notified in the working hours of the organisation. A step whose role nobody
holds is skipped. If the assignee is absent, the substitute is notified, or else the executors who are not absent.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import Table, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.absences import absences_today
from services.appeals.assignees.directory import STAFF_ROLES, has_access
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.sla.deadlines import next_working_moment
from services.appeals.sla.due_dates import awaited_deadlines
from services.appeals.sla.escalation_steps import AwaitedDeadline
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.auth.rights import Role
from shared.contracts.appeal_events import AppealEscalated
from shared.contracts.values import EscalationStep
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import Escalation
from shared.tables.registry import Person

ESCALATION_BATCH = 200
_APPEALS = cast("Table", Appeal.__table__)


@dataclass(frozen=True)
class _Holder:
    """A person with access; `organisation_id` None: of the centre."""

    id: UUID
    role: Role
    organisation_id: UUID | None


async def record_escalations(session: WriteSession) -> int:
    """Escalate the next appeals that are late or nearly late; return how many were handled."""
    now = clock.now()
    ids = await session.scalars(
        select(Appeal.id)
        .where(Appeal.next_escalation_at <= now)
        .order_by(Appeal.next_escalation_at, Appeal.id)
        .limit(ESCALATION_BATCH)
    )
    # Appeals that another transaction has locked are left to the next run.
    appeals = (
        await session.scalars(
            select(Appeal)
            .where(Appeal.id.in_(ids.all()), Appeal.next_escalation_at <= now)
            .order_by(Appeal.id)
            .with_for_update(skip_locked=True)
        )
    ).all()
    if not appeals:
        return 0
    organisations = {appeal.organisation_id for appeal in appeals}
    sla = await SlaContext.load(session, organisations, selects_policies=False)
    holders = await _holders(session, organisations)
    absent = await absences_today(session, {holder.id for holder in holders})
    escalating = _Escalating(sla, holders, await _former_escalations(session, appeals), absent)
    for appeal in appeals:
        escalating.escalate(appeal)
    await escalating.write(session)
    return len(appeals)


async def escalations_of(session: AsyncSession, appeal_id: UUID) -> Sequence[Escalation]:
    """Return the steps of an appeal that were taken or skipped, oldest first."""
    return list(
        await session.scalars(
            select(Escalation)
            .where(Escalation.appeal_id == appeal_id)
            .order_by(Escalation.created_at, Escalation.id)
        )
    )


class _Escalating:
    """The escalation of a batch of locked appeals, with the steps that were already taken."""

    def __init__(
        self,
        sla: SlaContext,
        holders: Sequence[_Holder],
        former: Iterable[Escalation],
        absent: Mapping[UUID, UUID | None],
    ) -> None:
        self._sla = sla
        self._holders = holders
        self._absent = absent
        # The steps already taken, and the people already notified of each passed deadline.
        self._taken: set[tuple[object, ...]] = set()
        self._notified: dict[tuple[object, ...], set[UUID]] = {}
        for one in former:
            self._taken.add((one.appeal_id, one.clock, one.organisation_id, one.due_at, one.step))
            if one.step != "executor":
                self._notified.setdefault((one.appeal_id, one.clock, one.due_at), set()).update(one.told)
        self._rows: list[dict[str, object]] = []
        self._next: dict[UUID, datetime | None] = {}
        self._recorder = AppealRecorder()

    def escalate(self, appeal: Appeal) -> None:
        """Take the steps that are due, and determine when the next step is due."""
        self._next[appeal.id] = None
        # In triage no organisation has to act, and an appeal that has ended has no deadline.
        if appeal.organisation_id is None or appeal.status == "triage" or appeal.status in FINAL_STATUSES:
            return
        following = [
            self._escalate_deadline(appeal, appeal.organisation_id, awaited)
            for awaited in awaited_deadlines(appeal, self._sla)
        ]
        self._next[appeal.id] = min((moment for moment in following if moment is not None), default=None)

    def _escalate_deadline(
        self, appeal: Appeal, organisation_id: UUID, awaited: AwaitedDeadline
    ) -> datetime | None:
        """Take the steps of a deadline that are due, and return when the next step is due."""
        now = clock.now()
        works_from = next_working_moment(awaited.calendar, now)
        for step, moment in awaited.steps():
            if (appeal.id, awaited.clock, organisation_id, awaited.due_at, step) in self._taken:
                continue
            if moment > now or works_from is None or works_from > now:
                return max(moment, works_from) if works_from is not None else None
            if step == "executor" and awaited.due_at <= now:
                continue  # the manager is notified instead that the deadline has passed
            self._take_step(appeal, organisation_id, awaited, step)
        return None

    def _take_step(
        self, appeal: Appeal, organisation_id: UUID, awaited: AwaitedDeadline, step: EscalationStep
    ) -> None:
        holders = self._people(appeal, organisation_id, step)
        notified = self._notified.setdefault((appeal.id, awaited.clock, awaited.due_at), set())
        people = sorted(holders - notified)
        if holders and not people:
            return  # everybody was notified before the transfer
        if step != "executor":
            notified.update(people)
        self._rows.append(
            {
                "id": new_id(), "appeal_id": appeal.id, "organisation_id": organisation_id, "clock": awaited.clock,
                "due_at": awaited.due_at, "step": step, "told": people, "created_at": clock.now(),
            }
        )  # fmt: skip
        self._recorder.add_timeline_entry(
            appeal,
            "escalated",
            step=step,
            clock=awaited.clock,
            due_at=awaited.due_at.isoformat(),
            notified_ids=[str(person_id) for person_id in people],
            skipped=not people,
        )
        escalated = AppealEscalated(
            **event_snapshot(appeal), step=step, clock=awaited.clock, due_at=awaited.due_at, told=people
        )
        self._recorder.add_event(escalated)

    def _people(self, appeal: Appeal, organisation_id: UUID, step: EscalationStep) -> set[UUID]:
        staff = [holder for holder in self._holders if holder.organisation_id == organisation_id]
        if step == "executor":
            return self._executors(appeal.assignee_id, staff)
        if step == "manager":
            return {holder.id for holder in staff if holder.role is Role.MANAGER}
        role = Role.MODERATOR if step == "centre" else Role.HEAD
        return {holder.id for holder in self._holders if holder.organisation_id is None and holder.role is role}

    def _executors(self, assignee_id: UUID | None, staff: Sequence[_Holder]) -> set[UUID]:
        """Return the assignee, or the substitute of an absent assignee; else the executors who are not absent, or
        all executors if every one is absent.
        """
        people = {holder.id for holder in staff}
        for person_id in (assignee_id, self._absent.get(assignee_id) if assignee_id is not None else None):
            if person_id in people and person_id is not None and person_id not in self._absent:
                return {person_id}
        executors = {holder.id for holder in staff if holder.role is Role.EXECUTOR}
        return executors - self._absent.keys() or executors

    async def write(self, session: WriteSession) -> None:
        """Write the steps with their events, and the moment of each appeal's next step."""
        await insert_rows(session, Escalation, self._rows)
        await self._recorder.write(session)
        await store_next_escalations(session, self._next)


async def store_next_escalations(session: WriteSession, moments: Mapping[UUID, datetime | None]) -> None:
    """Store when the next step of each appeal is due; None: no step is left. Not through the ORM: to people the
    appeal has not changed, so its version and `updated_at` stay.
    """
    if not moments:
        return
    await session.execute(
        update(_APPEALS)
        .where(_APPEALS.c.id == bindparam("appeal_id"))
        .values(next_escalation_at=bindparam("at"), updated_at=_APPEALS.c.updated_at),
        [{"appeal_id": appeal_id, "at": moment} for appeal_id, moment in moments.items()],
    )


async def _former_escalations(session: AsyncSession, appeals: Iterable[Appeal]) -> Sequence[Escalation]:
    rows = await session.scalars(
        select(Escalation).where(Escalation.appeal_id.in_([appeal.id for appeal in appeals]))
    )
    return rows.all()


async def _holders(session: AsyncSession, organisations: Collection[UUID | None]) -> list[_Holder]:
    """Return the people with access, of these organisations and of the centre, who may have to be notified."""
    of_centre = Person.organisation_id.is_(None) & Person.role.in_([Role.MODERATOR, Role.HEAD])
    of_staff = Person.organisation_id.in_([found for found in organisations if found is not None])
    rows = await session.execute(
        select(Person.id, Person.role, Person.organisation_id).where(
            has_access(), or_(of_centre, of_staff & Person.role.in_(STAFF_ROLES))
        )
    )
    return [_Holder(row.id, Role(row.role), row.organisation_id) for row in rows]
