"""Routes of page figures by week: values for charts and tables, also as CSV."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from services.metrics.api.computed_responses import csv_response, csv_responses, json_response
from services.metrics.api.metrics import COMMON_ERRORS, MetricsReader, statement_timeout
from services.metrics.page_health import page_table
from services.metrics.page_health.page_table import PageTableFilter
from services.metrics.schemas.page_formulas import WEEK_PATTERN
from services.metrics.schemas.page_table import PageDimension, PageTable
from shared.api.accepted_csv import AcceptsCsv
from shared.api.query_parameters import refuse_unknown_parameters
from shared.database.sessions import use_snapshot
from shared.service import ReadTransaction

router = APIRouter(prefix="/metrics", tags=["page health"], dependencies=[Depends(refuse_unknown_parameters)])

FirstWeek = Annotated[
    str | None,
    Query(
        alias="from",
        pattern=WEEK_PATTERN,
        description=f"The first ISO week. Default: {page_table.DEFAULT_WEEKS} weeks up to the last one; if "
        "grouped by organisation, only the last one",
        examples=["2026-W37"],
    ),
]
LastWeek = Annotated[
    str | None,
    Query(
        alias="to",
        pattern=WEEK_PATTERN,
        description="The last ISO week. Default: the last one with scores",
        examples=["2026-W48"],
    ),
]
By = Annotated[PageDimension | None, Query(description="How pages of a network are grouped. Default: not grouped")]
TABLE_CSV = ",".join(page_table.CSV_HEADING) + "\r\n"


async def _table(
    *,
    session: ReadTransaction,
    caller: MetricsReader,
    filters: Annotated[PageTableFilter, Query()],
    by: By = None,
    from_: FirstWeek = None,
    to: LastWeek = None,
) -> PageTable:
    await use_snapshot(session)
    async with statement_timeout(session, "There are too many pages and weeks to count in time: request fewer"):
        return await page_table.compute_page_table(session, caller, filters, by, (from_, to))


ComputedTable = Annotated[PageTable, Depends(_table)]


@router.get(
    "/page-table",
    response_model=PageTable,
    responses=COMMON_ERRORS | csv_responses(TABLE_CSV),
    summary="Figures of pages by week and network",
)
async def get_page_table(table: ComputedTable, as_csv: AcceptsCsv) -> Response:
    """Return the pages' lights, mean score, engagement and reach by network and week, for a chart or a table.

    `by` adds another grouping. Each row has a link to its pages. Organisation staff get the pages of their own
    organisation. `Accept: text/csv` gives the same as `/metrics/page-table.csv`.
    """
    return await (export_page_table(table) if as_csv else json_response(table))


@router.get(
    "/page-table.csv",
    responses=COMMON_ERRORS | csv_responses(TABLE_CSV),
    response_class=Response,
    summary="Figures of pages by week and network as CSV",
)
async def export_page_table(table: ComputedTable) -> Response:
    """Return the table as CSV, one line per row. UTF-8 with a byte order mark."""
    return await csv_response(page_table.csv_rows(table), "pages-table")
