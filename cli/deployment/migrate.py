"""Run the Alembic migrations."""

from importlib.util import find_spec

from alembic import command
from alembic.config import Config


def upgrade(revision: str) -> None:
    """Upgrade the schema to a revision; `migrations/env.py` reads the database's URL from the environment."""
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("the package migrations is not installed")
    config = Config()
    config.set_main_option("script_location", spec.submodule_search_locations[0].replace("%", "%%"))
    command.upgrade(config, revision)
