"""Read posts and complete threads of walls, and detect deleted ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, NoValidResponse
from services.ingest.networks.port import IncomingItem, IntakeStore, PageRef, ParsedBatch, TokenKind
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from shared import clock
from shared.contracts.values import MessageKind

POSTS_PER_CALL = 100
COMMENTS_PER_CALL = 100
# How many threads are read and stored together.
THREADS_PER_BATCH = 10
READER_TOKEN_KINDS = (TokenKind.SERVICE, TokenKind.USER)
# An item this recent may be missing from a response that was generated before it.
RECENT = timedelta(seconds=60)
CLOSED_TREATMENTS = {ErrorTreatment.DENIED, ErrorTreatment.NOT_FOUND}


@dataclass
class WallPage:
    """A result page of a wall; `next_offset`: where the next starts; `counts`: comment counts by thread key."""

    next_offset: int
    is_last: bool
    parsed: ParsedBatch = field(default_factory=ParsedBatch)
    counts: dict[str, int] = field(default_factory=dict)
    oldest_at: datetime | None = None


def list_items(answer: Any, method: str) -> list[Any]:
    """Return the items of a response. Raises `NoValidResponse` if there is no list."""
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise NoValidResponse(NETWORK, method, "no items in the response")
    found: list[Any] = answer["items"]
    return found


def int_field(answer: Mapping[str, Any], name: str, default: int = 0) -> int:
    """Return an integer field of a response, or `default` if it is missing or not an integer."""
    value = answer.get(name, default)
    return value if isinstance(value, int) else default


def next_offset(answer: Mapping[str, Any], listed: Sequence[Any], offset: int, requested: int) -> tuple[int, bool]:
    """Return at which offset the items after a response start, and whether there are none.

    A response may have fewer items than requested although more follow, so the network's `count` decides.
    """
    after = offset + (len(listed) or requested)
    count = answer.get("count")
    return after, after >= count if isinstance(count, int) else len(listed) < requested


def id_suffix(key: str) -> str:
    """Return the text after the last underscore of an id or thread key, usually a number."""
    return key.rpartition("_")[2]


def existing_posts(answer: Any) -> set[str]:
    """Return the ids of the undeleted posts in a response of wall.getById. Raises like `list_items`."""
    listed = answer if isinstance(answer, list) else list_items(answer, "wall.getById")
    return {
        f"{raw.get('owner_id')}_{raw.get('id')}"
        for raw in listed
        if isinstance(raw, dict) and not raw.get("is_deleted")
    }


class ObservedIds:
    """Ids that a read returned, parsed or not. If a payload has no id, no item counts as missing."""

    def __init__(self, *parsed: ParsedBatch) -> None:
        self._ids: set[str] = set()
        self._unparsed: set[str] = set()
        self._has_unknown_ids = False
        for one in parsed:
            self.add(one)

    def add(self, parsed: ParsedBatch) -> int:
        """Add another batch of the same read; return how many of its items were not returned before."""
        before = len(self._ids)
        self._ids.update(item.external_id for item in parsed.items)
        for one in parsed.unparsed:
            ident = one.raw.get("id") if isinstance(one.raw, dict) else None
            if isinstance(ident, int):
                self._unparsed.add(str(ident))
            else:
                self._has_unknown_ids = True
        return len(self._ids) - before

    def missing(self, stored: Mapping[str, datetime], observed_at: datetime) -> list[str]:
        """Return the stored ids that the read did not return although they are old enough."""
        if self._has_unknown_ids:
            return []
        return sorted(
            one
            for one, at in stored.items()
            if one not in self._ids and id_suffix(one) not in self._unparsed and at < observed_at - RECENT
        )


def deletion(kind: MessageKind, external_id: str, thread_key: str, written_at: datetime) -> IncomingItem:
    """Return the deletion, by an unknown person, of an item missing from a complete read."""
    return IncomingItem(
        change="deleted",
        kind=kind,
        external_id=external_id,
        thread_key=thread_key,
        written_at=written_at,
        raw={"absent": True},
    )


class WallReader:
    """Reads walls with a service or user token."""

    def __init__(self, client: VkClient) -> None:
        self._client = client
        # wall.get has a daily limit, so the scheduler is notified of each call.
        self.on_wall_get: Callable[[], None] = lambda: None

    def can_read(self) -> bool:
        """Return whether there is a token that may read walls now."""
        try:
            self._client.select_token("wall.getComments", *READER_TOKEN_KINDS)
        except NoUsableToken:
            return False
        return True

    async def read_posts(self, page: PageRef, offset: int) -> WallPage:
        """Return up to a hundred posts from `offset` on, newest first."""
        answer = await self._read(
            "wall.get", owner_id=f"-{page.external_id}", offset=offset, count=POSTS_PER_CALL, extended=1
        )
        listed = list_items(answer, "wall.get")
        names = vk_payloads.author_names(answer)
        found = WallPage(*next_offset(answer, listed, offset, POSTS_PER_CALL))
        for raw in listed:
            found.parsed.parse(vk_payloads.parse_post, raw, page, names, "observed")
        for item in found.parsed.items:
            comments = item.raw.get("comments")
            found.counts[item.thread_key] = int_field(comments, "count") if isinstance(comments, dict) else 0
        dates = [item.written_at for item in found.parsed.items if not item.raw.get("is_pinned")]
        found.oldest_at = min(dates, default=None)
        return found

    async def read_thread(self, page: PageRef, post_id: int, first: Any = None) -> ParsedBatch:
        """Return all comments of a post with replies. `first`: the response of the first call, if already made."""
        parsed = ParsedBatch()
        branches: list[tuple[int, int]] = []
        offset = 0
        answer = first
        while True:
            if answer is None:
                answer = await self._read("wall.getComments", **_comments(page, post_id, offset))
            names = vk_payloads.author_names(answer)
            listed = list_items(answer, "wall.getComments")
            for raw in listed:
                parsed.parse(vk_payloads.parse_comment, raw, page, post_id, names, "observed")
                replies = _replies(raw)
                if (total := int_field(_thread(raw), "count")) > len(replies):
                    # The network does not document which replies these are, so the branch is read from its start.
                    branches.append((raw["id"], total))
                    continue
                for reply in replies:
                    parsed.parse(vk_payloads.parse_comment, reply, page, post_id, names, "observed")
            offset += len(listed)
            if not listed or offset >= int_field(answer, "current_level_count"):
                break
            answer = None
        for root, total in branches:
            parsed.extend(await self._branch(page, post_id, root, total))
        return parsed

    async def _branch(self, page: PageRef, post_id: int, root: int, total: int) -> ParsedBatch:
        """Return all replies to a top-level comment. `total`: how many there are at least."""
        parsed = ParsedBatch()
        offset = 0
        while offset < total:
            answer = await self._read("wall.getComments", **_comments(page, post_id, offset, comment_id=root))
            names = vk_payloads.author_names(answer)
            listed = list_items(answer, "wall.getComments")
            for raw in listed:
                parsed.parse(vk_payloads.parse_comment, raw, page, post_id, names, "observed")
            if not listed:
                break
            offset += len(listed)
            total = max(total, int_field(answer, "current_level_count"))
        return parsed

    async def read_thread_if_open(self, page: PageRef, post_id: int) -> ParsedBatch | None:
        """Return all comments of a post; None if it is closed or missing."""
        try:
            return await self.read_thread(page, post_id)
        except CallError as error:
            if error.treatment not in CLOSED_TREATMENTS:
                raise
            return None

    async def read_threads_with_deletions(
        self, page: PageRef, post_ids: Sequence[int], intake: IntakeStore
    ) -> dict[int, ParsedBatch]:
        """Return, by post, all comments and deletions of stored comments that are missing.

        A comment counts as deleted if it is missing from two reads, because pagination may skip comments while
        earlier ones are being deleted. Closed and missing posts get an empty batch.
        """
        observed_at = clock.now()
        first = await self._client.read_batch(
            "wall.getComments", [_comments(page, post_id, 0) for post_id in post_ids], *READER_TOKEN_KINDS
        )
        found: dict[int, ParsedBatch] = {}
        for post_id, answer in zip(post_ids, first, strict=True):
            if isinstance(answer, CallError):
                found[post_id] = ParsedBatch()
                continue
            parsed = await self.read_thread(page, post_id, answer)
            thread_key = f"vk:-{page.external_id}_{post_id}"
            stored = await intake.undeleted_ids(page, "comment", thread_key=thread_key)
            missing = ObservedIds(parsed).missing(stored, observed_at)
            again = await self.read_thread_if_open(page, post_id) if missing else None
            if again is not None:
                missing = ObservedIds(again).missing({one: stored[one] for one in missing}, observed_at)
                parsed.items += [deletion("comment", one, thread_key, stored[one]) for one in missing]
            found[post_id] = parsed
        return found

    async def deleted_posts(
        self, page: PageRef, seen: ObservedIds, since: datetime | None, observed_at: datetime, intake: IntakeStore
    ) -> list[IncomingItem]:
        """Return deletions of stored posts that a read of the wall back to `since` (None: all) did not return."""
        stored = await intake.undeleted_ids(page, "wall_post", since=since)
        missing = seen.missing(stored, observed_at)
        marks = await intake.thread_states([f"vk:{one}" for one in missing])
        # A suggested post is not on the wall until it is approved.
        missing = [one for one in missing if (mark := marks.get(f"vk:{one}")) is None or mark.marker != "suggest"]
        found: list[IncomingItem] = []
        for start in range(0, len(missing), POSTS_PER_CALL):
            asked = missing[start : start + POSTS_PER_CALL]
            existing = await self._existing(asked)
            for one in asked:
                if one in existing:
                    continue
                key = f"vk:{one}"
                found.append(deletion("wall_post", one, key, stored[one]))
                # The network deletes comments with their post, and no later read would show it.
                comments = await intake.undeleted_ids(page, "comment", thread_key=key)
                found += [deletion("comment", name, key, at) for name, at in comments.items()]
        return found

    async def _existing(self, names: Sequence[str]) -> set[str]:
        return existing_posts(await self._read("wall.getById", posts=",".join(names)))

    async def _read(self, method: str, **params: Any) -> Any:
        if method == "wall.get":
            self.on_wall_get()
        return await self._client.read_with_any_token(method, *READER_TOKEN_KINDS, **params)


def _thread(raw: Any) -> dict[str, Any]:
    thread = raw.get("thread") if isinstance(raw, dict) and isinstance(raw.get("id"), int) else None
    return thread if isinstance(thread, dict) else {}


def _replies(raw: Any) -> list[Any]:
    found = _thread(raw).get("items")
    return found if isinstance(found, list) else []


def _comments(page: PageRef, post_id: int, offset: int, *, comment_id: int | None = None) -> dict[str, Any]:
    """Return the parameters of wall.getComments: for top-level comments, or for replies to one comment."""
    params = {
        "owner_id": f"-{page.external_id}",
        "post_id": post_id,
        "offset": offset,
        "count": COMMENTS_PER_CALL,
        "sort": "asc",
        "extended": 1,
    }
    return params | ({"thread_items_count": 10} if comment_id is None else {"comment_id": comment_id})
