"""Saved views: a filter and an order of the list of appeals under a name, private or shared in an organisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import AppealSort, check_sort
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden, NotFound
from shared.ids import new_id
from shared.tables.appeals_lists import SavedView
from shared.text.normalize import sort_key

MAX_VIEWS = 100


@dataclass(frozen=True)
class ViewContent:
    """The content of a view, as submitted by its owner."""

    name: str
    filter: AppealFilter
    sort: AppealSort
    is_shared: bool


def query_of(view: SavedView) -> str:
    """Return the query string of `GET /appeals` for the view, without `?`."""
    values = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in sorted(view.filter.items())
    }
    return urlencode(values | {"sort": view.sort}, doseq=True)


def _visible(caller: Caller) -> ColumnElement[bool]:
    same = SavedView.organisation_id == caller.organisation_id
    return or_(SavedView.owner == caller.actor, and_(SavedView.is_shared, same))


async def list_views(session: AsyncSession, caller: Caller, paging: Paging) -> Sequence[SavedView]:
    """Return the caller's views and those shared in their organisation, ordered by name: one page plus one row."""
    columns = (SavedView.sort_key, SavedView.id)
    query = select(SavedView).where(_visible(caller)).order_by(*columns).limit(paging.limit + 1)
    after = paging.after(columns, (str, UUID), descending=False)
    return (await session.scalars(query if after is None else query.where(after))).all()


async def get_view(session: AsyncSession, caller: Caller, view_id: UUID, *, lock: bool = False) -> SavedView:
    """Return a view. Raises `NotFound` if there is none that the caller may see."""
    query = select(SavedView).where(SavedView.id == view_id, _visible(caller))
    view = await session.scalar(query.with_for_update() if lock else query)
    if view is None:
        raise NotFound("No such view")
    return view


async def create_view(session: WriteSession, caller: Caller, given: ViewContent) -> SavedView:
    """Create a view of the caller.

    Raises `Invalid` for an order that the filter does not allow, `Conflict` for more than `MAX_VIEWS` views.
    """
    count = await session.scalar(select(func.count()).where(SavedView.owner == caller.actor))
    if (count or 0) >= MAX_VIEWS:
        raise Conflict(f"You have {MAX_VIEWS} views, which is the limit: delete one that you do not need")
    view = SavedView(id=new_id(), owner=caller.actor, **_columns(caller, given))
    session.add(view)
    await session.flush()
    return view


async def change_view(
    session: WriteSession, caller: Caller, view_id: UUID, version: int | None, given: ViewContent
) -> SavedView:
    """Replace a view of the caller. Raises the errors of `create_view`, and `NotFound`, `Forbidden`,
    `PreconditionFailed`.
    """
    view = await get_view(session, caller, view_id, lock=True)
    if view.owner != caller.actor:
        raise Forbidden("Only the owner of a view may change it: save your own")
    check_version(view.version, version)
    for name, value in _columns(caller, given).items():
        setattr(view, name, value)
    await session.flush()
    return view


async def delete_view(session: WriteSession, caller: Caller, view_id: UUID, version: int | None) -> None:
    """Delete the caller's own view, or with `assignees:manage` a shared one. Raises `NotFound`, `Forbidden`,
    `PreconditionFailed`.
    """
    view = await get_view(session, caller, view_id, lock=True)
    if view.owner != caller.actor and Right.ASSIGNEES_MANAGE not in caller.rights:
        raise Forbidden(
            "Only the owner of a view, or a person who manages assignees of the organisation, may delete it"
        )
    check_version(view.version, version)
    await session.delete(view)


def _columns(caller: Caller, given: ViewContent) -> dict[str, Any]:
    check_sort(given.sort, given.filter, pointer="/sort")
    return {
        "organisation_id": caller.organisation_id,
        "is_shared": given.is_shared,
        "name": given.name,
        "sort_key": sort_key(given.name),
        "filter": given.filter.model_dump(mode="json", exclude_none=True),
        "sort": given.sort,
    }
