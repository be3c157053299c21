"""Whose a pushed event is: pages with a registered push, by community or by secret, kept for a few seconds."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from cryptography.fernet import InvalidToken
from sqlalchemy import select

from services.ingest.networks.port import NotRead, PageRef
from services.ingest.networks.retry import TROUBLE
from services.ingest.tokens.crypto import decrypt, token_digest
from shared.database.sessions import Database
from shared.logs import logger
from shared.tables.ingest import CallbackServer
from shared.tables.registry import Page

log = logger(__name__)

FRESH_SECONDS = 3.0
# What is not found is looked for again, but strangers cannot make the database busy by that.
AGAIN_SECONDS = 0.5
READ_SECONDS = 3.0
PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Known:
    """A page whose events may be pushed here."""

    page: PageRef
    secret: str
    code: str | None
    by_hand: bool
    updated_at: datetime


class Lookup:
    """Reads pages and secrets when asked and not fresh; with the database away, what was known goes on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_community: dict[str, Known] = {}
        self._by_digest: dict[str, Known] = {}
        self._read_at: float | None = None
        self._failed_at = -PAUSE_SECONDS
        self._lock = asyncio.Lock()

    async def community(self, external_id: str) -> Known | None:
        """A page of VK by its community."""
        await self._not_older_than(FRESH_SECONDS)
        return self._by_community.get(external_id)

    async def secret_path(self, secret: str) -> Known | None:
        """The page whose address ends with this secret."""
        await self._not_older_than(FRESH_SECONDS)
        return self._by_digest.get(token_digest("callback:ok", secret))

    async def look_again(self) -> None:
        """Have a page that was set up a moment ago found."""
        await self._not_older_than(AGAIN_SECONDS)

    async def _not_older_than(self, seconds: float) -> None:
        if self._is_fresh(seconds):
            return
        async with self._lock:
            if self._is_fresh(seconds):
                return
            started = asyncio.get_running_loop().time()
            try:
                if started - self._failed_at < PAUSE_SECONDS:
                    raise NotRead("the database was away a moment ago")
                async with asyncio.timeout(READ_SECONDS):
                    await self._read()
            except TROUBLE as error:
                if not isinstance(error, NotRead):
                    self._failed_at = asyncio.get_running_loop().time()
                if self._read_at is None or seconds < FRESH_SECONDS:
                    raise  # nothing is known, or not what is asked for
                return
            self._read_at = started

    def _is_fresh(self, seconds: float) -> bool:
        return self._read_at is not None and asyncio.get_running_loop().time() - self._read_at < seconds

    async def _read(self) -> None:
        query = (
            select(
                CallbackServer.page_id,
                CallbackServer.network,
                CallbackServer.secret,
                CallbackServer.digest,
                CallbackServer.by_hand,
                CallbackServer.updated_at,
                Page.organisation_id,
                Page.external_id,
                Page.live_from,
            )
            .join(Page, Page.id == CallbackServer.page_id)
            .where(Page.active)
        )
        async with self._database.read() as session:
            rows = list(await session.execute(query))
        before = {known.page.id: known for known in self._by_digest.values()}
        communities: dict[str, Known] = {}
        digests: dict[str, Known] = {}
        for row in rows:
            page = PageRef(
                id=row.page_id,
                organisation_id=row.organisation_id,
                network=row.network,
                external_id=row.external_id,
                live_from=row.live_from,
            )
            known = before.get(row.page_id)
            if known is None or known.updated_at != row.updated_at or known.page != page:
                known = _opened(page, row.secret, row.updated_at, by_hand=row.by_hand)
            if known is None:
                continue
            digests[row.digest] = known
            if row.network == "vk":
                communities[row.external_id] = known
        self._by_community, self._by_digest = communities, digests


def _opened(page: PageRef, secret: bytes, updated_at: datetime, *, by_hand: bool) -> Known | None:
    try:
        found = decrypt(secret)
    except (InvalidToken, ValueError) as error:
        log.warning("a callback's secret cannot be read", page_id=str(page.id), error=type(error).__name__)
        return None
    return Known(page, found["secret"], found.get("confirmation_code"), by_hand, updated_at)
