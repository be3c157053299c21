"""Uploads: store and read photos, and remove orphan files."""

from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.attachments.display_names import display_name
from services.appeals.attachments.images import CONTENT_TYPE, FILE_POINTER, CleanImage
from services.appeals.attachments.storage_port import FileStorage, StorageUnavailable
from shared import clock
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.contracts.values import MAX_ATTACHMENT_BYTES
from shared.database.sessions import Database, ReadSession, WriteSession
from shared.http.problems import (
    RETRY_AFTER_SECONDS,
    Conflict,
    Invalid,
    NotFound,
    Problem,
    TooLarge,
    Unavailable,
)
from shared.ids import creation_time, new_id
from shared.logs import get_logger
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply
from shared.tables.attachments import Attachment

log = get_logger(__name__)

# Maximum number of a person's photos that are not attached: these occupy the storage until they expire.
MAX_UNATTACHED = 50
# A file without a row may belong to an upload that is not committed yet.
ORPHAN_GRACE = timedelta(days=1)
LOOKED_UP_AT_ONCE = 1_000


def check_size(content: bytes) -> None:
    """Raise `Invalid` for an empty file, `TooLarge` for a file over the limit."""
    if not content:
        raise Invalid.field(FILE_POINTER, "The file is empty")
    if len(content) > MAX_ATTACHMENT_BYTES:
        raise TooLarge(f"The file has {len(content)} bytes; an attachment has at most {MAX_ATTACHMENT_BYTES}")


async def require_may_upload(database: Database, caller: Caller) -> None:
    """Raise `Unauthenticated` if the caller no longer has access, `Conflict` if the caller has too many unattached
    photos. The transaction that stores the photo checks both again, because re-encoding a photo takes seconds.
    """
    async with database.read() as session:
        await token_recheck.require_access(session, caller)
        await _check_unattached(session, caller)


async def store_upload(
    session: WriteSession, storage: FileStorage, caller: Caller, image: CleanImage, name: str | None
) -> Attachment:
    """Store a photo of the caller, who may then attach it to a reply.

    Raises `Conflict` if the caller has too many unattached photos, `Unavailable` if the storage does not answer.
    """
    attachment = Attachment(
        id=new_id(), organisation_id=caller.organisation_id, uploaded_by=caller.actor, reply_id=None,
        name=display_name(name), content_type=CONTENT_TYPE, size=len(image.content),
        sha256=sha256(image.content).hexdigest(), width=image.width, height=image.height, created_at=clock.now(),
    )  # fmt: skip
    # The file is stored before its row: a crash may leave a file without a row, which is removed later, but no row
    # without a file. It is stored before the first statement: a slow storage must not hold a database connection.
    try:
        await storage.write(attachment.id, image.content)
    except StorageUnavailable as error:
        raise _unavailable("the photo was not stored", error) from error
    try:
        await _check_unattached(session, caller)
        session.add(attachment)
        await session.flush()
    except Problem:
        await _delete_refused(storage, attachment.id)
        raise
    return attachment


async def _check_unattached(session: AsyncSession, caller: Caller) -> None:
    waiting = await session.scalar(
        select(func.count()).where(Attachment.uploaded_by == caller.actor, Attachment.reply_id.is_(None))
    )
    if (waiting or 0) >= MAX_UNATTACHED:
        raise Conflict(f"{MAX_UNATTACHED} of your uploads are not attached to a reply: attach them, or wait until "
                       "they expire")  # fmt: skip


async def _delete_refused(storage: FileStorage, file_id: UUID) -> None:
    """Delete the file of a refused upload; if the storage does not answer, the file is removed later as an
    orphan.
    """
    try:
        await storage.delete(file_id)
    except StorageUnavailable as error:
        log.warning("file of a refused upload not deleted", attachment_id=str(file_id), reason=str(error))


def _unavailable(what: str, error: StorageUnavailable) -> Unavailable:
    log.error("attachment storage unavailable", outcome=what, reason=str(error))
    return Unavailable(
        f"The storage of attachments does not answer: {what}. Try again in a moment",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _is_readable(caller: Caller) -> ColumnElement[bool]:
    """Return the SQL condition of the attachments that the caller may read: those of appeals in their scope, and
    unattached uploads of their organisation.
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
    """Return an attachment that the caller may read. Raises `NotFound` if there is none with this id."""
    return _found(
        await session.scalar(select(Attachment).where(Attachment.id == attachment_id, _is_readable(caller)))
    )


async def get_attached(session: AsyncSession, attachment_id: UUID) -> Attachment:
    """Return an attachment of a reply, for its publication. Raises `NotFound` if there is none with this id."""
    return _found(
        await session.scalar(
            select(Attachment).where(Attachment.id == attachment_id, Attachment.reply_id.is_not(None))
        )
    )


def _found(attachment: Attachment | None) -> Attachment:
    if attachment is None:
        raise NotFound("No such attachment")
    return attachment


async def read_file(session: ReadSession, storage: FileStorage, attachment: Attachment) -> bytes:
    """End the session's transaction and return the stored file. Raises `NotFound` if the file is missing or
    differs from the uploaded one, `Unavailable` if the storage does not answer.
    """
    # A slow storage must not hold a database connection.
    await session.close()
    try:
        content = await storage.read(attachment.id)
    except StorageUnavailable as error:
        raise _unavailable("the photo cannot be read", error) from error
    if content is None or sha256(content).hexdigest() != attachment.sha256:
        log.error("attachment file missing or changed", attachment_id=str(attachment.id))
        raise NotFound("The file of this attachment is missing or damaged: upload it again")
    return content


async def remove_orphan_files(database: Database, storage: FileStorage) -> int:
    """Delete files without a row, left by purged or interrupted uploads; return how many were deleted. Files of
    the last day are kept: their rows may not be committed yet.
    """
    limit = clock.now() - ORPHAN_GRACE
    removed, old = 0, list[UUID]()
    async for file_id in storage.ids():
        if creation_time(file_id) < limit:
            old.append(file_id)
        if len(old) == LOOKED_UP_AT_ONCE:
            removed += await _remove_unknown(database, storage, old)
            old = []
    return removed + await _remove_unknown(database, storage, old)


async def _remove_unknown(database: Database, storage: FileStorage, file_ids: list[UUID]) -> int:
    async with database.read() as session:
        known = set(await session.scalars(select(Attachment.id).where(Attachment.id.in_(file_ids))))
    unknown = set(file_ids) - known
    for file_id in unknown:
        await storage.delete(file_id)
    return len(unknown)
