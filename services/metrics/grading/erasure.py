"""Erase the texts that people wrote about answers to a citizen: comments, grounds and reasons may quote the
citizen.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select

from services.metrics.grading.grades import mean_scores
from shared import clock
from shared.api.idempotency import delete_responses_about
from shared.database.sessions import WriteSession
from shared.tables.appeals_replies import Reply
from shared.tables.metrics import MetricsIdempotency
from shared.tables.metrics_grading import GradingGrade, GradingItem, GradingObjection


async def erase_grades(session: WriteSession, appeal_ids: Sequence[UUID]) -> int:
    """Erase the texts about answers in these appeals; return the number of these answers. Scores stay. Idempotent.

    An answer that awaits a second grade is completed with the first one, since it can no longer be graded. The
    replies are erased before this call: a grade or an objection also locks the item and then reads the reply, so
    no new text can be stored.
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
    given: dict[UUID, list[Mapping[str, int]]] = defaultdict(list)
    for grade in await session.scalars(select(GradingGrade).where(GradingGrade.item_id.in_(item_ids))):
        grade.comment = None
        if grade.scores is not None:
            given[grade.item_id].append(grade.scores)
    for item in items:
        if item.graded_at is None and given[item.id]:
            item.graded_at, item.scores = clock.now(), mean_scores(given[item.id])
    objections = (
        await session.scalars(select(GradingObjection).where(GradingObjection.item_id.in_(item_ids)))
    ).all()
    for objection in objections:
        objection.ground = ""
        objection.reason = None if objection.reason is None else ""
    await session.flush()
    await delete_responses_about(session, MetricsIdempotency, [*item_ids, *(one.id for one in objections)])
    return len(items)
