"""Poll direct messages of each group with its bot token, rarely while the network pushes them.

Replies that staff write in the network are not pushed, so chats with recent messages are polled more often.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.ingest.networks.calls import CallError, NoUsableToken, NoValidResponse
from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.cooldowns import Cooldowns, describe_closed, is_closed_error, is_object_error
from services.ingest.networks.ok.ok_client import OkClient, bot_method_name
from services.ingest.networks.ok.ok_errors import NETWORK
from services.ingest.networks.ok.push.subscriptions import SOURCE as PUSH_SOURCE
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, TokenKind, TokenPool
from services.ingest.networks.retry import TRANSIENT_ERRORS
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

SOURCE = "chats_poll"
PAGE_SIZE = 100
MAX_PAGES = 200
CONCURRENCY = 8
# Per group: how many chats are read concurrently, and how many are stored together.
CHATS_AT_ONCE = 4
STORE_BATCH = 20
# After new messages, the next poll reads this much again: others of the same millisecond may have appeared since.
OVERLAP_MS = 3_000
# How far back a requested check reads, because messages may have been missed.
LOSS_LOOKBACK_MS = 600_000
# A changed chat is read from this long before the cursor, to find edits, which alone do not change the chat.
EDIT_LOOKBACK_MS = 86_400_000
# If a poll finds a message of this age that push has not delivered, push has lost it.
PUSH_GRACE_MS = 30_000
MAX_DELAY = 60.0
# With push, a group is polled after this fraction of the time since its last message, to find replies by staff.
RECHECK_FRACTION = 0.05
# How often the times of the groups' last messages are reloaded, in seconds.
ACTIVITY_REFRESH_SECONDS = 2.0
# How soon a group without a token is checked again, in seconds.
NO_TOKEN_DELAY = 5.0
# Named without its id, which would stay in errors and logs after the erasure of the person in it.
CLOSED_CHAT = "одна из переписок"


class ChatPoller:
    """Polls all groups that have a bot token, a few at a time.

    `is_pushed` returns whether the network pushes a group's messages; `on_push_loss` is called if push lost one.
    """

    def __init__(
        self,
        client: OkClient,
        token_pool: TokenPool,
        intake: IntakeStore,
        settings: IngestSettings,
        *,
        is_pushed: Callable[[PageRef], bool],
        on_push_loss: Callable[[PageRef], None],
    ) -> None:
        self._client = client
        self._token_pool = token_pool
        self._intake = intake
        self._settings = settings
        self._is_pushed = is_pushed
        self._on_push_loss = on_push_loss
        self._polled_at: dict[str, float] = {}
        self._cooldowns = Cooldowns()
        self._cursors: dict[str, dict[str, Any]] = {}
        # Per group: when each chat on the first page of the list had its last event, as of the last complete poll.
        self._listed: dict[str, dict[str, int | None]] = {}
        self._missed: set[str] = set()
        self._busy: set[str] = set()
        self._tokens: dict[str, UUID] = {}
        self._last_activity: dict[UUID, datetime] = {}
        self._activity_read_at = 0.0

    async def run(self) -> None:
        """Poll until cancelled."""
        self._polled_at.clear()
        gate = asyncio.Semaphore(CONCURRENCY)
        async with asyncio.TaskGroup() as group:
            while True:
                now = asyncio.get_running_loop().time()
                await self._refresh_activity(now)
                for page in self._token_pool.pages(NETWORK):
                    if page.external_id not in self._busy and self._ready(page, now):
                        self._busy.add(page.external_id)
                        group.create_task(self._one(page, gate))
                await asyncio.sleep(0.3)

    def request_check(self, page: PageRef) -> None:
        """Poll the group now and further back, because messages may have been missed."""
        self._missed.add(page.external_id)
        self._polled_at.pop(page.external_id, None)
        self._cooldowns.cancel(page.external_id)

    def _ready(self, page: PageRef, now: float) -> bool:
        polled_at = self._polled_at.get(page.external_id)
        if polled_at is not None and polled_at + self._period(page) > now:
            return False
        if self._cooldowns.is_active(f"{page.external_id}/token"):
            return False
        credential = self._token_pool.select(NETWORK, TokenKind.GROUP, page.id)
        if credential is None:
            self._cooldowns.start(f"{page.external_id}/token", NO_TOKEN_DELAY)
            return False
        if self._tokens.get(page.external_id) != credential.id:
            self._tokens[page.external_id] = credential.id
            self._cooldowns.cancel(page.external_id)  # another token may have access
        return not self._cooldowns.is_active(page.external_id)

    def _period(self, page: PageRef) -> float:
        """Return the seconds between two polls of a group."""
        if not self._is_pushed(page):
            return self._settings.ok_chat_poll_seconds
        rarest = self._settings.ok_chat_poll_with_push_seconds
        last = self._last_activity.get(page.id)
        if last is None:
            return rarest
        share = (clock.now() - last).total_seconds() * RECHECK_FRACTION
        return min(max(share, self._settings.ok_chat_poll_seconds), rarest)

    async def _refresh_activity(self, now: float) -> None:
        if now < self._activity_read_at + ACTIVITY_REFRESH_SECONDS:
            return
        self._activity_read_at = now
        since = clock.now() - timedelta(seconds=self._settings.ok_chat_poll_with_push_seconds / RECHECK_FRACTION)
        try:
            self._last_activity = await self._intake.active_pages((SOURCE, PUSH_SOURCE), since)
        except TRANSIENT_ERRORS as error:  # without the database no result could be stored either
            log.warning("recent chat activity could not be read", error=str(error)[:200])

    async def _one(self, page: PageRef, gate: asyncio.Semaphore) -> None:
        name = page.external_id
        try:
            async with gate:
                # Set before the poll, so that a check requested during the poll is not lost.
                self._polled_at[name] = asyncio.get_running_loop().time()
                await self.check_group(page)
        except TRANSIENT_ERRORS as error:
            self._cursors.pop(name, None)
            self._polled_at.pop(name, None)
            reason = str(error)
            if isinstance(error, CallError) and is_closed_error(error):
                reason = describe_closed(error, f"группа {name}")
                self._cooldowns.start(name, self._settings.ok_closed_retry_seconds)
            else:
                self._cooldowns.record_failure(name, Backoff(self._settings.ok_chat_poll_seconds, MAX_DELAY))
            self._intake.report_failure(page, SOURCE, reason)
            log.warning("poll failed", source_kind=SOURCE, page_external_id=name, error=str(error)[:200])
        except Exception as bug:  # a bug in the check of one group must not stop the others
            self._cursors.pop(name, None)
            self._cooldowns.record_failure(name, Backoff(self._settings.ok_chat_poll_seconds, MAX_DELAY))
            self._intake.report_failure(page, SOURCE, repr(bug))
            log.exception("poll failed", source_kind=SOURCE, page_external_id=name)
        else:
            self._cooldowns.clear(name)
        finally:
            self._busy.discard(name)

    async def check_group(self, page: PageRef) -> None:
        """Read the chats of a group that changed since the cursor, and retry the chats that were closed."""
        name = page.external_id
        # Removed before the poll, so that a look-back requested during the poll is not lost.
        missed = name in self._missed
        self._missed.discard(name)
        try:
            await self._check(page, missed=missed)
        except BaseException:
            if missed:
                self._missed.add(name)
            raise

    async def _check(self, page: PageRef, *, missed: bool) -> None:
        name = page.external_id
        cursor = self._cursors.get(name)
        if cursor is None:
            cursor = self._cursors[name] = await self._intake.cursor(page, SOURCE)
        since = int(cursor.get("since", 0))
        is_caught_up = bool(cursor.get("settled")) and not missed
        floor = since if is_caught_up else max(since - (LOSS_LOOKBACK_MS if missed else OVERLAP_MS), 0)
        # After an interrupted poll, the chats that it left unread must be read from that poll's floor.
        floor = min(floor, int(cursor.get("floor", floor)))
        observed_at = clock.now()
        moved, listed = await self._moved(page, since=since, floor=floor, is_caught_up=is_caught_up)
        closed = {str(chat): int(at) for chat, at in dict(cursor.get("closed", {})).items()}
        again = {chat: at for chat, at in closed.items() if not self._cooldowns.is_active(f"{name}/{chat}")}
        # Also of a group without messages, which has no cursor to be caught up with.
        if not moved and not again and cursor == _cursor(since, closed, settled=since > 0):
            self._listed[name] = listed
            self._intake.report_success(page, SOURCE)
            return
        # Oldest first, a few at a time: after an interruption, the unread chats are still newer than the cursor.
        todo = sorted((at, chat_id) for chat_id, at in {**again, **moved}.items())
        reached = since
        for start in range(0, max(len(todo), 1), STORE_BATCH):
            part = todo[start : start + STORE_BATCH]
            parsed = await self._read_part(page, [chat_id for _, chat_id in part], floor, closed)
            last = start + STORE_BATCH >= len(todo)
            reached = max([reached, *(at for at, chat_id in part if chat_id in moved)])
            after = _cursor(reached, closed, settled=last and reached == since and since > 0)
            if not last:
                after["floor"] = floor
            stored = await self._intake.store(page, SOURCE, parsed, observed_at=observed_at, cursor=after)
            self._cursors[name] = after
            late = observed_at.timestamp() * 1000 - PUSH_GRACE_MS
            if stored.new and since and self._is_pushed(page) and _was_missed_by_push(parsed, since, late):
                self._on_push_loss(page)
        self._listed[name] = listed

    async def _read_part(self, page: PageRef, chats: list[str], floor: int, closed: dict[str, int]) -> ParsedBatch:
        """Return the messages of some chats, read concurrently; chats that are closed are added to `closed`."""
        gate = asyncio.Semaphore(CHATS_AT_ONCE)

        async def one(chat_id: str) -> ParsedBatch:
            back = min(floor, closed.get(chat_id, floor))
            async with gate:
                try:
                    found = await self.history(page, chat_id, max(back - EDIT_LOOKBACK_MS, 0))
                except CallError as error:
                    if not is_object_error(error):
                        raise
                    closed[chat_id] = back
                    self._cooldowns.start(f"{page.external_id}/{chat_id}", self._settings.ok_closed_retry_seconds)
                    self._intake.report_failure(page, SOURCE, describe_closed(error, CLOSED_CHAT))
                    log.warning("chat read failed", page_external_id=page.external_id, error=str(error)[:200])
                    return ParsedBatch()
            closed.pop(chat_id, None)
            return found

        parsed = ParsedBatch()
        for found in await asyncio.gather(*(one(chat_id) for chat_id in chats), return_exceptions=True):
            if isinstance(found, BaseException):
                raise found
            parsed.extend(found)
        return parsed

    async def _moved(
        self, page: PageRef, *, since: int, floor: int, is_caught_up: bool
    ) -> tuple[dict[str, int], dict[str, int | None]]:
        """Return the chats that changed, with the time of the last event in ms, and the first page of the list.

        A chat changed if its time is after the cursor. The clocks of OK's machines differ, so it also counts as
        changed if its time differs from that of the last poll and is not much before the cursor.
        """
        before = self._listed.get(page.external_id)
        moved: dict[str, int] = {}
        first: dict[str, int | None] | None = None
        marker: str | None = None
        for _ in range(MAX_PAGES):
            rows, marker = await self.list_chats(page, marker)
            older = 0
            for chat_id, at in rows:
                # Always read a chat whose time cannot be read; it does not move the cursor.
                time = since if at is None else at
                differs = before is not None and first is None and before.get(chat_id) != at
                if (
                    at is None
                    or at > since
                    or (not is_caught_up and at >= floor)
                    or (differs and at >= since - ok_payloads.POSITION_TOLERANCE_MS)
                ):
                    moved[chat_id] = time
                else:
                    older += 1
            first = dict(rows) if first is None else first
            if marker is None or older == len(rows):
                break
        return moved, first or {}

    async def list_chats(
        self, page: PageRef, marker: str | None
    ) -> tuple[list[tuple[str, int | None]], str | None]:
        """Return a page of chats, most recent first, and the next page's marker.

        Each chat comes with the time of its last event in ms, or None if the network's value is not a time.
        """
        answer = await self._read(page, "chats", count=PAGE_SIZE, marker=marker)
        chats = answer.get("chats") if isinstance(answer, dict) else None
        if not isinstance(chats, list):
            raise NoValidResponse(NETWORK, "graph.chats", "no chats in the response")
        rows = [
            (str(chat["chat_id"]), _milliseconds(chat.get("lastEventTime") or 0))
            for chat in chats
            if isinstance(chat, dict) and chat.get("chat_id")
        ]
        after = answer.get("marker")
        return rows, str(after) if after and str(after) != marker else None

    async def history(self, page: PageRef, chat_id: str, floor: int) -> ParsedBatch:
        """Return messages of a chat written at `floor` (ms) or later."""
        parsed = ParsedBatch()
        newest: int | None = None
        while True:
            answer = await self._read(
                page,
                f"messages/{ok_payloads.with_prefix('chat', chat_id)}",
                count=PAGE_SIZE,
                to=max(floor, 0),
                **({} if newest is None else {"from": newest}),
            )
            rows = answer.get("messages") if isinstance(answer, dict) else None
            if not isinstance(rows, list):
                raise NoValidResponse(NETWORK, "graph.messages", "no messages in the response")
            for raw in rows:
                parsed.parse(ok_payloads.parse_message, raw, page, chat_id)
            moments = (_milliseconds(raw.get("timestamp")) for raw in rows if isinstance(raw, dict))
            times = [at for at in moments if at]
            if len(rows) < PAGE_SIZE or not times:
                return parsed
            # Both bounds are inclusive: step back by 1 ms if a full page lies within one millisecond.
            oldest = min(times)
            newest = oldest if oldest != newest else oldest - 1
            if newest < floor:
                return parsed

    async def _read(self, page: PageRef, path: str, **query: Any) -> Any:
        credential = self._client.group_token(page.id, bot_method_name(path))
        return await self._client.read_bot_api(credential, path, **query)

    def has_token(self, page: PageRef) -> bool:
        """Return whether the group's messages can be read now."""
        try:
            self._client.group_token(page.id, "graph.chats.get")
        except NoUsableToken:
            return False
        return True

    def has_token_in_any_state(self, page: PageRef) -> bool:
        """Return whether the group has a token, even if it is not usable now."""
        return bool(self._token_pool.tokens(NETWORK, TokenKind.GROUP, page.id))


def _cursor(since: int, closed: Mapping[str, int], *, settled: bool) -> dict[str, Any]:
    """Return the cursor after a poll. `settled` means caught up: the poll read to the end and found nothing newer
    than the previous poll.
    """
    return {"since": since, "settled": settled, **({"closed": dict(closed)} if closed else {})}


def _milliseconds(value: Any) -> int | None:
    """Return the milliseconds since the epoch; None if the value is not a time."""
    try:
        ok_payloads.from_milliseconds(value)
    except ValueError:
        return None
    return int(value)


def _was_missed_by_push(parsed: ParsedBatch, since: int, late: float) -> bool:
    """Return whether a citizen's message is newer than the cursor and so old that push must have missed it."""
    return any(
        not item.from_community and since < item.written_at.timestamp() * 1000 < late for item in parsed.items
    )
