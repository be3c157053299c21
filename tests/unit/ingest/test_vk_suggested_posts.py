"""Suggested posts of VK: which of them count as withdrawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.ingest.networks.port import Credential, PageRef, ParsedBatch, StoreResult, ThreadState, TokenKind
from services.ingest.networks.vk.reading.suggested_posts import SuggestedPosts
from services.ingest.networks.vk.reading.wall_poll import SCHEDULED_BUDGET_SHARE

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
    """A community and tokens of people: `managers` see all `suggested` posts, others none; tokens take turns."""

    managers: Sequence[bool]
    suggested: set[int]
    published: set[int] = field(default_factory=set)
    left: int = 5_000
    turns: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.people = {
            Credential(id=uuid4(), network="vk", kind=TokenKind.USER, page_id=None, token="t"): manages
            for manages in self.managers
        }

    def tokens(self, *_: Any) -> list[Credential]:
        """Return all tokens."""
        return list(self.people)

    def calls_left(self, *_: Any) -> int:
        """Return the calls that are left."""
        return self.left

    def daily_call_limit(self, *_: Any) -> float:
        """Return the limit of one token."""
        return 5_000.0

    def select_token(self, *_: Any) -> Credential:
        """Return the next token."""
        return self.tokens()[next(self.turns) % len(self.people)]

    async def read_with_any_token(self, method: str, _kind: TokenKind, **params: Any) -> Any:
        """Return the response to the next token."""
        return await self.read_with_retries(self.select_token(), method, **params)

    async def read_with_retries(self, credential: Credential, method: str, **params: Any) -> Any:
        """Return the response to this token."""
        manages = self.people[credential]
        if method == "groups.getById":
            return {"groups": [{"id": 101, "is_admin": int(manages)}]}
        if method == "wall.getById":
            asked = {int(name.removeprefix("-101_")) for name in params["posts"].split(",")}
            return {"items": [{"id": number, "owner_id": -101} for number in asked & self.published]}
        assert (method, params["filter"]) == ("wall.get", "suggests")
        return {"items": [_post(number) for number in sorted(self.suggested if manages else ())]}


def _post(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "owner_id": -101,
        "from_id": 700_001,
        "date": AT,
        "text": f"Предлагаю {number}",
        "post_type": "suggest",
    }


@dataclass
class FakeFeed:
    """An in-memory store: posts, thread states, and the ids of posts that were marked deleted."""

    posts: dict[str, datetime] = field(default_factory=dict)
    states: dict[str, ThreadState] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    async def undeleted_ids(self, _page: PageRef, kind: str) -> dict[str, datetime]:
        """Return the stored posts."""
        assert kind == "wall_post"
        return dict(self.posts)

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        """Return the stored states."""
        return {key: self.states[key] for key in thread_keys if key in self.states}

    async def store(self, _page: PageRef, _source: str, parsed: ParsedBatch, **more: Any) -> StoreResult:
        """Store posts, deletions and states."""
        for item in parsed.items:
            if item.change == "deleted":
                self.deleted.append(item.external_id)
                del self.posts[item.external_id]
            else:
                self.posts[item.external_id] = item.written_at
        self.states |= {one.thread_key: one for one in more.get("thread_states", ())}
        return StoreResult()


async def _checked(vk: FakeVk, feed: FakeFeed, times: int = 1) -> None:
    client: Any = vk
    intake: Any = feed
    for _ in range(times):
        assert await SuggestedPosts(client).check_page(PAGE, intake, client)


async def _stored(*numbers: int) -> FakeFeed:
    """Return a store of these suggestions, and of a post on the wall."""
    feed = FakeFeed(posts={"-101_1": datetime.fromtimestamp(AT, UTC)})
    await _checked(FakeVk([True], set(numbers)), feed)
    assert len(feed.posts) == 1 + len(numbers)
    return feed


async def test_withdrawn_post_counts_as_deleted_and_a_published_one_does_not() -> None:
    feed = await _stored(5, 6, 7)
    await _checked(FakeVk([True], {5}, published={6}), feed)
    assert feed.deleted == ["-101_7"]


@pytest.mark.parametrize(("managers", "deleted"), [([False], []), ([False, True], ["-101_6"])])
async def test_suggestions_that_a_token_may_not_see_do_not_count_as_deleted(
    managers: list[bool], deleted: list[str]
) -> None:
    feed = await _stored(5, 6)
    await _checked(FakeVk(managers, {5}), feed, times=4)
    assert feed.deleted == deleted


async def test_suggestions_are_read_with_the_calls_that_polls_of_walls_leave() -> None:
    vk, feed = FakeVk([True], {5}), FakeFeed()
    vk.left = int(vk.daily_call_limit() * (1 - SCHEDULED_BUDGET_SHARE)) - 25  # calls are reserved in blocks
    await _checked(vk, feed)
    assert list(feed.posts) == ["-101_5"]
    vk.left, vk.suggested = 100, {5, 6}
    await _checked(vk, feed)
    assert list(feed.posts) == ["-101_5"]
