"""Slow comparison: topics of each group, edited ones among them, and live discussions read again whole."""

import asyncio

from services.ingest.networks.ok import parse
from services.ingest.networks.ok.client import OkClient
from services.ingest.networks.ok.discussions import Discussions, topics_in
from services.ingest.networks.ok.errors import NETWORK
from services.ingest.networks.port import Accounts, Feed, PageRef, Parsed
from services.ingest.networks.resting import TROUBLE, rounds
from services.ingest.settings import IngestSettings
from shared import clock

WAY = "topics_poll"
PAGE = 50
# How many of a group's newest topics are read again whole: edits change neither date nor count.
LIVE = 5


class Topics:
    """Goes round all groups; every group is looked at once in `ok_topics_seconds`."""

    def __init__(
        self,
        client: OkClient,
        accounts: Accounts,
        feed: Feed,
        settings: IngestSettings,
        discussions: Discussions,
    ) -> None:
        self._client = client
        self._accounts = accounts
        self._feed = feed
        self._settings = settings
        self._discussions = discussions
        self._looked: dict[str, float] = {}

    async def run(self) -> None:
        """Look for ever."""
        await rounds(WAY, self._round)

    async def _round(self) -> float:
        pages = {page.external_id: page for page in self._accounts.pages(NETWORK)}
        if not pages:
            return 1
        now = asyncio.get_running_loop().time()
        oldest = min(pages, key=lambda name: self._looked.get(name, -1.0))
        due = self._looked.get(oldest, -1e9) + self._settings.ok_topics_seconds
        if due > now:
            return min(due - now, 5)
        self._looked[oldest] = now
        try:
            await self.look(pages[oldest])
        except TROUBLE as error:
            self._feed.failed(pages[oldest], WAY, str(error))
            raise
        return self._settings.ok_topics_seconds / (len(pages) * 4)

    async def look(self, page: PageRef) -> None:
        """Compare the newest topics of a group, and the comments of those in use, with what is stored."""
        observed_at = clock.now()
        answer = await self._client.read("mediatopic.getTopics", gid=page.external_id, count=PAGE)
        parsed = Parsed()
        names = parse.names_of(answer) if isinstance(answer, dict) else {}
        for raw in topics_in(answer):
            parsed.add(parse.topic, raw, page, names)
        await self._feed.store(page, WAY, parsed, observed_at=observed_at)
        live = sorted(parsed.items, key=lambda item: item.written_at, reverse=True)[:LIVE]
        for item in live:
            seen_at = clock.now()
            comments, _ = await self._discussions.read_on(page, item.external_id, None)
            await self._feed.store(page, WAY, comments, observed_at=seen_at)
