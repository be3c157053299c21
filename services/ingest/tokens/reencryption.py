"""Re-encrypt stored secrets with the newest key, so that keys can be rotated without downtime.

The operator puts the new key first and keeps the old ones after it; once this has run, they can be removed.
"""

from typing import Any

from cryptography.fernet import InvalidToken
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from services.ingest.tokens.crypto import reencrypted
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import Author, CallbackRegistration, NetworkToken

log = get_logger(__name__)

BATCH_SIZE = 500
SECRETS: tuple[tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any]], ...] = (
    (NetworkToken.id, NetworkToken.secret),
    (CallbackRegistration.page_id, CallbackRegistration.secret),
    (Author.author_key, Author.identity),
)


async def reencrypt(database: Database) -> int:
    """Re-encrypt all secrets in batches; return how many were encrypted with an older key.

    Secrets that no key can decrypt are logged and left unchanged.
    """
    count = 0
    for key, column in SECRETS:
        after: Any = None
        while True:
            done, after = await _batch(database, key, column, after)
            count += done
            if after is None:
                break
    if count:
        log.info("secrets re-encrypted", count=count)
    return count


async def _batch(
    database: Database, key: InstrumentedAttribute[Any], column: InstrumentedAttribute[Any], after: Any
) -> tuple[int, Any]:
    query = select(key, column).where(column.is_not(None)).order_by(key).limit(BATCH_SIZE)
    if after is not None:
        query = query.where(key > after)
    async with database.read() as session:
        rows = [(row[0], row[1]) for row in await session.execute(query)]
    fresh = []
    for name, value in rows:
        try:
            again = reencrypted(value)
        except InvalidToken:
            log.warning("no key decrypts this secret", table=key.class_.__tablename__, row_id=str(name))
            continue
        if again is not None:
            fresh.append((name, value, again))
    if fresh:
        async with database.write() as session:
            for name, value, again in fresh:
                # Skip a secret that was replaced meanwhile: it is encrypted with the newest key.
                await session.execute(
                    update(key.class_).where(key == name, column == value).values({column.key: again})
                )
    return len(fresh), rows[-1][0] if len(rows) == BATCH_SIZE else None
