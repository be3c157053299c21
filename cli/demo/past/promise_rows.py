"""Promises of made-up interim replies: kept, moved or broken."""

from datetime import UTC, datetime
from uuid import UUID

from cli.demo.past.appeal_draft import AppealDraft
from cli.demo.past.fates import PlannedReply
from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.lifecycle.timeline import TimelineEntryKind
from services.appeals.promises.promise_lifecycle import promise_status
from shared.tables.appeals_replies import Promise

_ENTRIES: dict[str, TimelineEntryKind] = {
    "kept": "promise_kept",
    "moved": "promise_moved",
    "broken": "promise_broken",
}


class PromiseRows:
    """The promises of one appeal; at most one is open."""

    def __init__(self, draft: AppealDraft) -> None:
        self._draft = draft
        self._last: Promise | None = None

    def apply_reply(self, planned: PlannedReply, reply_id: UUID, actor: str, at: datetime) -> None:
        """End the promise that the reply keeps or moves, and start the promise that the reply makes."""
        promise, self._last = self._last, None
        if promise is not None:
            if promise.status == "open":
                self._end(promise, promise_status(promise.promised_at, planned.kind, at), at, actor)
            promise.final_reply_at = at if planned.kind == "final" else None
            self._draft.at.writer.add_object(promise)
        if planned.promised_at is not None:
            self._last = Promise(
                id=self._draft.at.ids.new(at),
                appeal_id=self._draft.appeal.id,
                organisation_id=self._draft.appeal.organisation_id,
                reply_id=reply_id,
                promised_at=planned.promised_at.astimezone(UTC),
                made_at=at,
                status="open",
                created_at=at,
                updated_at=at,
            )
            self._note(self._last, "promise_made", at, actor)

    def break_before(self, moment: datetime) -> datetime | None:
        """Mark the open promise as broken if its date is before this moment; return the date, or None."""
        promise = self._last
        if promise is None or promise.status != "open" or promise.promised_at >= moment:
            return None
        self._end(promise, "broken", promise.promised_at, SYSTEM_ACTOR)
        return promise.promised_at

    def finish(self) -> None:
        """Add the row of the last promise, which no reply has followed."""
        if self._last is not None:
            self._draft.at.writer.add_object(self._last)

    def _end(self, promise: Promise, status: str, at: datetime, actor: str) -> None:
        promise.status, promise.ended_at, promise.updated_at = status, at, at
        self._note(promise, _ENTRIES[status], at, actor)

    def _note(self, promise: Promise, kind: TimelineEntryKind, at: datetime, actor: str) -> None:
        promised_at = promise.promised_at.isoformat()
        self._draft.note(at, kind, actor, promise_id=str(promise.id), promised_at=promised_at)
