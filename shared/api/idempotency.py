"""`Idempotency-Key`: a repeated request gets the first response; responses are kept for 24 hours.

The response is stored in the transaction of the change, so that either both are committed or neither is.
A second request that arrives while the first is running does not wait: it gets 409.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Request, Response
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from sqlalchemy import ColumnElement, SQLColumnExpression, Text, delete, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared import clock
from shared.auth.dependency_marks import Mark, marked
from shared.database.sessions import Database, WriteSession
from shared.http.problems import InFlight, KeyReused
from shared.settings import settings
from shared.supervision import run_periodically
from shared.tables.base import IdempotencyMixin

KEPT = timedelta(hours=24)
PURGE_BATCH_SIZE = 1000
PAUSE_SECONDS = 3600

T = TypeVar("T", bound=BaseModel)


class IdempotencyKey:
    """The idempotency key of a request, if it has one, and the request's fingerprint."""

    def __init__(self, key: str | None, fingerprint: str) -> None:
        self.key = key
        self.fingerprint = fingerprint


@marked(Mark.IDEMPOTENCY_KEY)
async def idempotency_key(
    request: Request,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=200, description="Makes a repeated request safe for 24 hours")
    ] = None,
) -> IdempotencyKey:
    """Dependency: return the idempotency key, and a fingerprint of method, path and body."""
    body = await request.body()
    material = f"{request.method} {request.url.path}\n".encode() + body
    # The body may contain a password: without a secret key, a reader of the table could guess it from the digest.
    secret = settings().cursor_key.get_secret_value().encode()
    return IdempotencyKey(idempotency_key, hmac.digest(secret, b"idempotency\n" + material, "sha256").hex())


IdempotencyDep = Annotated[IdempotencyKey, Depends(idempotency_key)]


@dataclass(frozen=True)
class OncePerKey:
    """Runs the work of a request once per caller and key; without a key, each time.

    `status` is the status that the route declares; the route may set another in `response`.
    """

    session: WriteSession
    table: type[IdempotencyMixin]
    caller: str
    key: IdempotencyKey
    response: Response
    status: int

    @property
    def has_key(self) -> bool:
        """Return whether the request has an idempotency key."""
        return self.key.key is not None

    async def stored(self, session: AsyncSession, model: type[T]) -> T | None:
        """Return the response that is already stored for the key, with its status; None if there is none.

        For a route that does slow work before its transaction; `session` is a shorter one. Raise `KeyReused` (422)
        for the same key with a different payload.
        """
        if self.key.key is None:
            return None
        found = await session.get(self.table, {"caller": self.caller, "key": self.key.key})
        if found is None or found.created_at < clock.now() - KEPT:
            return None
        return self._replayed(found, model)

    def _replayed(self, found: IdempotencyMixin, model: type[T]) -> T:
        if found.fingerprint != self.key.fingerprint:
            raise KeyReused.field("header/Idempotency-Key", "The key was used with a different payload")
        self.response.status_code = found.status or self.status
        self.response.headers["Idempotent-Replay"] = "true"
        return model.model_validate(found.body)

    async def __call__(self, model: type[T], work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` and store its response; if one is already stored for the key, return it with its status.

        Raise `KeyReused` (422) for the same key with a different payload, `InFlight` (409) while the first request
        runs.
        """
        if self.key.key is None:
            return await work()
        lock = int.from_bytes(
            hashlib.sha256(f"{self.table.__name__}\n{self.caller}\n{self.key.key}".encode()).digest()[:8],
            signed=True,
        )
        if not await self.session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
            raise InFlight("A request with this Idempotency-Key is in progress; try again in a moment")
        # The hourly purge may not have deleted an expired row yet; its key can be used again.
        same = (self.table.caller == self.caller, self.table.key == self.key.key)
        await self.session.execute(delete(self.table).where(*same, self.table.created_at < clock.now() - KEPT))
        found = await self.session.get(self.table, {"caller": self.caller, "key": self.key.key})
        if found is not None:
            return self._replayed(found, model)
        answer = await work()
        body: dict[str, Any] = json.loads(json.dumps(jsonable_encoder(answer)))
        await self.session.execute(
            insert(self.table).values(
                caller=self.caller,
                key=self.key.key,
                fingerprint=self.key.fingerprint,
                status=self.response.status_code or self.status,
                body=body,
                created_at=clock.now(),
            )
        )
        return answer


async def delete_responses_about(
    session: WriteSession, table: type[IdempotencyMixin], ids: Sequence[UUID]
) -> None:
    """Delete the stored responses of all callers that contain one of these ids: they show a person's data."""
    await session.execute(
        delete(table).where(contains_one_of(table, ids)).execution_options(synchronize_session=False)
    )


def contains_one_of(table: type[IdempotencyMixin], ids: Sequence[UUID]) -> ColumnElement[bool]:
    """Return the SQL condition that a stored response contains one of these ids. An index has the ids of each
    response: reading all responses for each erased person would take hours on a night with many erasures.
    """
    contained: SQLColumnExpression[Any] = func.ids_in_response(table.body, type_=ARRAY(Text))
    return contained.op("&&", is_comparison=True)(literal([str(one) for one in ids], ARRAY(Text)))


async def purge_expired(database: Database, table: type[IdempotencyMixin]) -> None:
    """Delete the expired responses of all callers, in batches of one transaction each."""
    old = select(table.caller, table.key).where(table.created_at < clock.now() - KEPT).limit(PURGE_BATCH_SIZE)
    purge = delete(table).where(tuple_(table.caller, table.key).in_(old)).returning(table.key)
    while True:
        async with database.write() as session:
            if len((await session.scalars(purge)).all()) < PURGE_BATCH_SIZE:
                return


async def purge_periodically(database: Database, table: type[IdempotencyMixin]) -> None:
    """Delete expired responses every hour until cancelled."""

    async def one_round() -> float:
        await purge_expired(database, table)
        return PAUSE_SECONDS

    await run_periodically(one_round)
