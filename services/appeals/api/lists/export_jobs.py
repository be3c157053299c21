"""Routes of export jobs: request a long list as a file, follow the progress, download the file."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader
from services.appeals.api.file_downloads import COUNTED_FILE
from services.appeals.exports import export_requests, files, stored_rows
from services.appeals.schemas.lists.exports import ExportIn, ExportOut
from shared import clock, personal_data_reads, security_log
from shared.api.pagination import Page, PagingDep
from shared.api.response_headers import with_headers
from shared.audit import recorder
from shared.http import problems
from shared.http.problems import Conflict, NotFound, TooManyRequests
from shared.personal_data_reads import Read
from shared.service import Once, ReadTransaction, WriteTransaction, get_service
from shared.tables.appeals_exports import AppealExport

router = APIRouter(prefix="/exports", tags=["appeals"])

_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            files.CSV_MEDIA_TYPE: {"schema": {"type": "string"}, "example": "№,Статус\r\n1024,назначено\r\n"},
            files.XLSX_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
        },
        "description": "The file",
        "headers": {
            "Content-Disposition": {"schema": {"type": "string"}, "description": "The name of the file"},
            "X-Total-Count": {
                "schema": {"type": "integer"},
                "description": "How many appeals of the export the caller may read now",
            },
        },
    }
}


@router.post(
    "",
    status_code=202,
    responses=problems.responses(*WRITE_PROBLEMS, TooManyRequests) | with_headers(202, "Location"),
    summary="Export a long list of appeals",
)
async def create_export(
    session: WriteTransaction, caller: Reader, body: ExportIn, once: Once, response: Response
) -> ExportOut:
    """Start a job that writes the list to a file. The request fixes the appeals and their order.

    `GET /exports/{id}` shows the progress. 409 if the list has more appeals than the format allows. A caller may
    have two unfinished exports at a time, and ten in all: further requests get 429.
    """

    async def work() -> ExportOut:
        made = await export_requests.request_export(
            session, caller, body.format, body.filter, body.sort, layout=body.layout
        )
        return _export_out(made)

    accepted = await once(ExportOut, work)
    response.headers["Location"] = f"/api/v1/exports/{accepted.id}"
    return accepted


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List the caller's exports")
async def list_exports(
    session: ReadTransaction, caller: Reader, paging: PagingDep, response: Response
) -> Page[ExportOut]:
    """Return the caller's exports that have not expired, newest first."""
    found = await export_requests.list_own(session, caller, paging)
    rows, cursor = paging.page(found, lambda row: (row.created_at, row.id), response)
    return Page(items=[_export_out(row) for row in rows], next_cursor=cursor)


@router.get("/{export_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get an export")
async def get_export(session: ReadTransaction, caller: Reader, export_id: UUID) -> ExportOut:
    """Return the progress of the export in rows, and the address of its file."""
    return _export_out(await export_requests.get_own(session, caller, export_id))


@router.delete(
    "/{export_id}",
    status_code=204,
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Delete an export",
)
async def delete_export(session: WriteTransaction, caller: Reader, export_id: UUID) -> Response:
    """Delete the export with its file; an unfinished export is cancelled."""
    await export_requests.delete_own(session, caller, export_id)
    return Response(status_code=204)


@router.get(
    "/{export_id}/file",
    response_class=StreamingResponse,
    dependencies=[COUNTED_FILE],
    responses=problems.responses(*READ_PROBLEMS, NotFound, Conflict, TooManyRequests) | _FILE,
    summary="Download the file of an export",
)
async def download_export(request: Request, caller: Reader, export_id: UUID) -> StreamingResponse:
    """Return the file, with personal data masked in the texts, until the export expires. Only the person who
    requested the export may download it.

    Appeals that the caller may no longer read are left out. When the data of a citizen is erased, all exports with
    an appeal of theirs are deleted: the response is a 404, and a running download is cut off. Each download is
    logged and recorded. 409 if the export is not ready, 429 for a third file at the same time.
    """
    service = get_service(request)
    async with service.database.read() as session:
        export = await export_requests.get_own(session, caller, export_id)
        if export.status != "ready":
            raise Conflict(
                f"The export is «{export.status}»: {export.rows_done} of {export.total} rows have been read"
            )
        ids = await stored_rows.visible_ids(session, caller, export)
        parts = await stored_rows.count_parts(session, export)
    security_log.log_security_event(
        "appeals_exported",
        actor=caller.actor,
        kind=export.format,
        layout=export.layout,
        count=len(ids),
        export_id=str(export.id),
    )
    context = recorder.request_audit_context(request)
    reads = [Read(caller, "appeal", tuple(ids))] if ids else []
    await personal_data_reads.record_reads(service.database, context, reads)
    layout = export_requests.layout_of(export)
    pages = stored_rows.pages(service.database, caller, export.id, parts, layout)
    moment = export.created_at.astimezone(clock.REGION_TIME_ZONE)
    name = f"appeals-{moment:%Y-%m-%d-%H-%M}.{export.format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Total-Count": str(len(ids))}
    is_csv = export.format == "csv"
    stream = files.csv_stream if is_csv else files.xlsx_stream
    media_type = files.CSV_MEDIA_TYPE if is_csv else files.XLSX_MEDIA_TYPE
    return StreamingResponse(stream(pages, layout, stored_rows.cells_of), media_type=media_type, headers=headers)


def _export_out(export: AppealExport) -> ExportOut:
    same = {name: getattr(export, name) for name in ExportOut.model_fields if name != "file_url"}
    is_ready = export.status == "ready"
    return ExportOut(**same, file_url=f"/api/v1/exports/{export.id}/file" if is_ready else None)
