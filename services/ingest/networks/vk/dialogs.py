"""Comparing conversations with what is stored, by the community's own token."""

from typing import Any

from services.ingest.networks.calls import CallLost
from services.ingest.networks.port import Feed, PageRef, Parsed, ThreadMark, TokenKind
from services.ingest.networks.vk import parse
from services.ingest.networks.vk.client import VkClient
from services.ingest.networks.vk.errors import NETWORK
from shared import clock

WAY = "dialogs_poll"
PAGE = 200
MAX_DEPTH = 5_000


class Dialogs:
    """Reads the conversations of a page whose last message is not stored yet."""

    def __init__(self, client: VkClient, feed: Feed) -> None:
        self._client = client
        self._feed = feed

    async def look(self, page: PageRef) -> None:
        """Compare all conversations of a page, the freshest first, until a page of them has no news."""
        for offset in range(0, MAX_DEPTH, PAGE):
            answer = await self._read(
                page, "messages.getConversations", offset=offset, count=PAGE, extended=1, filter="all"
            )
            latest = _latest(_items(answer, "messages.getConversations"), page)
            known = await self._feed.marks(list(latest))
            news = [
                (key, peer, last)
                for key, (peer, last) in latest.items()
                if (mark := known.get(key)) is None or int(mark.marker or 0) < last
            ]
            # The oldest first: what an interruption leaves undone stays on top of the list.
            for key, peer, last in sorted(news, key=lambda one: one[2]):
                mark = known.get(key)
                await self._history(page, key, peer, last, int(mark.marker or 0) if mark else 0)
            if not news or len(latest) < PAGE:
                break
        self._feed.well(page, WAY)

    async def _history(self, page: PageRef, thread_key: str, peer: int, last: int, after: int) -> None:
        observed_at = clock.now()
        parsed = await self.history(page, peer, after)
        await self._feed.store(
            page, WAY, parsed, observed_at=observed_at, marks=[ThreadMark(thread_key, str(last))]
        )

    async def history(self, page: PageRef, peer: int, after: int = 0, *, limit: int = MAX_DEPTH) -> Parsed:
        """Messages of one conversation younger than the message `after`, `limit` of them at most."""
        parsed = Parsed()
        for offset in range(0, limit, PAGE):
            answer = await self._read(
                page, "messages.getHistory", peer_id=peer, offset=offset, count=PAGE, extended=1
            )
            names = parse.names_of(answer)
            items = _items(answer, "messages.getHistory")
            for raw in items:
                parsed.add(parse.message, raw, page, names, "seen")
            oldest = min((raw["id"] for raw in items if isinstance(raw, dict) and "id" in raw), default=0)
            if len(items) < PAGE or oldest <= after:
                break
        return parsed

    async def _read(self, page: PageRef, method: str, **params: Any) -> Any:
        credential = self._client.credential(method, TokenKind.GROUP, page_id=page.id)
        return await self._client.read(credential, method, group_id=page.external_id, **params)


def _items(answer: Any, method: str) -> list[Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise CallLost(NETWORK, method, "no items in the answer")
    items: list[Any] = answer["items"]
    return items


def _latest(items: list[Any], page: PageRef) -> dict[str, tuple[int, int]]:
    """Conversations by thread key: the peer, and the id of the last message."""
    found: dict[str, tuple[int, int]] = {}
    for item in items:
        conversation = item.get("conversation") if isinstance(item, dict) else None
        peer = conversation.get("peer") if isinstance(conversation, dict) else None
        if not isinstance(peer, dict) or not isinstance(peer.get("id"), int):
            continue
        last = conversation.get("last_message_id", 0) if isinstance(conversation, dict) else 0
        found[f"vk:{page.external_id}_{peer['id']}"] = (peer["id"], int(last))
    return found
