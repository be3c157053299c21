"""Suggested posts: what people offer to a wall, seen only by tokens of those who manage it."""

from services.ingest.networks.calls import CallError, NoToken
from services.ingest.networks.port import Accounts, Feed, PageRef, Parsed, ThreadMark, TokenKind
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.networks.vk.wall_reader import CLOSED, POSTS, items
from shared import clock

WAY = "suggests_poll"
MAX_DEPTH = 1_000
MARK = "suggest"
KEPT_SHARE = 0.2


def marks(parsed: Parsed) -> list[ThreadMark]:
    """Suggested posts among what was read, marked: their absence from the wall means nothing."""
    return [
        ThreadMark(item.thread_key, MARK)
        for item in parsed.items
        if item.kind == "wall_post" and item.raw.get("post_type") == MARK
    ]


class Suggests:
    """Reads the suggested posts of a page by a person's token."""

    def __init__(self, client: VkClient) -> None:
        self._client = client

    def can_read(self) -> bool:
        """Whether a person's token may read walls now."""
        try:
            self._client.credential("wall.get", TokenKind.USER)
        except NoToken:
            return False
        return True

    async def read(self, page: PageRef) -> Parsed:
        """All posts that wait for the community's decision."""
        parsed = Parsed()
        for offset in range(0, MAX_DEPTH, POSTS):
            answer = await self._client.ask(
                "wall.get",
                TokenKind.USER,
                owner_id=f"-{page.external_id}",
                filter="suggests",
                offset=offset,
                count=POSTS,
                extended=1,
            )
            names = vk_payloads.names_of(answer)
            listed = items(answer, "wall.get")
            for raw in listed:
                parsed.add(vk_payloads.post, raw, page, names, "seen")
            if len(listed) < POSTS:
                break
        return parsed

    async def look(self, page: PageRef, feed: Feed, accounts: Accounts) -> bool:
        """Store what is suggested to a page; says whether our token manages it.

        Leaves the day's last calls to walls: this can wait.
        """
        left, allowed = accounts.left(NETWORK, "wall.get"), accounts.calls_a_day(NETWORK, "wall.get")
        if left is not None and allowed is not None and left < allowed * KEPT_SHARE:
            return True
        observed_at = clock.now()
        try:
            parsed = await self.read(page)
        except CallError as error:
            if error.treatment not in CLOSED:
                raise
            return False
        await feed.store(page, WAY, parsed, observed_at=observed_at, marks=marks(parsed))
        return True
