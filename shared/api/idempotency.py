"""`Idempotency-Key`: a repeated request gets the first answer; kept for 24 hours.

The key is claimed and the answer stored in the transaction of the change itself, so that either both happened or
neither did. A second request that comes while the first runs waits for nobody: it gets 409.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.http.problems import InFlight, KeyReused
from shared.settings import settings
from shared.supervision import run_periodically
from shared.tables.base import IdempotencyMixin

KEPT = timedelta(hours=24)
FORGOTTEN_AT_ONCE = 1000
PAUSE_SECONDS = 3600

T = TypeVar("T", bound=BaseModel)


class IdempotencyKey:
    """What the request says about repetition."""

    def __init__(self, key: str | None, fingerprint: str) -> None:
        self.key = key
        self.fingerprint = fingerprint


async def idempotency_key(
    request: Request,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=200, description="Makes a repeated request safe for 24 hours")
    ] = None,
) -> IdempotencyKey:
    """Dependency: the key and a fingerprint of method, path and body."""
    body = await request.body()
    material = f"{request.method} {request.url.path}\n".encode() + body
    # A body may hold a password: who reads the table without the key must not be able to try guesses.
    secret = settings().cursor_key.get_secret_value().encode()
    return IdempotencyKey(idempotency_key, hmac.digest(secret, b"idempotency\n" + material, "sha256").hex())


IdempotencyDep = Annotated[IdempotencyKey, Depends(idempotency_key)]


async def once(
    session: WriteSession,
    table: type[IdempotencyMixin],
    *,
    caller: str,
    key: IdempotencyKey,
    response: Response,
    model: type[T],
    work: Callable[[], Awaitable[T]],
    status: int = 201,
) -> T:
    """Do `work` once per caller and key, or give the remembered answer.

    Raises `KeyReused` (422) for the same key with another payload, `InFlight` (409) while the first runs.
    """
    if key.key is None:
        return await work()
    lock = int.from_bytes(
        hashlib.sha256(f"{table.__name__}\n{caller}\n{key.key}".encode()).digest()[:8], signed=True
    )
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
        raise InFlight("A request with this Idempotency-Key is being carried out; ask again in a moment")
    # The hourly forgetting may not have come yet; the key is free again all the same.
    same = (table.caller == caller, table.key == key.key)
    await session.execute(delete(table).where(*same, table.created_at < clock.now() - KEPT))
    found = await session.get(table, {"caller": caller, "key": key.key})
    if found is not None:
        if found.fingerprint != key.fingerprint:
            raise KeyReused.field("header/Idempotency-Key", "The key was used with another payload")
        response.status_code = found.status or status
        response.headers["Idempotent-Replay"] = "true"
        return model.model_validate(found.body)
    answer = await work()
    body: dict[str, Any] = json.loads(json.dumps(jsonable_encoder(answer)))
    await session.execute(
        insert(table).values(
            caller=caller,
            key=key.key,
            fingerprint=key.fingerprint,
            status=status,
            body=body,
            created_at=clock.now(),
        )
    )
    return answer


async def forget_old(database: Database, table: type[IdempotencyMixin]) -> None:
    """Delete the answers kept long enough, whoever asked, so many a transaction."""
    old = select(table.caller, table.key).where(table.created_at < clock.now() - KEPT).limit(FORGOTTEN_AT_ONCE)
    forget = delete(table).where(tuple_(table.caller, table.key).in_(old)).returning(table.key)
    while True:
        async with database.write() as session:
            if len((await session.scalars(forget)).all()) < FORGOTTEN_AT_ONCE:
                return


async def forget_for_ever(database: Database, table: type[IdempotencyMixin]) -> None:
    """The work of every service that remembers answers: forget the old ones every hour."""

    async def one_round() -> float:
        await forget_old(database, table)
        return PAUSE_SECONDS

    await run_periodically(one_round)
