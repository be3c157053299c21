"""OK adapter: implements the port with the pollers and the client of OK."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import aiohttp

from services.ingest.networks import token_probe
from services.ingest.networks.error_mapping import mapping_publish_errors, mapping_read_errors
from services.ingest.networks.ok import ok_errors, ok_payloads
from services.ingest.networks.ok.ok_client import OkClient, bot_method_name
from services.ingest.networks.ok.ok_photos import OkPhotoUploader, attachments_parameter
from services.ingest.networks.ok.push import subscriptions
from services.ingest.networks.ok.push.subscriptions import SubscriptionMonitor
from services.ingest.networks.ok.reading import chats, discussion_poll, topic_poll
from services.ingest.networks.ok.reading.chats import ChatPoller
from services.ingest.networks.ok.reading.discussion_list import DiscussionList
from services.ingest.networks.ok.reading.discussion_poll import DiscussionPoller
from services.ingest.networks.ok.reading.discussion_reader import DiscussionReader
from services.ingest.networks.ok.reading.ok_scan import OkPageScan
from services.ingest.networks.ok.reading.topic_poll import TopicPoller
from services.ingest.networks.port import (
    Credential,
    IntakeStore,
    OutgoingReply,
    PageRef,
    ParsedBatch,
    Photo,
    PhotoTarget,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
    ReplyToChange,
    ScanStep,
    SourceLoop,
    TokenKind,
    TokenPool,
)
from services.ingest.networks.token_probe import TokenProbe
from services.ingest.settings import IngestSettings
from shared.contracts.values import MessageKind

MAX_LENGTH: dict[str, int] = {"comment": 3_000, "message": 4_000}
NO_MESSAGE_CHANGES = "Одноклассники не дают править и удалять отправленные сообщения."


class OkNetwork:
    """Implements `networks.port.NetworkAdapter` for OK."""

    name = ok_errors.NETWORK

    def __init__(
        self, http: aiohttp.ClientSession, token_pool: TokenPool, intake: IntakeStore, settings: IngestSettings
    ) -> None:
        self._token_pool = token_pool
        self._intake = intake
        self._settings = settings
        self._client = OkClient(http, token_pool, settings)
        self._reader = DiscussionReader(self._client, settings)
        self._listing = DiscussionList(self._reader, settings)
        self._discussions = DiscussionPoller(self._reader, self._listing, token_pool, intake, settings)
        self._topics = TopicPoller(self._reader, token_pool, intake, settings)
        self._subscriptions = SubscriptionMonitor(
            self._client, token_pool, intake, settings, self._on_possible_loss
        )
        self._photos = OkPhotoUploader(
            self._client, http, settings.photo_upload_timeout_seconds, settings.ok_photo_albums
        )
        self._tokens = TokenProbe(self.name, token_pool, self._probe, settings.token_probe_seconds)
        self._chats = ChatPoller(
            self._client,
            token_pool,
            intake,
            settings,
            is_pushed=self._subscriptions.is_working,
            on_push_loss=self._subscriptions.report_loss,
        )

    async def _probe(self, credential: Credential) -> object:
        if credential.kind is TokenKind.GROUP:
            return await self._client.call_bot_api(credential, "info")
        page = next(iter(self._token_pool.pages(self.name)), None)
        return page and await self._client.call(credential, "group.getInfo", uids=page.external_id, fields="uid")

    def _on_possible_loss(self, page: PageRef) -> None:
        self._chats.request_check(page)

    def source_loops(self) -> dict[str, SourceLoop]:
        """Return the loops for discussions and topics (user sessions), chats and subscriptions (group tokens)."""
        loops: dict[str, SourceLoop] = {}
        if not self._token_pool.pages(self.name):
            return loops
        loops[f"ok:{token_probe.SOURCE}"] = self._tokens.run
        if self._token_pool.select(self.name, TokenKind.USER) is not None:
            loops[f"ok:{discussion_poll.SOURCE}"] = self._discussions.run
            loops[f"ok:{topic_poll.SOURCE}"] = self._topics.run
        if any(self._chats.has_token(page) for page in self._token_pool.pages(self.name)):
            loops[f"ok:{chats.SOURCE}"] = self._chats.run
            if self._subscriptions.enabled:
                loops[f"ok:{subscriptions.SOURCE}"] = self._subscriptions.run
        return loops

    def request_check(self, page: PageRef) -> None:
        """Request a check of this page as soon as the limits allow, because messages may have been missed."""
        self._discussions.request_check(page)
        self._topics.request_check(page)
        self._chats.request_check(page)

    def scan(self, page: PageRef, since: datetime, cursor: Mapping[str, Any]) -> AsyncIterator[ScanStep]:
        """Scan all content of a group written since a time; see `networks.port.NetworkAdapter`."""
        walk = OkPageScan(
            page, since, reader=self._reader, listing=self._listing, chats=self._chats, intake=self._intake
        )
        return walk.run(cursor)

    def max_text_length(self, kind: MessageKind) -> int:
        """Return the longest text that the network accepts, in characters."""
        return MAX_LENGTH[kind]

    def publish_timeout(self) -> float:
        """Return the timeout of a publishing call, in seconds."""
        return self._settings.ok_call_timeout_seconds

    async def upload_photo(self, target: PhotoTarget, photo: Photo) -> str:
        """Upload a photo.

        Raises `PublishRejected` if the upload was refused, `PublishOutcomeUnknown` if the response was lost.
        """
        with mapping_publish_errors(self.name, ok_errors.user_message):
            return await self._photos.upload(target, photo)

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish the reply as the community.

        Raises `PublishRejected` if nothing was published, `PublishOutcomeUnknown` if the response was lost.
        """
        write = self._send if outgoing.kind == "message" else self._comment
        with mapping_publish_errors(self.name, ok_errors.user_message):
            return await write(outgoing)

    async def _comment(self, outgoing: OutgoingReply) -> PublishedReply:
        discussion = outgoing.thread_key.removeprefix("ok:")
        kind, ident = ok_payloads.split_discussion_key(discussion)
        method = "discussions.addDiscussionComment"
        answer = await self._client.call(
            self._client.user_session(method),
            method,
            entityId=ident,
            entityType=kind,
            comment=outgoing.text,
            reply_to_comment_id=outgoing.reply_to.partition("/")[2] if outgoing.reply_to else None,
            as_admin=True,
            attachments=attachments_parameter(outgoing.media),
            not_after=outgoing.send_deadline,
        )
        number = _comment_id(answer)
        if number is None:
            raise PublishOutcomeUnknown("no comment id in the response")
        return PublishedReply(f"{discussion}/{number}", ok_payloads.discussion_url(outgoing.page, discussion))

    async def _send(self, outgoing: OutgoingReply) -> PublishedReply:
        chat = outgoing.thread_key.removeprefix("ok:")
        path = f"messages/{chat}"
        credential = self._client.group_token(outgoing.page.id, bot_method_name(path, posting=True))
        body = {"recipient": {"chat_id": chat}, "message": {"text": outgoing.text}}
        answer = await self._client.call_bot_api(credential, path, body=body, not_after=outgoing.send_deadline)
        number = answer.get("message_id") if isinstance(answer, dict) else None
        if not number:
            raise PublishOutcomeUnknown("no message id in the response")
        url = f"https://ok.ru/group/{outgoing.page.external_id}/messages"
        return PublishedReply(f"{chat}/{ok_payloads.with_prefix('mid', number)}", url)

    async def edit_reply(self, reply: ReplyToChange, text: str) -> None:
        """Replace the text of a comment.

        Raises `PublishRejected` if nothing was changed, `PublishOutcomeUnknown` if the response was lost or does
        not confirm the change.
        """
        await self._change(reply, "discussions.editDiscussionComment", comment=text)

    async def delete_reply(self, reply: ReplyToChange) -> None:
        """Delete a comment.

        Raises `PublishRejected` if nothing was changed, `PublishOutcomeUnknown` if the response was lost or does
        not confirm the change.
        """
        await self._change(reply, "discussions.deleteDiscussionComment")

    async def _change(self, reply: ReplyToChange, method: str, **params: str) -> None:
        if reply.kind == "message":
            raise PublishRejected("ok:not_changeable", NO_MESSAGE_CHANGES, permanent=True, was_sent=False)
        kind, ident = ok_payloads.split_discussion_key(reply.thread_key.removeprefix("ok:"))
        with mapping_publish_errors(self.name, ok_errors.change_message, ok_errors.GONE):
            answer = await self._client.call(
                self._client.user_session(method),
                method,
                discussionId=ident,
                discussionType=kind,
                comment_id=reply.external_id.partition("/")[2],
                not_after=reply.send_deadline,
                **params,
            )
        if _had_no_effect(answer):
            raise PublishOutcomeUnknown(f"{method}: the network accepted the call but did not confirm the change")

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """Return the reply's thread after `outgoing.baseline_position`.

        Raises `ReadFailed` if it cannot be read completely.
        """
        after = outgoing.baseline_position or 0
        discussion = outgoing.thread_key.removeprefix("ok:")
        with mapping_read_errors():
            if outgoing.kind == "message":
                return await self._chats.history(outgoing.page, discussion, after)
            return await self._reader.newest_comments(
                outgoing.page, discussion, ok_payloads.from_milliseconds(after), whole=True
            )


def _had_no_effect(answer: Any) -> bool:
    """Return whether the response says that a change had no effect: `false`, `0` or `{"success": false}`."""
    done = answer.get("success") if isinstance(answer, dict) else answer
    return isinstance(done, bool | int) and not done


def _comment_id(answer: Any) -> str | None:
    """Return the id of a new comment: OK does not document whether the response is an id or an object."""
    if isinstance(answer, str | int) and not isinstance(answer, bool) and answer:
        return str(answer)
    if isinstance(answer, dict):
        inner = answer.get("comment")
        found = inner.get("id") if isinstance(inner, dict) else answer.get("id") or answer.get("comment_id")
        return str(found) if found else None
    return None
