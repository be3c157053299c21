"""Automatic hints compared with graders: how often a hint on an answer finds a fault that graders found.

The hints are those stored with the reply at its submission; replies that staff wrote in the network were not
checked. The rubric says which hints should find a fault in which criterion.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, case, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.fairness.intervals import wilson_interval
from services.metrics.grading.rubrics import graded_criteria
from services.metrics.indicators.period import Period
from services.metrics.schemas.grading_figures import HintFigures, HintShare
from services.metrics.settings import MetricsSettings
from shared.tables.appeals_replies import ReplyChange, ReplyVersion
from shared.tables.metrics_grading import GradingItem, GradingSample

# A score up to this is a fault: the graders found the criterion met in part or not at all.
FAULT = 1.0
# A hint is trusted only if it is right more often than wrong.
_TRUSTED_PRECISION = 0.5
# The scores of an answer by criterion, and the codes of its hints.
CheckedAnswer = tuple[Mapping[str, float], frozenset[str]]


async def compute_hint_figures(
    session: AsyncSession, period: Period, config: MetricsSettings
) -> Sequence[HintFigures]:
    """Return the figures of each hint over the graded answers of a period, in the order of the rubric."""
    hints = case((GradingItem.edits > 0, _hints_of_edit()), else_=_hints_of_submission()).label("hints")
    rows = (
        await session.execute(
            select(GradingItem.scores, GradingSample.rubric_id, hints)
            .join(GradingSample, GradingSample.id == GradingItem.sample_id)
            .where(
                GradingItem.graded_at.is_not(None),
                GradingItem.published_at >= period.start,
                GradingItem.published_at < period.end,
            )
        )
    ).all()
    answers = [
        (row.scores or {}, frozenset(hint["code"] for hint in row.hints)) for row in rows if row.hints is not None
    ]
    rubrics: set[UUID] = {row.rubric_id for row in rows}
    return [
        figures_of_hint(code, criterion.code, answers, config.grading_minimum_pairs)
        for criterion in await graded_criteria(session, rubrics)
        for code in criterion.hints
    ]


def figures_of_hint(code: str, criterion: str, answers: Sequence[CheckedAnswer], minimum: int) -> HintFigures:
    """Return how a hint compares with graders' scores of a criterion, over the answers with a score for it."""
    found = [(code in hints, scores[criterion] <= FAULT) for scores, hints in answers if criterion in scores]
    flagged, faulty = sum(one for one, _ in found), sum(other for _, other in found)
    both = sum(one and other for one, other in found)
    precision = _share(both, flagged)
    unflagged = len(found) - flagged
    missed = (faulty - both) / unflagged if unflagged else 0.0
    trusted = None
    if flagged >= minimum and precision.low is not None:
        trusted = precision.low > max(_TRUSTED_PRECISION, missed)
    return HintFigures(
        code=code,
        criterion=criterion,
        compared=len(found),
        flagged=flagged,
        faulty=faulty,
        both=both,
        precision=precision,
        recall=_share(both, faulty),
        trusted=trusted,
    )


def _share(part: int, whole: int) -> HintShare:
    interval = wilson_interval(part, whole)
    low, high = interval or (None, None)
    return HintShare(share=part / whole if whole else None, low=low, high=high)


def _hints_of_submission() -> ScalarSelect[Any]:
    """Return the SQL subquery for the hints of the version published first; null if it was not checked.

    An edit stores its text as a new version and, if no version has the former text, also the former text as the
    version before. Both versions have the same `saved_at` and are left out.
    """
    edit = aliased(ReplyVersion)
    stored_by_edit = (
        exists()
        .where(
            edit.reply_id == ReplyVersion.reply_id,
            edit.saved_at == ReplyVersion.saved_at,
            ReplyChange.reply_id == edit.reply_id,
            ReplyChange.kind == "edit",
            ReplyChange.status == "applied",
            ReplyChange.requested_by == edit.author,
            ReplyChange.requested_at == edit.created_at,
        )
        .correlate(ReplyVersion)
    )
    return (
        select(ReplyVersion.hints)
        .where(ReplyVersion.reply_id == GradingItem.reply_id, ReplyVersion.hints.is_not(None), ~stored_by_edit)
        .order_by(ReplyVersion.number.desc())
        .limit(1)
        .correlate(GradingItem)
        .scalar_subquery()
    )


def _hints_of_edit() -> ScalarSelect[Any]:
    """Return the SQL subquery for the hints of the last edit applied before the sample was drawn."""
    numbered = (
        select(
            ReplyChange.hints,
            func.row_number().over(order_by=(ReplyChange.requested_at, ReplyChange.id)).label("number"),
        )
        .where(
            ReplyChange.reply_id == GradingItem.reply_id,
            ReplyChange.kind == "edit",
            ReplyChange.status == "applied",
        )
        .correlate(GradingItem)
        .subquery()
    )
    return (
        select(numbered.c.hints)
        .where(numbered.c.number == GradingItem.edits)
        .correlate(GradingItem)
        .scalar_subquery()
    )
