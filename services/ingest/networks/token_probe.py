"""Tokens that nothing has used for a while are tried: one that died is known within a minute."""

import asyncio
from collections.abc import Awaitable, Callable

from services.ingest.networks.port import Credential, TokenPool
from services.ingest.networks.retry import TRANSIENT_ERRORS

SOURCE = "tokens"
CONCURRENCY = 8


class TokenProbe:
    """Tries the idle tokens of a network by a cheap call; the client tells the accounts what comes of it."""

    def __init__(
        self, network: str, accounts: TokenPool, ask: Callable[[Credential], Awaitable[object]], seconds: float
    ) -> None:
        self._network = network
        self._accounts = accounts
        self._ask = ask
        self._seconds = seconds

    async def run(self) -> None:
        """Watch for ever."""
        gate = asyncio.Semaphore(CONCURRENCY)
        while True:
            idle = self._accounts.idle(self._network, self._seconds)
            await asyncio.gather(*(self._one(credential, gate) for credential in idle))
            await asyncio.sleep(min(self._seconds / 8, 5))

    async def _one(self, credential: Credential, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                await self._ask(credential)
            except TRANSIENT_ERRORS:
                return  # a refusal of the token is the accounts' already; anything else says nothing about it
