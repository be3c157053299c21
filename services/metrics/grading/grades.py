"""Grades: people's scores of an answer. A grade never changes; an upheld objection adds other scores."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.grading.rubrics import check_scores, load_rubrics
from services.metrics.schemas.grading import GradeIn, GradeOut, RubricOut
from shared import clock
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden, NotFound
from shared.masking import mask
from shared.tables.appeals_replies import Reply
from shared.tables.metrics_grading import GradingGrade, GradingItem, GradingSample
from shared.tables.registry import Person


async def grade_item(session: WriteSession, caller: Caller, item_id: UUID, given: GradeIn) -> GradeOut:
    """Store the caller's grade of an item that they have claimed; the last grade completes the item.

    An expired claim is valid until another person claims the item. Raises `NotFound`, `Invalid` for a wrong
    criterion, and `Conflict` if the caller has not claimed the item, has graded it, or the citizen's data was
    erased.
    """
    item = await lock_item(session, item_id)
    grades = await grades_of(session, item_id)
    grade = next((one for one in grades if one.grader == caller.actor), None)
    if grade is None:
        raise Conflict("The answer is not assigned to you, or your claim expired and another person took it")
    if grade.scores is not None:
        raise Conflict("You have already graded this answer")
    check_scores(given.scores, await rubric_of(session, item), item.kind)
    await require_texts(session, item)
    grade.scores, grade.comment, grade.graded_at = dict(given.scores), given.comment, clock.now()
    if sum(one.scores is not None for one in grades) == item.graders_wanted:
        item.graded_at = grade.graded_at
        item.scores = mean_scores([one.scores or {} for one in grades if one.scores is not None])
    await session.flush()
    return GradeOut(item_id=item_id, scores=given.scores, comment=masked(given.comment), graded_at=grade.graded_at)


def mean_scores(scores: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """Return the mean score of each criterion over all grades."""
    return {code: sum(one[code] for one in scores) / len(scores) for code in scores[0]}


async def lock_item(session: WriteSession, item_id: UUID) -> GradingItem:
    """Return the item, locked, so that grades, objections and erasures of an item are serialised.

    Raises `NotFound` for an unknown id.
    """
    item = await session.get(GradingItem, item_id, with_for_update=True, populate_existing=True)
    if item is None:
        raise NotFound("No such answer")
    return item


async def require_person(session: AsyncSession, caller: Caller) -> None:
    """Raise `Forbidden` for an API client: only people grade answers."""
    if await session.scalar(select(Person.id).where(Person.id == UUID(caller.subject))) is None:
        raise Forbidden("Only people can grade answers: sign in with a person's account")


async def grades_of(session: AsyncSession, item_id: UUID) -> Sequence[GradingGrade]:
    """Return the claims and grades of an item, by number."""
    query = select(GradingGrade).where(GradingGrade.item_id == item_id).order_by(GradingGrade.number)
    return (await session.scalars(query)).all()


async def rubric_of(session: AsyncSession, item: GradingItem) -> RubricOut:
    """Return the rubric of the item's sample."""
    rubric_id = await session.scalar(select(GradingSample.rubric_id).where(GradingSample.id == item.sample_id))
    assert rubric_id is not None
    return (await load_rubrics(session, [rubric_id]))[rubric_id]


async def require_texts(session: WriteSession, item: GradingItem) -> None:
    """Raise `Conflict` if the citizen's data was erased: no more texts about the answer may be stored.

    The caller has to lock the item first; otherwise an erasure could run between this check and the new text.
    """
    if not await session.scalar(select(Reply.text != "").where(Reply.id == item.reply_id)):
        raise Conflict("The personal data of the citizen was erased: the answer can no longer be graded")


def masked(text: str | None) -> str | None:
    """Return a text about an answer with personal data masked; None if it is empty, as after an erasure."""
    return mask(text) if text else None
