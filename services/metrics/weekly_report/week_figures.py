"""Counts of a week's rows by organisation, from which the measures follow."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.weekly_report import populations
from services.metrics.weekly_report.populations import ReportedTime

Conditions = Mapping[str, ColumnElement[bool] | None]


@dataclass(frozen=True)
class WeekFigures:
    """Counts by name, in all and by organisation (None: the centre), and quantiles of working time in seconds."""

    total: Counter[str]
    by_organisation: Mapping[UUID | None, Counter[str]]
    quantiles: Mapping[str, float | None]


def _responses(rows: Any) -> Conditions:
    return {
        "responses": rows.decided,
        "on_time": and_(rows.decided, rows.on_time),
        "answered": and_(rows.decided, rows.answered),
        "timed": and_(rows.given, rows.working_seconds.is_not(None)),
        "complaints": and_(rows.decided, rows.complaint),
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


async def read_week_figures(session: AsyncSession, time: ReportedTime) -> WeekFigures:
    """Return the counts of the rows of a period."""
    counts: dict[UUID | None, Counter[str]] = defaultdict(Counter)
    rows = populations.responses(time).subquery("responses")
    await _add(session, counts, rows, _responses(rows.c))
    quantiles = await _quantiles(session, rows)
    rows = populations.answers(time).subquery("answers")
    await _add(session, counts, rows, _answers(rows.c))
    rows = populations.promises(time).subquery("promises_due")
    await _add(session, counts, rows, _promises(rows.c))
    rows = populations.feedback(time).subquery("feedback")
    await _add(session, counts, rows, _feedback(rows.c), {"mark_sum": func.coalesce(func.sum(rows.c.mark), 0)})
    for name, population in (
        ("overdue", populations.overdue),
        ("deleted", populations.deleted),
        ("closed_unanswered", populations.closed_unanswered),
    ):
        await _add(session, counts, population(time).subquery(name), {name: None})
    total: Counter[str] = Counter()
    for one in counts.values():
        total.update(one)
    return WeekFigures(total, counts, quantiles)


async def _add(
    session: AsyncSession,
    counts: dict[UUID | None, Counter[str]],
    rows: Any,
    conditions: Conditions,
    sums: Mapping[str, ColumnElement[Any]] | None = None,
) -> None:
    """Add the counts of the rows that meet each condition (None: all), by organisation."""
    counted = [
        (func.count() if condition is None else func.count().filter(condition)).label(name)
        for name, condition in conditions.items()
    ]
    counted += [total.label(name) for name, total in (sums or {}).items()]
    query: Select[Any] = select(rows.c.organisation_id, *counted).group_by(rows.c.organisation_id)
    for row in await session.execute(query):
        values = dict(row._mapping)
        counts[values.pop("organisation_id")].update({name: int(count) for name, count in values.items()})


async def _quantiles(session: AsyncSession, rows: Any) -> Mapping[str, float | None]:
    given = rows.c.given
    query = select(
        *(
            func.percentile_cont(share).within_group(rows.c.working_seconds).filter(given).label(name)
            for name, share in (("median", 0.5), ("p90", 0.9))
        )
    ).select_from(rows)
    return dict((await session.execute(query)).one()._mapping)
