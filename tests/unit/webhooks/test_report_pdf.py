"""The PDF of a report: read in the background with a time limit, and cached for a while."""

import asyncio
from datetime import timedelta

import pytest

from services.webhooks.notices.reports import report_pdf
from services.webhooks.notices.reports.report_pdf import NoPdf, ReportPdfs

WEEK = "2026-W47"


async def never(week: str, max_bytes: int) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def at_once(week: str, max_bytes: int) -> bytes:
    return b"%PDF"


async def finished(pdfs: ReportPdfs) -> None:
    await asyncio.gather(*pdfs._reading.values())


async def test_pdf_is_pending_until_it_is_read() -> None:
    pdfs = ReportPdfs(at_once, 100)
    assert pdfs.get(WEEK, 0) is None
    assert pdfs.pending == [WEEK]
    await finished(pdfs)
    assert pdfs.pending == []
    assert pdfs.get(WEEK, 0) == b"%PDF"


async def test_read_of_the_pdf_that_takes_too_long_is_cancelled() -> None:
    pdfs = ReportPdfs(never, 100, wait=timedelta(milliseconds=10))
    assert pdfs.get(WEEK, 0) is None
    await finished(pdfs)
    assert pdfs.get(WEEK, 0) is NoPdf.UNAVAILABLE


async def test_failed_read_of_the_pdf_is_retried() -> None:
    answers: list[bytes | Exception] = [KeyError("of the program"), b"%PDF"]

    async def read(week: str, max_bytes: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pdfs = ReportPdfs(read, 100, asked_again_after=timedelta())
    pdfs.get(WEEK, 0)
    await finished(pdfs)
    assert pdfs.get(WEEK, 0) == b"%PDF"


async def test_expired_pdf_is_dropped_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pdf, "KEPT_FOR", timedelta())
    pdfs = ReportPdfs(at_once, 100)
    pdfs.get(WEEK, 0)
    await finished(pdfs)
    while pdfs._known:
        await asyncio.sleep(0)
    assert pdfs.get(WEEK, 0) is None
    assert pdfs.pending == [WEEK]
    await finished(pdfs)


async def test_pdf_is_read_again_after_an_erasure() -> None:
    versions = [b"%PDF before", b"%PDF during", b"%PDF after"]

    async def read(week: str, max_bytes: int) -> bytes:
        return versions.pop(0)

    pdfs = ReportPdfs(read, 100)
    pdfs.get(WEEK, 0)
    await finished(pdfs)
    assert pdfs.get(WEEK, 0) == b"%PDF before"
    # Another erasure ends while the PDF is being read.
    assert pdfs.get(WEEK, 7) is None
    await finished(pdfs)
    assert pdfs.get(WEEK, 9) is None
    await finished(pdfs)
    assert pdfs.get(WEEK, 9) == b"%PDF after"


async def test_erasure_does_not_repeat_the_attempt_to_send_a_pdf_that_is_too_large() -> None:
    pdfs = ReportPdfs(at_once, 100)
    pdfs.note_too_large(WEEK)
    assert pdfs.get(WEEK, 7) is NoPdf.TOO_LARGE
    assert pdfs.pending == []


async def test_pdf_is_not_read_if_switched_off() -> None:
    pdfs = ReportPdfs(never, 0)
    assert pdfs.get(WEEK, 0) is NoPdf.SWITCHED_OFF
    assert pdfs.pending == []


async def test_closing_cancels_reads_of_the_pdf() -> None:
    pdfs = ReportPdfs(never, 100)
    pdfs.get(WEEK, 0)
    [task] = pdfs._reading.values()
    await asyncio.sleep(0)
    pdfs.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pdfs.pending == []
