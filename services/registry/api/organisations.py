"""Routes of organisations, their names, search and successions, and of municipalities."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.api.common import (
    COMMON_ERRORS,
    CREATE_ERRORS,
    NOT_FOUND_ERROR,
    UPDATE_ERRORS,
    RegistryEditor,
    RegistryReader,
)
from services.registry.organisations import names, organisations, search, successions
from services.registry.schemas.fields import OrganisationRef
from services.registry.schemas.organisations import (
    Municipality,
    Organisation,
    OrganisationCreate,
    OrganisationName,
    OrganisationNameCreate,
    OrganisationSearchHit,
    OrganisationSearchResults,
    OrganisationUpdate,
)
from services.registry.schemas.successions import Succession, SuccessionCreate, SuccessionList
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.http.problems import Conflict, Duplicate, InFlight, responses
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables import registry as tables

router = APIRouter(prefix="/organisations", tags=["organisations"], responses=COMMON_ERRORS)
municipalities_router = APIRouter(prefix="/municipalities", tags=["organisations"], responses=COMMON_ERRORS)


async def _shown(session: AsyncSession, row: tables.Organisation) -> Organisation:
    return Organisation.from_row(row, (await organisations.time_zone_lookup(session))(row.calendar_id))


@router.get("", summary="Organisations by name")
async def list_organisations(
    session: ReadTransaction,
    _caller: RegistryReader,
    filters: Annotated[organisations.OrganisationFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[Organisation]:
    """Return organisations by name, restricted by the given filters."""
    rows = await organisations.list_organisations(session, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.sort_key, row.id), response)
    zone_of = await organisations.time_zone_lookup(session)
    return Page(items=[Organisation.from_row(row, zone_of(row.calendar_id)) for row in items], next_cursor=cursor)


@router.get("/{organisation_id}", summary="One organisation", responses=NOT_FOUND_ERROR)
async def get_organisation(
    organisation_id: UUID, session: ReadTransaction, _caller: RegistryReader, response: Response
) -> Organisation:
    """Return the organisation, with its version as `ETag`."""
    organisation = await organisations.get(session, organisation_id)
    set_etag(response, organisation.version)
    return await _shown(session, organisation)


@router.post(
    "",
    summary="Register an organisation",
    status_code=201,
    responses=CREATE_ERRORS | with_headers(201, "Location"),
)
async def create_organisation(
    body: OrganisationCreate,
    session: WriteTransaction,
    caller: RegistryEditor,
    once: Once,
    response: Response,
) -> Organisation:
    """Register an organisation. A code in use is refused with 409, which names the organisation that uses it."""

    async def work() -> Organisation:
        return await _shown(session, await organisations.register(session, body, caller.actor))

    made = await once(Organisation, work)
    set_etag(response, made.version)
    response.headers["Location"] = f"/api/v1/organisations/{made.id}"
    return made


@router.patch("/{organisation_id}", summary="Change an organisation", responses=NOT_FOUND_ERROR | UPDATE_ERRORS)
async def update_organisation(
    *,
    organisation_id: UUID,
    body: OrganisationUpdate,
    session: WriteTransaction,
    caller: RegistryEditor,
    version: RequiredVersion,
    response: Response,
) -> Organisation:
    """Change the given fields; `If-Match` names the version that was read."""
    organisation = await organisations.change(session, organisation_id, body, version, caller.actor)
    set_etag(response, organisation.version)
    return await _shown(session, organisation)


@municipalities_router.get("", summary="Districts and cities of the region")
async def list_municipalities(
    session: ReadTransaction, _caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[Municipality]:
    """Return all municipalities by name."""
    table = tables.Municipality
    query = select(table).order_by(table.sort_key, table.oktmo).limit(paging.limit + 1)
    after = paging.after((table.sort_key, table.oktmo), (str, str), descending=False)
    rows = list(await session.scalars(query if after is None else query.where(after)))
    items, cursor = paging.page(rows, lambda row: (row.sort_key, row.oktmo), response)
    return Page(items=[Municipality.model_validate(row) for row in items], next_cursor=cursor)


names_router = APIRouter(
    prefix="/organisations/{organisation_id}/names",
    tags=["organisations"],
    responses=COMMON_ERRORS | NOT_FOUND_ERROR,
)


@names_router.get("", summary="Names of an organisation")
async def list_organisation_names(
    organisation_id: UUID, session: ReadTransaction, _caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[OrganisationName]:
    """Return all names of the organisation, newest entry first: current and former names and aliases."""
    rows = await names.list_names(session, organisation_id, paging)
    items, cursor = paging.page(rows, lambda row: (row.id,), response)
    return Page(items=[OrganisationName.model_validate(row) for row in items], next_cursor=cursor)


@names_router.post("", summary="Add a former name or an alias", status_code=201, responses=CREATE_ERRORS)
async def add_organisation_name(
    *,
    organisation_id: UUID,
    body: OrganisationNameCreate,
    session: WriteTransaction,
    caller: RegistryEditor,
    once: Once,
) -> OrganisationName:
    """Add a name by which search finds the organisation.

    Renaming an organisation adds its old name automatically.
    """

    async def work() -> OrganisationName:
        return OrganisationName.model_validate(await names.add(session, organisation_id, body, caller.actor))

    return await once(OrganisationName, work)


@names_router.delete(
    "/{name_id}", summary="Remove a former name or an alias", status_code=204, responses=responses(Conflict)
)
async def remove_organisation_name(
    organisation_id: UUID, name_id: UUID, session: WriteTransaction, caller: RegistryEditor
) -> None:
    """Remove a former name or an alias. Change the official and the short name with the organisation itself."""
    await names.remove(session, organisation_id, name_id, caller.actor)


search_router = APIRouter(prefix="/organisations/search", tags=["organisations"], responses=COMMON_ERRORS)

SearchQuery = Annotated[
    str,
    Query(
        min_length=1,
        max_length=200,
        description="Any current or former name, abbreviated or misspelt, words in any order",
        examples=["сош 71 улан-уде"],
    ),
]


@search_router.get("", summary="Find an organisation by any of its names")
async def search_organisations(
    session: ReadTransaction,
    _caller: RegistryReader,
    q: SearchQuery,
    limit: Annotated[int, Query(ge=1, le=50, description="Number of results, 50 at most")] = 10,
    active: bool | None = None,
) -> OrganisationSearchResults:
    """Return the organisations that match, best match first.

    Case, ё/е, abbreviations, word order and misspellings do not matter; numbers do.
    """
    hits = await search.search(session, q, limit=limit, active=active)
    return OrganisationSearchResults(
        items=[
            OrganisationSearchHit(
                id=hit.organisation.id,
                code=hit.organisation.code,
                name=hit.organisation.name,
                kind=hit.organisation.kind,
                municipality=hit.organisation.municipality,
                active=hit.organisation.active,
                matched_name=hit.matched_name,
                matched_name_kind=hit.matched_name_kind,
                score=hit.score,
            )
            for hit in hits
        ]
    )


successions_router = APIRouter(
    prefix="/organisations/{organisation_id}/successions",
    tags=["organisations"],
    responses=COMMON_ERRORS | NOT_FOUND_ERROR,
)


def _succession(row: successions.NamedSuccession) -> Succession:
    succession, predecessor, successor = row
    return Succession(
        id=succession.id,
        predecessor=OrganisationRef(id=succession.predecessor_id, name=predecessor),
        successor=OrganisationRef(id=succession.successor_id, name=successor),
        kind=succession.kind,
        effective_on=succession.effective_on,
        document=succession.document,
        created_at=succession.created_at,
    )


@successions_router.get("", summary="Successors and predecessors of an organisation")
async def list_successions(
    organisation_id: UUID, session: ReadTransaction, _caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[Succession]:
    """Return successions in both directions, latest first: as predecessor and as successor."""
    rows = await successions.list_successions(session, organisation_id, paging)
    items, cursor = paging.page(rows, lambda row: (row[0].effective_on.isoformat(), row[0].id), response)
    return Page(items=[_succession(row) for row in items], next_cursor=cursor)


@successions_router.post(
    "",
    summary="Record what becomes of an organisation",
    status_code=201,
    responses=CREATE_ERRORS | responses(Conflict, Duplicate, InFlight),
)
async def record_successions(
    *,
    organisation_id: UUID,
    body: SuccessionCreate,
    session: WriteTransaction,
    caller: RegistryEditor,
    once: Once,
) -> SuccessionList:
    """Record successors.

    The organisation's last day is the day before `effective_on`; after that day the organisation is deactivated.

    Its appeals stay with it, and so do its pages until they are moved. A second request for the same day and kind
    adds successors; another day or kind is refused with 409, because an organisation can end only once.
    """

    async def work() -> SuccessionList:
        rows = await successions.record(session, organisation_id, body, caller.actor)
        return SuccessionList(items=[_succession(row) for row in rows])

    return await once(SuccessionList, work)


@successions_router.delete("/{succession_id}", summary="Delete a succession", status_code=204)
async def delete_succession(
    organisation_id: UUID, succession_id: UUID, session: WriteTransaction, caller: RegistryEditor
) -> None:
    """Delete a succession that was recorded by mistake.

    The organisation's last day and `active` do not change.
    """
    await successions.remove(session, organisation_id, succession_id, caller.actor)
