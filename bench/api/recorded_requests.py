"""Record requests to the appeals service: the SQL statements and the response."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import event
from sqlalchemy.engine import Engine

from shared.auth import tokens

_UUID7 = 7


@dataclass(frozen=True)
class Request:
    """A request to measure."""

    name: str
    method: str
    path: str
    body: dict[str, str] | None = None

    @property
    def writes(self) -> bool:
        """Return whether the request changes data."""
        return self.method != "GET"


@dataclass(frozen=True)
class Statement:
    """A statement with its parameters or, with `many`, with a list of parameter sets."""

    sql: str
    parameters: Any
    many: bool

    @property
    def inserts(self) -> bool:
        """Return whether the statement inserts rows. A read of citizens' texts does: it records the reader."""
        return self.sql.lstrip().startswith("INSERT")


@dataclass(frozen=True)
class RecordedRequest:
    """The statements of one request, the ids that it inserted, and its response."""

    request: Request
    statements: Sequence[Statement]
    new_ids: frozenset[UUID]
    status: int
    content_type: str
    content: bytes


@asynccontextmanager
async def appeals_service() -> AsyncIterator[httpx.AsyncClient]:
    """Run the appeals service in this process, with settings from the environment; yield a client of it."""
    # Imported after the environment is set: settings are read once in a process.
    from services.appeals.app import build_service  # noqa: PLC0415

    app = build_service().build("api")
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://bench", timeout=120) as client,
    ):
        yield client


async def record(client: httpx.AsyncClient, request: Request, token: str) -> RecordedRequest:
    """Send the request twice and return a record of the second, when caches are filled."""
    await _send(client, request, token)
    sent: list[Statement] = []

    def note(*details: Any) -> None:
        _connection, _cursor, sql, parameters, _context, many = details
        sent.append(Statement(sql, parameters, many))

    event.listen(Engine, "before_cursor_execute", note)
    response = await _send(client, request, token)
    event.remove(Engine, "before_cursor_execute", note)
    return RecordedRequest(
        request=request,
        statements=sent,
        new_ids=frozenset(
            value
            for statement in sent
            if statement.inserts
            for value in _values(statement.parameters)
            if isinstance(value, UUID) and value.version == _UUID7
        ),
        status=response.status_code,
        content_type=response.headers["Content-Type"],
        content=response.content,
    )


async def _send(client: httpx.AsyncClient, request: Request, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    response = await client.request(request.method, request.path, json=request.body, headers=headers)
    if response.status_code not in {200, 201}:
        raise RuntimeError(f"{request.name}: {response.status_code} {response.text}")
    return response


def _values(parameters: Any) -> list[Any]:
    if isinstance(parameters, list | tuple):
        return [value for one in parameters for value in _values(one)]
    return [parameters]


def moderator_token(keys: Path, person_id: UUID) -> str:
    """Return an access token of a moderator as the issuer signs it, valid for two hours."""
    signer = tokens.Signer(tokens.PEOPLE_ISSUER, tokens.read_key(keys / "people.jwk"))
    session_id = str(UUID(int=2))
    lifetime = timedelta(hours=2)
    return signer.sign(
        str(person_id), tokens.PEOPLE_AUDIENCE, lifetime, name="Bench", role="moderator", sid=session_id
    )
