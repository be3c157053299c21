"""Leases of letters: one worker has a letter, and commits that it sends it before the server gets the text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import CursorResult, func, update

from services.webhooks.notices.relevance import Line
from services.webhooks.notices.reports.published_reports import ReportLine
from services.webhooks.schemas.notices import NoticeStatus
from shared.database.sessions import Database
from shared.tables.notices import Notice, NoticeLetter
from shared.working_time import WorkingCalendar

# Longer than the server may take for the text of a letter. Letters of a claim whose turn comes later than that are
# not begun: another worker has them.
LEASE = timedelta(minutes=15)


@dataclass(frozen=True)
class Claim:
    """A letter that this worker has until its lease ends.

    It tells `lines` or a `report`, or is the link of `nonce`; without all of them it tells a former address that
    it was replaced.
    """

    letter_id: UUID
    person_id: UUID
    lease_id: UUID
    attempts: int
    address: str
    calendar: WorkingCalendar
    lines: Sequence[Line] = ()
    report: ReportLine | None = None
    nonce: UUID | None = None


async def begin_sending(database: Database, claim: Claim) -> bool:
    """Commit that the letter is being sent; return False if the lease has ended."""
    async with database.write() as session:
        changed = await session.execute(
            update(NoticeLetter)
            .where(
                NoticeLetter.id == claim.letter_id,
                NoticeLetter.lease_id == claim.lease_id,
                NoticeLetter.status == "waiting",
                NoticeLetter.leased_until > func.clock_timestamp(),
            )
            .values(
                status="sending",
                attempts=NoticeLetter.attempts + 1,
                leased_until=func.clock_timestamp() + LEASE,
            )
        )
        assert isinstance(changed, CursorResult)
        if changed.rowcount == 0:
            return False
        await session.execute(
            update(Notice)
            .where(Notice.letter_id == claim.letter_id, Notice.status == "waiting")
            .values(status=NoticeStatus.SENDING.value)
        )
    return True


async def release(database: Database, claims: Iterable[Claim]) -> None:
    """Give back letters that were not begun, so that they are sent without waiting for the lease."""
    leases = {claim.letter_id: claim.lease_id for claim in claims}
    if leases:
        async with database.write() as session:
            await session.execute(
                update(NoticeLetter)
                .where(
                    NoticeLetter.id.in_(list(leases)),
                    NoticeLetter.lease_id.in_(list(leases.values())),
                    NoticeLetter.status == "waiting",
                )
                .values(leased_until=None)
            )
