"""Run the Alembic migrations."""

from importlib.util import find_spec

from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError


class UnknownRevisionError(Exception):
    """This version has no such revision of the schema; the message says what to do."""


def upgrade(revision: str) -> None:
    """Upgrade the schema to a revision; `migrations/env.py` reads the database's URL from the environment.

    Raises `UnknownRevisionError`, before anything is changed, if a newer version has migrated the database.
    """
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("the package migrations is not installed")
    config = Config()
    config.set_main_option("script_location", spec.submodule_search_locations[0].replace("%", "%%"))
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        unknown = error.__cause__.argument
        raise UnknownRevisionError(
            f"This version has no revision {unknown}"
            if unknown == revision
            else f"The database is at revision {unknown}, to which a newer version has migrated it. This version "
            "cannot prepare it: return to the newer version or, if its changelog does not exclude a rollback, "
            "start the services of this version alone (Upgrade and roll back in docs/operations/maintenance.md)"
        ) from error
