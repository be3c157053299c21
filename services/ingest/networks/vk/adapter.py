"""VK behind the port: ways in and the way out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import aiohttp

from services.ingest.networks.calls import CallError, CallLost, NoToken, Treatment
from services.ingest.networks.outcomes import told_plainly
from services.ingest.networks.port import (
    Accounts,
    Feed,
    Kind,
    NotRead,
    Outgoing,
    PageRef,
    Parsed,
    Published,
    TokenKind,
    Walked,
    Way,
)
from services.ingest.networks.resting import rounds
from services.ingest.networks.vk import dialogs, errors, long_poll
from services.ingest.networks.vk.boards import Boards
from services.ingest.networks.vk.client import VkClient
from services.ingest.networks.vk.dialogs import Dialogs
from services.ingest.networks.vk.publishing import Publishing
from services.ingest.networks.vk.reading import WallReader
from services.ingest.networks.vk.suggests import Suggests
from services.ingest.networks.vk.walk import Walk
from services.ingest.networks.vk.walls import WAY as WALL_WAY
from services.ingest.networks.vk.walls import Walls
from services.ingest.settings import IngestSettings

MAX_LENGTH: dict[str, int] = {"comment": 4_096, "message": 4_096}


class Vk:
    """Implements `networks.port.Network` for VK."""

    name = errors.NETWORK

    def __init__(
        self, http: aiohttp.ClientSession, accounts: Accounts, feed: Feed, settings: IngestSettings
    ) -> None:
        self._http = http
        self._accounts = accounts
        self._feed = feed
        self._settings = settings
        self._client = VkClient(http, accounts, settings)
        self._reader = WallReader(self._client)
        self._boards = Boards(self._client)
        self._suggests = Suggests(self._client)
        self._walls = Walls(self._reader, accounts, feed, settings)
        self._dialogs = Dialogs(self._client, feed)
        self._publishing = Publishing(self._client, self._reader, self._boards, self._dialogs)
        self._wake_dialogs: dict[Any, asyncio.Event] = {}

    def ways(self) -> dict[str, Way]:
        """A long poll and a look at conversations per page with a token; one rotation over all walls."""
        ways: dict[str, Way] = {}
        for page in self._accounts.pages(self.name):
            if self._accounts.credential(self.name, TokenKind.GROUP, page.id) is None:
                continue
            ways[f"vk:{long_poll.WAY}:{page.id}"] = self._listener(page).run
            ways[f"vk:{dialogs.WAY}:{page.id}"] = partial(self._compare_dialogs, page)
        if self._reader.can_read():
            ways[f"vk:{WALL_WAY}"] = self._walls.run
        return ways

    def _listener(self, page: PageRef) -> long_poll.LongPoll:
        return long_poll.LongPoll(
            page,
            client=self._client,
            http=self._http,
            feed=self._feed,
            settings=self._settings,
            missed=self.look_soon,
        )

    async def _compare_dialogs(self, page: PageRef) -> None:
        woken = self._wake_dialogs.setdefault(page.id, asyncio.Event())

        async def one_round() -> float:
            woken.clear()
            await self._dialogs.look(page)
            try:
                async with asyncio.timeout(self._settings.vk_dialogs_seconds):
                    await woken.wait()
            except TimeoutError:
                return 0
            return 0

        await rounds(f"{dialogs.WAY}:{page.external_id}", one_round, partial(self._feed.failed, page, dialogs.WAY))

    def max_length(self, kind: Kind) -> int:
        """The longest text the network takes."""
        return MAX_LENGTH[kind]

    def call_seconds(self) -> float:
        """How long a publishing call may last at most."""
        return self._settings.vk_call_seconds

    async def publish(self, outgoing: Outgoing) -> Published:
        """Write the answer as the community. Raises `Refused` or `Unsure`."""
        with told_plainly(self.name, errors.words):
            return await self._publishing.write(outgoing)

    async def read_back(self, outgoing: Outgoing) -> Parsed:
        """What stands in the answer's thread now. Raises `NotRead`."""
        try:
            return await self._publishing.standing(outgoing)
        except CallError as error:
            if error.treatment in {Treatment.DENIED, Treatment.GONE}:
                return Parsed()
            raise NotRead(str(error)) from error
        except (CallLost, NoToken) as error:
            raise NotRead(str(error)) from error

    def look_soon(self, page: PageRef) -> None:
        """Compare the page's wall and conversations as soon as the limits allow."""
        self._walls.ask(page)
        if page.id in self._wake_dialogs:
            self._wake_dialogs[page.id].set()

    def walk(self, page: PageRef, since: datetime, cursor: Mapping[str, Any]) -> AsyncIterator[Walked]:
        """Wall with threads, discussions, suggested posts, conversations; see `port.Network.walk`."""
        one = Walk(
            page,
            since,
            reader=self._reader,
            boards=self._boards,
            suggests=self._suggests,
            dialogs=self._dialogs,
            feed=self._feed,
            settings=self._settings,
        )
        return one.run(cursor)
