"""People who sign in: who they are, what role they have and for which organisation."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry import changes, passwords, sign_in
from services.registry.schemas.access import PersonChange, PersonNew
from shared.access import CENTRE_ROLES, Role
from shared.database import WriteSession
from shared.pagination import Paging
from shared.preconditions import check_version
from shared.problems import Conflict, Duplicate, Invalid, NotFound
from shared.settings import settings
from shared.tables.registry import Organisation, Person

DEMO = {
    "centre": ("Модератор центра", Role.MODERATOR),
    "head": ("Руководитель", Role.HEAD),
    "ops": ("Оператор системы", Role.OPERATIONS),
    "org": ("Сотрудник организации", Role.EXECUTOR),
}


async def check_place(session: AsyncSession, role: Role, organisation_id: UUID | None) -> None:
    """Raise `Invalid` unless role and organisation go together."""
    if organisation_id is None:
        if role not in CENTRE_ROLES:
            raise Invalid.field("/organisation_id", f"The role «{role}» belongs to an organisation: name it")
        return
    if role in CENTRE_ROLES:
        raise Invalid.field("/organisation_id", f"The role «{role}» belongs to the centre: leave it out")
    if await session.get(Organisation, organisation_id) is None:
        raise Invalid.field("/organisation_id", "There is no such organisation")


async def listed(
    session: AsyncSession, *, organisation_id: UUID | None, role: str | None, active: bool | None, paging: Paging
) -> list[Person]:
    """People by user name, one more than the limit."""
    query = select(Person).order_by(Person.username).limit(paging.limit + 1)
    for column, value in ((Person.organisation_id, organisation_id), (Person.role, role), (Person.active, active)):
        if value is not None:
            query = query.where(column == value)
    after = paging.after((Person.username,), (str,), descending=False)
    return list(await session.scalars(query if after is None else query.where(after)))


async def one(session: AsyncSession, person_id: UUID) -> Person:
    """The person. Raises `NotFound`."""
    found = await session.get(Person, person_id)
    if found is None:
        raise NotFound("There is no such person")
    return found


async def register(session: WriteSession, new: PersonNew) -> Person:
    """A new person. Raises `Duplicate` for a user name in use, `Invalid` for role and place that do not fit."""
    await check_place(session, new.role, new.organisation_id)
    taken = Duplicate.field("/username", "The user name is taken")
    if await session.scalar(select(Person.id).where(Person.username == new.username)) is not None:
        raise taken
    person = Person(
        username=new.username,
        full_name=new.full_name,
        role=new.role.value,
        organisation_id=new.organisation_id,
        password_hash=await passwords.hashed(new.password),
    )
    try:
        async with session.begin_nested():
            session.add(person)
            await session.flush()
    except IntegrityError as error:
        raise taken from error
    return person


async def change(
    session: WriteSession, person_id: UUID, wanted: PersonChange, version: int | None, *, by: str
) -> Person:
    """Change what was given; a new password, role, place or leave ends all sessions of the person.

    Raises `NotFound`, `PreconditionFailed`, `Invalid`, or `Conflict` when someone locks themselves out.
    """
    found = await session.get(Person, person_id, with_for_update=True)
    if found is None:
        raise NotFound("There is no such person")
    check_version(found.version, version)
    values = wanted.changes()
    if str(person_id) == by and (values.get("active") is False or values.get("role", found.role) != found.role):
        raise Conflict("Nobody takes their own access away: ask a colleague")
    role = Role(values.get("role", found.role))
    if {"role", "organisation_id"} & values.keys():
        await check_place(session, role, values.get("organisation_id", found.organisation_id))
        values["role"] = role.value
    if "password" in values:
        values["password_hash"] = await passwords.hashed(values.pop("password"))
    changed = changes.apply(found, values)
    await session.flush()
    if set(changed) - {"full_name"}:
        await sign_in.revoke_person(session, person_id)
    return found


async def ensure_demo_people(session: WriteSession, organisation_id: UUID | None = None) -> None:
    """Make `centre`, `head` and `ops`, and with an organisation `org`, all with the password `demo`.

    Who exists is left as they are, but `org` moves to the organisation given. Raises `RuntimeError` in production.
    """
    if settings().environment != "embedded":
        raise RuntimeError("The demo's people, whose password everybody knows, exist in the embedded run only")
    for username, (full_name, role) in DEMO.items():
        place = None if role in CENTRE_ROLES else organisation_id
        if place is None and role not in CENTRE_ROLES:
            continue
        found = await session.scalar(select(Person).where(Person.username == username))
        if found is not None:
            changes.apply(found, {"organisation_id": place})
            continue
        session.add(
            Person(
                username=username,
                full_name=full_name,
                role=role.value,
                organisation_id=place,
                password_hash=await passwords.hashed(sign_in.DEMO_PASSWORD),
            )
        )
    await session.flush()
