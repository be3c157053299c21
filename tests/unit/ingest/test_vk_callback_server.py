"""VK may request the confirmation of a new server before it responds to our call."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.ingest.networks.port import PageRef, RegisteredCallback
from services.ingest.networks.vk.callback_servers import CONFIRMATION_WINDOW_SECONDS, TITLE, CallbackServerMonitor
from services.ingest.settings import IngestSettings
from tests.unit.ingest.settings_keys import KEYS

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="101",
    live_from=datetime(2026, 1, 1, tzinfo=UTC),
)


class Book:
    """What is kept of the page's server, and the feed that it belongs to."""

    def __init__(self) -> None:
        self.callbacks = self
        self.last: RegisteredCallback | None = None

    async def by_page(self, _network: str, _pages: Sequence[UUID] | None = None) -> dict[UUID, RegisteredCallback]:
        """The server of the page."""
        return {} if self.last is None else {PAGE.id: self.last}

    async def save(self, _network: str, callback: RegisteredCallback) -> None:
        """Write it down."""
        self.last = callback

    async def record_check(self, *_: object) -> None:
        """Nobody asks here."""

    def report_success(self, *_: object) -> None:
        """Nobody asks here."""

    report_failure = report_success


class Network:
    """VK, which asks for the confirmation while it answers that a server was written."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.servers: list[dict[str, Any]] = []
        self.awaited: list[tuple[str, float | None]] = []

    def select_token(self, *_: object, **__: object) -> None:
        """Any will do."""

    async def call(self, _credential: object, method: str, **_: Any) -> Any:
        """Answer a call."""
        if method == "groups.getCallbackServers":
            return {"items": self.servers}
        if method in {"groups.addCallbackServer", "groups.editCallbackServer"}:
            assert self._book.last is not None
            self.awaited.append((method, self._book.last.confirmation_window_seconds))
        return {"server_id": 7}


async def test_saved_server_opens_confirmation_window() -> None:
    book = Book()
    network = Network(book)
    settings = IngestSettings(**KEYS, callbacks_url="https://feedback.example.org")
    client: Any = network
    feed: Any = book
    nobody: Any = None
    watch = CallbackServerMonitor(client, nobody, feed, settings, lambda _page: None)
    await watch._look(PAGE)
    assert network.awaited == [("groups.addCallbackServer", CONFIRMATION_WINDOW_SECONDS)]
    assert book.last is not None
    # VK could not confirm it: it is written anew, and asks again.
    server = {"id": 7, "url": book.last.url, "title": TITLE, "secret_key": book.last.secret, "status": "failed"}
    network.servers.append(server)
    await watch._look(PAGE)
    assert network.awaited[1:] == [("groups.editCallbackServer", CONFIRMATION_WINDOW_SECONDS)]
