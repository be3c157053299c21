"""Check that the pseudonym key is the one with which authors were stored."""

from cryptography.fernet import InvalidToken
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.tokens.crypto import decrypt
from shared.database.outages import is_outage
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import Author, Message

log = get_logger(__name__)


class PseudonymKeyChangedError(Exception):
    """The pseudonym key is not the one of the stored authors."""


async def newest_author(session: AsyncSession) -> Author | None:
    """Return the author of the newest message that has one. Older ones may be stored with a key that was changed
    before keys were checked.
    """
    # By an index of messages: authors have none by time.
    found: Author | None = await session.scalar(
        select(Author)
        .join(Message, Message.author_key == Author.author_key)
        .order_by(Message.received_at.desc(), Message.id.desc())
        .limit(1)
    )
    return found


async def require_same_key(database: Database) -> None:
    """Raise `PseudonymKeyChangedError` unless the author of the newest message was stored with the present key.

    Checks nothing if no message has an author, no key decrypts the newest one, or the database is unavailable.
    """
    try:
        async with database.read() as session:
            newest = await newest_author(session)
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
