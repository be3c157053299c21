"""Comparing walls with what is stored: what push did not bring, polling finds.

One wall.get tells the comment counts of a hundred posts; only those with another count are read again, whole.
"""

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.ingest.networks.calls import CallError, CallLost, NoToken, Treatment
from services.ingest.networks.port import Accounts, Feed, PageRef, Parsed, ThreadMark, TokenKind
from services.ingest.networks.resting import TROUBLE, pause, rounds
from services.ingest.networks.vk import parse
from services.ingest.networks.vk.client import VkClient
from services.ingest.networks.vk.errors import NETWORK
from services.ingest.settings import IngestSettings
from shared import clock

WAY = "wall_poll"
POSTS = 100
COMMENTS = 100
MAX_DEPTH = 1_000
DAY = 86_400.0
# What the rotation leaves of the day's calls to pages that asked for a look out of turn.
ROTATION_SHARE = 0.8


class Walls:
    """Looks at all walls in turn within the day's budget; those that ask come first."""

    def __init__(self, client: VkClient, accounts: Accounts, feed: Feed, settings: IngestSettings) -> None:
        self._client = client
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
        for thread_key, (post_id, count) in counts.items():
            mark = known.get(thread_key)
            if mark is not None and mark.marker == str(count):
                continue
            if mark is None and count == 0:
                await self._feed.store(page, WAY, Parsed(), marks=[ThreadMark(thread_key, "0")])
                continue
            await self._read_thread(page, post_id, count)

    async def _posts(self, page: PageRef) -> tuple[Parsed, dict[str, tuple[int, int]]]:
        """Posts down to the first page of posts that brings nothing unknown, and their comment counts."""
        parsed = Parsed()
        counts: dict[str, tuple[int, int]] = {}
        for offset in range(0, MAX_DEPTH, POSTS):
            answer = await self._read(
                "wall.get", owner_id=f"-{page.external_id}", offset=offset, count=POSTS, extended=1
            )
            names = parse.names_of(answer)
            found = Parsed()
            for raw in _items(answer, "wall.get"):
                found.add(parse.post, raw, page, names, "seen")
            here: dict[str, tuple[int, int]] = {}
            for item in found.items:
                comments = item.raw.get("comments")
                count = comments.get("count", 0) if isinstance(comments, dict) else 0
                here[item.thread_key] = (int(item.external_id.rpartition("_")[2]), int(count))
            parsed.extend(found)
            known = await self._feed.marks(list(here))
            counts |= here
            dates = [item.written_at for item in found.items if not item.raw.get("is_pinned")]
            oldest = min(dates, default=datetime.fromtimestamp(0, UTC))
            if len(found.items) < POSTS or known.keys() >= here.keys() or oldest < page.live_from:
                break
        return parsed, counts

    async def _read_thread(self, page: PageRef, post_id: int, count: int) -> None:
        """Read a thread whole. The mark is the count that was seen before: what came since differs from it."""
        observed_at = clock.now()
        try:
            parsed = await self.comments(page, post_id)
        except CallError as error:
            if error.treatment not in {Treatment.DENIED, Treatment.GONE}:
                raise
            parsed = Parsed()  # deleted or closed meanwhile
        mark = ThreadMark(f"vk:-{page.external_id}_{post_id}", str(count))
        await self._feed.store(page, WAY, parsed, observed_at=observed_at, marks=[mark])

    async def comments(self, page: PageRef, post_id: int) -> Parsed:
        """All comments of a post, replies included."""
        parsed = Parsed()
        roots: list[tuple[int, int, int]] = []
        offset = 0
        while True:
            answer = await self._comments(page, post_id, offset, thread_items_count=10)
            names = parse.names_of(answer)
            items = _items(answer, "wall.getComments")
            for raw in items:
                parsed.add(parse.comment, raw, page, post_id, names, "seen")
                replies = _replies(raw)
                for reply in replies:
                    parsed.add(parse.comment, reply, page, post_id, names, "seen")
                if (total := _thread_count(raw)) > len(replies):
                    roots.append((raw["id"], len(replies), total))
            offset += len(items)
            if not items or offset >= _number(answer, "current_level_count", 0):
                break
        for root, got, total in roots:
            parsed.extend(await self._replies(page, post_id, root, got=got, total=total))
        return parsed

    async def _replies(self, page: PageRef, post_id: int, root: int, *, got: int, total: int) -> Parsed:
        parsed = Parsed()
        offset = got
        while offset < total:
            answer = await self._comments(page, post_id, offset, comment_id=root)
            names = parse.names_of(answer)
            items = _items(answer, "wall.getComments")
            for raw in items:
                parsed.add(parse.comment, raw, page, post_id, names, "seen")
            if not items:
                break
            offset += len(items)
            total = max(total, _number(answer, "current_level_count", 0))
        return parsed

    async def _comments(self, page: PageRef, post_id: int, offset: int, **more: int) -> Any:
        return await self._read(
            "wall.getComments",
            owner_id=f"-{page.external_id}",
            post_id=post_id,
            offset=offset,
            count=COMMENTS,
            sort="asc",
            extended=1,
            **more,
        )

    async def _read(self, method: str, **params: Any) -> Any:
        credential = self._client.credential(method, TokenKind.SERVICE, TokenKind.USER)
        return await self._client.read(credential, method, **params)

    def can_read(self) -> bool:
        """Whether there is a token that may read walls now."""
        try:
            self._client.credential("wall.getComments", TokenKind.SERVICE, TokenKind.USER)
        except NoToken:
            return False
        return True


def _items(answer: Any, method: str) -> list[Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise CallLost(NETWORK, method, "no items in the answer")
    items: list[Any] = answer["items"]
    return items


def _number(answer: dict[str, Any], name: str, default: int) -> int:
    value = answer.get(name, default)
    return value if isinstance(value, int) else default


def _thread(raw: Any) -> dict[str, Any]:
    thread = raw.get("thread") if isinstance(raw, dict) and isinstance(raw.get("id"), int) else None
    return thread if isinstance(thread, dict) else {}


def _replies(raw: Any) -> list[Any]:
    items = _thread(raw).get("items")
    return items if isinstance(items, list) else []


def _thread_count(raw: Any) -> int:
    return _number(_thread(raw), "count", 0)
