"""VK adapter: implements the port with the readers and the publisher of VK."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp

from services.ingest.networks import token_probe
from services.ingest.networks.error_mapping import mapping_publish_errors, mapping_read_errors
from services.ingest.networks.page_scheduler import PageScheduler
from services.ingest.networks.port import (
    Credential,
    IntakeStore,
    OutgoingReply,
    PageRef,
    ParsedBatch,
    Photo,
    PhotoTarget,
    PublishedReply,
    ReplyToChange,
    ScanStep,
    SourceLoop,
    TokenKind,
    TokenPool,
)
from services.ingest.networks.token_probe import TokenProbe
from services.ingest.networks.vk import vk_errors
from services.ingest.networks.vk.publishing.reply_changes import VkReplyChanges
from services.ingest.networks.vk.publishing.reply_publishing import VkPublisher
from services.ingest.networks.vk.publishing.vk_photos import VkPhotoUploader
from services.ingest.networks.vk.push import callback_servers, long_poll
from services.ingest.networks.vk.reading import boards, conversations, suggested_posts
from services.ingest.networks.vk.reading.boards import BoardReader
from services.ingest.networks.vk.reading.conversations import ConversationReader
from services.ingest.networks.vk.reading.suggested_posts import SuggestedPosts
from services.ingest.networks.vk.reading.vk_scan import VkPageScan
from services.ingest.networks.vk.reading.wall_poll import SOURCE as WALL_SOURCE
from services.ingest.networks.vk.reading.wall_poll import WallPoller
from services.ingest.networks.vk.reading.wall_reader import WallReader
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.settings import IngestSettings
from shared.contracts.values import MessageKind

CONVERSATIONS_CONCURRENCY = 8
BOARDS_CONCURRENCY = 2
# The interval is longer by this factor for content that is closed or that we do not manage.
CLOSED_INTERVAL_FACTOR = 12
MAX_LENGTH: dict[str, int] = {"comment": 4_096, "message": 4_096}


class VkNetwork:
    """Implements `networks.port.NetworkAdapter` for VK."""

    name = vk_errors.NETWORK

    def __init__(
        self, http: aiohttp.ClientSession, token_pool: TokenPool, intake: IntakeStore, settings: IngestSettings
    ) -> None:
        self._token_pool = token_pool
        self._intake = intake
        self._settings = settings
        self._client = VkClient(http, token_pool, settings)
        self._reader = WallReader(self._client)
        self._boards = BoardReader(self._client)
        self._suggests = SuggestedPosts(self._client)
        self._walls = WallPoller(self._reader, token_pool, intake, settings, self._is_pushed)
        self._dialogs = ConversationReader(self._client, intake)
        self._publishing = VkPublisher(self._client, self._reader, self._boards, self._dialogs)
        self._changes = VkReplyChanges(self._client)
        self._photos = VkPhotoUploader(self._client, http, settings.photo_upload_timeout_seconds)
        self._conversation_scheduler = self._rotation(
            conversations.SOURCE, self._compare_dialogs, self._with_token, CONVERSATIONS_CONCURRENCY
        )
        self._board_scheduler = self._rotation(
            boards.SOURCE, self._compare_boards, self._readable, BOARDS_CONCURRENCY
        )
        self._suggested_post_scheduler = self._rotation(
            suggested_posts.SOURCE, self._compare_suggests, self._readable, 1
        )
        self._callback_monitor = callback_servers.CallbackServerMonitor(
            self._client, token_pool, intake, settings, self.request_check
        )
        self._tokens = TokenProbe(self.name, token_pool, self._probe, settings.token_probe_seconds)
        self._long_poll_context = long_poll.LongPollContext(
            self._client,
            http,
            token_pool,
            intake,
            settings,
            missed=self.request_check,
            silent=self._check_soon,
        )

    def source_loops(self) -> dict[str, SourceLoop]:
        """Return a loop per source, and a long poll per page that has a token and whose events are not pushed."""
        loops: dict[str, SourceLoop] = {f"vk:{token_probe.SOURCE}": self._tokens.run}
        push = self._settings.vk_push
        with_token = self._with_token()
        for page in with_token:
            if push != "callback" or not self._callback_monitor.is_working(page):
                loops[f"vk:{long_poll.SOURCE}:{page.id}"] = self._listener(page).run
        if with_token:
            loops[f"vk:{conversations.SOURCE}"] = self._conversation_scheduler.run
        if push != "long_poll":
            loops[f"vk:{callback_servers.SOURCE}"] = self._callback_monitor.run
        if self._reader.can_read():
            loops[f"vk:{WALL_SOURCE}"] = self._walls.run
            if self._settings.vk_read_boards:
                loops[f"vk:{boards.SOURCE}"] = self._board_scheduler.run
        if self._settings.vk_suggested_post_poll_seconds and self._suggests.can_read():
            loops[f"vk:{suggested_posts.SOURCE}"] = self._suggested_post_scheduler.run
        return loops

    def _rotation(
        self,
        source: str,
        look: Callable[[PageRef], Awaitable[float]],
        pages: Callable[[], Sequence[PageRef]],
        concurrency: int,
    ) -> PageScheduler:
        return PageScheduler(
            source,
            pages,
            look,
            lambda page, error: self._intake.report_failure(page, source, error),
            concurrency=concurrency,
        )

    async def _probe(self, credential: Credential) -> object:
        match credential.kind:
            case TokenKind.GROUP:
                return await self._client.call(credential, "groups.getTokenPermissions")
            case TokenKind.USER:
                return await self._client.call(credential, "users.get")
            case TokenKind.SERVICE:
                page = next(iter(self._token_pool.pages(self.name)), None)
                return page and await self._client.call(credential, "groups.getById", group_id=page.external_id)

    def _readable(self) -> Sequence[PageRef]:
        return self._token_pool.pages(self.name)

    def _with_token(self) -> list[PageRef]:
        return [
            page
            for page in self._token_pool.pages(self.name)
            if self._token_pool.select(self.name, TokenKind.GROUP, page.id) is not None
        ]

    def _is_pushed(self, page: PageRef) -> bool:
        if self._settings.vk_push != "long_poll" and self._callback_monitor.is_working(page):
            return True
        own = self._token_pool.select(self.name, TokenKind.GROUP, page.id)
        return own is not None and page.id not in self._long_poll_context.failing

    def _listener(self, page: PageRef) -> long_poll.LongPoll:
        return long_poll.LongPoll(page, self._long_poll_context)

    async def _compare_dialogs(self, page: PageRef) -> float:
        await self._dialogs.check_page(page)
        return self._settings.vk_conversation_poll_seconds

    async def _compare_boards(self, page: PageRef) -> float:
        opened = await self._boards.check_page(page, self._intake)
        return self._settings.vk_board_poll_seconds * (1 if opened else CLOSED_INTERVAL_FACTOR)

    async def _compare_suggests(self, page: PageRef) -> float:
        managed = await self._suggests.check_page(page, self._intake, self._token_pool)
        return self._settings.vk_suggested_post_poll_seconds * (1 if managed else CLOSED_INTERVAL_FACTOR)

    def max_text_length(self, kind: MessageKind) -> int:
        """Return the longest text that the network accepts, in characters."""
        return MAX_LENGTH[kind]

    def publish_timeout(self) -> float:
        """Return the timeout of a publishing call, in seconds."""
        return self._settings.vk_call_timeout_seconds

    async def upload_photo(self, target: PhotoTarget, photo: Photo) -> str:
        """Upload a photo.

        Raises `PublishRejected` if the upload was refused, `PublishOutcomeUnknown` if the response was lost.
        """
        with mapping_publish_errors(self.name, vk_errors.user_message):
            return await self._photos.upload(target, photo)

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish the reply as the community.

        Raises `PublishRejected` if nothing was published, `PublishOutcomeUnknown` if the response was lost.
        """
        with mapping_publish_errors(self.name, vk_errors.user_message):
            return await self._publishing.publish(outgoing)

    async def edit_reply(self, reply: ReplyToChange, text: str) -> None:
        """Replace the text of a reply.

        Raises `PublishRejected` if nothing was changed, `PublishOutcomeUnknown` if the response was lost.
        """
        with mapping_publish_errors(self.name, vk_errors.change_message, vk_errors.GONE):
            await self._changes.edit(reply, text)

    async def delete_reply(self, reply: ReplyToChange) -> None:
        """Delete a reply.

        Raises `PublishRejected` if nothing was changed, `PublishOutcomeUnknown` if the response was lost.
        """
        with mapping_publish_errors(self.name, vk_errors.change_message, vk_errors.GONE):
            await self._changes.delete(reply)

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """Return the reply's thread after `outgoing.baseline_position`.

        Raises `ReadFailed` if it cannot be read completely.
        """
        with mapping_read_errors():
            parsed = await self._publishing.read_thread(outgoing)
        parsed.unparsed = [one for one in parsed.unparsed if _could_be_the_reply(one.raw, outgoing)]
        return parsed

    def request_check(self, page: PageRef) -> None:
        """Compare the page's wall and conversations as soon as the limits allow, because messages may have been
        missed. The wall's older posts are compared too, later if many pages lost events.
        """
        self._walls.poll_soon(page, deep=True)
        self._conversation_scheduler.run_soon(page)

    def _check_soon(self, page: PageRef) -> None:
        """Compare the page's newest posts and conversations as soon as the limits allow."""
        self._walls.poll_soon(page)
        self._conversation_scheduler.run_soon(page)

    def scan(self, page: PageRef, since: datetime, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Scan wall, threads, discussions, suggested posts and conversations; see `port.NetworkAdapter.scan`."""
        one = VkPageScan(
            page,
            since,
            reader=self._reader,
            boards=self._boards,
            suggested_posts=self._suggests,
            dialogs=self._dialogs,
            intake=self._intake,
            settings=self._settings,
        )
        return one.run(cursor)


def _could_be_the_reply(raw: Any, outgoing: OutgoingReply) -> bool:
    """Return whether an unparsed payload may be the reply, as neither its author nor its number excludes it."""
    if not isinstance(raw, dict):
        return True
    writer, number = raw.get("from_id"), raw.get("conversation_message_id" if outgoing.kind == "message" else "id")
    if isinstance(writer, int) and writer != -int(outgoing.page.external_id):
        return False
    return not isinstance(number, int) or outgoing.baseline_position is None or number > outgoing.baseline_position
