"""Publishing an answer exactly once.

queued → `sending`, committed before the call → the call → published or failed. A crash, a timeout or a lost
response leaves it in doubt: then the thread is read, and a comment of ours with that text and target is adopted;
only when there is none is it sent again. One publication at a time per thread, in order. A long answer goes out
in parts, each of them exactly once, each after its elder; when one fails for good, the younger ones fail with it.
Events speak of the answer: they carry the id of its first part.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import or_, select, tuple_, update

from services.ingest.intake.adoption import lock_threads, mark_published
from services.ingest.intake.feed import DatabaseFeed
from services.ingest.networks.port import (
    Kind,
    Network,
    NotRead,
    Outgoing,
    PageRef,
    Published,
    Refused,
    Unsure,
)
from shared import clock
from shared.database import Database, WriteSession
from shared.events import NewEvent, emit
from shared.jobs import TryLater
from shared.logs import logger
from shared.tables.ingest import Message, Publication
from shared.tables.registry import Page

log = logger(__name__)

ACTOR = "ingest"
JOB = "publish"
READ_BACK = "read_back"
MAX_ATTEMPTS = 8
MAX_PAUSE = 300.0
# What the network refuses for now is tried for at least so long: keys are replaced and limits end within a day.
PATIENCE = timedelta(days=1)
# No call was made: the answer goes out soon after the cause has ended.
NOT_CALLED = {"no_token", "unreachable"}
NOT_CALLED_PAUSE = 30.0
UNANSWERED = {
    "code": "unanswered",
    "message": "Сеть не ответила ни на одну попытку, и в обсуждении ответа нет. Отправьте его снова позже.",
}
IN_DOUBT = {
    "code": "in_doubt",
    "message": "Сеть не подтвердила отправку: проверяем, стоит ли ответ в обсуждении. Дважды он не уйдёт.",
    "final": False,
}
UNFINISHED = ("queued", "sending", "uncertain")


@dataclass(frozen=True)
class Publisher:
    """Carries publications through. `settle` is how long a lost call may still take effect, in seconds."""

    database: Database
    feed: DatabaseFeed
    networks: Mapping[str, Network]
    settle: float

    async def carry_out(self, publication_id: UUID) -> None:
        """One step after another until the publication is done. Raises `TryLater` when it has to wait.

        May be called at any time, any number of times, by several processes.
        """
        found = await self._load(publication_id)
        if found is None:
            return
        network = self.networks[found.page.network]
        async with self.database.write() as session:
            row = await _locked(session, found)
            if row.status not in UNFINISHED:
                return
            if row.status == "queued":
                await self._start(session, row)
            else:
                await self._doubt(session, row, network)
        if row.status == "uncertain":
            if await self._settled_by_reading(found, network):
                return
            async with self.database.write() as session:
                row = await _locked(session, found)
                if row.status != "uncertain":
                    return
                if row.attempts >= MAX_ATTEMPTS and (row.failure is None or _is_over(row)):
                    await _fail(session, row, UNANSWERED)
                    return
                await self._start(session, row)
        await self._send(found, network, row.attempts)

    async def _load(self, publication_id: UUID) -> Outgoing | None:
        async with self.database.read() as session:
            result = await session.execute(
                select(Publication, Page)
                .join(Page, Page.id == Publication.page_id)
                .where(Publication.id == publication_id)
            )
            pair = result.one_or_none()
        if pair is None:
            return None
        row, page = pair
        return Outgoing(
            id=row.id,
            page=PageRef(
                id=page.id,
                organisation_id=page.organisation_id,
                network=page.network,
                external_id=page.external_id,
                live_from=page.live_from,
            ),
            kind=cast("Kind", row.kind),
            thread_key=row.thread_key,
            target=row.target,
            text=row.text,
            since=row.created_at,
        )

    async def _start(self, session: WriteSession, row: Publication) -> None:
        """Write down that the call is about to be made; wait while an earlier answer of the thread is open.

        Of the parts of one answer the lower number is the earlier; a failed part takes those after it along.
        """
        older = tuple_(Publication.created_at, Publication.id) < tuple_(row.created_at, row.id)
        same = Publication.reply_id == row.reply_id
        result = await session.execute(
            select(Publication.failure)
            .where(
                Publication.thread_key == row.thread_key,
                Publication.status.in_(UNFINISHED),
                or_(~same & older, same & (Publication.part < row.part)),
            )
            .order_by(Publication.created_at, Publication.part)
            .limit(1)
        )
        if (earlier := result.one_or_none()) is not None:
            pause = 1 if earlier.failure is None else 5
            raise TryLater(timedelta(seconds=pause), "an earlier answer of this thread is not out yet")
        now = clock.now()
        await _change(session, row, status="sending", sending_since=now, attempts=row.attempts + 1, updated_at=now)

    async def _doubt(self, session: WriteSession, row: Publication, network: Network) -> None:
        """A call was made and its outcome is not known here; wait until it can no longer take effect."""
        now = clock.now()
        since = row.sending_since or row.updated_at
        over = since + timedelta(seconds=network.call_seconds() + self.settle)
        if now < over:
            raise TryLater(over - now + timedelta(milliseconds=200), "a call is in flight or was lost")
        if row.status == "sending":
            await _uncertain(session, row, "the process ended during the call")

    async def _settled_by_reading(self, found: Outgoing, network: Network) -> bool:
        """Read the thread; intake adopts what is ours. Says whether the publication is done by that."""
        observed_at = clock.now()
        try:
            parsed = await network.read_back(found)
        except NotRead as error:
            raise TryLater(timedelta(seconds=5), f"the thread cannot be read: {error}") from error
        await self.feed.store(found.page, READ_BACK, parsed, observed_at=observed_at)
        async with self.database.read() as session:
            status = await session.scalar(select(Publication.status).where(Publication.id == found.id))
        return status == "published"

    async def _send(self, found: Outgoing, network: Network, attempt: int) -> None:
        try:
            _check_length(found, network.max_length(found.kind))
            try:
                # Pacing included: nothing of this attempt may happen after others hold it for over.
                async with asyncio.timeout(network.call_seconds()):
                    published = await network.publish(found)
            except TimeoutError as error:
                raise Unsure("no answer in time") from error
        except Refused as refusal:
            await self._refused(found, refusal, attempt)
        except Unsure as doubt:
            async with self.database.write() as session:
                row = await _locked(session, found)
                if row.status != "sending" or row.attempts != attempt:
                    return
                await _uncertain(session, row, str(doubt))
            raise TryLater(timedelta(seconds=self.settle), "the answer to the call was lost") from doubt
        else:
            await self._published(found, published)

    async def _published(self, found: Outgoing, published: Published) -> None:
        async with self.database.write() as session:
            row = await _locked(session, found)
            if row.status == "published" and row.external_id == published.external_id:
                return
            if row.external_id is not None:
                # Adopted by likeness, and the network says otherwise: those words were someone else's.
                await _link(session, row.network, row.kind, row.external_id, None)
            events = await mark_published(
                session,
                row,
                published.external_id,
                published.url,
                published_at=clock.now(),
                adopted=False,
            )
            await _link(session, row.network, row.kind, published.external_id, row.id)
            await emit(session, *events)

    async def _refused(self, found: Outgoing, refusal: Refused, attempt: int) -> None:
        async with self.database.write() as session:
            row = await _locked(session, found)
            if row.status != "sending" or row.attempts != attempt:
                return
            final = refusal.permanent or (attempt >= MAX_ATTEMPTS and _is_over(row))
            reason = {"code": refusal.code, "message": refusal.message}
            if final:
                await _fail(session, row, reason)
            else:
                await _delay(session, row, reason)
        log.info("publication refused", publication_id=str(found.id), code=refusal.code, final=final)
        if not final:
            longest = NOT_CALLED_PAUSE if refusal.code in NOT_CALLED else MAX_PAUSE
            pause = min(refusal.retry_in * 2.0 ** min(attempt - 1, 10), longest)
            raise TryLater(timedelta(seconds=pause), refusal.message)


def _check_length(found: Outgoing, longest: int) -> None:
    if len(found.text) > longest:
        message = f"Текст длиннее {longest} знаков: сократите его и отправьте снова."
        raise Refused("too_long", message, permanent=True)


async def _locked(session: WriteSession, found: Outgoing) -> Publication:
    await lock_threads(session, [found.thread_key])
    row = await session.scalar(
        select(Publication)
        .where(Publication.id == found.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise LookupError("the publication is gone")
    return row


async def _change(session: WriteSession, row: Publication, **values: object) -> None:
    await session.execute(
        update(Publication)
        .where(Publication.id == row.id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(row)


async def _link(
    session: WriteSession, network: str, kind: str, external_id: str, publication_id: UUID | None
) -> None:
    await session.execute(
        update(Message)
        .where(Message.network == network, Message.kind == kind, Message.external_id == external_id)
        .values(publication_id=publication_id)
    )


def _is_over(row: Publication) -> bool:
    return clock.now() - row.created_at > PATIENCE


async def _fail(session: WriteSession, row: Publication, reason: dict[str, str]) -> None:
    """It failed for good, and with it the parts after it, which would hang in the air."""
    failure = {**reason, "final": True}
    await session.execute(
        update(Publication)
        .where(
            Publication.reply_id == row.reply_id,
            or_(Publication.id == row.id, (Publication.part > row.part) & (Publication.status == "queued")),
        )
        .values(status="failed", failure=failure, version=Publication.version + 1, updated_at=clock.now())
        .execution_options(synchronize_session=False)
    )
    await session.refresh(row)
    await emit(session, await _event(session, row, "publication.failed", failure=failure))


async def _delay(session: WriteSession, row: Publication, reason: dict[str, str]) -> None:
    """It is tried again by itself; its author is told why, once for each reason."""
    failure = {**reason, "final": False}
    news = row.failure != failure
    await _change(session, row, status="queued", failure=failure, updated_at=clock.now())
    if news:
        await emit(session, await _event(session, row, "publication.delayed", failure=failure))


async def _uncertain(session: WriteSession, row: Publication, reason: str) -> None:
    log.warning("publication in doubt", publication_id=str(row.id), reason=reason)
    await _change(session, row, status="uncertain", version=row.version + 1, updated_at=clock.now())
    await emit(session, await _event(session, row, "publication.uncertain", failure=IN_DOUBT))


async def _event(session: WriteSession, row: Publication, kind: str, **data: object) -> NewEvent:
    first = row.id
    if row.part:
        query = select(Publication.id).where(Publication.reply_id == row.reply_id, Publication.part == 0)
        first = await session.scalar(query) or row.id
    return NewEvent(
        type=kind,
        subject_id=first,
        organisation_id=row.organisation_id,
        actor=ACTOR,
        data={"reply_id": str(row.reply_id), "part": row.part, "parts": row.parts, **data},
    )
