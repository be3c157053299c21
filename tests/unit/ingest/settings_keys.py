"""Keys for settings of ingest, for tests that do not decrypt stored values."""

from typing import Any

from cryptography.fernet import Fernet

KEYS: dict[str, Any] = {
    "encryption_keys": Fernet.generate_key().decode(),
    "pseudonym_key": "pseudonym-key-of-the-tests",
}
