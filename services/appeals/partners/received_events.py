"""Events of partners are processed once: the id is stored in the transaction of the effect."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.partners.message_signature import ID_HEADER, SignedMessage
from shared.database.sessions import WriteSession, retry_on_deadlock
from shared.http.problems import KeyReused
from shared.settings import settings
from shared.tables.appeals import Appeal
from shared.tables.appeals_partners import Partner, PartnerEvent


@dataclass(frozen=True)
class EventEffect:
    """What an event did: its appeal, whether it opened it, and the reply that it recorded or drafted."""

    appeal_id: UUID
    opened: bool = False
    reply_id: UUID | None = None


@dataclass(frozen=True)
class Receipt:
    """What is answered to an event, the first time and each time that it is repeated."""

    id: str
    type: str
    appeal_id: UUID
    appeal_number: int
    opened: bool
    reply_id: UUID | None
    received_at: datetime


async def find_partner(session: AsyncSession, partner_id: UUID) -> tuple[Partner, datetime] | None:
    """Return the partner and the current time of the database's clock; None if there is no such partner."""
    query = select(Partner, func.clock_timestamp()).where(Partner.id == partner_id, Partner.deleted_at.is_(None))
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def process_once(
    session: WriteSession,
    partner: Partner,
    message: SignedMessage,
    event_type: str,
    process: Callable[[], Awaitable[EventEffect]],
) -> tuple[Receipt, bool]:
    """Process a verified event, unless its id was processed before; return the receipt and whether it is repeated.

    Of two equal messages at the same time, the second waits for the first: for its receipt, or for its failure,
    after which it is processed itself. Raise `KeyReused` for the same id with a different body.
    """
    fingerprint = _fingerprint(message.body)
    same = (PartnerEvent.partner_id == partner.id, PartnerEvent.webhook_id == message.webhook_id)
    is_new = await session.scalar(
        insert(PartnerEvent)
        .values(
            partner_id=partner.id,
            webhook_id=message.webhook_id,
            type=event_type,
            fingerprint=fingerprint,
            opened=False,
            received_at=func.clock_timestamp(),
        )
        .on_conflict_do_nothing()
        .returning(PartnerEvent.webhook_id)
    )
    if is_new is None:
        stored = await session.scalar(select(PartnerEvent.fingerprint).where(*same))
        if stored != fingerprint:
            raise KeyReused.field(
                f"header/{ID_HEADER}",
                "A different event was already sent with this id: give each event its own id",
            )
        return await _receipt(session, partner, message), True
    effect = await retry_on_deadlock(session, process)
    await session.execute(
        update(PartnerEvent)
        .where(*same)
        .values(appeal_id=effect.appeal_id, reply_id=effect.reply_id, opened=effect.opened)
        .execution_options(synchronize_session=False)
    )
    return await _receipt(session, partner, message), False


async def _receipt(session: AsyncSession, partner: Partner, message: SignedMessage) -> Receipt:
    row = (
        await session.execute(
            select(
                PartnerEvent.webhook_id.label("id"),
                PartnerEvent.type,
                PartnerEvent.appeal_id,
                Appeal.number.label("appeal_number"),
                PartnerEvent.opened,
                PartnerEvent.reply_id,
                PartnerEvent.received_at,
            )
            .join(Appeal, Appeal.id == PartnerEvent.appeal_id)
            .where(PartnerEvent.partner_id == partner.id, PartnerEvent.webhook_id == message.webhook_id)
        )
    ).one()
    return Receipt(**row._mapping)


def _fingerprint(body: bytes) -> str:
    # Without a secret key, a reader of the table could guess a citizen's words from the digest.
    key = settings().cursor_key.get_secret_value().encode()
    return hmac.digest(key, b"partner event\n" + body, hashlib.sha256).hex()
