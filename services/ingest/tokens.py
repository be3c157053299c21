"""Credentials of the networks: written, never shown."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.port import TokenState
from services.ingest.schemas import TokenIn
from services.ingest.secrecy import encrypt, token_digest
from shared import clock
from shared.database import WriteSession
from shared.ids import new_id
from shared.problems import FieldError, Invalid
from shared.tables.ingest import NetworkToken
from shared.tables.registry import Page


async def add(session: WriteSession, given: TokenIn) -> tuple[NetworkToken, bool]:
    """Keep a credential; says whether it is new. One that is known already counts as healthy again.

    Raises `Invalid` when the page is missing, unknown or of another network.
    """
    await _check_page(session, given)
    secret = {
        "token": given.token.get_secret_value(),
        "application_key": _given(given.application_key),
        "application_secret_key": _given(given.application_secret_key),
        "session_secret_key": _given(given.session_secret_key),
    }
    now = clock.now()
    digest = token_digest(given.network, secret["token"] or "")
    fresh: dict[str, Any] = {
        "kind": given.kind,
        "page_id": given.page_id,
        "secret": encrypt(secret),
        "state": TokenState.HEALTHY.value,
        "reason": None,
        "limited_until": None,
        "usage": {},
        "updated_at": now,
    }
    new = new_id()
    token_id = await session.scalar(
        insert(NetworkToken)
        .values(id=new, network=given.network, digest=digest, created_at=now, **fresh)
        .on_conflict_do_update(index_elements=[NetworkToken.digest], set_=fresh)
        .returning(NetworkToken.id)
    )
    row = await session.get_one(NetworkToken, token_id)
    return row, token_id == new


async def _check_page(session: AsyncSession, given: TokenIn) -> None:
    if given.page_id is None:
        if given.kind == "group":
            raise _wrong("/page_id", "A group's token belongs to a page: name it")
        return
    network = await session.scalar(select(Page.network).where(Page.id == given.page_id))
    if network is None:
        raise _wrong("/page_id", "No such page")
    if network != given.network:
        raise _wrong("/network", f"The page is in the network «{network}»")


def _wrong(pointer: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(pointer=pointer, detail=detail)])


def _given(value: object) -> str | None:
    shown = getattr(value, "get_secret_value", None)
    return shown() or None if shown is not None else None


async def listed(session: AsyncSession, page_id: UUID | None = None) -> list[NetworkToken]:
    """All credentials, newest first, as far as they may be shown."""
    query = select(NetworkToken).order_by(NetworkToken.created_at.desc(), NetworkToken.id.desc())
    if page_id is not None:
        query = query.where(NetworkToken.page_id == page_id)
    return list(await session.scalars(query))
