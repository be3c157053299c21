"""Code shared by all network clients: call allowances, call errors and their treatment."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import aiohttp
from prometheus_client import Counter, Histogram

from services.ingest.networks.port import Credential, TokenPool, TokenState
from services.ingest.networks.refused_certificates import record_refused_certificate
from shared.http.name_resolution import HostResolver


class ErrorTreatment(StrEnum):
    """How an error of a call is treated."""

    TRANSIENT = "again"  # the network failed internally; it may have carried out the call
    RATE_LIMITED = "slower"  # not carried out: too many calls per second
    QUOTA_EXHAUSTED = "limited"  # the token's quota for this method is exhausted
    FLOOD_CONTROL = "flood"  # flood control: the method is paused, longer each time
    MISSING_SCOPE = "scope"  # this token may not call this method; another may
    CAPTCHA = "captcha"  # a person has to solve a captcha
    REVOKED = "revoked"  # the token is no longer valid
    BLOCKED = "blocked"  # the token's owner or application is blocked
    DENIED = "denied"  # no permission, or the content is closed
    NOT_FOUND = "gone"  # the object does not exist
    CONTENT_REJECTED = "refused"  # this content or recipient is not accepted
    CLIENT_ERROR = "bug"  # our request was invalid


@dataclass(frozen=True)
class TokenEffect:
    """Effect of a treatment on the token.

    With `pause_seconds`, only the method is paused, twice as long each time, up to `max_pause_seconds`. Without
    `pause_seconds`, the whole token is unusable until a person acts.
    """

    state: TokenState
    pause_seconds: float | None = None
    max_pause_seconds: float | None = None


# Effects that are the same in all networks; a network's own module adds those that pause a method.
TOKEN_STOPPING_EFFECTS: Mapping[ErrorTreatment, TokenEffect] = {
    ErrorTreatment.CAPTCHA: TokenEffect(TokenState.CAPTCHA),
    ErrorTreatment.REVOKED: TokenEffect(TokenState.REVOKED),
    ErrorTreatment.BLOCKED: TokenEffect(TokenState.BLOCKED),
}
# Errors that concern the token: another token may still succeed.
TOKEN_TREATMENTS = {
    *TOKEN_STOPPING_EFFECTS,
    ErrorTreatment.QUOTA_EXHAUSTED,
    ErrorTreatment.FLOOD_CONTROL,
    ErrorTreatment.MISSING_SCOPE,
}


class CallError(Exception):
    """The network returned an error. The call was not carried out, unless the treatment is `TRANSIENT`."""

    def __init__(self, network: str, method: str, code: int, text: str, treatment: ErrorTreatment) -> None:
        super().__init__(f"{network} {method}: error {code}: {text}")
        self.method = method
        self.code = code
        self.text = text
        self.treatment = treatment


class NoValidResponse(Exception):  # noqa: N818 — the outcome is unknown
    """No valid response was received. `was_sent` is False if the call certainly did not reach the network;
    `is_outage`: no connection to it could be made, so that other calls fail too.
    """

    def __init__(
        self, network: str, method: str, why: str, *, was_sent: bool = True, is_outage: bool = False
    ) -> None:
        super().__init__(f"{network} {method}: {why}")
        self.was_sent = was_sent
        self.is_outage = is_outage


class NoUsableToken(Exception):  # noqa: N818
    """There is no usable token for this method now."""


class TokenNotUsable(NoUsableToken):
    """This token is no longer usable; nothing was sent. Another token may be usable."""


class CallAllowanceExhausted(Exception):  # noqa: N818
    """The task has used up its call allowance; nothing was sent."""


@dataclass
class CallAllowance:
    """How many calls a task may still make, and has made. Every attempt counts."""

    left: int
    made: int = 0


_allowance: ContextVar[CallAllowance | None] = ContextVar("allowance", default=None)


@contextmanager
def limit_calls(calls: int) -> Iterator[CallAllowance]:
    """Limit the calls of the current task within the context; a further call raises `CallAllowanceExhausted`."""
    allowance = CallAllowance(left=calls)
    before = _allowance.set(allowance)
    try:
        yield allowance
    finally:
        _allowance.reset(before)


def use_call_allowance(network: str, method: str) -> None:
    """Count a call about to be sent against the task's allowance, if it has one."""
    allowance = _allowance.get()
    if allowance is None:
        return
    if allowance.left <= 0:
        raise CallAllowanceExhausted(f"{network} {method}: no call is left")
    allowance.left -= 1
    allowance.made += 1


def call_timeout(total: float) -> aiohttp.ClientTimeout:
    """Return the timeout of a call that may take `total` seconds. Connecting may take half of it, so that a
    connection that is never established is distinguished from a lost response.
    """
    return aiohttp.ClientTimeout(total=total, connect=total / 2)


def boottime_seconds() -> float:
    """Return a monotonic time in seconds that, where the system supports it, counts while the machine sleeps."""
    return time.clock_gettime(_BOOTTIME_CLOCK)


_BOOTTIME_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SendDeadlinePassed(aiohttp.ClientError):
    """The send deadline of the call has passed; nothing was sent."""


def check_send_deadline(not_after: float | None) -> None:
    """Raise `SendDeadlinePassed` if `boottime_seconds()` has reached the deadline; None means no deadline."""
    if not_after is not None and boottime_seconds() >= not_after:
        raise SendDeadlinePassed


def send_deadline_tracing() -> aiohttp.TraceConfig:
    """Return tracing for sessions that publish: it checks the send deadline after connecting, before the request.

    The deadline is passed as `trace_request_ctx={"not_after": …}`.
    """
    trace = aiohttp.TraceConfig()

    async def about_to_write(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        check_send_deadline((context.trace_request_ctx or {}).get("not_after"))

    # aiohttp calls this before it writes the headers.
    trace.on_request_headers_sent.append(about_to_write)
    return trace


@asynccontextmanager
async def open_client(
    tls: ssl.SSLContext, nameservers: Sequence[str] | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield the HTTP client for calls to networks. `nameservers`: as for `HostResolver`."""
    resolver = HostResolver(nameservers)
    # Shorter than the servers' keep-alive: the outcome of a call on a connection that the server has just closed
    # is unknown.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4, ssl=tls, resolver=resolver)
    try:
        async with aiohttp.ClientSession(connector=connector, trace_configs=[send_deadline_tracing()]) as http:
            yield http
    finally:
        await resolver.close()


def transport_failure(network: str, method: str, error: Exception) -> NoValidResponse:
    """Return a transport error as `NoValidResponse`, without URLs and tokens in the message."""
    if isinstance(error, SendDeadlinePassed):
        return NoValidResponse(network, method, "the send deadline passed before sending", was_sent=False)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = record_refused_certificate(network, error)
        return NoValidResponse(network, method, f"no connection: {why}", was_sent=False, is_outage=True)
    # A name that cannot be resolved, a refused connection, another TLS error, or a connection that takes too long.
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return NoValidResponse(network, method, "no connection", was_sent=False, is_outage=True)
    if isinstance(error, asyncio.TimeoutError):
        return NoValidResponse(network, method, "no response in time")
    return NoValidResponse(network, method, f"no valid response ({type(error).__name__})")


async def report_token_effect(
    token_pool: TokenPool,
    credential: Credential,
    failure: CallError,
    effect: TokenEffect | None,
    *,
    challenge: Mapping[str, Any] | None = None,
) -> None:
    """Report the effect of a failed call on its token to the token pool; do nothing if `effect` is None."""
    if effect is None:
        return
    reason = f"error {failure.code} of {failure.method}: {failure.text}"
    if effect.pause_seconds is None:
        asked = {**challenge, "method": failure.method} if challenge else None
        await token_pool.record_failure(credential, effect.state, reason, challenge=asked)
    else:
        await token_pool.record_failure(
            credential,
            effect.state,
            reason,
            pause_seconds=effect.pause_seconds,
            max_pause_seconds=effect.max_pause_seconds,
            method=failure.method,
        )


CALLS = Counter("gospablik_network_calls_total", "Calls to networks", ["network", "method", "outcome"])
CALL_SECONDS = Histogram("gospablik_network_call_duration_seconds", "Time until the network answered", ["network"])


def record_call(network: str, method: str, outcome: str, started: float) -> None:
    """Record a finished call in the metrics. `started`: its `time.perf_counter()` start."""
    CALLS.labels(network, method, outcome).inc()
    CALL_SECONDS.labels(network).observe(time.perf_counter() - started)
