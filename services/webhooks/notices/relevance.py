"""Decide which notices are still relevant, by the current access of the person and state of the appeal and reply.

A notice is recorded when the event happens, and may be sent much later: after a digest's delay, a night or an
outage.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.notices.preferences import suppression_reason
from services.webhooks.notices.reports.published_reports import ReportLine, load_top_sheets, newest_week
from services.webhooks.schemas.notices import NoticeChannel, NoticeKind, NoticeReason
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.report_top_sheet import ReportTopSheet
from shared.database.id_conditions import is_one_of
from shared.logs import get_logger
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_extensions import ExtensionRequest
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.appeals_work import AppealNote
from shared.tables.notices import Notice, NoticeSettings
from shared.tables.registry import Organisation

log = get_logger(__name__)

# A notice still unsent this long after it was due is no longer of use.
TOO_LATE_AFTER = timedelta(days=3)
# A notice that cannot be read is kept this long, so that the program can be corrected meanwhile.
UNREADABLE_AFTER = timedelta(days=7)
# Statuses in which the organisation owes an answer.
_AWAITING = frozenset({"assigned", "in_progress", "interim", "reopened"})


@dataclass(frozen=True)
class Line:
    """The content of one notice of an appeal in a letter. Names come from the registry, the topic from the
    taxonomy.
    """

    notice_id: UUID
    kind: NoticeKind
    event_type: str
    appeal_id: UUID
    number: int
    organisation: str | None
    topic: str | None
    urgent: bool
    due_at: datetime | None
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Relevance:
    """The lines to send, by notice id, and the reasons why other notices are not sent, by notice id."""

    lines: Mapping[UUID, Line | ReportLine]
    suppressed: Mapping[UUID, NoticeReason]


async def check_relevance(
    session: AsyncSession, notices: Sequence[Notice], settings: Mapping[UUID, NoticeSettings], now: datetime
) -> Relevance:
    """Return which of these notices are still relevant; `settings` are the settings of their people.

    A notice that cannot be read because of an error in this program is in neither group until it is too old.
    """
    state = await _State.load(session, notices)
    lines: dict[UUID, Line | ReportLine] = {}
    suppressed: dict[UUID, NoticeReason] = {}
    newest: dict[tuple[object, ...], UUID] = {}
    for notice in sorted(notices, key=lambda found: (found.occurred_at, found.created_at, found.id)):
        try:
            kind = NoticeKind(notice.kind)
            reason = suppression_reason(settings.get(notice.person_id), kind, NoticeChannel(notice.channel))
            if reason is None and now - notice.send_at > TOO_LATE_AFTER:
                reason = NoticeReason.TOO_LATE
            reason = reason or state.refusal(notice)
            line: Line | ReportLine | None = state.line(notice, kind) if reason is None else None
        except Exception:  # no error may stop the notices of other people
            log.exception("notice cannot be read", notice_id=str(notice.id))
            if now - notice.created_at > UNREADABLE_AFTER:
                suppressed[notice.id] = NoticeReason.TOO_LATE
            continue
        if line is None:
            suppressed[notice.id] = reason or NoticeReason.SETTLED
            continue
        # Of notices with the same content only the newest is sent.
        former = newest.get(key := _same_matter(notice))
        if former is not None:
            del lines[former]
            suppressed[former] = NoticeReason.SETTLED
        newest[key], lines[notice.id] = notice.id, line
    return Relevance(lines, suppressed)


def _same_matter(notice: Notice) -> tuple[object, ...]:
    """Return a key that is equal for notices that ask one person for the same thing."""
    details = notice.details
    if notice.kind == NoticeKind.ASSIGNMENT:
        return notice.person_id, notice.kind, notice.appeal_id
    if "clock" in details:
        return notice.person_id, notice.kind, notice.appeal_id, details["clock"], details["due_at"]
    return (notice.id,)


@dataclass(frozen=True)
class _State:
    callers: Mapping[UUID, Caller]
    appeals: Mapping[UUID, Row[Any]]
    organisations: Mapping[UUID, Row[Any]]
    topics: Mapping[UUID, str]
    reply_statuses: Mapping[UUID, str]
    change_statuses: Mapping[UUID, str]
    request_statuses: Mapping[UUID, str]
    notes: Mapping[UUID, Row[Any]]
    reports: Mapping[str, ReportTopSheet]
    newest_report: str | None

    def refusal(self, notice: Notice) -> NoticeReason | None:
        """Return why the notice is no longer sent; None if it is still relevant."""
        caller = self.callers.get(notice.person_id)
        if notice.report_week is not None:
            if caller is None or not caller.may_access(Right.REPORTS_READ, None, ()):
                return NoticeReason.NO_ACCESS
            return None if notice.report_week == self.newest_report else NoticeReason.TOO_LATE
        appeal = None if notice.appeal_id is None else self.appeals.get(notice.appeal_id)
        if caller is None or appeal is None or not self._may_read(caller, appeal.organisation_id):
            return NoticeReason.NO_ACCESS
        if notice.event_type == "appeal.note_added" and not self._may_read_note(caller, notice):
            return NoticeReason.NO_ACCESS
        return NoticeReason.SETTLED if self._is_settled(notice, appeal) else None

    def _may_read(self, caller: Caller, organisation_id: UUID | None) -> bool:
        organisation = None if organisation_id is None else self.organisations[organisation_id]
        lineage = () if organisation is None else organisation.lineage or ()
        return caller.may_access(Right.APPEALS_READ, organisation_id, lineage)

    def _may_read_note(self, caller: Caller, notice: Notice) -> bool:
        note = self.notes.get(UUID(notice.details["note_id"]))
        if note is None:
            return False
        return note.visibility == "everyone_on_appeal" or self._may_read(caller, note.organisation_id)

    def _is_settled(self, notice: Notice, appeal: Row[Any]) -> bool:  # noqa: PLR0911 — one per type
        details = notice.details
        match notice.event_type:
            case "appeal.assigned" | "appeal.assignee_changed" | "appeal.reopened":
                if appeal.organisation_id is None:  # in triage: a person of the centre is the assignee
                    return bool(appeal.status != "triage" or appeal.assignee_id != notice.person_id)
                taken = appeal.assignee_id not in (None, notice.person_id)
                moved = appeal.organisation_id != notice.appeal_organisation_id
                return appeal.status not in _AWAITING or taken or moved
            case "appeal.deadline_near" | "appeal.escalated" | "promise.reminded":
                due_at = datetime.fromisoformat(details["due_at"])
                return appeal.status not in _AWAITING or _awaited(appeal, details["clock"]) != due_at
            case "appeal.moved":
                return bool(appeal.status != "triage")
            case "reply.refused":
                return self.reply_statuses.get(UUID(details["reply_id"])) != "draft"
            case "appeal.note_added":
                return self.notes[UUID(details["note_id"])].deleted_at is not None
            case "reply.approval_requested":
                return self.reply_statuses.get(UUID(details["reply_id"])) != "on_approval"
            case "appeal.extension_requested":
                return self.request_statuses.get(UUID(details["request_id"])) != "open"
            case "reply.failed":
                return self.reply_statuses.get(UUID(details["reply_id"])) != "failed"
            case "reply.change_failed":
                return self.change_statuses.get(UUID(details["change_id"])) != "failed"
        return False

    def line(self, notice: Notice, kind: NoticeKind) -> Line | ReportLine:
        """Return the content of the notice in a letter."""
        if notice.report_week is not None:
            return ReportLine(notice.id, self.reports[notice.report_week])
        assert notice.appeal_id is not None
        assert notice.appeal_number is not None
        appeal = self.appeals[notice.appeal_id]
        organisation = self.organisations.get(appeal.organisation_id)
        due_at = notice.details.get("due_at")
        return Line(
            notice_id=notice.id,
            kind=kind,
            event_type=notice.event_type,
            appeal_id=notice.appeal_id,
            number=notice.appeal_number,
            organisation=None if organisation is None else organisation.short_name or organisation.name,
            topic=self.topics.get(appeal.topic_id),
            urgent=appeal.urgency == "high",
            due_at=datetime.fromisoformat(due_at) if due_at else _next_due_at(appeal),
            details=notice.details,
        )

    @staticmethod
    async def load(session: AsyncSession, notices: Sequence[Notice]) -> "_State":
        appeals = await _by_id(
            session,
            select(
                Appeal.id,
                Appeal.status,
                Appeal.urgency,
                Appeal.organisation_id,
                Appeal.assignee_id,
                Appeal.topic_id,
                Appeal.first_response_at,
                Appeal.first_response_due_at,
                Appeal.next_response_due_at,
                Appeal.final_answer_due_at,
                Appeal.promised_at,
            ),
            Appeal.id,
            {notice.appeal_id for notice in notices},
        )
        notes = await _by_id(
            session,
            select(AppealNote.id, AppealNote.organisation_id, AppealNote.visibility, AppealNote.deleted_at),
            AppealNote.id,
            _ids(notices, "note_id"),
        )
        organisations = await _by_id(
            session,
            select(Organisation.id, Organisation.name, Organisation.short_name, Organisation.lineage),
            Organisation.id,
            {row.organisation_id for row in (*appeals.values(), *notes.values())},
        )
        topics = await _by_id(
            session, select(Topic.id, Topic.name), Topic.id, {row.topic_id for row in appeals.values()}
        )
        replies = await _by_id(session, select(Reply.id, Reply.status), Reply.id, _ids(notices, "reply_id"))
        changes = await _by_id(
            session, select(ReplyChange.id, ReplyChange.status), ReplyChange.id, _ids(notices, "change_id")
        )
        requests = await _by_id(
            session,
            select(ExtensionRequest.id, ExtensionRequest.status),
            ExtensionRequest.id,
            _ids(notices, "request_id"),
        )
        weeks = {notice.report_week for notice in notices if notice.report_week is not None}
        return _State(
            callers=await token_recheck.load_callers(session, {notice.person_id for notice in notices}),
            appeals=appeals,
            organisations=organisations,
            topics={topic_id: row.name for topic_id, row in topics.items()},
            reply_statuses={reply_id: row.status for reply_id, row in replies.items()},
            change_statuses={change_id: row.status for change_id, row in changes.items()},
            request_statuses={request_id: row.status for request_id, row in requests.items()},
            notes=notes,
            reports=await load_top_sheets(session, weeks),
            newest_report=await newest_week(session) if weeks else None,
        )


def _ids(notices: Sequence[Notice], name: str) -> set[UUID | None]:
    return {UUID(notice.details[name]) for notice in notices if name in notice.details}


async def _by_id(
    session: AsyncSession, query: Any, column: Any, ids: Collection[UUID | None]
) -> dict[UUID, Row[Any]]:
    wanted = [found for found in ids if found is not None]
    if not wanted:
        return {}
    return {row.id: row for row in await session.execute(query.where(is_one_of(column, wanted)))}


def _awaited(appeal: Row[Any], clock: str) -> datetime | None:
    """Return the deadline that the clock has now; None if it awaits nothing."""
    deadlines: dict[str, datetime | None] = {
        "first_response": appeal.first_response_due_at if appeal.first_response_at is None else None,
        "next_response": appeal.next_response_due_at,
        "final_answer": appeal.final_answer_due_at,
        "promise": appeal.promised_at,
    }
    return deadlines.get(clock)


def _next_due_at(appeal: Row[Any]) -> datetime | None:
    if appeal.status not in _AWAITING and appeal.status != "triage":
        return None
    for clock in ("first_response", "next_response", "promise", "final_answer"):
        if (due_at := _awaited(appeal, clock)) is not None:
            return due_at
    return None
