"""People with access."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.registry import people
from services.registry.api.answers import CHANGE, COMMON, NEW, ONE, PeopleManager, PeopleReader
from services.registry.schemas.access import PersonChange, PersonNew, PersonShown
from shared.access import Role
from shared.idempotency import IdempotencyDep, once
from shared.pagination import Page, PagingDep
from shared.preconditions import RequiredVersion, set_etag
from shared.service import Reading, Writing
from shared.tables.events import RegistryIdempotency

router = APIRouter(prefix="/people", tags=["access"], responses=COMMON)


@router.get("", summary="People with access, by user name")
async def list_people(
    *,
    session: Reading,
    caller: PeopleReader,
    paging: PagingDep,
    response: Response,
    organisation_id: UUID | None = None,
    role: Role | None = None,
    active: bool | None = None,
) -> Page[PersonShown]:
    """People in the order of their user names, narrowed by any of the filters."""
    rows = await people.listed(
        session,
        caller,
        organisation_id=organisation_id,
        role=role.value if role else None,
        active=active,
        paging=paging,
    )
    kept, cursor = paging.page(rows, lambda row: (row.username,), response)
    return Page(items=[PersonShown.model_validate(row) for row in kept], next_cursor=cursor)


@router.get("/{person_id}", summary="One person", responses=ONE)
async def get_person(person_id: UUID, session: Reading, caller: PeopleReader, response: Response) -> PersonShown:
    """The person, with their version as `ETag`."""
    found = await people.one(session, caller, person_id)
    set_etag(response, found.version)
    return PersonShown.model_validate(found)


@router.post("", summary="Give a person access", status_code=201, responses=NEW)
async def post_person(
    body: PersonNew, session: Writing, caller: PeopleManager, key: IdempotencyDep, response: Response
) -> PersonShown:
    """The password is kept as an Argon2 hash and never shown."""

    async def work() -> PersonShown:
        return PersonShown.model_validate(await people.register(session, caller, body))

    made = await once(
        session,
        RegistryIdempotency,
        caller=caller.subject,
        key=key,
        response=response,
        model=PersonShown,
        work=work,
    )
    set_etag(response, made.version)
    return made


@router.patch("/{person_id}", summary="Change a person's access", responses=ONE | CHANGE)
async def patch_person(
    *,
    person_id: UUID,
    body: PersonChange,
    session: Writing,
    caller: PeopleManager,
    version: RequiredVersion,
    response: Response,
) -> PersonShown:
    """Change the fields given. A new password, role or place, or `active: false`, ends the person's sessions.

    Access tokens given before live on for 15 minutes at most.
    """
    found = await people.change(session, caller, person_id, body, version)
    set_etag(response, found.version)
    return PersonShown.model_validate(found)
