"""Poll walls to find messages that push did not deliver.

One wall.get returns the comment counts of a hundred posts. A thread is read completely if its count differs from
the count at the last read, or from the number of stored undeleted comments. If the page's events are not pushed,
the threads of the newest posts with up to a hundred comments are always read. The poll schedule chooses the next
wall within the daily budget of wall.get.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from services.ingest.networks.calls import CallError
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, RateStore, ThreadState, TokenPool
from services.ingest.networks.retry import TRANSIENT_ERRORS, retry_delay, run_periodically
from services.ingest.networks.vk.reading.wall_reader import (
    CLOSED_TREATMENTS,
    COMMENTS_PER_CALL,
    THREADS_PER_BATCH,
    ObservedIds,
    WallReader,
    id_suffix,
)
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.polling.poll_schedule import PollSchedule
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import get_logger

log = get_logger(__name__)

SOURCE = "wall_poll"
MAX_DEPTH = 1_000
CONCURRENCY = 4
# How many recent threads of a page without push are always read, if one call returns them.
RECENT_THREADS = 8
# The rest of the day's calls is for scans, suggested posts and requested checks.
SCHEDULED_BUDGET_SHARE = 0.9
SHORTEST_WAIT, LONGEST_WAIT = 0.2, 1.0
_CLOSED_WORDS = {
    15: "стена закрыта или выключена",
    18: "сообщество удалено",
    19: "сообщество заблокировано сетью",
    30: "страница закрыта",
    203: "сообщество закрытое",
    212: "комментарии закрыты",
}


def closed_reason(error: CallError) -> str:
    """Return why a wall cannot be read, as the error text of its source."""
    reason = _CLOSED_WORDS.get(error.code, error.text or "доступа нет")
    return f"Стену прочитать нельзя: {reason} (ошибка {error.code})."


class WallPoller:
    """Polls all walls in the order of the schedule, requested pages first.

    `is_pushed`: whether a page's events are pushed now.
    """

    def __init__(
        self,
        reader: WallReader,
        token_pool: TokenPool,
        intake: IntakeStore,
        settings: IngestSettings,
        is_pushed: Callable[[PageRef], bool],
    ) -> None:
        self._reader = reader
        self._token_pool = token_pool
        self._intake = intake
        self._settings = settings
        self._is_pushed = is_pushed
        self._schedule: PollSchedule[UUID] = PollSchedule(0.0)
        reader.on_wall_get = lambda: self._schedule.spend_calls(1)
        self._rate_store: RateStore | None = None
        self._known: Mapping[UUID, dict[str, Any]] = {}
        self._pages: dict[UUID, PageRef] = {}
        self._not_before: dict[UUID, float] = {}
        self._failures: dict[UUID, int] = {}
        # Pages whose push lost events: all posts are compared, because anybody may have commented on older ones.
        # That takes many calls. A page stays here while they would be borrowed from polls of other pages.
        self._deep: set[UUID] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._refreshed_at = -LONGEST_WAIT

    def poll_soon(self, page: PageRef, *, deep: bool = False) -> None:
        """Poll this page's wall as soon as the limits allow.

        `deep`: also read all posts, not only the newest hundred, in the first poll for which the budget allows it.
        """
        if deep:
            self._deep.add(page.id)
        self._not_before.pop(page.id, None)
        self._schedule.prioritize(page.id)
        self._woken.set()

    async def run(self) -> None:
        """Poll walls until cancelled."""
        try:
            await run_periodically(SOURCE, self._round)
        finally:
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _round(self) -> float:
        if self._rate_store is None:
            store = self._intake.rate_store(SOURCE)
            self._known = await store.load()
            self._rate_store = store
        if asyncio.get_running_loop().time() >= self._refreshed_at + LONGEST_WAIT:
            self._refreshed_at = asyncio.get_running_loop().time()
            self._refresh_pages()
        self._woken.clear()
        now = clock.now().timestamp()
        self._start(now)
        await self._rate_store.save_if_due(self._schedule, asyncio.get_running_loop().time())
        wait = LONGEST_WAIT if len(self._running) >= CONCURRENCY else self._schedule.seconds_until_next(now)
        try:
            async with asyncio.timeout(min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)):
                await self._woken.wait()
        except TimeoutError:
            return 0
        return 0

    def _refresh_pages(self) -> None:
        self._pages = {page.id: page for page in self._token_pool.pages(NETWORK)}
        for page_id in set(self._schedule.pages()) - self._pages.keys():
            self._schedule.remove(page_id)
            self._not_before.pop(page_id, None)
            self._failures.pop(page_id, None)
            self._deep.discard(page_id)
        for page_id in self._pages:
            self._schedule.add(page_id, self._known.get(page_id))
        allowed = self._token_pool.daily_call_limit(NETWORK, "wall.get")
        if allowed is None:
            allowed = float(self._settings.vk_calls_per_day["wall.get"])
        self._schedule.set_budget(allowed * SCHEDULED_BUDGET_SHARE)

    def _start(self, now: float) -> None:
        while len(self._running) < CONCURRENCY:
            page_id = self._schedule.next_page(now)
            if page_id is None:
                return
            self._schedule.spend_calls(-1)  # undo the call counted by `next_page`: the client counts all calls
            delay = self._not_before.get(page_id, 0.0) - now
            if delay > 0:
                self._schedule.record_failure(page_id, now, delay)
                return
            task = asyncio.create_task(self._one(self._pages[page_id]), name=f"{SOURCE}:{page_id}")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._woken.set()
        if not task.cancelled() and (bug := task.exception()) is not None:
            log.error("wall poll crashed", error=repr(bug))

    async def _one(self, page: PageRef) -> None:
        delay = LONGEST_WAIT
        done = False
        deep = page.id in self._deep and self._schedule.affords_deep_poll()
        if deep:
            self._deep.discard(page.id)  # a request that comes during this poll needs another poll
        try:
            found = await self.poll_page(page, deep=deep)
            done = True
        except CallError as error:
            if error.treatment in CLOSED_TREATMENTS:
                delay = self._settings.vk_closed_retry_seconds
                self._intake.report_failure(page, SOURCE, closed_reason(error))
            else:
                delay = self._record_failure(page, error)
        except TRANSIENT_ERRORS as error:
            delay = self._record_failure(page, error)
        except Exception as bug:  # a bug in the poll of one page must not be repeated every second
            log.exception("poll failed", source_kind=SOURCE, page_id=str(page.id))
            delay = self._record_failure(page, bug)
        finally:
            now = clock.now().timestamp()
            if done:
                self._failures.pop(page.id, None)
                self._not_before.pop(page.id, None)
                self._schedule.record_poll(page.id, now, [moment.timestamp() for moment in found])
                if self._rate_store is not None:
                    self._rate_store.mark_changed(page.id)
            else:
                self._not_before[page.id] = now + delay
                self._schedule.record_failure(page.id, now, delay)
                if deep:
                    self._deep.add(page.id)
                if page.id in self._deep:
                    asyncio.get_running_loop().call_later(delay, self.poll_soon, page)

    def _record_failure(self, page: PageRef, error: Exception) -> float:
        failures = self._failures[page.id] = self._failures.get(page.id, 0) + 1
        reason = str(error) if isinstance(error, TRANSIENT_ERRORS) else repr(error)
        self._intake.report_failure(page, SOURCE, reason)
        delay = retry_delay(error, failures)
        log.warning(
            "poll failed", source_kind=SOURCE, page_id=str(page.id), error=reason[:300], retry_in_seconds=delay
        )
        return delay

    async def poll_page(self, page: PageRef, *, deep: bool = False) -> list[datetime]:
        """Read the wall of a page and the threads that differ from the stored state.

        The wall is read up to a result page without new posts; if `deep`, up to `MAX_DEPTH` posts.

        Return when the new messages were written, as far as known: the times of the newest ones.
        """
        observed_at = clock.now()
        seen = ObservedIds()
        parsed, counts, back_to = await self._posts(page, seen, deep=deep)
        known = await self._intake.thread_states(list(counts))
        parsed.items += await self._reader.deleted_posts(page, seen, back_to, observed_at, self._intake)
        stored = await self._intake.store(page, SOURCE, parsed, observed_at=observed_at)
        found = _newest(parsed, stored.new)
        others = await self._intake.threads_with_other_count(counts)
        differing = [
            key
            for key, count in counts.items()
            if key in others or (count if key not in known else known[key].marker != str(count))
        ]
        if not self._is_pushed(page):
            # Counts do not show an edit, or a deletion together with a new comment.
            # Longer threads are left out: to read them at each poll would take many calls.
            short = (key for key, count in counts.items() if 0 < count <= COMMENTS_PER_CALL)
            recent = sorted(short, key=_post_id, reverse=True)
            differing += [key for key in recent[:RECENT_THREADS] if key not in differing]
        # Threads that push reported as changed are read first, then the others, oldest first; threads without
        # comments are stored last. So after an interruption the newest threads are still unknown, and the next
        # poll does not stop at the first result pages.
        invalidated = {key for key in differing if key in known and known[key].marker is None}
        differing.sort(key=lambda key: (key not in invalidated, _post_id(key)))
        for start in range(0, len(differing), THREADS_PER_BATCH):
            found += await self._read_threads(page, differing[start : start + THREADS_PER_BATCH], counts)
        quiet = [ThreadState(key, "0") for key, count in counts.items() if key not in known and count == 0]
        if quiet:
            await self._intake.store(page, SOURCE, ParsedBatch(), thread_states=quiet)
        return found

    async def _posts(
        self, page: PageRef, seen: ObservedIds, *, deep: bool
    ) -> tuple[ParsedBatch, dict[str, int], datetime | None]:
        """Return posts, comment counts by thread, and the time read back to: None if all posts were read."""
        parsed = ParsedBatch()
        counts: dict[str, int] = {}
        back_to: datetime | None = clock.now()
        offset = 0
        while offset < MAX_DEPTH:
            found = await self._reader.read_posts(page, offset)
            seen.add(found.parsed)
            parsed.extend(found.parsed)
            known = await self._intake.thread_states(list(found.counts))
            counts |= found.counts
            back_to = None if found.is_last else found.oldest_at or back_to
            old = found.oldest_at is not None and found.oldest_at < page.go_live_at
            if found.is_last or old or (not deep and known.keys() >= found.counts.keys()):
                break
            offset = found.next_offset
        return parsed, counts, back_to

    async def _read_threads(self, page: PageRef, keys: list[str], counts: Mapping[str, int]) -> list[datetime]:
        """Read threads completely. The marker is the count before the read, so that later comments change it."""
        observed_at = clock.now()
        by_post = await self._reader.read_threads_with_deletions(
            page, [_post_id(key) for key in keys], self._intake
        )
        parsed = ParsedBatch()
        for one in by_post.values():
            parsed.extend(one)
        marks = [ThreadState(key, str(counts[key]), count=counts[key]) for key in keys]
        stored = await self._intake.store(page, SOURCE, parsed, observed_at=observed_at, thread_states=marks)
        return _newest(parsed, stored.new)


def _post_id(thread_key: str) -> int:
    return int(id_suffix(thread_key))


def _newest(parsed: ParsedBatch, count: int) -> list[datetime]:
    """Return the times of the newest `count` items of citizens, which are most likely the new ones."""
    written = sorted(item.written_at for item in parsed.items if not item.from_community and item.text is not None)
    return written[-count:] if count else []
