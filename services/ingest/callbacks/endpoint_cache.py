"""Cache of pages with a callback registration, by external id and by secret, for a few seconds."""

import asyncio
from datetime import datetime

from cryptography.fernet import InvalidToken
from sqlalchemy import select

from services.ingest.networks.port import PageRef, ReadFailed
from services.ingest.networks.push_port import PushEndpoint
from services.ingest.networks.retry import TRANSIENT_ERRORS
from services.ingest.tokens.crypto import decrypt, token_digest
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import CallbackRegistration
from shared.tables.registry import Page

log = get_logger(__name__)

CACHE_SECONDS = 3.0
# An unknown page or secret causes a reload, at most this often, so that strangers cannot overload the database.
MIN_REFRESH_SECONDS = 0.5
READ_TIMEOUT = 3.0
RETRY_DELAY_SECONDS = 2.0


class EndpointCache:
    """Cache that reloads stale entries on access; while the database is unavailable, it keeps the last entries."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_page: dict[tuple[str, str], PushEndpoint] = {}
        self._by_digest: dict[str, PushEndpoint] = {}
        self._read_at: float | None = None
        self._failed_at = -RETRY_DELAY_SECONDS
        self._lock = asyncio.Lock()

    async def by_page(self, network: str, external_id: str) -> PushEndpoint | None:
        """Return the endpoint of a page; None if the page has none."""
        await self._not_older_than(CACHE_SECONDS)
        return self._by_page.get((network, external_id))

    async def by_secret(self, network: str, secret: str) -> PushEndpoint | None:
        """Return the endpoint whose URL ends with this secret; None if there is none."""
        await self._not_older_than(CACHE_SECONDS)
        return self._by_digest.get(token_digest(f"callback:{network}", secret))

    async def refresh(self) -> None:
        """Reload the entries unless they are fresh, so that a page registered a moment ago is found."""
        await self._not_older_than(MIN_REFRESH_SECONDS)

    async def _not_older_than(self, seconds: float) -> None:
        if self._is_fresh(seconds):
            return
        async with self._lock:
            if self._is_fresh(seconds):
                return
            started = asyncio.get_running_loop().time()
            try:
                if started - self._failed_at < RETRY_DELAY_SECONDS:
                    raise ReadFailed("the database was unavailable a moment ago")
                async with asyncio.timeout(READ_TIMEOUT):
                    await self._read()
            except TRANSIENT_ERRORS as error:
                if not isinstance(error, ReadFailed):
                    self._failed_at = asyncio.get_running_loop().time()
                if self._read_at is None or seconds < CACHE_SECONDS:
                    raise  # nothing is cached yet, or a fresh entry is required
                return
            self._read_at = started

    def _is_fresh(self, seconds: float) -> bool:
        return self._read_at is not None and asyncio.get_running_loop().time() - self._read_at < seconds

    async def _read(self) -> None:
        query = (
            select(
                CallbackRegistration.page_id,
                CallbackRegistration.network,
                CallbackRegistration.secret,
                CallbackRegistration.digest,
                CallbackRegistration.manual,
                CallbackRegistration.updated_at,
                Page.organisation_id,
                Page.external_id,
                Page.go_live_at,
            )
            .join(Page, Page.id == CallbackRegistration.page_id)
            .where(Page.active)
        )
        async with self._database.read() as session:
            rows = list(await session.execute(query))
        before = {known.page.id: known for known in self._by_digest.values()}
        by_page: dict[tuple[str, str], PushEndpoint] = {}
        digests: dict[str, PushEndpoint] = {}
        for row in rows:
            page = PageRef(
                id=row.page_id,
                organisation_id=row.organisation_id,
                network=row.network,
                external_id=row.external_id,
                go_live_at=row.go_live_at,
            )
            known = before.get(row.page_id)
            if known is None or known.updated_at != row.updated_at or known.page != page:
                known = _decrypted(page, row.secret, row.updated_at, manual=row.manual)
            if known is None:
                continue
            digests[row.digest] = known
            by_page[row.network, row.external_id] = known
        self._by_page, self._by_digest = by_page, digests


def _decrypted(page: PageRef, secret: bytes, updated_at: datetime, *, manual: bool) -> PushEndpoint | None:
    try:
        found = decrypt(secret)
    except (InvalidToken, ValueError) as error:
        log.warning("callback secret could not be decrypted", page_id=str(page.id), error=type(error).__name__)
        return None
    return PushEndpoint(page, found["secret"], found.get("confirmation_code"), manual, updated_at)
