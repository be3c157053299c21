"""Leases of letters: one worker holds a letter, and commits `sending` before the mail server gets the text."""

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
from shared.database.sessions import Database, wait_for_standby_commit
from shared.tables.notices import Notice, NoticeLetter, NoticeSettings
from shared.tables.registry import Person
from shared.working_time import WorkingCalendar

# Longer than the server may take to accept the text of a letter. A claimed letter that is not begun within this
# time is left to other workers.
LEASE = timedelta(minutes=15)


@dataclass(frozen=True)
class Claim:
    """A letter that this worker has leased.

    It contains `lines`, a `report` with its PDF, or a confirmation link with `nonce`, or says that an account in a
    network was linked or an `endpoint` was disabled. If none of these is set, it informs a former address that it
    was replaced.
    """

    letter_id: UUID
    person_id: UUID
    lease_id: UUID
    attempts: int
    address: str
    calendar: WorkingCalendar
    lines: Sequence[Line] = ()
    report: ReportLine | None = None
    # The PDF of `report`, or why it is not attached.
    pdf: bytes | NoPdf | None = None
    nonce: UUID | None = None
    account_linked: bool = False
    endpoint: DisabledEndpoint | None = None


async def begin_sending(database: Database, claim: Claim) -> bool:
    """Commit that the letter is being sent; return whether it may be sent.

    It may not if the lease has ended, or if since the claim the address was changed or the person was deactivated
    or locked; a letter to a former address is sent anyway. A later claim decides again, once the lease has ended.
    """
    is_current = exists(NoticeSettings.person_id).where(
        NoticeSettings.person_id == NoticeLetter.person_id,
        NoticeSettings.address_generation == NoticeLetter.address_generation,
    )
    is_active = exists(Person.id).where(
        Person.id == NoticeLetter.person_id, Person.active, Person.locked_at.is_(None)
    )
    async with database.write() as session:
        # If a failover lost this update, nothing would record the attempt, and the letter could be sent twice.
        await wait_for_standby_commit(session)
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
