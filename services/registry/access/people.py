"""People who sign in: identity, role and organisation."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.access import access_events
from services.registry.access.grantable_scope import (
    reaches,
    require_grantable_scope,
    require_no_longer_access,
)
from services.registry.authentication import passwords, sessions, sign_in
from services.registry.persistence import versioned_update
from services.registry.schemas.people import PersonCreate, PersonUpdate
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.auth.grant_limits import require_grantable_rights, require_scope_not_wider
from shared.auth.rights import CENTRE_ROLES, Role
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, Forbidden, Invalid, NotFound
from shared.settings import settings
from shared.tables.registry import Person

DEMO_PEOPLE = {
    "centre": ("Модератор центра", Role.MODERATOR),
    "head": ("Руководитель", Role.HEAD),
    "ops": ("Оператор системы", Role.OPERATIONS),
    "auditor": ("Проверяющий", Role.AUDITOR),
    "analyst": ("Аналитик центра", Role.ANALYST),
    "org": ("Сотрудник организации", Role.EXECUTOR),
    "manager": ("Руководитель организации", Role.MANAGER),
    "approver": ("Согласующий организации", Role.APPROVER),
}
# People may not change these fields of their own account: they could lock themselves out or widen their access.
SELF_PROTECTED_FIELDS = ("active", "role", "organisation_id", "include_subordinates")


class PersonFilter(ListFilter):
    """Filter of a list of people."""

    organisation_id: UUID | None = None
    role: Role | None = None
    active: bool | None = None


async def list_people(
    session: AsyncSession, caller: Caller, filters: PersonFilter, paging: Paging
) -> list[Person]:
    """Return people whom the caller may see, by user name (page size plus one)."""
    query = select(Person).where(caller.scope(Person.organisation_id))
    query = query.order_by(Person.username).limit(paging.limit + 1)
    for name in PersonFilter.model_fields:
        if (value := getattr(filters, name)) is not None:
            query = query.where(getattr(Person, name) == value)
    after = paging.after((Person.username,), (str,), descending=False)
    return list(await session.scalars(query if after is None else query.where(after)))


async def get(session: AsyncSession, caller: Caller, person_id: UUID, *, lock: bool = False) -> Person:
    """Return the person; `lock` locks the row. Raises `NotFound` also for a person outside the caller's scope."""
    query = select(Person).where(Person.id == person_id, caller.scope(Person.organisation_id))
    person = await session.scalar(query.with_for_update() if lock else query)
    if person is None:
        raise NotFound("No such person")
    return person


async def find_by_token(session: AsyncSession, caller: Caller) -> Person | None:
    """Return the person of the caller's token; None for an API client."""
    try:
        person_id = UUID(caller.subject)
    except ValueError:
        return None
    return await session.get(Person, person_id)


async def require_grantable_access(session: AsyncSession, caller: Caller | None, new: PersonCreate) -> None:
    """Raise `Invalid` for a role that does not fit the organisation, `Forbidden` for access that the caller may
    not grant; `caller` is None for a command of the operator.
    """
    await require_grantable_scope(
        session, caller, new.role, new.organisation_id, include_subordinates=new.include_subordinates
    )
    require_grantable_rights(caller, new.role)
    await require_no_longer_access(session, caller)


async def require_changeable(session: AsyncSession, caller: Caller, person_id: UUID) -> None:
    """Raise `NotFound` or `Forbidden` unless the caller may change the person."""
    person = await get(session, caller, person_id)
    require_scope_not_wider(caller, person)
    require_grantable_rights(caller, Role(person.role))
    await require_no_longer_access(session, caller)


async def register(
    session: WriteSession, caller: Caller | None, new: PersonCreate, *, password_hash: str | None
) -> Person:
    """Create a person; `caller` is None for a command of the operator.

    `password_hash` is the hash of the new password: hashing is slow, so it is done before the transaction's first
    statement.

    Raises `Duplicate` for a user name or external subject in use, `Invalid` for a role that does not fit the
    organisation, for no means of sign-in and for an external subject without an OIDC issuer, `Forbidden` for
    access that the caller may not grant.
    """
    await require_grantable_access(session, caller, new)
    if new.password is None and new.external_subject is None:
        raise Invalid.field(
            "/password", "Give a password or an external subject: the person needs a way to sign in"
        )
    await _check_subject(session, new.external_subject)
    taken = Duplicate.field("/username", "The user name is taken")
    if await session.scalar(select(Person.id).where(Person.username == new.username)) is not None:
        raise taken
    person = Person(
        username=new.username,
        full_name=new.full_name,
        role=new.role.value,
        organisation_id=new.organisation_id,
        include_subordinates=new.include_subordinates,
        password_hash=password_hash,
        issuer=None if new.external_subject is None else settings().oidc_issuer,
        external_subject=new.external_subject,
    )
    try:
        async with session.begin_nested():
            session.add(person)
            await session.flush()
    except IntegrityError as error:
        raise taken from error
    return person


async def _check_subject(session: AsyncSession, subject: str | None, *, of: UUID | None = None) -> None:
    """Raise `Invalid` without an OIDC issuer, `Duplicate` when the subject belongs to another person."""
    if subject is None:
        return
    issuer = settings().oidc_issuer
    if issuer is None:
        raise Invalid.field("/external_subject", "No OIDC issuer is configured")
    # Advisory lock: two concurrent transactions must not both find the subject free.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{issuer}\n{subject}", 0))))
    named = select(Person.id).where(Person.issuer == issuer, Person.external_subject == subject)
    if (await session.scalar(named)) not in (None, of):
        raise Duplicate.field("/external_subject", "Another person has this external subject")


async def change(
    session: WriteSession,
    caller: Caller,
    person_id: UUID,
    update: PersonUpdate,
    version: int | None,
    *,
    password_hash: str | None,
) -> Person:
    """Update the given fields. A change of any field except the full name ends the person's sessions.

    `password_hash`: as for `register`; it is used only when a password is given.

    Raises `NotFound`, `PreconditionFailed`, `Invalid`, `Forbidden` for access that the caller may not grant or
    give back, or `Conflict` for a change to the caller's own access.
    """
    person = await get(session, caller, person_id, lock=True)
    require_scope_not_wider(caller, person)
    check_version(person.version, version)
    values = update.given_values()
    changes_own_account = str(person_id) == caller.subject
    if changes_own_account and any(
        values.get(name, getattr(person, name)) != getattr(person, name) for name in SELF_PROTECTED_FIELDS
    ):
        raise Conflict("You cannot change your own access: ask a colleague")
    # An API client with an expiry may still take access away.
    if any(name != "full_name" and (name, value) != ("active", False) for name, value in values.items()):
        await require_no_longer_access(session, caller)
    role = Role(values.get("role", person.role))
    # A caller who sets the password could sign in as the person, so both the old and the new role are checked.
    for granted_role in (Role(person.role), role):
        require_grantable_rights(caller, granted_role)
    if {"role", "organisation_id", "include_subordinates"} & values.keys():
        # People of the centre see all organisations, so the flag is reset for a person who moves there.
        values.setdefault("include_subordinates", person.include_subordinates and role not in CENTRE_ROLES)
        organisation_id = values.get("organisation_id", person.organisation_id)
        await require_grantable_scope(
            session, caller, role, organisation_id, include_subordinates=values["include_subordinates"]
        )
        values["role"] = role.value
    taken_by = person.deactivated_by_organisation_id
    if values.get("active", person.active) != person.active:
        if values["active"] and not await reaches(session, caller, taken_by):
            raise Forbidden(
                "The person was deactivated by the centre or by an organisation above yours: ask there"
            )
        values["deactivated_by_organisation_id"] = None if values["active"] else caller.organisation_id
    elif values.get("active") is False and await reaches(session, caller, taken_by):
        # A level above takes the deactivation over: the organisation below may then no longer activate the person.
        values["deactivated_by_organisation_id"] = caller.organisation_id
    if "password" in values:
        del values["password"]
        values["password_hash"] = password_hash
    if "external_subject" in values:
        subject = values["external_subject"]
        await _check_subject(session, subject, of=person_id)
        values["issuer"] = None if subject is None else settings().oidc_issuer
    changed = versioned_update.apply_changes(person, values)
    await session.flush()
    if set(changed) - {"full_name"}:
        await sessions.end_all(session, person_id)
        # The event names the field `password`, not the column with its hash.
        changed_fields = {"password" if name == "password_hash" else name for name in changed}
        changed_fields.discard("deactivated_by_organisation_id")
        await access_events.emit_access_changed(session, person, caller.actor, changed_fields)
    return person


async def ensure_demo_people(session: WriteSession, organisation_id: UUID | None = None) -> None:
    """Create the demo accounts, all with the password `demo`; those of organisations need `organisation_id`.

    Of an existing account, only the organisation is set to the given one. Raises `RuntimeError` outside the
    embedded run.
    """
    if settings().environment != "embedded":
        raise RuntimeError("Demo accounts, whose password is public, may exist only in the embedded run")
    for username, (full_name, role) in DEMO_PEOPLE.items():
        target_organisation_id = None if role in CENTRE_ROLES else organisation_id
        if target_organisation_id is None and role not in CENTRE_ROLES:
            continue
        person = await session.scalar(select(Person).where(Person.username == username))
        if person is not None:
            versioned_update.apply_changes(person, {"organisation_id": target_organisation_id})
            continue
        session.add(
            Person(
                username=username,
                full_name=full_name,
                role=role.value,
                organisation_id=target_organisation_id,
                password_hash=await passwords.hash_password(sign_in.DEMO_PASSWORD),
            )
        )
    await session.flush()
