"""Routes of people with access."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from services.registry.access import people
from services.registry.access.person_presenter import present_people, present_person
from services.registry.api.common import (
    COMMON_ERRORS,
    CREATE_ERRORS,
    NOT_FOUND_ERROR,
    UPDATE_ERRORS,
    PeopleManager,
    PeopleReader,
)
from services.registry.authentication import sign_in
from services.registry.schemas.people import Person, PersonCreate, PersonUpdate
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.api.response_headers import with_headers
from shared.auth import token_recheck
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http.client_address import client_address
from shared.http.problems import TooManyRequests, responses
from shared.service import Once, ReadTransaction, ServiceDep, WriteTransaction

router = APIRouter(prefix="/people", tags=["access"], responses=COMMON_ERRORS)

# Password hashing is slow: these dependencies run before the transaction's first statement, so that no connection
# is held during hashing. First they check access in a separate transaction: otherwise callers without access could
# fill the queue of passwords. The change checks access again.
ManagerBeforeHashing = Annotated[Caller, require_right(Right.PEOPLE_MANAGE)]


async def _new(
    request: Request, service: ServiceDep, caller: ManagerBeforeHashing, body: PersonCreate
) -> tuple[PersonCreate, str | None]:
    if body.password is None:
        return body, None
    async with service.database.read() as session:
        await token_recheck.require_access(session, caller)
        await people.require_grantable_access(session, caller, body)
    return body, await sign_in.hash_new_password(body.password, caller.subject, client_address(request))


async def _changed(
    request: Request, service: ServiceDep, caller: ManagerBeforeHashing, person_id: UUID, body: PersonUpdate
) -> tuple[PersonUpdate, str | None]:
    if body.password is None:
        return body, None
    async with service.database.read() as session:
        await token_recheck.require_access(session, caller)
        await people.require_changeable(session, caller, person_id)
    return body, await sign_in.hash_new_password(body.password, caller.subject, client_address(request))


PersonCreateWithHash = Annotated[tuple[PersonCreate, str | None], Depends(_new)]
PersonUpdateWithHash = Annotated[tuple[PersonUpdate, str | None], Depends(_changed)]


@router.get("", summary="People with access, by user name")
async def list_people(
    *,
    session: ReadTransaction,
    caller: PeopleReader,
    filters: Annotated[people.PersonFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[Person]:
    """Return people by user name, restricted by the given filters."""
    rows = await people.list_people(session, caller, filters, paging)
    items, cursor = paging.page(rows, lambda row: (row.username,), response)
    return Page(items=await present_people(session, items), next_cursor=cursor)


@router.get("/{person_id}", summary="One person", responses=NOT_FOUND_ERROR)
async def get_person(
    person_id: UUID, session: ReadTransaction, caller: PeopleReader, response: Response
) -> Person:
    """Return the person, with the version as `ETag`."""
    person = await people.get(session, caller, person_id)
    set_etag(response, person.version)
    return await present_person(session, person)


@router.post(
    "",
    summary="Give a person access",
    status_code=201,
    responses=CREATE_ERRORS | responses(TooManyRequests) | with_headers(201, "Location"),
)
async def create_person(
    body_and_hash: PersonCreateWithHash,
    session: WriteTransaction,
    caller: PeopleManager,
    once: Once,
    response: Response,
) -> Person:
    """Create a person. The password is stored as an Argon2 hash and never shown."""
    body, password_hash = body_and_hash

    async def work() -> Person:
        made = await people.register(session, caller, body, password_hash=password_hash)
        return await present_person(session, made)

    made = await once(Person, work)
    set_etag(response, made.version)
    response.headers["Location"] = f"/api/v1/people/{made.id}"
    return made


@router.patch(
    "/{person_id}",
    summary="Change a person's access",
    responses=NOT_FOUND_ERROR | UPDATE_ERRORS | responses(TooManyRequests),
)
async def update_person(
    *,
    person_id: UUID,
    body_and_hash: PersonUpdateWithHash,
    session: WriteTransaction,
    caller: PeopleManager,
    version: RequiredVersion,
    response: Response,
) -> Person:
    """Change the given fields.

    A change of any field except `full_name` ends the person's sessions.

    Access tokens issued before allow reading for at most 15 minutes, and no changes. A person whom the centre
    deactivated can be activated only by the centre; one whom an organisation deactivated, by that organisation or
    one above it (otherwise 403).
    """
    body, password_hash = body_and_hash
    person = await people.change(session, caller, person_id, body, version, password_hash=password_hash)
    set_etag(response, person.version)
    return await present_person(session, person)
