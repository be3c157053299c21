"""Scan all content of a VK page: wall with threads, discussions, suggested posts, conversations."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from services.ingest.networks.calls import CallError
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, ScanStep
from services.ingest.networks.vk.reading import suggested_posts
from services.ingest.networks.vk.reading.boards import BoardReader, report_topics_read
from services.ingest.networks.vk.reading.conversations import ConversationReader
from services.ingest.networks.vk.reading.suggested_posts import SuggestedPosts
from services.ingest.networks.vk.reading.wall_reader import (
    CLOSED_TREATMENTS,
    THREADS_PER_BATCH,
    ObservedIds,
    WallReader,
    id_suffix,
)
from services.ingest.settings import IngestSettings
from shared import clock

# Result pages overlap: posts deleted during pagination move later posts to an earlier page.
OVERLAP = 5
UNAVAILABLE_CODES = {3, 23}
STEPS = ("wall", "boards", "suggests", "dialogs")
# Typical share of the work done before each step.
PROGRESS_BEFORE_STEP = {"wall": 0.0, "boards": 0.7, "suggests": 0.8, "dialogs": 0.82, "done": 1.0}


class VkPageScan:
    """Scan of one page.

    The cursor is `{step, offset, below}`: the step continues at `offset`, on the wall with threads of posts whose
    id is less than `below`. A step for which there is no token is skipped; one whose tokens are all unusable now
    raises `NoUsableToken`.
    """

    def __init__(
        self,
        page: PageRef,
        since: datetime,
        *,
        reader: WallReader,
        boards: BoardReader,
        suggested_posts: SuggestedPosts,
        dialogs: ConversationReader,
        intake: IntakeStore,
        settings: IngestSettings,
    ) -> None:
        self._page = page
        self._since = since
        self._reader = reader
        self._boards = boards
        self._suggests = suggested_posts
        self._dialogs = dialogs
        self._intake = intake
        self._settings = settings
        self._started = clock.now()
        # Threads of older posts are read too, because people still comment there.
        self._thread_horizon = min(since, self._started - timedelta(days=settings.vk_scan_thread_days))

    async def run(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Continue from the cursor to the end."""
        steps = {"wall": self._wall, "boards": self._topics, "suggests": self._suggested, "dialogs": self._talks}
        first = str(cursor.get("step", STEPS[0]))
        todo = STEPS[STEPS.index(first) :] if first in STEPS else ()
        for step in todo:
            at = cursor if step == first else {}
            try:
                async for walked in steps[step](at):
                    yield walked
            except CallError as error:
                # The content is closed, disabled or not supported by the API: skip this step.
                if error.treatment not in CLOSED_TREATMENTS and error.code not in UNAVAILABLE_CODES:
                    raise
        yield ScanStep(batch=ParsedBatch(), observed_at=clock.now(), cursor={"step": "done"}, progress=1.0)

    async def _wall(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        offset, below = int(cursor.get("offset", 0)), cursor.get("below")
        whole = not offset and below is None
        seen = ObservedIds()
        first_look = clock.now()
        while True:
            observed_at = clock.now()
            posts = await self._reader.read_posts(self._page, offset)
            new = seen.add(posts.parsed)
            here = ParsedBatch(self._since_start(posts.parsed), posts.parsed.unparsed)
            yield self._walked(here, observed_at, posts.oldest_at, step="wall", offset=offset, below=below)
            old = posts.oldest_at is not None and posts.oldest_at < self._thread_horizon
            others = await self._intake.threads_with_other_count(posts.counts, include_known=True)
            threads = {int(id_suffix(key)) for key, count in posts.counts.items() if count or key in others}
            todo = [one for one in sorted(threads, reverse=True) if below is None or one < int(below)]
            for start in range(0, len(todo), THREADS_PER_BATCH):
                observed_at = clock.now()
                batch = todo[start : start + THREADS_PER_BATCH]
                comments = ParsedBatch()
                for one in (
                    await self._reader.read_threads_with_deletions(self._page, batch, self._intake)
                ).values():
                    comments.extend(one)
                comments.items = self._since_start(comments)
                yield self._walked(
                    comments, observed_at, posts.oldest_at, step="wall", offset=offset, below=batch[-1]
                )
            below = None
            if posts.is_last or old:
                break
            # Not after a page with hardly any new post: at the end of a wall, `count` may be larger than what is
            # shown, and overlapping pages would approach it by one post each.
            offset = posts.next_offset - (OVERLAP if new > OVERLAP else 0)
        if whole:
            gone = await self._reader.deleted_posts(self._page, seen, self._since, first_look, self._intake)
            yield self._walked(ParsedBatch(gone), first_look, self._thread_horizon, step="boards")

    async def _topics(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        if not self._settings.vk_read_boards or not self._boards.has_token():
            return
        done = int(cursor.get("offset", 0))
        topics = await self._boards.topics(self._page)
        fresh = [one for one in topics if one.updated_at >= self._since]
        refusals: list[CallError] = []
        for index, topic in enumerate(sorted(fresh, key=lambda one: one.id)):
            if topic.id <= done:
                continue
            observed_at = clock.now()
            parsed, refusal = await self._boards.read_topic_if_open(self._page, topic.id, self._intake)
            if refusal is not None:
                refusals.append(refusal)
            parsed.items = self._since_start(parsed)
            share = PROGRESS_BEFORE_STEP["boards"] + (index + 1) / len(fresh) * (
                PROGRESS_BEFORE_STEP["suggests"] - PROGRESS_BEFORE_STEP["boards"]
            )
            yield ScanStep(
                batch=parsed,
                observed_at=observed_at,
                cursor={"step": "boards", "offset": topic.id},
                progress=share,
            )
        if refusals:
            report_topics_read(self._page, refusals, self._intake)

    async def _suggested(self, _cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        if not self._suggests.has_token():
            return
        observed_at = clock.now()
        parsed = await self._suggests.read(self._page)
        # Mark posts as suggested before they are stored, so that no comparison of the wall marks them deleted.
        await self._intake.store(
            self._page,
            suggested_posts.SOURCE,
            ParsedBatch(),
            thread_states=suggested_posts.suggested_thread_states(parsed),
        )
        parsed.items = self._since_start(parsed)
        yield ScanStep(
            batch=parsed,
            observed_at=observed_at,
            cursor={"step": "dialogs"},
            progress=PROGRESS_BEFORE_STEP["dialogs"],
        )

    async def _talks(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        if not self._dialogs.has_token(self._page):
            return
        offset = int(cursor.get("offset", 0))
        while True:
            observed_at = clock.now()
            talks = await self._dialogs.read_since(self._page, self._since, offset)
            talks.parsed.items = self._since_start(talks.parsed)
            offset = talks.next_offset
            share = PROGRESS_BEFORE_STEP["dialogs"] + (1 - PROGRESS_BEFORE_STEP["dialogs"]) * min(
                offset / max(talks.total, 1), 1.0
            )
            yield ScanStep(
                batch=talks.parsed,
                observed_at=observed_at,
                cursor={"step": "dialogs", "offset": offset},
                progress=share,
            )
            if talks.is_last:
                break

    def _since_start(self, parsed: ParsedBatch) -> list[Any]:
        return [item for item in parsed.items if item.written_at >= self._since or item.change == "deleted"]

    def _walked(
        self, parsed: ParsedBatch, observed_at: datetime, oldest: datetime | None, **cursor: Any
    ) -> ScanStep:
        span = (self._started - self._thread_horizon).total_seconds()
        passed = 1.0 if oldest is None else (self._started - oldest).total_seconds() / max(span, 1.0)
        share = PROGRESS_BEFORE_STEP["boards"] * min(max(passed, 0.0), 1.0)
        kept = {name: value for name, value in cursor.items() if value is not None}
        return ScanStep(batch=parsed, observed_at=observed_at, cursor=kept, progress=share)
