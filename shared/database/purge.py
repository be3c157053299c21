"""Rows that have served their term are deleted: by the owner of their table, oldest first, some at a time.

A batch is a transaction of its own and passes over rows that somebody holds, so it waits for nobody and nobody
waits long for it. Two workers that purge at once share the work.
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

PURGED = Counter("gospablik_purged_rows_total", "Rows deleted because their term had passed", ["table"])
BATCH = 2_000


class Terms(BaseSettings):
    """How many days rows are kept, read from `GOSPABLIK_KEEP_*`; docs/operations/index.md says why so long."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_KEEP_", extra="ignore")

    job_log_days: int = Field(default=30, ge=7)
    set_aside_days: int = Field(default=90, ge=14)
    message_versions_days: int = Field(default=365, ge=90)
    deliveries_days: int = Field(default=30, ge=7)
    failed_deliveries_days: int = Field(default=90, ge=30)
    events_days: int = Field(default=400, ge=120)
    seen_alerts_days: int = Field(default=365, ge=30)
    page_checks_days: int = Field(default=400, ge=35)


@dataclass(frozen=True)
class Rule:
    """How one table is purged: `some` deletes at most so many rows and returns how many it deleted."""

    table: str
    some: Callable[[WriteSession, int], Awaitable[int]]


def expired(
    table: type[Base],
    age: InstrumentedAttribute[object],
    conditions: Callable[[], Sequence[ColumnElement[bool]]],
) -> Rule:
    """Return the rule that deletes the rows which meet the conditions now, oldest first."""

    async def some(session: WriteSession, limit: int) -> int:
        key = inspect(table).primary_key
        old = (
            select(*key)
            .where(*conditions())
            .order_by(age)
            .limit(limit)
            .with_for_update(skip_locked=True, of=table)
        )
        result = await session.execute(
            delete(table).where(tuple_(*key).in_(old)).execution_options(synchronize_session=False)
        )
        assert isinstance(result, CursorResult)
        return result.rowcount

    return Rule(table.__tablename__, some)


async def purge(database: Database, rules: Sequence[Rule], batch: int = BATCH) -> None:
    """Delete all that is past its term, table by table.

    A rule that fails holds up no other; raises the failures, as a group, at the end.
    """
    failures: list[Exception] = []
    for rule in rules:
        try:
            while True:
                async with database.write() as session:
                    count = await rule.some(session, batch)
                PURGED.labels(rule.table).inc(count)
                if count < batch:
                    break
        except Exception as error:  # noqa: BLE001 — raised again below
            failures.append(error)
    if failures:
        raise ExceptionGroup("some tables were not purged", failures)
