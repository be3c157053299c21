"""VK behind the port: ways in and the way out."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
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
from services.ingest.networks.rotation import Rotation
from services.ingest.networks.vk import callback_server, dialogs, errors, long_poll
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

DIALOGS_AT_ONCE = 8
MAX_LENGTH: dict[str, int] = {"comment": 4_096, "message": 4_096}


class Vk:
    """Implements `networks.port.Network` for VK."""

    name = errors.NETWORK

    def __init__(
        self, http: aiohttp.ClientSession, accounts: Accounts, feed: Feed, settings: IngestSettings
    ) -> None:
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
        self._talks = Rotation(
            dialogs.WAY,
            self._with_token,
            self._compare_dialogs,
            lambda page, error: feed.failed(page, dialogs.WAY, error),
            at_once=DIALOGS_AT_ONCE,
        )
        self._watch = callback_server.CallbackWatch(self._client, accounts, feed, settings, self.look_soon)
        self._listening = long_poll.Listening(self._client, http, feed, settings, self.look_soon)

    def ways(self) -> dict[str, Way]:
        """A long poll per page with a token unless its events are pushed; one rotation for each other way."""
        ways: dict[str, Way] = {}
        push = self._settings.vk_push
        with_token = self._with_token()
        for page in with_token:
            if push != "callback" or not self._watch.works(page):
                ways[f"vk:{long_poll.WAY}:{page.id}"] = self._listener(page).run
        if with_token:
            ways[f"vk:{dialogs.WAY}"] = self._talks.run
        if push != "long_poll":
            ways[f"vk:{callback_server.WAY}"] = self._watch.run
        if self._reader.can_read():
            ways[f"vk:{WALL_WAY}"] = self._walls.run
        return ways

    def _with_token(self) -> list[PageRef]:
        return [
            page
            for page in self._accounts.pages(self.name)
            if self._accounts.credential(self.name, TokenKind.GROUP, page.id) is not None
        ]

    def _listener(self, page: PageRef) -> long_poll.LongPoll:
        return long_poll.LongPoll(page, self._listening)

    async def _compare_dialogs(self, page: PageRef) -> float:
        await self._dialogs.look(page)
        return self._settings.vk_dialogs_seconds

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
        self._talks.ask(page)

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
