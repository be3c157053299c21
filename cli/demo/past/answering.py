"""Replies to made-up appeals and their effects: clocks, promises, the citizen's feedback.

Deadlines are real: the functions of the appeals service start and stop the clocks.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from cli.demo.past import fates
from cli.demo.past.appeal_draft import MADE_UP_WHY, AppealDraft
from cli.demo.past.fates import PlannedReply, PlannedWord
from cli.demo.past.promise_rows import PromiseRows
from services.appeals.actors import NETWORK_ACTOR, SYSTEM_ACTOR
from services.appeals.feedback.feedback_reading import READ_BY_RULE
from services.appeals.lifecycle.workflow import status_after_reply
from services.appeals.replies.checks.check_text import check_reply
from services.appeals.replies.checks.hints import ReplyContext
from services.appeals.sla import clocks
from services.appeals.sla.clock_rows import ClockKind, unfinished
from services.appeals.sla.deadlines import counting_calendar
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.ingest import Message
from shared.working_time import add_working_time

_NOT_SOLVED = "Гражданин пишет, что вопрос не решён"
_KEPT_CLOCK = "ответ дан, но вопрос не решён"
_SECOND_ANSWER_SHARE = 0.92
_KINDS: tuple[ClockKind, ...] = ("first_response", "next_response", "final_answer")


class Answering:
    """Writes the replies to one assigned appeal and their effects up to `now`."""

    def __init__(self, draft: AppealDraft) -> None:
        self._draft, self._at, self._appeal = draft, draft.at, draft.appeal
        self._sla = draft.at.region.sla
        self._promises = PromiseRows(draft)
        self._round: FeedbackRound | None = None

    def answer(self) -> None:
        """Answer the appeal; a dissatisfied citizen may get a second answer."""
        rng, owner = self._at.rng, self._draft.owner
        first_at = self._next_answer("first_response")
        replies = fates.planned_replies(rng, owner.quality, self._draft.matter, first_at, self._draft.street)
        for reply in replies:
            if reply.at >= self._at.now:
                return
            self._reply(reply)
        word = fates.word_after(rng, replies[-1])
        if self._appeal.network is None or word is None or word.at >= self._at.now:
            return
        self._add_feedback(word)
        if word.kind == "not_solved" and rng.random() < _SECOND_ANSWER_SHARE:
            moment = self._next_answer("next_response")
            if moment < self._at.now:
                self._reply(fates.final_reply(rng, 1.0, self._draft.matter, moment, self._draft.street))

    def _next_answer(self, kind: ClockKind) -> datetime:
        clock = unfinished(self._appeal, kind)
        assert clock is not None
        assert clock.started_at is not None
        assert clock.target_seconds is not None
        owner = self._draft.owner
        calendar = self._sla.calendars.for_organisation(owner.id).working
        target = timedelta(seconds=clock.target_seconds)
        return fates.first_reply_at(self._at.rng, owner.quality, calendar, clock.started_at, target)

    def _reply(self, planned: PlannedReply) -> None:
        appeal, draft, ids = self._appeal, self._draft, self._at.ids
        author = self._at.region.author
        in_network = appeal.network is not None and (planned.in_network or author is None)
        actor = NETWORK_ACTOR if in_network else author or SYSTEM_ACTOR
        at = planned.at.astimezone(UTC)
        self.note_overdue(at)
        reply_id = ids.new(at)
        origin = "recorded" if appeal.network is None else "network" if in_network else "gospablik"
        publication_id = ids.new(at) if origin == "gospablik" else None
        message = self._published(planned, at, publication_id)
        if message is not None and publication_id is not None:
            self._at.network.add_publication(appeal, message, reply_id, actor, in_reply_to=draft.message)
        self._at.writer.add(
            "replies",
            id=reply_id,
            appeal_id=appeal.id,
            origin=origin,
            kind=planned.kind,
            text=planned.text,
            outcome=planned.outcome,
            status="published",
            author=actor,
            promised_at=planned.promised_at,
            publication_id=publication_id,
            in_reply_to=draft.message.id if draft.message is not None else None,
            message_id=message.id if message is not None and in_network else None,
            url=message.url if message is not None else None,
            channel="system" if origin == "recorded" else None,
            published_at=at,
            submitted_at=at if origin == "gospablik" else None,
            created_at=at,
            updated_at=at,
        )
        if origin == "gospablik":
            self._add_version(planned, reply_id, actor, at)
        on_time = self._stop_clocks(planned, reply_id, actor, at)
        draft.note(
            at,
            "answered",
            actor,
            reply_kind=planned.kind,
            reply_id=str(reply_id),
            origin=origin,
            published_at=at.isoformat(),
            on_time=on_time,
            url=message.url if message is not None else None,
        )
        self._promises.apply_reply(planned, reply_id, actor, at)

    def _published(self, planned: PlannedReply, at: datetime, publication_id: UUID | None) -> Message | None:
        if self._appeal.network is None:
            return None
        return self._at.network.message(
            self._appeal, planned.text, at, at, from_community=True, publication_id=publication_id
        )

    def _add_version(self, planned: PlannedReply, reply_id: UUID, actor: str, at: datetime) -> None:
        topics = self._at.region.topic_names.get(self._draft.matter.topic, ())
        context = ReplyContext(self._appeal.text, topic_names=topics, outcome=planned.outcome)
        hints = check_reply(planned.text, planned.kind, context)
        self._at.writer.add(
            "reply_versions",
            id=self._at.ids.new(at),
            reply_id=reply_id,
            number=1,
            kind=planned.kind,
            text=planned.text,
            promised_at=planned.promised_at,
            author=actor,
            hints=[hint.stored() for hint in hints],
            created_at=at,
            saved_at=at,
        )

    def _stop_clocks(self, planned: PlannedReply, reply_id: UUID, actor: str, at: datetime) -> bool | None:
        appeal = self._appeal
        is_final = planned.kind == "final"
        on_time = clocks.stop_clocks(appeal, at, self._sla, actor, is_final=is_final)
        appeal.status = status_after_reply(appeal.status, planned.kind)
        clocks.set_promise(appeal, planned.promised_at if appeal.status == "interim" else None, self._sla)
        appeal.overdue_recorded_at = None
        if is_final:
            appeal.outcome, appeal.feedback_kind = planned.outcome, None
            appeal.final_answer_at = appeal.final_answer_at or at
            self._await_feedback(reply_id, at)
        return on_time

    def _await_feedback(self, reply_id: UUID, at: datetime) -> None:
        owner = self._draft.owner
        calendar = counting_calendar(self._sla.calendars.for_organisation(owner.id), "working")
        window = timedelta(hours=self._at.region.feedback_window_hours)
        self._end_round()
        self._round = FeedbackRound(
            id=self._at.ids.new(at),
            appeal_id=self._appeal.id,
            reply_id=reply_id,
            answered_at=at,
            silent_after=add_working_time(calendar.working, at, window)[0],
            created_at=at,
            updated_at=at,
        )

    def _end_round(self) -> None:
        if self._round is not None:
            self._at.writer.add_object(self._round)

    def _add_feedback(self, word: PlannedWord) -> None:
        """Add the citizen's feedback about the last answer; a dissatisfied citizen reopens the appeal."""
        appeal, row, at = self._appeal, self._round, word.at.astimezone(UTC)
        assert row is not None
        message = self._draft.add_message(word.text, at, at, "no")
        row.kind, row.mark, row.message_id, row.said_at, row.ended_at = word.kind, word.mark, message.id, at, at
        row.reason, row.read_by, row.updated_at = MADE_UP_WHY, READ_BY_RULE, at
        appeal.feedback_kind = word.kind
        self._draft.note(at, "message_added", message_id=str(message.id), needs_answer="no")
        self._note_feedback(row, at)
        if word.kind == "not_solved":
            clocks.await_reply(appeal, self._sla, message_id=message.id, written_at=at, received_at=at)
            appeal.outcome, appeal.status = None, "reopened"
            clocks.start_next_response_clock(appeal, self._sla, SYSTEM_ACTOR, keeps_final_answer=_KEPT_CLOCK)
            deadline = clocks.next_response_text(appeal, self._sla)
            self._draft.note(at, "reopened", status="reopened", reason=_NOT_SOLVED, deadline=deadline)

    def _note_feedback(self, row: FeedbackRound, at: datetime) -> None:
        self._draft.note(
            at,
            "feedback_received",
            feedback=row.kind,
            mark=row.mark,
            reason=row.reason,
            reply_id=str(row.reply_id),
            message_id=str(row.message_id) if row.message_id is not None else None,
        )

    def note_overdue(self, until: datetime) -> None:
        """Record the clocks and the promise that became overdue before this moment."""
        appeal = self._appeal
        broken_at = self._promises.break_before(until)
        appeal.overdue_recorded_at = broken_at or appeal.overdue_recorded_at
        for kind in _KINDS:
            clock = unfinished(appeal, kind)
            if clock is None or clock.due_at is None or clock.due_at >= until or clock.overdue_recorded_at:
                continue
            clock.overdue_recorded_at = clock.due_at
            if kind != "final_answer":
                appeal.overdue_recorded_at = clock.due_at
            self._draft.note(clock.due_at, "overdue", clock=kind, due_at=clock.due_at.isoformat(), deadline=None)

    def finish(self) -> None:
        """Add the rows of the last promise and the last feedback round, which no reply has ended."""
        self._promises.finish()
        row = self._round
        if row is not None and row.ended_at is None and row.silent_after < self._at.now:
            row.ended_at = row.updated_at = row.silent_after
            row.kind, row.read_by, row.reason = "silence", READ_BY_RULE, "Отзыва не было"
            self._appeal.feedback_kind = "silence"
            self._note_feedback(row, row.silent_after)
        self._end_round()
