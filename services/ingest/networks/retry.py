"""Loops that retry failed rounds with bounded backoff."""

import random
from collections.abc import Awaitable, Callable

import aiohttp
import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, NoValidResponse
from services.ingest.networks.port import ReadFailed
from shared import supervision
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

# Transient I/O errors. Any other exception is a bug.
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

# Jitter: many loops must not retry at the same time.
BACKOFF = Backoff(1.0, 30.0, jitter=0.3)
NO_TOKEN_DELAY = 3.0


async def run_periodically(
    name: str, one_round: Callable[[], Awaitable[float]], report_failure: Callable[[str], None] | None = None
) -> None:
    """Run `one_round` until cancelled; it returns the seconds until the next round.

    Transient errors are retried; other errors are raised.
    """

    def delay_after(error: Exception, failures: int) -> float | None:
        if not isinstance(error, TRANSIENT_ERRORS):
            return None
        delay = retry_delay(error, failures)
        log.warning(
            "source loop failed", loop=name, error=str(error)[:300], failures=failures, retry_in_seconds=delay
        )
        if report_failure is not None:
            report_failure(str(error))
        return delay

    await supervision.run_periodically(one_round, delay_after)


def retry_delay(error: Exception, failures: int) -> float:
    """Return the delay in seconds after `failures` failures in a row, the last of which was this error."""
    if isinstance(error, NoUsableToken):
        return NO_TOKEN_DELAY
    if isinstance(error, CallError) and error.treatment is ErrorTreatment.RATE_LIMITED:
        return 1.0 + random.random()  # noqa: S311 — no secret
    return BACKOFF.delay(failures)
