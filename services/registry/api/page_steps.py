"""The steps of official pages, and what was lost."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.registry.api.common import BODY, COMMON, ONE, Reader
from services.registry.pages import page_steps
from services.registry.pages.page_steps import Evidence
from services.registry.schemas.pages import LostStep, Owner, PageStep, Reason, Step, StepConfirmed
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right
from shared.http.problems import Conflict, NotFound, responses
from shared.service import Reading, Writing
from shared.tables import registry

router = APIRouter(prefix="/pages", tags=["pages"], responses=COMMON)

Confirmer = Annotated[Caller, allowed(Right.PAGES_CONFIRM)]


@router.get("/lost", summary="Steps that pages had and lost")
async def list_lost_steps(
    *,
    session: Reading,
    _caller: Reader,
    paging: PagingDep,
    response: Response,
    since: Annotated[
        date | None, Query(description="Lost on this day or later. Left out: since yesterday")
    ] = None,
    step: Step | None = None,
) -> Page[LostStep]:
    """The latest losses first: a page that lost its mark yesterday is here today, with why if it is known."""
    since = since or page_steps.today() - timedelta(days=1)
    rows = await page_steps.lost(session, since, step, paging)
    kept, cursor = paging.page(rows, lambda row: (str(row[0].lost_on), row[0].id), response)
    return Page(items=[_lost(*row) for row in kept], next_cursor=cursor)


def _lost(
    gone: registry.PageStep, page: registry.Page, owner: registry.Organisation, regained: date | None
) -> LostStep:
    return LostStep.model_validate(
        {
            "page_id": page.id,
            "network": page.network,
            "external_id": page.external_id,
            "name": page.name,
            "url": page.url,
            "owner": Owner(id=owner.id, name=owner.name),
            "step": gone.step,
            "reached_on": gone.reached_on,
            "lost_on": gone.lost_on,
            "lost_reason": gone.lost_reason,
            "regained_on": regained,
        }
    )


@router.get("/{page_id}/steps", summary="A page's steps", responses=ONE)
async def list_page_steps(
    page_id: UUID, session: Reading, _caller: Reader, paging: PagingDep, response: Response
) -> Page[PageStep]:
    """Those that stand and those that were lost, by when they were written down, newest first."""
    rows = await page_steps.of_page(session, page_id, paging)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[PageStep.model_validate(row) for row in kept], next_cursor=cursor)


@router.put("/{page_id}/steps/{step}", summary="Confirm a step", responses=BODY | ONE | responses(Conflict))
async def put_page_step(
    page_id: UUID, step: Step, body: StepConfirmed, session: Writing, caller: Confirmer
) -> PageStep:
    """The page has reached the step; one that stands takes the new day and evidence.

    The order of the steps is not enforced, but `live` needs `verified` to stand (409). The daily check confirms
    `verified` by itself; VK's public API names no state mark, so `marked` is confirmed by hand.
    """
    evidence = Evidence(kind=body.evidence_kind, text=body.evidence, confirmed_by=caller.actor)
    found = await page_steps.record(session, page_id, step, evidence, reached_on=body.reached_on, within=caller)
    return PageStep.model_validate(found)


@router.delete("/{page_id}/steps/{step}", summary="A step is lost", responses=ONE)
async def delete_page_step(
    *,
    page_id: UUID,
    step: Step,
    session: Writing,
    caller: Confirmer,
    reason: Annotated[Reason, Query(examples=["Отметка снята сетью"])],
    lost_on: Annotated[date | None, Query(description="Left out: today in the region")] = None,
) -> PageStep:
    """The step stands no more; it stays in the page's history and on the list of what was lost."""
    found = await page_steps.lose(
        session, page_id, step, reason=reason, actor=caller.actor, lost_on=lost_on, within=caller
    )
    if found is None:
        raise NotFound("The step does not stand on this page")
    return PageStep.model_validate(found)
