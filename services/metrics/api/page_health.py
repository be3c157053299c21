"""Routes of page health: weekly scores of pages, and the versions of their formula."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.metrics.page_health import formulas, page_peers, score_queries
from services.metrics.page_health.score_presentation import present_list_item, present_week
from services.metrics.schemas.page_formulas import PageFormulaIn, PageFormulaOut
from services.metrics.schemas.page_health import PagePeers, PageScoreListItem, PageWeekScore
from shared.api.pagination import Page, PagingDep
from shared.api.response_headers import with_headers
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import BadRequest, Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables.metrics_pages import PageScoreFormula

router = APIRouter(prefix="/metrics", tags=["page health"])

MetricsReader = Annotated[Caller, require_right(Right.METRICS_READ)]
FormulaManager = Annotated[Caller, require_right(Right.RULES_MANAGE)]
READ_PROBLEMS = (Unauthenticated, Forbidden, Invalid)


@router.get("/pages", responses=problems.responses(*READ_PROBLEMS), summary="Scores of pages in a week")
async def list_page_scores(
    session: ReadTransaction,
    caller: MetricsReader,
    filters: Annotated[score_queries.PageScoreFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[PageScoreListItem]:
    """Return the pages scored in a week, worst first; pages without a score come last.

    Organisation staff get the pages of their own organisation. A week is scored on the following Monday, from
    4:00.
    """
    rows = await score_queries.list_page_scores(session, filters, caller, paging)
    kept, cursor = paging.page(rows, lambda row: (str(row.sorted_score), row.PageScore.page_id), response)
    return Page(items=[present_list_item(row) for row in kept], next_cursor=cursor)


@router.get(
    "/pages/{page_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Scores of a page by week"
)
async def list_page_weeks(
    session: ReadTransaction, caller: MetricsReader, page_id: UUID, paging: PagingDep, response: Response
) -> Page[PageWeekScore]:
    """Return the weeks in which a page was scored, newest first, with inputs, points and evidence."""
    rows = await score_queries.list_weeks(session, page_id, caller, paging)
    kept, cursor = paging.page(rows, lambda row: (row.PageScore.week,), response)
    return Page(items=[present_week(row) for row in kept], next_cursor=cursor)


@router.get("/page-peers", responses=problems.responses(*READ_PROBLEMS), summary="Pages among their peers")
async def compare_page_peers(
    session: ReadTransaction, caller: MetricsReader, filters: Annotated[page_peers.PagePeerFilter, Query()]
) -> PagePeers:
    """Return medians and quartiles of page figures in a week, by peer group and network.

    Only pages that the caller may see are compared. With `page_id`: the group of this page, and the page's rank in
    it.
    """
    return await page_peers.compare_peers(session, filters, caller)


@router.get("/page-formulas", responses=problems.responses(*READ_PROBLEMS), summary="Formulas of page scores")
async def list_page_formulas(
    session: ReadTransaction, caller: MetricsReader, paging: PagingDep, response: Response
) -> Page[PageFormulaOut]:
    """Return the versions of the formula, newest first."""
    rows = await formulas.list_formulas(session, paging)
    kept, cursor = paging.page(rows, lambda row: (row.number,), response)
    return Page(items=[_formula(row) for row in kept], next_cursor=cursor)


@router.get(
    "/page-formulas/{formula_id}",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="Get a formula of page scores",
)
async def get_page_formula(session: ReadTransaction, caller: MetricsReader, formula_id: UUID) -> PageFormulaOut:
    """Return a version of the formula."""
    return _formula(await formulas.get_formula(session, formula_id))


@router.post(
    "/page-formulas",
    status_code=201,
    responses=problems.responses(BadRequest, Unauthenticated, Forbidden, Invalid, Conflict)
    | with_headers(201, "Location"),
    summary="Add a formula of page scores",
)
async def add_page_formula(
    session: WriteTransaction, caller: FormulaManager, body: PageFormulaIn, once: Once, response: Response
) -> PageFormulaOut:
    """Add a version of the formula. It scores the current week, or the week of `valid_from`, and later weeks;
    existing scores stay. 422 reports each wrong field.
    """

    async def work() -> PageFormulaOut:
        return _formula(await formulas.add_formula(session, body, caller.actor))

    added = await once(PageFormulaOut, work)
    response.headers["Location"] = f"/api/v1/metrics/page-formulas/{added.id}"
    return added


def _formula(row: PageScoreFormula) -> PageFormulaOut:
    return PageFormulaOut.model_validate({name: getattr(row, name) for name in PageFormulaOut.model_fields})
