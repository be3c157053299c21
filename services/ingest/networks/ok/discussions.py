"""Polling discussions: one list tells which discussions of all groups moved, and those are read on."""

import asyncio
from dataclasses import dataclass
from typing import Any

from services.ingest.networks.calls import CallError, CallLost, Treatment
from services.ingest.networks.ok import parse
from services.ingest.networks.ok.client import OkClient
from services.ingest.networks.ok.errors import NETWORK
from services.ingest.networks.port import Accounts, Feed, PageRef, Parsed, ThreadMark
from services.ingest.networks.resting import TROUBLE, rounds
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import logger

log = logger(__name__)

WAY = "discussions_poll"
PAGE = 100
MAX_PAGES = 500
BATCH = 50
FIELDS = "comment.*,date_ms"
# A mark whose second is not over: the same second may bring more without another count.
UNSETTLED = "~"


@dataclass(frozen=True)
class Moved:
    """A discussion that differs from what is stored."""

    page: PageRef
    topic_id: str
    marker: str
    count: int
    known: ThreadMark | None

    @property
    def thread_key(self) -> str:
        """The key of its thread."""
        return f"ok:{self.topic_id}"


class Discussions:
    """Reads what is new in the discussions of all groups of the registry."""

    def __init__(self, client: OkClient, accounts: Accounts, feed: Feed, settings: IngestSettings) -> None:
        self._client = client
        self._accounts = accounts
        self._feed = feed
        self._settings = settings
        self._walked_at: float | None = None
        self._walked_pages: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look for ever."""
        await rounds(WAY, self._round)

    async def _round(self) -> float:
        now = asyncio.get_running_loop().time()
        pages = frozenset(page.external_id for page in self._accounts.pages(NETWORK))
        due = self._walked_at is None or now - self._walked_at > self._settings.ok_walk_seconds
        whole = due or not pages <= self._walked_pages
        try:
            moved, seen = await self._moved(whole=whole)
        except TROUBLE as error:
            for page in self._accounts.pages(NETWORK):
                self._feed.failed(page, WAY, str(error))
            raise
        complete = await self._take(moved)
        for page in seen:
            self._feed.well(page, WAY)
        if whole and complete:
            self._walked_at, self._walked_pages = now, pages
        elif not complete:
            self._walked_at = None  # a discussion left behind is found by walking the whole list
        return self._settings.ok_discussions_seconds

    async def _moved(self, *, whole: bool) -> tuple[list[Moved], list[PageRef]]:
        """Discussions that moved: the whole list, or down to the first page of it without news."""
        moved: dict[str, Moved] = {}
        anchor: str | None = None
        for _ in range(MAX_PAGES):
            answer = await self._client.read(
                "discussions.getList", category="GROUP", types=parse.GROUP_TOPIC, count=PAGE, anchor=anchor
            )
            if not isinstance(answer, dict):
                raise CallLost(NETWORK, "discussions.getList", "the answer is no object")
            rows = answer.get("discussions")
            rows = rows if isinstance(rows, list) else []
            news = await self._compare(rows)
            moved |= {one.topic_id: one for one in news if one.topic_id not in moved}
            anchor = answer.get("anchor")
            if not rows or not anchor or (not news and not whole):
                break
        # The list is the freshest first. The oldest goes first: what is left undone stays on top of the list.
        return list(moved.values())[::-1], list(self._accounts.pages(NETWORK))

    async def _compare(self, rows: list[Any]) -> list[Moved]:
        found = []
        for raw in rows:
            shown = parse.discussion(raw)
            page = None if shown is None else self._accounts.page(NETWORK, shown[1])
            if shown is not None and page is not None:
                found.append((page, shown))
        known = await self._feed.marks([f"ok:{shown[0]}" for _, shown in found])
        moved = []
        for page, (topic_id, _, marker, count) in found:
            mark = known.get(f"ok:{topic_id}")
            if mark is None or mark.marker != marker:
                moved.append(Moved(page, topic_id, marker, count, mark))
        return moved

    async def _take(self, moved: list[Moved]) -> bool:
        """Store the topics that are unknown, then the comments of all; says whether nothing was left behind."""
        await self._unknown_topics([one for one in moved if one.known is None])
        complete = True
        for one in moved:
            try:
                await self._comments(one)
            except TROUBLE as error:
                complete = False
                self._feed.failed(one.page, WAY, str(error))
                log.warning("a discussion was not read", topic=one.topic_id, error=str(error)[:200])
        return complete

    async def _unknown_topics(self, moved: list[Moved]) -> None:
        for start in range(0, len(moved), BATCH):
            chunk = moved[start : start + BATCH]
            observed_at = clock.now()
            by_page = await self._topics({one.topic_id: one.page for one in chunk})
            for page, parsed in by_page:
                await self._feed.store(page, WAY, parsed, observed_at=observed_at)

    async def _topics(self, wanted: dict[str, PageRef]) -> list[tuple[PageRef, Parsed]]:
        """Topics by their ids, sorted by page."""
        answer = await self._client.read("mediatopic.getByIds", topic_ids=",".join(wanted), media_limit=3)
        found: dict[str, tuple[PageRef, Parsed]] = {}
        for raw in topics_in(answer):
            page = wanted.get(str(raw.get("id"))) if isinstance(raw, dict) else None
            if page is None:
                continue
            whole = raw
            if len(raw.get("media") or []) >= 3:  # cut off at the limit: asked for alone, it comes whole
                single = await self._client.read("mediatopic.getByIds", topic_ids=raw["id"])
                whole = next(iter(topics_in(single)), raw)
            _, parsed = found.setdefault(page.external_id, (page, Parsed()))
            parsed.add(parse.topic, whole, page, parse.names_of(answer))
        return list(found.values())

    async def _comments(self, one: Moved) -> None:
        """Read a discussion on from its anchor; whole, when comments have vanished from it."""
        observed_at = clock.now()
        before = _count(one.known)
        anchor = one.known.anchor if one.known is not None and one.count >= before else None
        parsed = Parsed()
        if one.count or before:
            try:
                parsed, anchor = await self.read_on(one.page, one.topic_id, anchor)
            except CallError as error:
                if error.treatment is not Treatment.GONE:
                    raise
                anchor = None
        settled = one.known is not None and one.known.marker == UNSETTLED + one.marker
        marker = one.marker if settled else UNSETTLED + one.marker
        await self._feed.store(
            one.page,
            WAY,
            parsed,
            observed_at=observed_at,
            marks=[ThreadMark(one.thread_key, marker, anchor)],
        )

    async def read_on(self, page: PageRef, topic_id: str, anchor: str | None) -> tuple[Parsed, str | None]:
        """Comments after an anchor (all without one), the removed ones as deletions, and where reading ended."""
        parsed = Parsed()
        start = anchor or "FIRST"
        while True:
            answer = await self._client.read(
                "discussions.getComments",
                discussionId=topic_id,
                discussionType=parse.GROUP_TOPIC,
                anchor=start,
                direction="FORWARD",
                count=PAGE,
                fields=FIELDS,
                includeRemoved=True,
            )
            rows = comments_in(answer)
            names = parse.names_of(answer)
            for raw in rows:
                parsed.add(parse.comment, raw, page, topic_id, names)
            reached = answer.get("anchor")
            if reached:
                anchor = str(reached)
            if not answer.get("has_more") or not rows or not reached or reached == start:
                return parsed, anchor
            start = str(reached)


def _count(mark: ThreadMark | None) -> int:
    tail = (mark.marker or "").rpartition("|")[2] if mark is not None else ""
    return int(tail) if tail.isdigit() else 0


def topics_in(answer: Any) -> list[Any]:
    """The topics of an answer. Raises `CallLost` when it is no such answer."""
    if not isinstance(answer, dict):
        raise CallLost(NETWORK, "mediatopic", "the answer is no object")
    found = answer.get("media_topics")
    return found if isinstance(found, list) else []


def comments_in(answer: Any) -> list[Any]:
    """The comments of an answer. Raises `CallLost` when it is no such answer."""
    if not isinstance(answer, dict) or not isinstance(answer.get("comments"), list):
        raise CallLost(NETWORK, "discussions.getComments", "no comments in the answer")
    rows: list[Any] = answer["comments"]
    return rows
