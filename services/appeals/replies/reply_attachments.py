"""The photos of a reply: which ones may be attached, and how many its network takes."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Invalid
from shared.networks import NETWORKS
from shared.tables.appeals_replies import Reply
from shared.tables.attachments import Attachment
from shared.tables.ingest import Message

POINTER = "/attachments"


async def require_attachable(
    session: WriteSession, ids: Sequence[UUID], message: Message | None, caller: Caller, reply: Reply | None = None
) -> Sequence[Attachment]:
    """Return the attachments with these ids, locked, that the caller may attach to a reply to the message.

    They are uploads of the caller's organisation that belong to no reply, or those of `reply` already. Raises
    `Invalid` naming the wrong one, or the field when the network takes none, or fewer.
    """
    if not ids:
        return []
    if message is not None:
        _check_number(len(ids), message)
    # In the order of the ids, so that two requests do not wait for each other.
    rows = await session.scalars(
        select(Attachment).where(Attachment.id.in_(ids)).order_by(Attachment.id).with_for_update()
    )
    found = {row.id: row for row in rows}
    for number, attachment_id in enumerate(ids):
        pointer = f"{POINTER}/{number}"
        if attachment_id in ids[:number]:
            raise Invalid.field(pointer, "The attachment is named twice")
        row = found.get(attachment_id)
        of_reply = row is not None and reply is not None and row.reply_id == reply.id
        if row is None or not (of_reply or row.organisation_id == caller.organisation_id):
            raise Invalid.field(pointer, "No such attachment")
        if row.reply_id is not None and not of_reply:
            raise Invalid.field(pointer, "The attachment belongs to another reply: upload the photo again")
    return [found[attachment_id] for attachment_id in ids]


def _check_number(given: int, message: Message) -> None:
    network = NETWORKS[message.network]
    private = message.kind == "message"
    most = network.max_photos.get("message" if private else "comment", 0)
    place = "a conversation" if private else "comments"
    if most == 0:
        raise Invalid.field(POINTER, f"«{network.title}» takes no photos in {place}: send the reply without them")
    if given > most:
        raise Invalid.field(POINTER, f"«{network.title}» takes at most {most} in {place}; the reply has {given}")


def link(attachments: Iterable[Attachment], reply: Reply) -> None:
    """Attach the photos to the reply, which is flushed. What was attached once belongs to it for good: its
    versions show it.
    """
    for attachment in attachments:
        attachment.reply_id = reply.id


def named_for_ingest(photo: Attachment) -> dict[str, str]:
    """Return the photo as the requests to ingest name it."""
    return {"id": str(photo.id), "name": photo.name, "content_type": photo.content_type}


async def attachments_of(session: AsyncSession, replies: Iterable[Reply]) -> Mapping[UUID, Attachment]:
    """Return the attachments of the replies, by id."""
    ids = {attachment_id for reply in replies for attachment_id in reply.attachment_ids}
    if not ids:
        return {}
    rows = await session.scalars(select(Attachment).where(Attachment.id.in_(ids)))
    return {row.id: row for row in rows}
