"""Bots Long Poll: a stored queue of events per community, and the calls that wait for events."""

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore, Row
from emulators.vk.settings import VkSettings

EVENT_TYPES = (
    "audio_new",
    "board_post_delete",
    "board_post_edit",
    "board_post_new",
    "board_post_restore",
    "donut_money_withdraw",
    "donut_money_withdraw_error",
    "donut_subscription_cancelled",
    "donut_subscription_create",
    "donut_subscription_expired",
    "donut_subscription_price_changed",
    "donut_subscription_prolonged",
    "group_change_photo",
    "group_change_settings",
    "group_join",
    "group_leave",
    "group_officers_edit",
    "like_add",
    "like_remove",
    "market_comment_delete",
    "market_comment_edit",
    "market_comment_new",
    "market_comment_restore",
    "message_allow",
    "message_deny",
    "message_edit",
    "message_event",
    "message_new",
    "message_reaction_event",
    "message_read",
    "message_reply",
    "message_typing_state",
    "photo_comment_delete",
    "photo_comment_edit",
    "photo_comment_new",
    "photo_comment_restore",
    "photo_new",
    "poll_vote_new",
    "user_block",
    "user_unblock",
    "video_comment_delete",
    "video_comment_edit",
    "video_comment_new",
    "video_comment_restore",
    "video_new",
    "wall_post_new",
    "wall_reply_delete",
    "wall_reply_edit",
    "wall_reply_new",
    "wall_reply_restore",
    "wall_repost",
    "wall_schedule_post_delete",
    "wall_schedule_post_new",
)
MAX_WAIT = 90


class LongPollServer:
    """Queues of all communities; a waiting call needs one future and no database query."""

    def __init__(self, store: EmulatorStore, clock: EmulatorClock, settings: VkSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._waiting: defaultdict[int, set[asyncio.Future[None]]] = defaultdict(set)
        self._closing = False

    def publish(self, page: int, kind: str, body: Callable[[str], dict[str, Any]]) -> None:
        """Add an event to the community's queue, in the caller's transaction, and wake the waiting calls.

        `body` returns the event in the form of an API version.
        """
        row = self._page(page)
        if row is None or not row["lp_enabled"] or not json.loads(row["lp_events"]).get(kind):
            return
        ts = row["lp_ts"] + 1
        self._store.execute("UPDATE pages SET lp_ts = ? WHERE id = ?", (ts, page))
        self._store.execute(
            "INSERT INTO events (page, ts, body) VALUES (?, ?, ?)",
            (page, ts, json.dumps(body(row["lp_version"]), ensure_ascii=False)),
        )
        if ts % 100 == 0:
            self._trim(page, ts - self._settings.long_poll_depth)
        self._wake(page)

    def server(self, page: int) -> dict[str, str]:
        """Return the response of groups.getLongPollServer; an expired key is replaced first."""
        row = self._page(page)
        assert row is not None
        age = self._clock.now() - row["lp_key_at"]
        key = row["lp_key"]
        if self._settings.long_poll_key_seconds and age >= self._settings.long_poll_key_seconds:
            key = self._new_key(page)
        server = f"{self._settings.base_url}/whp/{page}"
        return {"key": key, "server": server, "ts": str(row["lp_ts"])}

    async def check(self, page: int, key: str, ts: str, wait: float) -> dict[str, Any]:
        """Return the response of `a_check`: events after `ts`; wait up to `wait` seconds for the first event."""
        deadline = asyncio.get_running_loop().time() + min(max(wait, 0), MAX_WAIT)
        while True:
            row = self._page(page)
            failed = self._failed(row, key, ts)
            if failed is not None or row is None:
                return failed or {"failed": 3}
            after = int(ts)
            left = deadline - asyncio.get_running_loop().time()
            if row["lp_ts"] > after or left <= 0 or self._closing:
                return self._updates(page, after)
            await self._wait(page, left)

    @property
    def held(self) -> int:
        """Return the number of calls that wait for an event."""
        return sum(map(len, self._waiting.values()))

    def expire_key(self, page: int) -> None:
        """Expire the key: clients that use it get `failed: 2`."""
        self._new_key(page)
        self._wake(page)

    def lose_history(self, page: int) -> None:
        """Delete the history and the key: clients get `failed: 3`."""
        with self._store.transaction():
            row = self._page(page)
            assert row is not None
            self._new_key(page)
            self._store.execute("UPDATE pages SET lp_lost_key = ? WHERE id = ?", (row["lp_key"], page))
            self._trim(page, row["lp_ts"])
        self._wake(page)

    def trim_history(self, page: int) -> None:
        """Delete the queued events: a client that has not read them gets `failed: 1` and the next number."""
        row = self._page(page)
        assert row is not None
        self._trim(page, row["lp_ts"])

    def close(self) -> None:
        """Release all waiting calls before the process ends."""
        self._closing = True
        for page in list(self._waiting):
            self._wake(page)

    def _failed(self, row: Row | None, key: str, ts: str) -> dict[str, Any] | None:
        if row is None or not row["lp_enabled"] or key == row["lp_lost_key"]:
            return {"failed": 3}
        limit = self._settings.long_poll_key_seconds
        if key != row["lp_key"] or (limit and self._clock.now() - row["lp_key_at"] >= limit):
            return {"failed": 2}
        if not (ts.isascii() and ts.isdigit()) or int(ts) > row["lp_ts"]:
            return {"failed": 1, "ts": row["lp_ts"]}
        if int(ts) < row["lp_floor"]:
            return {"failed": 1, "ts": row["lp_floor"]}
        return None

    def _updates(self, page: int, after: int) -> dict[str, Any]:
        rows = self._store.all(
            "SELECT ts, body FROM events WHERE page = ? AND ts > ? ORDER BY ts LIMIT ?",
            (page, after, self._settings.long_poll_batch),
        )
        last = rows[-1]["ts"] if rows else after
        return {"ts": str(last), "updates": [json.loads(row["body"]) for row in rows]}

    async def _wait(self, page: int, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[page].add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        finally:
            self._waiting[page].discard(waiter)

    def _wake(self, page: int) -> None:
        # Waiters run after the current transaction and read the committed state.
        for waiter in self._waiting.pop(page, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _new_key(self, page: int) -> str:
        key = secrets.token_hex(20)
        self._store.execute(
            "UPDATE pages SET lp_key = ?, lp_key_at = ? WHERE id = ?", (key, self._clock.now(), page)
        )
        return key

    def _trim(self, page: int, up_to: int) -> None:
        self._store.execute("DELETE FROM events WHERE page = ? AND ts <= ?", (page, up_to))
        self._store.execute("UPDATE pages SET lp_floor = max(lp_floor, ?) WHERE id = ?", (up_to, page))

    def _page(self, page: int) -> Row | None:
        return self._store.one("SELECT * FROM pages WHERE id = ?", (page,))
