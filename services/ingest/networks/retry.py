"""Loops that retry failed rounds with bounded backoff."""

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

# Transient I/O errors. Any other exception is a bug and goes to the supervisor.
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
    name: str, one_round: Callable[[], Awaitable[float]], report_failure: Callable[[str], None] | None = None
) -> None:
    """Run `one_round` until cancelled; it returns the seconds until the next round. Failures are retried."""
    failures = 0
    while True:
        try:
            delay = await one_round()
        except TRANSIENT_ERRORS as error:
            failures += 1
            delay = retry_delay(error, failures)
            log.warning("a round failed", way=name, error=str(error)[:300], failures=failures, rest=delay)
            if report_failure is not None:
                report_failure(str(error))
        else:
            failures = 0
        await asyncio.sleep(delay)


def retry_delay(error: Exception, failures: int) -> float:
    """Return the delay after a failure in seconds, with jitter so that many loops do not retry at once."""
    if isinstance(error, NoUsableToken):
        return NO_TOKEN_DELAY
    if isinstance(error, CallError) and error.treatment is ErrorTreatment.RATE_LIMITED:
        return 1.0 + random.random()  # noqa: S311 — no secret
    return min(0.5 * 2.0 ** min(failures, 10), MAX_DELAY) * random.uniform(0.7, 1.0)  # noqa: S311
