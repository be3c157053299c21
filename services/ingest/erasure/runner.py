"""Run an erasure: first ingest's messages, then appeals, then what refers to them in all services.

Every step is a transaction, or a command to another service, and finds by itself what is left to erase: after a
kill at any moment the job runs again and completes the erasure. Messages come first, so that no service reads
their texts again meanwhile. The job waits for publications that are being sent. The events for other systems are
written last, once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, cast, delete, func, select, union

from services.ingest.erasure.copies import erase_deliveries, erase_quotations
from services.ingest.erasure.message_rows import (
    Counts,
    count_unread_replies,
    erase_conversations,
    erase_own_messages,
    erase_public_replies,
    erased_appeal_ids,
    erased_ids,
)
from services.ingest.erasure.named_rows import (
    erase_in_messages_of_others,
    forget_naming,
    is_index_complete,
    messages_naming,
    unreadable_naming,
)
from services.ingest.erasure.official_pages import belongs_to_page
from services.ingest.erasure.publication_rows import erase_publications
from services.ingest.erasure.reply_links import erase_reply_links
from services.ingest.erasure.subject import (
    Subject,
    find_by_digest,
    find_subject,
    lock_intake,
    store_digests,
)
from services.ingest.erasure.traces import erase_traces
from services.ingest.pseudonymisation.people_in_payloads import number_of
from shared import clock
from shared.contracts.erasures import (
    MAX_SUBJECTS,
    AuthorErasedSoFar,
    EraseAuthor,
    EraseGrades,
    GradesErased,
)
from shared.contracts.ingest_events import AuthorErased
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.jobs import RetryLater
from shared.logs import get_logger
from shared.service import Service
from shared.service_client import ServiceUnavailable
from shared.tables.appeals import Appeal, Assignment
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Publication
from shared.tables.ingest_erasure import ErasedKey, Erasure

log = get_logger(__name__)

PAUSE = timedelta(seconds=10)
# Longer than `PAUSE`: many erasures may wait for the index, for an hour.
INDEX_PAUSE = timedelta(minutes=1)
_Step = Callable[[WriteSession, Erasure, Subject], Awaitable[Counts | None]]


async def fail(session: WriteSession, erasure_id: UUID, reason: str) -> None:
    """Mark an unfinished erasure as failed for this reason; the same request queues it again."""
    erasure = await session.get(Erasure, erasure_id, with_for_update=True)
    if erasure is not None and erasure.status != "done":
        erasure.status, erasure.error, erasure.updated_at = "failed", reason[:500], clock.now()


@dataclass(frozen=True)
class ErasureRunner:
    """Runs erasures of this service."""

    service: Service

    async def run(self, erasure_id: UUID) -> None:
        """Run an erasure until it is done.

        Raises `RetryLater` until the index of named people is complete, while a message that cannot be read may
        name the person, while a reply to the person is being published, while appeals has not read comments under
        the person's posts, or while another service does not answer.
        """
        subject = await self._begin(erasure_id)
        if subject is None:
            return
        async with self.service.database.read() as session:
            is_complete = await is_index_complete(session)
        if not is_complete:
            reason = "messages of former releases are not yet indexed by the people whom they name"
            await self._wait(erasure_id, reason)
            raise RetryLater(INDEX_PAUSE, reason)
        try:
            await self._repeat(erasure_id, subject, erase_own_messages)
            await self._repeat(erasure_id, subject, erase_conversations)
            await self._erase_appeals(erasure_id, subject)
            awaited = await self._erase_rest(erasure_id, subject)
        except ServiceUnavailable as unavailable:
            await self._wait(erasure_id, f"another service does not answer: {unavailable}")
            raise RetryLater(PAUSE, "another service does not answer") from unavailable
        if awaited:
            await self._wait(erasure_id, "; ".join(awaited))
            raise RetryLater(PAUSE, "; ".join(awaited))
        await self._finish(erasure_id)

    async def _begin(self, erasure_id: UUID) -> Subject | None:
        """Mark the erasure as running; return the person, or None if nothing is left to do."""
        key = await self._find_author(erasure_id)
        async with self.service.database.write() as session:
            if key is not None:
                await lock_intake(session)
            erasure = await session.get(Erasure, erasure_id, with_for_update=True)
            if erasure is None or erasure.status == "done":
                return None
            if erasure.subject is None and key is not None:
                found = await find_subject(session, key)
                erasure.subject = found.encrypted()
                await store_digests(session, erasure, found.threads)
            subject = None if erasure.subject is None else Subject.decrypted(erasure.subject)
            if subject is not None and await belongs_to_page(session, subject.author_key):
                # An earlier version accepted the request, or it was repeated from its record without this check.
                log.warning("nothing erased: the author is an official page", erasure_id=str(erasure_id))
                await session.execute(delete(ErasedKey).where(ErasedKey.erasure_id == erasure_id))
                subject = None
            if subject is None:
                await _conclude(session, erasure, ())
                return None
            erasure.status, erasure.updated_at = "running", clock.now()
            erasure.started_at = erasure.started_at or erasure.updated_at
            return subject

    async def _find_author(self, erasure_id: UUID) -> str | None:
        """Return the author's key if the erasure is a repeated one whose author is not yet found, else None."""
        async with self.service.database.read() as session:
            erasure = await session.get(Erasure, erasure_id)
            if erasure is None or erasure.status == "done" or erasure.subject is not None:
                return None
            return await find_by_digest(session, erasure.author_digest)

    @asynccontextmanager
    async def _locked(
        self, erasure_id: UUID, *, alone: bool = False
    ) -> AsyncIterator[tuple[WriteSession, Erasure]]:
        """Yield a transaction with the erasure locked: two jobs of one erasure take turns.

        `alone`: intake waits meanwhile, so that it never looks up a message whose id is being replaced.
        """
        async with self.service.database.write() as session:
            if alone:
                await lock_intake(session)
            # FOR NO KEY UPDATE: intake inserts rows with foreign keys to erasures meanwhile and must not wait.
            erasure = await session.get_one(Erasure, erasure_id, with_for_update={"key_share": True})
            erasure.updated_at = clock.now()
            yield session, erasure

    async def _repeat(self, erasure_id: UUID, subject: Subject, step: _Step) -> None:
        """Repeat a step, each time in its own transaction, until it finds nothing to erase."""
        while True:
            async with self._locked(erasure_id, alone=bool(subject.threads)) as (session, erasure):
                counts = await step(session, erasure, subject)
                if counts is None:
                    return
                _add(erasure, "ingest", counts)

    async def _erase_appeals(self, erasure_id: UUID, subject: Subject) -> None:
        async with self.service.database.read() as reader:
            erasure = await reader.get_one(Erasure, erasure_id)
        command = EraseAuthor(
            author_key=subject.author_key,
            pseudonym=erasure.pseudonym,
            until=erasure.until,
            threads=subject.replaced_threads,
        )
        path, part = "/internal/erasures/appeals", 0
        while True:
            part += 1
            answer = await self.service.client().post(
                "appeals",
                path,
                command.model_dump(mode="json"),
                on_behalf_of=erasure.requested_by,
                idempotency_key=f"{erasure_id}:{part}",
            )
            done = AuthorErasedSoFar.model_validate(answer)
            async with self._locked(erasure_id) as (_, locked):
                _set(locked, "appeals", done.counts)
            if done.is_done:
                return

    async def _erase_rest(self, erasure_id: UUID, subject: Subject) -> list[str]:
        """Erase data that refers to erased messages and appeals; return the reasons why the erasure must wait."""
        awaited: list[str] = []
        # Alone: a reply whose publication is erased here is stored either before this or without words.
        async with self._locked(erasure_id, alone=True) as (session, erasure):
            appeal_ids = await erased_appeal_ids(session, erasure)
            if unread := await count_unread_replies(session, erasure):
                awaited.append(f"comments under posts of the person that appeals has not read yet: {unread}")
            _add(erasure, "ingest", await erase_public_replies(session, erasure, appeal_ids))
            counts, publishing = await erase_publications(session, subject, appeal_ids)
            if publishing:
                awaited.append(f"replies to the person that are being published: {publishing}")
            _add(erasure, "ingest", counts)
        async with self._locked(erasure_id) as (session, erasure):
            subject_ids = [*await erased_ids(session, erasure, subject), *appeal_ids]
            _add(erasure, "ingest", await erase_traces(session, erasure, subject, subject_ids))
            of_appeals = (
                select(Publication.id)
                .join(Reply, Reply.id == Publication.reply_id)
                .where(is_one_of(Reply.appeal_id, appeal_ids), Publication.part == 0)
            )
            of_conversations = select(Publication.id).where(
                Publication.thread_key.in_(subject.replaced_threads.values()), Publication.part == 0
            )
            with_events = [*subject_ids, *await session.scalars(of_appeals.union(of_conversations))]
        for some in _parts(with_events):
            async with self._locked(erasure_id) as (session, erasure):
                events = await session.scalar(select(func.erase_events(cast(some, ARRAY(Uuid)))))
                _add(erasure, "events", {"events": events or 0})
        deliveries, changing = await self._erase_in_messages_of_others(erasure_id, subject)
        async with self.service.database.read() as session:
            unreadable = await unreadable_naming(session, subject)
        if unreadable:
            ids = ", ".join(map(str, unreadable))
            awaited.append(f"messages that cannot be read contain the number of the person: {ids}")
        if changing:
            awaited.append(f"{changing} replies to other people that link to the person are being changed")
        await self._erase_deliveries(erasure_id, subject_ids, deliveries)
        await self._erase_grades(erasure_id, appeal_ids)
        return awaited

    async def _erase_in_messages_of_others(self, erasure_id: UUID, subject: Subject) -> tuple[int, int]:
        """Erase the person in messages of others, our replies to others, their appeals and deliveries; return how
        many deliveries, and how many messages are replies that are being changed.
        """
        deliveries, changing, after = 0, 0, UUID(int=0)
        if subject.native_id is None:
            return deliveries, changing
        while True:
            async with self._locked(erasure_id) as (session, erasure):
                found = await messages_naming(session, subject, after)
                replies = await erase_reply_links(session, found, {number_of(subject.native_id): erasure.until})
                changing += len(replies.postponed)
            async with self._locked(erasure_id) as (session, erasure):
                names, counts = await erase_in_messages_of_others(session, erasure, subject, found)
                _add(erasure, "ingest", counts)
            if not found:
                return deliveries, changing
            after = found[-1]
            appeal_ids = await erase_quotations(self.service, names.rewritten, replies.people)
            deliveries += await erase_deliveries(
                self.service, [*names.rewritten, *appeal_ids], f"{erasure_id}:{after}"
            )
            # Last: after a kill, the messages are found again.
            kept = names.naming | replies.postponed
            async with self._locked(erasure_id) as (session, _):
                await forget_naming(session, subject, [one for one in found if one not in kept])

    async def _erase_deliveries(self, erasure_id: UUID, subject_ids: Sequence[UUID], of_others: int) -> None:
        deliveries = of_others + await erase_deliveries(self.service, subject_ids, str(erasure_id))
        async with self._locked(erasure_id) as (_, erasure):
            _set(erasure, "webhooks", {"deliveries": deliveries})

    async def _erase_grades(self, erasure_id: UUID, appeal_ids: Sequence[UUID]) -> None:
        answers = 0
        for part, some in enumerate(_parts(appeal_ids)):
            answer = await self.service.client().post(
                "metrics",
                "/internal/erasures/grades",
                EraseGrades(appeal_ids=some).model_dump(mode="json"),
                on_behalf_of="ingest",
                idempotency_key=f"{erasure_id}:{part}",
            )
            answers += GradesErased.model_validate(answer).answers
        async with self._locked(erasure_id) as (_, erasure):
            _set(erasure, "metrics", {"graded_answers": answers})

    async def _wait(self, erasure_id: UUID, reason: str) -> None:
        async with self._locked(erasure_id) as (_, erasure):
            erasure.error = reason

    async def _finish(self, erasure_id: UUID) -> None:
        async with self._locked(erasure_id) as (session, erasure):
            if erasure.status != "done":
                await _conclude(session, erasure, await erased_appeal_ids(session, erasure))
        log.info("personal data erased", erasure_id=str(erasure_id))


async def _conclude(session: WriteSession, erasure: Erasure, appeal_ids: Sequence[UUID]) -> None:
    """Mark the erasure as done, remove the person from it, and emit the events for other systems."""
    erasure.status, erasure.subject, erasure.error = "done", None, None
    erasure.finished_at = erasure.updated_at = clock.now()
    events = [
        NewEvent(
            data=AuthorErased(appeal_ids=some, erased_until=erasure.until),
            subject_id=erasure.id,
            organisation_id=organisation_id,
            actor=erasure.requested_by,
        )
        for organisation_id, found in (await _appeals_by_organisation(session, appeal_ids)).items()
        for some in _parts(found)
    ]
    await emit(session, *events)


async def _appeals_by_organisation(
    session: WriteSession, appeal_ids: Sequence[UUID]
) -> Mapping[UUID | None, list[UUID]]:
    """Return the appeals by each organisation that has or had them; None: those that no organisation ever had."""
    had = union(
        select(Appeal.id, Appeal.organisation_id).where(is_one_of(Appeal.id, appeal_ids)),
        select(Assignment.appeal_id, Assignment.to_organisation_id).where(
            is_one_of(Assignment.appeal_id, appeal_ids)
        ),
    )
    found: dict[UUID | None, list[UUID]] = {}
    for appeal_id, organisation_id in await session.execute(had):
        found.setdefault(organisation_id, []).append(appeal_id)
    assigned = {appeal_id for organisation_id, ids in found.items() if organisation_id for appeal_id in ids}
    unassigned = [appeal_id for appeal_id in found.pop(None, []) if appeal_id not in assigned]
    return found | ({None: unassigned} if unassigned else {})


def _parts(ids: Sequence[UUID]) -> list[list[UUID]]:
    return [list(ids[start : start + MAX_SUBJECTS]) for start in range(0, len(ids), MAX_SUBJECTS)]


def _add(erasure: Erasure, service: str, counts: Mapping[str, int]) -> None:
    known: Mapping[str, Any] = erasure.counts.get(service, {})
    _set(
        erasure, service, {name: known.get(name, 0) + counts.get(name, 0) for name in known.keys() | counts.keys()}
    )


def _set(erasure: Erasure, service: str, counts: Mapping[str, int]) -> None:
    """Set the counts of a service in a new dictionary: SQLAlchemy does not notice changes inside JSON."""
    erasure.counts = erasure.counts | {service: dict(sorted(counts.items()))}
