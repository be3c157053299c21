"""The same final text is not sent to a citizen twice within a short time."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.replies import mark_question
from services.appeals.replies.reply_queries import reply_in_problem
from shared.http.problems import Duplicate
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply

# Time within which the same final text is refused, unless the request has its own `Idempotency-Key`. Equal to the
# lifetime of idempotency keys.
DUPLICATE_TEXT_WINDOW = timedelta(hours=24)


async def require_new_text(session: AsyncSession, appeal: Appeal, text: str) -> None:
    """Raise `Duplicate` if the same final text was sent to the citizen recently, by the database's clock."""
    earlier = await session.scalars(
        select(Reply)
        .where(
            Reply.appeal_id == appeal.id,
            Reply.origin == "gospablik",
            Reply.kind == "final",
            Reply.status.not_in(("draft", "on_approval", "discarded", "withdrawn")),
            Reply.created_at > func.now() - DUPLICATE_TEXT_WINDOW,
        )
        .order_by(Reply.created_at, Reply.id)
    )
    wanted = without_whitespace(text)
    first = next((found for found in earlier if without_whitespace(mark_question.own_text(found)) == wanted), None)
    if first is None:
        return
    what = "has failed: retry it" if first.status == "failed" else "was already sent"
    raise Duplicate(
        f"A reply with this text {what}. To send it again all the same, use a new Idempotency-Key",
        reply=await reply_in_problem(session, first),
    )


def without_whitespace(text: str) -> str:
    """Return the text without white space, for comparisons."""
    # White space is changed by networks and by the splitting of long replies.
    return "".join(text.split())
