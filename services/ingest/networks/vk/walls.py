"""Comparing walls with what is stored: what push did not bring, polling finds.

One wall.get tells the comment counts of a hundred posts; only those with another count are read again, whole.
"""

import asyncio
from collections import OrderedDict
from uuid import UUID

from services.ingest.networks.calls import CallError, Treatment
from services.ingest.networks.port import Accounts, Feed, PageRef, Parsed, ThreadMark
from services.ingest.networks.resting import TROUBLE, pause, rounds
from services.ingest.networks.vk.errors import NETWORK
from services.ingest.networks.vk.reading import POSTS, WallReader, last_number
from services.ingest.settings import IngestSettings
from shared import clock

WAY = "wall_poll"
MAX_DEPTH = 1_000
DAY = 86_400.0
# What the rotation leaves of the day's calls to pages that asked for a look out of turn.
ROTATION_SHARE = 0.8


class Walls:
    """Looks at all walls in turn within the day's budget; those that ask come first."""

    def __init__(self, reader: WallReader, accounts: Accounts, feed: Feed, settings: IngestSettings) -> None:
        self._reader = reader
        self._accounts = accounts
        self._feed = feed
        self._settings = settings
        self._asked: OrderedDict[UUID, None] = OrderedDict()
        self._looked: dict[UUID, float] = {}
        self._last_turn = 0.0
        self._failures = 0

    def ask(self, page: PageRef) -> None:
        """Look at this page's wall as soon as the limits allow."""
        self._asked[page.id] = None

    async def run(self) -> None:
        """Look for ever."""
        await rounds(WAY, self._round)

    async def _round(self) -> float:
        page = self._next()
        if page is None:
            return 0.3
        self._looked[page.id] = asyncio.get_running_loop().time()
        try:
            await self.look(page)
        except TROUBLE as error:
            self._feed.failed(page, WAY, str(error))
            if isinstance(error, CallError) and error.treatment in {Treatment.DENIED, Treatment.GONE}:
                return 0  # this wall is closed, others are not
            self._asked[page.id] = None
            self._failures += 1
            return pause(error, self._failures)
        self._failures = 0
        return 0

    def _next(self) -> PageRef | None:
        pages = {page.id: page for page in self._accounts.pages(NETWORK)}
        for page_id in pages:
            if page_id not in self._looked:  # a start, or a new page
                self._looked[page_id] = 0.0
                self._asked[page_id] = None
        while self._asked:
            page_id, _ = self._asked.popitem(last=False)
            if page_id in pages:
                return pages[page_id]
        now = asyncio.get_running_loop().time()
        if not pages or now - self._last_turn < DAY / (self._settings.vk_wall_calls_a_day * ROTATION_SHARE):
            return None
        self._last_turn = now
        return pages[min(pages, key=lambda page_id: self._looked[page_id])]

    async def look(self, page: PageRef) -> None:
        """Read the wall of a page, and the threads that differ from what is stored."""
        observed_at = clock.now()
        parsed, counts = await self._posts(page)
        known = await self._feed.marks(list(counts))
        await self._feed.store(page, WAY, parsed, observed_at=observed_at)
        for thread_key, count in counts.items():
            mark = known.get(thread_key)
            if mark is not None and mark.marker == str(count):
                continue
            if mark is None and count == 0:
                await self._feed.store(page, WAY, Parsed(), marks=[ThreadMark(thread_key, "0")])
                continue
            await self._read_thread(page, int(last_number(thread_key)), count)

    async def _posts(self, page: PageRef) -> tuple[Parsed, dict[str, int]]:
        """Posts down to the first page of posts that brings nothing unknown, and their comment counts."""
        parsed = Parsed()
        counts: dict[str, int] = {}
        for offset in range(0, MAX_DEPTH, POSTS):
            found = await self._reader.posts(page, offset)
            parsed.extend(found.parsed)
            known = await self._feed.marks(list(found.counts))
            counts |= found.counts
            old = found.oldest is None or found.oldest < page.live_from
            if found.last or old or known.keys() >= found.counts.keys():
                break
        return parsed, counts

    async def _read_thread(self, page: PageRef, post_id: int, count: int) -> None:
        """Read a thread whole. The mark is the count that was seen before: what came since differs from it."""
        observed_at = clock.now()
        parsed = await self._reader.compared(page, post_id, self._feed)
        mark = ThreadMark(f"vk:-{page.external_id}_{post_id}", str(count))
        await self._feed.store(page, WAY, parsed, observed_at=observed_at, marks=[mark])
