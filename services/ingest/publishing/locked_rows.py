"""What publishing does with a locked row of a publication or a change, by the database's clock."""

from datetime import datetime, timedelta

from sqlalchemy import func, literal, select, update

from shared.database.sessions import WriteSession
from shared.jobs import RetryLater
from shared.tables.ingest import Publication, PublicationChange

DATABASE_NOW = func.clock_timestamp()


async def set_values(session: WriteSession, row: Publication | PublicationChange, **values: object) -> None:
    """Update the row by these values or SQL expressions, and read it again."""
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
