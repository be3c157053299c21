"""Changes of token states in the database, each with its event in the same transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, exists, select

from services.ingest.networks.port import TokenState
from services.ingest.tokens.crypto import decrypt, encrypt
from services.ingest.tokens.token_metrics import ACTOR, token_state_event
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.events.outbox import emit
from shared.tables.ingest import NetworkToken
from shared.tables.registry import Page

_ANY_OVER = select(
    exists().where(NetworkToken.state == TokenState.LIMITED.value, NetworkToken.limited_until <= bindparam("now"))
)


@dataclass(frozen=True)
class TokenFailure:
    """A failure that the network reported for a token; with `method` and `until`, for one method only."""

    token_id: UUID
    state: TokenState
    reason: str
    until: datetime | None
    method: str | None
    challenge: Mapping[str, Any] | None


async def emit_state_changed(
    session: WriteSession,
    row: NetworkToken,
    *,
    state: str,
    reason: str | None,
    actor: str = ACTOR,
    method: str | None = None,
) -> None:
    """Emit `network_token.state_changed` in the transaction of the change."""
    organisation_id = None
    if row.page_id is not None:
        organisation_id = await session.scalar(select(Page.organisation_id).where(Page.id == row.page_id))
    await emit(
        session,
        token_state_event(
            row.id,
            network=row.network,
            kind=row.kind,
            page_id=row.page_id,
            organisation_id=organisation_id,
            state=state,
            reason=reason,
            actor=actor,
            method=method,
        ),
    )


async def save_failure(database: Database, failure: TokenFailure) -> None:
    """Save the failure; emit its event unless the token already has this state."""
    async with database.write() as session:
        row = await session.scalar(
            select(NetworkToken).where(NetworkToken.id == failure.token_id).with_for_update()
        )
        if row is None:
            return
        if failure.method is not None and failure.until is not None:
            known = False
            before: dict[str, str] = row.limited_methods
            still = {name: until for name, until in before.items() if datetime.fromisoformat(until) > clock.now()}
            row.limited_methods = {**still, failure.method: failure.until.isoformat()}
            row.reason = failure.reason
            state = TokenState.LIMITED.value
        else:
            known = row.state == failure.state
            row.state, row.reason, row.limited_until = failure.state.value, failure.reason, failure.until
            row.challenge = dict(failure.challenge) if failure.challenge else None
            drop_solution(row)
            state = row.state
        row.updated_at = clock.now()
        if not known:
            await emit_state_changed(session, row, state=state, reason=failure.reason, method=failure.method)


async def expire_limits(database: Database) -> None:
    """Set tokens whose limit has expired back to healthy."""
    now = clock.now()
    over = (NetworkToken.state == TokenState.LIMITED.value, NetworkToken.limited_until <= now)
    if not any(await database.execute_alone(_ANY_OVER, {"now": now})):
        return
    async with database.write() as session:
        rows = await session.scalars(select(NetworkToken).where(*over).with_for_update(skip_locked=True))
        for row in rows:
            row.state, row.reason, row.limited_until, row.updated_at = TokenState.HEALTHY.value, None, None, now
            await emit_state_changed(session, row, state=row.state, reason="the limit is over")


async def clear_challenge(database: Database, token_id: UUID) -> None:
    """Delete a token's challenge after a call with its solution succeeded."""
    async with database.write() as session:
        row = await session.scalar(select(NetworkToken).where(NetworkToken.id == token_id).with_for_update())
        if row is None or row.state != TokenState.HEALTHY:
            return
        drop_solution(row)
        row.challenge = None
        row.updated_at = clock.now()


def drop_solution(row: NetworkToken) -> None:
    """Remove the solution from the secret: it can be used only once."""
    secret = decrypt(row.secret)
    if secret.pop("solution", None) is not None:
        row.secret = encrypt(secret)
