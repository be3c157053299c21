"""What every call to a network has in common: pacing by token, and what an error means for it."""

import asyncio
from enum import StrEnum
from uuid import UUID

import aiohttp
from aiolimiter import AsyncLimiter


class Treatment(StrEnum):
    """What to do about an error code."""

    AGAIN = "again"  # the network's own trouble: it may even have done what was asked
    SLOWER = "slower"  # certainly not carried out: too many calls in this second
    LIMITED = "limited"  # this method is over for this token for a long while
    FLOOD = "flood"  # the token sends too much alike: a long pause of the method
    CAPTCHA = "captcha"  # a person has to look
    REVOKED = "revoked"  # the token is dead
    BLOCKED = "blocked"  # the token's owner or application is stopped
    DENIED = "denied"  # the right is missing, or the content is closed
    GONE = "gone"  # the object is not there
    REFUSED = "refused"  # this content or this receiver is not accepted
    BUG = "bug"  # we asked wrongly


class CallError(Exception):
    """The network answered with an error: the call was not carried out, unless `treatment` is `AGAIN`."""

    def __init__(self, network: str, method: str, code: int, text: str, treatment: Treatment) -> None:
        super().__init__(f"{network} {method}: error {code}: {text}")
        self.method = method
        self.code = code
        self.text = text
        self.treatment = treatment


class CallLost(Exception):  # noqa: N818 — nobody knows what became of it
    """No readable answer came. `sent` is False when the call certainly never reached the network."""

    def __init__(self, network: str, method: str, why: str, *, sent: bool = True) -> None:
        super().__init__(f"{network} {method}: {why}")
        self.sent = sent


class NoToken(Exception):  # noqa: N818
    """No usable token for this method now."""


class Pacer:
    """Spaces the calls of each token evenly: bursts would break a limit that counts any second."""

    def __init__(self) -> None:
        self._limiters: dict[UUID, AsyncLimiter] = {}

    async def wait(self, token_id: UUID, calls_a_second: float) -> None:
        """Wait for the token's next turn."""
        limiter = self._limiters.get(token_id)
        if limiter is None:
            # A little slower than allowed: calls spaced here may arrive closer together there.
            limiter = self._limiters[token_id] = AsyncLimiter(1, 1.08 / calls_a_second)
        await limiter.acquire()


def lost(network: str, method: str, error: Exception) -> CallLost:
    """A transport failure as `CallLost`; addresses and tokens stay out of the message."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return CallLost(network, method, "no connection", sent=False)
    if isinstance(error, asyncio.TimeoutError):
        return CallLost(network, method, "no answer in time")
    return CallLost(network, method, f"no readable answer ({type(error).__name__})")
