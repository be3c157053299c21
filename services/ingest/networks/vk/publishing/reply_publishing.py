"""Publish replies as the community to posts, discussions and conversations, and read their threads."""

from services.ingest.networks.calls import CallError
from services.ingest.networks.port import (
    OutgoingReply,
    ParsedBatch,
    PublishedReply,
    PublishOutcomeUnknown,
    PublishRejected,
    ReadFailed,
    TokenKind,
)
from services.ingest.networks.vk import vk_errors, vk_payloads
from services.ingest.networks.vk.reading.boards import BoardReader
from services.ingest.networks.vk.reading.conversations import ConversationReader
from services.ingest.networks.vk.reading.wall_reader import WallReader, id_suffix
from services.ingest.networks.vk.vk_client import VkClient

UNSUPPORTED_THREAD_TEXT = (
    "Отсюда можно отвечать под записями, в обсуждениях и сообщениях: под фото, видео и товарами ответьте в сети."
)


class VkPublisher:
    """Publishes replies. Raises the errors of `VkClient.call`; the caller maps them to outcomes."""

    def __init__(
        self, client: VkClient, reader: WallReader, boards: BoardReader, dialogs: ConversationReader
    ) -> None:
        self._client = client
        self._reader = reader
        self._boards = boards
        self._dialogs = dialogs

    async def publish(self, outgoing: OutgoingReply) -> PublishedReply:
        """Publish a reply to its thread."""
        if outgoing.kind == "message":
            return await self._message(outgoing)
        thread_id = id_suffix(outgoing.thread_key)
        if thread_id.isdecimal():
            return await self._comment(outgoing, thread_id)
        topic_id = thread_id.removeprefix(vk_payloads.BOARD_THREAD.prefix)
        if not topic_id.isdecimal():
            raise PublishRejected("vk:unsupported_thread", UNSUPPORTED_THREAD_TEXT, permanent=True, was_sent=False)
        return await self._board(outgoing, int(topic_id))

    async def _comment(self, outgoing: OutgoingReply, post_id: str) -> PublishedReply:
        page = outgoing.page.external_id
        method = "wall.createComment"
        # Photos for comments are uploaded with user tokens, which may therefore attach them.
        kinds = (TokenKind.USER,) if outgoing.media else (TokenKind.GROUP, TokenKind.USER)
        credential = self._client.select_token(method, *kinds, page_id=outgoing.page.id)
        answer = await self._client.call(
            credential,
            method,
            owner_id=f"-{page}",
            post_id=post_id,
            from_group=page,
            message=outgoing.text,
            reply_to_comment=id_suffix(outgoing.reply_to) if outgoing.reply_to else None,
            attachments=_attachments(outgoing),
            guid=str(outgoing.id),
            not_after=outgoing.send_deadline,
        )
        number = answer.get("comment_id") if isinstance(answer, dict) else None
        if not isinstance(number, int):
            raise PublishOutcomeUnknown("no comment id in the response")
        return PublishedReply(f"-{page}_{number}", f"https://vk.com/wall-{page}_{post_id}?reply={number}")

    async def _board(self, outgoing: OutgoingReply, topic_id: int) -> PublishedReply:
        page = outgoing.page
        method = "board.createComment"
        number = await self._client.call(
            self._client.select_token(method, TokenKind.USER),
            method,
            group_id=page.external_id,
            topic_id=topic_id,
            message=outgoing.text,
            from_group=1,
            attachments=_attachments(outgoing),
            guid=str(outgoing.id),
            not_after=outgoing.send_deadline,
        )
        if not isinstance(number, int) or isinstance(number, bool):
            raise PublishOutcomeUnknown("no comment id in the response")
        return PublishedReply(
            vk_payloads.BOARD_THREAD.comment(page, topic_id, number),
            vk_payloads.BOARD_THREAD.url(page, topic_id, number),
        )

    async def _message(self, outgoing: OutgoingReply) -> PublishedReply:
        page, peer = outgoing.page.external_id, id_suffix(outgoing.thread_key)
        method = "messages.send"
        credential = self._client.select_token(method, TokenKind.GROUP, page_id=outgoing.page.id)
        # With peer_ids, unlike peer_id, the response contains the number within the conversation.
        answer = await self._client.call(
            credential,
            method,
            peer_ids=peer,
            message=outgoing.text,
            random_id=_random_id(outgoing),
            attachment=_attachments(outgoing),
            group_id=page,
            not_after=outgoing.send_deadline,
        )
        sent = answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], dict) else {}
        if isinstance(sent.get("error"), dict):
            code = sent["error"].get("code")
            code = code if isinstance(code, int) else 0
            raise CallError(
                vk_errors.NETWORK,
                method,
                code,
                "the message was rejected for this recipient",
                vk_errors.treatment(code),
            )
        number = sent.get("conversation_message_id")
        if not isinstance(number, int) or number <= 0:
            raise PublishOutcomeUnknown("no message id in the response")
        return PublishedReply(f"{page}_{peer}_{number}", f"https://vk.com/gim{page}?sel={peer}")

    async def read_thread(self, outgoing: OutgoingReply) -> ParsedBatch:
        """Return the reply's thread after `outgoing.baseline_position` or completely. Also raises `ReadFailed`."""
        thread_id = id_suffix(outgoing.thread_key)
        if outgoing.kind == "message":
            return await self._dialogs.read_after(outgoing.page, int(thread_id), outgoing.baseline_position or 0)
        if thread_id.isdecimal():
            return await self._reader.read_thread(outgoing.page, int(thread_id))
        topic_id = thread_id.removeprefix(vk_payloads.BOARD_THREAD.prefix)
        if not topic_id.isdecimal():
            raise ReadFailed("comments of this type of thread cannot be read", permanent=True)
        return await self._boards.comments(outgoing.page, int(topic_id))


def _attachments(outgoing: OutgoingReply) -> str | None:
    return ",".join(outgoing.media) or None


def _random_id(outgoing: OutgoingReply) -> int:
    """Return the idempotency key of a message: a positive int32, the same for all attempts."""
    return (outgoing.id.int & 0x7FFFFFFF) or 1
