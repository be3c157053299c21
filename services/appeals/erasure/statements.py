"""Statements of an erasure: the audit trail records the erasure of an appeal as one action, without values."""

from typing import Any

from sqlalchemy import delete, update

from shared.audit import recorder
from shared.database.sessions import WriteSession
from shared.tables import Base


async def update_rows(session: WriteSession, table: type[Base], *conditions: Any, **values: Any) -> None:
    """Set these values in the matching rows, without auditing the values."""
    await session.execute(
        update(table).where(*conditions).values(**values).execution_options(synchronize_session=False)
    )
    await recorder.record(session, table)


async def delete_rows(session: WriteSession, table: type[Base], *conditions: Any) -> None:
    """Delete the matching rows, without auditing their values."""
    await session.execute(delete(table).where(*conditions).execution_options(synchronize_session=False))
    await recorder.record(session, table)
