"""Routes of exports: a list of appeals as a file."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from services.appeals.api.dependencies import READ_PROBLEMS, Reader
from services.appeals.api.file_downloads import COUNTED_FILE
from services.appeals.exports import files, listed_rows
from services.appeals.exports.layouts import LAYOUT_HELP, LAYOUTS, ExportLayout
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import SORT_HELP, AppealSort
from shared import clock, personal_data_reads, security_log
from shared.api.query_parameters import from_query, refuse_unknown_parameters
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.http import problems
from shared.http.problems import Conflict, TooManyRequests
from shared.personal_data_reads import Read
from shared.service import get_service

# Paging parameters are ignored, so that changing the path of a list's URL is enough to export the list.
router = APIRouter(tags=["appeals"], dependencies=[Depends(refuse_unknown_parameters)])

# A row takes about a millisecond, most of it for masking. A workbook has to be complete before it can be sent.
MAX_CSV_ROWS, MAX_XLSX_ROWS = 100_000, 20_000
AppealQuery = Annotated[AppealFilter, from_query(AppealFilter)]
Sort = Annotated[AppealSort, Query(description=SORT_HELP)]
LayoutName = Annotated[ExportLayout, Query(description=LAYOUT_HELP)]


def _file_response(
    media_type: str, schema: dict[str, Any], example: str | None
) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {"schema": schema} | ({} if example is None else {"example": example})
    headers = {
        "Content-Disposition": {"schema": {"type": "string"}, "description": "The name of the file"},
        "X-Total-Count": {
            "schema": {"type": "integer"},
            "description": "How many appeals the list has when the download starts",
        },
    }
    return {200: {"content": {media_type: content}, "description": "The file", "headers": headers}}


async def _listed(
    request: Request,
    caller: Caller,
    filters: AppealFilter,
    sort: AppealSort,
    kind: Literal["csv", "xlsx"],
    *,
    layout: ExportLayout,
) -> tuple[files.Pages, dict[str, str]]:
    """Return the rows of the list, and the headers of the file; log and record the export."""
    service = get_service(request)
    max_rows = MAX_CSV_ROWS if kind == "csv" else MAX_XLSX_ROWS
    async with service.database.read() as session:
        ids = await listed_rows.listed_ids(session, caller, filters, sort, max_rows=max_rows)
    # Only the names of parameters: search words may name a person.
    given = sorted(filters.model_dump(exclude_none=True))
    security_log.log_security_event(
        "appeals_exported", actor=caller.actor, kind=kind, layout=layout, count=len(ids), filters=given
    )
    context = recorder.request_audit_context(request)
    reads = [Read(caller, "appeal", tuple(ids))] if ids else []
    await personal_data_reads.record_reads(service.database, context, reads)
    moment = clock.now().astimezone(clock.REGION_TIME_ZONE)
    name = f"appeals-{moment:%Y-%m-%d-%H-%M}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Total-Count": str(len(ids))}
    return listed_rows.pages(service.database, caller, ids, LAYOUTS[layout]), headers


@router.get(
    "/appeals.csv",
    response_class=StreamingResponse,
    dependencies=[COUNTED_FILE],
    responses=problems.responses(*READ_PROBLEMS, Conflict, TooManyRequests)
    | _file_response(files.CSV_MEDIA_TYPE, {"type": "string"}, "№,Статус\r\n1024,назначено\r\n"),
    summary="Export a list of appeals as CSV",
)
async def export_appeals_csv(
    *,
    request: Request,
    caller: Reader,
    filters: AppealQuery,
    sort: Sort = "-opened_at",
    layout: LayoutName = "list",
) -> StreamingResponse:
    """Return all appeals of the list, unpaginated, as CSV (UTF-8); personal data is masked in the texts.

    Rows are sent as they are read; `X-Total-Count` is their number. More than 100,000 rows are a 409, a third file
    at the same time is a 429. The export is logged.
    """
    rows, headers = await _listed(request, caller, filters, sort, "csv", layout=layout)
    return StreamingResponse(
        files.csv_stream(rows, LAYOUTS[layout]), media_type=files.CSV_MEDIA_TYPE, headers=headers
    )


@router.get(
    "/appeals.xlsx",
    response_class=StreamingResponse,
    dependencies=[COUNTED_FILE],
    responses=problems.responses(*READ_PROBLEMS, Conflict, TooManyRequests)
    | _file_response(files.XLSX_MEDIA_TYPE, {"type": "string", "format": "binary"}, None),
    summary="Export a list of appeals as a workbook",
)
async def export_appeals_xlsx(
    *,
    request: Request,
    caller: Reader,
    filters: AppealQuery,
    sort: Sort = "-opened_at",
    layout: LayoutName = "list",
) -> StreamingResponse:
    """Return all appeals of the list as a workbook (XLSX): dates and numbers are typed cells, and each column has
    a filter.

    More than 20,000 appeals are a 409: export them as CSV. A third file at the same time is a 429. Personal data
    is masked in the texts, and the export is logged.
    """
    rows, headers = await _listed(request, caller, filters, sort, "xlsx", layout=layout)
    return StreamingResponse(
        files.xlsx_stream(rows, LAYOUTS[layout]), media_type=files.XLSX_MEDIA_TYPE, headers=headers
    )
