"""Erase what people wrote about answers to a citizen: comments, grounds and reasons may quote the citizen."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from shared.api.idempotency import delete_responses_about
from shared.database.sessions import WriteSession
from shared.tables.appeals_replies import Reply
from shared.tables.metrics import MetricsIdempotency
from shared.tables.metrics_grading import GradingGrade, GradingItem, GradingObjection


async def erase_grades(session: WriteSession, appeal_ids: Sequence[UUID]) -> int:
    """Empty the texts about answers to these appeals; return how many there are. Scores stay. Idempotent.

    The replies are erased already: whoever grades an answer or objects locks the item, as here, and reads the
    reply afterwards, so no text comes back.
    """
    of_appeals = select(Reply.id).where(Reply.appeal_id.in_(appeal_ids))
    items = (
        await session.scalars(
            select(GradingItem)
            .where(GradingItem.reply_id.in_(of_appeals))
            .order_by(GradingItem.id)
            .with_for_update()
        )
    ).all()
    item_ids = [item.id for item in items]
    if not item_ids:
        return 0
    for grade in await session.scalars(select(GradingGrade).where(GradingGrade.item_id.in_(item_ids))):
        grade.comment = None
    objections = (
        await session.scalars(select(GradingObjection).where(GradingObjection.item_id.in_(item_ids)))
    ).all()
    for objection in objections:
        objection.ground = ""
        objection.reason = None if objection.reason is None else ""
    await session.flush()
    await delete_responses_about(session, MetricsIdempotency, [*item_ids, *(one.id for one in objections)])
    return len(items)
