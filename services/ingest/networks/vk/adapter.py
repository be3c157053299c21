"""VK behind the port: ways in and the way out."""

import asyncio
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
    Unsure,
    Way,
)
from services.ingest.networks.resting import rounds
from services.ingest.networks.vk import dialogs, errors, long_poll
from services.ingest.networks.vk.client import VkClient
from services.ingest.networks.vk.dialogs import Dialogs
from services.ingest.networks.vk.walls import WAY as WALL_WAY
from services.ingest.networks.vk.walls import Walls
from services.ingest.settings import IngestSettings

MAX_LENGTH: dict[str, int] = {"comment": 4_096, "message": 4_096}
RECENT_MESSAGES = 200


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
        self._walls = Walls(self._client, accounts, feed, settings)
        self._dialogs = Dialogs(self._client, feed)
        self._wake_dialogs: dict[Any, asyncio.Event] = {}

    def ways(self) -> dict[str, Way]:
        """A long poll and a look at conversations per page with a token; one rotation over all walls."""
        ways: dict[str, Way] = {}
        for page in self._accounts.pages(self.name):
            if self._accounts.credential(self.name, TokenKind.GROUP, page.id) is None:
                continue
            ways[f"vk:{long_poll.WAY}:{page.id}"] = self._listener(page).run
            ways[f"vk:{dialogs.WAY}:{page.id}"] = partial(self._compare_dialogs, page)
        if self._walls.can_read():
            ways[f"vk:{WALL_WAY}"] = self._walls.run
        return ways

    def _listener(self, page: PageRef) -> long_poll.LongPoll:
        return long_poll.LongPoll(
            page,
            client=self._client,
            http=self._http,
            feed=self._feed,
            settings=self._settings,
            missed=self._missed,
        )

    def _missed(self, page: PageRef) -> None:
        self._walls.ask(page)
        if page.id in self._wake_dialogs:
            self._wake_dialogs[page.id].set()

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
        write = self._send if outgoing.kind == "message" else self._comment
        with told_plainly(self.name, errors.words):
            return await write(outgoing)

    async def _comment(self, outgoing: Outgoing) -> Published:
        page = outgoing.page.external_id
        post_id = _last(outgoing.thread_key)
        method = "wall.createComment"
        credential = self._client.credential(method, TokenKind.GROUP, TokenKind.USER, page_id=outgoing.page.id)
        answer = await self._client.call(
            credential,
            method,
            owner_id=f"-{page}",
            post_id=post_id,
            from_group=page,
            message=outgoing.text,
            reply_to_comment=_last(outgoing.target) if outgoing.target else None,
            guid=str(outgoing.id),
        )
        number = answer.get("comment_id") if isinstance(answer, dict) else None
        if not isinstance(number, int):
            raise Unsure("the answer names no comment")
        return Published(f"-{page}_{number}", f"https://vk.com/wall-{page}_{post_id}?reply={number}")

    async def _send(self, outgoing: Outgoing) -> Published:
        page, peer = outgoing.page.external_id, _last(outgoing.thread_key)
        method = "messages.send"
        credential = self._client.credential(method, TokenKind.GROUP, page_id=outgoing.page.id)
        # With peer_ids, unlike peer_id, the answer tells the number within the conversation.
        answer = await self._client.call(
            credential,
            method,
            peer_ids=peer,
            message=outgoing.text,
            random_id=_random_id(outgoing),
            group_id=page,
        )
        sent = answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], dict) else {}
        if isinstance(sent.get("error"), dict):
            code = sent["error"].get("code")
            code = code if isinstance(code, int) else 0
            raise CallError(self.name, method, code, "refused for this person", errors.treatment(code))
        number = sent.get("conversation_message_id")
        if not isinstance(number, int) or number <= 0:
            raise Unsure("the answer names no message")
        return Published(f"{page}_{peer}_{number}", f"https://vk.com/gim{page}?sel={peer}")

    async def read_back(self, outgoing: Outgoing) -> Parsed:
        """What stands in the answer's thread now. Raises `NotRead`."""
        try:
            if outgoing.kind == "message":
                peer = int(_last(outgoing.thread_key))
                return await self._dialogs.history(outgoing.page, peer, limit=RECENT_MESSAGES)
            return await self._walls.comments(outgoing.page, int(_last(outgoing.thread_key)))
        except CallError as error:
            if error.treatment in {Treatment.DENIED, Treatment.GONE}:
                return Parsed()
            raise NotRead(str(error)) from error
        except (CallLost, NoToken) as error:
            raise NotRead(str(error)) from error


def _last(key: str) -> str:
    return key.rpartition("_")[2]


def _random_id(outgoing: Outgoing) -> int:
    """The idempotency key of a message: a positive int32 that is the same for all attempts."""
    return (outgoing.id.int & 0x7FFFFFFF) or 1
