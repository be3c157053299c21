"""Monitor VK callback servers: one per community, confirmed, with the supported events enabled."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from services.ingest.networks.calls import CallError, ErrorTreatment, NoValidResponse
from services.ingest.networks.page_scheduler import PageScheduler
from services.ingest.networks.port import (
    CallbackRegistrations,
    CallbackState,
    IntakeStore,
    PageRef,
    RegisteredCallback,
    TokenKind,
    TokenPool,
)
from services.ingest.networks.retry import run_periodically
from services.ingest.networks.vk.push.event_switches import all_switches, ensure_events_enabled
from services.ingest.networks.vk.reading.wall_reader import list_items
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.settings import IngestSettings

SOURCE = "callback"
PATH = "/callbacks/vk"
TITLE = "gospablik"
CONCURRENCY = 4
RECHECK_SECONDS = 5.0
STATE_REFRESH_SECONDS = 30.0
# After this many checks in which the server still waits for its confirmation, request it again.
MAX_WAITING_CHECKS = 6
MAX_CONFIRMATION_REQUESTS = 3
# How long after saving a server the network may request its confirmation, in seconds: longer than these checks.
CONFIRMATION_WINDOW_SECONDS = 120.0
SERVER_LIMIT_TEXT = "У сообщества уже десять серверов Callback API: удалите лишний в настройках сообщества."
NOT_CONFIRMED_TEXT = "Сеть не смогла подтвердить адрес: проверьте, что он доступен из интернета."
NOT_ALLOWED_TEXT = (
    "Ключу сообщества не разрешено управлять Callback API: выпустите ключ с правом «Управление сообществом»."
)
TOO_MANY_SERVERS = 2000
NOT_FOUND = 104


async def fetch_confirmation_code(client: VkClient, page: PageRef) -> str | None:
    """Return the current confirmation code; None if the response has none.

    Raises `NoUsableToken` without a token of the group, `CallError` if VK refuses the call, and `NoValidResponse`
    if there is no valid response.
    """
    method = "groups.getCallbackConfirmationCode"
    credential = client.select_token(method, TokenKind.GROUP, page_id=page.id)
    answer = await client.call(credential, method, group_id=page.external_id)
    code = answer.get("code") if isinstance(answer, dict) else None
    return str(code) if code else None


class CallbackServerMonitor:
    """Creates and repairs our callback servers; other systems' servers and manual ones stay unchanged."""

    def __init__(
        self,
        client: VkClient,
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
        self._waited: dict[UUID, int] = {}
        self._tried: dict[UUID, int] = {}
        self._working: set[UUID] | None = None
        self._by_hand: set[UUID] = set()
        self._rotation = PageScheduler(SOURCE, self._pages, self._check, self._failed, concurrency=CONCURRENCY)

    @property
    def _callbacks(self) -> CallbackRegistrations:
        return self._intake.callbacks

    def is_working(self, page: PageRef) -> bool:
        """Return whether the page's events are pushed; True until the registrations are first loaded."""
        return self._working is None or page.id in self._working

    async def run(self) -> None:
        """Check the servers until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_periodically(f"{SOURCE}:known", self._refresh_states))
            if self._settings.callbacks_url:
                tasks.create_task(self._rotation.run())

    async def _refresh_states(self) -> float:
        kept = await self._callbacks.by_page(NETWORK)
        self._by_hand = {page_id for page_id, one in kept.items() if one.manual}
        self._working = {page_id for page_id, one in kept.items() if one.state is CallbackState.ACTIVE}
        return min(STATE_REFRESH_SECONDS, self._settings.vk_callback_check_seconds)

    def _pages(self) -> Sequence[PageRef]:
        return [
            page
            for page in self._token_pool.pages(NETWORK)
            if page.id not in self._by_hand
            and self._token_pool.select(NETWORK, TokenKind.GROUP, page.id) is not None
        ]

    def _failed(self, page: PageRef, error: str) -> None:
        self._intake.report_failure(page, SOURCE, error)

    async def _check(self, page: PageRef) -> float:
        """Compare the registration with the network; return the seconds until the next check."""
        kept = (await self._callbacks.by_page(NETWORK, [page.id])).get(page.id)
        if kept is not None and kept.manual:
            return self._settings.vk_callback_check_seconds
        mine = self._wanted(page, kept)
        try:
            return await self._compare(page, mine)
        except CallError as error:
            reason = _reason(error)
            if reason is None:
                raise
            if kept is None:
                await self._callbacks.save(NETWORK, mine)
            await self._state(page, CallbackState.FAILED, reason)
            return self._settings.vk_callback_check_seconds

    def _wanted(self, page: PageRef, kept: RegisteredCallback | None) -> RegisteredCallback:
        url = f"{(self._settings.callbacks_url or '').rstrip('/')}{PATH}"
        if kept is None:
            return RegisteredCallback(page_id=page.id, url=url, secret=secrets.token_hex(20))
        return kept if kept.url == url else replace(kept, url=url, state=CallbackState.PENDING)

    async def _compare(self, page: PageRef, mine: RegisteredCallback) -> float:
        server = _ours(list_items(await self._call(page, "groups.getCallbackServers"), "getCallbackServers"), mine)
        if server is None:
            await self._add(page, mine)
            return RECHECK_SECONDS
        if server.get("url") != mine.url or server.get("secret_key") != mine.secret:
            return await self._request_confirmation_again(page, mine, server)
        match server.get("status"):
            case "ok":
                await self._ensure_events_set(page, mine, server)
                return self._settings.vk_callback_check_seconds
            case "wait" if self._waited.get(page.id, 0) < MAX_WAITING_CHECKS:
                self._waited[page.id] = self._waited.get(page.id, 0) + 1
                return RECHECK_SECONDS
            case _:
                return await self._request_confirmation_again(page, mine, server)

    async def _add(self, page: PageRef, mine: RegisteredCallback) -> None:
        # Save first: the network requests the confirmation before it responds.
        await self._callbacks.save(
            NETWORK,
            replace(
                mine,
                server_id=None,
                state=CallbackState.PENDING,
                reason=None,
                confirmation_window_seconds=CONFIRMATION_WINDOW_SECONDS,
            ),
        )
        answer = await self._call(
            page, "groups.addCallbackServer", url=mine.url, title=TITLE, secret_key=mine.secret
        )
        number = answer.get("server_id") if isinstance(answer, dict) else None
        if not isinstance(number, int):
            raise NoValidResponse(NETWORK, "groups.addCallbackServer", "no server id in the response")
        await self._set_events(page, number)
        await self._callbacks.save(NETWORK, replace(mine, server_id=str(number), state=CallbackState.PENDING))
        self._waited.pop(page.id, None)

    async def _request_confirmation_again(
        self, page: PageRef, mine: RegisteredCallback, server: dict[str, Any]
    ) -> float:
        """Update the server in the network, so that the network requests the confirmation again."""
        tried = self._tried[page.id] = self._tried.get(page.id, 0) + 1
        failed = tried > MAX_CONFIRMATION_REQUESTS
        state, reason = (CallbackState.FAILED, NOT_CONFIRMED_TEXT) if failed else (CallbackState.PENDING, None)
        number = int(server["id"])
        await self._callbacks.save(
            NETWORK,
            replace(
                mine,
                server_id=str(number),
                state=state,
                reason=reason,
                confirmation_window_seconds=CONFIRMATION_WINDOW_SECONDS,
            ),
        )
        if self._working is not None:
            self._working.discard(page.id)
        await self._call(
            page,
            "groups.editCallbackServer",
            server_id=number,
            url=mine.url,
            title=TITLE,
            secret_key=mine.secret,
        )
        await self._set_events(page, number)
        self._waited.pop(page.id, None)
        return self._settings.vk_callback_check_seconds if failed else RECHECK_SECONDS

    async def _ensure_events_set(self, page: PageRef, mine: RegisteredCallback, server: dict[str, Any]) -> None:
        """Ensure that a working server still has the supported events enabled."""
        number = int(server["id"])
        changed = await ensure_events_enabled(
            partial(self._call, page, "groups.getCallbackSettings", server_id=number),
            partial(self._call, page, "groups.setCallbackSettings", server_id=number),
        )
        if changed or mine.state is not CallbackState.ACTIVE:
            self._on_possible_loss(page)  # not all events were pushed until now
        if mine.server_id != str(number):
            await self._callbacks.save(NETWORK, replace(mine, server_id=str(number)))
        self._waited.pop(page.id, None)
        self._tried.pop(page.id, None)
        await self._state(page, CallbackState.ACTIVE, None)

    async def _set_events(self, page: PageRef, number: int) -> None:
        await self._call(page, "groups.setCallbackSettings", server_id=number, **all_switches())

    async def _state(self, page: PageRef, state: CallbackState, reason: str | None) -> None:
        await self._callbacks.record_check(page.id, state, reason)
        if state is CallbackState.ACTIVE:
            if self._working is not None:
                self._working.add(page.id)
            self._intake.report_success(page, SOURCE)
        else:
            if self._working is not None:
                self._working.discard(page.id)
            self._intake.report_failure(page, SOURCE, reason or state.value)

    async def _call(self, page: PageRef, method: str, **params: Any) -> Any:
        credential = self._client.select_token(method, TokenKind.GROUP, page_id=page.id)
        return await self._client.call(credential, method, group_id=page.external_id, **params)


def _ours(listed: list[Any], mine: RegisteredCallback) -> dict[str, Any] | None:
    servers = [one for one in listed if isinstance(one, dict) and isinstance(one.get("id"), int)]
    by_id = next((one for one in servers if str(one["id"]) == mine.server_id), None)
    # If the response with the id of our server was lost, its URL and title identify it.
    by_url = next((one for one in servers if one.get("url") == mine.url and one.get("title") == TITLE), None)
    return by_id or by_url


def _reason(error: CallError) -> str | None:
    if error.code == TOO_MANY_SERVERS:
        return SERVER_LIMIT_TEXT
    return NOT_ALLOWED_TEXT if error.treatment in {ErrorTreatment.DENIED, ErrorTreatment.MISSING_SCOPE} else None
