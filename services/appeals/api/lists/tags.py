"""Routes of tags."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Worker
from services.appeals.field_types import tag_name
from services.appeals.lists import tags
from services.appeals.schemas.lists.tags import TagChange, TagOut, TagsOut
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.http.problems import NotFound
from shared.service import ReadTransaction, WriteTransaction

router = APIRouter(tags=["appeals"])


@router.patch(
    "/appeals/{appeal_id}/tags",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Change the tags of an appeal",
)
async def change_appeal_tags(
    session: WriteTransaction, caller: Worker, appeal_id: UUID, body: TagChange
) -> TagsOut:
    """Add and remove tags, and return the tags that the appeal has now. No `If-Match` is needed: tags that
    colleagues added stay. Tags are stored in lower case, with е for ё and single spaces. Everyone who may read the
    appeal sees them: they must not contain personal data.
    """
    return TagsOut(tags=await tags.change_tags(session, caller, appeal_id, add=body.add, remove=body.remove))


@router.get("/tags", responses=problems.responses(*READ_PROBLEMS), summary="List the tags in use")
async def list_tags(
    *,
    session: ReadTransaction,
    caller: Reader,
    paging: PagingDep,
    response: Response,
    prefix: Annotated[str, Query(max_length=40, description="What was typed so far")] = "",
) -> Page[TagOut]:
    """Return the tags in use that begin with the typed text, in alphabetical order. Staff see tags that were added
    to appeals of their organisation.
    """
    rows, cursor = paging.page(
        await tags.used_tags(session, caller, tag_name(prefix), paging), lambda tag: (tag,), response
    )
    return Page(items=[TagOut(tag=tag) for tag in rows], next_cursor=cursor)
