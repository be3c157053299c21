"""Tickets: a browser's `EventSource` sends no header, so a signed-in caller gets a secret for the URL.

A ticket opens one stream, within a minute, in any process: using it deletes its row. Only its digest is stored. A
ticket contains its caller's subject and a signature, so that limits are applied before it is used up, and a forged
ticket is refused without a query.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert

from services.webhooks.settings import webhooks_settings
from shared import clock
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Unauthenticated
from shared.settings import settings
from shared.tables.webhooks import StreamTicket

_CONTENT_LENGTH, _SIGNATURE_LENGTH = 48, 18
_UNUSABLE = "The ticket is unknown, was already used, or has expired: get a new one"


async def create_ticket(session: WriteSession, caller: Caller) -> str:
    """Return a new ticket with the caller's access and the expiry of their token."""
    content = secrets.token_bytes(32) + UUID(caller.subject).bytes
    ticket = base64.urlsafe_b64encode(content + _signature(content)).decode()
    await session.execute(
        insert(StreamTicket).values(
            digest=_digest(ticket),
            claims=_claims(caller),
            expires_at=func.clock_timestamp() + timedelta(seconds=webhooks_settings().stream_ticket_seconds),
        )
    )
    return ticket


def ticket_subject(ticket: str) -> str:
    """Return the subject of the ticket's caller. Raise `Unauthenticated` if the ticket was not issued here."""
    try:
        raw = base64.urlsafe_b64decode(ticket)
    except ValueError:
        raw = b""
    content = raw[:-_SIGNATURE_LENGTH]
    if len(content) != _CONTENT_LENGTH or not hmac.compare_digest(raw[_CONTENT_LENGTH:], _signature(content)):
        raise Unauthenticated(_UNUSABLE)
    return str(UUID(bytes=content[-16:]))


async def use_ticket(session: WriteSession, ticket: str) -> Caller:
    """Use up the ticket and return its caller. Raise `Unauthenticated` if it has expired or was already used."""
    found = (
        await session.execute(
            delete(StreamTicket)
            .where(StreamTicket.digest == _digest(ticket))
            .returning(StreamTicket.claims, (StreamTicket.expires_at > func.clock_timestamp()).label("valid"))
        )
    ).one_or_none()
    if found is None or not found.valid:
        raise Unauthenticated(_UNUSABLE)
    caller = Caller.from_claims(found.claims)
    if caller.expires_at is not None and caller.expires_at <= clock.now():
        raise Unauthenticated("The access token for which the ticket was made has expired: get a new one")
    return caller


def _signature(content: bytes) -> bytes:
    key = settings().cursor_key.get_secret_value().encode()
    return hmac.digest(key, b"stream-ticket\n" + content, "sha256")[:_SIGNATURE_LENGTH]


def _digest(ticket: str) -> str:
    # A secret of 256 random bits needs no slow hash.
    return hashlib.sha256(ticket.encode()).hexdigest()


def _claims(caller: Caller) -> dict[str, Any]:
    """Return claims, without the name, from which `Caller.from_claims` restores this caller."""
    return {
        "sub": caller.subject,
        "role": caller.role.value,
        "org": None if caller.organisation_id is None else str(caller.organisation_id),
        "include_subordinates": caller.include_subordinates,
        "scope": None if caller.scopes is None else " ".join(sorted(caller.scopes)),
        "sid": None if caller.session_id is None else str(caller.session_id),
        "exp": None if caller.expires_at is None else int(caller.expires_at.timestamp()),
    }
