"""Encryption of the contacts of people who submitted an appeal by phone, in person, on paper or through another
system. A contact is shown only to people who work on the appeal, and is in no list, event, webhook or log.
"""

from cryptography.fernet import InvalidToken

from services.appeals.settings import contact_settings
from shared import encryption
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.appeals import AppealSubmission

log = get_logger(__name__)


def encrypt(contact: dict[str, str]) -> bytes:
    """Return the contact encrypted with the newest key."""
    return encryption.encrypt(contact_settings().encryption_keys, contact)


def decrypt(stored: bytes | None) -> dict[str, str] | None:
    """Return the contact; None if there is none, or if no key decrypts it, which is logged."""
    if stored is None:
        return None
    try:
        contact: dict[str, str] = encryption.decrypt(contact_settings().encryption_keys, stored)
    except InvalidToken:
        log.warning("no key decrypts a contact: add the key that was removed")
        return None
    return contact


async def reencrypt_contacts(database: Database) -> int:
    """Re-encrypt contacts with the newest key; return how many were encrypted with an older one."""
    columns = ((AppealSubmission.appeal_id, AppealSubmission.contact),)
    return await encryption.reencrypt(database, contact_settings().encryption_keys, columns)
