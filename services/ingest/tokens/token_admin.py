"""Add, recover, list and delete network tokens. Secrets are never returned."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.port import TokenState
from services.ingest.schemas.tokens import NetworkTokenDetail, NetworkTokenIn, NetworkTokenRecovery
from services.ingest.settings import ingest_settings
from services.ingest.tokens.crypto import decrypt, encrypt, token_digest
from services.ingest.tokens.token_states import drop_solution, emit_state_changed
from shared import clock
from shared.audit import recorder
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, FieldError, Invalid, NotFound
from shared.ids import new_id
from shared.tables.ingest import CallCount, NetworkToken
from shared.tables.registry import Page


async def add_token(session: WriteSession, given: NetworkTokenIn, actor: str) -> tuple[NetworkToken, bool]:
    """Store a token; return its row and whether it is new. A known token becomes healthy again.

    Raises `Invalid` if the page is missing, unknown or of another network.
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
        "challenge": None,
        "limited_methods": {},
        "updated_at": now,
    }
    before = await session.scalar(
        select(NetworkToken.state).where(NetworkToken.digest == digest).with_for_update()
    )
    new = new_id()
    token_id = await session.scalar(
        insert(NetworkToken)
        .values(id=new, network=given.network, digest=digest, created_at=now, **fresh)
        .on_conflict_do_update(index_elements=[NetworkToken.digest], set_=fresh)
        .returning(NetworkToken.id)
    )
    row = await session.get_one(NetworkToken, token_id, populate_existing=True)
    await recorder.record(session, NetworkToken, [recorder.inserted(row)])
    if before not in {None, row.state}:
        await emit_state_changed(session, row, state=row.state, reason="it was added again", actor=actor)
    return row, token_id == new


async def recover_token(
    session: WriteSession, token_id: UUID, given: NetworkTokenRecovery, actor: str
) -> NetworkToken:
    """Make a token usable again after a person solved its challenge or repaired it in the network.

    The next calls contain the solution. Raises `NotFound`, `Conflict` if the token is healthy, `Invalid` if the
    solution does not match the challenge.
    """
    row = await _locked(session, token_id)
    now = clock.now()
    if row.state == TokenState.HEALTHY and not limited_methods(row, now):
        raise Conflict("The token is already healthy")
    solution = _solution(row.challenge or {}, given)
    drop_solution(row)
    if solution:
        row.secret = encrypt({**decrypt(row.secret), "solution": solution})
    else:
        row.challenge = None
    row.state, row.reason, row.limited_until = TokenState.HEALTHY.value, None, None
    row.limited_methods = {}
    row.updated_at = now
    await emit_state_changed(session, row, state=row.state, reason="a person recovered it", actor=actor)
    return row


async def delete_token(session: WriteSession, token_id: UUID, actor: str) -> None:
    """Delete a token. Raises `NotFound` for an unknown id."""
    row = await _locked(session, token_id)
    await emit_state_changed(session, row, state="deleted", reason="a person deleted it", actor=actor)
    await session.delete(row)


async def _locked(session: WriteSession, token_id: UUID) -> NetworkToken:
    row = await session.scalar(select(NetworkToken).where(NetworkToken.id == token_id).with_for_update())
    if row is None:
        raise NotFound("No such token")
    return row


def _solution(challenge: dict[str, Any], given: NetworkTokenRecovery) -> dict[str, str]:
    success_token, captcha_key = _given(given.success_token), given.captcha_key
    if success_token:
        if "redirect_uri" not in challenge:
            raise _wrong("/success_token", "The network has not requested this value")
        found = {"success_token": success_token}
        if "remixstlid" in challenge:
            found["remixstlid"] = challenge["remixstlid"]
        return found
    if captcha_key:
        if "captcha_sid" not in challenge:
            raise _wrong("/captcha_key", "The network has not requested this value")
        return {"captcha_sid": challenge["captcha_sid"], "captcha_key": captcha_key}
    return {}


def limited_methods(row: NetworkToken, now: datetime) -> dict[str, datetime]:
    """Return the paused methods of a token and when each pause ends."""
    until = {method: datetime.fromisoformat(moment) for method, moment in row.limited_methods.items()}
    return {method: moment for method, moment in until.items() if moment > now}


async def to_schemas(session: AsyncSession, rows: Sequence[NetworkToken]) -> list[NetworkTokenDetail]:
    """Return tokens as API objects without secrets, with their calls of limited methods in the network's day."""
    settings, now = ingest_settings(), clock.now()
    day = timedelta(seconds=settings.call_budget_window_seconds)
    counted = await session.execute(
        select(CallCount.token_id, CallCount.method, func.sum(CallCount.calls))
        .where(CallCount.bucket > now - day, CallCount.token_id.in_([row.id for row in rows]))
        .group_by(CallCount.token_id, CallCount.method)
    )
    calls: dict[UUID, dict[str, int]] = defaultdict(dict)
    for token_id, method, number in counted:
        calls[token_id][method] = int(number)
    return [
        NetworkTokenDetail(
            id=row.id,
            network=row.network,
            kind=row.kind,
            page_id=row.page_id,
            state=row.state,
            reason=row.reason,
            limited_until=row.limited_until,
            limited_methods=limited_methods(row, now),
            challenge=row.challenge,
            calls_last_24h=calls[row.id],
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


async def _check_page(session: AsyncSession, given: NetworkTokenIn) -> None:
    if given.page_id is None:
        if given.kind == "group":
            raise _wrong("/page_id", "A group token needs page_id")
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


async def list_tokens(session: AsyncSession, page_id: UUID | None = None) -> list[NetworkToken]:
    """Return all tokens, or those of one page, newest first."""
    query = select(NetworkToken).order_by(NetworkToken.created_at.desc(), NetworkToken.id.desc())
    if page_id is not None:
        query = query.where(NetworkToken.page_id == page_id)
    return list(await session.scalars(query))
