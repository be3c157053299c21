"""Graded answers as the centre and the organisations that answered see them: with all grades, without graders."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.grading.answer_texts import answer_texts
from services.metrics.grading.grades import grades_of, masked
from services.metrics.grading.objections import objection_of, objection_out
from services.metrics.indicators.period import Period
from services.metrics.schemas.grading import GradedItem, GradedItemDetails, GradedOrganisation, ItemGrade
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.http.problems import NotFound
from shared.tables.appeals_replies import Reply
from shared.tables.metrics_grading import GradingItem, GradingObjection, GradingRubric, GradingSample
from shared.tables.registry import Organisation


class GradedItemFilter(ListFilter):
    """Filters of the list of graded answers."""

    organisation_id: UUID | None = Field(default=None, description="The organisation that answered")


def _select_graded(caller: Caller) -> Select[GradingItem, UUID, str, str, int, str]:
    return (
        select(
            GradingItem,
            Reply.appeal_id,
            Organisation.name.label("organisation"),
            GradingSample.week,
            GradingRubric.version.label("rubric_version"),
            GradingObjection.status.label("objection"),
        )
        .join(Reply, Reply.id == GradingItem.reply_id)
        .join(Organisation, Organisation.id == GradingItem.organisation_id)
        .join(GradingSample, GradingSample.id == GradingItem.sample_id)
        .join(GradingRubric, GradingRubric.id == GradingSample.rubric_id)
        .outerjoin(GradingObjection, GradingObjection.item_id == GradingItem.id)
        .where(GradingItem.graded_at.is_not(None), caller.scope(GradingItem.organisation_id))
    )


def graded_items_query(
    caller: Caller, period: Period, wanted: GradedItemFilter, paging: Paging
) -> Select[GradingItem, UUID, str, str, int, str]:
    """Return the SQL query for the graded answers published in a period, newest first, one more than the page
    holds.
    """
    query = (
        _select_graded(caller)
        .where(GradingItem.published_at >= period.start, GradingItem.published_at < period.end)
        .order_by(GradingItem.published_at.desc(), GradingItem.id.desc())
        .limit(paging.limit + 1)
    )
    if wanted.organisation_id is not None:
        query = query.where(GradingItem.organisation_id == wanted.organisation_id)
    after = paging.after((GradingItem.published_at, GradingItem.id), (datetime.fromisoformat, UUID))
    return query if after is None else query.where(after)


async def list_graded_items(
    session: AsyncSession, caller: Caller, period: Period, wanted: GradedItemFilter, paging: Paging
) -> Sequence[Row[GradingItem, UUID, str, str, int, str]]:
    """Return the rows of `graded_items_query`."""
    return (await session.execute(graded_items_query(caller, period, wanted, paging))).all()


def graded_item_out(row: Row[GradingItem, UUID, str, str, int, str]) -> GradedItem:
    """Return a row of `list_graded_items` as its API model."""
    item: GradingItem = row.GradingItem
    names = ("id", "reply_id", "kind", "published_at", "graded_at", "scores")
    return GradedItem(
        **{name: getattr(item, name) for name in names},
        week=row.week,
        appeal_id=row.appeal_id,
        organisation=GradedOrganisation(id=item.organisation_id, name=row.organisation),
        rubric_version=row.rubric_version,
        objection=row.objection,
    )


async def get_graded_item(
    session: AsyncSession, caller: Caller, item_id: UUID, objection_days: int
) -> GradedItemDetails:
    """Return a graded answer with its texts, grades and objection.

    Raises `NotFound` for an answer outside the caller's scope or whose grades are not complete.
    """
    row = (await session.execute(_select_graded(caller).where(GradingItem.id == item_id))).one_or_none()
    if row is None:
        raise NotFound("No such graded answer")
    texts = (await answer_texts(session, [item_id]))[item_id]
    objection = await objection_of(session, item_id)
    grades = [grade for grade in await grades_of(session, item_id) if grade.scores is not None]
    return GradedItemDetails(
        item=graded_item_out(row),
        question=list(texts.question),
        answer=texts.answer,
        grades=[ItemGrade(scores=grade.scores or {}, comment=masked(grade.comment)) for grade in grades],
        objection=None if objection is None else objection_out(objection, row.organisation),
        objection_until=row.GradingItem.graded_at + timedelta(days=objection_days),
    )
