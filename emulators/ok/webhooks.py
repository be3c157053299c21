"""Outgoing webhooks: send the events of the Bot API to the URLs that groups have subscribed."""

import asyncio
import functools
import json
import logging
from typing import Any

import aiohttp

from emulators.common.clock import EmulatorClock
from emulators.common.faults.fault_injector import FaultInjector
from emulators.common.store import EmulatorStore, Row
from emulators.ok import ids
from emulators.ok.settings import OkSettings

log = logging.getLogger(__name__)
EVENT_TYPES = frozenset({"MESSAGE_CREATED", "MESSAGE_CALLBACK", "CHAT_SYSTEM"})
FAULT_METHOD = "webhook"
IDLE_SECONDS = 1.0
OK_STATUS = 200
LOG_LENGTH = 1_000


class WebhookSender:
    """Subscriptions and due deliveries; both are in the store and survive a crash."""

    def __init__(
        self, store: EmulatorStore, settings: OkSettings, clock: EmulatorClock, faults: FaultInjector
    ) -> None:
        self.store = store
        self.settings = settings
        self.clock = clock
        self.faults = faults
        self._wake = asyncio.Event()
        self._in_flight: dict[int, asyncio.Task[None]] = {}

    def subscribe(self, page: str, url: str, types: list[str]) -> None:
        """Subscribe a URL to events of a group; a subscribed URL gets the new list of types."""
        with self.store.transaction():
            self.store.execute(
                "INSERT INTO subscriptions (page, url, types, created_ms) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (page, url) DO UPDATE SET types = excluded.types",
                (page, url, ",".join(types), self.clock.now_ms()),
            )

    def unsubscribe(self, page: str, url: str) -> bool:
        """Unsubscribe a URL; return whether it was subscribed."""
        row = self.store.one("SELECT id FROM subscriptions WHERE page = ? AND url = ?", (page, url))
        if row is None:
            return False
        self._remove(row["id"])
        return True

    def subscriptions(self, page: str) -> list[dict[str, Any]]:
        """Return the subscriptions of a group as `{url, time}`."""
        rows = self.store.all("SELECT url, created_ms FROM subscriptions WHERE page = ? ORDER BY id", (page,))
        return [{"url": row["url"], "time": row["created_ms"]} for row in rows]

    def publish(self, page: str, kind: str, event: dict[str, Any]) -> None:
        """Queue an event for every subscribed URL of the group; commits before it returns."""
        body = {"webhookType": kind, **event} if self.settings.webhook_type_field else event
        text = json.dumps(body, ensure_ascii=False)
        now = self.clock.now_ms()
        with self.store.transaction():
            for row in self.store.all("SELECT id, types FROM subscriptions WHERE page = ?", (page,)):
                if kind not in row["types"].split(","):
                    continue
                faults = {fault.kind for fault in self.faults.draw_push(FAULT_METHOD)}
                copies = 0 if "drop" in faults else 2 if "duplicate" in faults else 1
                due = now + (self.settings.webhook_reorder_ms if "reorder" in faults else 0)
                for _ in range(copies):
                    self.store.execute(
                        "INSERT INTO deliveries (subscription, body, due_ms) VALUES (?, ?, ?)",
                        (row["id"], text, due),
                    )
        self._wake.set()

    async def run(self) -> None:
        """Deliver due events until cancelled."""
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            try:
                while True:
                    self._wake.clear()
                    self._remove_expired()
                    self._start_due(client)
                    try:
                        await asyncio.wait_for(self._wake.wait(), self._pause())
                    except TimeoutError:
                        continue
            finally:
                for task in self._in_flight.values():
                    task.cancel()
                await asyncio.gather(*self._in_flight.values(), return_exceptions=True)

    def _pause(self) -> float:
        due = self.store.value("SELECT min(due_ms) FROM deliveries")
        if due is None or self._in_flight:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(0.0, (int(due) - self.clock.now_ms()) / 1000))

    def _start_due(self, client: aiohttp.ClientSession) -> None:
        room = self.settings.webhook_parallel - len(self._in_flight)
        if room <= 0:
            return
        rows = self.store.all(
            "SELECT d.id, d.body, d.attempts, d.subscription, s.url, s.page FROM deliveries d"
            " JOIN subscriptions s ON s.id = d.subscription WHERE d.due_ms <= ? ORDER BY d.due_ms, d.id LIMIT ?",
            (self.clock.now_ms(), room + len(self._in_flight)),
        )
        for row in rows:
            if row["id"] in self._in_flight or len(self._in_flight) >= self.settings.webhook_parallel:
                continue
            task = asyncio.create_task(self._deliver(client, row))
            self._in_flight[row["id"]] = task
            task.add_done_callback(functools.partial(self._finished, row["id"]))

    def _finished(self, ident: int, task: asyncio.Task[None]) -> None:
        del self._in_flight[ident]
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("delivery failed", exc_info=task.exception())

    async def _deliver(self, client: aiohttp.ClientSession, row: Row) -> None:
        status = None
        try:
            async with client.post(
                row["url"],
                data=row["body"].encode("utf-8"),
                headers={"Content-Type": "application/json;charset=utf-8"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self.settings.webhook_timeout_seconds),
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.info("webhook subscriber did not answer: %s", error)
        with self.store.transaction():
            self._note(row, status)
            if status == OK_STATUS:
                self.store.execute("DELETE FROM deliveries WHERE id = ?", (row["id"],))
                self.store.execute(
                    "UPDATE subscriptions SET failing_ms = NULL WHERE id = ?", (row["subscription"],)
                )
                return
            now = self.clock.now_ms()
            schedule = self.settings.webhook_retry_seconds
            delay = schedule[min(row["attempts"], len(schedule) - 1)]
            self.store.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due_ms = ? WHERE id = ?",
                (now + int(delay * 1000), row["id"]),
            )
            self.store.execute(
                "UPDATE subscriptions SET failing_ms = coalesce(failing_ms, ?) WHERE id = ?",
                (now, row["subscription"]),
            )

    def _note(self, row: Row, status: int | None) -> None:
        ident = self.store.execute(
            "INSERT INTO delivery_log (page, url, body, attempt, status, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (row["page"], row["url"], row["body"], row["attempts"] + 1, status, self.clock.now_ms()),
        )
        self.store.execute("DELETE FROM delivery_log WHERE id <= ?", (ident - LOG_LENGTH,))

    def _remove_expired(self) -> None:
        since = self.clock.now_ms() - self.settings.webhook_patience_ms
        for row in self.store.all("SELECT id FROM subscriptions WHERE failing_ms < ?", (since,)):
            self._remove(row["id"])

    def overview(self, page: str | None, count: int) -> dict[str, Any]:
        """Return subscriptions with their queued events, and the last delivery attempts, newest first."""
        subscribed = self.store.all(
            "SELECT s.*, (SELECT count(*) FROM deliveries d WHERE d.subscription = s.id) AS waiting"
            " FROM subscriptions s WHERE ?1 IS NULL OR page = ?1 ORDER BY id",
            (page,),
        )
        attempts = self.store.all(
            "SELECT * FROM delivery_log WHERE ?1 IS NULL OR page = ?1 ORDER BY id DESC LIMIT ?2", (page, count)
        )
        return {
            "items": [
                {
                    "page": row["page"],
                    "url": row["url"],
                    "types": row["types"].split(","),
                    "since": ids.rfc3339(row["created_ms"]),
                    "failing_since": None if row["failing_ms"] is None else ids.rfc3339(row["failing_ms"]),
                    "waiting": row["waiting"],
                }
                for row in subscribed
            ],
            "deliveries": [
                {
                    "page": row["page"],
                    "url": row["url"],
                    "event": json.loads(row["body"]),
                    "attempt": row["attempt"],
                    "status": row["status"],
                    "at": ids.rfc3339(row["at_ms"]),
                }
                for row in attempts
            ],
        }

    def remove_subscriptions(self, page: str) -> int:
        """Remove all subscriptions of a group; return their number."""
        rows = self.store.all("SELECT id FROM subscriptions WHERE page = ?", (page,))
        for row in rows:
            self._remove(row["id"])
        return len(rows)

    def _remove(self, subscription: int) -> None:
        with self.store.transaction():
            self.store.execute("DELETE FROM deliveries WHERE subscription = ?", (subscription,))
            self.store.execute("DELETE FROM subscriptions WHERE id = ?", (subscription,))
