"""OK chats and replies against a scripted network."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from services.ingest.networks.calls import CallError, ErrorTreatment, NoValidResponse
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_errors import treatment
from services.ingest.networks.ok.ok_network import OkNetwork
from services.ingest.networks.ok.reading.chats import SOURCE, ChatPoller
from services.ingest.networks.port import (
    Credential,
    OutgoingReply,
    PageRef,
    ParsedBatch,
    PublishRejected,
    StoreResult,
    TokenKind,
)
from services.ingest.settings import IngestSettings
from tests.unit.ingest.settings_keys import KEYS

GROUP = "50000000000001"
PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="ok",
    external_id=GROUP,
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)
SETTINGS = IngestSettings(**KEYS)
AT = 1_767_225_600_000


class FakeTokenPool:
    """Accounts with one token of each kind and one page."""

    def select(self, network: str, kind: TokenKind, page_id: UUID | None = None, **_: Any) -> Credential:
        """Return the token."""
        return Credential(id=UUID(int=9), network=network, kind=kind, page_id=page_id, token="t")

    def pages(self, network: str) -> list[PageRef]:
        """Return the only page."""
        return [PAGE]


@dataclass
class FakeFeed:
    """An in-memory store of one source."""

    items: list[str] = field(default_factory=list)
    at: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    callbacks: Any = None
    stored: int = 0
    successes: int = 0

    async def cursor(self, page: PageRef, source: str) -> dict[str, Any]:
        """Return the cursor of the source."""
        assert source == SOURCE
        return dict(self.at)

    async def store(self, page: PageRef, source: str, parsed: ParsedBatch, **more: Any) -> StoreResult:
        """Store the new messages of a batch, and the cursor."""
        new = [item.external_id for item in parsed.items if item.external_id not in self.items]
        self.items += new
        self.at = dict(more["cursor"])
        self.stored += 1
        return StoreResult(new=len(new))

    async def active_pages(self, sources: Sequence[str], since: datetime) -> dict[UUID, datetime]:
        """Return no pages: none has recent messages."""
        return {}

    def report_success(self, page: PageRef, source: str) -> None:
        """Count the success."""
        self.successes += 1

    def report_failure(self, page: PageRef, source: str, error: str) -> None:
        """Record the error."""
        self.errors.append(error)


def _message(chat: str, number: int, sender: str = "user:700001") -> dict[str, Any]:
    return {
        "sender": {"user_id": sender},
        "recipient": {"chat_id": chat},
        "message": {"text": str(number), "seq": number, "mid": f"mid:{chat}.{number}"},
        "timestamp": AT + number,
    }


@dataclass
class FakeApi:
    """The Bot API: chats with their messages; `closed` ones are refused.

    `last_events` replaces the times in the list of chats; `extra_rows` are added to every history.
    """

    chats: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    breaks_after: int | None = None
    last_events: dict[str, Any] = field(default_factory=dict)
    extra_rows: list[dict[str, Any]] = field(default_factory=list)

    async def read_bot_api(self, client: OkClient, credential: Credential, path: str, **query: Any) -> Any:
        """Return the response of a read call, or raise its error."""
        self.calls.append(path)
        if path == "chats":
            rows = [{"chat_id": k, "lastEventTime": max(m["timestamp"] for m in v)} for k, v in self.chats.items()]
            rows.sort(key=lambda row: -row["lastEventTime"])
            return {
                "chats": [
                    row | {"lastEventTime": self.last_events.get(row["chat_id"], row["lastEventTime"])}
                    for row in rows
                ]
            }
        if self.breaks_after is not None and len(self.calls) > self.breaks_after:
            raise NoValidResponse("ok", "graph.messages.get", "no answer in time")
        chat = path.removeprefix("messages/")
        if chat in self.closed:
            raise CallError("ok", "graph.messages.get", 458, "PRIVACY_RESTRICTION", ErrorTreatment.DENIED)
        found = [m for m in self.chats[chat] if query["to"] <= m["timestamp"] <= query.get("from", 2**62)]
        found = sorted(found, key=lambda m: -m["timestamp"])[: query["count"]]
        return {"messages": [*found, *self.extra_rows]}


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """The scripted network, which replaces the client's HTTP calls."""
    wire = FakeApi()

    async def read_graph(client: OkClient, credential: Credential, path: str, **query: Any) -> Any:
        return await wire.read_bot_api(client, credential, path, **query)

    monkeypatch.setattr(OkClient, "read_bot_api", read_graph)
    return wire


def _chats(kept: FakeFeed, *, pushed: bool = False, **more: Any) -> tuple[ChatPoller, list[PageRef]]:
    book: Any = FakeTokenPool()
    feed: Any = kept
    http: Any = None
    settings = SETTINGS.model_copy(update=more)
    doubted: list[PageRef] = []
    client = OkClient(http, book, settings)
    chats = ChatPoller(client, book, feed, settings, is_pushed=lambda _: pushed, on_push_loss=doubted.append)
    return chats, doubted


async def test_closed_chat_does_not_block_others_and_is_read_later(wire: FakeApi) -> None:
    wire.chats = {"chat:a": [_message("chat:a", 1)], "chat:b": [_message("chat:b", 2)]}
    wire.closed = {"chat:a"}
    kept = FakeFeed()
    chats, _ = _chats(kept, ok_closed_retry_seconds=0.0)
    await chats.check_group(PAGE)
    assert kept.items == ["chat:b/mid:chat:b.2"]
    assert "chat:a" in kept.at["closed"]
    assert any("одна из переписок" in error and "458" in error for error in kept.errors)
    assert "chat:a" not in "".join(kept.errors)
    wire.closed = set()
    # A new process: only the cursor names the closed chat.
    chats, _ = _chats(kept, ok_closed_retry_seconds=0.0)
    await chats.check_group(PAGE)
    assert sorted(kept.items) == ["chat:a/mid:chat:a.1", "chat:b/mid:chat:b.2"]
    assert "closed" not in kept.at


async def test_chat_of_many_pages_is_read_completely(wire: FakeApi) -> None:
    wire.chats = {"chat:a": [_message("chat:a", n) for n in range(1, 251)]}
    kept = FakeFeed()
    chats, _ = _chats(kept)
    await chats.check_group(PAGE)
    assert len(set(kept.items)) == 250


@pytest.mark.parametrize(("sender", "doubts"), [("user:700001", 1), (f"group:{GROUP}", 0)])
async def test_only_a_missed_message_of_a_citizen_reports_push_loss(
    wire: FakeApi, sender: str, doubts: int
) -> None:
    wire.chats = {"chat:a": [_message("chat:a", 1)]}
    kept = FakeFeed()
    chats, doubted = _chats(kept, pushed=True)
    await chats.check_group(PAGE)
    assert doubted == []  # push need not deliver messages from before the first poll
    wire.chats["chat:a"].append(_message("chat:a", 5, sender))
    await chats.check_group(PAGE)
    assert len(doubted) == doubts
    await chats.check_group(PAGE)
    assert len(doubted) == doubts


async def test_group_without_messages_is_stored_once(wire: FakeApi) -> None:
    kept = FakeFeed()
    chats, _ = _chats(kept)
    for _ in range(4):
        await chats.check_group(PAGE)
    assert (kept.stored, kept.successes) == (1, 3)
    wire.chats = {"chat:a": [_message("chat:a", 1)]}
    await chats.check_group(PAGE)
    assert kept.items == ["chat:a/mid:chat:a.1"]


async def test_poll_without_new_messages_costs_one_call(wire: FakeApi) -> None:
    wire.chats = {"chat:a": [_message("chat:a", 1)]}
    chats, _ = _chats(FakeFeed())
    for _ in range(2):
        await chats.check_group(PAGE)
    wire.calls.clear()
    await chats.check_group(PAGE)
    assert wire.calls == ["chats"]


async def _caught_up(wire: FakeApi) -> tuple[FakeFeed, ChatPoller]:
    """Return a poller that has read everything, and its store, before an older message of chat:b appears."""
    wire.chats = {"chat:a": [_message("chat:a", 400_000)]}
    kept = FakeFeed()
    chats, _ = _chats(kept)
    for _ in range(2):
        await chats.check_group(PAGE)
    # A new process has only the cursor, not the former list.
    chats, _ = _chats(kept)
    wire.chats["chat:b"] = [_message("chat:b", 100_000)]
    await chats.check_group(PAGE)
    assert kept.items == ["chat:a/mid:chat:a.400000"]
    return kept, chats


async def test_message_stamped_before_the_cursor_by_another_machine_is_found(wire: FakeApi) -> None:
    wire.chats = {"chat:a": [_message("chat:a", 400_000)], "chat:b": [_message("chat:b", 1)]}
    kept = FakeFeed()
    chats, _ = _chats(kept)
    for _ in range(2):
        await chats.check_group(PAGE)
    wire.chats["chat:b"].append(_message("chat:b", 390_000))
    await chats.check_group(PAGE)
    assert kept.items[-1] == "chat:b/mid:chat:b.390000"
    wire.calls.clear()
    await chats.check_group(PAGE)
    await chats.check_group(PAGE)
    assert wire.calls[-1] == "chats"


async def test_malformed_times_do_not_stop_the_poll_of_a_group(wire: FakeApi) -> None:
    wire.chats = {"chat:a": [_message("chat:a", 1)], "chat:b": [_message("chat:b", 2)]}
    wire.last_events = {"chat:a": "yesterday"}
    wire.extra_rows = [{"timestamp": "soon", "message": {"text": "x"}}]
    kept = FakeFeed()
    chats, _ = _chats(kept)
    await chats.check_group(PAGE)
    assert sorted(kept.items) == ["chat:a/mid:chat:a.1", "chat:b/mid:chat:b.2"]


async def test_bug_in_the_check_of_one_group_is_reported_and_does_not_stop_others(
    wire: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = FakeFeed()
    chats, _ = _chats(kept)

    async def fail(page: PageRef) -> None:
        raise ZeroDivisionError("bug")

    monkeypatch.setattr(chats, "check_group", fail)
    running = asyncio.create_task(chats.run())
    try:
        while not kept.errors and not running.done():
            await asyncio.sleep(0.01)
        assert not running.done()
        assert kept.errors == ["ZeroDivisionError('bug')"]
    finally:
        running.cancel()


async def test_missed_message_is_found_although_the_requested_poll_failed(wire: FakeApi) -> None:
    kept, chats = await _caught_up(wire)
    chats.request_check(PAGE)
    wire.breaks_after = 0
    with pytest.raises(NoValidResponse):
        await chats.check_group(PAGE)
    wire.breaks_after = None
    await chats.check_group(PAGE)
    assert "chat:b/mid:chat:b.100000" in kept.items


async def test_missed_message_is_found_by_a_request_during_a_poll(
    wire: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, chats = await _caught_up(wire)
    list_chats = chats.list_chats

    async def list_and_request(
        page: PageRef, marker: str | None
    ) -> tuple[list[tuple[str, int | None]], str | None]:
        listed = await list_chats(page, marker)
        chats.request_check(page)
        return listed

    with monkeypatch.context() as during:
        during.setattr(chats, "list_chats", list_and_request)
        await chats.check_group(PAGE)
    await chats.check_group(PAGE)
    assert "chat:b/mid:chat:b.100000" in kept.items
    wire.calls.clear()
    await chats.check_group(PAGE)
    assert wire.calls == ["chats"]  # the request is done: nothing further back is read again


def _outgoing(thread: str, target: str | None) -> OutgoingReply:
    return OutgoingReply(
        id=uuid4(),
        page=PAGE,
        kind="comment",
        thread_key=thread,
        reply_to=target,
        text="Ответ",
    )


@pytest.mark.parametrize(
    ("place", "answered", "kind", "ident"),
    [
        ("60000000000001", "MTc=", "GROUP_TOPIC", "60000000000001"),
        ("GROUP_PHOTO:77", "M/c=", "GROUP_PHOTO", "77"),
        ("GROUP_MOVIE:78", None, "GROUP_MOVIE", "78"),
    ],
)
async def test_reply_is_sent_with_discussion_type(
    monkeypatch: pytest.MonkeyPatch, place: str, answered: str | None, kind: str, ident: str
) -> None:
    sent: dict[str, Any] = {}

    async def call(client: OkClient, credential: Credential, method: str, **params: Any) -> Any:
        sent.update(params, method=method)
        return "new"

    monkeypatch.setattr(OkClient, "call", call)
    async with aiohttp.ClientSession() as http:
        book: Any = FakeTokenPool()
        feed: Any = FakeFeed()
        published = await OkNetwork(http, book, feed, SETTINGS).publish(
            _outgoing(f"ok:{place}", f"{place}/{answered}" if answered else None)
        )
    assert (sent["entityType"], sent["entityId"], sent["as_admin"]) == (kind, ident, True)
    assert sent["reply_to_comment_id"] == answered
    assert published.external_id == f"{place}/new"


@pytest.mark.parametrize("code", [10, 50, 454, 456, 458, 511, 700, 702, 704])
async def test_rejection_has_a_message_for_the_author_of_the_reply(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    async def call(client: OkClient, credential: Credential, method: str, **params: Mapping[str, Any]) -> Any:
        raise CallError("ok", method, code, "TEXT", treatment(code))

    monkeypatch.setattr(OkClient, "call", call)
    async with aiohttp.ClientSession() as http:
        book: Any = FakeTokenPool()
        feed: Any = FakeFeed()
        with pytest.raises(PublishRejected) as refused:
            await OkNetwork(http, book, feed, SETTINGS).publish(_outgoing("ok:1", "1/x"))
    assert refused.value.permanent
    assert refused.value.code == f"ok:{code}"
    assert len(refused.value.message) > 25


async def test_interrupted_first_poll_resumes_without_loss(wire: FakeApi) -> None:
    day = 86_400_000
    for number in range(60):
        chat = f"chat:C{number:02d}"
        old, new = _message(chat, 1), _message(chat, 1_000 + number)
        old["timestamp"] = AT - 40 * day
        new["timestamp"] = AT + number
        wire.chats[chat] = [old, new]
    kept = FakeFeed()
    wire.breaks_after = 30
    with pytest.raises(NoValidResponse):
        await _chats(kept)[0].check_group(PAGE)
    assert 0 < len(kept.items) < 120
    wire.breaks_after = None
    chats, _ = _chats(kept)
    await chats.check_group(PAGE)
    assert len(kept.items) == len(set(kept.items)) == 120
    await chats.check_group(PAGE)
    assert kept.at["settled"]
    assert "floor" not in kept.at
