"""Read suggested posts, which only tokens of community managers can see."""

from datetime import datetime
from typing import Any

from services.ingest.networks.calls import CallError, NoUsableToken
from services.ingest.networks.lookup_port import extract_groups
from services.ingest.networks.port import (
    Credential,
    IncomingItem,
    IntakeStore,
    PageRef,
    ParsedBatch,
    ThreadState,
    TokenKind,
    TokenPool,
)
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.reading.wall_reader import (
    CLOSED_TREATMENTS,
    POSTS_PER_CALL,
    ObservedIds,
    deletion,
    existing_posts,
    list_items,
    next_offset,
)
from services.ingest.networks.vk.vk_client import MAX_TOKEN_SWITCHES, VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from shared import clock

SOURCE = "suggested_posts_poll"
MAX_DEPTH = 1_000
SUGGESTED_MARKER = "suggest"
# Nothing is read while less than this share of the daily calls is left. Wall polls leave more (a tenth) unused.
RESERVED_SHARE = 0.05
STATES_PER_READ = 1_000


def suggested_thread_states(parsed: ParsedBatch) -> list[ThreadState]:
    """Return thread states that mark posts as suggested: they are not on the wall, but are not deleted."""
    return [
        ThreadState(item.thread_key, SUGGESTED_MARKER)
        for item in parsed.items
        if item.kind == "wall_post" and item.raw.get("post_type") == SUGGESTED_MARKER
    ]


class SuggestedPosts:
    """Reads the suggested posts of a page with a user token."""

    def __init__(self, client: VkClient) -> None:
        self._client = client

    def can_read(self) -> bool:
        """Return whether a user token may read walls now."""
        try:
            self._client.select_token("wall.get", TokenKind.USER)
        except NoUsableToken:
            return False
        return True

    def has_token(self) -> bool:
        """Return whether there is a user token that may read walls, even if it is not usable now."""
        return self._client.has_token("wall.get", TokenKind.USER)

    async def read(self, page: PageRef) -> ParsedBatch:
        """Return the posts that await the community's approval, at most `MAX_DEPTH`."""
        return await self._read(page)

    async def check_page(self, page: PageRef, intake: IntakeStore, token_pool: TokenPool) -> bool:
        """Store the suggested posts of a page, and deletions of withdrawn ones.

        Return False if VK refuses to show them, else True. Reads nothing and returns True while only the calls
        reserved for the more urgent wall polls are left.
        """
        left, allowed = (
            token_pool.calls_left(NETWORK, "wall.get"),
            token_pool.daily_call_limit(NETWORK, "wall.get"),
        )
        if left is not None and allowed is not None and left < allowed * RESERVED_SHARE:
            return True
        observed_at = clock.now()
        try:
            parsed = await self.read(page)
            await intake.store(
                page, SOURCE, parsed, observed_at=observed_at, thread_states=suggested_thread_states(parsed)
            )
            if gone := await self._withdrawn(page, parsed, observed_at, intake, token_pool):
                await intake.store(page, SOURCE, ParsedBatch(gone), observed_at=observed_at)
        except CallError as error:
            if error.treatment not in CLOSED_TREATMENTS:
                raise
            return False
        return True

    async def _withdrawn(
        self, page: PageRef, parsed: ParsedBatch, observed_at: datetime, intake: IntakeStore, token_pool: TokenPool
    ) -> list[IncomingItem]:
        """Return deletions of stored suggestions that are no longer suggested and were not published.

        A token of somebody who does not manage the community may see fewer, so a manager's token reads them again.
        """
        stored = await intake.undeleted_ids(page, "wall_post")
        missing = ObservedIds(parsed).missing(stored, observed_at)
        suggested: dict[str, datetime] = {}
        for start in range(0, len(missing), STATES_PER_READ):
            states = await intake.thread_states([f"vk:{one}" for one in missing[start : start + STATES_PER_READ]])
            marked = [key.removeprefix("vk:") for key, one in states.items() if one.marker == SUGGESTED_MARKER]
            suggested |= {one: stored[one] for one in marked}
        manager = await self._manager(page, token_pool) if suggested and _is_complete(parsed) else None
        if manager is None:
            return []
        again = await self._read(page, manager)
        gone = ObservedIds(again).missing(suggested, observed_at) if _is_complete(again) else []
        found: list[IncomingItem] = []
        for start in range(0, len(gone), POSTS_PER_CALL):
            asked = gone[start : start + POSTS_PER_CALL]
            answer = await self._client.read_with_retries(manager, "wall.getById", posts=",".join(asked))
            published = existing_posts(answer)
            found += [
                deletion("wall_post", one, f"vk:{one}", stored[one]) for one in asked if one not in published
            ]
        return found

    async def _manager(self, page: PageRef, token_pool: TokenPool) -> Credential | None:
        """Return a user token of a manager of the community, or None."""
        method = "groups.getById"
        for _ in token_pool.tokens(NETWORK, TokenKind.USER)[:MAX_TOKEN_SWITCHES]:
            credential = self._client.select_token("wall.get", TokenKind.USER)  # the next one each time
            answer = await self._client.read_with_retries(credential, method, group_id=page.external_id)
            if any(raw.get("is_admin") == 1 for raw in extract_groups(answer, NETWORK, method)):
                return credential
        return None

    async def _read(self, page: PageRef, credential: Credential | None = None) -> ParsedBatch:
        """Return suggested posts, as this token or any user token sees them."""
        parsed = ParsedBatch()
        method = "wall.get"
        offset, is_last = 0, False
        while not is_last and offset < MAX_DEPTH:
            params: dict[str, Any] = {
                "owner_id": f"-{page.external_id}",
                "filter": "suggests",
                "offset": offset,
                "count": POSTS_PER_CALL,
                "extended": 1,
            }
            if credential is None:
                answer = await self._client.read_with_any_token(method, TokenKind.USER, **params)
            else:
                answer = await self._client.read_with_retries(credential, method, **params)
            names = vk_payloads.author_names(answer)
            listed = list_items(answer, method)
            for raw in listed:
                parsed.parse(vk_payloads.parse_post, raw, page, names, "observed")
            offset, is_last = next_offset(answer, listed, offset, POSTS_PER_CALL)
        return parsed


def _is_complete(parsed: ParsedBatch) -> bool:
    return len(parsed.items) + len(parsed.unparsed) < MAX_DEPTH
