"""Callback API: the servers of a community, their enabled events and their delivery queues."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore, Row
from emulators.vk.errors import vk_error
from emulators.vk.push.long_poll import EVENT_TYPES
from emulators.vk.settings import VkSettings

CALLBACK_TYPES = (*EVENT_TYPES, "lead_forms_new", "market_order_edit", "market_order_new")
MAX_SERVERS = 10
MAX_TITLE = 14
MAX_SECRET = 50
MAX_LOG_ROWS = 5_000
"""Number of deliveries kept for the control API, over all communities."""


class CallbackServers:
    """Servers and their queues; `on_work` notifies the sender that a server has work."""

    def __init__(self, store: EmulatorStore, clock: EmulatorClock, settings: VkSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self.on_work: Callable[[int], None] = lambda _: None

    # Servers

    def server(self, number: int, page: int | None = None) -> Row | None:
        """Return a server by its id, or None; with `page`, only a server of this page."""
        return self._store.one(
            "SELECT * FROM callback_servers WHERE id = ?1 AND (?2 IS NULL OR page = ?2)", (number, page)
        )

    def servers(self, page: int | None = None) -> list[Row]:
        """Return the servers of a page or of all pages, oldest first."""
        return self._store.all(
            "SELECT * FROM callback_servers WHERE (?1 IS NULL OR page = ?1) ORDER BY id", (page,)
        )

    def add(self, page: int, url: str, title: str, secret: str, creator: int) -> int:
        """Register a server and request its confirmation; raises errors 100 and 2000."""
        _check(url, title, secret)
        if len(self.servers(page)) >= MAX_SERVERS:
            raise vk_error(2000)
        events = json.dumps(dict.fromkeys(CALLBACK_TYPES, 0))
        number = self._store.execute(
            "INSERT INTO callback_servers (page, url, title, secret, creator_id, events)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (page, url, title, secret, creator, events),
        )
        self.request_confirmation(number)
        return number

    def change(self, page: int, number: int, url: str, title: str, secret: str) -> None:
        """Change a server and request its confirmation again; raises errors 100 and 104."""
        _check(url, title, secret)
        if self.server(number, page) is None:
            raise vk_error(104)
        self._store.execute(
            "UPDATE callback_servers SET url = ?, title = ?, secret = ?, active = 0 WHERE id = ?",
            (url, title, secret, number),
        )
        self.request_confirmation(number)

    def remove(self, page: int, number: int) -> None:
        """Delete a server and its queue; raises error 104."""
        if self.server(number, page) is None:
            raise vk_error(104)
        with self._store.transaction():
            self._store.execute("DELETE FROM callback_servers WHERE id = ?", (number,))
            self._store.execute("DELETE FROM callback_queue WHERE server = ?", (number,))
        self.on_work(number)

    def request_confirmation(self, number: int) -> None:
        """Request the confirmation of a server; its status is `wait` until it responds."""
        self._store.execute(
            "UPDATE callback_servers SET status = 'wait', asked = asked + 1 WHERE id = ?", (number,)
        )
        self.on_work(number)

    def set_events(self, number: int, version: str, events: dict[str, int]) -> None:
        """Set the API version and the events of a server."""
        self._store.execute(
            "UPDATE callback_servers SET version = ?, events = ? WHERE id = ?",
            (version, json.dumps(events), number),
        )

    def code(self, page: int) -> str:
        """Return the current confirmation code of the page's servers."""
        self._store.execute(
            "INSERT INTO callback_codes (page, code) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (page, secrets.token_hex(4)),
        )
        code: str = self._store.value("SELECT code FROM callback_codes WHERE page = ?", (page,))
        return code

    def new_code(self, page: int) -> str:
        """Replace the code of a page and request the confirmation of all its servers again."""
        code = secrets.token_hex(4)
        with self._store.transaction():
            self._store.execute("INSERT OR REPLACE INTO callback_codes (page, code) VALUES (?, ?)", (page, code))
            self.request_confirmations(page)
        return code

    def request_confirmations(self, page: int) -> None:
        """Request the confirmation of all servers of a page."""
        for row in self.servers(page):
            self.request_confirmation(row["id"])

    def confirmation_answered(self, server: Row, *, is_correct: bool) -> None:
        """Record the response to a confirmation request; a request made later remains pending."""
        self._store.execute(
            "UPDATE callback_servers SET status = ?, active = ?, failures = 0, paused_until = 0"
            " WHERE id = ? AND asked = ?",
            ("ok" if is_correct else "failed", is_correct, server["id"], server["asked"]),
        )

    # The queue

    def publish(self, page: int, kind: str, event_id: str, body: Callable[[str], dict[str, Any]]) -> None:
        """Queue an event for each server of the page that has the event enabled, in the caller's transaction."""
        for server in self._store.all("SELECT * FROM callback_servers WHERE page = ? AND active", (page,)):
            if not json.loads(server["events"]).get(kind):
                continue
            self._store.execute(
                "INSERT INTO callback_queue (server, event_id, kind, body, due) VALUES (?, ?, ?, ?, 0)",
                (server["id"], event_id, kind, json.dumps(body(server["version"]), ensure_ascii=False)),
            )
            self.on_work(server["id"])

    def next(self, number: int) -> Row | None:
        """Return the next event of a server, or None.

        It may not be due yet; only events that later events need not wait for are skipped until they are due.
        """
        return self._store.one(
            "SELECT * FROM callback_queue WHERE server = ?1 AND (holds OR due <= ?2) ORDER BY seq LIMIT 1",
            (number, self._clock.now()),
        ) or self._store.one("SELECT * FROM callback_queue WHERE server = ? ORDER BY due, seq LIMIT 1", (number,))

    def attempt(self, seq: int) -> None:
        """Count an attempt before it is made, so that an attempt interrupted by a crash counts too."""
        self._store.execute("UPDATE callback_queue SET attempts = attempts + 1 WHERE seq = ?", (seq,))

    def delivered(self, server: Row, seq: int) -> None:
        """Record a delivered event."""
        with self._store.transaction():
            self._store.execute("DELETE FROM callback_queue WHERE seq = ?", (seq,))
            self._store.execute(
                "UPDATE callback_servers SET failures = 0,"
                " status = CASE status WHEN 'failed' THEN 'ok' ELSE status END WHERE id = ? AND active",
                (server["id"],),
            )

    def postpone(self, seq: int, due: float, *, overtaken: bool = False) -> None:
        """Schedule a resend; with `overtaken`, later events need not wait for this event."""
        holds = not overtaken and self._settings.callback_in_order
        self._store.execute("UPDATE callback_queue SET due = ?, holds = ? WHERE seq = ?", (due, holds, seq))

    def failed(self, server: Row, item: Row) -> bool:
        """Record a failure and schedule a resend; return False if the event was dropped after its last resend.

        Every `callback_pause_after` consecutive failures pause the server.
        """
        schedule, now = self._settings.callback_retry_seconds, self._clock.now()
        with self._store.transaction():
            again: bool = item["failures"] < len(schedule)
            if again:
                self._store.execute(
                    "UPDATE callback_queue SET failures = failures + 1 WHERE seq = ?", (item["seq"],)
                )
                self.postpone(item["seq"], now + schedule[item["failures"]])
            else:
                self._store.execute("DELETE FROM callback_queue WHERE seq = ?", (item["seq"],))
            failures = server["failures"] + 1
            limit = self._settings.callback_pause_after
            self._store.execute("UPDATE callback_servers SET failures = ? WHERE id = ?", (failures, server["id"]))
            if limit and failures % limit == 0:
                self._store.execute(
                    "UPDATE callback_servers SET status = 'failed', paused_until = ? WHERE id = ?",
                    (now + self._settings.callback_pause_seconds, server["id"]),
                )
        return again

    # Data for the control API

    def log_delivery(self, server: Row, item: Row | None, outcome: str, status: int | None, answer: str) -> None:
        """Log a delivery; `item` is None for a confirmation."""
        values = ("", "confirmation", 0) if item is None else (item["event_id"], item["kind"], item["attempts"])
        number = self._store.execute(
            "INSERT INTO callback_log (page, server, event_id, kind, attempt, at, status, answer, outcome)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (server["page"], server["id"], *values, self._clock.now(), status, answer[:200], outcome),
        )
        if number % 100 == 0:
            self._store.execute("DELETE FROM callback_log WHERE id <= ?", (number - MAX_LOG_ROWS,))

    def log(self, page: int | None, limit: int) -> list[Row]:
        """Return the last deliveries, oldest first."""
        rows = self._store.all(
            "SELECT * FROM callback_log WHERE (?1 IS NULL OR page = ?1) ORDER BY id DESC LIMIT ?2", (page, limit)
        )
        return rows[::-1]

    def queue_length(self, number: int) -> int:
        """Return the number of queued events of a server."""
        count: int = self._store.value("SELECT count(*) FROM callback_queue WHERE server = ?", (number,))
        return count


def _check(url: str, title: str, secret: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise vk_error(100, "url is invalid")
    if not title or len(title) > MAX_TITLE:
        raise vk_error(100, "title is invalid")
    if len(secret) > MAX_SECRET:
        raise vk_error(100, "secret_key is invalid")
