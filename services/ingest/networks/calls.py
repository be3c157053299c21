"""What every call to a network has in common: pacing by token, how it can end, and what an error means."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import aiohttp
from aiolimiter import AsyncLimiter
from prometheus_client import Counter, Histogram

from services.ingest.networks.port import Credential, TokenPool, TokenState


class ErrorTreatment(StrEnum):
    """What to do about an error code."""

    AGAIN = "again"  # the network's own trouble: it may even have done what was asked
    SLOWER = "slower"  # certainly not carried out: too many calls in this second
    LIMITED = "limited"  # this method is over for this token for a long while
    FLOOD = "flood"  # the token sends too much alike: a pause of the method that grows
    SCOPE = "scope"  # this token may not call this method; another may
    CAPTCHA = "captcha"  # a person has to look
    REVOKED = "revoked"  # the token is dead
    BLOCKED = "blocked"  # the token's owner or application is stopped
    DENIED = "denied"  # the right is missing, or the content is closed
    GONE = "gone"  # the object is not there
    REFUSED = "refused"  # this content or this receiver is not accepted
    BUG = "bug"  # we asked wrongly


@dataclass(frozen=True)
class TokenEffect:
    """What a treatment does to the token. With `rest`, seconds, its method alone rests: each time twice as long
    as the time before, up to `longest`. Without, the whole token waits for a person.
    """

    state: TokenState
    rest: float | None = None
    longest: float | None = None


# Treatments that are not here concern the call alone.
TOKEN_STOPPING_EFFECTS: Mapping[ErrorTreatment, TokenEffect] = {
    ErrorTreatment.CAPTCHA: TokenEffect(TokenState.CAPTCHA),
    ErrorTreatment.REVOKED: TokenEffect(TokenState.REVOKED),
    ErrorTreatment.BLOCKED: TokenEffect(TokenState.BLOCKED),
}
# What another token may still do.
TOKEN_TREATMENTS = {*TOKEN_STOPPING_EFFECTS, ErrorTreatment.LIMITED, ErrorTreatment.FLOOD, ErrorTreatment.SCOPE}


class CallError(Exception):
    """The network answered with an error: the call was not carried out, unless `treatment` is `AGAIN`."""

    def __init__(self, network: str, method: str, code: int, text: str, treatment: ErrorTreatment) -> None:
        super().__init__(f"{network} {method}: error {code}: {text}")
        self.method = method
        self.code = code
        self.text = text
        self.treatment = treatment


class NoValidResponse(Exception):  # noqa: N818 — nobody knows what became of it
    """No readable answer came. `sent` is False when the call certainly never reached the network."""

    def __init__(self, network: str, method: str, why: str, *, sent: bool = True) -> None:
        super().__init__(f"{network} {method}: {why}")
        self.sent = sent


class NoUsableToken(Exception):  # noqa: N818
    """No usable token for this method now."""


class TokenNotUsable(NoUsableToken):
    """This token may not be used any more, another may: nothing was sent."""


class CallAllowanceExhausted(Exception):  # noqa: N818
    """The work at hand may make no more calls: nothing was sent."""


@dataclass
class CallAllowance:
    """How many calls a piece of work may still make, and how many it made: every attempt counts."""

    left: int
    made: int = 0


_allowance: ContextVar[CallAllowance | None] = ContextVar("allowance", default=None)


@contextmanager
def limit_calls(calls: int) -> Iterator[CallAllowance]:
    """Within it, this task makes no more calls than that; one more raises `AllowanceSpent`."""
    allowance = CallAllowance(left=calls)
    before = _allowance.set(allowance)
    try:
        yield allowance
    finally:
        _allowance.reset(before)


def use_call_allowance(network: str, method: str) -> None:
    """Take the call that is about to be sent from the allowance, if the work has one."""
    allowance = _allowance.get()
    if allowance is None:
        return
    if allowance.left <= 0:
        raise CallAllowanceExhausted(f"{network} {method}: no call is left")
    allowance.left -= 1
    allowance.made += 1


# By the loop they wait in. The worker's client and that of the routes call with the same tokens: if each paced its
# own calls alone, together they would break the limit all the time.
_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[UUID, float], AsyncLimiter]] = (
    WeakKeyDictionary()
)


async def wait_for_rate_limit(token_id: UUID, calls_a_second: float) -> None:
    """Wait for the token's next turn in this process.

    Calls are spaced evenly: bursts would break a limit that counts any second.
    """
    of_loop = _limiters.setdefault(asyncio.get_running_loop(), {})
    limiter = of_loop.get((token_id, calls_a_second))
    if limiter is None:
        # A little slower than allowed: calls spaced here may arrive closer together there.
        limiter = of_loop[token_id, calls_a_second] = AsyncLimiter(1, 1.08 / calls_a_second)
    await limiter.acquire()


def boottime_seconds() -> float:
    """Seconds that never go back and, where the system counts them, go on while the machine sleeps."""
    return time.clock_gettime(_TICKING)


_TICKING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SendDeadlinePassed(aiohttp.ClientError):
    """The time in which the call might be sent is over: nothing was written to the network."""


def check_send_deadline(not_after: float | None) -> None:
    """Raise `TooLate` past the moment, on `ticks`, after which a call may not be sent."""
    if not_after is not None and boottime_seconds() >= not_after:
        raise SendDeadlinePassed


def send_deadline_tracing() -> aiohttp.TraceConfig:
    """The tracing of sessions that publish: `in_time` once more when the connection is open, before the request.

    The moment comes as `trace_request_ctx={"not_after": …}`.
    """
    trace = aiohttp.TraceConfig()

    async def about_to_write(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        check_send_deadline((context.trace_request_ctx or {}).get("not_after"))

    # aiohttp tells of the headers before it writes them.
    trace.on_request_headers_sent.append(about_to_write)
    return trace


def transport_failure(network: str, method: str, error: Exception) -> NoValidResponse:
    """A transport failure as `CallLost`; addresses and tokens stay out of the message."""
    if isinstance(error, SendDeadlinePassed):
        return NoValidResponse(network, method, "its time was over before it was sent", sent=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return NoValidResponse(network, method, "no connection", sent=False)
    if isinstance(error, asyncio.TimeoutError):
        return NoValidResponse(network, method, "no answer in time")
    return NoValidResponse(network, method, f"no readable answer ({type(error).__name__})")


async def report_token_effect(
    accounts: TokenPool,
    credential: Credential,
    failure: CallError,
    effect: TokenEffect | None,
    *,
    challenge: Mapping[str, Any] | None = None,
) -> None:
    """Tell the accounts what a refused call means for its token; nothing when it concerns the call alone."""
    if effect is None:
        return
    reason = f"error {failure.code} of {failure.method}: {failure.text}"
    if effect.rest is None:
        asked = {**challenge, "method": failure.method} if challenge else None
        await accounts.trouble(credential, effect.state, reason, challenge=asked)
    else:
        await accounts.trouble(
            credential,
            effect.state,
            reason,
            seconds=effect.rest,
            longest=effect.longest,
            method=failure.method,
        )


CALLS = Counter("gospablik_network_calls_total", "Calls to networks", ["network", "method", "outcome"])
CALL_SECONDS = Histogram("gospablik_network_call_seconds", "Time until the network answered", ["network"])


def record_call(network: str, method: str, outcome: str, started: float) -> None:
    """A call to a network ended; `started` by `time.perf_counter`."""
    CALLS.labels(network, method, outcome).inc()
    CALL_SECONDS.labels(network).observe(time.perf_counter() - started)
