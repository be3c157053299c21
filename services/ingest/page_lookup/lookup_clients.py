"""Network clients for page lookup in API processes, which do not run the worker."""

import asyncio
from typing import Annotated

from fastapi import Depends, Request

from services.ingest.networks import catalogue
from services.ingest.page_lookup.audience import RefusedStatistics
from services.ingest.settings import IngestSettings, ingest_settings
from services.ingest.tokens.token_pool import DatabaseTokenPool
from shared.service import Service, get_service


class PageLookupClients:
    """Page lookups by network, with their own token pool; their calls count towards the worker's budgets too."""

    def __init__(self, service: Service, settings: IngestSettings) -> None:
        self.token_pool = DatabaseTokenPool(service.database, settings)
        self.refused_statistics = RefusedStatistics()
        self.lookups = catalogue.create_page_lookups(service.http, self.token_pool, settings)
        self._settings = settings
        self._refreshing = asyncio.Lock()
        self._refreshed_at: float | None = None

    async def refresh(self) -> None:
        """Reload pages and tokens if they are stale."""
        async with self._refreshing:
            now = asyncio.get_running_loop().time()
            if self._refreshed_at is None or now - self._refreshed_at >= self._settings.page_refresh_seconds:
                await self.token_pool.refresh()
                self._refreshed_at = asyncio.get_running_loop().time()


async def _clients(request: Request) -> PageLookupClients:
    state = request.app.state
    if not hasattr(state, "page_lookup_clients"):
        state.page_lookup_clients = PageLookupClients(get_service(request), ingest_settings())
    clients: PageLookupClients = state.page_lookup_clients
    await clients.refresh()
    return clients


PageLookupClientsDep = Annotated[PageLookupClients, Depends(_clients)]
