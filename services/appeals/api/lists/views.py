"""Routes of saved views."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader
from services.appeals.assignees.directory import ActorNames
from services.appeals.lists import saved_views
from services.appeals.schemas.lists.views import ViewIn, ViewOut
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables.appeals_lists import SavedView

router = APIRouter(tags=["views"])

_CHANGE_PROBLEMS = (*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)


@router.get("/views", responses=problems.responses(*READ_PROBLEMS), summary="List saved views")
async def list_views(
    session: ReadTransaction, caller: Reader, paging: PagingDep, response: Response
) -> Page[ViewOut]:
    """Return the caller's own views and those that colleagues of the same organisation share, ordered by name."""
    rows, cursor = paging.page(
        await saved_views.list_views(session, caller, paging), lambda view: (view.sort_key, view.id), response
    )
    return Page(items=await _present(session, rows), next_cursor=cursor)


@router.post(
    "/views",
    status_code=201,
    responses=problems.responses(*WRITE_PROBLEMS) | with_headers(201, "Location"),
    summary="Save a view",
)
async def create_view(
    session: WriteTransaction, caller: Reader, body: ViewIn, once: Once, response: Response
) -> ViewOut:
    """Save a filter and an order of the list of appeals, for the caller alone or for the whole organisation. A
    caller may have at most 100 views.
    """

    async def work() -> ViewOut:
        (made,) = await _present(session, [await saved_views.create_view(session, caller, body.given())])
        return made

    made = await once(ViewOut, work)
    response.headers["Location"] = f"/api/v1/views/{made.id}"
    set_etag(response, made.version)
    return made


@router.get("/views/{view_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get a saved view")
async def get_view(session: ReadTransaction, caller: Reader, view_id: UUID, response: Response) -> ViewOut:
    """Return the view with its `query`. Send the ETag as `If-Match`."""
    (view,) = await _present(session, [await saved_views.get_view(session, caller, view_id)])
    set_etag(response, view.version)
    return view


@router.put("/views/{view_id}", responses=problems.responses(*_CHANGE_PROBLEMS), summary="Change a saved view")
async def change_view(
    *,
    session: WriteTransaction,
    caller: Reader,
    view_id: UUID,
    body: ViewIn,
    version: RequiredVersion,
    response: Response,
) -> ViewOut:
    """Replace the caller's own view."""
    changed = await saved_views.change_view(session, caller, view_id, version, body.given())
    (view,) = await _present(session, [changed])
    set_etag(response, view.version)
    return view


@router.delete(
    "/views/{view_id}",
    status_code=204,
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Delete a saved view",
)
async def delete_view(session: WriteTransaction, caller: Reader, view_id: UUID, version: RequiredVersion) -> None:
    """Delete the caller's own view, or with `assignees:manage` a shared view of the organisation."""
    await saved_views.delete_view(session, caller, view_id, version)


async def _present(session: AsyncSession, views: Sequence[SavedView]) -> list[ViewOut]:
    names = await ActorNames.load(session, {view.owner for view in views})
    return [
        ViewOut(
            id=view.id,
            version=view.version,
            owner=names.ref(view.owner),
            is_shared=view.is_shared,
            name=view.name,
            filter=view.filter,
            sort=view.sort,
            query=saved_views.query_of(view),
            created_at=view.created_at,
            updated_at=view.updated_at,
        )
        for view in views
    ]
