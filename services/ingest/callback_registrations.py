"""Stored callback registrations: their secrets, states and confirmation windows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.port import CallbackState, RegisteredCallback
from services.ingest.tokens.crypto import decrypt, encrypt, token_digest
from shared import clock
from shared.audit import recorder
from shared.database.sessions import Database, WriteSession
from shared.tables.ingest import CallbackRegistration


def secret_digest(network: str, page_id: UUID, url: str, secret: str) -> str:
    """Return a keyed digest of a secret.

    If the URL contains the secret, the digest does not depend on the page, so that the secret identifies the page.
    """
    return token_digest(f"callback:{network}", secret if secret in url else f"{page_id}\n{secret}")


async def registrations_by_page(
    session: AsyncSession, network: str, page_ids: Sequence[UUID] | None = None
) -> dict[UUID, RegisteredCallback]:
    """Return the registrations of a network by page id; `page_ids`: only those of these pages."""
    query = select(CallbackRegistration).where(CallbackRegistration.network == network)
    if page_ids is not None:
        query = query.where(CallbackRegistration.page_id.in_(page_ids))
    return {row.page_id: _callback(row) for row in await session.scalars(query)}


def _callback(row: CallbackRegistration) -> RegisteredCallback:
    secret = decrypt(row.secret)
    return RegisteredCallback(
        page_id=row.page_id,
        url=row.url,
        secret=secret["secret"],
        confirmation_code=secret.get("confirmation_code"),
        server_id=row.server_id,
        manual=row.manual,
        state=CallbackState(row.state),
        reason=row.reason,
        checked_at=row.checked_at,
        last_event_at=row.last_event_at,
    )


async def save_registration(session: WriteSession, network: str, callback: RegisteredCallback) -> None:
    """Save a page's registration, replacing the previous one, and record the change in the audit trail."""
    secret = {"secret": callback.secret, "confirmation_code": callback.confirmation_code}
    now = clock.now()
    fresh: dict[str, Any] = {
        "url": callback.url,
        "secret": encrypt(secret),
        "digest": secret_digest(network, callback.page_id, callback.url, callback.secret),
        "server_id": callback.server_id,
        "manual": callback.manual,
        "state": callback.state.value,
        "reason": callback.reason,
        "checked_at": callback.checked_at,
        "updated_at": now,
    }
    before = await _as_recorded(session, callback.page_id)
    awaited = {}
    if callback.confirmation_window_seconds is not None:
        awaited = {"confirmation_until": func.now() + timedelta(seconds=callback.confirmation_window_seconds)}
    await session.execute(
        insert(CallbackRegistration)
        .values(page_id=callback.page_id, network=network, created_at=now, **fresh, **awaited)
        .on_conflict_do_update(index_elements=[CallbackRegistration.page_id], set_=fresh | awaited)
    )
    after = {"page_id": callback.page_id, "network": network, **fresh}
    await recorder.record(
        session,
        CallbackRegistration,
        [recorder.RowChange(subject_id=callback.page_id, before=before, after=after)],
    )


async def _as_recorded(session: WriteSession, page_id: UUID) -> dict[str, Any] | None:
    """Return the current row for the audit trail; None if there is none or the session is not audited."""
    if not recorder.is_recorded(session):
        return None
    columns = CallbackRegistration.__table__.columns
    shown = [
        column for column in columns if column.name not in {"created_at", "last_event_at", "confirmation_until"}
    ]
    row = (await session.execute(select(*shown).where(CallbackRegistration.page_id == page_id))).one_or_none()
    return None if row is None else dict(row._mapping)


async def record_check(
    session: WriteSession, page_id: UUID, state: CallbackState, reason: str | None = None
) -> None:
    """Save whether a check found that the network pushes the page's events, and the reason if it does not."""
    now = clock.now()
    await session.execute(
        update(CallbackRegistration)
        .where(CallbackRegistration.page_id == page_id)
        .values(state=state.value, reason=reason, checked_at=now, updated_at=now)
    )


async def confirmation_expected(session: AsyncSession, page_id: UUID) -> bool:
    """Return whether the network may request the page's confirmation code now, by the database's time."""
    found = await session.scalar(
        select(CallbackRegistration.confirmation_until > func.now()).where(CallbackRegistration.page_id == page_id)
    )
    return bool(found)


async def record_events(session: WriteSession, page_ids: Sequence[UUID], at: datetime) -> None:
    """Save when events of these pages were last received."""
    await session.execute(
        update(CallbackRegistration)
        .where(CallbackRegistration.page_id.in_(sorted(page_ids)))
        .values(last_event_at=at)
    )


class CallbackRepository:
    """Implements `networks.port.CallbackRegistrations`; each call is a separate transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_page(
        self, network: str, page_ids: Sequence[UUID] | None = None
    ) -> dict[UUID, RegisteredCallback]:
        """Return the registrations of a network by page id; `page_ids`: only those of these pages."""
        async with self._database.read() as session:
            return await registrations_by_page(session, network, page_ids)

    async def save(self, network: str, callback: RegisteredCallback) -> None:
        """Save a page's registration, replacing the previous one."""
        async with self._database.write() as session:
            await save_registration(session, network, callback)

    async def record_check(self, page_id: UUID, state: CallbackState, reason: str | None = None) -> None:
        """Save whether a check found that the network pushes the page's events, and the reason if it does not."""
        async with self._database.write() as session:
            await record_check(session, page_id, state, reason)
