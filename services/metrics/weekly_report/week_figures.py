"""Counts of a week's rows by organisation, from which the measures are computed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.report_populations.catalogue import POPULATIONS
from services.metrics.report_populations.reported_time import ReportedTime
from services.metrics.schemas.weekly_report import ReportPopulation

Conditions = Mapping[str, ColumnElement[bool] | None]


@dataclass(frozen=True)
class WeekFigures:
    """Counts by name, in total and by organisation (None: the centre), and quantiles of working time in
    seconds.
    """

    total: Counter[str]
    by_organisation: Mapping[UUID | None, Counter[str]]
    quantiles: Mapping[str, float | None]


def _responses(rows: Any) -> Conditions:
    question = or_(rows.decided, rows.closed_before_due)
    return {
        "responses": rows.decided,
        "on_time": and_(rows.decided, rows.on_time),
        "answered": and_(rows.decided, rows.answered),
        "timed": and_(rows.given, rows.working_seconds.is_not(None)),
        "questions": question,
        "complaints": and_(question, rows.complaint),
        "complaints_answered": and_(rows.decided, rows.complaint, rows.answered),
    }


def _answers(rows: Any) -> Conditions:
    final = rows.kind == "final"
    return {
        "answers": None,
        "final_answers": final,
        "with_outcome": and_(final, rows.outcome.is_not(None)),
        "solved": and_(final, rows.outcome == "solved"),
        "written_here": and_(final, rows.origin == "gospablik"),
        "with_proof": and_(final, rows.origin == "gospablik", rows.with_proof),
        "comparable": rows.comparable,
        "canned": rows.canned,
        "checked": rows.checked,
        "with_substance": and_(rows.checked, ~rows.without_substance),
        "with_contact": and_(rows.checked, ~rows.without_contact),
        "to_the_point": and_(rows.checked, ~rows.beside_the_point),
    }


def _promises(rows: Any) -> Conditions:
    return {
        "promises_due": None,
        "promises_kept": rows.status == "kept",
        "promises_moved": rows.status == "moved",
        "promises_broken": rows.status == "broken",
        "promises_open": rows.status == "open",
        "promises_decided": rows.status.in_(("kept", "broken")),
    }


def _feedback(rows: Any) -> Conditions:
    return {"not_solved_said": rows.kind == "not_solved", "marks": rows.mark.is_not(None)}


_QUANTILES = {"median": 0.5, "p90": 0.9}
# The counts of each population: the number of rows that meet each condition (None: all rows).
_CONDITIONS_BY_POPULATION: Mapping[ReportPopulation, Callable[[Any], Conditions]] = {
    ReportPopulation.RESPONSES: _responses,
    ReportPopulation.ANSWERS: _answers,
    ReportPopulation.PROMISES: _promises,
    ReportPopulation.FEEDBACK: _feedback,
    ReportPopulation.OVERDUE: lambda _rows: {"overdue": None},
    ReportPopulation.DELETED: lambda _rows: {"deleted": None},
    ReportPopulation.CLOSED_UNANSWERED: lambda _rows: {"closed_unanswered": None},
}


async def read_week_figures(session: AsyncSession, time: ReportedTime) -> WeekFigures:
    """Return the counts of a period's rows, in total and by organisation."""
    counts: dict[UUID | None, Counter[str]] = defaultdict(Counter)
    quantiles: Mapping[str, float | None] = {}
    for population in _CONDITIONS_BY_POPULATION:
        for row in await session.execute(_query(population), time.parameters):
            values = dict(row._mapping)
            organisation = values.pop("organisation_id")
            if not values.pop("is_total", False):
                counts[organisation].update({name: int(values[name]) for name in values if name not in _QUANTILES})
            else:
                quantiles = {name: values[name] for name in _QUANTILES}
    total: Counter[str] = Counter()
    for one in counts.values():
        total.update(one)
    return WeekFigures(total, counts, quantiles)


@cache
def _query(population: ReportPopulation) -> Select[Any]:
    """Return the SQL query that counts a population by organisation.

    The query of responses also has a row of totals, whose `is_total` is 1, for the quantiles over all rows.
    """
    rows = POPULATIONS[population]().subquery("counted").c
    counted: list[ColumnElement[Any]] = [
        (func.count() if condition is None else func.count().filter(condition)).label(name)
        for name, condition in _CONDITIONS_BY_POPULATION[population](rows).items()
    ]
    if population is ReportPopulation.FEEDBACK:
        counted.append(func.coalesce(func.sum(rows.mark), 0).label("mark_sum"))
    organisation = rows.organisation_id
    if population is not ReportPopulation.RESPONSES:
        return select(organisation, *counted).group_by(organisation)
    quantiles = [
        func.percentile_cont(share).within_group(rows.working_seconds).filter(rows.given).label(name)
        for name, share in _QUANTILES.items()
    ]
    is_total = func.grouping(organisation).label("is_total")
    sets = func.grouping_sets(tuple_(organisation), tuple_())
    return select(organisation, is_total, *counted, *quantiles).group_by(sets)
