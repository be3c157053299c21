"""Organisations and municipalities."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.api.common import CHANGE, COMMON, NEW, ONE, Editor, Reader, Text, Words
from services.registry.organisations import organisations
from services.registry.schemas.fields import OrganisationKind
from services.registry.schemas.organisations import Municipality, Organisation, OrganisationChange, OrganisationNew
from services.registry.schemas.requisites import Day
from shared import tables
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.service import Reading, Writing
from shared.tables.registry import RegistryIdempotency

router = APIRouter(prefix="/organisations", tags=["organisations"], responses=COMMON)
municipalities = APIRouter(prefix="/municipalities", tags=["organisations"], responses=COMMON)


def _filter(
    *,
    code: Text = None,
    kind: OrganisationKind | None = None,
    sphere: Annotated[Text, Query(description="Among its spheres, the main one or another")] = None,
    municipality: Text = None,
    parent_id: Annotated[UUID | None, Query(description="Directly beneath this organisation")] = None,
    beneath: Annotated[UUID | None, Query(description="This one and all beneath it, however deep")] = None,
    inn: Text = None,
    ogrn: Text = None,
    exempt: Annotated[bool | None, Query(description="true: those that keep no page, on a ground")] = None,
    active: bool | None = None,
    on: Annotated[Day | None, Query(description="Those that were a body on this day")] = None,
    q: Words = None,
) -> organisations.Filter:
    return organisations.Filter(
        code=code,
        kind=kind.value if kind else None,
        sphere=sphere,
        municipality=municipality,
        parent_id=parent_id,
        beneath=beneath,
        inn=inn,
        ogrn=ogrn,
        exempt=exempt,
        active=active,
        on=on,
        q=q,
    )


async def _shown(session: AsyncSession, row: tables.registry.Organisation) -> Organisation:
    return Organisation.of(row, (await organisations.time_zones(session))(row.calendar_id))


@router.get("", summary="Organisations by name")
async def list_organisations(
    session: Reading,
    _caller: Reader,
    wanted: Annotated[organisations.Filter, Depends(_filter)],
    paging: PagingDep,
    response: Response,
) -> Page[Organisation]:
    """Organisations in the order of their names, narrowed by any of the filters."""
    rows = await organisations.listed(session, wanted, paging)
    kept, cursor = paging.page(rows, lambda row: (row.sort_key, row.id), response)
    zone_of = await organisations.time_zones(session)
    return Page(items=[Organisation.of(row, zone_of(row.calendar_id)) for row in kept], next_cursor=cursor)


@router.get("/{organisation_id}", summary="One organisation", responses=ONE)
async def get_organisation(
    organisation_id: UUID, session: Reading, _caller: Reader, response: Response
) -> Organisation:
    """The organisation, with its version as `ETag`."""
    found = await organisations.one(session, organisation_id)
    set_etag(response, found.version)
    return await _shown(session, found)


@router.post("", summary="Register an organisation", status_code=201, responses=NEW)
async def post_organisation(
    body: OrganisationNew, session: Writing, caller: Editor, key: IdempotencyDep, response: Response
) -> Organisation:
    """A code in use is refused with 409 and the name of the organisation that has it."""

    async def work() -> Organisation:
        return await _shown(session, await organisations.register(session, body, caller.actor))

    made = await once(
        session,
        RegistryIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=Organisation,
        work=work,
    )
    set_etag(response, made.version)
    return made


@router.patch("/{organisation_id}", summary="Change an organisation", responses=ONE | CHANGE)
async def patch_organisation(
    *,
    organisation_id: UUID,
    body: OrganisationChange,
    session: Writing,
    caller: Editor,
    version: RequiredVersion,
    response: Response,
) -> Organisation:
    """Change the fields given; `If-Match` names the version that was seen."""
    found = await organisations.change(session, organisation_id, body, version, caller.actor)
    set_etag(response, found.version)
    return await _shown(session, found)


@municipalities.get("", summary="Districts and cities of the region")
async def list_municipalities(
    session: Reading, _caller: Reader, paging: PagingDep, response: Response
) -> Page[Municipality]:
    """All municipalities that organisations may lie in, by name."""
    table = tables.registry.Municipality
    query = select(table).order_by(table.sort_key, table.oktmo).limit(paging.limit + 1)
    after = paging.after((table.sort_key, table.oktmo), (str, str), descending=False)
    rows = list(await session.scalars(query if after is None else query.where(after)))
    kept, cursor = paging.page(rows, lambda row: (row.sort_key, row.oktmo), response)
    return Page(items=[Municipality.model_validate(row) for row in kept], next_cursor=cursor)
