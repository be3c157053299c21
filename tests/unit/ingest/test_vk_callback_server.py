"""VK may request the confirmation of a new server before it responds to the call that saves it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.ingest.networks.port import CallbackState, PageRef, RegisteredCallback
from services.ingest.networks.vk.push.callback_servers import (
    CONFIRMATION_WINDOW_SECONDS,
    TITLE,
    CallbackServerMonitor,
)
from services.ingest.networks.vk.push.vk_push import SUPPORTED_EVENTS
from services.ingest.settings import IngestSettings
from tests.unit.ingest.settings_keys import KEYS

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="101",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)


class FakeRepository:
    """An in-memory store of the page's callback server, which is also the feed."""

    def __init__(self) -> None:
        self.callbacks = self
        self.last: RegisteredCallback | None = None

    async def by_page(self, _network: str, _pages: Sequence[UUID] | None = None) -> dict[UUID, RegisteredCallback]:
        """Return the stored server by the id of the page."""
        return {} if self.last is None else {PAGE.id: self.last}

    async def save(self, _network: str, callback: RegisteredCallback) -> None:
        """Store the server."""
        self.last = callback

    async def record_check(self, *_: object) -> None:
        """Do nothing: the tests do not check this."""

    def report_success(self, *_: object) -> None:
        """Do nothing: the tests do not check this."""

    report_failure = report_success


class Network:
    """A fake VK that requests the confirmation before it responds to the call that saves a server."""

    def __init__(self, book: FakeRepository) -> None:
        self._book = book
        self.servers: list[dict[str, Any]] = []
        self.awaited: list[tuple[str, float | None]] = []
        self.switches: dict[str, int] = dict.fromkeys(SUPPORTED_EVENTS, 1)

    def select_token(self, *_: object, **__: object) -> None:
        """Return None: the fake network needs no token."""

    async def call(self, _credential: object, method: str, **params: Any) -> Any:
        """Return the response of a call; note the confirmation window open at that time."""
        if method == "groups.getCallbackServers":
            return {"items": self.servers}
        if method == "groups.getCallbackSettings":
            return {"api_version": "5.199", "events": dict(self.switches)}
        if method == "groups.setCallbackSettings":
            self.switches |= {name: params[name] for name in SUPPORTED_EVENTS if name in params}
        if method in {"groups.addCallbackServer", "groups.editCallbackServer"}:
            assert self._book.last is not None
            self.awaited.append((method, self._book.last.confirmation_window_seconds))
        return {"server_id": 7}


async def test_saving_the_server_opens_the_confirmation_window() -> None:
    book = FakeRepository()
    network = Network(book)
    settings = IngestSettings(**KEYS, callbacks_url="https://feedback.example.org")
    client: Any = network
    feed: Any = book
    nobody: Any = None
    watch = CallbackServerMonitor(client, nobody, feed, settings, lambda _page: None)
    await watch._check(PAGE)
    assert network.awaited == [("groups.addCallbackServer", CONFIRMATION_WINDOW_SECONDS)]
    assert book.last is not None
    # VK could not confirm the server: it is saved again, and VK requests the confirmation again.
    server = {"id": 7, "url": book.last.url, "title": TITLE, "secret_key": book.last.secret, "status": "failed"}
    network.servers.append(server)
    await watch._check(PAGE)
    assert network.awaited[1:] == [("groups.editCallbackServer", CONFIRMATION_WINDOW_SECONDS)]


async def test_event_that_was_switched_off_is_switched_on_and_its_loss_reported() -> None:
    book = FakeRepository()
    network = Network(book)
    settings = IngestSettings(**KEYS, callbacks_url="https://feedback.example.org")
    client: Any = network
    feed: Any = book
    nobody: Any = None
    missed: list[PageRef] = []
    book.last = RegisteredCallback(
        page_id=PAGE.id,
        url="https://feedback.example.org/callbacks/vk",
        secret="s",
        server_id="7",
        state=CallbackState.ACTIVE,
    )
    network.servers.append({"id": 7, "url": book.last.url, "title": TITLE, "secret_key": "s", "status": "ok"})
    watch = CallbackServerMonitor(client, nobody, feed, settings, missed.append)
    await watch._check(PAGE)
    assert missed == []
    network.switches["wall_reply_new"] = 0
    for _ in range(2):
        await watch._check(PAGE)
    assert network.switches["wall_reply_new"] == 1
    assert missed == [PAGE]
