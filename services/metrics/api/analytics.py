"""Routes of analytics: tables and time series, rankings among peers, the map, and the appeals behind figures."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import JSONResponse

from services.metrics.analytics import appeal_lists, appeal_tables, municipality_map, peer_rankings
from services.metrics.analytics.map_file import configured_map
from services.metrics.api.metrics import COMMON_ERRORS, MetricsReader, PeriodFrom, PeriodTo, statement_timeout
from services.metrics.indicators.dimensions import AppealSelection, DimensionFilter
from services.metrics.indicators.period import parse_period
from services.metrics.schemas.analytics import (
    AppealDimension,
    AppealTable,
    MunicipalityMap,
    PeerRankings,
    RankedMeasure,
)
from services.metrics.schemas.metrics import SlaAppeal, SlaFigure
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.api.query_parameters import refuse_unknown_parameters
from shared.api.response_headers import with_headers
from shared.database.sessions import use_snapshot
from shared.http.conditional_reads import CONTENT_ETAG
from shared.http.problems import Invalid
from shared.service import ReadTransaction
from shared.tabular.writer import csv_bytes

router = APIRouter(prefix="/metrics", tags=["metrics"], dependencies=[Depends(refuse_unknown_parameters)])

MAX_CSV_ROWS = 50_000
CSV_MEDIA_TYPE = "text/csv"


class GeoJsonResponse(JSONResponse):
    """GeoJSON (RFC 7946)."""

    media_type = "application/geo+json"


Rows = Annotated[AppealDimension, Query(description="The rows; `day` or `week` make a time series")]
Columns = Annotated[AppealDimension | None, Query(description="The columns, or the lines of a chart")]
Figure = Annotated[SlaFigure, Query(description="The figure whose appeals to list")]
Measure = Annotated[RankedMeasure, Query(description="By which share")]
Accept = Annotated[str, Header(description="JSON, or `text/csv`")]


TABLE_CSV = "week,week_name,opened,answered\r\n2026-W48,,120,100\r\n"
RANKINGS_CSV = "group,group_title,organisation_id,name,rank\r\n"


def _csv_responses(example: str) -> dict[int | str, dict[str, Any]]:
    content = {CSV_MEDIA_TYPE: {"schema": {"type": "string"}, "example": example}}
    return {200: {"content": content} | with_headers(200, "ETag")[200]}


def _wants_csv(accept: str) -> bool:
    return accept.split(",", maxsplit=1)[0].split(";", maxsplit=1)[0].strip().lower() == CSV_MEDIA_TYPE


def _csv(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "ETag": CONTENT_ETAG, "Vary": "Accept"}
    return Response(content, media_type=CSV_MEDIA_TYPE, headers=headers)


async def _selection(
    caller: MetricsReader,
    filters: Annotated[DimensionFilter, Query()],
    from_: PeriodFrom = None,
    to: PeriodTo = None,
) -> AppealSelection:
    now = clock.now()
    return AppealSelection(parse_period(from_, to, now), filters, caller, now)


Selection = Annotated[AppealSelection, Depends(_selection)]


async def _table(
    session: ReadTransaction, selection: Selection, rows: Rows, columns: Columns = None
) -> AppealTable:
    async with statement_timeout(session):
        return await appeal_tables.compute_table(session, selection, rows, columns)


ComputedTable = Annotated[AppealTable, Depends(_table)]


@router.get(
    "/table",
    response_model=AppealTable,
    responses=COMMON_ERRORS | _csv_responses(TABLE_CSV),
    summary="Figures by one or two dimensions",
)
async def get_appeal_table(
    table: ComputedTable, response: Response, accept: Accept = ""
) -> AppealTable | Response:
    """Return the figures of appeals opened in a period, by row and column: a table, or a time series with lines.

    Each cell has the link to its appeals. Organisation staff get their own. `Accept: text/csv` gives the same
    as `/metrics/table.csv`.
    """
    if _wants_csv(accept):
        return _table_csv(table)
    response.headers["ETag"] = CONTENT_ETAG
    response.headers["Vary"] = "Accept"
    return table


@router.get(
    "/table.csv",
    responses=COMMON_ERRORS | _csv_responses(TABLE_CSV),
    response_class=Response,
    summary="Figures by one or two dimensions as CSV",
)
async def export_appeal_table(table: ComputedTable) -> Response:
    """Return a line for each cell of the table, without totals. UTF-8 with a byte order mark."""
    return _table_csv(table)


def _table_csv(table: AppealTable) -> Response:
    return _csv(csv_bytes(appeal_tables.csv_rows(table), with_mark=True), "appeals-table")


@router.get("/appeals", responses=COMMON_ERRORS, summary="Appeals behind a figure of a table")
async def list_counted_appeals(
    session: ReadTransaction,
    selection: Selection,
    paging: PagingDep,
    response: Response,
    figure: Figure = SlaFigure.OPENED,
) -> Page[SlaAppeal]:
    """Return the appeals that a figure of the period counts, newest first; each dimension restricts them."""
    async with statement_timeout(session):
        rows = await appeal_lists.list_appeals_of_figure(session, selection, figure, paging)
    items, cursor = paging.page(rows, lambda row: (row.opened_at, row.id), response)
    return Page(items=[SlaAppeal.model_validate(row, from_attributes=True) for row in items], next_cursor=cursor)


@router.get(
    "/appeals.csv",
    responses=COMMON_ERRORS | _csv_responses("id,number,status\r\n"),
    response_class=Response,
    summary="Appeals behind a figure of a table as CSV",
)
async def export_counted_appeals(
    session: ReadTransaction, selection: Selection, figure: Figure = SlaFigure.OPENED
) -> Response:
    """Return all appeals that a figure counts, oldest first; times of the region. More than 50,000 get 422."""
    async with statement_timeout(session):
        rows = await appeal_lists.read_appeals_of_figure(session, selection, figure, MAX_CSV_ROWS + 1)
    if len(rows) > MAX_CSV_ROWS:
        raise Invalid.field("query/from", f"More than {MAX_CSV_ROWS:,} appeals: ask for a shorter period")
    return _csv(await asyncio.to_thread(appeal_lists.csv_file, rows), f"appeals-{figure}")


async def _rankings(
    *,
    session: ReadTransaction,
    caller: MetricsReader,
    measure: Measure = RankedMeasure.ON_TIME,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
) -> PeerRankings:
    now = clock.now()
    period = parse_period(from_, to, now)
    async with statement_timeout(session):
        return await peer_rankings.compute_rankings(session, period, caller, now, measure=measure)


ComputedRankings = Annotated[PeerRankings, Depends(_rankings)]


@router.get(
    "/rankings",
    response_model=PeerRankings,
    responses=COMMON_ERRORS | _csv_responses(RANKINGS_CSV),
    summary="Ranks among peers",
)
async def get_peer_rankings(
    rankings: ComputedRankings, response: Response, accept: Accept = ""
) -> PeerRankings | Response:
    """Return organisations ranked among their peers by a share of the appeals opened in a period, with intervals.

    Who has too few appeals or peers has no rank, and `note` says so. Organisation staff get the organisations that
    they may see, ranked among these. `Accept: text/csv` gives the same as `/metrics/rankings.csv`.
    """
    if _wants_csv(accept):
        return _rankings_csv(rankings)
    response.headers["ETag"] = CONTENT_ETAG
    response.headers["Vary"] = "Accept"
    return rankings


@router.get(
    "/rankings.csv",
    responses=COMMON_ERRORS | _csv_responses(RANKINGS_CSV),
    response_class=Response,
    summary="Ranks among peers as CSV",
)
async def export_peer_rankings(rankings: ComputedRankings) -> Response:
    """Return a line for each organisation, by peer group and rank. UTF-8 with a byte order mark."""
    return _rankings_csv(rankings)


def _rankings_csv(rankings: PeerRankings) -> Response:
    return _csv(csv_bytes(peer_rankings.csv_rows(rankings), with_mark=True), "rankings")


@router.get(
    "/map",
    response_class=GeoJsonResponse,
    responses=COMMON_ERRORS | with_headers(200, "ETag"),
    summary="Figures by municipality as GeoJSON",
)
async def get_municipality_map(
    session: ReadTransaction, selection: Selection, response: Response
) -> MunicipalityMap:
    """Return a feature for each municipality with the figures of appeals about it, as `application/geo+json`.

    Geometry and population come from the region's map file; without one `geometry` is null.
    """
    # The table and the municipalities of one state of the database.
    await use_snapshot(session)
    async with statement_timeout(session):
        found = await municipality_map.compute_map(session, selection, configured_map())
    response.headers["ETag"] = CONTENT_ETAG
    return found
