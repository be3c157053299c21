"""Generate the passwords and symmetric keys of the embedded run once."""

import json
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import BaseModel, Field

from cli.atomic_files import write_private
from cli.embedded.settings import SERVICES


def new_password() -> str:
    """Return a password that needs no escaping in URLs and configuration files."""
    return secrets.token_urlsafe(24)


class Secrets(BaseModel):
    """The content of `secrets.json`; a field added later is generated on the next start."""

    superuser_password: str = Field(default_factory=new_password)
    owner_password: str = Field(default_factory=new_password)
    service_passwords: dict[str, str] = Field(default_factory=dict)
    encryption_key: str = Field(default_factory=lambda: Fernet.generate_key().decode())
    pseudonym_key: str = Field(default_factory=new_password)
    cursor_key: str = Field(default_factory=new_password)
    audit_key: str = Field(default_factory=new_password)


def load_secrets(folder: Path) -> Secrets:
    """Return the secrets of a data folder; missing secrets are generated."""
    path = folder / "secrets.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = Secrets.model_validate(stored)
    for service in SERVICES:
        found.service_passwords.setdefault(service, new_password())
    if found.model_dump() != stored:
        write_private(path, found.model_dump_json(indent=2))
    return found
