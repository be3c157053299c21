"""Routes of the weekly report: published reports, the report of any week in four formats, and the rows that its
figures count.
"""

# ruff: noqa: PLC0415 - the libraries of pages, PDF and workbooks take 11 MB: they are loaded for the first report

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from services.metrics.indicators import row_files
from services.metrics.indicators.weeks import Week, requested_week
from services.metrics.rendering.counted_rows import RowTable
from services.metrics.report_populations import report_rows
from services.metrics.report_populations.report_rows import ReportRowFilter
from services.metrics.report_populations.reported_time import reported_time
from services.metrics.schemas.weekly_report import ReportOut, ReportPopulation, ReportRow, ReportSummary
from services.metrics.weekly_report import publication
from services.metrics.weekly_report.row_tables import read_row_tables
from services.metrics.weekly_report.shown_report import read_report
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, ServiceCaller, require_right, require_service
from shared.auth.rights import Right
from shared.caller_queue import CallerQueue
from shared.database.sessions import use_snapshot
from shared.http import problems
from shared.http.problems import Forbidden, Invalid, NotFound, TooManyRequests, Unauthenticated, Unavailable
from shared.service import ReadTransaction, Service, ServiceDep

router = APIRouter(prefix="/reports", tags=["reports"])
internal = APIRouter(prefix="/internal/reports", include_in_schema=False)

MAX_CSV_ROWS = 50_000
# Building and rendering a report uses one core for seconds: the limit keeps other requests fast.
REPORT_QUEUE = CallerQueue("Too many reports are being made", concurrency=2, max_waiting=32)
HTML_MEDIA_TYPE, PDF_MEDIA_TYPE = "text/html; charset=utf-8", "application/pdf"
XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BINARY = {"type": "string", "format": "binary"}

WebhooksService = Annotated[ServiceCaller, require_service("webhooks")]
ReportReader = Annotated[Caller, require_right(Right.REPORTS_READ)]
COMMON_ERRORS = problems.responses(Unauthenticated, Forbidden, Invalid, TooManyRequests, Unavailable)


async def _week(
    week: Annotated[str, Path(description="ISO week in the region", examples=["2026-W47"])],
) -> Week:
    """Return the week in the path. Raises `Invalid` unless the week has begun."""
    found = requested_week(week, "path/week")
    if found.period.start > clock.now():
        raise Invalid.field("path/week", f"The week {found.name} has not begun")
    return found


ReportWeek = Annotated[Week, Depends(_week)]


async def _report(service: Service, caller: Caller | ServiceCaller, week: Week) -> ReportOut:
    async with REPORT_QUEUE.turn(caller):
        return await read_report(service.database, week, clock.now())


async def _rendered(
    service: Service,
    caller: Caller | ServiceCaller,
    week: Week,
    *,
    render: Callable[[ReportOut], bytes],
    kind: str,
    media_type: str,
) -> Response:
    report = await _report(service, caller, week)
    async with REPORT_QUEUE.turn(caller):
        content = await asyncio.to_thread(render, report)
    return _attachment(week, kind, content, media_type)


@router.get("/weekly", responses=COMMON_ERRORS, summary="Published weekly reports")
async def list_weekly_reports(
    session: ReadTransaction, caller: ReportReader, paging: PagingDep, response: Response
) -> Page[ReportSummary]:
    """Return the published reports, newest week first."""
    rows = await publication.list_published(session, paging)
    items, cursor = paging.page(rows, lambda row: (row.week,), response)
    return Page(items=[publication.summary(row) for row in items], next_cursor=cursor)


def _file(media_type: str, schema: dict[str, Any], example: str | None = None) -> dict[int | str, dict[str, Any]]:
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {200: {"content": {media_type: content}, "description": "The file"}}


def _attachment(week: Week, kind: str, content: bytes, media_type: str) -> Response:
    disposition = "inline" if kind in ("html", "pdf") else "attachment"
    name = f"weekly-report-{week.name}.{kind}"
    return Response(
        content, media_type=media_type, headers={"Content-Disposition": f'{disposition}; filename="{name}"'}
    )


def _render_html(report: ReportOut) -> bytes:
    from services.metrics.rendering import html

    return html.render(report)


def _render_pdf(report: ReportOut) -> bytes:
    from services.metrics.rendering import pdf

    return pdf.render(report)


def _render_xlsx(report: ReportOut, rows: Mapping[str, RowTable]) -> bytes:
    from services.metrics.rendering import xlsx

    return xlsx.render(report, rows)


@router.get("/weekly/{week}.json", responses=COMMON_ERRORS, summary="The report of a week as JSON")
async def get_weekly_report_json(service: ServiceDep, caller: ReportReader, week: ReportWeek) -> ReportOut:
    """Return the same as `GET /reports/weekly/{week}`, regardless of `Accept`."""
    return await _report(service, caller, week)


@router.get(
    "/weekly/{week}/document",
    responses=problems.responses(Unauthenticated, Forbidden, Invalid, NotFound)
    | _file("application/json", {"type": "string"}, '{"format":1,"week":"2026-W47"}'),
    response_class=Response,
    summary="The published document, byte for byte",
)
async def get_published_document(session: ReadTransaction, caller: ReportReader, week: ReportWeek) -> Response:
    """Return the published document, exactly the bytes that the digest is computed from, without texts of
    appeals.
    """
    document = await publication.read_document(session, week)
    if document is None:
        raise NotFound(f"The report of the week {week.name} is not published")
    return Response(document, media_type="application/json")


@router.get(
    "/weekly/{week}.html",
    responses=COMMON_ERRORS | _file("text/html", {"type": "string"}, '<!doctype html><html lang="ru">…</html>'),
    response_class=Response,
    summary="The report of a week as a page",
)
async def get_weekly_report_html(service: ServiceDep, caller: ReportReader, week: ReportWeek) -> Response:
    """Return the report as one HTML page in Russian, without scripts or external files."""
    return await _rendered(service, caller, week, render=_render_html, kind="html", media_type=HTML_MEDIA_TYPE)


@router.get(
    "/weekly/{week}.pdf",
    responses=COMMON_ERRORS | _file("application/pdf", BINARY),
    response_class=Response,
    summary="The report of a week as PDF",
)
async def get_weekly_report_pdf(service: ServiceDep, caller: ReportReader, week: ReportWeek) -> Response:
    """Return the report as a tagged PDF in Russian."""
    return await _rendered(service, caller, week, render=_render_pdf, kind="pdf", media_type=PDF_MEDIA_TYPE)


@router.get(
    "/weekly/{week}.xlsx",
    responses=COMMON_ERRORS | _file(XLSX_MEDIA_TYPE, BINARY),
    response_class=Response,
    summary="The report of a week as a workbook",
)
async def get_weekly_report_xlsx(service: ServiceDep, caller: ReportReader, week: ReportWeek) -> Response:
    """Return the report as an Excel workbook: a sheet for each section, and the counted rows according to today's
    data.

    A sheet has at most 20,000 rows; the CSV files have all rows.
    """
    report = await _report(service, caller, week)
    async with REPORT_QUEUE.turn(caller):
        async with service.database.read() as session:
            await use_snapshot(session)
            tables = await read_row_tables(session, reported_time(week, clock.now()))
        content = await asyncio.to_thread(_render_xlsx, report, tables)
    return _attachment(week, "xlsx", content, XLSX_MEDIA_TYPE)


_BY_MEDIA_TYPE = {
    "text/html": get_weekly_report_html,
    "application/pdf": get_weekly_report_pdf,
    XLSX_MEDIA_TYPE: get_weekly_report_xlsx,
}


@router.get("/weekly/{week}", response_model=ReportOut, responses=COMMON_ERRORS, summary="The report of a week")
async def get_weekly_report(
    service: ServiceDep,
    caller: ReportReader,
    week: ReportWeek,
    accept: Annotated[str, Header(description="JSON, or the media type of another format")] = "",
) -> ReportOut | Response:
    """Return the report of a week: as published or, before publication, computed now.

    A published report never changes; `corrections` lists the figures that would differ today. To get another
    format, put `text/html`, `application/pdf` or the media type of a workbook first in `Accept`.
    """
    wanted = accept.split(",")[0].split(";")[0].strip().lower()
    render = _BY_MEDIA_TYPE.get(wanted)
    return await _report(service, caller, week) if render is None else await render(service, caller, week)


@router.get(
    "/weekly/{week}/rows/{population}.csv",
    responses=COMMON_ERRORS | _file("text/csv", {"type": "string"}, "row_id,appeal_id,number\r\n"),
    response_class=Response,
    summary="All rows of a population as CSV",
)
async def export_report_rows(
    session: ReadTransaction, caller: ReportReader, week: ReportWeek, population: ReportPopulation
) -> Response:
    """Return every row of a population that the week's figures count, according to today's data, oldest first, as
    CSV.

    UTF-8 with a byte order mark; times in the region's time zone; 422 above 50,000 rows.
    """
    await use_snapshot(session)
    time = reported_time(week, clock.now())
    names, rows = await report_rows.read_all_rows(session, population, time, MAX_CSV_ROWS + 1)
    if len(rows) > MAX_CSV_ROWS:
        raise Invalid.field("path/population", f"More than {MAX_CSV_ROWS:,} rows: read them in pages")
    # A request that waits for its turn must not hold a connection.
    await session.close()
    async with REPORT_QUEUE.turn(caller):
        content = await asyncio.to_thread(row_files.csv_file, names, rows)
    name = f"{week.name}-{population}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="text/csv", headers=headers)


@router.get("/weekly/{week}/rows/{population}", responses=COMMON_ERRORS, summary="Rows behind the figures")
async def list_report_rows(
    *,
    session: ReadTransaction,
    caller: ReportReader,
    week: ReportWeek,
    population: ReportPopulation,
    filters: Annotated[ReportRowFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[ReportRow]:
    """Return the rows of a population that the week's figures count, according to today's data, newest first."""
    await use_snapshot(session)
    time = reported_time(week, clock.now())
    rows = await report_rows.list_rows(session, population, time, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.at, row.row_id), response)
    return Page(items=[report_rows.present_row(row) for row in items], next_cursor=cursor)


@internal.get("/weekly/{week}/pdf")
async def get_weekly_report_pdf_for_service(
    service: ServiceDep, caller: WebhooksService, week: ReportWeek
) -> Response:
    """Return a published report as PDF, to be sent by e-mail."""
    async with service.database.read() as session:
        if await publication.read_document(session, week) is None:
            raise NotFound(f"The report of the week {week.name} is not published")
    return await _rendered(service, caller, week, render=_render_pdf, kind="pdf", media_type=PDF_MEDIA_TYPE)
