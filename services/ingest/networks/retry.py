"""Loops that never end for good: a failed round is reported and tried again after a bounded pause."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import aiohttp
import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.networks.calls import CallError, CallLost, NoToken, Treatment
from services.ingest.networks.port import NotRead
from shared.logs import logger

log = logger(__name__)

# What the world does to a loop; anything else is a bug, and the supervisor's to see.
TROUBLE = (
    CallError,
    CallLost,
    NoToken,
    NotRead,
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    aiohttp.ClientError,
)

MAX_PAUSE = 30.0
TOKEN_PAUSE = 3.0


async def rounds(
    name: str, one_round: Callable[[], Awaitable[float]], failed: Callable[[str], None] | None = None
) -> None:
    """Run `one_round` for ever; it answers how many seconds to rest before the next one."""
    failures = 0
    while True:
        try:
            rest = await one_round()
        except TROUBLE as error:
            failures += 1
            rest = pause(error, failures)
            log.warning("a look failed", way=name, error=str(error)[:300], failures=failures, rest=rest)
            if failed is not None:
                failed(str(error))
        else:
            failures = 0
        await asyncio.sleep(rest)


def pause(error: Exception, failures: int) -> float:
    """How long to rest after a failure, in seconds; spread, so that many loops do not come back at once."""
    if isinstance(error, NoToken):
        return TOKEN_PAUSE
    if isinstance(error, CallError) and error.treatment is Treatment.SLOWER:
        return 1.0 + random.random()  # noqa: S311 — no secret
    return min(0.5 * 2.0 ** min(failures, 10), MAX_PAUSE) * random.uniform(0.7, 1.0)  # noqa: S311
