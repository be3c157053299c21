"""The VK adapter, called directly by a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp

from services.ingest.intake.store import DatabaseIntakeStore
from services.ingest.networks.port import PageRef, ScanStep
from services.ingest.networks.vk.vk_network import VkNetwork
from services.ingest.settings import ingest_settings
from services.ingest.tokens.token_pool import DatabaseTokenPool
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import Connected


@asynccontextmanager
async def vk_adapter(
    database: TestDatabase, system: Connected
) -> AsyncIterator[tuple[VkNetwork, DatabaseTokenPool]]:
    """Yield an adapter beside the worker's, with the tokens of the database."""
    accounts = DatabaseTokenPool(system.ingest.service.database)
    await accounts.refresh()
    async with aiohttp.ClientSession() as http:
        yield (
            VkNetwork(http, accounts, DatabaseIntakeStore(system.ingest.service.database), ingest_settings()),
            accounts,
        )


async def walk(
    network: VkNetwork, page: PageRef, since: datetime, cursor: Any, steps: int | None = None
) -> list[ScanStep]:
    """Return the steps of a scan, at most `steps`."""
    walked: list[ScanStep] = []
    async for step in network.scan(page, since, cursor):
        walked.append(step)
        if steps is not None and len(walked) >= steps:
            break
    return walked
