"""Letters whose worker stopped while sending them: they may have arrived, so they are not sent again."""

from sqlalchemy import func, select

from services.webhooks.notices.mail.outcomes import fail
from services.webhooks.schemas.notices import NoticeReason
from shared.database.sessions import Database
from shared.tables.notices import Notice, NoticeLetter


async def resolve_interrupted(database: Database) -> int:
    """Fail letters whose worker stopped while sending them; return how many.

    They are not sent again, because they may have arrived.
    """
    async with database.write() as session:
        letters = (
            await session.scalars(
                select(NoticeLetter)
                .where(NoticeLetter.status == "sending", NoticeLetter.leased_until < func.clock_timestamp())
                .with_for_update(skip_locked=True)
            )
        ).all()
        for letter in letters:
            notices = await session.scalars(
                select(Notice).where(Notice.letter_id == letter.id, Notice.status == "sending")
            )
            await fail(session, letter, notices.all(), NoticeReason.UNCERTAIN)
    return len(letters)
