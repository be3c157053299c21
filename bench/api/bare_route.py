"""The floor: a route for each recorded request that runs the same SQL with asyncpg and sends the same bytes.

`python -m bench.api.bare_route RECORDED PORT`, with the database's URL in GOSPABLIK_DATABASE_URL. No sign-in, no
validation, no ORM. Each call replaces the ids that the recorded request inserted with new ids.
"""

import os
import pickle
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI, Request, Response

from bench.api.recorded_requests import RecordedRequest
from shared import gc_tuning
from shared.ids import new_id

# Traefik routes this path to metrics; in this benchmark the address of metrics is that of the bare route.
PREFIX = "/api/v1/metrics/bare"
# The number of connections of the service.
_CONNECTIONS = 8


def build_app(recorded: Mapping[str, RecordedRequest], database_url: str) -> FastAPI:
    """Return an app with the route `PREFIX/{name}`."""
    pool: asyncpg.Pool

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        nonlocal pool
        async with asyncpg.create_pool(
            database_url,
            min_size=_CONNECTIONS,
            max_size=_CONNECTIONS,
            reset=_do_not_reset,
            server_settings={"timezone": "UTC"},
        ) as pool:
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.api_route(f"{PREFIX}/{{name}}", methods=["GET", "POST"])
    async def answer(name: str, request: Request) -> Response:
        wanted = recorded[name]
        await request.body()
        inserts = any(statement.inserts for statement in wanted.statements)
        readonly = not (wanted.request.writes or inserts)
        async with pool.acquire() as connection, connection.transaction(readonly=readonly):
            await _run(connection, wanted)
        return Response(wanted.content, wanted.status, {"Content-Type": wanted.content_type})

    return app


async def _do_not_reset(_connection: Any) -> None:
    """Do not reset the connection: the service does not either."""


async def _run(connection: Any, recorded: RecordedRequest) -> None:
    made = {value: new_id() for value in recorded.new_ids}
    for statement in recorded.statements:
        if statement.many:
            await connection.executemany(statement.sql, [_replaced(row, made) for row in statement.parameters])
        else:
            await connection.fetch(statement.sql, *_replaced(statement.parameters, made))


def _replaced(parameters: Any, made: Mapping[UUID, UUID]) -> list[Any]:
    return [_new_value(value, made) for value in parameters]


def _new_value(value: Any, made: Mapping[UUID, UUID]) -> Any:
    # The rows of an INSERT may be one array per column.
    if isinstance(value, list):
        return _replaced(value, made)
    return made.get(value, value) if isinstance(value, UUID) else value


def main(path: str, port: str) -> None:
    """Serve the recorded requests in the file until a signal ends the process."""
    recorded = pickle.loads(Path(path).read_bytes())
    app = build_app(recorded, os.environ["GOSPABLIK_DATABASE_URL"])
    gc_tuning.freeze_startup_objects()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
