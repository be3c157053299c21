"""Encryption of stored JSON values with Fernet keys, newest first, and re-encryption after a new key.

The operator puts the new key first and keeps the old keys after it; once `reencrypt` has run, these can be
removed.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from shared.database.sessions import Database
from shared.logs import get_logger

log = get_logger(__name__)

BATCH_SIZE = 500
# The primary key of a table, and its encrypted column.
EncryptedColumn = tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any]]


@lru_cache(maxsize=4)
def _fernets(keys: str) -> list[Fernet]:
    return [Fernet(key.strip()) for key in keys.split(",") if key.strip()]


def _multi_fernet(keys: SecretStr) -> MultiFernet:
    return MultiFernet(_fernets(keys.get_secret_value()))


def encrypt(keys: SecretStr, value: Any) -> bytes:
    """Return the JSON value encrypted with the newest key."""
    return _multi_fernet(keys).encrypt(json.dumps(value, ensure_ascii=False, sort_keys=True).encode())


def decrypt(keys: SecretStr, stored: bytes) -> Any:
    """Return the value that `encrypt` encrypted. Raise `cryptography.fernet.InvalidToken` without its key."""
    return json.loads(_multi_fernet(keys).decrypt(stored))


def reencrypted(keys: SecretStr, stored: bytes) -> bytes | None:
    """Return the value re-encrypted with the newest key; None if it is already encrypted with that key.

    Raise `cryptography.fernet.InvalidToken` if its key is missing.
    """
    try:
        _fernets(keys.get_secret_value())[0].decrypt(stored)
    except InvalidToken:
        return _multi_fernet(keys).rotate(stored)
    return None


async def reencrypt(database: Database, keys: SecretStr, columns: Iterable[EncryptedColumn]) -> int:
    """Re-encrypt all values of these columns in batches; return how many were re-encrypted.

    A value that no key can decrypt is left unchanged; the log names its table and row.
    """
    count = 0
    for key, column in columns:
        after: Any = None
        while True:
            done, after = await _batch(database, keys, key, column, after)
            count += done
            if after is None:
                break
    if count:
        log.info("values re-encrypted", count=count)
    return count


async def _batch(
    database: Database,
    keys: SecretStr,
    key: InstrumentedAttribute[Any],
    column: InstrumentedAttribute[Any],
    after: Any,
) -> tuple[int, Any]:
    query = select(key, column).where(column.is_not(None)).order_by(key).limit(BATCH_SIZE)
    if after is not None:
        query = query.where(key > after)
    async with database.read() as session:
        rows = [(row[0], row[1]) for row in await session.execute(query)]
    fresh = []
    for name, value in rows:
        try:
            again = reencrypted(keys, value)
        except InvalidToken:
            log.warning("no key decrypts this value", table=key.class_.__tablename__, row_id=str(name))
            continue
        if again is not None:
            fresh.append((name, value, again))
    if fresh:
        async with database.write() as session:
            for name, value, again in fresh:
                # Skip a value that was replaced meanwhile: its writer has used the newest key.
                await session.execute(
                    update(key.class_).where(key == name, column == value).values({column.key: again})
                )
    return len(fresh), rows[-1][0] if len(rows) == BATCH_SIZE else None
