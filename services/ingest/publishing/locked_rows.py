"""Lock rows of publications and changes; update them and compare their times by the database's clock."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, literal, select, update

from services.ingest.intake.own_reply_matching import lock_threads
from shared.database.sessions import WriteSession
from shared.jobs import RetryLater
from shared.tables.ingest import Publication, PublicationChange

DATABASE_NOW = func.clock_timestamp()


async def set_values(session: WriteSession, row: Publication | PublicationChange, **values: object) -> None:
    """Set these values or SQL expressions in the row and refresh it."""
    model = type(row)
    await session.execute(
        update(model).where(model.id == row.id).values(**values).execution_options(synchronize_session=False)
    )
    await session.refresh(row)


async def is_older_than(session: WriteSession, row: Publication | PublicationChange, period: timedelta) -> bool:
    """Return whether the row was created more than `period` ago."""
    return bool(await session.scalar(select(DATABASE_NOW - literal(row.created_at) > period)))


async def wait_for_call(session: WriteSession, since: datetime | None, lease: timedelta) -> None:
    """Raise `RetryLater` while a call of unknown outcome, begun at `since`, may still take effect."""
    left = await session.scalar(select(literal(since) + lease - DATABASE_NOW))
    if left is not None and left > timedelta(0):
        raise RetryLater(left + timedelta(milliseconds=200), "a call is in flight or its response was lost")


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
