"""Make messages from the notices that are due in a network: one for each person and network."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.webhooks.notices.mail.claims import MAX_NOTICES, UNREADABLE_DELAY, lock_due_people, waiting_notices
from services.webhooks.notices.mail.outcomes import record_outcome
from services.webhooks.notices.messages import accounts, message_letters
from services.webhooks.notices.messages.notice_text import message_text
from services.webhooks.notices.preferences import may_wake, settings_of
from services.webhooks.notices.relevance import Relevance, check_relevance
from services.webhooks.notices.schedule import WorkingHours, next_working_moment
from services.webhooks.schemas.notices import AccountState, NoticeChannel, NoticeKind, NoticeStatus
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.tables.notices import Notice, NoticeAccount, NoticeSettings

_PEOPLE = 20
_IN_NETWORKS = Notice.channel != NoticeChannel.EMAIL.value


async def write_due_messages(database: Database, front_end_url: str) -> int:
    """Store the messages that are due, and commit; return how many people had due notices.

    Outdated notices are suppressed. Notices for an account that is no longer linked wait for the next e-mail.
    """
    now = clock.now()
    async with database.write() as session:
        people = await lock_due_people(session, _PEOPLE, now, _IN_NETWORKS)
        due = await _due_of(session, people, now)
        every = [notice for notices in due.values() for notice in notices]
        settings = await settings_of(session, people)
        hours = await WorkingHours.load(session, {notice.organisation_id for notice in every})
        relevance = await check_relevance(session, every, settings, now)
        await _sort_out(session, every, relevance, now)
        for person_id, notices in due.items():
            sendable = [notice for notice in notices if notice.id in relevance.lines]
            sendable = _sendable_now(sendable, settings.get(person_id), hours)
            by_channel: dict[str, list[Notice]] = {}
            for notice in sendable:
                by_channel.setdefault(notice.channel, []).append(notice)
            known = await accounts.accounts_of(session, person_id)
            for network, here in by_channel.items():
                account = known.get(network)
                if account is None or account.state != AccountState.LINKED.value:
                    _leave_to_email(here)
                    continue
                zone = hours.of(here[0].organisation_id).zone
                lines = [relevance.lines[notice.id] for notice in here]
                text = message_text(lines, front_end_url=front_end_url, zone=zone, now=now)
                await _write(session, account, here, text)
    return len(people)


async def _due_of(session: WriteSession, people: Sequence[UUID], now: datetime) -> dict[UUID, list[Notice]]:
    """Return the due notices of these people by person."""
    return {
        person_id: list(
            await waiting_notices(
                session,
                Notice.person_id == person_id,
                Notice.letter_id.is_(None),
                Notice.send_at <= now,
                _IN_NETWORKS,
                limit=MAX_NOTICES,
            )
        )
        for person_id in people
    }


async def _sort_out(session: WriteSession, notices: Sequence[Notice], relevance: Relevance, now: datetime) -> None:
    """Suppress outdated notices; postpone notices that cannot be read."""
    for notice in notices:
        if (reason := relevance.suppressed.get(notice.id)) is not None:
            await record_outcome(session, [notice], NoticeStatus.SUPPRESSED, reason)
        elif notice.id not in relevance.lines:
            notice.send_at = now + UNREADABLE_DELAY


async def _write(session: WriteSession, account: NoticeAccount, notices: Sequence[Notice], text: str) -> None:
    letter = message_letters.add_letter(session, account, "notices", text)
    await session.flush()
    for notice in notices:
        notice.letter_id, notice.status = letter.id, NoticeStatus.SENDING.value


def _leave_to_email(notices: Sequence[Notice]) -> None:
    for notice in notices:
        notice.channel = NoticeChannel.EMAIL.value


def _sendable_now(notices: Sequence[Notice], settings: NoticeSettings | None, hours: WorkingHours) -> list[Notice]:
    """Return the notices that may be sent now; postpone the others to the next working hours."""
    now, sendable = clock.now(), []
    for notice in notices:
        opens = next_working_moment(hours.of(notice.organisation_id), now)
        if opens <= now or may_wake(settings, NoticeKind(notice.kind), notice.details):
            sendable.append(notice)
        else:
            notice.send_at = opens
    return sendable
