"""Record who read which citizens' unmasked texts, and who exported lists of appeals.

Domain code notes a read in its session; before the response is sent, the notes become rows of
`personal_data_reads` (shared/service.py). While the database is read-only, no rows are added: only the
security log contains the reads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from shared import clock, security_log
from shared.audit.recorder import AuditContext
from shared.auth.callers import Caller
from shared.contracts.values import PersonalDataSubject
from shared.database.bulk_insert import insert_rows
from shared.database.outages import is_outage
from shared.database.sessions import Database, WriteSession
from shared.ids import new_id
from shared.logs import get_logger
from shared.tables.common import PersonalDataRead

log = get_logger(__name__)

UNRECORDED = Counter(
    "gospablik_unrecorded_personal_data_reads_total",
    "Reads of personal data that only the security log has, since the database could not be written",
)
_KEY = "personal_data_reads"


@dataclass(frozen=True)
class Read:
    """A read by a caller of the appeals, messages or payloads with these ids."""

    caller: Caller
    subject_kind: PersonalDataSubject
    subject_ids: tuple[UUID, ...]


def note_read(session: AsyncSession, caller: Caller, kind: PersonalDataSubject, subjects: Iterable[UUID]) -> None:
    """Log that the caller reads unmasked texts or authors, and note it for `noted_reads`."""
    if ids := tuple(subjects):
        security_log.log_personal_data_read(caller.actor, kind, ids)
        session.info.setdefault(_KEY, []).append(Read(caller, kind, ids))


def noted_reads(session: AsyncSession) -> Sequence[Read]:
    """Return the reads noted in the session."""
    noted: list[Read] = session.info.get(_KEY, [])
    return noted


async def insert_reads(session: WriteSession, context: AuditContext, reads: Sequence[Read]) -> None:
    """Insert a row for each read; `context` contains the operation and the caller's address."""
    await insert_rows(
        session,
        PersonalDataRead,
        [
            {
                "id": new_id(),
                "read_at": clock.now(),
                "service": context.service,
                "actor": read.caller.actor,
                "role": read.caller.role,
                "organisation_id": read.caller.organisation_id,
                "action": context.action,
                "subject_kind": read.subject_kind,
                "subject_ids": list(read.subject_ids),
                "subject_count": len(read.subject_ids),
                "request_id": context.request_id,
                "ip_address": context.ip_address,
            }
            for read in reads
        ],
    )


async def record_reads(database: Database, context: AuditContext, reads: Sequence[Read]) -> None:
    """Commit the rows of reads by a request that changes nothing else.

    During an outage the reads are only counted: a read-only database must still serve them.
    """
    if not reads:
        return
    try:
        async with database.write() as session:
            await insert_reads(session, context, reads)
    except Exception as error:
        if not is_outage(error):
            raise
        UNRECORDED.inc(len(reads))
        log.warning("reads of personal data were not recorded", reads=len(reads), error=type(error).__name__)
