"""Purge expired rows: the owner of a table deletes them in batches, oldest first.

A batch is one transaction and skips locked rows, so it waits for no other transaction and blocks others
only for a short time. Two workers that purge at the same time share the work.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import Counter
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import CursorResult, delete, inspect, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import ColumnElement

from shared.database.sessions import Database, WriteSession
from shared.tables import Base

PURGED = Counter("gospablik_purged_rows_total", "Rows deleted after their retention period", ["table"])
PURGE_BATCH_SIZE = 2_000


class RetentionSettings(BaseSettings):
    """Retention periods in days, read from `GOSPABLIK_KEEP_*`; docs/operations/index.md gives the reasons."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_KEEP_", extra="ignore", env_ignore_empty=True)

    authors_days: int | None = Field(default=None, ge=365)
    job_log_days: int = Field(default=30, ge=7)
    quarantine_days: int = Field(default=90, ge=14)
    message_versions_days: int = Field(default=365, ge=90)
    deliveries_days: int = Field(default=30, ge=7)
    delivery_attempts_days: int = Field(default=30, ge=7)
    failed_deliveries_days: int = Field(default=90, ge=30)
    events_days: int = Field(default=400, ge=120)
    seen_alerts_days: int = Field(default=365, ge=30)
    personal_data_reads_days: int = Field(default=400, ge=365)
    page_checks_days: int = Field(default=400, ge=35)
    unattached_uploads_days: int = Field(default=3, ge=1)
    bulk_operations_days: int = Field(default=400, ge=35)
    exports_days: int = Field(default=3, ge=1)
    unread_marks_days: int = Field(default=90, ge=30)
    partner_events_days: int = Field(default=30, ge=7)
    notices_days: int = Field(default=365, ge=30)


@dataclass(frozen=True)
class PurgeRule:
    """A rule to purge a table: `delete_batch` deletes at most the given number of rows and returns how many."""

    table: str
    delete_batch: Callable[[WriteSession, int], Awaitable[int]]


def purge_rule(
    table: type[Base],
    age_column: InstrumentedAttribute[object],
    conditions: Callable[[], Sequence[ColumnElement[bool]]],
) -> PurgeRule:
    """Return the rule that deletes the rows that meet `conditions`, oldest first."""

    async def delete_batch(session: WriteSession, limit: int) -> int:
        key = inspect(table).primary_key
        old = (
            select(*key)
            .where(*conditions())
            .order_by(age_column)
            .limit(limit)
            .with_for_update(skip_locked=True, of=table)
        )
        result = await session.execute(
            delete(table).where(tuple_(*key).in_(old)).execution_options(synchronize_session=False)
        )
        assert isinstance(result, CursorResult)
        return result.rowcount

    return PurgeRule(table.__tablename__, delete_batch)


async def purge_tables(database: Database, rules: Sequence[PurgeRule], batch: int = PURGE_BATCH_SIZE) -> None:
    """Delete all expired rows, table by table.

    A failed rule does not stop the others; all failures are raised as a group at the end.
    """
    failures: list[Exception] = []
    for rule in rules:
        try:
            while True:
                async with database.write() as session:
                    count = await rule.delete_batch(session, batch)
                PURGED.labels(rule.table).inc(count)
                if count < batch:
                    break
        except Exception as error:  # noqa: BLE001 — raised again below
            failures.append(error)
    if failures:
        raise ExceptionGroup("some tables were not purged", failures)
