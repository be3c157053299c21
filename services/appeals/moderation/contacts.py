"""Contacts of people who submitted an appeal by phone, in person, on paper or through another system: encrypted.

A contact is shown to those who work on the appeal, and is in no list, event, webhook or log.
"""

import json
from functools import lru_cache
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import select, update

from services.appeals.settings import contact_settings
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.appeals import AppealSubmission

log = get_logger(__name__)

REENCRYPTION_BATCH = 500


@lru_cache(maxsize=4)
def _fernet(keys: str) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])


def _keys() -> str:
    return contact_settings().encryption_keys.get_secret_value()


def encrypt(contact: dict[str, str]) -> bytes:
    """Return the contact encrypted with the newest key."""
    return _fernet(_keys()).encrypt(json.dumps(contact, ensure_ascii=False, sort_keys=True).encode())


def decrypt(stored: bytes | None) -> dict[str, str] | None:
    """Return the contact; None if there is none, or if no key decrypts it, which is logged."""
    if stored is None:
        return None
    try:
        contact: dict[str, str] = json.loads(_fernet(_keys()).decrypt(stored))
    except InvalidToken:
        log.warning("no key decrypts a contact: add the key that was removed")
        return None
    return contact


async def reencrypt_contacts(database: Database) -> int:
    """Encrypt contacts with the newest key in batches; returns how many had an older one.

    Those that no key decrypts are logged and left unchanged.
    """
    done, after = 0, None
    newest = Fernet(_keys().split(",")[0].strip())
    while True:
        query = (
            select(AppealSubmission.appeal_id, AppealSubmission.contact)
            .where(AppealSubmission.contact.is_not(None))
            .order_by(AppealSubmission.appeal_id)
            .limit(REENCRYPTION_BATCH)
        )
        async with database.read() as session:
            rows = (await session.execute(query if after is None else query.where(after))).all()
        outdated = {row.appeal_id: row.contact for row in rows if not _is_encrypted_with(newest, row.contact)}
        done += await _rotate(database, outdated)
        if len(rows) < REENCRYPTION_BATCH:
            return done
        after = AppealSubmission.appeal_id > rows[-1].appeal_id


def _is_encrypted_with(key: Fernet, stored: bytes) -> bool:
    try:
        key.decrypt(stored)
    except InvalidToken:
        return False
    return True


async def _rotate(database: Database, outdated: dict[UUID, bytes]) -> int:
    fresh: dict[UUID, bytes] = {}
    for appeal_id, stored in outdated.items():
        try:
            fresh[appeal_id] = _fernet(_keys()).rotate(stored)
        except InvalidToken:
            log.warning("no key decrypts this contact", appeal_id=str(appeal_id))
    if fresh:
        async with database.write() as session:
            for appeal_id, value in fresh.items():
                await session.execute(
                    update(AppealSubmission).where(AppealSubmission.appeal_id == appeal_id).values(contact=value)
                )
    return len(fresh)
