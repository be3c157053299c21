"""Official pages: which organisation keeps which page in which network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.pages import page_steps
from services.registry.pages.address_resolution import Community, parse_address_field
from services.registry.pages.page_addresses import PageAddress
from services.registry.persistence import versioned_update
from services.registry.persistence.organisation_names import organisation_names
from services.registry.persistence.search_patterns import like_patterns
from services.registry.schemas.fields import FilterText, NameQuery, OrganisationRef
from services.registry.schemas.pages import (
    EvidenceKind,
    OfficialPage,
    OfficialPageBase,
    PageCreate,
    PageStepKind,
    PageUpdate,
    PastedAddress,
    ResolvedPageAddress,
)
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.api.query_parameters import ListFilter
from shared.contracts.registry_events import PageChanged, PageRegistered, PageRegistration, PageTransferred
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Duplicate, FieldError, Invalid, NotFound
from shared.networks import NETWORKS, NetworkName
from shared.tables.registry import Organisation, Page, PageStep
from shared.text.normalize import sort_key


class PageFilter(ListFilter):
    """Filter of a list of pages."""

    organisation_id: UUID | None = None
    network: NetworkName | None = None
    external_id: FilterText = None
    address: PastedAddress | None = Field(
        default=None,
        description="The page with this address, in any form that people paste; the network is not "
        "asked. A bare id or short name needs `network`",
    )
    active: bool | None = None
    step: PageStepKind | None = Field(default=None, description="Pages that have this step")
    missing_step: PageStepKind | None = Field(default=None, description="Pages that do not have this step")
    q: NameQuery = None


async def list_pages(session: AsyncSession, filters: PageFilter, paging: Paging) -> list[Page]:
    """Return pages by name (page size plus one).

    Raises `Invalid` for an invalid `address`.
    """
    query = select(Page).order_by(Page.sort_key, Page.id).limit(paging.limit + 1)
    for name in ("organisation_id", "network", "external_id", "active"):
        if (value := getattr(filters, name)) is not None:
            query = query.where(getattr(Page, name) == value)
    if filters.address is not None:
        address = parse_address_field(filters.address, filters.network, pointer="query/address")
        query = query.where(*_named_by(address))
    if filters.step is not None:
        query = query.where(_has_step(filters.step))
    if filters.missing_step is not None:
        query = query.where(~_has_step(filters.missing_step))
    for pattern in like_patterns(filters.q or ""):
        query = query.where(Page.sort_key.like(pattern, escape="\\"))
    after = paging.after((Page.sort_key, Page.id), (str, UUID), descending=False)
    return list(await session.scalars(query if after is None else query.where(after)))


async def get(session: AsyncSession, page_id: UUID) -> Page:
    """Return the page. Raises `NotFound` for an unknown id."""
    page = await session.get(Page, page_id)
    if page is None:
        raise NotFound("No such page")
    return page


async def present(session: AsyncSession, pages: Sequence[Page]) -> list[OfficialPage]:
    """Return the pages as API models, with their current steps."""
    steps = await page_steps.current_steps(session, [page.id for page in pages])
    names = await organisation_names(session, [page.organisation_id for page in pages])
    return [
        OfficialPage(
            **OfficialPageBase.model_validate(page).model_dump(),
            organisation=OrganisationRef(id=page.organisation_id, name=names[page.organisation_id]),
            steps=steps[page.id],
        )
        for page in pages
    ]


async def describe_community(session: AsyncSession, community: Community) -> ResolvedPageAddress:
    """Return the community with its page and organisation, if the page is registered."""
    registered = await _known(session, community.network, community.external_id)
    return ResolvedPageAddress(
        network=community.network,
        external_id=community.external_id,
        name=community.name,
        screen_name=community.screen_name,
        url=community.url,
        page_id=registered.page_id if registered else None,
        organisation=registered.organisation if registered else None,
    )


async def register(session: WriteSession, new: PageCreate, actor: str, community: Community | None = None) -> Page:
    """Register a page; `community`: the community of its address, if the page was given by address.

    Raises `Duplicate`, which names the organisation, for a registered page; `Invalid` for an unknown organisation,
    or when neither a community nor network, id and name are given.
    """
    await _check_organisation(session, new.organisation_id)
    page = _made(new, community)
    pointer = "/external_id" if community is None else "/address"
    await _check_not_registered(session, page, pointer)
    try:
        async with session.begin_nested():
            session.add(page)
            await session.flush()
    except IntegrityError as error:
        await _check_not_registered(session, page, pointer)
        raise Duplicate("The page was registered by another request meanwhile") from error
    kind = EvidenceKind.MANUAL if community is None else EvidenceKind.NETWORK
    await page_steps.record_created(session, [page.id], page_steps.Evidence(kind=kind, confirmed_by=actor))
    await emit(session, page_event(PageRegistered, page, actor))
    return page


def _made(new: PageCreate, community: Community | None) -> Page:
    required = {"network": new.network, "external_id": new.external_id, "name": new.name}
    if community is not None:
        known = {"network": community.network, "external_id": community.external_id, "name": community.name}
        required = {**known, "name": new.name or community.name}
    missing = [
        FieldError(pointer=f"/{field}", detail="Field required") for field, value in required.items() if not value
    ]
    if missing:
        raise Invalid("Give the page's address, or its network, id and name", errors=missing)
    values = {field: str(value) for field, value in required.items()}
    return Page(
        organisation_id=new.organisation_id,
        **values,
        sort_key=sort_key(values["name"]),
        screen_name=new.screen_name or (community.screen_name if community else None),
        url=new.url or NETWORKS[values["network"]].page_url.format(id=values["external_id"]),
        go_live_at=new.go_live_at or clock.now(),
    )


async def change(
    session: WriteSession, page_id: UUID, update: PageUpdate, version: int | None, actor: str
) -> Page:
    """Update the given fields.

    Raises `NotFound` for an unknown id, `PreconditionFailed` for a stale version, `Invalid` for an unknown
    organisation.
    """
    page = await session.get(Page, page_id, with_for_update=versioned_update.FOR_NO_KEY_UPDATE)
    if page is None:
        raise NotFound("No such page")
    check_version(page.version, version)
    values = update.given_values()
    if "organisation_id" in values:
        await _check_organisation(session, values["organisation_id"])
    if "name" in values:
        values["sort_key"] = sort_key(values["name"])
    before = page.organisation_id
    if changed := versioned_update.apply_changes(page, values):
        await session.flush()
        moved = {"previous_organisation_id": before} if before != page.organisation_id else {}
        if moved:
            await emit(session, page_event(PageTransferred, page, actor, **moved))
        await emit(session, page_event(PageChanged, page, actor, changed=changed, **moved))
    return page


def page_event(model: type[PageRegistration], page: Page, actor: str, /, **data: Any) -> NewEvent:
    """Return an event with the page's current state; `data` are the model's own fields."""
    return NewEvent(
        data=model(
            network=page.network,
            external_id=page.external_id,
            url=page.url,
            active=page.active,
            go_live_at=page.go_live_at,
            version=page.version,
            **data,
        ),
        subject_id=page.id,
        organisation_id=page.organisation_id,
        actor=actor,
    )


async def _check_organisation(session: AsyncSession, organisation_id: UUID) -> None:
    if await session.get(Organisation, organisation_id) is None:
        raise Invalid.field("/organisation_id", "No such organisation")


@dataclass(frozen=True)
class _RegisteredPage:
    page_id: UUID
    organisation: OrganisationRef


async def _known(session: AsyncSession, network: str, external_id: str) -> _RegisteredPage | None:
    row = (
        await session.execute(
            select(Page.id, Organisation.id, Organisation.name)
            .join(Organisation, Organisation.id == Page.organisation_id)
            .where(Page.network == network, Page.external_id == external_id)
        )
    ).one_or_none()
    return None if row is None else _RegisteredPage(row[0], OrganisationRef(id=row[1], name=row[2]))


async def _check_not_registered(session: AsyncSession, new: Page, pointer: str) -> None:
    registered = await _known(session, new.network, new.external_id)
    if registered is not None:
        detail = f"The page {new.external_id} of {new.network} belongs to «{registered.organisation.name}»"
        raise Duplicate(
            detail,
            errors=[FieldError(pointer=pointer, detail=detail)],
            page_id=registered.page_id,
            organisation=registered.organisation.model_dump(),
        )


def _named_by(address: PageAddress) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    if address.external_id is not None:
        return Page.network == address.network, Page.external_id == address.external_id
    return Page.network == address.network, func.lower(Page.screen_name) == address.screen_name


def _has_step(step: PageStepKind) -> ColumnElement[bool]:
    return exists().where(PageStep.page_id == Page.id, PageStep.step == step.value, PageStep.lost_on.is_(None))
