"""Scan all content of an OK group: topics with comments, changed discussions, messages."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.ingest.networks.calls import CallError, NoUsableToken
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.cooldowns import describe_closed, is_closed_error, is_object_error
from services.ingest.networks.ok.ok_payloads import DiscussionRow
from services.ingest.networks.ok.reading.chats import CLOSED_CHAT, ChatPoller
from services.ingest.networks.ok.reading.discussion_list import DiscussionList
from services.ingest.networks.ok.reading.discussion_poll import SOURCE
from services.ingest.networks.ok.reading.discussion_reader import DiscussionReader
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, ScanStep
from shared import clock

STEPS = ("topics", "list", "chats")
# After this long a step ends although the network refuses all its discussions or chats as invalid requests.
REFUSED_FOR = timedelta(days=1)
# Typical share of the work done before each step.
PROGRESS_BEFORE_STEP = {"topics": 0.0, "list": 0.6, "chats": 0.85, "done": 1.0}


class OkPageScan:
    """Scan of one group.

    The cursor is `{step, anchor, after, refused_since}`: the anchor of the current result page, its last finished
    entry, and since when all requests of the step are refused. Steps are idempotent. If the group has no token,
    its chats are skipped.
    """

    def __init__(
        self,
        page: PageRef,
        since: datetime,
        *,
        reader: DiscussionReader,
        listing: DiscussionList,
        chats: ChatPoller,
        intake: IntakeStore,
    ) -> None:
        self._page = page
        self._since = since
        self._reader = reader
        self._listing = listing
        self._chats = chats
        self._intake = intake
        self._started = clock.now()
        self._share = 0.0
        # Refused requests of the current step by discussion or chat, until one of them could be read.
        self._refusals: dict[str, CallError] | None = {}
        self._refused_since: str | None = None

    async def run(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Continue from the cursor to the end."""
        steps = {"topics": self._topics, "list": self._list, "chats": self._messages}
        first = str(cursor.get("step", STEPS[0]))
        todo = STEPS[STEPS.index(first) :] if first in STEPS else ()
        for step in todo:
            at = cursor if step == first else {"step": step}
            # A resumed step has read the entry at which it continues.
            self._refusals = None if at.get("after") else {}
            self._refused_since = at.get("refused_since")
            try:
                async for walked in steps[step](at):
                    at = walked.cursor
                    yield walked
                self._check_refusals()
            except CallError as error:
                if self._refusals and error in self._refusals.values() and self._refused_since is None:
                    at = {"step": step, **at, "refused_since": clock.now().isoformat()}
                    yield ScanStep(batch=ParsedBatch(), observed_at=clock.now(), cursor=at, progress=self._share)
                if not is_closed_error(error):
                    raise
                self._intake.report_failure(
                    self._page, SOURCE, describe_closed(error, f"группа {self._page.external_id}")
                )
            except NoUsableToken:
                if step != "chats" or self._chats.has_token_in_any_state(self._page):
                    raise
            following = [*STEPS, "done"][STEPS.index(step) + 1]
            yield ScanStep(
                batch=ParsedBatch(),
                observed_at=clock.now(),
                cursor={"step": following},
                progress=PROGRESS_BEFORE_STEP[following],
            )

    async def _topics(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Yield topics written since the start time, newest first, and their comments since the start time."""
        anchor, after = cursor.get("anchor"), cursor.get("after")
        while True:
            observed_at = clock.now()
            found = await self._reader.topics(self._page, anchor)
            keys = [item.external_id for item in found.parsed.items]
            fresh = _since(found.parsed, self._since)
            if after not in keys:
                yield self._step("topics", fresh, observed_at, anchor=anchor, done=self._by_time(found.parsed))
            others = await self._intake.threads_with_other_count(_threads(found.counts), include_known=True)
            for discussion in _rest(keys, after):
                if not found.counts.get(discussion, 1) and f"ok:{discussion}" not in others:
                    continue
                done = self._by_time(found.parsed)
                async for walked in self._comments(
                    "topics", discussion, found.counts.get(discussion), anchor, done
                ):
                    yield walked
            # Comments on older topics are found through the list of discussions.
            if found.anchor is None or (found.parsed.items and not fresh.items):
                return
            self._check_refusals()
            anchor, after = found.anchor, None

    async def _list(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Yield discussions of any type that changed since the start time."""
        if self._listing.covers(self._since):
            shown = self._listing.of_group(self._page.external_id, self._since)
            async for walked in self._discussions(shown, cursor.get("after"), None):
                yield walked
            return
        anchor, after = cursor.get("anchor"), cursor.get("after")
        while True:
            rows, following = await self._listing.page(anchor)
            here = [
                one
                for one in rows
                if one.group_id == self._page.external_id
                and (one.active_at is None or one.active_at >= self._since)
            ]
            async for walked in self._discussions(here, after, anchor):
                yield walked
            oldest = min((one.active_at for one in rows if one.active_at), default=None)
            if following is None or (oldest is not None and oldest < self._since):
                return
            self._check_refusals()
            anchor, after = following, None
            yield self._step("list", ParsedBatch(), clock.now(), anchor=anchor, done=self._passed(oldest))

    async def _discussions(
        self, shown: Sequence[DiscussionRow], after: str | None, anchor: str | None
    ) -> AsyncIterator[ScanStep]:
        keys = sorted(one.key for one in shown)
        unread = [key for key in keys if after is None or key > after]
        counts = {one.key: one.count for one in shown}
        topics = [key for key in unread if ok_payloads.split_discussion_key(key)[0] == ok_payloads.GROUP_TOPIC]
        for start in range(0, len(topics), 50):
            observed_at = clock.now()
            pages = dict.fromkeys(topics[start : start + 50], self._page)
            for _, parsed in await self._reader.readable_topics(pages):
                fresh = _since(parsed, self._since)
                yield self._step("list", fresh, observed_at, anchor=anchor, after=after, done=0.0)
        others = await self._intake.threads_with_other_count(_threads(counts), include_known=True)
        for number, discussion in enumerate(unread):
            if counts[discussion] or f"ok:{discussion}" in others:
                done = number / len(unread)
                async for walked in self._comments("list", discussion, counts[discussion], anchor, done):
                    yield walked

    async def _comments(
        self, step: str, discussion: str, count: int | None, anchor: str | None, done: float
    ) -> AsyncIterator[ScanStep]:
        observed_at = clock.now()
        try:
            comments, _ = await self._reader.comments_with_deletions(self._page, discussion, count, self._intake)
        except CallError as error:
            if not is_object_error(error):
                raise
            self._intake.report_failure(self._page, SOURCE, describe_closed(error, f"обсуждение {discussion}"))
            if self._refusals is not None:
                if not is_closed_error(error):
                    self._refusals[discussion] = error
                return  # the cursor stays before this discussion: see `_check_refusals`
            comments = ParsedBatch()
        else:
            self._refusals = self._refused_since = None
        fresh = _since(comments, self._since)
        yield self._step(step, fresh, observed_at, anchor=anchor, after=discussion, done=done)

    def _check_refusals(self) -> None:
        """Raise an error of the discussions or chats if the network refused all requests for them as invalid.

        One may have an id that the network does not accept; several show that our requests are wrong, unless they
        are still refused after `REFUSED_FOR`: the rest of the page is read then.
        """
        if not self._refusals or len(self._refusals) < 2:
            return
        since = self._refused_since
        if since is None or datetime.fromisoformat(since) > clock.now() - REFUSED_FOR:
            raise next(iter(self._refusals.values()))

    async def _messages(self, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Yield messages since the start time, from all chats that changed since then."""
        floor = int(self._since.timestamp() * 1000)
        marker, after = cursor.get("anchor"), cursor.get("after")
        while True:
            rows, following = await self._chats.list_chats(self._page, marker)
            # A chat whose time cannot be read is read as if it had changed at the start time.
            moved = [(chat, floor if at is None else at) for chat, at in rows if at is None or at >= floor]
            for chat in _rest([chat for chat, _ in moved], after):
                observed_at = clock.now()
                try:
                    parsed = await self._chats.history(self._page, chat, floor)
                except CallError as error:
                    if not is_object_error(error):
                        raise
                    self._intake.report_failure(self._page, SOURCE, describe_closed(error, CLOSED_CHAT))
                    if self._refusals is not None and not is_closed_error(error):
                        self._refusals[chat] = error
                    continue
                self._refusals = self._refused_since = None
                done = self._passed(ok_payloads.from_milliseconds(dict(moved)[chat]))
                yield self._step("chats", parsed, observed_at, anchor=marker, after=chat, done=done)
            if following is None or len(moved) < len(rows):
                return
            self._check_refusals()
            marker, after = following, None

    def _step(
        self,
        step: str,
        parsed: ParsedBatch,
        observed_at: datetime,
        *,
        anchor: str | None,
        after: str | None = None,
        done: float,
    ) -> ScanStep:
        following = [*STEPS, "done"][STEPS.index(step) + 1]
        # Progress is estimated by time or by number, and must not decrease when the estimate changes.
        self._share = max(
            self._share,
            PROGRESS_BEFORE_STEP[step]
            + (PROGRESS_BEFORE_STEP[following] - PROGRESS_BEFORE_STEP[step]) * min(max(done, 0.0), 1.0),
        )
        at = {"step": step, "anchor": anchor, "after": after, "refused_since": self._refused_since}
        return ScanStep(
            batch=parsed,
            observed_at=observed_at,
            cursor={key: value for key, value in at.items() if value is not None},
            progress=self._share,
        )

    def _by_time(self, parsed: ParsedBatch) -> float:
        return self._passed(min((item.written_at for item in parsed.items), default=None))

    def _passed(self, reached: datetime | None) -> float:
        """Return the share of the time from now back to `since` that has been read."""
        whole = (self._started - self._since).total_seconds()
        if reached is None or whole <= 0:
            return 0.0
        return (self._started - reached).total_seconds() / whole


def _since(parsed: ParsedBatch, since: datetime) -> ParsedBatch:
    """Return the batch without items written before `since`; deletions are kept."""
    kept = [item for item in parsed.items if item.written_at >= since or item.change == "deleted"]
    return ParsedBatch(kept, parsed.unparsed)


def _threads(counts: Mapping[str, int]) -> dict[str, int]:
    return {f"ok:{key}": count for key, count in counts.items()}


def _rest(names: Sequence[str], after: str | None) -> list[str]:
    """Return the names that follow `after`; all names if `after` is not among them."""
    listed = list(names)
    return listed[listed.index(after) + 1 :] if after in listed else listed
