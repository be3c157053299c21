"""Leases of letters: one worker has a letter, and commits that it sends it before the server gets the text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import CursorResult, exists, func, update

from services.webhooks.endpoints.disabling import DisabledEndpoint
from services.webhooks.notices.relevance import Line
from services.webhooks.notices.reports.published_reports import ReportLine
from services.webhooks.notices.reports.report_pdf import NoPdf
from services.webhooks.schemas.notices import NoticeStatus
from shared.database.sessions import Database
from shared.tables.notices import Notice, NoticeLetter, NoticeSettings
from shared.tables.registry import Person
from shared.working_time import WorkingCalendar

# Longer than the server may take for the text of a letter. Letters of a claim whose turn comes later than that are
# not begun: another worker has them.
LEASE = timedelta(minutes=15)


@dataclass(frozen=True)
class Claim:
    """A letter that this worker has until its lease ends.

    It contains `lines`, a `report` with its PDF, or the link of `nonce`, or says that an account in a network was
    linked, or an endpoint disabled; without all of them it says to a former address that it was replaced.
    """

    letter_id: UUID
    person_id: UUID
    lease_id: UUID
    attempts: int
    address: str
    calendar: WorkingCalendar
    lines: Sequence[Line] = ()
    report: ReportLine | None = None
    # Of a report: the file, or why there is none.
    pdf: bytes | NoPdf | None = None
    nonce: UUID | None = None
    account_linked: bool = False
    endpoint: DisabledEndpoint | None = None


async def begin_sending(database: Database, claim: Claim) -> bool:
    """Commit that the letter is being sent.

    Return False if the lease has ended, or the address is not the person's any more, or they were deactivated or
    locked since the claim: once the lease ends, another claim decides again.
    """
    is_current = exists(NoticeSettings.person_id).where(
        NoticeSettings.person_id == NoticeLetter.person_id,
        NoticeSettings.address_generation == NoticeLetter.address_generation,
    )
    is_active = exists(Person.id).where(
        Person.id == NoticeLetter.person_id, Person.active, Person.locked_at.is_(None)
    )
    async with database.write() as session:
        changed = await session.execute(
            update(NoticeLetter)
            .where(
                NoticeLetter.id == claim.letter_id,
                NoticeLetter.lease_id == claim.lease_id,
                NoticeLetter.status == "waiting",
                NoticeLetter.leased_until > func.clock_timestamp(),
                (NoticeLetter.purpose == "replaced") | (is_current & is_active),
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
