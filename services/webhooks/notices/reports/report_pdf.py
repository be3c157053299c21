"""The report as PDF, which the metrics service makes: read once for the letters of some minutes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from prometheus_client import Counter

from shared import clock
from shared.logs import get_logger
from shared.service import Service
from shared.service_client import FileTooLarge, ServiceRejected, ServiceUnavailable

log = get_logger(__name__)

# Returns the PDF of a week, of at most so many bytes; raises as `ServiceClient.get_file`.
ReadPdf = Callable[[str, int], Awaitable[bytes]]

# Letters of one morning share the file; what was not there is asked for again soon.
KEPT_FOR = timedelta(minutes=5)
ASKED_AGAIN_AFTER = timedelta(minutes=1)
# So long after it was due a letter waits for a PDF that cannot be had.
PDF_WAIT = timedelta(minutes=15)
READS = Counter("gospablik_report_pdf_reads_total", "Reads of report PDFs for letters by outcome", ["outcome"])


class NoPdf(StrEnum):
    """Why a letter has no PDF."""

    SWITCHED_OFF = "switched_off"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class _Kept:
    week: str
    until: datetime
    found: bytes | NoPdf


class ReportPdfs:
    """Reads the PDF of published weeks, the last one only once in some minutes."""

    def __init__(self, read: ReadPdf, max_bytes: int) -> None:
        self._read = read
        self._max_bytes = max_bytes
        self._kept: _Kept | None = None
        self._lock = asyncio.Lock()

    async def get(self, week: str) -> bytes | NoPdf:
        """Return the PDF of a published week, or why there is none."""
        if self._max_bytes == 0:
            return NoPdf.SWITCHED_OFF
        # Several connections ask for the same file, which takes seconds to make.
        async with self._lock:
            kept = self._kept
            if kept is None or kept.week != week or clock.now() >= kept.until:
                found = await self._read_now(week)
                age = ASKED_AGAIN_AFTER if found is NoPdf.UNAVAILABLE else KEPT_FOR
                kept = self._kept = _Kept(week, clock.now() + age, found)
            return kept.found

    def note_too_large(self, week: str) -> None:
        """Attach nothing to the next letters: the mail server refused one for its size."""
        log.warning("mail server refused the report PDF for its size", week=week)
        self._kept = _Kept(week, clock.now() + KEPT_FOR, NoPdf.TOO_LARGE)

    async def _read_now(self, week: str) -> bytes | NoPdf:
        try:
            found: bytes | NoPdf = await self._read(week, self._max_bytes)
        except FileTooLarge as error:
            log.warning("report PDF is too large for letters", week=week, error=str(error))
            found = NoPdf.TOO_LARGE
        except (ServiceRejected, ServiceUnavailable) as error:
            log.warning("report PDF not read", week=week, error=str(error))
            found = NoPdf.UNAVAILABLE
        READS.labels(found.value if isinstance(found, NoPdf) else "read").inc()
        return found


def pdf_reader(service: Service) -> ReadPdf:
    """Return a function that reads PDFs from the metrics service over HTTP."""

    async def read(week: str, max_bytes: int) -> bytes:
        path = f"/internal/reports/weekly/{week}/pdf"
        return await service.client().get_file("metrics", path, on_behalf_of="webhooks", max_bytes=max_bytes)

    return read
