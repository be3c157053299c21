"""Monitor the groups' webhook subscriptions, which OK drops silently after hours of failed deliveries.

Each group's messages are pushed to a URL with its own secret. Subscriptions of other applications are not touched.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from services.ingest.networks.calls import CallError, ErrorTreatment, NoValidResponse
from services.ingest.networks.ok.cooldowns import is_closed_error
from services.ingest.networks.ok.ok_client import OkClient, bot_method_name
from services.ingest.networks.ok.ok_errors import NETWORK
from services.ingest.networks.port import (
    CallbackState,
    IntakeStore,
    PageRef,
    RegisteredCallback,
    TokenKind,
    TokenPool,
)
from services.ingest.networks.retry import TRANSIENT_ERRORS, retry_delay
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import get_logger

log = get_logger(__name__)

SOURCE = "callback"
CONCURRENCY = 8
# How often a waiting group is checked for a new token, in seconds.
TOKEN_CHECK_SECONDS = 5.0
EVENT_TYPES = ["MESSAGE_CREATED"]
PUSH_LOSS_TEXT = "Сообщение найдено опросом: уведомление о нём не пришло"
NOT_SUBSCRIBED_TEXT = "Подписки на адрес, заданный вручную, в группе нет"


class SubscriptionMonitor:
    """Subscribes every group that has a bot token, and checks its subscription periodically.

    `on_possible_loss` is called for a group if messages may not have been pushed.
    """

    def __init__(
        self,
        client: OkClient,
        token_pool: TokenPool,
        intake: IntakeStore,
        settings: IngestSettings,
        on_possible_loss: Callable[[PageRef], None],
    ) -> None:
        self._client = client
        self._token_pool = token_pool
        self._intake = intake
        self._settings = settings
        self._on_possible_loss = on_possible_loss
        self._due: dict[UUID, float] = {}
        self._failures: dict[UUID, int] = {}
        self._busy: set[UUID] = set()
        self._next_token_check: dict[UUID, float] = {}
        self._tokens: dict[UUID, UUID] = {}
        self._working: set[UUID] = set()
        self._suspected: set[UUID] = set()
        # The loop time until which a subscription that was renewed after a reported loss is not trusted.
        self._probation_until: dict[UUID, float] = {}

    @property
    def enabled(self) -> bool:
        """Return whether a public callback URL is configured."""
        return bool(self._settings.callbacks_url)

    def is_working(self, page: PageRef) -> bool:
        """Return whether the group's messages are pushed, as far as this process knows."""
        return page.id in self._working

    def report_loss(self, page: PageRef) -> None:
        """Report a message that push did not deliver: check the subscription now and poll meanwhile."""
        self._working.discard(page.id)
        self._suspected.add(page.id)
        self._due.pop(page.id, None)

    async def run(self) -> None:
        """Check the subscriptions until cancelled. State of an earlier run is discarded."""
        self._working.clear()
        self._due.clear()
        gate = asyncio.Semaphore(CONCURRENCY)
        async with asyncio.TaskGroup() as group:
            while True:
                now = asyncio.get_running_loop().time()
                for page in self._token_pool.pages(NETWORK):
                    if page.id not in self._busy and self._ready(page, now):
                        self._busy.add(page.id)
                        group.create_task(self._one(page, gate))
                await asyncio.sleep(0.5)

    def _ready(self, page: PageRef, now: float) -> bool:
        waits = self._due.get(page.id, 0.0) > now
        if waits and page.id in self._working:
            return False
        if self._next_token_check.get(page.id, 0.0) > now and (waits or page.id not in self._tokens):
            return False
        self._next_token_check[page.id] = now + TOKEN_CHECK_SECONDS
        credential = self._token_pool.select(NETWORK, TokenKind.GROUP, page.id)
        if credential is None:
            self._working.discard(page.id)
            self._tokens.pop(page.id, None)
            return False
        # Check at once with a new token: the network may accept it.
        fresh = self._tokens.get(page.id) != credential.id
        self._tokens[page.id] = credential.id
        return fresh or not waits

    async def _one(self, page: PageRef, gate: asyncio.Semaphore) -> None:
        try:
            async with gate:
                delay = await self._check(page)
            # Jitter: thousands of groups must not be checked at the same time.
            self._due[page.id] = asyncio.get_running_loop().time() + delay * random.uniform(0.8, 1.0)  # noqa: S311
        finally:
            self._busy.discard(page.id)

    async def _check(self, page: PageRef) -> float:
        """Check one group; return the seconds until its next check."""
        try:
            await self.check_group(page)
        except TRANSIENT_ERRORS as error:
            if page.id in self._working:
                self._working.discard(page.id)
                self._on_possible_loss(page)
            failures = self._failures[page.id] = self._failures.get(page.id, 0) + 1
            self._intake.report_failure(page, SOURCE, str(error))
            log.warning("subscription check failed", page_external_id=page.external_id, error=str(error)[:200])
            if is_closed_error(error) or (
                isinstance(error, CallError) and error.treatment is ErrorTreatment.CLIENT_ERROR
            ):
                return self._settings.ok_closed_retry_seconds
            return retry_delay(error, failures)
        except Exception as bug:  # a bug in the check of one group must not stop the others
            self._working.discard(page.id)
            failures = self._failures[page.id] = self._failures.get(page.id, 0) + 1
            self._intake.report_failure(page, SOURCE, repr(bug))
            log.exception("subscription check failed", page_external_id=page.external_id)
            return retry_delay(bug, failures)
        self._failures.pop(page.id, None)
        return self._settings.ok_subscription_check_seconds

    async def check_group(self, page: PageRef) -> None:
        """Ensure that the group's URL is subscribed. Raises the errors of a call (see `calls`)."""
        callback = await self._address(page)
        try:
            there = await self._subscribed(page)
            doubted = page.id in self._suspected
            if callback.manual:
                await self._by_hand(page, callback, there)
                return
            if callback.url not in there or doubted:
                await self._subscribe(page, callback)
                self._on_possible_loss(page)
        except TRANSIENT_ERRORS as error:
            await self._intake.callbacks.record_check(page.id, CallbackState.FAILED, str(error)[:300])
            raise
        now = asyncio.get_running_loop().time()
        if doubted:
            self._suspected.discard(page.id)
            self._probation_until[page.id] = now + self._settings.ok_subscription_check_seconds * 0.7
        if self._probation_until.get(page.id, 0.0) > now:
            await self._intake.callbacks.record_check(page.id, CallbackState.FAILED, PUSH_LOSS_TEXT)
            self._intake.report_failure(page, SOURCE, PUSH_LOSS_TEXT)
            return
        self._probation_until.pop(page.id, None)
        await self._intake.callbacks.record_check(page.id, CallbackState.ACTIVE)
        self._intake.report_success(page, SOURCE)
        self._working.add(page.id)

    async def _by_hand(self, page: PageRef, callback: RegisteredCallback, there: set[str]) -> None:
        """Check a manual subscription without changing it."""
        self._suspected.discard(page.id)
        if any(url.endswith(f"/callbacks/{NETWORK}/{callback.secret}") for url in there):
            await self._intake.callbacks.record_check(page.id, CallbackState.ACTIVE)
            self._intake.report_success(page, SOURCE)
            self._working.add(page.id)
            return
        self._working.discard(page.id)
        await self._intake.callbacks.record_check(page.id, CallbackState.FAILED, NOT_SUBSCRIBED_TEXT)
        self._intake.report_failure(page, SOURCE, NOT_SUBSCRIBED_TEXT)

    async def _address(self, page: PageRef) -> RegisteredCallback:
        """Return the group's callback; a new URL is saved before it is sent to the network."""
        kept = (await self._intake.callbacks.by_page(NETWORK, [page.id])).get(page.id)
        if kept is not None and kept.manual:
            return kept
        secret = kept.secret if kept is not None else secrets.token_urlsafe(32)
        url = f"{(self._settings.callbacks_url or '').rstrip('/')}/callbacks/{NETWORK}/{secret}"
        if kept is not None and kept.url == url:
            return kept
        fresh = RegisteredCallback(page_id=page.id, url=url, secret=secret, checked_at=clock.now())
        if kept is not None:
            fresh = replace(kept, url=url, state=CallbackState.PENDING, reason=None)
            await self._call(page, "unsubscribe", kept.url)
        await self._intake.callbacks.save(NETWORK, fresh)
        return fresh

    async def _subscribed(self, page: PageRef) -> set[str]:
        credential = self._client.group_token(page.id, bot_method_name("subscriptions"))
        answer = await self._client.read_bot_api(credential, "subscriptions")
        rows = answer.get("subscriptions") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise NoValidResponse(NETWORK, "graph.subscriptions", "no subscriptions in the response")
        return {str(row["url"]) for row in rows if isinstance(row, dict) and row.get("url")}

    async def _subscribe(self, page: PageRef, callback: RegisteredCallback) -> None:
        answer = await self._call(page, "subscribe", callback.url)
        if not isinstance(answer, dict) or answer.get("success") is not True:
            raise NoValidResponse(NETWORK, "graph.subscribe", "the network did not confirm the subscription")
        log.info("callback subscribed", page_external_id=page.external_id)

    async def _call(self, page: PageRef, what: str, url: str) -> object:
        credential = self._client.group_token(page.id, bot_method_name(what, posting=True))
        body = {"url": url, **({"types": EVENT_TYPES} if what == "subscribe" else {})}
        answer: object = await self._client.call_bot_api(credential, what, body=body)
        return answer
