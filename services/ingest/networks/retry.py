"""Loops that never end for good: a failed round is reported and tried again after a bounded pause."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import aiohttp
import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, NoValidResponse
from services.ingest.networks.port import ReadFailed
from shared.logs import logger

log = logger(__name__)

# What the world does to a loop; anything else is a bug, and the supervisor's to see.
TRANSIENT_ERRORS = (
    CallError,
    NoValidResponse,
    NoUsableToken,
    ReadFailed,
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    aiohttp.ClientError,
)

MAX_DELAY = 30.0
NO_TOKEN_DELAY = 3.0


async def run_periodically(
    name: str, one_round: Callable[[], Awaitable[float]], failed: Callable[[str], None] | None = None
) -> None:
    """Run `one_round` for ever; it answers how many seconds to rest before the next one."""
    failures = 0
    while True:
        try:
            rest = await one_round()
        except TRANSIENT_ERRORS as error:
            failures += 1
            rest = retry_delay(error, failures)
            log.warning("a look failed", way=name, error=str(error)[:300], failures=failures, rest=rest)
            if failed is not None:
                failed(str(error))
        else:
            failures = 0
        await asyncio.sleep(rest)


def retry_delay(error: Exception, failures: int) -> float:
    """How long to rest after a failure, in seconds; spread, so that many loops do not come back at once."""
    if isinstance(error, NoUsableToken):
        return NO_TOKEN_DELAY
    if isinstance(error, CallError) and error.treatment is ErrorTreatment.SLOWER:
        return 1.0 + random.random()  # noqa: S311 — no secret
    return min(0.5 * 2.0 ** min(failures, 10), MAX_DELAY) * random.uniform(0.7, 1.0)  # noqa: S311
