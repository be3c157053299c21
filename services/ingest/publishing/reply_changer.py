"""Apply an edit or a withdrawal of a published reply in its network, part by part and in order.

States: queued → `sending`, committed before the call → queued for the next part, or done, or failed. A call may be
repeated, because edits and deletions are idempotent. After a crash, a timeout or a lost response (`uncertain`) the
thread is read as soon as that call can no longer take effect: a part that has the wanted text is done, a missing
part cannot be edited, and otherwise the call is made again. After a permanent refusal the thread is read too,
before the change fails. New photos are uploaded before the first call. What is left to do follows from the rows of
the parts (`change_progress`), so that any process can continue the change.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import select

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.calls import boottime_seconds
from services.ingest.networks.port import (
    NetworkAdapter,
    OutgoingReply,
    PageRef,
    ParsedBatch,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
    ReplyToChange,
)
from services.ingest.publishing.change_progress import (
    UNFINISHED_STATUSES,
    adopt_network_state,
    fail_change,
    finish_if_done,
    finish_part,
    first_published_part,
    parts_left,
    retry_period,
    wants_other_photos,
)
from services.ingest.publishing.locked_rows import (
    DATABASE_NOW,
    lock_change,
    set_values,
    wait_for_call,
)
from services.ingest.publishing.network_outages import (
    OUTAGE_PERIOD,
    UNREACHABLE,
    delay_in_outage,
    end_outage,
    outage_lasts,
    tried_longer_than,
)
from services.ingest.publishing.photo_uploads import ReadAttachment, upload_photos
from services.ingest.publishing.publisher import READ_BACK
from shared import clock
from shared.contracts.values import MessageKind
from shared.database.sessions import Database, WriteSession
from shared.jobs import RetryLater
from shared.logs import get_logger
from shared.supervision import Backoff
from shared.tables.ingest import Publication, PublicationChange
from shared.tables.registry import Page

log = get_logger(__name__)

CHANGE_JOB = "change_publication"
MAX_DELAY = 300.0
NO_TOKEN = {
    "code": "no_usable_token",
    "message": "У страницы нет действующего ключа с правом менять опубликованное: сообщите оператору.",
}
NOT_CONFIRMED = {
    "code": "outcome_unknown",
    "message": "Сеть не подтвердила изменение и не показывает обсуждение: проверьте ответ в сети.",
}
NO_RESPONSE = {"code": "no_response", "message": "Сеть не подтвердила ни одну попытку: ответ не изменён."}
JOB_DEAD_LETTERED = {
    "code": "job_dead_lettered",
    "message": "Изменение не удалось из-за ошибки в программе, оператор о ней знает. Проверьте ответ в сети.",
}


@dataclass(frozen=True)
class ChangeCall:
    """A call to make for one part of a reply; `text` None deletes it. `started_at`: its `sending_since`."""

    change_id: UUID
    part_id: UUID
    reply: ReplyToChange
    text: str | None
    started_at: datetime


@dataclass(frozen=True)
class ReplyChanger:
    """Processes changes. `settle_seconds`: how long a call without a response may still take effect."""

    database: Database
    intake: DatabaseIntakeStore
    networks: Mapping[str, NetworkAdapter]
    settle_seconds: float
    read_attachment: ReadAttachment

    async def process(self, change_id: UUID) -> None:
        """Process a change until it is finished. Raises `RetryLater` if it has to wait.

        Idempotent and safe to call from several processes at once.
        """
        page = await self._page(change_id)
        if page is None:
            return
        network = self.networks[page.network]
        async with self._locked(change_id) as (session, change, parts):
            if change.status not in UNFINISHED_STATUSES:
                return
            since = change.sending_since
            if is_unknown := change.status != "queued":
                lease = timedelta(seconds=network.publish_timeout() + self.settle_seconds)
                await wait_for_call(session, change.sending_since, lease)
        if is_unknown:
            await self._compare(change_id, since, await self._read(change_id, since, parts, page, network))
        await self._upload_photos(change_id, page, network)
        while (call := await self._start(change_id, page, network)) is not None:
            await self._send(call, parts, network)

    @asynccontextmanager
    async def _locked(
        self, change_id: UUID
    ) -> AsyncIterator[tuple[WriteSession, PublicationChange, list[Publication]]]:
        """Open a transaction that locks the change, the parts of its reply and their thread."""
        async with self.database.write() as session:
            change, parts = await lock_change(session, change_id)
            yield session, change, parts

    async def _page(self, change_id: UUID) -> PageRef | None:
        async with self.database.read() as session:
            page = await session.scalar(
                select(Page)
                .join(Publication, Publication.page_id == Page.id)
                .join(PublicationChange, PublicationChange.publication_id == Publication.id)
                .where(PublicationChange.id == change_id)
            )
        if page is None:
            return None
        return PageRef.of(page)

    async def _read(
        self,
        change_id: UUID,
        since: datetime | None,
        parts: Sequence[Publication],
        page: PageRef,
        network: NetworkAdapter,
    ) -> dict[str | None, str]:
        """Return the texts of the parts that are in the network, by external id.

        Raises `RetryLater` if the thread cannot be read completely; after `retry_period` the change fails instead.
        Empty if the change has failed or another process has continued it.
        """
        try:
            return await self._network_texts(parts, page, network)
        except ReadFailed as error:
            async with self._locked(change_id) as (session, change, present_parts):
                if change.status not in UNFINISHED_STATUSES or change.sending_since != since:
                    return {}  # another process has continued the change
                if error.is_outage:
                    is_over = await outage_lasts(session, change) > OUTAGE_PERIOD
                else:
                    await end_outage(session, change)
                    is_over = await tried_longer_than(session, change, retry_period(change))
                if is_over:
                    await fail_change(session, change, present_parts, NOT_CONFIRMED)
                    return {}
            raise RetryLater(timedelta(seconds=10), f"the thread cannot be read: {error}") from error

    async def _network_texts(
        self, parts: Sequence[Publication], page: PageRef, network: NetworkAdapter
    ) -> dict[str | None, str]:
        wanted = {part.external_id for part in parts if part.withdrawn_at is None}
        found: dict[str | None, str] = {}
        # Read twice: a deletion during pagination can make a read skip the item after it.
        for _ in range(2):
            observed_at = clock.now()
            parsed = await network.read_thread(_outgoing(parts[0], page))
            await self.intake.store(page, READ_BACK, ParsedBatch(parsed.items), observed_at=observed_at)
            if parsed.unparsed:
                raise ReadFailed(f"not parsed: {parsed.unparsed[0].reason}")
            for item in parsed.items:
                if item.external_id in wanted and item.change != "deleted" and item.text is not None:
                    found[item.external_id] = item.text
            if len(found) == len(wanted):
                break
        return found

    async def _compare(self, change_id: UUID, since: datetime | None, texts: dict[str | None, str]) -> None:
        """Finish the parts that are already changed in the network; queue the rest again."""
        async with self._locked(change_id) as (session, change, parts):
            if change.status in UNFINISHED_STATUSES and change.sending_since == since:
                await adopt_network_state(session, change, parts, texts)
                if change.status in UNFINISHED_STATUSES:
                    await set_values(session, change, status="queued", updated_at=DATABASE_NOW)

    async def _upload_photos(self, change_id: UUID, page: PageRef, network: NetworkAdapter) -> None:
        """Upload the change's new photos, if they are not uploaded yet."""
        async with self._locked(change_id) as (_, change, parts):
            part = first_published_part(parts)
            wanted = change.attachments
            if change.status != "queued" or part is None or wanted is None or change.uploaded_media is not None:
                return
        try:
            media = await upload_photos(
                part, page, network, self.read_attachment, attachments=wanted, on_behalf_of=change.on_behalf_of
            )
        except PublishRejected as refusal:
            await self._photos_refused(change_id, refusal)
            return
        async with self._locked(change_id) as (session, change, _):
            if change.uploaded_media is None:
                await set_values(session, change, uploaded_media=media, updated_at=DATABASE_NOW)

    async def _photos_refused(self, change_id: UUID, refusal: PublishRejected) -> None:
        """Fail a change whose photo was refused permanently; otherwise raise `RetryLater`."""
        reason = {"code": refusal.code, "message": refusal.message}
        async with self._locked(change_id) as (session, change, parts):
            if change.status != "queued" or change.uploaded_media is not None:
                return  # ended meanwhile, or another process uploaded the photos
            if refusal.is_outage:
                delay = await _delay_in_outage(session, change, parts, reason)
            elif refusal.permanent or await _is_tried_long_enough(session, change):
                await fail_change(session, change, parts, reason)
                delay = None
            else:
                counted = {"attempts": change.attempts + 1, "failure": reason}
                await set_values(session, change, **counted, updated_at=DATABASE_NOW)
                delay = timedelta(seconds=Backoff(refusal.retry_after, MAX_DELAY).delay(change.attempts))
        if delay is not None:
            raise RetryLater(delay, refusal.message)

    async def _start(self, change_id: UUID, page: PageRef, network: NetworkAdapter) -> ChangeCall | None:
        """Record that the next call is about to be made, and return it; None if no call is to be made now."""
        async with self._locked(change_id) as (session, change, parts):
            if change.status != "queued":
                return None
            left = parts_left(change, parts)
            if not left:
                await finish_if_done(session, change, parts)
                return None
            part, text = left[0]
            if wants_other_photos(change, part, parts) and change.uploaded_media is None:
                raise RetryLater(timedelta(seconds=1), "the photos must be uploaded first")
            counts = change.attempts and change.unreachable_since is None
            if counts and await tried_longer_than(session, change, retry_period(change)):
                await fail_change(session, change, parts, change.failure or NO_RESPONSE)
                return None
            # Read before the database's clock, so that our deadline ends before other processes stop waiting.
            began = boottime_seconds()
            await set_values(
                session,
                change,
                status="sending",
                sending_since=DATABASE_NOW,
                attempts=change.attempts + 1,
                updated_at=DATABASE_NOW,
            )
            if change.sending_since is None:
                raise AssertionError("unreachable: the update has just set `sending_since`")
            other_photos = wants_other_photos(change, part, parts)
            reply = ReplyToChange(
                page=page,
                kind=cast("MessageKind", part.kind),
                thread_key=part.thread_key,
                external_id=part.external_id or "",
                media=(change.uploaded_media if other_photos else part.uploaded_media) or (),
                send_deadline=began + network.publish_timeout(),
            )
            return ChangeCall(change.id, part.id, reply, text, change.sending_since)

    async def _send(self, call: ChangeCall, parts: Sequence[Publication], network: NetworkAdapter) -> None:
        reply = call.reply
        try:
            try:
                async with asyncio.timeout(max(reply.send_deadline - boottime_seconds(), 0)):
                    if call.text is None:
                        await network.delete_reply(reply)
                    else:
                        await network.edit_reply(reply, call.text)
            except TimeoutError as error:
                raise PublishOutcomeUnknown("no response in time") from error
        except PublishRejected as refusal:
            await self._refused(call, refusal, parts, network)
        except PublishOutcomeUnknown as doubt:
            async with self._locked(call.change_id) as (session, change, _):
                if not _is_current(change, call):
                    return
                await end_outage(session, change)
                await set_values(session, change, status="uncertain", updated_at=DATABASE_NOW)
            log.warning("change outcome unknown", change_id=str(call.change_id), reason=str(doubt))
            raise RetryLater(
                timedelta(seconds=self.settle_seconds), "the response to the call was lost"
            ) from doubt
        else:
            await self._succeeded(call)

    async def _succeeded(self, call: ChangeCall) -> None:
        async with self._locked(call.change_id) as (session, change, parts):
            if _is_current(change, call):
                await end_outage(session, change)
                await finish_part(session, change, parts, next(part for part in parts if part.id == call.part_id))

    async def _refused(
        self, call: ChangeCall, refusal: PublishRejected, parts: Sequence[Publication], network: NetworkAdapter
    ) -> None:
        """Fail the change unless the network shows it as done; raise `RetryLater` for a temporary refusal."""
        texts = await self._after_refusal(call, refusal, parts, network)
        reason = {"code": refusal.code, "message": refusal.message}
        if refusal.code == NO_TOKEN["code"]:
            reason = NO_TOKEN
        async with self._locked(call.change_id) as (session, change, parts_now):
            if not _is_current(change, call):
                return
            if texts is not None:
                await adopt_network_state(session, change, parts_now, texts)
            if not _is_current(change, call):
                return  # the read showed that the part is already changed, or the change has failed
            if refusal.is_outage:
                await set_values(session, change, attempts=change.attempts - 1)
                delay = await _delay_in_outage(session, change, parts_now, reason)
            elif refusal.permanent or await _is_tried_long_enough(session, change):
                await fail_change(session, change, parts_now, reason)
                delay = None
            else:
                await set_values(session, change, status="queued", failure=reason, updated_at=DATABASE_NOW)
                delay = timedelta(seconds=Backoff(refusal.retry_after, MAX_DELAY).delay(change.attempts))
        if delay is not None:
            raise RetryLater(delay, refusal.message)

    async def _after_refusal(
        self, call: ChangeCall, refusal: PublishRejected, parts: Sequence[Publication], network: NetworkAdapter
    ) -> dict[str | None, str] | None:
        """Return the parts' texts in the network after a permanent refusal; None if they are not known."""
        if not (refusal.permanent and refusal.was_sent):
            return None
        if refusal.is_gone:
            own = call.reply.external_id
            return {part.external_id: part.text for part in parts if part.external_id != own}
        try:
            return await self._network_texts(parts, call.reply.page, network)
        except ReadFailed as error:
            log.warning("thread not read after a refusal", change_id=str(call.change_id), error=str(error))
            return None


async def _is_tried_long_enough(session: WriteSession, change: PublicationChange) -> bool:
    """Record that the network was reached; return whether the change fails although the refusal is temporary."""
    await end_outage(session, change)
    return await tried_longer_than(session, change, retry_period(change))


async def _delay_in_outage(
    session: WriteSession, change: PublicationChange, parts: Sequence[Publication], reason: dict[str, str]
) -> timedelta | None:
    """Queue the change again and return the delay, or fail it and return None: there has been no connection for
    longer than `OUTAGE_PERIOD`.
    """
    passed = await outage_lasts(session, change)
    if passed > OUTAGE_PERIOD:
        await fail_change(session, change, parts, UNREACHABLE)
        return None
    await set_values(session, change, status="queued", failure=reason, updated_at=DATABASE_NOW)
    return delay_in_outage(passed)


async def fail_dead_lettered_change(session: WriteSession, change_id: UUID) -> None:
    """Fail a change whose job was dead-lettered, so that a person is notified and may request it again."""
    change, parts = await lock_change(session, change_id)
    if change.status in UNFINISHED_STATUSES:
        await fail_change(session, change, parts, JOB_DEAD_LETTERED)


def _is_current(change: PublicationChange, call: ChangeCall) -> bool:
    return change.status == "sending" and change.sending_since == call.started_at


def _outgoing(first: Publication, page: PageRef) -> OutgoingReply:
    return OutgoingReply(
        id=first.id,
        page=page,
        kind=cast("MessageKind", first.kind),
        thread_key=first.thread_key,
        reply_to=first.reply_to,
        text=first.text,
        baseline_position=first.baseline_position,
    )
