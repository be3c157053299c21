"""Routes of people's sessions and account locks."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Response

from services.registry.access import account_locks, people
from services.registry.access.person_presenter import present_person
from services.registry.api.common import BODY_ERRORS, COMMON_ERRORS, NOT_FOUND_ERROR, PeopleManager, PeopleReader
from services.registry.authentication import sessions
from services.registry.schemas.people import Person
from services.registry.schemas.sessions import LockPerson, Session
from shared.api.pagination import Page, Paging, PagingDep
from shared.api.preconditions import set_etag
from shared.auth.callers import Caller, CallerDep
from shared.auth.grant_limits import require_grantable_rights, require_scope_not_wider
from shared.auth.rights import Role
from shared.http.problems import Conflict, Unauthenticated, responses
from shared.service import ReadTransaction, WriteTransaction
from shared.tables.registry import RefreshToken

router = APIRouter(prefix="/people/{person_id}", tags=["access"], responses=COMMON_ERRORS | NOT_FOUND_ERROR)
my_sessions_router = APIRouter(prefix="/me/sessions", tags=["access"], responses=COMMON_ERRORS)


def _page(rows: Sequence[RefreshToken], caller: Caller, paging: Paging, response: Response) -> Page[Session]:
    items, cursor = paging.page(rows, lambda row: (row.created_at, row.session_id), response)
    shown = [
        Session(
            id=row.session_id,
            signed_in_at=row.signed_in_at,
            last_used_at=row.created_at,
            expires_at=row.expires_at,
            ip_address=row.ip_address,
            user_agent=row.user_agent,
            current=row.session_id == caller.session_id,
        )
        for row in items
    ]
    return Page(items=shown, next_cursor=cursor)


@router.get("/sessions", summary="Sessions of a person, last used first")
async def list_person_sessions(
    person_id: UUID, session: ReadTransaction, caller: PeopleReader, paging: PagingDep, response: Response
) -> Page[Session]:
    """Return active sessions of the person; sessions at an external issuer are not known."""
    person = await people.get(session, caller, person_id)
    return _page(await sessions.list_active(session, person.id, paging), caller, paging, response)


@router.delete("/sessions", summary="End all sessions of a person", status_code=204)
async def end_person_sessions(person_id: UUID, session: WriteTransaction, caller: PeopleManager) -> None:
    """End all sessions. Access tokens issued before allow reading for at most 15 minutes, and no changes."""
    person = await people.get(session, caller, person_id, lock=True)
    require_scope_not_wider(caller, person)
    require_grantable_rights(caller, Role(person.role))
    await sessions.end_all(session, person.id)


@router.delete("/sessions/{session_id}", summary="End one session of a person", status_code=204)
async def end_person_session(
    person_id: UUID, session_id: UUID, session: WriteTransaction, caller: PeopleManager
) -> None:
    """End the session. Its last access token allows reading for at most 15 minutes, and no changes."""
    person = await people.get(session, caller, person_id, lock=True)
    require_scope_not_wider(caller, person)
    require_grantable_rights(caller, Role(person.role))
    await sessions.end(session, person.id, session_id)


@router.post("/lock", summary="Lock a person's account", responses=BODY_ERRORS | responses(Conflict))
async def lock_person(
    person_id: UUID, body: LockPerson, session: WriteTransaction, caller: PeopleManager, response: Response
) -> Person:
    """Lock the account: the person cannot sign in until it is unlocked, and all their sessions end.

    Access tokens issued before allow reading for at most 15 minutes, those of an external issuer for one minute;
    they allow no changes. API clients whose secret the person knows go on working (`GET /clients`). A lock by an
    organisation below the caller's is replaced by the caller's; otherwise a locked account answers 409.
    """
    person = await account_locks.lock(session, caller, person_id, body.reason)
    set_etag(response, person.version)
    return await present_person(session, person)


@router.post("/unlock", summary="Unlock a person's account")
async def unlock_person(
    person_id: UUID, session: WriteTransaction, caller: PeopleManager, response: Response
) -> Person:
    """Unlock the account and clear its failed sign-ins. If it is not locked, only these are cleared.

    A lock by the centre can be lifted only by the centre; one by an organisation, by that organisation or one
    above it (otherwise 403).
    """
    person = await account_locks.unlock(session, caller, person_id)
    set_etag(response, person.version)
    return await present_person(session, person)


def _subject(caller: Caller) -> UUID:
    try:
        return UUID(caller.subject)
    except ValueError as error:
        raise Unauthenticated("The token's subject is not a person of this system") from error


@my_sessions_router.get("", summary="The caller's own sessions, last used first")
async def list_my_sessions(
    session: ReadTransaction, caller: CallerDep, paging: PagingDep, response: Response
) -> Page[Session]:
    """Return the caller's active sessions. API clients have none; sessions at an external issuer are not known."""
    return _page(await sessions.list_active(session, _subject(caller), paging), caller, paging, response)


@my_sessions_router.delete("", summary="End the caller's other sessions", status_code=204)
async def end_my_other_sessions(session: WriteTransaction, caller: CallerDep) -> None:
    """End all sessions except that of this request's token, for example after the loss of a phone."""
    await sessions.end_all(session, _subject(caller), except_session_id=caller.session_id)


@my_sessions_router.delete(
    "/{session_id}", summary="End one of the caller's sessions", status_code=204, responses=NOT_FOUND_ERROR
)
async def end_my_session(session_id: UUID, session: WriteTransaction, caller: CallerDep) -> None:
    """End the session. Its last access token allows reading for at most 15 minutes, and no changes."""
    await sessions.end(session, _subject(caller), session_id)
