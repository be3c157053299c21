"""Store the outcomes of letters: for the letter, its notices and the address."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import select

from services.webhooks.notices import preferences
from services.webhooks.notices.mail.leases import Claim
from services.webhooks.notices.mail.transport import (
    MAILBOX_FULL,
    TOO_LARGE_FOR_ALL,
    TOO_LARGE_FOR_MAILBOX,
    Attempt,
    Outcome,
)
from services.webhooks.schemas.notices import NoticeChannel, NoticeReason, NoticeStatus
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.tables.notices import Notice, NoticeLetter, NoticeSettings

# Delays after the first, second, … temporary refusal by the mail server; after the last one the letter fails.
RETRY_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 120, 240, 480))
_BATCH = 1000
# Delay after an outage of the mail server, and before a letter is sent again without its PDF.
UNAVAILABLE_DELAY = timedelta(minutes=1)
# Refusals for size, which do not count against the address if the letter contains a report.
_SIZE_STATUSES = (TOO_LARGE_FOR_ALL, TOO_LARGE_FOR_MAILBOX, MAILBOX_FULL)
NOTICES = Counter("gospablik_notices_total", "Notices by their outcome", ["kind", "outcome"])
LETTERS = Counter("gospablik_notice_letters_total", "Letters by the outcome of an attempt", ["outcome"])


async def record_attempt(database: Database, claim: Claim, attempt: Attempt) -> None:
    """Store the outcome of an attempt for the letter, its notices and the address."""
    LETTERS.labels(attempt.outcome.value).inc()
    if attempt.outcome is Outcome.NOT_OURS:
        return
    async with database.write() as session:
        settings = await session.scalar(
            select(NoticeSettings).where(NoticeSettings.person_id == claim.person_id).with_for_update()
        )
        letter = await session.scalar(
            select(NoticeLetter).where(NoticeLetter.id == claim.letter_id).with_for_update()
        )
        if letter is None or letter.lease_id != claim.lease_id or letter.status not in ("waiting", "sending"):
            return
        notices = (
            await session.scalars(
                select(Notice).where(Notice.letter_id == letter.id, Notice.status.in_(["waiting", "sending"]))
            )
        ).all()
        letter.leased_until, letter.smtp_status = None, attempt.smtp_status
        letter.attempts = claim.attempts + (attempt.outcome is not Outcome.UNAVAILABLE)
        await _record(session, letter, notices, settings, attempt)
        if letter.purpose == "replaced" and letter.status != "waiting" and settings is not None:
            settings.former_address = None


async def _record(
    session: WriteSession,
    letter: NoticeLetter,
    notices: Sequence[Notice],
    settings: NoticeSettings | None,
    attempt: Attempt,
) -> None:
    now = clock.now()
    match attempt.outcome:
        case Outcome.SENT:
            letter.status, letter.sent_at = "sent", now
            await record_outcome(session, notices, NoticeStatus.SENT, None)
        case Outcome.UNAVAILABLE | Outcome.TOO_LARGE:
            await _try_later(session, letter, notices, now + UNAVAILABLE_DELAY)
        case Outcome.LATER if letter.attempts <= len(RETRY_DELAYS):
            await _try_later(session, letter, notices, now + RETRY_DELAYS[letter.attempts - 1])
        case Outcome.LATER:
            await fail(session, letter, notices, NoticeReason.UNDELIVERABLE)
        case Outcome.UNCERTAIN:
            await fail(session, letter, notices, NoticeReason.UNCERTAIN)
        case Outcome.ADDRESS_REFUSED | Outcome.REFUSED:
            await fail(session, letter, notices, NoticeReason.REFUSED)
            if attempt.outcome is Outcome.ADDRESS_REFUSED:
                _count_bounce(settings, letter, notices)


async def suppress_waiting(database: Database) -> int:
    """Suppress all notices that wait for e-mail, because sending e-mail is switched off; return how many."""
    count = 0
    while True:
        async with database.write() as session:
            notices = (
                await session.scalars(
                    select(Notice)
                    .where(
                        Notice.status == NoticeStatus.WAITING.value,
                        Notice.channel == NoticeChannel.EMAIL.value,
                    )
                    .order_by(Notice.created_at, Notice.id)
                    .limit(_BATCH)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            await record_outcome(session, notices, NoticeStatus.SUPPRESSED, NoticeReason.EMAIL_OFF)
        count += len(notices)
        if len(notices) < _BATCH:
            return count


async def record_bounce(session: WriteSession, letter_id: UUID, smtp_status: str) -> bool:
    """Store that a letter bounced; return False if there is no such letter or its bounce was already stored."""
    person_id = await session.scalar(select(NoticeLetter.person_id).where(NoticeLetter.id == letter_id))
    if person_id is None:
        return False
    settings = await session.scalar(
        select(NoticeSettings).where(NoticeSettings.person_id == person_id).with_for_update()
    )
    letter = await session.get_one(NoticeLetter, letter_id, with_for_update=True)
    if letter.reason == NoticeReason.BOUNCED:
        return False
    notices = (
        await session.scalars(
            select(Notice).where(Notice.letter_id == letter_id, Notice.status != NoticeStatus.SUPPRESSED.value)
        )
    ).all()
    letter.smtp_status = smtp_status
    await fail(session, letter, notices, NoticeReason.BOUNCED)
    _count_bounce(settings, letter, notices)
    return True


def _count_bounce(settings: NoticeSettings | None, letter: NoticeLetter, notices: Sequence[Notice]) -> None:
    """Count a refused letter against the address, unless it is a report refused for its size or a full mailbox."""
    is_report = any(notice.report_week is not None for notice in notices)
    is_size = is_report and (letter.smtp_status or "").endswith(_SIZE_STATUSES)
    if settings is not None and not is_size:
        preferences.count_bounce(settings, letter)


async def _try_later(
    session: WriteSession, letter: NoticeLetter, notices: Sequence[Notice], moment: datetime
) -> None:
    letter.status, letter.next_attempt_at = "waiting", moment
    for notice in notices:
        notice.status = NoticeStatus.WAITING.value
    await session.flush()


async def fail(
    session: WriteSession, letter: NoticeLetter, notices: Sequence[Notice], reason: NoticeReason
) -> None:
    """Mark the letter and its notices as failed for this reason."""
    letter.status, letter.reason = "failed", reason.value
    await record_outcome(session, notices, NoticeStatus.FAILED, reason)


async def record_outcome(
    session: WriteSession, notices: Sequence[Notice], status: NoticeStatus, reason: NoticeReason | None
) -> None:
    """Store the outcome of notices, and count it in the metrics."""
    now = clock.now()
    for notice in notices:
        notice.status, notice.reason = status.value, None if reason is None else reason.value
        if status is NoticeStatus.SENT:
            notice.sent_at = now
        NOTICES.labels(notice.kind, status.value).inc()
    await session.flush()
