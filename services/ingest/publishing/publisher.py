"""Publish a reply exactly once.

States: queued → `sending`, committed before the call → published or failed. After a crash, a timeout or a lost
response the outcome is unknown (`uncertain`). Then the thread is read: a comment with that text and target is
matched with the publication; only if a complete read shows none is it sent again. Unless the network certainly
rejected it, a sent publication is never sent again without such a read, even on request. A thread has one
publication in flight at a time, in order. Photos are uploaded before the first call, and never while an earlier
call may still have published the reply. A long reply is sent in parts, each exactly once; if a part fails
permanently, the later parts fail too. Events contain the id of the reply's first part.

The database's clock (`sending_since`) decides which call is current; a monotonic clock of the calling machine
limits how long it may take. Clocks of two machines are never compared.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import literal, or_, select, tuple_, update

from services.ingest.intake.notice_messages import organisation_of_publication_events
from services.ingest.intake.own_reply_matching import (
    IN_FLIGHT_STATUSES,
    lock_threads,
    mark_published,
    match_stored_messages,
    thread_baseline,
)
from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.calls import boottime_seconds
from services.ingest.networks.port import (
    NetworkAdapter,
    OutgoingReply,
    PageRef,
    ParsedBatch,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
)
from services.ingest.publishing.locked_rows import DATABASE_NOW, is_older_than, set_values, wait_for_call
from services.ingest.publishing.network_outages import (
    OUTAGE_PERIOD,
    UNREACHABLE,
    delay_in_outage,
    end_outage,
    outage_lasts,
    tried_longer_than,
)
from services.ingest.publishing.photo_uploads import ReadAttachment, upload_photos
from shared import clock
from shared.contracts.ingest_events import (
    PublicationFailed,
    PublicationProblem,
    PublicationRetryScheduled,
    PublicationUncertain,
)
from shared.contracts.notice_codes import NOT_SENT_IN_TIME, NOTICES_ACTOR
from shared.contracts.values import MessageKind
from shared.database.sessions import Database, WriteSession, wait_for_standby_commit
from shared.events.outbox import NewEvent, emit
from shared.jobs import RetryLater
from shared.logs import get_logger
from shared.supervision import Backoff
from shared.tables.ingest import Message, Publication
from shared.tables.registry import Page

log = get_logger(__name__)

ACTOR = "ingest"
PUBLISH_JOB = "publish"
READ_BACK = "read_back"
MAX_ATTEMPTS = 8
MAX_DELAY = 300.0
# Maximum calls without a response, about an hour in all; before each repeated call, a complete read of the thread
# did not find the reply.
MAX_SILENT_ATTEMPTS = 16
QUICK_ATTEMPTS = 4
# Temporary rejections are retried at least this long: tokens are replaced and limits expire within a day.
RETRY_PERIOD = timedelta(days=1)
# Maximum delay in seconds if no call was made, so that the reply is sent soon after the cause has ended.
NOT_CALLED_MAX_DELAY = 30.0
READ_RETRY_MIN_DELAY = 5.0
# How long to retry reading a thread that the network refuses to return; then a person has to check it.
CLOSED_THREAD_PERIOD = timedelta(minutes=10)
THREAD_NOT_READABLE = {
    "code": "thread_not_readable",
    "message": "Сеть не подтвердила отправку и не показывает обсуждение: неизвестно, есть ли в нём ответ. "
    "Проверьте в сети. При повторной отправке ответ уйдёт, только если его там нет.",
}
JOB_DEAD_LETTERED = {
    "code": "job_dead_lettered",
    "message": "Отправка не удалась из-за ошибки в программе, оператор о ней знает. При повторной отправке "
    "ответ уйдёт, только если его в обсуждении нет.",
}
NO_RESPONSE = {
    "code": "no_response",
    "message": "Сеть не подтвердила отправку, и в обсуждении ответа нет. Отправьте его снова позже.",
}
# A message with notices is sent within this time or not at all: later the person may be asleep, or have lost
# access.
NOTICE_PERIOD = timedelta(minutes=30)
NOTICE_EXPIRED = {
    "code": NOT_SENT_IN_TIME,
    "message": "За полчаса уведомления не удалось отправить. Те, что ещё нужны, уйдут с новым сообщением.",
}
OUTCOME_UNKNOWN = {
    "code": "outcome_unknown",
    "message": "Сеть не подтвердила отправку: проверяем, есть ли ответ в обсуждении. Дважды он не уйдёт.",
    "final": False,
}
UNFINISHED_STATUSES = ("queued", *IN_FLIGHT_STATUSES)


@dataclass(frozen=True)
class PublishCall:
    """A call to make: the reply, its `sending_since` in the database, and the value before it."""

    outgoing: OutgoingReply
    started_at: datetime
    previous_started_at: datetime | None


@dataclass(frozen=True)
class Publisher:
    """Processes publications. `settle_seconds`: how long a call without a response may still take effect."""

    database: Database
    intake: DatabaseIntakeStore
    networks: Mapping[str, NetworkAdapter]
    settle_seconds: float
    read_attachment: ReadAttachment

    async def process(self, publication_id: UUID) -> None:
        """Process a publication until it is finished. Raises `RetryLater` if it has to wait.

        Idempotent and safe to call from several processes at once.
        """
        found = await self._page(publication_id)
        if found is None:
            return
        page, needs_photos = found
        network = self.networks[page.network]
        if needs_photos and not await self._upload_photos(publication_id, page, network):
            return
        async with self._locked(publication_id) as (session, row):
            if row.status not in UNFINISHED_STATUSES:
                return
            is_unsent = row.status == "queued" and row.sending_since is None
            if is_unsent and await _is_expired_notice(session, row):
                await _fail(session, row, NOTICE_EXPIRED)
                return
            if row.status == "queued":
                await _wait_for_turn(session, row)
            call: PublishCall | None = None
            if is_unsent:
                call = await _start(session, row, page, network)
            else:
                await self._wait_until_call_is_over(session, row, network)
        call = call or await self._send_again(row, page, network)
        if call is not None:
            await self._send(call, network)

    @asynccontextmanager
    async def _locked(self, publication_id: UUID) -> AsyncIterator[tuple[WriteSession, Publication]]:
        """Open a transaction that locks the publication and its thread.

        Raises LookupError if it does not exist.
        """
        named = select(Publication).where(Publication.id == publication_id)
        async with self.database.write() as session:
            thread_key = await session.scalar(named.with_only_columns(Publication.thread_key))
            if thread_key is not None:
                await lock_threads(session, [thread_key])
            row = await session.scalar(named.with_for_update().execution_options(populate_existing=True))
            if row is None:
                raise LookupError("the publication does not exist")
            yield session, row

    async def _page(self, publication_id: UUID) -> tuple[PageRef, bool] | None:
        """Return the page of a publication, and whether its photos have to be uploaded before its first call."""
        async with self.database.read() as session:
            result = await session.execute(
                select(Page, Publication)
                .join(Publication, Publication.page_id == Page.id)
                .where(Publication.id == publication_id)
            )
        if (row := result.one_or_none()) is None:
            return None
        page, publication = row
        found = PageRef.of(page)
        return found, publication.sending_since is None and _lacks_photos(publication)

    async def _upload_photos(self, publication_id: UUID, page: PageRef, network: NetworkAdapter) -> bool:
        """Upload the photos of the publication; return whether it can be processed now.

        An upload without a response is simply repeated: nothing is published yet, and the network keeps an unused
        photo.
        """
        async with self._locked(publication_id) as (session, row):
            if row.status not in UNFINISHED_STATUSES:
                return False
            if row.status == "queued":
                await _wait_for_turn(session, row)
        try:
            media = await upload_photos(row, page, network, self.read_attachment)
        except PublishRejected as refusal:
            await self._photos_refused(publication_id, refusal)
            return False
        async with self._locked(publication_id) as (session, row):
            if row.uploaded_media is None:
                await set_values(session, row, uploaded_media=media, updated_at=DATABASE_NOW)
        return True

    async def _photos_refused(self, publication_id: UUID, refusal: PublishRejected) -> None:
        """Fail a publication whose photo was refused permanently; otherwise raise `RetryLater`."""
        async with self._locked(publication_id) as (session, row):
            if row.status not in UNFINISHED_STATUSES or not _lacks_photos(row):
                return  # ended meanwhile, or another process uploaded the photos and sends the reply
            if refusal.is_outage:
                delay = await _delay_in_outage(session, row, refusal)
            else:
                await end_outage(session, row)
                await set_values(session, row, attempts=row.attempts + 1, updated_at=DATABASE_NOW)
                delay = await _delay_unless_final(session, row, refusal, MAX_DELAY)
        log.info("photos not uploaded", publication_id=str(publication_id), code=refusal.code, final=delay is None)
        if delay is not None:
            raise RetryLater(delay, refusal.message)

    async def _wait_until_call_is_over(
        self, session: WriteSession, row: Publication, network: NetworkAdapter
    ) -> None:
        """Mark the publication uncertain. Raises `RetryLater` while a call of unknown outcome may take effect."""
        lease = timedelta(
            seconds=delay_after_no_response(row.attempts, network.publish_timeout() + self.settle_seconds)
        )
        await wait_for_call(session, row.sending_since or row.updated_at, lease)
        if row.status != "uncertain":
            await _uncertain(session, row, "the outcome of a call is not known")

    async def _send_again(self, row: Publication, page: PageRef, network: NetworkAdapter) -> PublishCall | None:
        """Read the thread; return the next call if the reply is not in it, None if nothing is to be sent."""
        # Read twice: a deletion during pagination can make a read skip the item after it.
        for _ in range(2):
            if await self._is_in_network(row.id) or not await self._read(row, page, network):
                return None
        if await self._is_in_network(row.id):
            return None
        if _lacks_photos(row) and not await self._upload_photos(row.id, page, network):
            return None
        async with self._locked(row.id) as (session, now):
            if now.status != "uncertain" or now.sending_since != row.sending_since:
                return None  # another process made a call after this read
            most = MAX_SILENT_ATTEMPTS if now.failure is None else MAX_ATTEMPTS
            is_last = now.attempts >= most and (
                now.failure is None or await tried_longer_than(session, now, RETRY_PERIOD)
            )
            if is_last or await _is_expired_notice(session, now):
                await _fail(session, now, NO_RESPONSE)
                return None
            return await _start(session, now, page, network)

    async def _is_in_network(self, publication_id: UUID) -> bool:
        """Return whether the publication is published; match it with stored messages if it is uncertain."""
        async with self._locked(publication_id) as (session, row):
            if row.status == "uncertain":
                await emit(session, *await match_stored_messages(session, row))
            return row.status == "published"

    async def _read(self, row: Publication, page: PageRef, network: NetworkAdapter) -> bool:
        """Read and store the thread, so that intake matches our replies; return False if there is nothing to send.

        Raises `RetryLater` if the thread could not be read completely.
        """
        observed_at = clock.now()
        try:
            parsed = await network.read_thread(_outgoing(row, page, boottime_seconds()))
        except ReadFailed as error:
            return await self._not_read(row.id, error)
        # An unparsed payload may be ours, so the read is incomplete; the regular sources quarantine it.
        await self.intake.store(page, READ_BACK, ParsedBatch(parsed.items), observed_at=observed_at)
        if parsed.unparsed:
            return await self._not_read(row.id, ReadFailed(f"not parsed: {parsed.unparsed[0].reason}"))
        return True

    async def _not_read(self, publication_id: UUID, why: ReadFailed) -> bool:
        async with self._locked(publication_id) as (session, row):
            if row.status != "uncertain":
                return False
            if why.is_outage:
                waited, longest = await outage_lasts(session, row), OUTAGE_PERIOD
            else:
                if row.unreachable_since is not None:
                    # The time of the outage does not count.
                    await end_outage(session, row)
                    await set_values(session, row, updated_at=DATABASE_NOW)
                waited = await session.scalar(select(DATABASE_NOW - literal(row.updated_at))) or timedelta(0)
                longest = CLOSED_THREAD_PERIOD if why.permanent else RETRY_PERIOD
            if waited > longest:
                await _fail(session, row, THREAD_NOT_READABLE)
                return False
        delay = min(max(waited.total_seconds() / 4, READ_RETRY_MIN_DELAY), MAX_DELAY)
        raise RetryLater(timedelta(seconds=delay), f"the thread cannot be read: {why}")

    async def _send(self, call: PublishCall, network: NetworkAdapter) -> None:
        outgoing = call.outgoing
        try:
            _check(outgoing, network.max_text_length(outgoing.kind))
            try:
                # Includes the wait for the rate limit: the call must end before other processes consider it over.
                async with asyncio.timeout(max(outgoing.send_deadline - boottime_seconds(), 0)):
                    published = await network.publish(outgoing)
            except TimeoutError as error:
                raise PublishOutcomeUnknown("no response in time") from error
        except PublishRejected as refusal:
            await self._refused(call, refusal)
        except PublishOutcomeUnknown as doubt:
            async with self._locked(outgoing.id) as (session, row):
                if row.status != "sending" or row.sending_since != call.started_at:
                    return
                await end_outage(session, row)
                await _uncertain(session, row, str(doubt))
            raise RetryLater(
                timedelta(seconds=self.settle_seconds), "the response to the call was lost"
            ) from doubt
        else:
            await self._published(outgoing.id, published)

    async def _published(self, publication_id: UUID, published: PublishedReply) -> None:
        async with self._locked(publication_id) as (session, row):
            if row.status == "published" and row.external_id == published.external_id:
                return
            if row.external_id is not None:
                # Matched by text, but the network returned another id: the matched message is not ours.
                await _swap_external_ids(session, row, published)
            events = await mark_published(
                session,
                row,
                published.external_id,
                published.url,
                published_at=(await session.execute(select(DATABASE_NOW))).scalar_one(),
                matched=False,
            )
            await _link(session, row, published.external_id)
            events += await match_stored_messages(session, row)
            await emit(session, *events)

    async def _refused(self, call: PublishCall, refusal: PublishRejected) -> None:
        async with self._locked(call.outgoing.id) as (session, row):
            if row.status != "sending" or row.sending_since != call.started_at:
                return
            if not (refusal.permanent and refusal.was_sent):
                # This call certainly had no effect; only an earlier call can have published the reply.
                await set_values(session, row, sending_since=call.previous_started_at)
            if refusal.is_outage:
                await set_values(session, row, attempts=row.attempts - 1)
                delay = await _delay_in_outage(session, row, refusal)
            else:
                await end_outage(session, row)
                longest = MAX_DELAY if refusal.was_sent else NOT_CALLED_MAX_DELAY
                delay = await _delay_unless_final(session, row, refusal, longest)
        log.info("publication rejected", publication_id=str(row.id), code=refusal.code, final=delay is None)
        if delay is not None:
            raise RetryLater(delay, refusal.message)


def delay_after_no_response(attempts: int, lease: float) -> float:
    """Return the delay in seconds after a call without a response: first `lease`, then growing to `MAX_DELAY`."""
    return max(lease, Backoff(lease, MAX_DELAY).delay(attempts - QUICK_ATTEMPTS + 1))


async def fail_dead_lettered(session: WriteSession, publication_id: UUID) -> None:
    """Fail a publication whose job was dead-lettered, so that a person is notified and the thread is not blocked.

    A call still in flight records its outcome later, and a retry reads the thread before it sends again.
    """
    await fail_unfinished(session, publication_id, JOB_DEAD_LETTERED)


async def fail_unfinished(
    session: WriteSession,
    publication_id: UUID,
    reason: dict[str, str],
    *,
    statuses: Sequence[str] = UNFINISHED_STATUSES,
) -> None:
    """Fail a publication for a reason, {"code", "message"}, if it has one of these statuses."""
    named = select(Publication).where(Publication.id == publication_id)
    thread_key = await session.scalar(named.with_only_columns(Publication.thread_key))
    if thread_key is None:
        return
    await lock_threads(session, [thread_key])
    row = await session.scalar(named.with_for_update().execution_options(populate_existing=True))
    if row is not None and row.status in statuses:
        await _fail(session, row, reason)


async def _wait_for_turn(session: WriteSession, row: Publication) -> None:
    """Raise `RetryLater` while an earlier reply of the thread is unfinished or another reply is in flight.

    Parts of the same reply wait for the parts before them.
    """
    older = tuple_(Publication.created_at, Publication.id) < tuple_(row.created_at, row.id)
    same = Publication.reply_id == row.reply_id
    result = await session.execute(
        select(Publication.failure)
        .where(
            Publication.thread_key == row.thread_key,
            Publication.id != row.id,
            Publication.status.in_(UNFINISHED_STATUSES),
            or_(Publication.status.in_(IN_FLIGHT_STATUSES), ~same & older, same & (Publication.part < row.part)),
        )
        .order_by(Publication.created_at, Publication.part)
        .limit(1)
    )
    if (earlier := result.one_or_none()) is not None:
        delay = 1 if earlier.failure is None else 5
        raise RetryLater(timedelta(seconds=delay), "another reply of this thread is not finished")


async def _start(session: WriteSession, row: Publication, page: PageRef, network: NetworkAdapter) -> PublishCall:
    """Record that the call is about to be made and, before the first call, the thread's position.

    Raises `RetryLater` if the photos have to be uploaded again, because a person requested a retry meanwhile.
    """
    if _lacks_photos(row):
        raise RetryLater(timedelta(seconds=1), "the photos must be uploaded again")
    before = row.sending_since
    known = await thread_baseline(session, row) if before is None else {}
    # If a failover lost this update, nothing would record the call, and the reply could be sent twice.
    await wait_for_standby_commit(session)
    # Read before the database's clock, so that our send deadline ends before other processes stop waiting.
    began = boottime_seconds()
    await set_values(
        session,
        row,
        **known,
        status="sending",
        sending_since=DATABASE_NOW,
        attempts=row.attempts + 1,
        updated_at=DATABASE_NOW,
    )
    if row.sending_since is None:
        raise AssertionError("unreachable: the update has just set `sending_since`")
    return PublishCall(_outgoing(row, page, began + network.publish_timeout()), row.sending_since, before)


async def _is_expired_notice(session: WriteSession, row: Publication) -> bool:
    return row.on_behalf_of == NOTICES_ACTOR and await is_older_than(session, row, NOTICE_PERIOD)


def _lacks_photos(row: Publication) -> bool:
    return bool(row.attachments) and row.uploaded_media is None


def _outgoing(row: Publication, page: PageRef, not_after: float) -> OutgoingReply:
    return OutgoingReply(
        id=row.id,
        page=page,
        kind=cast("MessageKind", row.kind),
        thread_key=row.thread_key,
        reply_to=row.reply_to,
        text=row.text,
        baseline_position=row.baseline_position,
        send_deadline=not_after,
        media=row.uploaded_media or (),
    )


async def _swap_external_ids(session: WriteSession, row: Publication, published: PublishedReply) -> None:
    """Release an external id matched by mistake; the publication that has our id, if any, gets it in exchange."""
    holder = await session.scalar(
        select(Publication)
        .where(
            Publication.network == row.network,
            Publication.kind == row.kind,
            Publication.external_id == published.external_id,
        )
        .with_for_update()
    )
    former = {"external_id": row.external_id, "url": row.url}
    if row.external_id is not None:
        await _link(session, row, row.external_id, None if holder is None else holder.id)
    await set_values(session, row, external_id=None)
    if holder is not None:
        await set_values(session, holder, **former, version=holder.version + 1, updated_at=DATABASE_NOW)


def _check(found: OutgoingReply, longest: int) -> None:
    """Raise `PublishRejected` if the text is too long or this process stalled past the send deadline."""
    if boottime_seconds() >= found.send_deadline:
        raise PublishRejected(
            "send_deadline_passed", "Отправка отложена и повторится.", permanent=False, was_sent=False
        )
    if len(found.text) > longest:
        message = f"Текст длиннее {longest} знаков: сократите его и отправьте снова."
        raise PublishRejected("too_long", message, permanent=True, was_sent=False)


_OWN = object()


async def _link(session: WriteSession, row: Publication, external_id: str, publication_id: object = _OWN) -> None:
    """Link the stored message to this publication, or to `publication_id` if given; None removes the link."""
    await session.execute(
        update(Message)
        .where(Message.network == row.network, Message.kind == row.kind, Message.external_id == external_id)
        .values(publication_id=row.id if publication_id is _OWN else publication_id)
    )


async def _fail(session: WriteSession, row: Publication, reason: dict[str, str]) -> None:
    """Mark the publication as failed permanently, and its later queued parts with it."""
    failure = {**reason, "final": True}
    await session.execute(
        update(Publication)
        .where(
            Publication.reply_id == row.reply_id,
            or_(Publication.id == row.id, (Publication.part > row.part) & (Publication.status == "queued")),
        )
        .values(status="failed", failure=failure, version=Publication.version + 1, updated_at=DATABASE_NOW)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(row)
    await emit(session, await _event(session, row, PublicationFailed, failure))


async def _delay_unless_final(
    session: WriteSession, row: Publication, refusal: PublishRejected, longest: float
) -> timedelta | None:
    """Queue the publication again and return the delay of at most `longest` seconds, or fail it and return None:
    the refusal is permanent, or it has been attempted often and long enough.
    """
    reason = {"code": refusal.code, "message": refusal.message}
    attempt = row.attempts
    if refusal.permanent or (attempt >= MAX_ATTEMPTS and await tried_longer_than(session, row, RETRY_PERIOD)):
        await _fail(session, row, reason)
        return None
    await _delay(session, row, reason)
    return timedelta(seconds=Backoff(refusal.retry_after, longest).delay(attempt))


async def _delay_in_outage(session: WriteSession, row: Publication, refusal: PublishRejected) -> timedelta | None:
    """Queue the publication again and return the delay, or fail it and return None: there has been no connection
    for longer than `OUTAGE_PERIOD`. A publication that is `uncertain` stays so and is not queued.
    """
    passed = await outage_lasts(session, row)
    if passed > OUTAGE_PERIOD:
        await _fail(session, row, UNREACHABLE)
        return None
    if row.status != "uncertain":
        await _delay(session, row, {"code": refusal.code, "message": refusal.message})
    return delay_in_outage(passed)


async def _delay(session: WriteSession, row: Publication, reason: dict[str, str]) -> None:
    """Queue the publication for an automatic retry; emit an event once per reason."""
    failure = {**reason, "final": False}
    news = row.failure != failure
    await set_values(session, row, status="queued", failure=failure, updated_at=DATABASE_NOW)
    if news:
        await emit(session, await _event(session, row, PublicationRetryScheduled, failure))


async def _uncertain(session: WriteSession, row: Publication, reason: str) -> None:
    log.warning("publication outcome unknown", publication_id=str(row.id), reason=reason)
    await set_values(session, row, status="uncertain", version=row.version + 1, updated_at=DATABASE_NOW)
    await emit(session, await _event(session, row, PublicationUncertain, OUTCOME_UNKNOWN))


async def _event(
    session: WriteSession, row: Publication, model: type[PublicationProblem], failure: Mapping[str, Any]
) -> NewEvent:
    first = row.id
    if row.part:
        query = select(Publication.id).where(Publication.reply_id == row.reply_id, Publication.part == 0)
        first = await session.scalar(query) or row.id
    return NewEvent(
        data=model(reply_id=row.reply_id, part=row.part, parts=row.parts, failure=failure),
        subject_id=first,
        organisation_id=organisation_of_publication_events(row),
        actor=ACTOR,
    )
