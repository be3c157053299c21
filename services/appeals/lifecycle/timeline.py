"""Recording of what happens to appeals: timeline entries, events, assignments and alerts.

Records are collected in memory and written together, in the transaction of the change.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.util import identity_key
from typing_extensions import TypeAliasType

from services.appeals import jobs
from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.alerts import raising
from services.appeals.assignees.directory import ActorNames
from services.appeals.assignees.selection import choose_assignees
from services.appeals.lifecycle import extension_endings, unread_marks
from shared import clock
from shared.contracts.appeal_events import AppealAssigneeChanged, AppealExtensionEnded, AppealSnapshot
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from shared.tables.appeals import Appeal, Assignment, TimelineEntry
from shared.tables.appeals_feedback import FeedbackRound

TimelineEntryKind = TypeAliasType(
    "TimelineEntryKind",
    Literal[
        "opened", "routed", "triage_decided", "assigned", "assignee_changed", "moved", "rerouted", "reopened",
        "overdue", "topic_changed", "location_changed", "urgency_changed", "message_added", "message_edited",
        "message_deleted", "reply_queued", "reply_corrected", "reply_recognised", "reply_failed", "answered",
        "promise_made", "promise_kept", "promise_moved", "promise_broken", "promise_reminded",
        "incident_joined", "incident_left", "incident_reply_skipped", "reply_approval_requested",
        "reply_approved", "reply_refused", "reply_discarded", "reply_lease_taken_over",
        "clarified", "other_matter_suggested", "other_matter_kept", "split_off",
        "clock_paused", "clock_resumed", "deadline_changed", "deadline_near", "escalated",
        "extension_requested", "extension_approved", "extension_refused", "extension_withdrawn",
        "extension_ended",
        "merged", "merged_in", "unmerged", "feedback_received", "feedback_corrected",
        "reply_edited", "reply_withdrawn", "reply_change_failed", "tags_changed",
        "partner_status", "partner_answer_proposed",
    ],
)  # fmt: skip


_SNAPSHOT_FIELDS = tuple(name for name in AppealSnapshot.model_fields if name != "version")


def event_snapshot(appeal: Appeal) -> dict[str, Any]:
    """Return the fields of every event about an appeal: its current state, without the version, which is known
    only after the flush.
    """
    return {name: getattr(appeal, name) for name in _SNAPSHOT_FIELDS}


class AppealRecorder:
    """Collects timeline entries, events, assignments and alerts in order, until `write` stores them."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._events: list[NewEvent] = []
        self._assignments: list[dict[str, Any]] = []
        self._alerts: dict[str, list[tuple[Appeal, str]]] = {}
        self._feedback_rounds: list[FeedbackRound] = []
        self._awaiting_assignee: dict[UUID, Appeal] = {}
        self._assigned_members: set[UUID] = set()
        self._changed: dict[UUID, Appeal] = {}
        self._with_message: dict[UUID, tuple[Appeal, str]] = {}
        self._unread: list[unread_marks.Mark] = []

    def add_timeline_entry(
        self,
        appeal: Appeal,
        kind: TimelineEntryKind,
        actor: str = SYSTEM_ACTOR,
        *,
        at: datetime | None = None,
        **data: Any,
    ) -> None:
        """Add an entry to the appeal's timeline."""
        self._changed[appeal.id] = appeal
        if kind in unread_marks.MESSAGE_KINDS:
            self._with_message[appeal.id] = (appeal, actor)
        self._entries.append(
            {
                "id": new_id(),
                "appeal_id": appeal.id,
                "at": at or clock.now(),
                "kind": kind,
                "actor": actor,
                "data": data,
            }
        )

    def add_event(
        self, data: AppealSnapshot, actor: str = SYSTEM_ACTOR, *, recipient_organisation_id: UUID | None = None
    ) -> None:
        """Add an event about an appeal, for its organisation or for `recipient_organisation_id`."""
        self._events.append(
            NewEvent(
                data=data,
                subject_id=data.id,
                organisation_id=recipient_organisation_id or data.organisation_id,
                actor=actor,
            )
        )

    def add_assignment(
        self,
        appeal: Appeal,
        kind: str,
        actor: str,
        *,
        from_organisation_id: UUID | None,
        to_organisation_id: UUID | None,
        rule_id: UUID | None = None,
        reason: str | None = None,
    ) -> None:
        """Add an assignment of the appeal from one organisation to another; None means the centre."""
        self._assignments.append(
            {
                "id": new_id(),
                "appeal_id": appeal.id,
                "at": clock.now(),
                "kind": kind,
                "from_organisation_id": from_organisation_id,
                "to_organisation_id": to_organisation_id,
                "rule_id": rule_id,
                "reason": reason,
                "actor": actor,
            }
        )

    def assignment_ids(self, appeal: Appeal) -> list[UUID]:
        """Return the ids of the appeal's assignments that `write` will store."""
        return [one["id"] for one in self._assignments if one["appeal_id"] == appeal.id]

    def add_alert(self, kind: str, appeal: Appeal, why: str) -> None:
        """Add an alert about the appeal, with its reason."""
        self._alerts.setdefault(kind, []).append((appeal, why))

    def await_feedback(
        self, appeal: Appeal, reply_id: UUID, *, answered_at: datetime, silent_after: datetime
    ) -> None:
        """Open a feedback round for a final answer; feedback on earlier answers is no longer awaited."""
        appeal.feedback_kind = None
        self._feedback_rounds.append(
            FeedbackRound(
                id=new_id(),
                appeal_id=appeal.id,
                reply_id=reply_id,
                answered_at=answered_at,
                silent_after=silent_after,
            )
        )

    def queue_assignee_choice(self, appeal: Appeal) -> None:
        """Let `write` choose a new assignee, unless the current assignee may do the next step."""
        self._awaiting_assignee[appeal.id] = appeal

    def queue_incident_replies(self, appeal: Appeal) -> None:
        """Let `write` enqueue the job that gives the appeal, if it is in an incident, the replies of its new
        organisation to the incident.
        """
        if appeal.incident_id is not None:
            self._assigned_members.add(appeal.id)

    def change_assignee(
        self, appeal: Appeal, person_id: UUID | None, actor: str = SYSTEM_ACTOR, *, reason: str | None = None
    ) -> None:
        """Set the assignee of an appeal, and add a timeline entry, an event and an unread mark."""
        previous, appeal.assignee_id = appeal.assignee_id, person_id
        appeal.updated_at = clock.now()
        self.add_timeline_entry(
            appeal,
            "assignee_changed",
            actor,
            assignee_id=str(person_id) if person_id is not None else None,
            previous_assignee_id=str(previous) if previous is not None else None,
            reason=reason,
        )
        changed = AppealAssigneeChanged(
            **event_snapshot(appeal), assignee_id=person_id, previous_assignee_id=previous
        )
        self.add_event(changed, actor)
        self.mark_unread(appeal, person_id, "assigned", actor)

    def mark_unread(
        self, appeal: Appeal, person_id: UUID | None, reason: unread_marks.UnreadReason, actor: str
    ) -> None:
        """Mark the appeal as unread for a person, unless `actor`, who caused it, is that person."""
        if person_id is not None and str(person_id) != actor:
            self._unread.append((person_id, appeal.id, reason))

    async def choose_assignees(self, session: WriteSession) -> None:
        """Choose the assignees of the appeals passed to `queue_assignee_choice` now instead of in `write`. Nothing
        is flushed, so that a change and the choice that follows from it make one version.
        """
        with session.no_autoflush:
            for choice in await choose_assignees(session, self._awaiting_assignee.values()):
                self.change_assignee(choice.appeal, choice.person_id, reason=choice.reason)
        self._awaiting_assignee = {}

    async def write(self, session: WriteSession) -> None:
        """Write everything collected. Before that, choose assignees, flush the appeals, and end extension requests
        that became pointless.
        """
        await self.choose_assignees(session)
        await session.flush()
        await self._end_extension_requests(session)
        await insert_rows(session, TimelineEntry, self._entries)
        await insert_rows(session, Assignment, self._assignments)
        await self._write_feedback_rounds(session)
        await emit(session, *await self._versioned_events(session))
        await self._write_unread_marks(session)
        if self._assigned_members:
            payload = {"appeal_ids": sorted(map(str, self._assigned_members))}
            await jobs.queue.enqueue(session, jobs.REPLY_TO_ASSIGNED_MEMBERS, payload)
        for kind, appeals in self._alerts.items():
            await raising.raise_for_appeals(session, kind, appeals)
        self._entries, self._events, self._assignments, self._alerts = [], [], [], {}
        self._changed, self._assigned_members = {}, set()

    async def _versioned_events(self, session: WriteSession) -> list[NewEvent]:
        """Return the events, completed with the versions of their appeals after the change."""
        if not self._events:
            return []
        await session.flush()
        versions = await _current_versions(session, {event.subject_id for event in self._events})
        return [
            replace(event, data=event.data.model_copy(update={"version": versions[event.subject_id]}))
            for event in self._events
        ]

    def end_extension_requests(self, appeal: Appeal) -> None:
        """Let `write` end the open extension requests of the appeal that can no longer be approved. For appeals
        with a timeline entry it does so anyway.
        """
        self._changed[appeal.id] = appeal

    async def _end_extension_requests(self, session: WriteSession) -> None:
        for ended in await extension_endings.end_requests(session, self._changed.values()):
            appeal, request = ended.appeal, ended.request
            self.add_timeline_entry(
                appeal, "extension_ended", request_id=str(request.id), clock=request.clock, reason=ended.reason
            )
            event = AppealExtensionEnded(
                **event_snapshot(appeal),
                request_id=request.id,
                clock=request.clock,
                extension_seconds=request.extension_seconds,
                reason=ended.reason,
            )
            # The organisation that made the request may have lost the appeal.
            self.add_event(event, recipient_organisation_id=request.organisation_id)

    async def _write_unread_marks(self, session: WriteSession) -> None:
        marks = await unread_marks.message_marks(session, list(self._with_message.values()))
        await unread_marks.mark_unread(session, [*marks, *self._unread])
        self._with_message, self._unread = {}, []

    async def _write_feedback_rounds(self, session: WriteSession) -> None:
        rounds, self._feedback_rounds = self._feedback_rounds, []
        if not rounds:
            return
        by_reply = {row.reply_id: row for row in rounds}
        existing = await session.scalars(
            select(FeedbackRound).where(
                FeedbackRound.appeal_id.in_({row.appeal_id for row in rounds}),
                or_(FeedbackRound.ended_at.is_(None), FeedbackRound.reply_id.in_(by_reply)),
            )
        )
        for row in existing:
            # The round of a reply that was deleted in the network and restored goes on, unless it has feedback.
            is_continued = by_reply.pop(row.reply_id, None) is not None
            if not is_continued:
                row.ended_at = clock.now()
            elif row.kind is None:
                row.ended_at = None
        session.add_all(by_reply.values())
        await session.flush()


async def _current_versions(session: WriteSession, appeal_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the versions of flushed appeals by id; appeals loaded in the session are not read again."""
    known = (session.identity_map.get(identity_key(Appeal, appeal_id)) for appeal_id in appeal_ids)
    versions = {appeal.id: appeal.version for appeal in known if appeal is not None}
    if missing := [appeal_id for appeal_id in appeal_ids if appeal_id not in versions]:
        rows = await session.execute(select(Appeal.id, Appeal.version).where(Appeal.id.in_(missing)))
        versions |= {row.id: row.version for row in rows}
    return versions


# Built once: building the statement takes longer than executing it.
_TIMELINE = (
    select(TimelineEntry)
    .where(TimelineEntry.appeal_id == bindparam("appeal_id"))
    .order_by(TimelineEntry.at, TimelineEntry.id)
)


async def timeline_of(session: AsyncSession, appeal_id: UUID) -> Sequence[TimelineEntry]:
    """Return the appeal's timeline, oldest first."""
    return list(await session.scalars(_TIMELINE, {"appeal_id": appeal_id}))


async def last_change(session: AsyncSession, appeal_id: UUID) -> dict[str, Any] | None:
    """Return the last change of the appeal, or None: {"kind", "actor" with name, "at", "reply_id"?}."""
    entry = await session.scalar(
        select(TimelineEntry)
        .where(TimelineEntry.appeal_id == appeal_id)
        .order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
        .limit(1)
    )
    if entry is None:
        return None
    reply = {"reply_id": entry.data["reply_id"]} if "reply_id" in entry.data else {}
    actor = (await ActorNames.load(session, [entry.actor])).ref(entry.actor).model_dump(mode="json")
    return {"kind": entry.kind, "actor": actor, "at": entry.at.isoformat()} | reply
