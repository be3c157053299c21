"""Rotation of the encryption key without a stop: whatever lies under an older key is brought under the newest.

The operator puts the new key first and keeps the old ones behind it; when this has run, they may go.
"""

from typing import Any

from cryptography.fernet import InvalidToken
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from services.ingest.tokens.crypto import reencrypted
from shared.database.sessions import Database
from shared.logs import logger
from shared.tables.ingest import Author, CallbackRegistration, NetworkToken

log = logger(__name__)

BATCH_SIZE = 500
SECRETS: tuple[tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any]], ...] = (
    (NetworkToken.id, NetworkToken.secret),
    (CallbackRegistration.page_id, CallbackRegistration.secret),
    (Author.author_key, Author.identity),
)


async def reencrypt(database: Database) -> int:
    """Bring all secrets under the newest key, in batches; returns how many were not under it.

    What no key opens is left as it is and logged.
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
        log.info("secrets brought under the newest key", count=count)
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
            log.warning("no key opens this secret", table=key.class_.__tablename__, row=str(name))
            continue
        if again is not None:
            fresh.append((name, value, again))
    if fresh:
        async with database.write() as session:
            for name, value, again in fresh:
                # Another secret may have been written meanwhile: that one is newer anyhow.
                await session.execute(
                    update(key.class_).where(key == name, column == value).values({column.key: again})
                )
    return len(fresh), rows[-1][0] if len(rows) == BATCH_SIZE else None
