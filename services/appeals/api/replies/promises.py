"""Routes of promises: the list, and the ledger by organisation."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, Reader
from services.appeals.api.presenters import promises as presenter
from services.appeals.promises import promise_queries
from services.appeals.schemas.replies.promises import PromiseLedger, PromiseListItem
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.service import ReadTransaction

router = APIRouter(prefix="/promises", tags=["promises"])


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List promises")
async def list_promises(
    *,
    session: ReadTransaction,
    caller: Reader,
    filters: Annotated[promise_queries.PromiseFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[PromiseListItem]:
    """Return promises, newest first. Staff see the promises of their own organisation, also for appeals that have
    left it since.
    """
    rows, cursor = paging.page(
        await promise_queries.find(session, caller, filters, paging),
        lambda row: (row[0].made_at, row[0].id),
        response,
    )
    return Page(items=[presenter.promise_list_item(row) for row in rows], next_cursor=cursor)


@router.get("/ledger", responses=problems.responses(*READ_PROBLEMS), summary="Count promises by organisation")
async def get_promise_ledger(
    session: ReadTransaction, caller: Reader, period: Annotated[promise_queries.PromisePeriod, Query()]
) -> PromiseLedger:
    """Return how many promises each organisation made in the period and how they ended, ordered by name."""
    rows = await promise_queries.count_by_organisation(session, caller, period)
    return PromiseLedger(items=[presenter.promise_counts(row) for row in rows])
