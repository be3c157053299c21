"""Read suggested posts, which only tokens of community managers can see."""

from services.ingest.networks.calls import CallError, NoUsableToken
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, ThreadState, TokenKind, TokenPool
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.networks.vk.wall_reader import CLOSED_TREATMENTS, POSTS_PER_CALL, list_items
from shared import clock

SOURCE = "suggested_posts_poll"
MAX_DEPTH = 1_000
SUGGESTED_MARKER = "suggest"
RESERVED_SHARE = 0.2


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
        """Return whether there is a user token that may read walls, also if it is not usable now."""
        return self._client.has_token("wall.get", TokenKind.USER)

    async def read(self, page: PageRef) -> ParsedBatch:
        """Return all posts that await the community's approval."""
        parsed = ParsedBatch()
        for offset in range(0, MAX_DEPTH, POSTS_PER_CALL):
            answer = await self._client.read_with_any_token(
                "wall.get",
                TokenKind.USER,
                owner_id=f"-{page.external_id}",
                filter="suggests",
                offset=offset,
                count=POSTS_PER_CALL,
                extended=1,
            )
            names = vk_payloads.author_names(answer)
            listed = list_items(answer, "wall.get")
            for raw in listed:
                parsed.parse(vk_payloads.parse_post, raw, page, names, "observed")
            if len(listed) < POSTS_PER_CALL:
                break
        return parsed

    async def check_page(self, page: PageRef, intake: IntakeStore, token_pool: TokenPool) -> bool:
        """Store the suggested posts of a page; return whether our token manages the page.

        Reads nothing and returns True while only the calls reserved for the more urgent wall polls are left.
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
        except CallError as error:
            if error.treatment not in CLOSED_TREATMENTS:
                raise
            return False
        await intake.store(
            page, SOURCE, parsed, observed_at=observed_at, thread_states=suggested_thread_states(parsed)
        )
        return True
