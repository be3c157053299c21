"""Official pages."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from services.registry import pages
from services.registry.api.answers import CHANGE, COMMON, NEW, ONE, Editor, Reader, Text, Words
from services.registry.schemas.directory import OfficialPage, PageChange, PageNew
from shared.idempotency import IdempotencyDep, once
from shared.networks import NetworkName
from shared.pagination import Page, PagingDep
from shared.preconditions import RequiredVersion, set_etag
from shared.service import Reading, Writing
from shared.tables.events import RegistryIdempotency

router = APIRouter(prefix="/pages", tags=["pages"], responses=COMMON)


def _filter(
    organisation_id: UUID | None = None,
    network: NetworkName | None = None,
    external_id: Text = None,
    active: bool | None = None,
    q: Words = None,
) -> pages.Filter:
    return pages.Filter(
        organisation_id=organisation_id,
        network=network,
        external_id=external_id,
        active=active,
        q=q,
    )


@router.get("", summary="Official pages by name")
async def list_pages(
    session: Reading,
    _caller: Reader,
    wanted: Annotated[pages.Filter, Depends(_filter)],
    paging: PagingDep,
    response: Response,
) -> Page[OfficialPage]:
    """Pages in the order of their names, narrowed by any of the filters."""
    rows = await pages.listed(session, wanted, paging)
    kept, cursor = paging.page(rows, lambda row: (row.sort_key, row.id), response)
    return Page(items=[OfficialPage.model_validate(row) for row in kept], next_cursor=cursor)


@router.get("/{page_id}", summary="One page", responses=ONE)
async def get_page(page_id: UUID, session: Reading, _caller: Reader, response: Response) -> OfficialPage:
    """The page, with its version as `ETag`."""
    found = await pages.one(session, page_id)
    set_etag(response, found.version)
    return OfficialPage.model_validate(found)


@router.post("", summary="Register a page", status_code=201, responses=NEW)
async def post_page(
    body: PageNew, session: Writing, caller: Editor, key: IdempotencyDep, response: Response
) -> OfficialPage:
    """A page that is registered already is refused with 409 and the name of its organisation."""

    async def work() -> OfficialPage:
        return OfficialPage.model_validate(await pages.register(session, body, caller.actor))

    made = await once(
        session,
        RegistryIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=OfficialPage,
        work=work,
    )
    set_etag(response, made.version)
    return made


@router.patch("/{page_id}", summary="Change a page", responses=ONE | CHANGE)
async def patch_page(
    *,
    page_id: UUID,
    body: PageChange,
    session: Writing,
    caller: Editor,
    version: RequiredVersion,
    response: Response,
) -> OfficialPage:
    """Change the fields given; `If-Match` names the version that was seen."""
    found = await pages.change(session, page_id, body, version, caller.actor)
    set_etag(response, found.version)
    return OfficialPage.model_validate(found)
