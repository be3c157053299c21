"""Account locks: a person whose account is locked cannot sign in until it is unlocked."""

from uuid import UUID

from services.registry.access import access_events, people
from services.registry.access.grantable_scope import reaches, require_no_longer_access
from services.registry.authentication import sessions, throttle
from services.registry.persistence import versioned_update
from shared import clock
from shared.auth.callers import Caller
from shared.auth.grant_limits import require_grantable_rights, require_scope_not_wider
from shared.auth.rights import Role
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden
from shared.tables.registry import Person


async def lock(session: WriteSession, caller: Caller, person_id: UUID, reason: str) -> Person:
    """Lock the person's account and end all their sessions.

    A lock by an organisation below the caller's is replaced. Raises `NotFound` for an unknown person, `Forbidden`
    for one whose scope or rights go beyond the caller's, and `Conflict` for the caller's own account and for one
    that is already locked.
    """
    person = await people.get(session, caller, person_id, lock=True)
    require_scope_not_wider(caller, person)
    require_grantable_rights(caller, Role(person.role))
    if str(person_id) == caller.subject:
        raise Conflict("You cannot lock your own account: ask a colleague")
    locker = person.locked_by_organisation_id
    if person.locked_at is not None and (
        locker == caller.organisation_id or not await reaches(session, caller, locker)
    ):
        raise Conflict("The account is already locked")
    values = {
        "locked_at": clock.now(),
        "locked_reason": reason,
        "locked_by_organisation_id": caller.organisation_id,
    }
    versioned_update.apply_changes(person, values)
    await session.flush()
    await sessions.end_all(session, person_id)
    await access_events.emit_access_changed(session, person, caller.actor, ["locked_at"])
    return person


async def unlock(session: WriteSession, caller: Caller, person_id: UUID) -> Person:
    """Unlock the person's account, if it is locked, and clear their sign-in failures.

    Raises `NotFound` for an unknown person, `Forbidden` for one whose scope or rights go beyond the caller's, for
    a lock by the centre or an organisation outside the caller's scope, and for an API client that expires.
    """
    person = await people.get(session, caller, person_id, lock=True)
    require_scope_not_wider(caller, person)
    require_grantable_rights(caller, Role(person.role))
    if person.locked_at is not None and not await reaches(session, caller, person.locked_by_organisation_id):
        raise Forbidden("The account was locked by the centre or by an organisation above yours: ask there")
    await require_no_longer_access(session, caller)
    cleared = dict.fromkeys(("locked_at", "locked_reason", "locked_by_organisation_id"))
    changed = versioned_update.apply_changes(person, cleared)
    await session.flush()
    await access_events.emit_access_changed(session, person, caller.actor, {"locked_at"}.intersection(changed))
    await throttle.clear_failures(session, person.username)
    return person
