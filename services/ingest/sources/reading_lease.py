"""A lease by which one worker at a time reads the networks; other workers stand by."""

from datetime import timedelta

from prometheus_client import Gauge
from sqlalchemy import Interval, bindparam, func, or_, update

from shared.database.bulk_insert import insert_into
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import ReadingLease

log = get_logger(__name__)

READING = Gauge("gospablik_reads_networks", "1 in the worker that reads the networks, 0 in one that stands by")
# There is only one lease, for all pages; the table allows several, in case workers divide the pages later.
_PART = "all"
_TERM = bindparam("term", type_=Interval)
_NEW = insert_into(ReadingLease).values(
    part=_PART, holder=bindparam("holder"), expires_at=func.clock_timestamp() + _TERM
)
_CLAIM = _NEW.on_conflict_do_update(
    index_elements=[ReadingLease.part],
    set_={"holder": _NEW.excluded.holder, "expires_at": _NEW.excluded.expires_at},
    where=or_(
        ReadingLease.holder == _NEW.excluded.holder,
        ReadingLease.expires_at < func.clock_timestamp(),
        # Further ahead than any lease lasts: the database's clock was set back, so the lease counts as expired.
        ReadingLease.expires_at > func.clock_timestamp() + bindparam("implausible", type_=Interval),
    ),
).returning(ReadingLease.part)


class ReadingLeaseHolder:
    """The lease of one worker to read the networks, timed by the database's clock.

    Two readers do no harm to stored data, but make every call twice. Therefore a worker that cannot renew its
    lease because the database does not answer keeps reading; it stops once another worker holds the lease.
    """

    def __init__(self, database: Database, holder: str, seconds: float) -> None:
        """Set the holder's name: a process that restarts with the same name gets its lease back at once."""
        self._database = database
        self._holder = holder
        self._term = timedelta(seconds=seconds)
        self._held: bool | None = None

    async def renew(self) -> bool:
        """Take the lease if it is free or expired, or extend it; return whether this worker reads."""
        async with self._database.write() as session:
            terms = {"term": self._term, "implausible": 2 * self._term}
            held = (await session.execute(_CLAIM, {"holder": self._holder, **terms})).first() is not None
        if held is not self._held:
            log.info("this worker reads the networks" if held else "another worker reads the networks")
            self._held = held
            READING.set(held)
        return held

    async def release(self) -> None:
        """Let another worker take the lease at once."""
        if not self._held:
            return
        async with self._database.write() as session:
            await session.execute(
                update(ReadingLease)
                .where(ReadingLease.part == _PART, ReadingLease.holder == self._holder)
                .values(expires_at=func.clock_timestamp())
            )
        self._held = None
        READING.set(0)
