"""Send the events of the Callback API and the confirmation requests to the servers."""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from emulators.common.clock import EmulatorClock
from emulators.common.faults.fault_injector import UNEXPECTED_JSON, FaultInjector
from emulators.common.faults.fault_types import Fault
from emulators.common.server import json_bytes
from emulators.common.store import Row
from emulators.vk.push.callback_servers import CallbackServers
from emulators.vk.settings import VkSettings

log = logging.getLogger("emulators.vk.push.callback_servers")
DELIVERY = "callback"
CONFIRMATION = "callback_confirmation"
"""Names of deliveries and confirmations in faults."""
MAX_WAIT = 3 * 3_600
"""Maximum delay in seconds that a server may request."""
_RETRY_AFTER_STATUSES = (410, 429, 503)


@dataclass(frozen=True)
class DeliveryResponse:
    """The response of a server; `status` is None if there was no response."""

    status: int | None
    text: str
    retry_after: str = ""


class CallbackDelivery:
    """Delivers queued events with one task per server, so that servers do not wait for each other."""

    def __init__(
        self, callbacks: CallbackServers, clock: EmulatorClock, settings: VkSettings, faults: FaultInjector
    ) -> None:
        self._callbacks = callbacks
        self._clock = clock
        self._settings = settings
        self._faults = faults
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._news: dict[int, asyncio.Event] = {}
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Start delivering queued and new events."""
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._callbacks.on_work = self._work
        for server in self._callbacks.servers():
            self._work(server["id"])

    async def stop(self) -> None:
        """Stop immediately; undelivered events stay in the queue."""
        self._callbacks.on_work = lambda _: None
        for task in self._tasks.values():
            task.cancel()
        for task in self._tasks.values():
            with suppress(asyncio.CancelledError):
                await task
        if self._http is not None:
            await self._http.close()

    def _work(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is None or task.done():
            self._news[number] = asyncio.Event()
            self._tasks[number] = asyncio.create_task(self._deliver_queue(number))
        else:
            self._news[number].set()

    async def _deliver_queue(self, number: int) -> None:
        while (server := self._callbacks.server(number)) is not None:
            if server["status"] == "wait":
                await self._confirm(server)
                continue
            item = self._callbacks.next(number) if server["active"] else None
            if item is None:
                break
            pause = max(server["paused_until"], item["due"]) - self._clock.now()
            if pause > 0:
                await self._sleep(number, pause)
            else:
                await self._deliver(server, item)

    async def _sleep(self, number: int, seconds: float) -> None:
        news = self._news[number]
        news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), seconds)

    async def _confirm(self, server: Row) -> None:
        body: dict[str, Any] = {"type": "confirmation", "group_id": server["page"]}
        if self._settings.callback_confirmation_ids:
            body |= {"event_id": f"{server['id']:020x}{server['asked']:020x}", "v": server["version"]}
        answered = await self._post(server, body, 0, self._faults.draw_push(CONFIRMATION))
        is_correct = (answered.status, answered.text) == (200, self._callbacks.code(server["page"]))
        self._callbacks.log_delivery(
            server, None, "ok" if is_correct else "failed", answered.status, answered.text
        )
        self._callbacks.confirmation_answered(server, is_correct=is_correct)

    async def _deliver(self, server: Row, item: Row) -> None:
        hit = self._faults.draw_push(DELIVERY)
        kinds = {fault.kind for fault in hit}
        if "reorder" in kinds and not item["attempts"] and item["holds"]:
            overtaken_until = self._clock.now() + self._settings.callback_reorder_seconds
            self._callbacks.postpone(item["seq"], overtaken_until, overtaken=True)
            return
        self._callbacks.attempt(item["seq"])
        body = json.loads(item["body"])
        answered = await self._post(server, body, item["attempts"], hit)
        self._record_response(server, item, answered)
        if "duplicate" in kinds:
            again = await self._post(server, body, item["attempts"], [])
            self._callbacks.log_delivery(server, item, "duplicate", again.status, again.text)

    def _record_response(self, server: Row, item: Row, answered: DeliveryResponse) -> None:
        callbacks = self._callbacks
        fresh = callbacks.server(server["id"])
        if fresh is None:
            return
        outcome = "ok"
        wait_until = self._asked_to_wait(answered)
        if (answered.status, answered.text) == (200, "ok"):
            callbacks.delivered(fresh, item["seq"])
        elif (answered.status, answered.text) == (200, "remove"):
            outcome = "removed"
            callbacks.remove(fresh["page"], fresh["id"])
        elif wait_until is not None:
            outcome = "later"
            callbacks.postpone(item["seq"], wait_until)
        else:
            outcome = "failed" if callbacks.failed(fresh, item) else "given_up"
        callbacks.log_delivery(fresh, item, outcome, answered.status, answered.text)

    def _asked_to_wait(self, answered: DeliveryResponse) -> float | None:
        if answered.status not in _RETRY_AFTER_STATUSES or not answered.retry_after:
            return None
        try:
            until = parsedate_to_datetime(answered.retry_after).timestamp()
        except ValueError:
            return None
        now = self._clock.now()
        return until if now < until < now + MAX_WAIT else None

    async def _post(self, server: Row, body: dict[str, Any], retries: int, hit: list[Fault]) -> DeliveryResponse:
        """Send one request; a network error is returned as a missing response."""
        assert self._http is not None
        faults = {fault.kind: fault for fault in hit}
        if "timeout" in faults or "drop" in faults or "error" in faults:
            return DeliveryResponse(None, "not sent because of a fault")
        if "slow" in faults:
            seconds = faults["slow"].seconds
            await asyncio.sleep(self._settings.slow_seconds if seconds is None else seconds)
        sent = body | ({"secret": server["secret"]} if server["secret"] else {})
        data = json_bytes(UNEXPECTED_JSON if "wrong_json" in faults else sent)
        if "truncated" in faults:
            data = data[: len(data) // 2]
        headers = {"Content-Type": "application/json", **({"X-Retry-Counter": str(retries)} if retries else {})}
        timeout = aiohttp.ClientTimeout(total=self._settings.callback_timeout_seconds)
        try:
            async with self._http.post(
                server["url"], data=data, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                raw = await response.read()
                # Any extra byte, even a byte-order mark, makes the response invalid.
                text = raw.decode(errors="replace")
                answered = DeliveryResponse(response.status, text, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.info("callback server %s did not answer: %r", server["id"], error)
            return DeliveryResponse(None, f"{type(error).__name__}: {error}")
        return (
            DeliveryResponse(None, "the answer was lost because of a fault")
            if "lost_response" in faults
            else answered
        )
