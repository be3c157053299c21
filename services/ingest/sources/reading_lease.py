"""Which of several workers reads the networks: one at a time, the others stand by."""

from datetime import timedelta

from prometheus_client import Gauge
from sqlalchemy import func, literal, or_, update
from sqlalchemy.dialects.postgresql import insert

from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import ReadingLease

log = get_logger(__name__)

READING = Gauge("gospablik_reads_networks", "1 in the worker that reads the networks, 0 in one that stands by")
# The only lease there is; a table of one row for each part of the pages when workers divide them.
_PART = "all"


class ReadingLeaseHolder:
    """The claim of one worker to read the networks, by the clock of the database.

    Two readers would do no harm to what is stored, but make every call twice. So a worker that cannot renew its
    claim, because the database does not answer, goes on to read; it stops when it hears that another one reads.
    """

    def __init__(self, database: Database, holder: str, seconds: float) -> None:
        """`holder` names the process, and stays the same when it is started again: it goes on at once then."""
        self._database = database
        self._holder = holder
        self._term = timedelta(seconds=seconds)
        self._held: bool | None = None

    async def renew(self) -> bool:
        """Take the lease if it is free or expired, or extend it; return whether this worker reads."""
        claim = insert(ReadingLease).values(
            part=_PART, holder=self._holder, expires_at=func.clock_timestamp() + literal(self._term)
        )
        claim = claim.on_conflict_do_update(
            index_elements=[ReadingLease.part],
            set_={"holder": claim.excluded.holder, "expires_at": claim.excluded.expires_at},
            where=or_(
                ReadingLease.holder == claim.excluded.holder,
                ReadingLease.expires_at < func.clock_timestamp(),
                # Longer than any claim: the database's clock was set back.
                ReadingLease.expires_at > func.clock_timestamp() + literal(2 * self._term),
            ),
        )
        async with self._database.write() as session:
            held = (await session.execute(claim.returning(ReadingLease.part))).first() is not None
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
