"""Re-encrypt stored secrets with the newest key, so that keys can be rotated without downtime."""

from services.ingest.settings import ingest_settings
from shared import encryption
from shared.database.sessions import Database
from shared.tables.ingest import Author, CallbackRegistration, NetworkToken
from shared.tables.ingest_erasure import Erasure

SECRETS: tuple[encryption.EncryptedColumn, ...] = (
    (NetworkToken.id, NetworkToken.secret),
    (CallbackRegistration.page_id, CallbackRegistration.secret),
    (Author.author_key, Author.identity),
    # Of an erasure that is not done: without it, a failed one could not be finished.
    (Erasure.id, Erasure.subject),
)


async def reencrypt(database: Database) -> int:
    """Re-encrypt all secrets; return how many were encrypted with an older key."""
    return await encryption.reencrypt(database, ingest_settings().encryption_keys, SECRETS)
