"""Poll discussions: find changed ones in the list of all groups' discussions and read their new comments."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.cooldowns import Cooldowns, describe_closed, is_object_error
from services.ingest.networks.ok.ok_errors import NETWORK, REQUEST_ERRORS
from services.ingest.networks.ok.ok_payloads import DiscussionRow
from services.ingest.networks.ok.reading.discussion_list import DiscussionList
from services.ingest.networks.ok.reading.discussion_reader import DiscussionReader
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, ThreadState, TokenPool
from services.ingest.networks.retry import TRANSIENT_ERRORS, run_periodically
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

SOURCE = "discussions_poll"
# How many discussions are read before the top of the list is read again, and how many concurrently.
DISCUSSIONS_PER_ROUND = 50
CONCURRENCY = 4
# Prefix of a marker that may have been read in the second that it names: more comments may follow in that second.
OPEN_SECOND_PREFIX = "~"
SECOND_ENDED_AFTER = timedelta(minutes=5)
# Seconds until a discussion is read again if an edit was stored during the read: the text read may be older.
UNSETTLED_COOLDOWN_SECONDS = 60.0
# How long the error of one discussion is shown before a success replaces it, in seconds.
ERROR_SHOWN_SECONDS = 10.0
BACKOFF = Backoff(2.0, 120.0)
# How often success is reported for all pages, in seconds.
SUCCESS_REPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ChangedDiscussion:
    """A discussion that differs from the stored state; `read_whole`: read all of it, not only after its anchor."""

    page: PageRef
    row: DiscussionRow
    stored_state: ThreadState | None
    read_whole: bool = False

    @property
    def key(self) -> str:
        """Return the discussion key."""
        return self.row.key

    @property
    def thread_key(self) -> str:
        """Return the thread key."""
        return f"ok:{self.row.key}"


class DiscussionPoller:
    """Reads new comments in the discussions of all groups of the registry."""

    def __init__(
        self,
        reader: DiscussionReader,
        listing: DiscussionList,
        token_pool: TokenPool,
        intake: IntakeStore,
        settings: IngestSettings,
    ) -> None:
        self._reader = reader
        self._listing = listing
        self._token_pool = token_pool
        self._intake = intake
        self._settings = settings
        self._cooldowns = Cooldowns()
        self._todo: dict[str, ChangedDiscussion] = {}
        # Queued discussions whose last request was refused as wrong.
        self._refused: set[str] = set()
        self._pages: frozenset[str] = frozenset()
        self._shown_errors: dict[UUID, tuple[float, str]] = {}
        self._success_reported_at = 0.0
        self._success_pages: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Poll until cancelled."""
        self._listing.start_full_pass()
        await run_periodically(SOURCE, self._round)

    def request_check(self, page: PageRef) -> None:
        """Request a full pass, and end the cooldowns of this page's discussions."""
        self._listing.request_full_pass()
        for one in self._todo.values():
            if one.page.id == page.id:
                self._cooldowns.cancel(one.key)

    async def _round(self) -> float:
        pages = frozenset(page.external_id for page in self._token_pool.pages(NETWORK))
        if not pages <= self._pages:
            self._listing.start_full_pass()
        self._pages = pages
        now = asyncio.get_running_loop().time()
        try:
            failure = await self._list()
            left = await self._take()  # also after a failure of the list: read the discussions found so far
            if failure is not None:
                raise failure
        except TRANSIENT_ERRORS as error:
            for page in self._token_pool.pages(NETWORK):
                self._intake.report_failure(page, SOURCE, str(error))
            self._success_pages = frozenset()
            raise
        self._report_round(pages, now)
        return 0.05 if left or self._listing.in_full_pass else self._settings.ok_discussion_poll_seconds

    def _report_round(self, pages: frozenset[str], now: float) -> None:
        """Report the result of the round by page: errors of discussions each time, success periodically."""
        every = now - self._success_reported_at >= SUCCESS_REPORT_SECONDS or pages != self._success_pages
        if every:
            self._success_reported_at, self._success_pages = now, pages
        for page in self._token_pool.pages(NETWORK):
            until, reason = self._shown_errors.get(page.id, (0.0, ""))
            if until > now:
                self._intake.report_failure(page, SOURCE, reason)  # again: a stored batch may have cleared it
            elif self._shown_errors.pop(page.id, None) is not None or every:
                self._intake.report_success(page, SOURCE)

    async def _list(self) -> Exception | None:
        try:
            await self._listing.read_top(self._queue_changed)
            await self._listing.continue_full_pass(self._queue_changed)
        except TRANSIENT_ERRORS as error:
            return error
        return None

    async def _queue_changed(self, rows: list[DiscussionRow]) -> bool:
        """Queue the discussions that differ from the stored state; return whether any was queued."""
        found = [(page, one) for one in rows if (page := self._token_pool.page(NETWORK, one.group_id)) is not None]
        known = await self._intake.thread_states([f"ok:{one.key}" for _, one in found])
        stored_counts = await self._intake.threads_with_other_count(
            {f"ok:{one.key}": one.count for _, one in found}
        )
        queued = False
        for page, one in found:
            key = f"ok:{one.key}"
            mark, stored_count = known.get(key), stored_counts.get(key)
            waiting = self._todo.get(one.key)
            marker = None if mark is None else mark.marker
            if marker == one.marker and stored_count is None:
                continue
            if waiting is not None and waiting.row.marker == one.marker:
                continue
            if waiting is not None:
                self._cooldowns.cancel(one.key)
            # Read all if there are fewer comments than stored, or if the count differs after a read to the end.
            here = (marker or "").removeprefix(OPEN_SECOND_PREFIX) == one.marker
            whole = stored_count is not None and (stored_count > one.count or here)
            self._todo[one.key] = ChangedDiscussion(page, one, mark, whole)
            queued = True
        return queued

    async def _take(self) -> bool:
        """Read the most recently active queued discussions; those whose request was refused come last.

        Return whether more are ready to be read.
        """
        for discussion, one in list(self._todo.items()):
            if self._token_pool.page(NETWORK, one.page.external_id) is None:
                del self._todo[discussion]
        due = [one for one in self._todo.values() if not self._cooldowns.is_active(one.key)]
        self._refused &= self._todo.keys()
        due.sort(key=self._urgency, reverse=True)
        now = due[:DISCUSSIONS_PER_ROUND]
        if not now:
            return False
        await self._unknown_topics([one for one in now if one.stored_state is None])
        gate = asyncio.Semaphore(CONCURRENCY)
        errors = await asyncio.gather(*(self._one(one, gate) for one in now))
        for failure in errors:
            if failure is not None:
                raise failure
        return len(due) > len(now)

    def _urgency(self, one: ChangedDiscussion) -> tuple[bool, str]:
        active_at = one.row.active_at
        return one.key not in self._refused, "" if active_at is None else active_at.isoformat()

    async def _one(self, one: ChangedDiscussion, gate: asyncio.Semaphore) -> Exception | None:
        """Read one discussion; return the error if it concerns all discussions, else None."""
        async with gate:
            try:
                is_settled = await self._comments(one)
            except TRANSIENT_ERRORS as error:
                return self._handle_error(one, error)
        self._cooldowns.clear(one.key)
        self._refused.discard(one.key)
        if self._todo.get(one.key) is one:
            if is_settled:
                del self._todo[one.key]
            else:  # stays queued, so that `_queue_changed` ends the cooldown if the discussion changes
                self._todo[one.key] = replace(one, read_whole=True)
                self._cooldowns.start(one.key, UNSETTLED_COOLDOWN_SECONDS)
        return None

    def _handle_error(self, one: ChangedDiscussion, error: Exception) -> Exception | None:
        reason = str(error)
        alone = is_object_error(error)
        if isinstance(error, CallError) and alone:
            reason = describe_closed(error, f"обсуждение {one.key}")
            self._cooldowns.start(one.key, self._settings.ok_closed_retry_seconds)
        elif isinstance(error, NoUsableToken) or (
            isinstance(error, CallError) and error.treatment is not ErrorTreatment.TRANSIENT
        ):
            if isinstance(error, CallError) and error.code in REQUEST_ERRORS:
                # It may concern one kind of discussion: the next round reads the others first.
                self._refused.add(one.key)
            return error
        else:
            self._cooldowns.record_failure(one.key, BACKOFF)
        self._shown_errors[one.page.id] = asyncio.get_running_loop().time() + ERROR_SHOWN_SECONDS, reason
        log.warning("discussion read failed", discussion=one.key, error=str(error)[:200], closed=alone)
        return None

    async def _unknown_topics(self, moved: list[ChangedDiscussion]) -> None:
        """Store topics that are not stored yet, before their comments."""
        topics = {
            one.key: one.page
            for one in moved
            if ok_payloads.split_discussion_key(one.key)[0] == ok_payloads.GROUP_TOPIC
        }
        if not topics:
            return
        observed_at = clock.now()
        for page, parsed in await self._reader.readable_topics(topics):
            await self._intake.store(page, SOURCE, parsed, observed_at=observed_at, edits_are_announced=False)

    async def _comments(self, one: ChangedDiscussion) -> bool:
        """Read a discussion from its anchor, or completely if comments are missing.

        Return whether the stored texts are certain; if not, the discussion has to be read again.
        """
        observed_at = clock.now()
        before = comment_count(one.stored_state)
        whole = (
            one.read_whole or one.stored_state is None or one.stored_state.cursor is None or one.row.count < before
        )
        anchor = None if whole or one.stored_state is None else one.stored_state.cursor
        parsed, count = ParsedBatch(), None
        if one.row.count or before or one.read_whole:
            if whole:
                count = one.row.count
                parsed, anchor = await self._reader.comments_with_deletions(one.page, one.key, count, self._intake)
            else:
                parsed, anchor = await self._reader.comments(one.page, one.key, anchor)
        marker = one.row.marker
        old = one.row.active_at is not None and one.row.active_at < observed_at - SECOND_ENDED_AFTER
        if not old and (one.stored_state is None or one.stored_state.marker != OPEN_SECOND_PREFIX + marker):
            marker = OPEN_SECOND_PREFIX + marker
        mark = ThreadState(one.thread_key, marker, anchor, count)
        stored = await self._intake.store(
            one.page, SOURCE, parsed, observed_at=observed_at, edits_are_announced=False, thread_states=[mark]
        )
        return one.thread_key not in stored.unsettled_threads


def comment_count(mark: ThreadState | None) -> int:
    """Return the comment count in the marker of a stored state; 0 without one."""
    tail = (mark.marker or "").rpartition("|")[2] if mark is not None else ""
    return int(tail) if tail.isdigit() else 0
