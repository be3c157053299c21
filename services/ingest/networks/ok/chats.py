"""Polling private messages of each group by its bot's token."""

import asyncio
from typing import Any

from services.ingest.networks.calls import CallError, CallLost, NoToken, Treatment
from services.ingest.networks.ok import parse
from services.ingest.networks.ok.client import OkClient, graph_method
from services.ingest.networks.ok.errors import NETWORK
from services.ingest.networks.port import Accounts, Feed, PageRef, Parsed, TokenKind
from services.ingest.networks.resting import TROUBLE
from services.ingest.settings import IngestSettings
from shared import clock
from shared.logs import logger

log = logger(__name__)

WAY = "chats_poll"
PAGE = 100
MAX_PAGES = 200
AT_ONCE = 8
# Looks overlap by this much once after news: another message may carry the same millisecond.
OVERLAP_MS = 3_000


class Chats:
    """Goes round all groups that have a bot's token, a few at once."""

    def __init__(self, client: OkClient, accounts: Accounts, feed: Feed, settings: IngestSettings) -> None:
        self._client = client
        self._accounts = accounts
        self._feed = feed
        self._settings = settings
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._cursors: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        """Look for ever."""
        gate = asyncio.Semaphore(AT_ONCE)
        while True:
            started = asyncio.get_running_loop().time()
            pages = [page for page in self._accounts.pages(NETWORK) if self._ready(page, started)]
            await asyncio.gather(*(self._one(page, gate) for page in pages))
            await asyncio.sleep(0.3)

    def _ready(self, page: PageRef, now: float) -> bool:
        if self._accounts.credential(NETWORK, TokenKind.GROUP, page.id) is None:
            return False
        return self._due.get(page.external_id, 0.0) <= now

    async def _one(self, page: PageRef, gate: asyncio.Semaphore) -> None:
        name = page.external_id
        async with gate:
            try:
                await self.look(page)
            except TROUBLE as error:
                self._cursors.pop(name, None)
                failures = self._failures[name] = self._failures.get(name, 0) + 1
                rest = min(self._settings.ok_chats_seconds * 2.0 ** min(failures - 1, 5), 60.0)
                self._feed.failed(page, WAY, str(error))
                log.warning("a look failed", way=WAY, page=name, error=str(error)[:200], rest=rest)
            else:
                self._failures.pop(name, None)
                rest = self._settings.ok_chats_seconds
            self._due[name] = asyncio.get_running_loop().time() + rest

    async def look(self, page: PageRef) -> None:
        """Read the chats of a group that moved since the cursor."""
        cursor = self._cursors.get(page.external_id)
        if cursor is None:
            cursor = self._cursors[page.external_id] = await self._feed.cursor(page, WAY)
        since = int(cursor.get("since", 0))
        floor = since if cursor.get("settled") else since - OVERLAP_MS
        observed_at = clock.now()
        moved = await self._moved(page, since=since, floor=floor, settled=bool(cursor.get("settled")))
        if not moved and cursor.get("settled"):
            self._feed.well(page, WAY)
            return
        parsed = Parsed()
        for chat_id, _ in moved:
            parsed.extend(await self.history(page, chat_id, floor))
        reached = max((at for _, at in moved), default=since)
        # A second look without anything younger settles the cursor.
        after = {"since": reached, "settled": reached == since and since > 0}
        await self._feed.store(page, WAY, parsed, observed_at=observed_at, cursor=after)
        self._cursors[page.external_id] = after

    async def _moved(self, page: PageRef, *, since: int, floor: int, settled: bool) -> list[tuple[str, int]]:
        """Chats with an event after the cursor, as (chat id, moment in ms)."""
        moved: dict[str, int] = {}
        marker: str | None = None
        for _ in range(MAX_PAGES):
            answer = await self._read(page, "chats", count=PAGE, marker=marker)
            chats = answer.get("chats") if isinstance(answer, dict) else None
            if not isinstance(chats, list):
                raise CallLost(NETWORK, "graph.chats", "no chats in the answer")
            older = 0
            for chat in chats:
                if not isinstance(chat, dict) or not chat.get("chat_id"):
                    continue
                at = int(chat.get("lastEventTime") or 0)
                if at > since or (not settled and at >= floor):
                    moved[str(chat["chat_id"])] = at
                else:
                    older += 1
            marker = answer.get("marker")
            if not marker or older == len(chats):
                break
        return list(moved.items())

    async def history(self, page: PageRef, chat_id: str, floor: int) -> Parsed:
        """Messages of a chat written at `floor` (ms) or later."""
        parsed = Parsed()
        newest: int | None = None
        while True:
            try:
                answer = await self._read(
                    page,
                    f"messages/{parse.prefixed('chat', chat_id)}",
                    count=PAGE,
                    to=max(floor, 0),
                    **({} if newest is None else {"from": newest}),
                )
            except CallError as error:
                if error.treatment is Treatment.GONE:
                    return parsed
                raise
            rows = answer.get("messages") if isinstance(answer, dict) else None
            if not isinstance(rows, list):
                raise CallLost(NETWORK, "graph.messages", "no messages in the answer")
            for raw in rows:
                parsed.add(parse.message, raw, page, chat_id)
            times = [int(raw["timestamp"]) for raw in rows if isinstance(raw, dict) and raw.get("timestamp")]
            if len(rows) < PAGE or not times:
                return parsed
            # Both bounds are included; a whole page within one millisecond cannot be asked for otherwise.
            oldest = min(times)
            newest = oldest if oldest != newest else oldest - 1

    async def _read(self, page: PageRef, path: str, **query: Any) -> Any:
        credential = self._client.group(page.id, graph_method(path))
        return await self._client.read_graph(credential, path, **query)

    def has_token(self, page: PageRef) -> bool:
        """Whether the group's messages can be read now."""
        try:
            self._client.group(page.id, "graph.chats.get")
        except NoToken:
            return False
        return True
