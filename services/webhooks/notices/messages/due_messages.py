"""Make messages from the notices that are due in a network: one for each person and network."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.webhooks.notices.mail.claims import MAX_NOTICES, lock_due_people, waiting_notices
from services.webhooks.notices.messages import accounts, message_letters
from services.webhooks.notices.messages.sendable import Sendable, leave_out
from services.webhooks.schemas.notices import AccountState, NoticeChannel, NoticeStatus
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.tables.notices import Notice, NoticeAccount

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
        sendable = await Sendable.load(session, [notice for notices in due.values() for notice in notices])
        for person_id, notices in due.items():
            by_channel: dict[str, list[Notice]] = {}
            for notice in await leave_out(session, notices, sendable):
                by_channel.setdefault(notice.channel, []).append(notice)
            known = await accounts.accounts_of(session, person_id)
            for network, here in by_channel.items():
                account = known.get(network)
                if account is None or account.state != AccountState.LINKED.value:
                    _leave_to_email(here)
                    continue
                await _write(session, account, here, sendable.text(here, front_end_url))
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


async def _write(session: WriteSession, account: NoticeAccount, notices: Sequence[Notice], text: str) -> None:
    letter = message_letters.add_letter(session, account, "notices", text)
    await session.flush()
    for notice in notices:
        notice.letter_id, notice.status = letter.id, NoticeStatus.SENDING.value


def _leave_to_email(notices: Sequence[Notice]) -> None:
    for notice in notices:
        notice.channel = NoticeChannel.EMAIL.value
