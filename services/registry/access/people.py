"""People who sign in: who they are, what role they have and for which organisation."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.access import access_events
from services.registry.access.access_scope import (
    require_grantable_rights,
    require_grantable_scope,
    require_scope_not_wider,
)
from services.registry.authentication import passwords, sessions, sign_in
from services.registry.persistence import versioned_update
from services.registry.schemas.people import PersonCreate, PersonUpdate
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.auth.callers import Caller
from shared.auth.rights import CENTRE_ROLES, Role
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, Invalid, NotFound
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
# Of these nobody changes their own: one who locks themselves out, or reaches further, must ask a colleague.
SELF_PROTECTED_FIELDS = ("active", "role", "organisation_id", "beneath")


async def list_people(
    session: AsyncSession,
    caller: Caller,
    *,
    organisation_id: UUID | None,
    role: str | None,
    active: bool | None,
    paging: Paging,
) -> list[Person]:
    """People whom the caller may see by user name, one more than the limit."""
    query = select(Person).where(caller.scope(Person.organisation_id))
    query = query.order_by(Person.username).limit(paging.limit + 1)
    for column, value in ((Person.organisation_id, organisation_id), (Person.role, role), (Person.active, active)):
        if value is not None:
            query = query.where(column == value)
    after = paging.after((Person.username,), (str,), descending=False)
    return list(await session.scalars(query if after is None else query.where(after)))


async def get(session: AsyncSession, caller: Caller, person_id: UUID, *, lock: bool = False) -> Person:
    """The person; `lock` keeps others from changing them. Raises `NotFound` also for a foreign one."""
    query = select(Person).where(Person.id == person_id, caller.scope(Person.organisation_id))
    person = await session.scalar(query.with_for_update() if lock else query)
    if person is None:
        raise NotFound("There is no such person")
    return person


async def find_by_token(session: AsyncSession, caller: Caller) -> Person | None:
    """The person whom the caller's token speaks for; None for a system."""
    try:
        person_id = UUID(caller.subject)
    except ValueError:
        return None
    return await session.get(Person, person_id)


async def register(
    session: WriteSession, caller: Caller | None, new: PersonCreate, *, password_hash: str | None
) -> Person:
    """A new person; `caller` null: made by the operator's own command.

    `password_hash` is of the new password: hashing takes long and comes before the transaction's first statement.

    Raises `Duplicate` for a user name or an issuer's name in use, `Invalid` for role and place that do not fit,
    `Forbidden` for a place or rights that are not the caller's to give.
    """
    await require_grantable_scope(session, caller, new.role, new.organisation_id, include_subordinates=new.beneath)
    require_grantable_rights(caller, new.role)
    if new.password is None and new.external_subject is None:
        raise Invalid.field("/password", "Give a password, or the name that the issuer knows them by")
    await _check_subject(session, new.external_subject)
    taken = Duplicate.field("/username", "The user name is taken")
    if await session.scalar(select(Person.id).where(Person.username == new.username)) is not None:
        raise taken
    person = Person(
        username=new.username,
        full_name=new.full_name,
        role=new.role.value,
        organisation_id=new.organisation_id,
        beneath=new.beneath,
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
    """Raise `Invalid` without an issuer to name anybody, `Duplicate` when it names somebody else so."""
    if subject is None:
        return
    issuer = settings().oidc_issuer
    if issuer is None:
        raise Invalid.field("/external_subject", "No OIDC issuer is set up here")
    # Two at once must not find it free both.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{issuer}\n{subject}", 0))))
    named = select(Person.id).where(Person.issuer == issuer, Person.external_subject == subject)
    if (await session.scalar(named)) not in (None, of):
        raise Duplicate.field("/external_subject", "The issuer names somebody else so")


async def change(
    session: WriteSession,
    caller: Caller,
    person_id: UUID,
    update: PersonUpdate,
    version: int | None,
    *,
    password_hash: str | None,
) -> Person:
    """Change what was given; a new password, role, place or leave ends all sessions of the person.

    `password_hash` as with `register`; it counts where a password is given.

    Raises `NotFound`, `PreconditionFailed`, `Invalid`, `Forbidden` for what is not the caller's to give, or
    `Conflict` when someone locks themselves out.
    """
    person = await get(session, caller, person_id, lock=True)
    require_scope_not_wider(caller, person)
    check_version(person.version, version)
    values = update.given_values()
    own = str(person_id) == caller.subject
    if own and any(
        values.get(name, getattr(person, name)) != getattr(person, name) for name in SELF_PROTECTED_FIELDS
    ):
        raise Conflict("Nobody changes their own access: ask a colleague")
    role = Role(values.get("role", person.role))
    # Who sets somebody's password has what they have.
    for granted_role in (Role(person.role), role):
        require_grantable_rights(caller, granted_role)
    if {"role", "organisation_id", "beneath"} & values.keys():
        # Who moves to the centre leaves what they were bound to.
        values.setdefault("beneath", person.beneath and role not in CENTRE_ROLES)
        place = values.get("organisation_id", person.organisation_id)
        await require_grantable_scope(session, caller, role, place, include_subordinates=values["beneath"])
        values["role"] = role.value
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
        # The digest of a password stays unmentioned.
        changed_fields = {"password" if name == "password_hash" else name for name in changed}
        await access_events.emit_access_changed(session, "person.changed", person, caller.actor, changed_fields)
    return person


async def ensure_demo_people(session: WriteSession, organisation_id: UUID | None = None) -> None:
    """Make the people of the demo, all with the password `demo`: those of an organisation when it is given.

    Who exists is left as they are, but moves to the organisation given. Raises `RuntimeError` in production.
    """
    if settings().environment != "embedded":
        raise RuntimeError("The demo's people, whose password everybody knows, exist in the embedded run only")
    for username, (full_name, role) in DEMO_PEOPLE.items():
        place = None if role in CENTRE_ROLES else organisation_id
        if place is None and role not in CENTRE_ROLES:
            continue
        person = await session.scalar(select(Person).where(Person.username == username))
        if person is not None:
            versioned_update.apply_changes(person, {"organisation_id": place})
            continue
        session.add(
            Person(
                username=username,
                full_name=full_name,
                role=role.value,
                organisation_id=place,
                password_hash=await passwords.hash_password(sign_in.DEMO_PASSWORD),
            )
        )
    await session.flush()
