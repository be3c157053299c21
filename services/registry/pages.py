"""Official pages: which organisation keeps which page in which network."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry import changes
from services.registry.schemas.directory import PageChange, PageNew
from services.registry.sorting import containing, sort_key
from shared import clock
from shared.database import WriteSession
from shared.events import NewEvent, emit
from shared.networks import NETWORKS
from shared.pagination import Paging
from shared.preconditions import check_version
from shared.problems import Duplicate, FieldError, Invalid, NotFound
from shared.tables.registry import Organisation, Page


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a list of pages is narrowed to; null means any."""

    organisation_id: UUID | None = None
    network: str | None = None
    external_id: str | None = None
    active: bool | None = None
    q: str | None = None


async def listed(session: AsyncSession, wanted: Filter, paging: Paging) -> list[Page]:
    """Pages by name, one more than the limit."""
    query = select(Page).order_by(Page.sort_key, Page.id).limit(paging.limit + 1)
    for name in ("organisation_id", "network", "external_id", "active"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(Page, name) == value)
    for pattern in containing(wanted.q or ""):
        query = query.where(Page.sort_key.like(pattern, escape="\\"))
    after = paging.after((Page.sort_key, Page.id), (str, UUID), descending=False)
    return list(await session.scalars(query if after is None else query.where(after)))


async def one(session: AsyncSession, page_id: UUID) -> Page:
    """The page. Raises `NotFound`."""
    found = await session.get(Page, page_id)
    if found is None:
        raise NotFound("There is no such page")
    return found


async def register(session: WriteSession, new: PageNew, actor: str) -> Page:
    """A new page. Raises `Duplicate`, naming the owner, when it is known; `Invalid` without its organisation."""
    await _check_organisation(session, new.organisation_id)
    await _check_unknown(session, new)
    page = Page(
        organisation_id=new.organisation_id,
        network=new.network,
        external_id=new.external_id,
        name=new.name,
        sort_key=sort_key(new.name),
        screen_name=new.screen_name,
        url=new.url or NETWORKS[new.network].page_url.format(id=new.external_id),
        live_from=new.live_from or clock.now(),
    )
    try:
        async with session.begin_nested():
            session.add(page)
            await session.flush()
    except IntegrityError as error:
        await _check_unknown(session, new)
        raise Duplicate("The page was registered just now") from error
    await emit(session, _event("page.registered", page, actor, {}))
    return page


async def change(
    session: WriteSession, page_id: UUID, wanted: PageChange, version: int | None, actor: str
) -> Page:
    """Change what was given. Raises `NotFound`, `PreconditionFailed` or `Invalid`."""
    found = await session.get(Page, page_id, with_for_update=True)
    if found is None:
        raise NotFound("There is no such page")
    check_version(found.version, version)
    values = wanted.changes()
    if "organisation_id" in values:
        await _check_organisation(session, values["organisation_id"])
    if "name" in values:
        values["sort_key"] = sort_key(values["name"])
    before = found.organisation_id
    if changed := changes.apply(found, values):
        await session.flush()
        data: dict[str, Any] = {"changed": changed}
        if before != found.organisation_id:
            data["moved_from"] = str(before)
        await emit(session, _event("page.changed", found, actor, data))
    return found


def _event(kind: str, page: Page, actor: str, data: dict[str, Any]) -> NewEvent:
    return NewEvent(
        type=kind,
        subject_id=page.id,
        organisation_id=page.organisation_id,
        actor=actor,
        data={
            "network": page.network,
            "external_id": page.external_id,
            "active": page.active,
            "live_from": page.live_from.isoformat(),
            "version": page.version,
            **data,
        },
    )


async def _check_organisation(session: AsyncSession, organisation_id: UUID) -> None:
    if await session.get(Organisation, organisation_id) is None:
        raise Invalid.field("/organisation_id", "There is no such organisation")


async def _check_unknown(session: AsyncSession, new: PageNew) -> None:
    found = (
        await session.execute(
            select(Page.id, Organisation.id, Organisation.name)
            .join(Organisation, Organisation.id == Page.organisation_id)
            .where(Page.network == new.network, Page.external_id == new.external_id)
        )
    ).one_or_none()
    if found is not None:
        page_id, owner_id, owner = found
        detail = f"The page {new.external_id} of {new.network} belongs to «{owner}»"
        raise Duplicate(
            detail,
            errors=[FieldError(pointer="/external_id", detail=detail)],
            page_id=page_id,
            owner={"id": owner_id, "name": owner},
        )
