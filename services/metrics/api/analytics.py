"""Routes of analytics: tables and time series, rankings among peers, the map, and lists of counted appeals."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse

from services.metrics.analytics import appeal_lists, appeal_tables, municipality_map, peer_rankings
from services.metrics.analytics.map_file import configured_map
from services.metrics.api.computed_responses import (
    csv_file_response,
    csv_response,
    csv_responses,
    json_response,
)
from services.metrics.api.metrics import COMMON_ERRORS, MetricsReader, PeriodFrom, PeriodTo, statement_timeout
from services.metrics.indicators import row_files
from services.metrics.indicators.dimensions import (
    AppealFilter,
    AppealSelection,
    DimensionFilter,
    MapFilter,
    RankingFilter,
)
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
from shared.api.accepted_csv import AcceptsCsv
from shared.api.pagination import Page, PagingDep
from shared.api.query_parameters import refuse_unknown_parameters
from shared.api.response_headers import with_headers
from shared.auth.callers import Caller
from shared.database.sessions import use_snapshot
from shared.http.problems import Invalid
from shared.service import ReadTransaction

router = APIRouter(prefix="/metrics", tags=["metrics"], dependencies=[Depends(refuse_unknown_parameters)])

MAX_CSV_ROWS = 50_000


class GeoJsonResponse(JSONResponse):
    """GeoJSON (RFC 7946)."""

    media_type = "application/geo+json"


Rows = Annotated[AppealDimension, Query(description="The rows; `day` or `week` make a time series")]
Columns = Annotated[AppealDimension | None, Query(description="The columns, or the lines of a chart")]
Figure = Annotated[SlaFigure, Query(description="The figure whose appeals to list")]
Measure = Annotated[RankedMeasure, Query(description="The share by which organisations are ranked")]
_FIGURES_HEADING = ",".join([*SlaFigure, "on_time_share", "on_time_low", "on_time_high", "appeals"])
_FIGURES_EXAMPLE = "120,100,90,8,21,1,80,52,6,40,5,0.9184,0.8478,0.9580,/api/v1/metrics/appeals?week=2026-W48"
TABLE_CSV = f"week,week_name,{_FIGURES_HEADING}\r\n2026-W48,,{_FIGURES_EXAMPLE}\r\n"
RANKINGS_CSV = ",".join(peer_rankings.CSV_HEADING) + "\r\n"


async def _selection(
    caller: MetricsReader,
    filters: Annotated[DimensionFilter, Query()],
    from_: PeriodFrom = None,
    to: PeriodTo = None,
) -> AppealSelection:
    return _selected(caller, filters, from_, to)


async def _map_selection(
    caller: MetricsReader,
    filters: Annotated[MapFilter, Query()],
    from_: PeriodFrom = None,
    to: PeriodTo = None,
) -> AppealSelection:
    return _selected(caller, filters, from_, to)


async def _ranking_selection(
    caller: MetricsReader,
    filters: Annotated[RankingFilter, Query()],
    from_: PeriodFrom = None,
    to: PeriodTo = None,
) -> AppealSelection:
    return _selected(caller, filters, from_, to)


def _selected(caller: Caller, filters: AppealFilter, start: str | None, end: str | None) -> AppealSelection:
    now = clock.now()
    return AppealSelection(parse_period(start, end, now), filters, caller, now)


Selection = Annotated[AppealSelection, Depends(_selection)]
MapSelection = Annotated[AppealSelection, Depends(_map_selection)]
RankingSelection = Annotated[AppealSelection, Depends(_ranking_selection)]


async def _table(
    session: ReadTransaction, selection: Selection, rows: Rows, columns: Columns = None
) -> AppealTable:
    async with statement_timeout(session):
        return await appeal_tables.compute_table(session, selection, rows, columns)


ComputedTable = Annotated[AppealTable, Depends(_table)]


@router.get(
    "/table",
    response_model=AppealTable,
    responses=COMMON_ERRORS | csv_responses(TABLE_CSV),
    summary="Figures by one or two dimensions",
)
async def get_appeal_table(table: ComputedTable, as_csv: AcceptsCsv) -> Response:
    """Return the figures of appeals opened in a period, by one or two dimensions: a table or time series.

    Each cell has a link to its appeals. Organisation staff get the appeals of their own organisation. `Accept:
    text/csv` gives the same as `/metrics/table.csv`.
    """
    return await (_table_csv(table) if as_csv else json_response(table))


@router.get(
    "/table.csv",
    responses=COMMON_ERRORS | csv_responses(TABLE_CSV),
    response_class=Response,
    summary="Figures by one or two dimensions as CSV",
)
async def export_appeal_table(table: ComputedTable) -> Response:
    """Return the table as CSV, one line per cell, without totals. UTF-8 with a byte order mark."""
    return await _table_csv(table)


async def _table_csv(table: AppealTable) -> Response:
    return await csv_response(appeal_tables.csv_rows(table), "appeals-table")


@router.get("/appeals", responses=COMMON_ERRORS, summary="Appeals behind a figure of a table")
async def list_counted_appeals(
    session: ReadTransaction,
    selection: Selection,
    paging: PagingDep,
    response: Response,
    figure: Figure = SlaFigure.OPENED,
) -> Page[SlaAppeal]:
    """Return the appeals that a figure of the period counts, newest first; each given dimension restricts them."""
    async with statement_timeout(session):
        rows = await appeal_lists.list_appeals_of_figure(session, selection, figure, paging)
    items, cursor = paging.page(rows, lambda row: (row.opened_at, row.id), response)
    return Page(items=[SlaAppeal.model_validate(row, from_attributes=True) for row in items], next_cursor=cursor)


@router.get(
    "/appeals.csv",
    responses=COMMON_ERRORS | csv_responses("id,number,status\r\n"),
    response_class=Response,
    summary="Appeals behind a figure of a table as CSV",
)
async def export_counted_appeals(
    session: ReadTransaction, selection: Selection, figure: Figure = SlaFigure.OPENED
) -> Response:
    """Return all appeals that a figure counts as CSV, oldest first, with times in the region's time zone; 422
    above 50,000 appeals.
    """
    async with statement_timeout(session):
        rows = await appeal_lists.read_appeals_of_figure(session, selection, figure, MAX_CSV_ROWS + 1)
    if len(rows) > MAX_CSV_ROWS:
        raise Invalid.field("query/from", f"More than {MAX_CSV_ROWS:,} appeals: request a shorter period")
    return csv_file_response(
        await asyncio.to_thread(row_files.csv_file, appeal_lists.LISTED_COLUMNS, rows), f"appeals-{figure}"
    )


async def _rankings(
    session: ReadTransaction, selection: RankingSelection, measure: Measure = RankedMeasure.ON_TIME
) -> PeerRankings:
    async with statement_timeout(session):
        return await peer_rankings.compute_rankings(session, selection, measure)


ComputedRankings = Annotated[PeerRankings, Depends(_rankings)]


@router.get(
    "/rankings",
    response_model=PeerRankings,
    responses=COMMON_ERRORS | csv_responses(RANKINGS_CSV),
    summary="Ranks among peers",
)
async def get_peer_rankings(rankings: ComputedRankings, as_csv: AcceptsCsv) -> Response:
    """Return organisations ranked among their peers by a share of the appeals opened in a period, with intervals.

    Organisations with too few appeals or peers have no rank; `note` says why. Organisation staff get the
    organisations that they may see, ranked among these. `Accept: text/csv` gives the same as
    `/metrics/rankings.csv`.
    """
    return await (_rankings_csv(rankings) if as_csv else json_response(rankings))


@router.get(
    "/rankings.csv",
    responses=COMMON_ERRORS | csv_responses(RANKINGS_CSV),
    response_class=Response,
    summary="Ranks among peers as CSV",
)
async def export_peer_rankings(rankings: ComputedRankings) -> Response:
    """Return the ranking as CSV, one line per organisation, by peer group and rank. UTF-8 with a byte order
    mark.
    """
    return await _rankings_csv(rankings)


async def _rankings_csv(rankings: PeerRankings) -> Response:
    return await csv_response(peer_rankings.csv_rows(rankings), "rankings")


@router.get(
    "/map",
    response_model=MunicipalityMap,
    response_class=GeoJsonResponse,
    responses=COMMON_ERRORS | with_headers(200, "ETag"),
    summary="Figures by municipality as GeoJSON",
)
async def get_municipality_map(session: ReadTransaction, selection: MapSelection) -> Response:
    """Return a feature for each municipality with the figures of its appeals, as `application/geo+json`.

    Geometry and population come from the region's map file; without the file, `geometry` is null. There is no
    filter by location: the map shows all locations.
    """
    await use_snapshot(session)
    async with statement_timeout(session):
        found = await municipality_map.compute_map(session, selection, configured_map())
    return await json_response(found, GeoJsonResponse.media_type)
