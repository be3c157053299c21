"""Periodically compare each group's newest topics, and the comments of active ones, with the stored messages.

This also finds edits and removals.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.ingest.networks.calls import CallError, ErrorTreatment
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.cooldowns import Cooldowns, describe_closed, is_closed_error, is_object_error
from services.ingest.networks.ok.ok_errors import NETWORK
from services.ingest.networks.ok.reading.discussion_poll import OPEN_SECOND_PREFIX, comment_count
from services.ingest.networks.ok.reading.discussion_reader import DiscussionReader, TopicPage, deletion
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, ThreadState, TokenPool
from services.ingest.networks.retry import TRANSIENT_ERRORS, run_periodically
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import get_logger

log = get_logger(__name__)

SOURCE = "topics_poll"
# How many of a group's topics, last commented first, are read again: edits change neither date nor count.
RECHECKED_TOPICS = 8
# How many topics with a changed count are read completely in one check.
MAX_FULL_READS = 20
# How far back topics are rechecked; of the other topics, one per check is read completely, in turn.
RECHECK_PERIOD = timedelta(days=7)
# A group without messages for this long is checked less often.
QUIET_AFTER = timedelta(days=3)
QUIET_INTERVAL_FACTOR = 4
# How many missing topics are looked up in one check.
MAX_MISSING_CHECKS = 5


class TopicPoller:
    """Checks every group once per `ok_topic_poll_seconds`, quiet groups less often."""

    def __init__(
        self, reader: DiscussionReader, token_pool: TokenPool, intake: IntakeStore, settings: IngestSettings
    ) -> None:
        self._reader = reader
        self._token_pool = token_pool
        self._intake = intake
        self._settings = settings
        self._due: dict[str, float] = {}
        self._quiet: set[str] = set()
        self._turn: dict[UUID, int] = {}
        self._missing_turn: dict[UUID, int] = {}
        self._cooldowns = Cooldowns()

    async def run(self) -> None:
        """Check groups until cancelled."""
        await run_periodically(SOURCE, self._round)

    def request_check(self, page: PageRef) -> None:
        """Check this group next."""
        self._due.pop(page.external_id, None)
        self._cooldowns.cancel(page.external_id)

    async def _round(self) -> float:
        pages = {page.external_id: page for page in self._token_pool.pages(NETWORK)}
        readable = [name for name in pages if not self._cooldowns.is_active(name)]
        if not readable:
            return 1
        now = asyncio.get_running_loop().time()
        name = min(readable, key=lambda one: self._due.get(one, 0.0))
        due = self._due.get(name, 0.0)
        if due > now:
            return min(due - now, 5)
        period = self._settings.ok_topic_poll_seconds
        self._due[name] = now + period * (QUIET_INTERVAL_FACTOR if name in self._quiet else 1)
        try:
            await self.check_group(pages[name])
        except CallError as error:
            if not is_closed_error(error):
                self._intake.report_failure(pages[name], SOURCE, str(error))
                raise
            reason = describe_closed(error, f"группа {name}")
            self._intake.report_failure(pages[name], SOURCE, reason)
            log.warning("group closed to our token", page_external_id=name, error=str(error)[:200])
            self._cooldowns.start(name, self._settings.ok_closed_retry_seconds)
        except TRANSIENT_ERRORS as error:
            self._intake.report_failure(pages[name], SOURCE, str(error))
            raise
        else:
            self._cooldowns.clear(name)
        return period / (len(pages) * 4)

    async def check_group(self, page: PageRef) -> None:
        """Compare a group's newest topics, and the comments of active ones, with the stored messages."""
        observed_at = clock.now()
        seen = await self._reader.topics(page)
        await self._intake.store(page, SOURCE, seen.parsed, observed_at=observed_at, edits_are_announced=False)
        await self._vanished(page, seen)
        marks = await self._intake.thread_states([f"ok:{item.external_id}" for item in seen.parsed.items])
        others = await self._intake.threads_with_other_count(
            {f"ok:{topic}": count for topic, count in seen.counts.items()}
        )
        whole, live = self._chosen(page, seen, marks, others.keys(), observed_at)
        for discussion in whole:
            await self._read(page, discussion, marks.get(f"ok:{discussion}"), seen.counts.get(discussion))
        for discussion in live:
            await self._read_back(page, discussion, observed_at - RECHECK_PERIOD)

    async def _read(self, page: PageRef, discussion: str, mark: ThreadState | None, count: int | None) -> None:
        """Read a discussion completely, and save the marker that the list of discussions will show."""
        observed_at = clock.now()
        try:
            comments, anchor = await self._reader.comments_with_deletions(page, discussion, count, self._intake)
        except CallError as error:
            if is_object_error(error) and count is not None:
                # Saved, so that a discussion that stays closed is retried with growing delays.
                refused = replace(mark or ThreadState(f"ok:{discussion}", None), count=count)
                await self._intake.store(page, SOURCE, ParsedBatch(), thread_states=[refused])
            self._closed(page, discussion, error)
            return
        marks = []
        if count is not None:
            # Without a stored marker the discussion stays unread for the discussion poll.
            marker = None if mark is None else mark.marker
            if marker is not None and count != comment_count(mark):
                marker = f"{_last_comment_time(mark)}|{count}"
            marks = [ThreadState(f"ok:{discussion}", marker, anchor, count)]
        await self._intake.store(
            page, SOURCE, comments, observed_at=observed_at, edits_are_announced=False, thread_states=marks
        )

    async def _read_back(self, page: PageRef, discussion: str, since: datetime) -> None:
        """Read the comments of a discussion back to `since`."""
        observed_at = clock.now()
        try:
            comments = await self._reader.newest_comments(page, discussion, since, removed=True)
        except CallError as error:
            self._closed(page, discussion, error)
            return
        await self._intake.store(page, SOURCE, comments, observed_at=observed_at, edits_are_announced=False)

    def _closed(self, page: PageRef, discussion: str, error: CallError) -> None:
        """Report a discussion that cannot be read. Raises the error if it concerns all discussions."""
        if not is_object_error(error):
            raise error
        log.warning("discussion read failed", discussion=discussion, error=str(error)[:200])
        self._intake.report_failure(page, SOURCE, describe_closed(error, f"обсуждение {discussion}"))

    def _chosen(
        self,
        page: PageRef,
        seen: TopicPage,
        marks: Mapping[str, ThreadState],
        others: Collection[str],
        now: datetime,
    ) -> tuple[list[str], list[str]]:
        """Return the discussions to read completely, and those to read for new comments.

        To be read completely: those whose count differs from the last read or from the stored comments (`others`),
        and one of the remaining ones, in turn.
        """
        active: dict[str, datetime] = {}
        differ: set[str] = set()
        for item in seen.parsed.items:
            discussion, mark = item.external_id, marks.get(f"ok:{item.external_id}")
            count = seen.counts.get(discussion)
            read = comment_count(mark) if mark is not None and mark.marker is not None else None
            if f"ok:{discussion}" in others or (read is not None and count is not None and count != read):
                differ.add(discussion)
            elif count == 0 or (count is None and mark is not None and not comment_count(mark)):
                continue
            active[discussion] = max(item.written_at, _moment(_last_comment_time(mark)) or item.written_at)
        order = sorted(active, key=lambda topic: active[topic], reverse=True)
        latest = max([*active.values(), *(item.written_at for item in seen.parsed.items)], default=None)
        (self._quiet.add if latest is None or latest < now - QUIET_AFTER else self._quiet.discard)(
            page.external_id
        )
        whole = [topic for topic in order if topic in differ][:MAX_FULL_READS]
        live = [topic for topic in order if topic not in differ and active[topic] >= now - RECHECK_PERIOD][
            :RECHECKED_TOPICS
        ]
        others = [topic for topic in order if topic not in whole and topic not in live]
        if others:
            turn = self._turn[page.id] = self._turn.get(page.id, -1) + 1
            whole.append(others[turn % len(others)])
        return whole, live

    async def _vanished(self, page: PageRef, seen: TopicPage) -> None:
        """Look up stored topics missing from the group's list, a few in turn; store those that no longer exist as
        deleted.
        """
        oldest = min((item.written_at for item in seen.parsed.items), default=None)
        if oldest is None and not seen.is_complete:
            return
        shown = {item.external_id for item in seen.parsed.items}
        stored = await self._intake.undeleted_ids(page, "wall_post", since=None if seen.is_complete else oldest)
        missing = sorted(stored.keys() - shown, key=lambda topic: stored[topic], reverse=True)
        turn = self._missing_turn.get(page.id, 0) % max(len(missing), 1)
        for discussion in (missing[turn:] + missing[:turn])[:MAX_MISSING_CHECKS]:
            if not await self._gone(page, discussion):
                turn = self._missing_turn[page.id] = turn + 1
                continue
            parsed = ParsedBatch([deletion(page, "wall_post", discussion, discussion, stored[discussion])])
            comments = await self._intake.undeleted_ids(page, "comment", thread_key=f"ok:{discussion}")
            parsed.items += [deletion(page, "comment", one, discussion, at) for one, at in comments.items()]
            await self._intake.store(page, SOURCE, parsed)

    async def _gone(self, page: PageRef, discussion: str) -> bool:
        """Return whether the topic no longer exists: its absence from the list alone proves nothing."""
        if await self._reader.topics_by_ids({discussion: page}):
            return False
        try:
            await self._reader.comments(page, discussion, None)
        except CallError as error:
            if not is_object_error(error):
                raise
            # Another error of the topic, such as restricted access, does not mean that it is gone.
            return error.treatment is ErrorTreatment.NOT_FOUND
        return False


def _last_comment_time(mark: ThreadState | None) -> str:
    """Return the time of the last comment, as text, from the marker of a stored state."""
    return "" if mark is None else (mark.marker or "").removeprefix(OPEN_SECOND_PREFIX).rpartition("|")[0]


def _moment(text: str) -> datetime | None:
    try:
        return ok_payloads.from_moscow_time(text)
    except ValueError:
        return None
