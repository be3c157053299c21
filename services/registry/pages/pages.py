"""Official pages: which organisation keeps which page in which network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.pages import page_steps
from services.registry.pages.address_resolution import Community
from services.registry.pages.page_addresses import Address
from services.registry.persistence import versioned_update
from services.registry.persistence.sort_keys import containing, sort_key
from services.registry.schemas.pages import (
    EvidenceKind,
    OfficialPage,
    Owner,
    PageChange,
    PageNew,
    PageRow,
    ResolvedAddress,
    Step,
)
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Duplicate, FieldError, Invalid, NotFound
from shared.networks import NETWORKS
from shared.tables.registry import Organisation, Page, PageStep


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a list of pages is narrowed to; null means any."""

    organisation_id: UUID | None = None
    network: str | None = None
    external_id: str | None = None
    address: Address | None = None
    active: bool | None = None
    step: Step | None = None
    missing_step: Step | None = None
    q: str | None = None


async def listed(session: AsyncSession, wanted: Filter, paging: Paging) -> list[Page]:
    """Pages by name, one more than the limit."""
    query = select(Page).order_by(Page.sort_key, Page.id).limit(paging.limit + 1)
    for name in ("organisation_id", "network", "external_id", "active"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(Page, name) == value)
    if wanted.address is not None:
        query = query.where(*_named_by(wanted.address))
    if wanted.step is not None:
        query = query.where(_stands(wanted.step))
    if wanted.missing_step is not None:
        query = query.where(~_stands(wanted.missing_step))
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


async def shown(session: AsyncSession, pages: Sequence[Page]) -> list[OfficialPage]:
    """The pages with the steps that stand."""
    steps = await page_steps.standing(session, [page.id for page in pages])
    return [OfficialPage(**PageRow.model_validate(page).model_dump(), steps=steps[page.id]) for page in pages]


async def whose(session: AsyncSession, community: Community) -> ResolvedAddress:
    """The community as the network has it, with its page and owner when the registry knows it."""
    found = await _known(session, community.network, community.external_id)
    return ResolvedAddress(
        network=community.network,
        external_id=community.external_id,
        name=community.name,
        screen_name=community.screen_name,
        url=community.url,
        page_id=found.page_id if found else None,
        owner=found.owner if found else None,
    )


async def register(session: WriteSession, new: PageNew, actor: str, community: Community | None = None) -> Page:
    """A new page; `community` is what its address was resolved to, if it was given by address.

    Raises `Duplicate`, naming the owner, when it is known; `Invalid` without its organisation, or when neither
    community nor network, id and name are given.
    """
    await _check_organisation(session, new.organisation_id)
    page = _made(new, community)
    pointer = "/external_id" if community is None else "/address"
    await _check_unknown(session, page, pointer)
    try:
        async with session.begin_nested():
            session.add(page)
            await session.flush()
    except IntegrityError as error:
        await _check_unknown(session, page, pointer)
        raise Duplicate("The page was registered just now") from error
    kind = EvidenceKind.MANUAL if community is None else EvidenceKind.NETWORK
    await page_steps.begin(session, [page.id], page_steps.Evidence(kind=kind, confirmed_by=actor))
    await emit(session, event_of("page.registered", page, actor, {}))
    return page


def _made(new: PageNew, community: Community | None) -> Page:
    given = {"network": new.network, "external_id": new.external_id, "name": new.name}
    if community is not None:
        known = {"network": community.network, "external_id": community.external_id, "name": community.name}
        given = {**known, "name": new.name or community.name}
    missing = [
        FieldError(pointer=f"/{field}", detail="Field required") for field, value in given.items() if not value
    ]
    if missing:
        raise Invalid("Give the page's address, or its network, id and name", errors=missing)
    values = {field: str(value) for field, value in given.items()}
    return Page(
        organisation_id=new.organisation_id,
        **values,
        sort_key=sort_key(values["name"]),
        screen_name=new.screen_name or (community.screen_name if community else None),
        url=new.url or NETWORKS[values["network"]].page_url.format(id=values["external_id"]),
        live_from=new.live_from or clock.now(),
    )


async def change(
    session: WriteSession, page_id: UUID, wanted: PageChange, version: int | None, actor: str
) -> Page:
    """Change what was given. Raises `NotFound`, `PreconditionFailed` or `Invalid`."""
    found = await session.get(Page, page_id, with_for_update=versioned_update.HELD)
    if found is None:
        raise NotFound("There is no such page")
    check_version(found.version, version)
    values = wanted.changes()
    if "organisation_id" in values:
        await _check_organisation(session, values["organisation_id"])
    if "name" in values:
        values["sort_key"] = sort_key(values["name"])
    before = found.organisation_id
    if changed := versioned_update.apply(found, values):
        await session.flush()
        data: dict[str, Any] = {"changed": changed}
        if before != found.organisation_id:
            data["moved_from"] = str(before)
            moved = {"moved_from": str(before)}
            await emit(session, event_of("page.changed_hands", found, actor, moved))
        await emit(session, event_of("page.changed", found, actor, data))
    return found


def event_of(kind: str, page: Page, actor: str, data: dict[str, Any]) -> NewEvent:
    """An event of a page as it stands."""
    return NewEvent(
        type=kind,
        subject_id=page.id,
        organisation_id=page.organisation_id,
        actor=actor,
        data={
            "network": page.network,
            "external_id": page.external_id,
            "url": page.url,
            "active": page.active,
            "live_from": page.live_from.isoformat(),
            "version": page.version,
            **data,
        },
    )


async def _check_organisation(session: AsyncSession, organisation_id: UUID) -> None:
    if await session.get(Organisation, organisation_id) is None:
        raise Invalid.field("/organisation_id", "There is no such organisation")


@dataclass(frozen=True)
class _Known:
    page_id: UUID
    owner: Owner


async def _known(session: AsyncSession, network: str, external_id: str) -> _Known | None:
    found = (
        await session.execute(
            select(Page.id, Organisation.id, Organisation.name)
            .join(Organisation, Organisation.id == Page.organisation_id)
            .where(Page.network == network, Page.external_id == external_id)
        )
    ).one_or_none()
    return None if found is None else _Known(found[0], Owner(id=found[1], name=found[2]))


async def _check_unknown(session: AsyncSession, new: Page, pointer: str) -> None:
    found = await _known(session, new.network, new.external_id)
    if found is not None:
        detail = f"The page {new.external_id} of {new.network} belongs to «{found.owner.name}»"
        raise Duplicate(
            detail,
            errors=[FieldError(pointer=pointer, detail=detail)],
            page_id=found.page_id,
            owner=found.owner.model_dump(),
        )


def _named_by(address: Address) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    if address.external_id is not None:
        return Page.network == address.network, Page.external_id == address.external_id
    return Page.network == address.network, func.lower(Page.screen_name) == address.screen_name


def _stands(step: Step) -> ColumnElement[bool]:
    return exists().where(PageStep.page_id == Page.id, PageStep.step == step.value, PageStep.lost_on.is_(None))
