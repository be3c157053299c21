"""Edit and delete replies of the community to posts, in discussions and in conversations."""

from typing import Any

from services.ingest.networks.calls import CallError
from services.ingest.networks.port import PublishOutcomeUnknown, ReplyToChange, TokenKind
from services.ingest.networks.vk import vk_errors, vk_payloads
from services.ingest.networks.vk.reading.wall_reader import id_suffix
from services.ingest.networks.vk.vk_client import VkClient


class VkReplyChanges:
    """Changes published replies. Raises the errors of `VkClient.call`; the caller maps them to outcomes.

    User tokens change comments on walls and edit comments in discussions: VK refuses these to group tokens.
    """

    def __init__(self, client: VkClient) -> None:
        self._client = client

    async def edit(self, reply: ReplyToChange, text: str) -> None:
        """Replace the text. The photos are sent again, because VK removes photos that an edit leaves out."""
        media = ",".join(reply.media)
        page = reply.page
        if reply.kind == "message":
            await self._change(
                reply,
                "messages.edit",
                TokenKind.GROUP,
                **_conversation_of(reply),
                cmid=id_suffix(reply.external_id),
                message=text,
                attachment=media,
            )
        elif (topic_id := _topic_id(reply)) is not None:
            await self._change(
                reply,
                "board.editComment",
                TokenKind.USER,
                group_id=page.external_id,
                topic_id=topic_id,
                comment_id=id_suffix(reply.external_id),
                message=text,
                attachments=media,
            )
        else:
            await self._change(
                reply,
                "wall.editComment",
                TokenKind.USER,
                owner_id=f"-{page.external_id}",
                comment_id=id_suffix(reply.external_id),
                message=text,
                attachments=media,
            )

    async def delete(self, reply: ReplyToChange) -> None:
        """Delete the reply; a direct message is deleted for both sides."""
        page = reply.page
        if reply.kind == "message":
            await self._delete_message(reply)
        elif (topic_id := _topic_id(reply)) is not None:
            await self._change(
                reply,
                "board.deleteComment",
                TokenKind.GROUP,
                TokenKind.USER,
                group_id=page.external_id,
                topic_id=topic_id,
                comment_id=id_suffix(reply.external_id),
            )
        else:
            await self._change(
                reply,
                "wall.deleteComment",
                TokenKind.USER,
                owner_id=f"-{page.external_id}",
                comment_id=id_suffix(reply.external_id),
            )

    async def _delete_message(self, reply: ReplyToChange) -> None:
        method = "messages.delete"
        answer = await self._call(
            reply,
            method,
            TokenKind.GROUP,
            **_conversation_of(reply),
            cmids=id_suffix(reply.external_id),
            delete_for_all=1,
        )
        done = answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], dict) else {}
        if isinstance(done.get("error"), dict):
            code = done["error"].get("code")
            code = code if isinstance(code, int) else 0
            refused = "the deletion of this message was refused"
            raise CallError(vk_errors.NETWORK, method, code, refused, vk_errors.treatment(code))
        if done.get("response") != 1:
            raise PublishOutcomeUnknown("the response does not confirm the deletion")

    async def _change(self, reply: ReplyToChange, method: str, *kinds: TokenKind, **params: Any) -> None:
        """Call a method that returns 1; any other response does not confirm the change, so the thread is read."""
        answer = await self._call(reply, method, *kinds, **params)
        if answer != 1:
            raise PublishOutcomeUnknown(f"the response of {method} does not confirm the change")

    async def _call(self, reply: ReplyToChange, method: str, *kinds: TokenKind, **params: Any) -> Any:
        credential = self._client.select_token(method, *kinds, page_id=reply.page.id)
        return await self._client.call(credential, method, not_after=reply.send_deadline, **params)


def _conversation_of(reply: ReplyToChange) -> dict[str, str]:
    return {"peer_id": id_suffix(reply.thread_key), "group_id": reply.page.external_id}


def _topic_id(reply: ReplyToChange) -> str | None:
    """Return the number of the discussion; None for a comment on the wall."""
    thread_id = id_suffix(reply.thread_key)
    return None if thread_id.isdecimal() else thread_id.removeprefix(vk_payloads.BOARD_THREAD.prefix)
