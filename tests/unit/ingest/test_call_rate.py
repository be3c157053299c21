"""Rate limiting of a token's calls within a process."""

import asyncio
from uuid import uuid4

from services.ingest.networks.calls import wait_for_rate_limit
from tests.support.eventually import HANG_SECONDS


async def test_two_clients_share_rate_limit_of_token() -> None:
    token, loop = uuid4(), asyncio.get_running_loop()

    async def client() -> None:
        for _ in range(3):
            await wait_for_rate_limit(token, 20)

    begun = loop.time()
    await asyncio.gather(client(), client())
    # Six calls at twenty per second need five pauses. With a limit of its own each client would need two.
    assert loop.time() - begun >= 5 / 20


async def test_tokens_have_separate_rate_limits() -> None:
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*(wait_for_rate_limit(uuid4(), 0.01) for _ in range(20)))
