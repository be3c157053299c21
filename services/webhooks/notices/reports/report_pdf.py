"""PDFs of reports, read from the metrics service in the background and cached for an hour, but not beyond the
erasure of a citizen's data: they have texts of appeals.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import StrEnum

import aiohttp
from prometheus_client import Counter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.ingest_events import AuthorErased
from shared.logs import get_logger
from shared.service import Service
from shared.service_client import FileTooLarge
from shared.tables.common import Event

log = get_logger(__name__)

# Takes a week and a maximum size in bytes, and returns the PDF; raises the errors of `ServiceClient.get_file`.
ReadPdf = Callable[[str, int], Awaitable[bytes]]

# Long enough for the letters of a morning and their retries to share a PDF.
KEPT_FOR = timedelta(hours=1)
# Pause after a failed read.
ASKED_AGAIN_AFTER = timedelta(minutes=1)
# How long letters wait for a PDF that cannot be read.
PDF_WAIT = timedelta(minutes=15)
# A busy metrics service needs minutes. It does not stop rendering when a caller gives up, so an early retry would
# only add work.
READ_TIMEOUT = aiohttp.ClientTimeout(total=300, connect=2)
READS = Counter("gospablik_report_pdf_reads_total", "Reads of report PDFs for letters by outcome", ["outcome"])


class NoPdf(StrEnum):
    """Why a letter with a report has no PDF."""

    SWITCHED_OFF = "switched_off"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"


async def last_erasure(session: AsyncSession) -> int:
    """Return the position of the last event about a completed erasure; 0 without one. It is written when nothing
    is left to erase, so that what is read after it has none of the erased texts.
    """
    position: int | None = await session.scalar(
        select(func.max(Event.position)).where(Event.type == AuthorErased.event_type, Event.position.is_not(None))
    )
    return position or 0


class ReportPdfs:
    """The PDFs of published weeks. Each read runs in a background task, so that no caller waits for it."""

    def __init__(
        self,
        read: ReadPdf,
        max_bytes: int,
        *,
        wait: timedelta = PDF_WAIT,
        asked_again_after: timedelta = ASKED_AGAIN_AFTER,
    ) -> None:
        self._read = read
        self._max_bytes = max_bytes
        self._wait = wait
        self._asked_again_after = asked_again_after
        # By week: the last erasure before the PDF was read, and the PDF or why there is none.
        self._known: dict[str, tuple[int, bytes | NoPdf]] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    @property
    def pending(self) -> Sequence[str]:
        """Return the weeks whose PDF is being read; letters with their reports wait."""
        return list(self._reading)

    def get(self, week: str, erasure: int) -> bytes | NoPdf | None:
        """Return the PDF of a published week, or why there is none. If it is not read yet, or was read before the
        last erasure (`last_erasure`), start reading and return None.
        """
        if self._max_bytes == 0:
            return NoPdf.SWITCHED_OFF
        read_after, found = self._known.get(week, (erasure, None))
        if isinstance(found, bytes) and read_after != erasure:
            found = None
            del self._known[week]
        if found is None and week not in self._reading:
            self._reading[week] = asyncio.create_task(self._read_until_known(week, erasure))
        return found

    def note_too_large(self, week: str) -> None:
        """Record that the mail server refuses this size: the next letters of the week get no PDF."""
        log.warning("mail server refused the report PDF for its size", week=week)
        self._keep(week, 0, NoPdf.TOO_LARGE)

    def close(self) -> None:
        """Cancel the running reads."""
        for task in self._reading.values():
            task.cancel()

    async def _read_until_known(self, week: str, erasure: int) -> None:
        found: bytes | NoPdf = NoPdf.UNAVAILABLE
        try:
            async with asyncio.timeout(self._wait.total_seconds()):
                while True:
                    found = await self._read_once(week)
                    if found is not NoPdf.UNAVAILABLE:
                        break
                    await asyncio.sleep(self._asked_again_after.total_seconds())
        except TimeoutError:
            log.warning("report letters are sent without the PDF", week=week)
        finally:
            del self._reading[week]
        self._keep(week, erasure, found)

    async def _read_once(self, week: str) -> bytes | NoPdf:
        try:
            found: bytes | NoPdf = await self._read(week, self._max_bytes)
        except FileTooLarge as error:
            log.warning("report PDF is too large for letters", week=week, error=str(error))
            found = NoPdf.TOO_LARGE
        except Exception as error:  # noqa: BLE001 — whatever it is, the letters are then sent without the PDF
            log.warning("report PDF not read", week=week, error=f"{type(error).__name__}: {error}")
            found = NoPdf.UNAVAILABLE
        READS.labels(found.value if isinstance(found, NoPdf) else "read").inc()
        return found

    def _keep(self, week: str, erasure: int, found: bytes | NoPdf) -> None:
        self._known[week] = erasure, found
        asyncio.get_running_loop().call_later(KEPT_FOR.total_seconds(), self._known.pop, week, None)


def pdf_reader(service: Service) -> ReadPdf:
    """Return a function that reads PDFs from the metrics service over HTTP."""

    async def read(week: str, max_bytes: int) -> bytes:
        return await service.client().get_file(
            "metrics",
            f"/internal/reports/weekly/{week}/pdf",
            on_behalf_of="webhooks",
            max_bytes=max_bytes,
            attempts=1,
            call_timeout=READ_TIMEOUT,
        )

    return read
