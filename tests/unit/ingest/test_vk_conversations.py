"""The comparison of VK conversations with the stored messages, against a scripted network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.calls import CallError, ErrorTreatment, NoValidResponse
from services.ingest.networks.port import PageRef, ParsedBatch, StoreResult, ThreadState
from services.ingest.networks.vk.reading import conversations
from services.ingest.networks.vk.reading.conversations import ConversationReader

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="101",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)
AT = 1_767_225_600


@dataclass
class FakeVk:
    """Conversations of one message each: `messages` has its id by peer. Fails after `histories_left` reads.

    `count`: how many conversations the network claims to have.
    """

    messages: dict[int, int]
    histories_left: int = 1_000_000
    count: int | None = None
    malformed: set[int] = field(default_factory=set)
    listed: list[int] = field(default_factory=list)

    async def read_with_any_token(self, method: str, *_kinds: Any, **params: Any) -> dict[str, Any]:
        """Return a page of the list, most recent first; refuse further messages of a conversation."""
        if method == "messages.getHistory":
            raise CallError("vk", method, 917, "no access", ErrorTreatment.NOT_FOUND)
        assert method == "messages.getConversations"
        self.listed.append(params["offset"])
        recent = sorted(self.messages, key=lambda peer: -self.messages[peer])
        shown = recent[params["offset"] : params["offset"] + params["count"]]
        count = len(recent) if self.count is None else self.count
        return {"count": count, "items": [self._listed(peer) for peer in shown]}

    async def read_batch(
        self, method: str, calls: Sequence[Mapping[str, Any]], *_kinds: Any, **_more: Any
    ) -> list[Any]:
        """Return the history of each conversation, or no valid response."""
        assert method == "messages.getHistory"
        self.histories_left -= len(calls)
        if self.histories_left < 0:
            raise NoValidResponse("vk", method, "no response in time")
        return [{"items": [self._message(call["peer_id"])]} for call in calls]

    def _listed(self, peer: int) -> dict[str, Any]:
        if peer in self.malformed:
            return {"conversation": None}
        last = self.messages[peer]
        return {
            "conversation": {"peer": {"id": peer}, "last_message_id": last},
            "last_message": {"date": AT + last},
        }

    def _message(self, peer: int) -> dict[str, Any]:
        number = self.messages[peer]
        return {
            "id": number,
            "conversation_message_id": 1,
            "peer_id": peer,
            "from_id": peer,
            "date": AT + number,
            "text": f"Сообщение {number}",
        }


@dataclass
class FakeFeed:
    """An in-memory store of messages and of the states of conversations."""

    items: list[str] = field(default_factory=list)
    states: dict[str, ThreadState] = field(default_factory=dict)

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        """Return the stored states."""
        return {key: self.states[key] for key in thread_keys if key in self.states}

    async def store(self, _page: PageRef, _source: str, parsed: ParsedBatch, **more: Any) -> StoreResult:
        """Store messages and states."""
        assert not parsed.unparsed
        self.items += [item.external_id for item in parsed.items]
        self.states |= {one.thread_key: one for one in more["thread_states"]}
        return StoreResult()

    def report_success(self, page: PageRef, source: str, *, remark: str | None = None) -> None:
        """Do nothing: the tests check what is stored."""


def _reader(vk: FakeVk, feed: FakeFeed) -> ConversationReader:
    client: Any = vk
    intake: Any = feed
    return ConversationReader(client, intake)


@pytest.mark.parametrize("before", [0, 5, 60, 250, 440])
async def test_interrupted_check_of_many_conversations_resumes_without_loss(before: int) -> None:
    vk, feed = FakeVk({700_000 + number: number for number in range(1, 451)}, histories_left=before), FakeFeed()
    with pytest.raises(NoValidResponse):
        await _reader(vk, feed).check_page(PAGE)
    vk.histories_left = 1_000
    await _reader(vk, feed).check_page(PAGE)
    assert len(feed.items) == len(set(feed.items)) == 450
    vk.listed.clear()
    await _reader(vk, feed).check_page(PAGE)
    assert vk.listed == [0]


async def test_messages_read_before_a_refusal_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "PAGE_SIZE", 1)
    vk, feed = FakeVk({700_001: 7}), FakeFeed()
    await _reader(vk, feed).check_page(PAGE)
    assert feed.items == ["101_700001_1"]
    assert feed.states["vk:101_700001"].marker == "7"


async def test_malformed_conversation_does_not_hide_the_following_result_pages() -> None:
    vk, feed = FakeVk({700_000 + number: number for number in range(1, 451)}, malformed={700_450}), FakeFeed()
    await _reader(vk, feed).check_page(PAGE)
    assert len(set(feed.items)) == 449


async def test_read_ends_although_the_network_counts_more_conversations_than_it_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversations, "MAX_CONVERSATIONS", 200)
    vk, offset, is_last = FakeVk({700_001: 1}, count=10**9), 0, False
    while not is_last and len(vk.listed) < 100:
        found = await _reader(vk, FakeFeed()).read_since(PAGE, PAGE.go_live_at, offset)
        offset, is_last = found.next_offset, found.is_last
    assert (is_last, len(vk.listed)) == (True, 11)
