"""Create the first person of a deployment, who then creates the others."""

import secrets

from pydantic import ValidationError

from services.registry.access.people import register
from services.registry.authentication import passwords
from services.registry.schemas.people import PersonCreate
from shared.audit import recorder
from shared.auth.rights import CENTRE_ROLES, Role
from shared.database.sessions import Database
from shared.http.problems import Problem
from shared.settings import settings

# How the command names the fields.
_OPTIONS = {"username": "USERNAME", "full_name": "--name", "external_subject": "--subject"}


class PersonRefusedError(Exception):
    """The person cannot be created; the message says why."""


async def add_person(username: str, full_name: str, role: str, subject: str | None = None) -> str | None:
    """Create a person of the centre and return the generated password, which is stored only as a hash.

    A person with a `subject` signs in at the region's OIDC issuer and gets no password: the result is None. Needs
    registry's database role. Raises `PersonRefusedError` for a user name in use, an invalid value or a role that
    is not of the centre.
    """
    if role not in CENTRE_ROLES:
        raise PersonRefusedError(f"--role: {role!r} is none of {', '.join(sorted(CENTRE_ROLES))}")
    password = None if subject else secrets.token_urlsafe(18)
    try:
        new = PersonCreate(
            username=username,
            full_name=full_name,
            role=Role(role),
            password=password,
            external_subject=subject,
        )
    except ValidationError as error:
        problems = [f"{_OPTIONS.get(str(one['loc'][0]), one['loc'][0])}: {one['msg']}" for one in error.errors()]
        raise PersonRefusedError("; ".join(problems)) from error
    database = Database(settings().direct_url, 1, name="people")
    try:
        async with database.write() as session:
            recorder.set_context(session, recorder.operator_context("registry", "add-person"))
            await register(session, None, new, password_hash=await passwords.hash_optional_password(password))
    except Problem as problem:
        raise PersonRefusedError(problem.detail) from problem
    finally:
        await database.close()
    return password
