"""Messages with notices: send them to ingest, which publishes them, and store their outcomes.

A message is stored as `sending`, with its text and notices, before ingest gets it. Ingest publishes it under the
id of its letter exactly once, however often it is sent there. Notices of a message that certainly did not arrive
go by e-mail, and so do those of a message that ingest may not have and that can wait no longer, although they may
then arrive twice. Other notices of a message that may have arrived are not sent again.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import exists, func, select, update

from services.webhooks.notices.mail.outcomes import record_outcome
from services.webhooks.notices.messages import accounts
from services.webhooks.notices.messages.sendable import Sendable, leave_out
from services.webhooks.notices.relevance import TOO_LATE_AFTER
from services.webhooks.schemas.notices import AccountState, NoticeChannel, NoticeReason, NoticeStatus
from shared import clock
from shared.contracts.erasures import AUTHOR_ERASED
from shared.contracts.ingest_events import PublicationFailure
from shared.contracts.notice_codes import NOT_SENT_IN_TIME, NOTICES_ACTOR
from shared.database.sessions import Database, WriteSession
from shared.ids import new_id
from shared.logs import get_logger
from shared.networks import NETWORKS
from shared.service_client import ServiceClient, ServiceRejected, ServiceUnavailable, ServiceUnreachable
from shared.tables.notices import Notice, NoticeAccount, NoticeLetter
from shared.tables.registry import Person

log = get_logger(__name__)

UNAVAILABLE_DELAY = timedelta(seconds=30)
_BATCH = 20
# The purpose of a message with notices; messages with another purpose say that the account was linked.
_NOTICES = "notices"
# Notices that are older go by e-mail when a message could not be sent in time.
_NETWORK_PERIOD = timedelta(days=1)
# Failures after which the message is certainly not in the conversation, and the account stays linked.
_NOT_SENT = frozenset(
    {"no_response", "too_long", "no_usable_token", "network_unreachable", "send_deadline_passed"}
)
# Refusals because of the recipient, who is deleted, closed or blocked, or allows no messages. Other refusals
# concern the page, its token or the text.
_RECIPIENT_REFUSES = frozenset(
    {"vk:18", "vk:30", "vk:900", "vk:901", "vk:902", "ok:455", "ok:458", "ok:705", AUTHOR_ERASED["code"]}
)
# Status of ingest's answer if it does not know the message with the code, or its author's data was erased.
_CONVERSATION_GONE = 422


def add_letter(session: WriteSession, account: NoticeAccount, purpose: str, text: str) -> NoticeLetter:
    """Add a message to the account, to be sent to ingest; return it."""
    letter = NoticeLetter(
        id=new_id(),
        person_id=account.person_id,
        purpose=purpose,
        channel=account.network,
        status="sending",
        attempts=0,
        next_attempt_at=clock.now(),
        text=text,
    )
    session.add(letter)
    return letter


async def hand_over_due(database: Database, client: ServiceClient, front_end_url: str) -> int:
    """Hand due messages over to ingest; return how many were due."""
    async with database.write() as session:
        rows = await session.execute(
            select(NoticeLetter, NoticeAccount.message_id)
            .outerjoin(
                NoticeAccount,
                (NoticeAccount.person_id == NoticeLetter.person_id)
                & (NoticeAccount.network == NoticeLetter.channel)
                & (NoticeAccount.state == AccountState.LINKED.value),
            )
            .where(
                NoticeLetter.status == "sending",
                NoticeLetter.channel != NoticeChannel.EMAIL.value,
                NoticeLetter.handed_over_at.is_(None),
                NoticeLetter.next_attempt_at <= clock.now(),
            )
            .order_by(NoticeLetter.next_attempt_at)
            .limit(_BATCH)
        )
        due = [(letter.id, message_id) for letter, message_id in rows]
    for letter_id, message_id in due:
        text = await _begin(database, letter_id, message_id, front_end_url)
        if text is not None:
            await _hand_over(database, client, letter_id, text, message_id)
    return len(due)


async def _begin(database: Database, letter_id: UUID, message_id: UUID | None, front_end_url: str) -> str | None:
    """Return the text of the message if it may be sent now; None: it waits for working hours, its notices go by
    e-mail, or they end.

    The attempt is counted before it is made, because its outcome may never be known.
    """
    async with database.write() as session:
        letter = await _lock(session, letter_id)
        if letter is None or letter.handed_over_at is not None:
            return None
        active = exists(Person.id).where(Person.id == letter.person_id, Person.active, Person.locked_at.is_(None))
        # Whether notices are too late is decided with their relevance: the wait for working hours does not count.
        if letter.purpose != _NOTICES and clock.now() - letter.created_at > TOO_LATE_AFTER:
            reason = NoticeReason.UNCERTAIN if letter.attempts else NoticeReason.TOO_LATE
            letter.status, letter.reason = "failed", reason.value
            return None
        if message_id is None or not await session.scalar(select(active)):
            await _fail_and_move_to_email(
                session, letter, NoticeReason.NO_ADDRESS, earlier_attempts=letter.attempts
            )
            return None
        if letter.purpose == _NOTICES and not await _decide_again(session, letter, front_end_url):
            return None
        letter.attempts += 1
        return letter.text or ""


async def _decide_again(session: WriteSession, letter: NoticeLetter, front_end_url: str) -> bool:
    """Return whether the message may be sent now, according to the current state of its notices.

    While ingest certainly does not have the message, notices that may not be sent now are taken out of it. After
    that its text stays the same: the message waits for working hours. It fails if the person may not read one of
    its notices, or needs none of them now; notices that are still relevant then go by e-mail.
    """
    notices = await _notices(session, letter)
    sendable = await Sendable.load(session, notices)
    if not letter.attempts:
        kept = await leave_out(session, notices, sendable)
        _leave_old_to_email(notice for notice in notices if notice.id in sendable.later)
        if kept:
            letter.text = sendable.text(kept, front_end_url)
        else:
            letter.status = "cancelled"
        return bool(kept)
    if NoticeReason.NO_ACCESS in sendable.suppressed.values() or not (sendable.lines or sendable.later):
        ended = [notice for notice in notices if notice.id in sendable.suppressed]
        _move_to_email(notice for notice in notices if notice.id not in sendable.suppressed)
        letter.status, letter.reason = "failed", NoticeReason.UNCERTAIN.value
        await record_outcome(session, ended, NoticeStatus.FAILED, NoticeReason.UNCERTAIN)
        return False
    if not sendable.lines:
        letter.next_attempt_at = min(sendable.later.values())
        for notice in notices:
            notice.send_at = sendable.later.get(notice.id, notice.send_at)
    return bool(sendable.lines)


async def _hand_over(
    database: Database, client: ServiceClient, letter_id: UUID, text: str, message_id: UUID | None
) -> None:
    body = {
        "reply_id": str(letter_id),
        "message_id": str(message_id),
        "text": text,
        "on_behalf_of": NOTICES_ACTOR,
    }
    path = "/internal/publications"
    try:
        # No retries: the error of the last attempt would hide that an earlier attempt may have succeeded.
        await client.post(
            "ingest", path, body, on_behalf_of=NOTICES_ACTOR, idempotency_key=str(letter_id), attempts=1
        )
    except ServiceUnavailable as error:
        log.warning("message not confirmed by ingest", letter_id=str(letter_id), error=str(error))
        await _try_later(database, letter_id, not_taken=isinstance(error, ServiceUnreachable))
    except ServiceRejected as refused:
        log.warning("message refused by ingest", letter_id=str(letter_id), status=refused.status)
        async with database.write() as session:
            if (letter := await _lock(session, letter_id)) is not None:
                earlier = letter.attempts - 1
                if refused.status == _CONVERSATION_GONE and not earlier:
                    await accounts.end(session, letter.person_id, letter.channel, "conversation_gone")
                await _fail_and_move_to_email(session, letter, NoticeReason.REFUSED, earlier_attempts=earlier)
    else:
        async with database.write() as session:
            await session.execute(
                update(NoticeLetter)
                .where(NoticeLetter.id == letter_id, NoticeLetter.handed_over_at.is_(None))
                .values(handed_over_at=func.clock_timestamp())
            )


async def _try_later(database: Database, letter_id: UUID, *, not_taken: bool) -> None:
    """Postpone the next attempt; notices of a message that could not be sent for a day go by e-mail instead.

    `not_taken`: ingest has certainly not processed this attempt.
    """
    async with database.write() as session:
        letter = await _lock(session, letter_id)
        if letter is None or letter.handed_over_at is not None:
            return
        letter.attempts -= not_taken
        letter.next_attempt_at = clock.now() + UNAVAILABLE_DELAY
        if letter.purpose == _NOTICES and clock.now() - letter.created_at > _NETWORK_PERIOD:
            await _fail_and_move_to_email(session, letter, NoticeReason.UNDELIVERABLE)


async def record_sent(session: WriteSession, letter_id: UUID) -> None:
    """Store that a message was published; the id of any other publication changes nothing."""
    letter = await _lock(session, letter_id, also_failed=True)
    if letter is None:
        return
    letter.status, letter.sent_at, letter.reason = "sent", clock.now(), None
    await record_outcome(session, await _notices(session, letter), NoticeStatus.SENT, None)


async def record_failed(session: WriteSession, letter_id: UUID, failure: PublicationFailure) -> None:
    """Store that a message was not published.

    A refusal because of the recipient ends the account. Notices that certainly did not arrive go by e-mail; those
    that were not sent in time wait to be sent again, by e-mail if they are more than a day old. Others fail as
    `uncertain`.
    """
    letter = await _lock(session, letter_id) if failure.final else None
    if letter is None:
        return
    if failure.code in _RECIPIENT_REFUSES:
        await accounts.end(session, letter.person_id, letter.channel, failure.code)
    if failure.code == NOT_SENT_IN_TIME:
        await _send_again(session, letter)
    elif failure.code in _RECIPIENT_REFUSES or failure.code.partition(":")[0] in NETWORKS:
        await _fail_and_move_to_email(session, letter, NoticeReason.REFUSED)
    elif failure.code in _NOT_SENT:
        await _fail_and_move_to_email(session, letter, NoticeReason.UNDELIVERABLE)
    else:
        await _end(session, letter, NoticeReason.UNCERTAIN, NoticeStatus.FAILED)


async def _send_again(session: WriteSession, letter: NoticeLetter) -> None:
    """Fail the message; its notices wait for the next one, old ones for an e-mail."""
    notices = await _notices(session, letter)
    letter.status, letter.reason = "failed", NoticeReason.UNDELIVERABLE.value
    _leave_old_to_email(notices)
    for notice in notices:
        notice.status, notice.letter_id = NoticeStatus.WAITING.value, None


def _leave_old_to_email(notices: Iterable[Notice]) -> None:
    for notice in notices:
        if clock.now() - notice.created_at > _NETWORK_PERIOD:
            notice.channel = NoticeChannel.EMAIL.value


async def _fail_and_move_to_email(
    session: WriteSession, letter: NoticeLetter, reason: NoticeReason, *, earlier_attempts: int = 0
) -> None:
    """Fail the message and move its notices to the next e-mail.

    After earlier attempts with unknown outcome ingest may have the message: then its notices fail as `uncertain`.
    """
    if earlier_attempts:
        await _end(session, letter, NoticeReason.UNCERTAIN, NoticeStatus.FAILED)
        return
    letter.status, letter.reason = "failed", reason.value
    _move_to_email(await _notices(session, letter))
    await session.flush()


def _move_to_email(notices: Iterable[Notice]) -> None:
    for notice in notices:
        notice.channel, notice.status = NoticeChannel.EMAIL.value, NoticeStatus.WAITING.value
        notice.letter_id = None


async def _end(session: WriteSession, letter: NoticeLetter, reason: NoticeReason, status: NoticeStatus) -> None:
    letter.status, letter.reason = "failed", reason.value
    await record_outcome(session, await _notices(session, letter), status, reason)


async def _notices(session: WriteSession, letter: NoticeLetter) -> Sequence[Notice]:
    rows = await session.scalars(
        select(Notice).where(Notice.letter_id == letter.id, Notice.status != NoticeStatus.SUPPRESSED.value)
    )
    return rows.all()


async def _lock(session: WriteSession, letter_id: UUID, *, also_failed: bool = False) -> NoticeLetter | None:
    """Lock and return a message that is being sent, or with `also_failed` has failed; None if there is none."""
    statuses = ["sending", "failed"] if also_failed else ["sending"]
    return await session.scalar(
        select(NoticeLetter)
        .where(
            NoticeLetter.id == letter_id,
            NoticeLetter.channel != NoticeChannel.EMAIL.value,
            NoticeLetter.status.in_(statuses),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
