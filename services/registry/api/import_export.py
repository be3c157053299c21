"""Routes that import the registry from a file and export it to one."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from typing_extensions import TypeAliasType

from services.registry.api.common import COMMON_ERRORS, RegistryEditor, RegistryReader
from services.registry.import_export import exporter, short_name_lookup
from services.registry.import_export.importer import ImportRejected, ParsedFile, import_file, read_file
from services.registry.schemas.import_export import ImportReport
from shared.api.accepted_csv import CSV_MEDIA_TYPE
from shared.auth import token_recheck
from shared.caller_queue import LONGEST_WAIT_SECONDS, CallerQueue, waits_until
from shared.http.problems import (
    Conflict,
    InFlight,
    Invalid,
    KeyReused,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    responses,
)
from shared.service import Once, ReadTransaction, ServiceDep, WriteTransaction
from shared.tabular.workbook import workbook_bytes
from shared.tabular.writer import csv_chunks

router = APIRouter(prefix="/organisations", tags=["import and export"], responses=COMMON_ERRORS)

ExportFormat = TypeAliasType("ExportFormat", Literal["csv", "xlsx"])
IMPORT_PATH = "/api/v1/organisations/import"
XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A workbook and an import use a CPU core for seconds: the limit keeps other requests fast.
# With the file of a large region before it, a request may wait longer than the usual ten seconds.
WORKBOOK_QUEUE = CallerQueue(
    "Too many files of the registry are being made",
    concurrency=1,
    max_waiting=16,
    max_per_caller=2,
    timeout_seconds=LONGEST_WAIT_SECONDS,
)
_EXAMPLE = "Код,Наименование,Вид,Ссылка ВК\nschool71,Школа № 71,учреждение,https://vk.com/club101\n"
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "CSV (any delimiter of spreadsheets, UTF-8 or Windows-1251) or XLSX; recognised by content",
        "content": {
            CSV_MEDIA_TYPE: {
                "schema": {"type": "string"},
                "example": _EXAMPLE,
            },
            XLSX_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
# Content types of forms (`curl -d`, `curl -F`, browsers), which wrap the file or lose its line breaks.
FORM_MEDIA_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
IMPORT_PARAMETERS = {"dry_run", "resolve_short_names"}
_WRITTEN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The table",
        "content": {
            CSV_MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE},
            XLSX_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(
    "/import",
    summary="Import organisations and pages",
    openapi_extra=_FILE,
    responses=responses(Conflict, InFlight, TooLarge, TooManyRequests, Unavailable, UpstreamFailed)
    | responses(Invalid, ImportRejected, KeyReused),
)
async def import_organisations(
    *,
    request: Request,
    session: WriteTransaction,
    caller: RegistryEditor,
    once: Once,
    service: ServiceDep,
    dry_run: Annotated[bool, Query(description="Report what the import would do, without doing it")] = False,
    resolve_short_names: Annotated[
        bool,
        Query(description="Ask the networks for the ids of up to 50 pages that are given only by a short name"),
    ] = False,
) -> ImportReport:
    """Change the registry to match the file, completely or not at all. Entries missing from the file are kept.

    A file with an invalid cell is rejected with 422, and `rejected_cells` lists the cells; a dry run answers 200
    with the same list. Importing the same file again changes nothing.
    """
    _check_asked(request)
    until = waits_until(request.scope)
    # The write transaction checks the access only with its first statement, after the file was read.
    async with service.database.read() as checking:
        await token_recheck.require_access(checking, caller)

    async def run(file: ParsedFile, resolved: short_name_lookup.IdByShortName) -> ImportReport:
        async def work() -> ImportReport:
            return await import_file(session, file, dry_run=dry_run, actor=caller.actor, short_names=resolved)

        return await (work() if dry_run else once(ImportReport, work))

    # An import locks the organisation tree. Waiting in the queue, the next import holds no database connection.
    async with WORKBOOK_QUEUE.turn(caller, until=until):
        file = await read_file(await request.body())
        if not resolve_short_names:
            return await run(file, {})
    # Networks are slow: hold neither the turn nor a database connection while ingest queries them.
    async with service.database.read() as looking:
        unresolved = await short_name_lookup.find_unresolved(looking, file.organisations)
    resolved = await short_name_lookup.resolve_short_names(
        service.client(), unresolved, file.errors, act=caller.actor, until=until
    )
    async with WORKBOOK_QUEUE.turn(caller, until=until):
        return await run(file, resolved)


def _check_asked(request: Request) -> None:
    """Raise `Invalid` if the file is sent as a form or a query parameter is unknown."""
    if request.headers.get("content-type", "").lower().startswith(FORM_MEDIA_TYPES):
        detail = "Send the file itself as the body (`curl --data-binary @FILE`) as text/csv, not as a form"
        raise Invalid.field("header/Content-Type", detail)
    # Otherwise a request with a misspelt `dry_run` would write.
    if unknown := sorted(set(request.query_params) - IMPORT_PARAMETERS):
        raise Invalid.field(f"query/{unknown[0]}", "Unknown parameter")


@router.get(
    "/export",
    summary="Organisations and pages as a file",
    response_class=StreamingResponse,
    responses=responses(TooManyRequests) | _WRITTEN,
)
async def export_organisations(
    session: ReadTransaction,
    caller: RegistryReader,
    form: Annotated[ExportFormat, Query(alias="format")] = "csv",
    headings: Annotated[
        exporter.HeadingLanguage, Query(description="English field names, or Russian headings")
    ] = "en",
) -> Response:
    """Return every organisation with its names and pages.

    A system that imports the file into an empty registry exports the same file.

    The file contains only names of calendars: create these first. It contains no page steps, page checks or
    successions.
    """
    saved = {"Content-Disposition": f'attachment; filename="organisations.{form}"'}
    if form == "xlsx":
        async with WORKBOOK_QUEUE.turn(caller):
            registry = await exporter.read_registry(session)
            # Writing takes longer than reading and must not hold a database connection.
            await session.close()
            rows = exporter.export_rows(registry, headings)
            write = partial(workbook_bytes, rows, sheet_title=exporter.SHEET_TITLE)
            return Response(await run_in_threadpool(write), media_type=XLSX_MEDIA_TYPE, headers=saved)
    rows = exporter.export_rows(await exporter.read_registry(session), headings)
    chunks = iterate_in_threadpool(csv_chunks(rows))
    return StreamingResponse(chunks, media_type=CSV_MEDIA_TYPE, headers=saved)
