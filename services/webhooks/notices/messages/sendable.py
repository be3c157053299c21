"""Which notices may be sent as a message now: still relevant, and within the working hours of their people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.webhooks.notices.mail.claims import UNREADABLE_DELAY
from services.webhooks.notices.mail.outcomes import record_outcome
from services.webhooks.notices.messages.notice_text import message_text
from services.webhooks.notices.preferences import may_wake, settings_of
from services.webhooks.notices.relevance import Line, check_relevance
from services.webhooks.notices.reports.published_reports import ReportLine
from services.webhooks.notices.schedule import WorkingHours, next_working_moment
from services.webhooks.schemas.notices import NoticeKind, NoticeReason, NoticeStatus
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.notices import Notice


@dataclass(frozen=True)
class Sendable:
    """By notice id: the lines to send now, when others may be sent, and why the rest is no longer sent."""

    lines: Mapping[UUID, Line | ReportLine]
    later: Mapping[UUID, datetime]
    suppressed: Mapping[UUID, NoticeReason]
    hours: WorkingHours

    @staticmethod
    async def load(session: WriteSession, notices: Sequence[Notice]) -> "Sendable":
        """Return which notices may be sent, by the current state. One that a bug makes unreadable waits."""
        now = clock.now()
        settings = await settings_of(session, {notice.person_id for notice in notices})
        hours = await WorkingHours.load(session, {notice.organisation_id for notice in notices})
        relevance = await check_relevance(session, notices, settings, now)
        lines: dict[UUID, Line | ReportLine] = {}
        later: dict[UUID, datetime] = {}
        for notice in notices:
            if notice.id in relevance.suppressed:
                continue
            if notice.id not in relevance.lines:
                later[notice.id] = now + UNREADABLE_DELAY
                continue
            opens = next_working_moment(hours.of(notice.organisation_id), now)
            person = settings.get(notice.person_id)
            if opens <= now or may_wake(person, NoticeKind(notice.kind), notice.details):
                lines[notice.id] = relevance.lines[notice.id]
            else:
                later[notice.id] = opens
        return Sendable(lines, later, relevance.suppressed, hours)

    def text(self, notices: Sequence[Notice], front_end_url: str) -> str:
        """Return the text of a message to one person with these notices, which may be sent now."""
        lines = [self.lines[notice.id] for notice in notices]
        zone = self.hours.of(notices[0].organisation_id).zone
        return message_text(lines, front_end_url=front_end_url, zone=zone, now=clock.now())


async def leave_out(session: WriteSession, notices: Sequence[Notice], sendable: Sendable) -> list[Notice]:
    """Suppress the outdated notices and postpone those for later; return the others."""
    kept: list[Notice] = []
    outdated: dict[NoticeReason, list[Notice]] = {}
    for notice in notices:
        if (reason := sendable.suppressed.get(notice.id)) is not None:
            outdated.setdefault(reason, []).append(notice)
        elif (send_at := sendable.later.get(notice.id)) is not None:
            notice.send_at, notice.status, notice.letter_id = send_at, NoticeStatus.WAITING.value, None
        else:
            kept.append(notice)
    for reason, ended in outdated.items():
        await record_outcome(session, ended, NoticeStatus.SUPPRESSED, reason)
    return kept
