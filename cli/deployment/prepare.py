"""Prepare the database and the keys once, before the services of a deployment start."""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

from cli.deployment import migrate
from cli.deployment.provisioning import (
    DATABASE,
    OWNER,
    ensure_database,
    ensure_logins,
    wait_until_ready,
    with_login,
)
from cli.deployment.signing_keys import ensure_keys
from cli.embedded.secrets import Secrets, new_password
from cli.embedded.settings import SERVICES
from migrations.lock import PREPARE_LOCK, hold_lock
from shared.database.sessions import connect
from shared.settings import secrets_folder

PASSWORDS = ("GOSPABLIK_OWNER_PASSWORD", *(f"GOSPABLIK_{name.upper()}_PASSWORD" for name in SERVICES))
_REQUIRED = ("GOSPABLIK_DATABASE_ADMIN_URL", "GOSPABLIK_KEYS_DIR", *PASSWORDS)
# Compose inserts passwords into URLs without escaping.
_PASSWORD = re.compile(r"[A-Za-z0-9_.~-]*")
# The superuser's password may be percent-encoded: it is used only in a URL.
_URL_PASSWORD = re.compile(r"([A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})*")


class VariablesRefusedError(Exception):
    """Variables are not set or have invalid values; the message lists them."""


def read_variables() -> dict[str, str]:
    """Return the environment variables; a file in the folder of secrets overrides the variable of its name."""
    folder = secrets_folder()
    files = sorted(folder.glob("GOSPABLIK_*")) if folder else []
    return dict(os.environ) | {path.name: path.read_text(encoding="utf-8").strip() for path in files}


async def prepare(environment: Mapping[str, str]) -> None:
    """Create owner, database, schema, login roles and signing keys; keep what exists.

    Raises `VariablesRefusedError` for missing or unusable variables, before anything is changed.
    """
    _check_variables(environment)
    admin_url = environment["GOSPABLIK_DATABASE_ADMIN_URL"]
    owner_password = environment["GOSPABLIK_OWNER_PASSWORD"]
    passwords = {name: environment[f"GOSPABLIK_{name.upper()}_PASSWORD"] for name in SERVICES}
    keys_folder = Path(environment["GOSPABLIK_KEYS_DIR"])
    await wait_until_ready(admin_url, is_alive=lambda: True, progress=print)
    connection = await connect(admin_url)
    try:
        # Roles and the database are created before the migrations, which take a lock in that database.
        await hold_lock(connection, PREPARE_LOCK, print)
        await ensure_database(admin_url, owner_password)
        os.environ["GOSPABLIK_DATABASE_DIRECT_URL"] = with_login(admin_url, OWNER, owner_password, DATABASE)
        # Alembic's environment runs its own event loop.
        await asyncio.to_thread(migrate.upgrade, "head")
        await ensure_logins(admin_url, passwords)
        ensure_keys(keys_folder)
    finally:
        await connection.close()


def _check_variables(environment: Mapping[str, str]) -> None:
    if missing := [name for name in _REQUIRED if not environment.get(name)]:
        raise VariablesRefusedError(
            f"Not set: {', '.join(missing)}. Create .env with `gospablik generate-env`, as the head of "
            "docker-compose.yml describes"
        )
    wrong = [name for name in PASSWORDS if not _PASSWORD.fullmatch(environment[name])]
    if not _URL_PASSWORD.fullmatch(environment.get("GOSPABLIK_SUPERUSER_PASSWORD", "")):
        wrong.append("GOSPABLIK_SUPERUSER_PASSWORD")
    if wrong:
        raise VariablesRefusedError(
            f"Characters not allowed in a URL: {', '.join(wrong)}. Use only Latin letters, digits "
            "and _ . ~ - in passwords; `openssl rand -hex 24` makes one"
        )


def generate_environment() -> str:
    """Return the lines of an `.env` file with newly generated secrets for a deployment."""
    generated = Secrets()
    lines = {
        "GOSPABLIK_SUPERUSER_PASSWORD": generated.superuser_password,
        "GOSPABLIK_OWNER_PASSWORD": generated.owner_password,
        **{f"GOSPABLIK_{name.upper()}_PASSWORD": new_password() for name in SERVICES},
        "GOSPABLIK_ENCRYPTION_KEYS": generated.encryption_key,
        "GOSPABLIK_PSEUDONYM_KEY": generated.pseudonym_key,
        "GOSPABLIK_CURSOR_KEY": generated.cursor_key,
        "GOSPABLIK_AUDIT_KEY": generated.audit_key,
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())
