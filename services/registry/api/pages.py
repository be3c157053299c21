"""Routes of official pages and their steps."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.registry.api.common import (
    BODY_ERRORS,
    COMMON_ERRORS,
    CREATE_ERRORS,
    NOT_FOUND_ERROR,
    UPDATE_ERRORS,
    RegistryEditor,
    RegistryReader,
)
from services.registry.pages import address_resolution, page_steps, pages
from services.registry.pages.page_steps import Evidence
from services.registry.schemas.fields import OrganisationRef
from services.registry.schemas.pages import (
    LostPageStep,
    OfficialPage,
    PageAddressToResolve,
    PageCreate,
    PageStep,
    PageStepConfirm,
    PageStepKind,
    PageUpdate,
    ReasonText,
    ResolvedPageAddress,
)
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.auth import token_recheck
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http.problems import Conflict, NotFound, Unavailable, UpstreamFailed, responses
from shared.service import Once, ReadTransaction, ServiceDep, WriteTransaction
from shared.tables import registry

router = APIRouter(prefix="/pages", tags=["pages"], responses=COMMON_ERRORS)

RESOLUTION_ERRORS = responses(Unavailable, UpstreamFailed)


@router.get("", summary="Official pages by name")
async def list_pages(
    session: ReadTransaction,
    _caller: RegistryReader,
    filters: Annotated[pages.PageFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[OfficialPage]:
    """Return pages by name, restricted by the given filters.

    An invalid `address` is refused with 422 and the reason; the address of an unregistered page finds nothing.
    """
    rows = await pages.list_pages(session, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.sort_key, row.id), response)
    return Page(items=await pages.present(session, items), next_cursor=cursor)


@router.get("/{page_id}", summary="One page", responses=NOT_FOUND_ERROR)
async def get_page(
    page_id: UUID, session: ReadTransaction, _caller: RegistryReader, response: Response
) -> OfficialPage:
    """Return the page, with its version as `ETag`."""
    page = await pages.get(session, page_id)
    set_etag(response, page.version)
    return (await pages.present(session, [page]))[0]


@router.post("/resolve", summary="Resolve a page address", responses=BODY_ERRORS | RESOLUTION_ERRORS)
async def resolve_page_address(
    body: PageAddressToResolve, session: ReadTransaction, caller: RegistryEditor, service: ServiceDep
) -> ResolvedPageAddress:
    """Return the community at this address and, if its page is registered, the page and its organisation.

    The community is looked up in its network. An address without a community is refused with 422 and the reason.
    The request changes nothing, but makes one or two calls to the network; therefore it needs the right to change
    the registry.
    """
    # Access is checked first, because the call budget is shared by the whole region. Networks are slow, so no
    # database connection is held during the call.
    async with service.database.read() as checking:
        await token_recheck.require_access(checking, caller)
    community = await address_resolution.resolve_address(
        service.client(), body.address, body.network, act=caller.actor
    )
    return await pages.describe_community(session, community)


@router.post(
    "",
    summary="Register a page",
    status_code=201,
    responses=CREATE_ERRORS | RESOLUTION_ERRORS | with_headers(201, "Location"),
)
async def create_page(
    *,
    body: PageCreate,
    session: WriteTransaction,
    caller: RegistryEditor,
    service: ServiceDep,
    once: Once,
    response: Response,
) -> OfficialPage:
    """Register a page by `address`, or by `network`, `external_id` and `name`.

    An address is resolved as in `POST /pages/resolve`. A page that is already registered is refused with 409 and
    the name of its organisation.
    """
    # Access is checked before the call to the network: the write transaction begins only after it.
    async with service.database.read() as checking:
        await token_recheck.require_access(checking, caller)
        made = await once.stored(checking, OfficialPage)
    if made is None:
        community = await address_resolution.resolve_new_page(service.client(), body, act=caller.actor)

        async def work() -> OfficialPage:
            page = await pages.register(session, body, caller.actor, community)
            return (await pages.present(session, [page]))[0]

        made = await once(OfficialPage, work)
    set_etag(response, made.version)
    response.headers["Location"] = f"/api/v1/pages/{made.id}"
    return made


@router.patch("/{page_id}", summary="Change a page", responses=NOT_FOUND_ERROR | UPDATE_ERRORS)
async def update_page(
    *,
    page_id: UUID,
    body: PageUpdate,
    session: WriteTransaction,
    caller: RegistryEditor,
    version: RequiredVersion,
    response: Response,
) -> OfficialPage:
    """Change the given fields; `If-Match` names the version that was read."""
    page = await pages.change(session, page_id, body, version, caller.actor)
    set_etag(response, page.version)
    return (await pages.present(session, [page]))[0]


steps_router = APIRouter(prefix="/pages", tags=["pages"], responses=COMMON_ERRORS)

PagesConfirmer = Annotated[Caller, require_right(Right.PAGES_CONFIRM)]


@steps_router.get("/lost-steps", summary="Steps that pages have lost")
async def list_lost_page_steps(
    *,
    session: ReadTransaction,
    _caller: RegistryReader,
    paging: PagingDep,
    response: Response,
    since: Annotated[
        date | None, Query(description="Lost on this day or later. Left out: since yesterday")
    ] = None,
    step: PageStepKind | None = None,
) -> Page[LostPageStep]:
    """Return lost steps of pages, latest loss first.

    A page that lost its badge yesterday is listed today, with the reason if it is known.
    """
    since = since or clock.today() - timedelta(days=1)
    rows = await page_steps.list_lost(session, since, step, paging)
    items, cursor = paging.page(rows, lambda row: (str(row[0].lost_on), row[0].id), response)
    return Page(items=[_lost(*row) for row in items], next_cursor=cursor)


def _lost(
    gone: registry.PageStep, page: registry.Page, organisation: registry.Organisation, regained: date | None
) -> LostPageStep:
    return LostPageStep.model_validate(
        {
            "page_id": page.id,
            "network": page.network,
            "external_id": page.external_id,
            "name": page.name,
            "url": page.url,
            "organisation": OrganisationRef(id=organisation.id, name=organisation.name),
            "step": gone.step,
            "reached_on": gone.reached_on,
            "lost_on": gone.lost_on,
            "lost_reason": gone.lost_reason,
            "regained_on": regained,
        }
    )


@steps_router.get("/{page_id}/steps", summary="A page's steps", responses=NOT_FOUND_ERROR)
async def list_page_steps(
    page_id: UUID, session: ReadTransaction, _caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[PageStep]:
    """Return current and lost steps of the page, by time of recording, newest first."""
    rows = await page_steps.list_of_page(session, page_id, paging)
    items, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[PageStep.model_validate(row) for row in items], next_cursor=cursor)


@steps_router.put(
    "/{page_id}/steps/{step}",
    summary="Confirm a step",
    responses=BODY_ERRORS | NOT_FOUND_ERROR | responses(Conflict),
)
async def confirm_page_step(
    page_id: UUID, step: PageStepKind, body: PageStepConfirm, session: WriteTransaction, caller: PagesConfirmer
) -> PageStep:
    """Confirm that the page has reached the step; if it already has the step, replace the day and the evidence.

    The order of the steps is not enforced, but `live` needs a current `verified` (409). The daily check confirms
    `verified` automatically; VK's public API does not show the state badge, so `gov_badge` is confirmed by hand.
    """
    evidence = Evidence(kind=body.evidence_kind, text=body.evidence, confirmed_by=caller.actor)
    confirmed = await page_steps.confirm(
        session, page_id, step, evidence, reached_on=body.reached_on, caller=caller
    )
    return PageStep.model_validate(confirmed)


@steps_router.delete("/{page_id}/steps/{step}", summary="Mark a step as lost", responses=NOT_FOUND_ERROR)
async def mark_page_step_lost(
    *,
    page_id: UUID,
    step: PageStepKind,
    session: WriteTransaction,
    caller: PagesConfirmer,
    reason: Annotated[ReasonText, Query(examples=["Отметка снята сетью"])],
    lost_on: Annotated[date | None, Query(description="Left out: today in the region")] = None,
) -> PageStep:
    """Mark the step as lost; it stays in the page's history and is listed among the lost steps."""
    lost_step = await page_steps.mark_lost(
        session, page_id, step, reason=reason, actor=caller.actor, lost_on=lost_on, caller=caller
    )
    if lost_step is None:
        raise NotFound("The page does not have this step")
    return PageStep.model_validate(lost_step)
