"""Probe idle tokens, so that an invalid token is detected within a minute."""

import asyncio
from collections.abc import Awaitable, Callable

from services.ingest.networks.port import Credential, TokenPool
from services.ingest.networks.retry import TRANSIENT_ERRORS
from shared.supervision import run_periodically

SOURCE = "tokens"
CONCURRENCY = 8


class TokenProbe:
    """Probes idle tokens of a network with a cheap call; the client reports the result to the token pool."""

    def __init__(
        self,
        network: str,
        token_pool: TokenPool,
        probe_call: Callable[[Credential], Awaitable[object]],
        seconds: float,
    ) -> None:
        self._network = network
        self._token_pool = token_pool
        self._probe_call = probe_call
        self._seconds = seconds

    async def run(self) -> None:
        """Probe idle tokens until cancelled."""
        gate = asyncio.Semaphore(CONCURRENCY)

        async def one_round() -> float:
            idle = self._token_pool.idle_tokens(self._network, self._seconds)
            await asyncio.gather(*(self._one(credential, gate) for credential in idle))
            return min(self._seconds / 8, 5)

        await run_periodically(one_round)

    async def _one(self, credential: Credential, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                await self._probe_call(credential)
            except TRANSIENT_ERRORS:
                return  # the client reports token errors to the pool; other errors say nothing about the token
