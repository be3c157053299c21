"""Publications as others see them: asked for by appeals, listed, sent again."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.publish import JOB
from services.ingest.schemas import PublicationIn
from shared import clock
from shared.access import Caller
from shared.database import WriteSession
from shared.ids import new_id
from shared.jobs import Jobs
from shared.pagination import Paging
from shared.problems import Conflict, FieldError, Invalid, KeyReused, NotFound
from shared.tables.ingest import Message, Publication


async def _enqueue(session: WriteSession, jobs: Jobs, publication_id: UUID) -> None:
    payload = {"publication_id": str(publication_id)}
    # No dedupe key: a job that is just ending would swallow this one. Two jobs do no harm.
    await jobs.enqueue(session, JOB, payload)


async def request(session: WriteSession, jobs: Jobs, wanted: PublicationIn) -> tuple[Publication, bool]:
    """Queue an answer to a citizen's message, once per reply; says whether it is new.

    Raises `Invalid` for an unknown message, `KeyReused` when the reply was asked for with another text.
    """
    message = await session.get(Message, wanted.message_id)
    if message is None:
        detail = "No such message"
        raise Invalid(detail, errors=[FieldError(pointer="/message_id", detail=detail)])
    in_dialogue = message.kind == "message"
    now = clock.now()
    made = await session.scalar(
        insert(Publication)
        .values(
            id=new_id(),
            reply_id=wanted.reply_id,
            page_id=message.page_id,
            organisation_id=wanted.organisation_id or message.organisation_id,
            network=message.network,
            kind="message" if in_dialogue else "comment",
            thread_key=message.thread_key,
            target=message.external_id if message.kind == "comment" else None,
            text=wanted.text,
            on_behalf_of=wanted.on_behalf_of,
            status="queued",
            attempts=0,
            version=1,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(index_elements=[Publication.reply_id, Publication.part])
        .returning(Publication.id)
    )
    row = await session.scalar(select(Publication).where(Publication.reply_id == wanted.reply_id))
    if row is None:
        raise Conflict("The publication was removed in the same moment; ask again")
    if row.text != wanted.text or row.thread_key != message.thread_key:
        raise KeyReused.field("/reply_id", "This reply was asked for with another text or message")
    if made is not None:
        await _enqueue(session, jobs, row.id)
    return row, made is not None


async def retry(
    session: WriteSession, jobs: Jobs, publication_id: UUID, caller: Caller | None = None
) -> Publication:
    """Send a failed answer again, from its first attempt. Raises `NotFound`, `Conflict` unless it failed."""
    row = await session.scalar(select(Publication).where(Publication.id == publication_id).with_for_update())
    if row is None or (caller is not None and not caller.sees(row.organisation_id)):
        raise NotFound("No such publication")
    if row.status != "failed":
        raise Conflict(f"The publication is «{row.status}»; only a failed one is sent again")
    row.status, row.attempts, row.failure = "queued", 0, None
    row.version += 1
    row.updated_at = clock.now()
    await session.flush()
    await _enqueue(session, jobs, row.id)
    return row


async def find(session: AsyncSession, caller: Caller, publication_id: UUID) -> Publication:
    """A publication that the caller may see. Raises `NotFound`."""
    row = await session.get(Publication, publication_id)
    if row is None or not caller.sees(row.organisation_id):
        raise NotFound("No such publication")
    return row


async def listed(
    session: AsyncSession, caller: Caller, paging: Paging, conditions: Sequence[ColumnElement[bool]]
) -> list[Publication]:
    """Publications, newest first; one more than the page holds."""
    query = (
        select(Publication)
        .where(caller.scope(Publication.organisation_id), *conditions)
        .order_by(Publication.created_at.desc(), Publication.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after([Publication.created_at, Publication.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))
