"""People with access."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from services.registry.access import people
from services.registry.api.common import CHANGE, COMMON, NEW, ONE, PeopleManager, PeopleReader
from services.registry.authentication import passwords
from services.registry.schemas.people import PersonChange, PersonNew, PersonShown
from shared.api.idempotency import IdempotencyDep, once
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.auth.callers import Caller, allowed
from shared.auth.rights import Right, Role
from shared.service import Reading, Writing
from shared.tables.registry import RegistryIdempotency

router = APIRouter(prefix="/people", tags=["access"], responses=COMMON)

# Hashing takes long: it comes before the transaction's first statement, so that no connection is held meanwhile.
MayManage = Annotated[Caller, allowed(Right.PEOPLE_MANAGE)]


async def _new(_may: MayManage, body: PersonNew) -> tuple[PersonNew, str | None]:
    return body, await passwords.hash_optional_password(body.password)


async def _changed(_may: MayManage, body: PersonChange) -> tuple[PersonChange, str | None]:
    return body, await passwords.hash_optional_password(body.password)


New = Annotated[tuple[PersonNew, str | None], Depends(_new)]
Changed = Annotated[tuple[PersonChange, str | None], Depends(_changed)]


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
    rows = await people.list_people(
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
    found = await people.get(session, caller, person_id)
    set_etag(response, found.version)
    return PersonShown.model_validate(found)


@router.post("", summary="Give a person access", status_code=201, responses=NEW)
async def post_person(
    given: New, session: Writing, caller: PeopleManager, key: IdempotencyDep, response: Response
) -> PersonShown:
    """The password is kept as an Argon2 hash and never shown."""
    body, password_hash = given

    async def work() -> PersonShown:
        made = await people.register(session, caller, body, password_hash=password_hash)
        return PersonShown.model_validate(made)

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
    given: Changed,
    session: Writing,
    caller: PeopleManager,
    version: RequiredVersion,
    response: Response,
) -> PersonShown:
    """Change the fields given. A new password, role or place, or `active: false`, ends the person's sessions.

    Access tokens given before read for 15 minutes at most, and change nothing.
    """
    body, password_hash = given
    found = await people.change(session, caller, person_id, body, version, password_hash=password_hash)
    set_etag(response, found.version)
    return PersonShown.model_validate(found)
