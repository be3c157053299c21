"""The first person of a deployment: somebody must be able to sign in and give access to the others."""

import secrets

from pydantic import ValidationError

from services.registry.access.people import register
from services.registry.authentication import passwords
from services.registry.schemas.people import PersonCreate
from shared.audit import recorder
from shared.auth.rights import Role
from shared.database.sessions import Database
from shared.http.problems import Problem
from shared.settings import settings


class PersonRefusedError(Exception):
    """The person cannot be made; the message says why."""


async def add(username: str, full_name: str, role: str, subject: str | None = None) -> str | None:
    """Make a person of the centre and answer the password made for them, told only here.

    With a `subject`, the name that the region's OIDC issuer has for them, they sign in there and get none. Runs as
    registry's role. Raises `PersonRefusedError` for a name in use or a role that is not the centre's.
    """
    password = None if subject else secrets.token_urlsafe(18)
    try:
        new = PersonCreate(
            username=username,
            full_name=full_name,
            role=Role(role),
            password=password,
            external_subject=subject,
        )
    except (ValidationError, ValueError) as error:
        raise PersonRefusedError(str(error)) from error
    database = Database(settings().direct_url, 1, name="people")
    try:
        async with database.write() as session:
            recorder.attribute(session, recorder.operator("registry", "add-person"))
            await register(session, None, new, password_hash=await passwords.hash_optional_password(password))
    except Problem as problem:
        raise PersonRefusedError(problem.detail) from problem
    finally:
        await database.close()
    return password
