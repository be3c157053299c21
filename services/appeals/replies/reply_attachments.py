"""The photos of a reply: which photos may be attached, and how many the network accepts."""

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
    """Return the attachments with these ids, locked, if the caller may attach all of them to a reply to the
    message. They must be uploads of the caller's organisation that belong to no reply, or already belong to
    `reply`. Raises `Invalid` naming the wrong id, or the field if the network accepts no photos, or fewer.
    """
    if not ids:
        return []
    if message is not None:
        _check_number(len(ids), message)
    # Locked in the order of ids, so that two requests do not deadlock.
    rows = await session.scalars(
        select(Attachment).where(Attachment.id.in_(ids)).order_by(Attachment.id).with_for_update()
    )
    found = {row.id: row for row in rows}
    for number, attachment_id in enumerate(ids):
        pointer = f"{POINTER}/{number}"
        if attachment_id in ids[:number]:
            raise Invalid.field(pointer, "The attachment is listed twice")
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
    """Attach the photos to the reply, which must be flushed. A photo stays linked to the reply for good, because
    the versions of the reply show it.
    """
    for attachment in attachments:
        attachment.reply_id = reply.id


def named_for_ingest(photo: Attachment) -> dict[str, str]:
    """Return the reference to the photo for requests to ingest."""
    return {"id": str(photo.id), "name": photo.name, "content_type": photo.content_type}


async def attachments_of(session: AsyncSession, replies: Iterable[Reply]) -> Mapping[UUID, Attachment]:
    """Return the attachments of the replies by their ids."""
    ids = {attachment_id for reply in replies for attachment_id in reply.attachment_ids}
    if not ids:
        return {}
    rows = await session.scalars(select(Attachment).where(Attachment.id.in_(ids)))
    return {row.id: row for row in rows}
