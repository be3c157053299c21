"""Bots Long Poll of one page: store events as they arrive, with the cursor in the same transaction.

Thousands of polls run in one process, so their shared state is in `LongPollContext` to keep each small.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp
from yarl import URL

from services.ingest.networks.calls import CallError, NoUsableToken, NoValidResponse, transport_failure
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, TokenKind, TokenPool
from services.ingest.networks.retry import run_periodically
from services.ingest.networks.vk.push import vk_push
from services.ingest.networks.vk.push.event_switches import ensure_events_enabled
from services.ingest.networks.vk.reading import suggested_posts
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

SOURCE = "long_poll"
CHECK = "a_check"
RECOVERY_BACKOFF = Backoff(2.0, 60.0)
NO_TOKEN_DELAY = 20.0
# Maximum concurrent key requests: at start, thousands of pages request a key.
KEY_REQUEST_CONCURRENCY = 16
# Silence is unusual if it lasts this many times the usual interval between events.
SILENCE_FACTOR = 10
INTERVAL_SMOOTHING = 8
NOT_CHECKED_TEXT = "Сеть не даёт проверить и включить события сообщества в Long Poll API."


class LongPollContext:
    """State shared by all long polls.

    `missed` requests a poll when events may have been lost, `silent` one when there were fewer than usual.
    `failing`: the pages whose last call failed.
    """

    def __init__(
        self,
        client: VkClient,
        http: aiohttp.ClientSession,
        token_pool: TokenPool,
        intake: IntakeStore,
        settings: IngestSettings,
        *,
        missed: Callable[[PageRef], None],
        silent: Callable[[PageRef], None],
    ) -> None:
        self.client = client
        self.http = http
        self.token_pool = token_pool
        self.intake = intake
        self.settings = settings
        self.missed = missed
        self.silent = silent
        self.failing: set[UUID] = set()
        # The network answers after up to `wait` seconds; proxies and scheduling add some time.
        self.timeout = aiohttp.ClientTimeout(total=settings.vk_long_poll_wait_seconds + 10, connect=10)
        self.opening = asyncio.Semaphore(KEY_REQUEST_CONCURRENCY)


@dataclass(slots=True)
class _Session:
    """Server, key and cursor of a long poll. `ts` advances only after its batch is committed."""

    server: str
    key: str
    ts: str
    opened_at: float

    def cursor(self) -> dict[str, Any]:
        return {"server": self.server, "key": self.key, "ts": self.ts, "opened_at": self.opened_at}


class LongPoll:
    """Long poll of one page."""

    __slots__ = ("_gap", "_intake", "_last_event_at", "_page", "_problem", "_recoveries", "_session", "_shared")

    def __init__(self, page: PageRef, shared: LongPollContext) -> None:
        self._page = page
        self._shared = shared
        self._intake = shared.intake
        self._session: _Session | None = None
        self._problem: str | None = None
        self._recoveries = 0
        self._last_event_at = 0.0
        self._gap = 0.0

    async def run(self) -> None:
        """Receive events until cancelled."""
        await run_periodically(f"{SOURCE}:{self._page.external_id}", self._round, self._failed)

    def _failed(self, error: str) -> None:
        self._shared.failing.add(self._page.id)
        self._intake.report_failure(self._page, SOURCE, error)

    async def _round(self) -> float:
        try:
            session = self._session or await self._resume()
        except NoUsableToken as error:  # the page has a token, but the method is paused
            self._failed(str(error))
            return NO_TOKEN_DELAY
        silent = self._is_silent()
        if silent or self._is_old(session):
            session = await self._open(session.ts)
        if silent:
            log.warning("long poll silent longer than usual", page_id=str(self._page.id), source_kind=SOURCE)
            self._last_event_at = clock.now().timestamp()
            self._shared.silent(self._page)  # the new connection delivers what came after `ts`
        self._session = session
        answer = await self._check(session)
        # The page's organisation or go-live time may have changed during the call.
        self._page = self._shared.token_pool.page(NETWORK, self._page.external_id) or self._page
        if "failed" in answer:
            await self._recover(session, answer)
            # A page that always fails must not request keys in a tight loop.
            self._recoveries += 1
            return 0 if self._recoveries == 1 else RECOVERY_BACKOFF.delay(self._recoveries)
        self._recoveries = 0
        self._shared.failing.discard(self._page.id)
        await self._take(session, answer)
        return 0

    def _is_old(self, session: _Session) -> bool:
        # Jitter: keys requested together must not be renewed together.
        age = clock.now().timestamp() - session.opened_at
        return age > self._shared.settings.vk_long_poll_key_seconds * (0.75 + self._page.id.int % 1_000 / 4_000)

    def _is_silent(self) -> bool:
        # A connection may stop delivering without an error. The minimum is for nights, which are quiet too.
        least = self._shared.settings.vk_long_poll_silence_seconds
        return bool(self._gap) and clock.now().timestamp() - self._last_event_at > max(
            least, SILENCE_FACTOR * self._gap
        )

    def _record_event(self) -> None:
        now = clock.now().timestamp()
        gap = now - self._last_event_at
        self._gap = gap if not self._gap else self._gap + (gap - self._gap) / INTERVAL_SMOOTHING
        self._last_event_at = now

    async def _resume(self) -> _Session:
        """Continue from the stored cursor; without one start now, and request a poll of earlier messages."""
        self._last_event_at = clock.now().timestamp()
        stored: dict[str, Any] = {}
        # A long poll that only replaces failed callbacks ignores the cursor: callbacks delivered earlier events.
        if self._shared.settings.vk_push != "callback":
            async with self._shared.opening:
                stored = await self._intake.cursor(self._page, SOURCE)
        try:
            return _Session(stored["server"], stored["key"], str(stored["ts"]), float(stored["opened_at"]))
        except KeyError:
            pass
        session = await self._open(None)
        await self._intake.store(self._page, SOURCE, ParsedBatch(), cursor=session.cursor())
        self._shared.missed(self._page)
        return session

    async def _open(self, ts: str | None) -> _Session:
        """Check the events and request a new key; keep `ts`, or use the network's if it is None."""
        await self._ensure_events_enabled()
        method = "groups.getLongPollServer"
        async with self._shared.opening:
            got = await self._call(method)
        try:
            return _Session(
                str(got["server"]), str(got["key"]), str(got["ts"]) if ts is None else ts, clock.now().timestamp()
            )
        except (KeyError, TypeError) as error:
            raise NoValidResponse(NETWORK, method, "no server in the response") from error

    async def _ensure_events_enabled(self) -> None:
        """Switch on long poll and its events, which an administrator of the community may have switched off.

        If VK refuses that, the events that are on are still received, and the page's source shows the reason.
        """
        self._problem = None
        try:
            async with self._shared.opening:
                changed = await ensure_events_enabled(
                    partial(self._call, "groups.getLongPollSettings"),
                    partial(self._call, "groups.setLongPollSettings", enabled=1),
                )
        except (CallError, NoUsableToken, NoValidResponse) as error:
            log.warning("long poll events not checked", page_id=str(self._page.id), error=str(error)[:300])
            if isinstance(error, CallError):
                self._problem = f"{NOT_CHECKED_TEXT} ({error})"
            return
        if changed:
            self._shared.missed(self._page)

    async def _call(self, method: str, **params: Any) -> Any:
        client = self._shared.client
        credential = client.select_token(method, TokenKind.GROUP, TokenKind.USER, page_id=self._page.id)
        return await client.read_with_retries(credential, method, group_id=self._page.external_id, **params)

    async def _check(self, session: _Session) -> dict[str, Any]:
        query = {
            "act": CHECK,
            "key": session.key,
            "ts": session.ts,
            "wait": str(self._shared.settings.vk_long_poll_wait_seconds),
        }
        url = URL(session.server).update_query(query)
        try:
            async with self._shared.http.get(url, timeout=self._shared.timeout) as response:
                answer = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise transport_failure(NETWORK, CHECK, error) from None
        if not isinstance(answer, dict) or not ("ts" in answer or "failed" in answer):
            raise NoValidResponse(NETWORK, CHECK, "neither events nor a failure in the response")
        return answer

    async def _recover(self, session: _Session, answer: dict[str, Any]) -> None:
        """Continue after a failure: 1: events lost, use the given `ts`; 2: get a key; 3: get a key and `ts`."""
        match answer["failed"]:
            case 1 if "ts" in answer:
                session.ts = str(answer["ts"])
                self._shared.missed(self._page)
            case 2:
                session = await self._open(session.ts)
            case _:
                session = await self._open(None)
                self._shared.missed(self._page)
        await self._intake.store(self._page, SOURCE, ParsedBatch(), cursor=session.cursor())
        self._session = session

    async def _take(self, session: _Session, answer: dict[str, Any]) -> None:
        ts, updates = str(answer["ts"]), answer.get("updates")
        if not updates and ts == session.ts:
            if self._problem is None:
                self._intake.report_success(self._page, SOURCE)
            else:
                self._intake.report_failure(self._page, SOURCE, self._problem)
            return
        if updates:
            self._record_event()
        parsed = vk_push.parse_events(updates, self._page)
        moved = _Session(session.server, session.key, ts, session.opened_at)
        await self._intake.store(
            self._page,
            SOURCE,
            parsed,
            cursor=moved.cursor(),
            thread_states=suggested_posts.suggested_thread_states(parsed),
        )
        self._session = moved
        if changed := vk_push.threads_to_reread(parsed):
            await self._intake.invalidate_threads(changed)
