"""Check that the pseudonym key is the one with which authors were stored."""

from cryptography.fernet import InvalidToken
from sqlalchemy import select

from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.tokens.crypto import decrypt
from shared.database.outages import is_outage
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import Author

log = get_logger(__name__)


class PseudonymKeyChangedError(Exception):
    """The pseudonym key is not the one of the stored authors."""


async def require_same_key(database: Database) -> None:
    """Raise `PseudonymKeyChangedError` unless the newest author was stored with the present key.

    Checks nothing if there is no author, no key decrypts the newest one, or the database is unavailable.
    """
    try:
        async with database.read() as session:
            # By the time of creation: encryption with new keys updates old rows.
            newest = await session.scalar(select(Author).order_by(Author.created_at.desc()).limit(1))
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning("pseudonym key not checked: the database is unavailable", error=repr(error)[:300])
        return
    if newest is None:
        return
    try:
        native_id = decrypt(newest.identity)["id"]
    except InvalidToken:
        log.warning("pseudonym key not checked: no key decrypts the newest author")
        return
    if author_key(newest.network, native_id) != newest.author_key:
        raise PseudonymKeyChangedError(
            "GOSPABLIK_PSEUDONYM_KEY is not the key of the authors in the database: put the former one back. With "
            "another one all authors are new, and what was erased comes back"
        )
