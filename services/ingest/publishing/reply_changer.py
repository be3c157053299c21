"""Carry an edit or a withdrawal of a published reply to its network.

States: queued → `sending`, committed before the call → done or failed. A call may be repeated: the same text twice
is one text, and what is deleted stays deleted. After a crash, a timeout or a lost response (`uncertain`) the
thread is read once that call can take no more effect. What stands there decides: as wanted, it is done; a reply
that is gone cannot be edited; otherwise the call is made again. A permanent refusal is checked likewise before the
change fails. A withdrawal deletes the parts of a long reply one by one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import select

from services.ingest.intake.edits import apply_own_change
from services.ingest.intake.own_reply_matching import ACTOR, lock_threads
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
    StandingReply,
)
from services.ingest.networks.sanitize import same_text
from services.ingest.publishing.locked_rows import DATABASE_NOW, is_older_than, set_values, wait_for_call
from services.ingest.publishing.publisher import READ_BACK
from shared import clock
from shared.contracts.ingest_events import (
    PublicationChangeFailed,
    PublicationChangeResult,
    PublicationEdited,
    PublicationFailure,
    PublicationWithdrawn,
)
from shared.contracts.values import MessageKind
from shared.database.sessions import Database, WriteSession
from shared.events.outbox import NewEvent, emit
from shared.jobs import RetryLater
from shared.logs import get_logger
from shared.supervision import Backoff
from shared.tables.ingest import Publication, PublicationChange
from shared.tables.registry import Page

log = get_logger(__name__)

CHANGE_JOB = "change_publication"
UNFINISHED_STATUSES = ("queued", "sending", "uncertain")
MAX_DELAY = 300.0
# A person waits for the outcome, and may ask again.
RETRY_PERIOD = timedelta(hours=1)
REPLY_GONE = {
    "code": "reply_gone",
    "message": "В сети этого ответа уже нет: его удалили там. Править нечего, напишите новый ответ.",
}
NO_TOKEN = {
    "code": "no_usable_token",
    "message": "У страницы нет действующего ключа, которым меняют опубликованное: сообщите оператору.",
}
NOT_CONFIRMED = {
    "code": "outcome_unknown",
    "message": "Сеть не подтвердила изменение и не показывает обсуждение: проверьте в сети, что там стоит.",
}
NO_RESPONSE = {"code": "no_response", "message": "Сеть не ответила ни на одну попытку: ответ стоит как прежде."}
JOB_DEAD_LETTERED = {
    "code": "job_dead_lettered",
    "message": "Изменение не удалось из-за ошибки в программе, о ней знает оператор. Проверьте, что стоит в сети.",
}


@dataclass(frozen=True)
class ChangeCall:
    """A call to make for one part of a reply; `text` None deletes it. `started_at`: its `sending_since`."""

    change_id: UUID
    part_id: UUID
    standing: StandingReply
    text: str | None
    started_at: datetime


@dataclass(frozen=True)
class ReplyChanger:
    """Processes changes. `settle_seconds`: how long a call without a response may still take effect."""

    database: Database
    intake: DatabaseIntakeStore
    networks: Mapping[str, NetworkAdapter]
    settle_seconds: float

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
        """Return the texts of the parts that stand in the network, by external id.

        Raises `RetryLater` if the thread could not be read completely; the change fails after a while. Empty then,
        and if another process has gone on with the change.
        """
        try:
            return await self._standing_texts(parts, page, network)
        except ReadFailed as error:
            async with self._locked(change_id) as (session, change, present_parts):
                if change.status not in UNFINISHED_STATUSES or change.sending_since != since:
                    return {}  # another process has gone on with the change
                if await is_older_than(session, change, RETRY_PERIOD):
                    await _fail(session, change, present_parts, NOT_CONFIRMED)
                    return {}
            raise RetryLater(timedelta(seconds=10), f"the thread cannot be read: {error}") from error

    async def _standing_texts(
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

    async def _compare(self, change_id: UUID, since: datetime | None, standing: dict[str | None, str]) -> None:
        """Finish what the network shows as done; queue the rest again."""
        async with self._locked(change_id) as (session, change, parts):
            if change.status in UNFINISHED_STATUSES and change.sending_since == since:
                await self._adopt(session, change, parts, standing)
                if change.status in UNFINISHED_STATUSES:
                    await set_values(session, change, status="queued", updated_at=DATABASE_NOW)

    async def _adopt(
        self,
        session: WriteSession,
        change: PublicationChange,
        parts: Sequence[Publication],
        standing: Mapping[str | None, str],
    ) -> None:
        """Take over what the network shows: the new text stands, or the reply is gone."""
        if change.text is None:
            for part in parts:
                if part.withdrawn_at is None and part.external_id not in standing:
                    await _withdrawn(session, part)
            await _finish_if_withdrawn(session, change, parts)
            return
        text = standing.get(parts[0].external_id)
        if text is None:
            await _fail(session, change, parts, REPLY_GONE)
        elif same_text(text, change.text):
            await _edited(session, change, parts)

    async def _start(self, change_id: UUID, page: PageRef, network: NetworkAdapter) -> ChangeCall | None:
        """Record that the next call is about to be made, and return it; None: there is nothing to call."""
        async with self._locked(change_id) as (session, change, parts):
            if change.status != "queued":
                return None
            left = [part for part in parts if part.withdrawn_at is None]
            if not left:
                await _finish_if_withdrawn(session, change, parts)
                return None
            if change.attempts and await is_older_than(session, change, RETRY_PERIOD):
                await _fail(session, change, parts, change.failure or NO_RESPONSE)
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
                raise AssertionError("the database has just set it")
            part = left[0]
            standing = StandingReply(
                page=page,
                kind=cast("MessageKind", part.kind),
                thread_key=part.thread_key,
                external_id=part.external_id or "",
                media=part.uploaded_media or (),
                send_deadline=began + network.publish_timeout(),
            )
            return ChangeCall(change.id, part.id, standing, change.text, change.sending_since)

    async def _send(self, call: ChangeCall, parts: Sequence[Publication], network: NetworkAdapter) -> None:
        standing = call.standing
        try:
            try:
                async with asyncio.timeout(max(standing.send_deadline - boottime_seconds(), 0)):
                    if call.text is None:
                        await network.delete_reply(standing)
                    else:
                        await network.edit_reply(standing, call.text)
            except TimeoutError as error:
                raise PublishOutcomeUnknown("no response in time") from error
        except PublishRejected as refusal:
            await self._refused(call, refusal, parts, network)
        except PublishOutcomeUnknown as doubt:
            async with self._locked(call.change_id) as (session, change, _):
                if not _is_current(change, call):
                    return
                await set_values(session, change, status="uncertain", updated_at=DATABASE_NOW)
            log.warning("change outcome unknown", change_id=str(call.change_id), reason=str(doubt))
            raise RetryLater(
                timedelta(seconds=self.settle_seconds), "the response to the call was lost"
            ) from doubt
        else:
            await self._succeeded(call)

    async def _succeeded(self, call: ChangeCall) -> None:
        async with self._locked(call.change_id) as (session, change, parts):
            if not _is_current(change, call):
                return
            if call.text is not None:
                await _edited(session, change, parts)
                return
            await _withdrawn(session, next(part for part in parts if part.id == call.part_id))
            await set_values(session, change, status="queued", failure=None, updated_at=DATABASE_NOW)
            await _finish_if_withdrawn(session, change, parts)

    async def _refused(
        self, call: ChangeCall, refusal: PublishRejected, parts: Sequence[Publication], network: NetworkAdapter
    ) -> None:
        """Fail the change unless the network shows it as done; raise `RetryLater` for a temporary refusal."""
        standing = await self._after_refusal(call, refusal, parts, network)
        reason = {"code": refusal.code, "message": refusal.message}
        if refusal.code == NO_TOKEN["code"]:
            reason = NO_TOKEN
        async with self._locked(call.change_id) as (session, change, parts_now):
            if not _is_current(change, call):
                return
            if standing is not None:
                await self._adopt(session, change, parts_now, standing)
            if change.status not in UNFINISHED_STATUSES:
                return
            if standing is not None and call.text is None and call.standing.external_id not in standing:
                await set_values(session, change, status="queued", updated_at=DATABASE_NOW)
                return
            attempt = change.attempts
            if refusal.permanent or await is_older_than(session, change, RETRY_PERIOD):
                await _fail(session, change, parts_now, reason)
                return
            await set_values(session, change, status="queued", failure=reason, updated_at=DATABASE_NOW)
        raise RetryLater(
            timedelta(seconds=Backoff(refusal.retry_after, MAX_DELAY).delay(attempt)), refusal.message
        )

    async def _after_refusal(
        self, call: ChangeCall, refusal: PublishRejected, parts: Sequence[Publication], network: NetworkAdapter
    ) -> dict[str | None, str] | None:
        """Return the texts that stand after a permanent refusal; None: not known, the refusal alone counts."""
        if not (refusal.permanent and refusal.was_sent):
            return None
        if refusal.is_gone:
            own = call.standing.external_id
            return {part.external_id: part.text for part in parts if part.external_id != own}
        try:
            return await self._standing_texts(parts, call.standing.page, network)
        except ReadFailed as error:
            log.warning("thread not read after a refusal", change_id=str(call.change_id), error=str(error))
            return None


async def lock_change(session: WriteSession, change_id: UUID) -> tuple[PublicationChange, list[Publication]]:
    """Return the change and the parts of its reply, all locked. Raises LookupError if it does not exist."""
    first = await session.scalar(
        select(Publication)
        .join(PublicationChange, PublicationChange.publication_id == Publication.id)
        .where(PublicationChange.id == change_id)
    )
    if first is None:
        raise LookupError("the change does not exist")
    await lock_threads(session, [first.thread_key])
    parts = await lock_parts(session, first.reply_id)
    change = await session.scalar(
        select(PublicationChange)
        .where(PublicationChange.id == change_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    assert change is not None, "changes are never deleted"
    return change, parts


async def lock_parts(session: WriteSession, reply_id: UUID) -> list[Publication]:
    """Return the parts of a reply in order, locked."""
    return list(
        await session.scalars(
            select(Publication)
            .where(Publication.reply_id == reply_id)
            .order_by(Publication.part)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


async def fail_dead_lettered_change(session: WriteSession, change_id: UUID) -> None:
    """Fail a change whose job was dead-lettered, so that a person is notified and may ask again."""
    change, parts = await lock_change(session, change_id)
    if change.status in UNFINISHED_STATUSES:
        await _fail(session, change, parts, JOB_DEAD_LETTERED)


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


async def _edited(session: WriteSession, change: PublicationChange, parts: Sequence[Publication]) -> None:
    (part,) = parts
    await set_values(session, part, text=change.text, version=part.version + 1, updated_at=DATABASE_NOW)
    await set_values(session, change, status="done", failure=None, updated_at=DATABASE_NOW)
    await emit(
        session, *await apply_own_change(session, part, change.text), _event(change, parts, PublicationEdited)
    )


async def _withdrawn(session: WriteSession, part: Publication) -> None:
    await set_values(session, part, withdrawn_at=DATABASE_NOW, version=part.version + 1, updated_at=DATABASE_NOW)
    await emit(session, *await apply_own_change(session, part, None))


async def _finish_if_withdrawn(
    session: WriteSession, change: PublicationChange, parts: Sequence[Publication]
) -> None:
    if change.text is None and all(part.withdrawn_at is not None for part in parts):
        await set_values(session, change, status="done", failure=None, updated_at=DATABASE_NOW)
        await emit(session, _event(change, parts, PublicationWithdrawn))


async def _fail(
    session: WriteSession, change: PublicationChange, parts: Sequence[Publication], reason: Mapping[str, Any]
) -> None:
    message = str(reason["message"])
    gone = sum(part.withdrawn_at is not None for part in parts)
    if change.text is None and gone:
        message = f"{message} Удалено частей ответа: {gone} из {len(parts)}."
    failure = PublicationFailure(code=reason["code"], message=message, final=True)
    await set_values(session, change, status="failed", failure=failure.model_dump(), updated_at=DATABASE_NOW)
    await emit(session, _event(change, parts, PublicationChangeFailed, failure=failure))
    log.info("change failed", change_id=str(change.id), code=failure.code)


def _event(
    change: PublicationChange, parts: Sequence[Publication], model: type[PublicationChangeResult], **more: Any
) -> NewEvent:
    first = parts[0]
    return NewEvent(
        data=model(reply_id=first.reply_id, change_id=change.id, **more),
        subject_id=first.id,
        organisation_id=first.organisation_id,
        actor=ACTOR,
    )
