"""Request, list and repeat erasures."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.erasure.official_pages import belongs_to_page
from services.ingest.erasure.subject import find_subject, last_written, lock_intake, store_digests
from services.ingest.pseudonymisation.erased_digests import PREFIX, author_digest
from services.ingest.schemas.erasures import ErasureGround, ErasureRecordIn, ErasureStatus
from shared import clock
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, NotFound
from shared.ids import new_id
from shared.jobs import JobQueue
from shared.tables.appeals import Appeal
from shared.tables.ingest import Author, Message
from shared.tables.ingest_erasure import Erasure

ERASE_JOB = "erase-author"


async def request_erasure(
    session: WriteSession,
    jobs: JobQueue,
    author_key: str,
    *,
    ground: ErasureGround,
    reference: str,
    requested_by: str,
    until: datetime | None = None,
) -> Erasure:
    """Queue the erasure of what an author wrote until `until`, by default until now; return the erasure.

    Return the earlier erasure if it is unfinished, or if nothing was stored since; a failed one is queued again.
    The key may also be the pseudonym of an erased author. Raises `NotFound` for an unknown author, `Conflict` for
    an official page.
    """
    if author_key.startswith(PREFIX):
        return await _queue_again(session, jobs, await _by_pseudonym(session, author_key))
    if await belongs_to_page(session, author_key):
        raise Conflict("This `author_key` belongs to an official page. Only the data of citizens can be erased")
    digest = author_digest(author_key)
    last = await _unfinished_or_locked(session, digest)
    if last is not None and last.status != "done":
        return await _queue_again(session, jobs, last)
    if not await _is_known(session, author_key):
        if last is None:
            raise NotFound("No such author")
        return last
    subject = await find_subject(session, author_key)
    written = await last_written(session, subject)
    until = until or clock.now()
    erasure = _new(
        digest, ground=ground, reference=reference, until=max(until, written or until), requested_by=requested_by
    )
    erasure.subject = subject.encrypted()
    session.add(erasure)
    await session.flush()
    await store_digests(session, erasure, subject.threads)
    await enqueue(session, jobs, erasure.id)
    return erasure


async def repeat_erasure(
    session: WriteSession, jobs: JobQueue, record: ErasureRecordIn, *, requested_by: str
) -> Erasure:
    """Queue an erasure again from its record, after the database was restored from an older backup; return it.

    Idempotent: an erasure that the database already has is not repeated.
    """
    last = await _unfinished_or_locked(session, record.author_digest)
    if last is not None and last.status != "done":
        return await _queue_again(session, jobs, last)
    if last is not None and last.until >= record.until:
        return last
    erasure = _new(
        record.author_digest,
        ground=record.ground,
        reference=record.reference,
        until=record.until,
        requested_by=requested_by,
    )
    session.add(erasure)
    await session.flush()
    await store_digests(session, erasure, [])
    await enqueue(session, jobs, erasure.id)
    return erasure


async def enqueue(
    session: WriteSession, jobs: JobQueue, erasure_id: UUID, *, dedupe_key: str | None = None
) -> None:
    """Enqueue the job that does the erasure."""
    await jobs.enqueue(session, ERASE_JOB, {"erasure_id": str(erasure_id)}, dedupe_key=dedupe_key)


def _new(digest: str, *, ground: ErasureGround, reference: str, until: datetime, requested_by: str) -> Erasure:
    return Erasure(
        id=new_id(),
        author_digest=digest,
        ground=ground,
        reference=reference,
        status="queued",
        until=until,
        # Random: the author cannot be derived from it.
        pseudonym=f"{PREFIX}{new_id().hex}",
        counts={},
        requested_by=requested_by,
    )


async def _last(session: WriteSession, digest: str) -> Erasure | None:
    found: Erasure | None = await session.scalar(
        select(Erasure)
        .where(Erasure.author_digest == digest)
        .order_by(Erasure.created_at.desc(), Erasure.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found


async def _unfinished_or_locked(session: WriteSession, digest: str) -> Erasure | None:
    """Return the author's last erasure, if any; unless it is unfinished, take `lock_intake` and read it again.

    The row is not locked: a step of the job may hold its lock, and intake must not wait for the job.
    """
    last = await _last(session, digest)
    if last is None or last.status == "done":
        await lock_intake(session)
        last = await _last(session, digest)
    return last


async def _by_pseudonym(session: WriteSession, pseudonym: str) -> Erasure:
    found: Erasure | None = await session.scalar(select(Erasure).where(Erasure.pseudonym == pseudonym))
    if found is None:
        raise NotFound("No such author")
    return found


async def _queue_again(session: WriteSession, jobs: JobQueue, erasure: Erasure) -> Erasure:
    if erasure.status == "failed":
        erasure.status, erasure.error = "queued", None
        await session.flush()
        await enqueue(session, jobs, erasure.id)
    return erasure


async def _is_known(session: AsyncSession, author_key: str) -> bool:
    for table in (Author, Message, Appeal):
        if await session.scalar(select(select(table).where(table.author_key == author_key).exists())):
            return True
    return False


async def get_erasure(session: AsyncSession, erasure_id: UUID) -> Erasure:
    """Return an erasure. Raises `NotFound` for an unknown id."""
    row = await session.get(Erasure, erasure_id)
    if row is None:
        raise NotFound("No such erasure")
    return row


class ErasureFilter(ListFilter):
    """Filter of the list of erasures."""

    status: ErasureStatus | None = None


async def list_erasures(session: AsyncSession, filters: ErasureFilter, paging: Paging) -> list[Erasure]:
    """Return erasures, newest first (page size plus one)."""
    query = select(Erasure).order_by(Erasure.created_at.desc(), Erasure.id.desc()).limit(paging.limit + 1)
    if filters.status is not None:
        query = query.where(Erasure.status == filters.status)
    after = paging.after([Erasure.created_at, Erasure.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))
