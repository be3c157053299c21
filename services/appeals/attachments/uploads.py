"""Uploads: storing a photo, reading it, and removing what nothing uses."""

from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.attachments.display_names import display_name
from services.appeals.attachments.file_storage import FileStorage
from services.appeals.attachments.images import CONTENT_TYPE, FILE_POINTER, CleanImage
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.values import MAX_ATTACHMENT_BYTES
from shared.database.sessions import Database, WriteSession
from shared.http.problems import Conflict, Invalid, NotFound, TooLarge
from shared.ids import creation_time, new_id
from shared.logs import get_logger
from shared.tables.appeals import Appeal, Reply
from shared.tables.attachments import Attachment

log = get_logger(__name__)

# How many photos a person may have uploaded without attaching them: they use the disk until they expire.
MAX_UNATTACHED = 50
# A file without a row may belong to an upload that is not committed yet.
ORPHAN_GRACE = timedelta(days=1)
LOOKED_UP_AT_ONCE = 1_000


def check_size(content: bytes) -> None:
    """Raise `Invalid` for an empty file, `TooLarge` for one over the limit."""
    if not content:
        raise Invalid.field(FILE_POINTER, "The file is empty")
    if len(content) > MAX_ATTACHMENT_BYTES:
        raise TooLarge(f"The file has {len(content)} bytes; an attachment has at most {MAX_ATTACHMENT_BYTES}")


async def store_upload(
    session: WriteSession, storage: FileStorage, caller: Caller, image: CleanImage, name: str | None
) -> Attachment:
    """Store a photo of the caller, who may then attach it to a reply.

    Raises `Conflict` when they have too many photos that are not attached.
    """
    waiting = await session.scalar(
        select(func.count()).where(Attachment.uploaded_by == caller.actor, Attachment.reply_id.is_(None))
    )
    if (waiting or 0) >= MAX_UNATTACHED:
        raise Conflict(f"{MAX_UNATTACHED} of your uploads are not attached to a reply: attach them, or wait until "
                       "they expire")  # fmt: skip
    attachment = Attachment(
        id=new_id(), organisation_id=caller.organisation_id, uploaded_by=caller.actor, reply_id=None,
        name=display_name(name), content_type=CONTENT_TYPE, size=len(image.content),
        sha256=sha256(image.content).hexdigest(), width=image.width, height=image.height, created_at=clock.now(),
    )  # fmt: skip
    # The file first: after a crash there may be a file without a row, which is removed, but no row without a file.
    await storage.write(attachment.id, image.content)
    session.add(attachment)
    await session.flush()
    return attachment


def _is_readable(caller: Caller) -> ColumnElement[bool]:
    """Return the condition of what the caller may read: the photos of the appeals that they see, and uploads of
    their own organisation that are not attached yet.
    """
    on_appeal = (
        select(Reply.id)
        .join(Appeal, Appeal.id == Reply.appeal_id)
        .where(Reply.id == Attachment.reply_id, caller.scope(Appeal.organisation_id))
        .exists()
    )
    own = Attachment.organisation_id.is_not_distinct_from(caller.organisation_id)
    return or_(and_(Attachment.reply_id.is_(None), own), on_appeal)


async def get_readable(session: AsyncSession, caller: Caller, attachment_id: UUID) -> Attachment:
    """Return an attachment that the caller may read. Raises `NotFound`."""
    return _found(
        await session.scalar(select(Attachment).where(Attachment.id == attachment_id, _is_readable(caller)))
    )


async def get_attached(session: AsyncSession, attachment_id: UUID) -> Attachment:
    """Return an attachment of a reply, for its publication. Raises `NotFound`."""
    return _found(
        await session.scalar(
            select(Attachment).where(Attachment.id == attachment_id, Attachment.reply_id.is_not(None))
        )
    )


def _found(attachment: Attachment | None) -> Attachment:
    if attachment is None:
        raise NotFound("No such attachment")
    return attachment


async def read_file(storage: FileStorage, attachment: Attachment) -> bytes:
    """Return the stored file. Raises `NotFound` if it is missing or is not the one that was stored."""
    content = await storage.read(attachment.id)
    if content is None or sha256(content).hexdigest() != attachment.sha256:
        log.error("attachment file missing or changed", attachment_id=str(attachment.id))
        raise NotFound("The file of this attachment is missing")
    return content


async def remove_orphan_files(database: Database, storage: FileStorage) -> int:
    """Delete the files that no row names, of purged or interrupted uploads; return how many.

    Files of the last day are kept: their rows may not be committed yet.
    """
    limit = clock.now() - ORPHAN_GRACE
    old = [file_id for file_id in await storage.ids() if creation_time(file_id) < limit]
    removed = 0
    for start in range(0, len(old), LOOKED_UP_AT_ONCE):
        part = old[start : start + LOOKED_UP_AT_ONCE]
        async with database.read() as session:
            known = set(await session.scalars(select(Attachment.id).where(Attachment.id.in_(part))))
        for file_id in part:
            if file_id not in known:
                await storage.delete(file_id)
                removed += 1
    return removed
