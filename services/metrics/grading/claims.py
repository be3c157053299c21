"""Claims: which answers a person has taken to grade, so that an answer gets no more graders than wanted.

A claim ends with its grade, or at `claimed_until` by the database's clock; then another person can claim the
answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.grading.answer_texts import AnswerTexts, answer_texts
from services.metrics.grading.authorship import took_part
from services.metrics.grading.grades import require_person
from services.metrics.grading.rubrics import asked_criteria, load_rubrics
from services.metrics.schemas.grading import Assignment, Assignments, RubricOut
from shared.auth.callers import Caller
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.ids import new_id
from shared.tables.appeals_replies import Reply
from shared.tables.metrics_grading import GradingGrade, GradingItem, GradingSample

# How many claimed answers a person may have at once.
MAX_CLAIMS = 20


@dataclass(frozen=True)
class NewClaims:
    """The items that a person has just claimed, and when the claims end."""

    item_ids: Sequence[UUID]
    claimed_until: datetime | None


async def claim_items(session: WriteSession, caller: Caller, count: int, hours: int) -> NewClaims:
    """Claim up to `count` answers for the caller, from the newest sample first.

    Nobody gets an item twice, or an answer that they wrote, edited or approved. Raises `Forbidden` for an API
    client, and `Conflict` while the caller has `MAX_CLAIMS` answers. Answers to citizens whose data was erased are
    not counted.
    """
    await require_person(session, caller)
    # Serialise the claims of a person: two concurrent requests would both count before either one claims.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"claims:{caller.actor}", 0))))
    now = await database_time(session)
    held = (
        select(func.count())
        .select_from(GradingGrade)
        .join(GradingItem, GradingItem.id == GradingGrade.item_id)
        .join(Reply, Reply.id == GradingItem.reply_id)
        .where(GradingGrade.grader == caller.actor, _is_claimed(now), Reply.text != "")
    )
    free = MAX_CLAIMS - (await session.scalar(held) or 0)
    if free <= 0:
        raise Conflict(f"You have {MAX_CLAIMS} answers to grade: grade some of them before you take more")
    locked = list(await session.scalars(open_items_query(caller, now, min(count, free))))
    # Another transaction may have claimed an item between the query's snapshot and its lock: read the claims
    # again.
    grades = (
        await session.scalars(select(GradingGrade).where(GradingGrade.item_id.in_([i.id for i in locked])))
    ).all()
    until, taken = now + timedelta(hours=hours), list[UUID]()
    for item in locked:
        of_item = [grade for grade in grades if grade.item_id == item.id]
        if _claim(session, item, of_item, caller, now=now, until=until):
            taken.append(item.id)
    await session.flush()
    return NewClaims(taken, until if taken else None)


def open_items_query(caller: Caller, now: datetime, count: int) -> Select[GradingItem]:
    """Return the SQL query that locks the items that the caller may claim; items locked by other transactions are
    skipped.
    """
    of_item = GradingGrade.item_id == GradingItem.id
    taken = select(func.count()).where(of_item, _is_taken(now)).correlate(GradingItem).scalar_subquery()
    mine = exists().where(of_item, GradingGrade.grader == caller.actor, _is_taken(now)).correlate(GradingItem)
    return (
        select(GradingItem)
        .join(Reply, Reply.id == GradingItem.reply_id)
        .where(
            GradingItem.graded_at.is_(None),
            GradingItem.organisation_id.is_distinct_from(caller.organisation_id),
            ~mine,
            taken < GradingItem.graders_wanted,
            Reply.text != "",
            ~took_part(caller.actor),
        )
        .order_by(GradingItem.created_at.desc(), GradingItem.position.desc())
        .limit(count)
        .with_for_update(of=GradingItem, skip_locked=True)
    )


def _is_claimed(now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    return and_(GradingGrade.scores.is_(None), GradingGrade.claimed_until > now)


def _is_taken(now: datetime) -> ColumnElement[bool]:
    return or_(GradingGrade.scores.is_not(None), GradingGrade.claimed_until > now)


def _claim(
    session: WriteSession,
    item: GradingItem,
    grades: Sequence[GradingGrade],
    caller: Caller,
    *,
    now: datetime,
    until: datetime,
) -> bool:
    """Claim the locked item for the caller; return False if the item is no longer available."""
    taken = [grade for grade in grades if grade.scores is not None or grade.claimed_until > now]
    if len(taken) >= item.graders_wanted or any(grade.grader == caller.actor for grade in taken):
        return False
    expired = [grade for grade in grades if grade not in taken]
    # The caller's own expired claim is reused first: a person has at most one row per item.
    expired.sort(key=lambda grade: grade.grader != caller.actor)
    if expired:
        expired[0].grader, expired[0].claimed_until = caller.actor, until
        return True
    number = min(set(range(1, item.graders_wanted + 1)) - {grade.number for grade in grades})
    session.add(
        GradingGrade(
            id=new_id(), item_id=item.id, number=number, grader=caller.actor, claimed_until=until, created_at=now
        )
    )
    return True


async def list_assignments(session: AsyncSession, caller: Caller) -> Assignments:
    """Return the answers that the caller has claimed and not graded, with the rubrics for grading them.

    The organisation, the address in the network and existing grades are not included: graders judge only the
    words.
    """
    rows = (
        await session.execute(
            select(
                GradingItem.id,
                GradingItem.kind,
                GradingSample.week,
                GradingSample.rubric_id,
                GradingGrade.claimed_until,
            )
            .join(GradingItem, GradingItem.id == GradingGrade.item_id)
            .join(GradingSample, GradingSample.id == GradingItem.sample_id)
            .where(GradingGrade.grader == caller.actor, _is_claimed(func.clock_timestamp()))
            .order_by(GradingItem.created_at.desc(), GradingItem.position.desc())
        )
    ).all()
    texts = await answer_texts(session, [row.id for row in rows])
    rubrics = await load_rubrics(session, {row.rubric_id for row in rows})
    shown = [row for row in rows if not texts[row.id].is_erased]
    items = [_assignment(row, texts[row.id], rubrics[row.rubric_id]) for row in shown]
    return Assignments(items=items, rubrics=list(rubrics.values()))


def _assignment(row: Any, texts: AnswerTexts, rubric: RubricOut) -> Assignment:
    return Assignment(
        item_id=row.id,
        week=row.week,
        kind=row.kind,
        topic=texts.topic,
        question=list(texts.question),
        answer=texts.answer,
        attachment_ids=list(texts.attachment_ids),
        rubric_version=rubric.version,
        criteria=[criterion.code for criterion in asked_criteria(rubric, row.kind)],
        claimed_until=row.claimed_until,
    )
