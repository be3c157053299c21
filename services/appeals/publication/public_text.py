"""The text of a reply as it is in the network, read from ingest's rows of its parts."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.actors import NETWORK_ACTOR
from services.appeals.replies.repeated_texts import without_whitespace
from services.appeals.replies.reply_versions import record_version
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Publication


async def public_parts(session: AsyncSession, reply_id: UUID) -> Sequence[Publication]:
    """Return the parts of the reply that are neither withdrawn nor erased, in order."""
    found = await session.scalars(
        select(Publication)
        .where(
            Publication.reply_id == reply_id, Publication.withdrawn_at.is_(None), Publication.erased_at.is_(None)
        )
        .order_by(Publication.part)
    )
    return found.all()


def joined_text(parts: Sequence[Publication]) -> str:
    """Return the text of a reply from its parts."""
    return "\n\n".join(part.text for part in parts)


async def take_over_published_text(session: WriteSession, appeal: Appeal, reply: Reply) -> str | None:
    """Set the reply's text to what was published, as a new version; return the text that was not published. None
    if they are equal apart from white space, or the appeal is erased.

    They differ if a call that counted as failed took effect late: ingest finds the former text in the thread and
    does not send the corrected one.
    """
    parts = await public_parts(session, reply.id)
    if not parts or appeal.erased_at is not None:
        return None
    public = joined_text(parts)
    if without_whitespace(public) == without_whitespace(reply.text):
        return None
    unpublished, reply.text = reply.text, public
    reply.version += 1
    await session.flush()
    await record_version(session, reply, NETWORK_ACTOR, hints=[])
    return unpublished
