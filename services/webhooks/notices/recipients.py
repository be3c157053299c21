"""Recipients of an event's notices: the people it names, else the organisation's staff for such work."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import and_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.schemas.notices import NoticeKind
from shared.auth.rights import CENTRE_ROLES, RIGHTS, Right, RightScope, Role
from shared.contracts import appeal_events as events
from shared.contracts.appeal_events import AppealSnapshot
from shared.contracts.metrics_events import ReportReady
from shared.contracts.stored_events import parse_event
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.common import Event
from shared.tables.registry import Person

_STAFF_WHO_ANSWER = frozenset({Role.MANAGER, Role.EXECUTOR})
_STAFF_WHO_WORK = frozenset(
    role for role, rights in RIGHTS.items() if rights.get(Right.APPEALS_WORK) is RightScope.ORGANISATION
)
_STAFF_WHO_APPROVE = frozenset(
    role for role, rights in RIGHTS.items() if rights.get(Right.REPLIES_APPROVE) is RightScope.ORGANISATION
)
_ASSIGNEE_CHANGED = events.AppealAssigneeChanged.event_type


@dataclass(frozen=True)
class Addressee:
    """A recipient: a person who is active and not locked."""

    id: UUID
    role: Role
    organisation_id: UUID | None


@dataclass(frozen=True)
class NewNotice:
    """People to notify of an event. `details` is what the letter needs besides the current state of the appeal."""

    event: Event
    data: AppealSnapshot | ReportReady
    kind: NoticeKind
    people: Sequence[Addressee]
    details: Mapping[str, Any] = field(default_factory=dict)


async def find_recipients(session: AsyncSession, stored: Sequence[Event]) -> list[NewNotice]:
    """Return the notices to write for these events of appeals. People are not notified of their own actions."""
    if not stored:
        return []
    parsed = [(event, cast("AppealSnapshot", parse_event(event))) for event in stored]
    facts = await _Facts.load(session, parsed)
    found = []
    for event, data in parsed:
        for kind, people, details in _notices(facts, event, data):
            others = [person for person in people if str(person.id) != event.actor]
            if others:
                found.append(NewNotice(event, data, kind, others, details))
    return found


_Notice = tuple[NoticeKind, Iterable[Addressee], dict[str, Any]]


def _notices(facts: "_Facts", event: Event, data: AppealSnapshot) -> Iterable[_Notice]:  # noqa: PLR0911, PLR0912 — one per type
    match data:
        case events.AppealAssigned():
            # An assignee set by the same change is notified by `appeal.assignee_changed`.
            if (
                data.organisation_id is not None
                and (event.subject_id, event.created_at) not in facts.with_assignee
            ):
                return [(NoticeKind.ASSIGNMENT, facts.owners(event), {})]
        case events.AppealAssigneeChanged() if data.assignee_id is not None:
            return [(NoticeKind.ASSIGNMENT, facts.named([data.assignee_id]), {"personal": True})]
        case events.AppealReopened() if data.status == "reopened":
            if (event.subject_id, event.created_at) not in facts.with_assignee:
                return [(NoticeKind.ASSIGNMENT, facts.owners(event), {"reopened": True})]
        case events.AppealDeadlineNear():
            return [(NoticeKind.WARNING, facts.owners(event), _deadline(data.clock, data.due_at))]
        case events.PromiseReminded():
            return [(NoticeKind.WARNING, facts.owners(event), _deadline("promise", data.promised_at))]
        case events.AppealMoved() if data.to_status == "triage" and not data.assignment_lost:
            # The centre needs no notice if one of its own people moved the appeal to triage.
            if not facts.is_of_centre(event.actor):
                return [(NoticeKind.RETURN, facts.owners(event), {})]
        case events.ReplyRefused():
            authors = facts.named([facts.reply_authors.get(data.reply_id)])
            return [(NoticeKind.RETURN, authors or facts.owners(event), {"reply_id": str(data.reply_id)})]
        case events.AppealNoteAdded():
            return [(NoticeKind.MENTION, facts.named(data.mentions), {"note_id": str(data.note_id)})]
        case events.AppealEscalated():
            details = _deadline(data.clock, data.due_at) | {"step": data.step, "urgent": data.urgency == "high"}
            return [(NoticeKind.ESCALATION, facts.named(data.told), details)]
        case events.ReplyApprovalRequested():
            return [(NoticeKind.APPROVAL, facts.approvers(event), {"reply_id": str(data.reply_id)})]
        case events.AppealExtensionRequested():
            return [(NoticeKind.APPROVAL, facts.moderators, {"request_id": str(data.request_id)})]
        case events.ReplyFailed():
            authors = facts.named([facts.reply_authors.get(data.reply_id)])
            return [(NoticeKind.REPLY_FAILED, authors or facts.owners(event), {"reply_id": str(data.reply_id)})]
        case events.ReplyChangeFailed():
            authors = facts.named([facts.change_authors.get(data.change_id)])
            details = {"change_id": str(data.change_id), "change": data.change}
            return [(NoticeKind.REPLY_FAILED, authors or facts.owners(event), details)]
    return []


def _deadline(clock: str, due_at: datetime) -> dict[str, Any]:
    return {"clock": clock, "due_at": due_at.isoformat()}


@dataclass(frozen=True)
class _Facts:
    """Data that determines the recipients of a batch of events."""

    people: Mapping[UUID, Addressee]
    staff: Mapping[UUID | None, Sequence[Addressee]]
    # The current organisation and assignee of each appeal.
    appeals: Mapping[UUID, tuple[UUID | None, UUID | None]]
    # (appeal, time) of changes that also set an assignee: events written by one change have the same time.
    with_assignee: Collection[tuple[UUID, datetime]]
    reply_authors: Mapping[UUID, UUID | None]
    change_authors: Mapping[UUID, UUID | None]

    def named(self, ids: Iterable[UUID | None]) -> list[Addressee]:
        """Return the people with these ids who have access."""
        return [self.people[found] for found in dict.fromkeys(ids) if found is not None and found in self.people]

    def owners(self, event: Event) -> list[Addressee]:
        """Return who owes the next step: the assignee, else the staff who answer; in triage, the moderators."""
        organisation_id, assignee_id = self.appeals.get(event.subject_id, (None, None))
        if organisation_id == event.organisation_id and (assignees := self.named([assignee_id])):
            return assignees
        if event.organisation_id is None:
            return self.moderators
        return self._staff(event, _STAFF_WHO_ANSWER) or self._staff(event, _STAFF_WHO_WORK)

    def approvers(self, event: Event) -> list[Addressee]:
        """Return who may approve the reply: approvers other than the event's actor, else the moderators."""
        own = self._staff(event, _STAFF_WHO_APPROVE)
        return [person for person in own if str(person.id) != event.actor] or self.moderators

    @property
    def moderators(self) -> list[Addressee]:
        """Return the moderators of the centre."""
        return [person for person in self.staff.get(None, ()) if person.role is Role.MODERATOR]

    def is_of_centre(self, actor: str) -> bool:
        """Return whether the actor is a person of the centre."""
        person = self.people.get(found) if (found := _id(actor)) is not None else None
        return person is not None and person.role in CENTRE_ROLES

    def _staff(self, event: Event, roles: Collection[Role]) -> list[Addressee]:
        return [person for person in self.staff.get(event.organisation_id, ()) if person.role in roles]

    @staticmethod
    async def load(session: AsyncSession, parsed: Sequence[tuple[Event, AppealSnapshot]]) -> "_Facts":
        subjects = {event.subject_id for event, _ in parsed}
        rows = await session.execute(
            select(Appeal.id, Appeal.organisation_id, Appeal.assignee_id).where(Appeal.id.in_(subjects))
        )
        appeals = {row.id: (row.organisation_id, row.assignee_id) for row in rows}
        replies = {
            data.reply_id for _, data in parsed if isinstance(data, events.ReplyRefused | events.ReplyFailed)
        }
        changes = {data.change_id for _, data in parsed if isinstance(data, events.ReplyChangeFailed)}
        reply_authors = await _actors(
            session, select(Reply.id, Reply.author).where(Reply.id.in_(replies)), replies
        )
        change_authors = await _actors(
            session, select(ReplyChange.id, ReplyChange.requested_by).where(ReplyChange.id.in_(changes)), changes
        )
        named = {assignee for _, assignee in appeals.values()} | {
            *reply_authors.values(),
            *change_authors.values(),
        }
        for event, data in parsed:
            named.add(_id(event.actor))
            match data:
                case events.AppealAssigneeChanged():
                    named.add(data.assignee_id)
                case events.AppealNoteAdded():
                    named |= {*data.mentions}
                case events.AppealEscalated():
                    named |= {*data.told}
        people = await _people(session, {event.organisation_id for event, _ in parsed}, named)
        staff: dict[UUID | None, list[Addressee]] = {}
        for person in people:
            staff.setdefault(person.organisation_id, []).append(person)
        return _Facts(
            people={person.id: person for person in people},
            staff=staff,
            appeals=appeals,
            with_assignee=await _assignee_changes(session, parsed),
            reply_authors=reply_authors,
            change_authors=change_authors,
        )


async def _actors(session: AsyncSession, query: Any, ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    if not ids:
        return {}
    return {row[0]: _id(row[1]) for row in await session.execute(query)}


async def _people(
    session: AsyncSession, organisations: Collection[UUID | None], named: Iterable[UUID | None]
) -> list[Addressee]:
    """Return people with access in order of id: staff of these organisations, moderators, and `named`."""
    rows = await session.execute(
        select(Person.id, Person.role, Person.organisation_id)
        .where(
            Person.active,
            Person.locked_at.is_(None),
            or_(
                Person.organisation_id.in_([found for found in organisations if found is not None]),
                and_(Person.organisation_id.is_(None), Person.role == Role.MODERATOR.value),
                Person.id.in_([found for found in named if found is not None]),
            ),
        )
        .order_by(Person.id)
    )
    return [Addressee(row.id, Role(row.role), row.organisation_id) for row in rows]


async def _assignee_changes(
    session: AsyncSession, parsed: Sequence[tuple[Event, AppealSnapshot]]
) -> set[tuple[UUID, datetime]]:
    """Return (appeal id, time) of the assignments and reopenings that set an assignee in the same change."""
    given = {
        (event.subject_id, event.created_at)
        for event, data in parsed
        if isinstance(data, events.AppealAssigned | events.AppealReopened)
    }
    if not given:
        return set()
    # The event of the assignee was committed together with these, so it is visible even if not numbered yet.
    rows = await session.execute(
        select(Event.subject_id, Event.created_at).where(
            Event.subject_id.in_({subject for subject, _ in given}),
            Event.type == _ASSIGNEE_CHANGED,
            Event.data["assignee_id"].astext.is_not(None),
            tuple_(Event.subject_id, Event.created_at).in_(given),
        )
    )
    return {(row.subject_id, row.created_at) for row in rows}


def _id(actor: str) -> UUID | None:
    try:
        return UUID(actor)
    except ValueError:
        return None
