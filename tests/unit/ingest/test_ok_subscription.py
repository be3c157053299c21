"""The subscription monitor of OK: it keeps its subscription and does not touch those of other programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.calls import CallError, ErrorTreatment, NoValidResponse
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.push.subscriptions import NOT_SUBSCRIBED_TEXT, PUSH_LOSS_TEXT, SubscriptionMonitor
from services.ingest.networks.port import CallbackState, Credential, PageRef, RegisteredCallback, TokenKind
from services.ingest.settings import IngestSettings
from tests.unit.ingest.settings_keys import KEYS

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="ok",
    external_id="50000000000001",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)
FOREIGN = "https://somebody.example/hook"


@dataclass
class FakeApi:
    """The network: the subscribed URLs; `failure` is raised when they are read."""

    urls: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    failure: Exception | None = None
    confirms: bool = True

    async def read_bot_api(self, client: OkClient, credential: Credential, path: str, **query: Any) -> Any:
        """Return the current subscriptions."""
        self.calls.append(path)
        if self.failure is not None:
            raise self.failure
        return {"subscriptions": [{"url": url, "time": 1} for url in self.urls]}

    async def call_bot_api(
        self, client: OkClient, credential: Credential, path: str, *, body: dict[str, Any]
    ) -> Any:
        """Subscribe or unsubscribe."""
        self.calls.append(path)
        if path == "subscribe" and self.confirms:
            self.urls = [*(url for url in self.urls if url != body["url"]), body["url"]]
        if path == "unsubscribe":
            self.urls = [url for url in self.urls if url != body["url"]]
        return {"success": self.confirms}


@dataclass
class FakeRepository:
    """An in-memory store of the accounts, the feed and the callbacks of one page."""

    one: RegisteredCallback | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def callbacks(self) -> "FakeRepository":
        """Return this object, which is also the store of callbacks."""
        return self

    def select(self, network: str, kind: TokenKind, page_id: UUID | None = None, **_: Any) -> Credential:
        """Return the token."""
        return Credential(id=UUID(int=9), network=network, kind=kind, page_id=page_id, token="t")

    async def by_page(
        self, network: str, page_ids: Sequence[UUID] | None = None
    ) -> dict[UUID, RegisteredCallback]:
        """Return the stored callback by the id of the page."""
        return {} if self.one is None else {PAGE.id: self.one}

    async def save(self, network: str, callback: RegisteredCallback) -> None:
        """Store the callback."""
        self.one = callback

    async def record_check(self, page_id: UUID, state: CallbackState, reason: str | None = None) -> None:
        """Store the result of a check."""
        assert self.one is not None
        self.one = replace(self.one, state=state, reason=reason)

    def report_success(self, page: PageRef, source: str) -> None:
        """Do nothing: the tests check only failures."""

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        """Record the error."""
        self.errors.append(error)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """The fake network, which replaces the client's HTTP calls."""
    wire = FakeApi()

    async def read_graph(client: OkClient, credential: Credential, path: str, **query: Any) -> Any:
        return await wire.read_bot_api(client, credential, path, **query)

    async def graph(client: OkClient, credential: Credential, path: str, *, body: dict[str, Any]) -> Any:
        return await wire.call_bot_api(client, credential, path, body=body)

    monkeypatch.setattr(OkClient, "read_bot_api", read_graph)
    monkeypatch.setattr(OkClient, "call_bot_api", graph)
    return wire


def _watch(kept: FakeRepository, url: str = "https://push.example/") -> tuple[SubscriptionMonitor, list[PageRef]]:
    settings = IngestSettings(**KEYS, callbacks_url=url)
    missed: list[PageRef] = []
    book: Any = kept
    http: Any = None
    return SubscriptionMonitor(OkClient(http, book, settings), book, book, settings, missed.append), missed


async def test_group_is_subscribed_once_to_secret_url(wire: FakeApi) -> None:
    wire.urls = [FOREIGN]
    kept = FakeRepository()
    watch, missed = _watch(kept)
    await watch._check(PAGE)
    assert kept.one is not None
    assert wire.urls == [FOREIGN, kept.one.url]
    assert kept.one.url == f"https://push.example/callbacks/ok/{kept.one.secret}"
    assert len(kept.one.secret) >= 40
    assert (kept.one.state, watch.is_working(PAGE), missed) == (CallbackState.ACTIVE, True, [PAGE])
    wire.calls.clear()
    await watch._check(PAGE)
    assert (wire.calls, missed) == (["subscriptions"], [PAGE])
    assert kept.one.secret not in repr(kept.one)


async def test_new_url_replaces_only_our_subscription(wire: FakeApi) -> None:
    kept = FakeRepository()
    watch, _ = _watch(kept)
    await watch._check(PAGE)
    assert kept.one is not None
    before = kept.one
    wire.urls.append(FOREIGN)
    watch, _ = _watch(kept, "https://moved.example")
    await watch._check(PAGE)
    assert wire.urls == [FOREIGN, f"https://moved.example/callbacks/ok/{before.secret}"]
    assert kept.one.secret == before.secret


@pytest.mark.parametrize(
    "failure",
    [
        NoValidResponse("ok", "graph.subscriptions", "cut"),
        CallError("ok", "graph.subscriptions", 456, "closed", ErrorTreatment.DENIED),
    ],
)
async def test_failed_check_switches_to_polling(wire: FakeApi, failure: Exception) -> None:
    kept = FakeRepository()
    watch, missed = _watch(kept)
    await watch._check(PAGE)
    missed.clear()
    wire.failure = failure
    rest = await watch._check(PAGE)
    assert (watch.is_working(PAGE), missed) == (False, [PAGE])
    assert kept.one is not None
    assert kept.one.state is CallbackState.FAILED
    assert kept.one.reason
    assert rest == 3_600 if isinstance(failure, CallError) else rest < 60
    wire.failure = None
    await watch._check(PAGE)
    assert watch.is_working(PAGE)


async def test_unconfirmed_subscription_is_not_working(wire: FakeApi) -> None:
    wire.confirms = False
    kept = FakeRepository()
    watch, _ = _watch(kept)
    await watch._check(PAGE)
    assert not watch.is_working(PAGE)
    assert "did not confirm" in kept.errors[-1]


async def test_reported_push_loss_renews_the_subscription_and_ends_after_a_waiting_period(
    wire: FakeApi,
) -> None:
    kept = FakeRepository()
    watch, _ = _watch(kept)
    await watch._check(PAGE)
    watch.report_loss(PAGE)
    assert not watch.is_working(PAGE)
    wire.calls.clear()
    await watch._check(PAGE)
    assert wire.calls == ["subscriptions", "subscribe"]
    assert kept.one is not None
    assert (kept.one.state, kept.one.reason, watch.is_working(PAGE)) == (
        CallbackState.FAILED,
        PUSH_LOSS_TEXT,
        False,
    )
    await watch._check(PAGE)
    assert not watch.is_working(PAGE), "the waiting period has not ended"
    watch._probation_until[PAGE.id] = 0.0
    await watch._check(PAGE)
    assert watch.is_working(PAGE)


@pytest.mark.parametrize("there", [True, False])
async def test_manual_subscription_is_only_checked(wire: FakeApi, *, there: bool) -> None:
    kept = FakeRepository(
        RegisteredCallback(
            page_id=PAGE.id, url="https://a.example/callbacks/ok/by-hand", secret="by-hand", manual=True
        )
    )
    wire.urls = ["https://other.example/callbacks/ok/by-hand"] if there else [FOREIGN]
    watch, _ = _watch(kept)
    await watch._check(PAGE)
    assert wire.calls == ["subscriptions"]
    assert watch.is_working(PAGE) is there
    assert kept.one is not None
    assert kept.one.reason == (None if there else NOT_SUBSCRIBED_TEXT)
