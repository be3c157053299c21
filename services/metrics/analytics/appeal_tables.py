"""Figures of appeals by one or two dimensions, in one query."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.analytics.appeal_figures import shown_figures
from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.dimensions import BREAKDOWNS, AppealSelection, select_appeals
from services.metrics.indicators.sla import figure_conditions
from services.metrics.indicators.weeks import Week, weeks_between
from services.metrics.schemas.analytics import (
    AppealDimension,
    AppealFigures,
    AppealTable,
    TableCell,
    TableGroup,
)
from services.metrics.schemas.metrics import SlaFigure
from shared.clock import REGION_TIME_ZONE
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import Appeal

MAX_CELLS = 10_000
_COUNTED_COLUMNS = (
    "status", "closed_at", "first_response_at", "first_response_due_at", "final_answer_at", "outcome",
    "feedback_kind",
)  # fmt: skip
_MOMENT = timedelta(microseconds=1)


def table_query(selection: AppealSelection, dimensions: Sequence[AppealDimension]) -> Select[Any]:
    """Return the query of the counts: a row per cell, per row, per column, and of all.

    `level` has a bit for each dimension that the row sums over, the first dimension's being the highest.
    """
    columns: list[Any] = [getattr(Appeal, name) for name in _COUNTED_COLUMNS]
    for place, dimension in enumerate(dimensions):
        found = BREAKDOWNS[dimension]
        columns += [found.key.label(f"key{place}"), found.name.label(f"name{place}")]
        columns.append(found.order.label(f"order{place}"))
    # A merged appeal is counted as the one that it was merged into: it makes no cell of its own.
    counted = select_appeals(columns, selection).where(Appeal.status != "merged")
    appeals = counted.subquery("appeals_of_period").c
    parts = [
        tuple_(appeals[f"key{place}"], appeals[f"name{place}"], appeals[f"order{place}"])
        for place in range(len(dimensions))
    ]
    sets = [tuple_(), *parts]
    if len(parts) > 1:
        sets.append(tuple_(*(appeals[f"{name}{place}"] for place in (0, 1) for name in ("key", "name", "order"))))
    keys = [appeals[f"key{place}"] for place in range(len(dimensions))]
    shown = [appeals[f"{name}{place}"] for place in range(len(dimensions)) for name in ("key", "name")]
    order = [
        column for place in range(len(dimensions)) for column in (
            appeals[f"order{place}"].nulls_last(), appeals[f"key{place}"].nulls_last()
        )
    ]  # fmt: skip
    return (
        select(
            func.grouping(*keys).label("level"),
            *shown,
            *(
                func.count().filter(met).label(figure)
                for figure, met in figure_conditions(appeals, selection.now).items()
            ),
        )
        .group_by(func.grouping_sets(*sets))
        .order_by(*order)
        .limit(MAX_CELLS + 1)
    )


async def compute_table(
    session: AsyncSession, selection: AppealSelection, rows: AppealDimension, columns: AppealDimension | None
) -> AppealTable:
    """Return the table of the selected appeals. Raise `Invalid` if it has too many cells."""
    if rows == columns:
        raise Invalid.field("query/columns", "«columns» must be another dimension than «rows»")
    dimensions = [rows] if columns is None else [rows, columns]
    if max(len(_all_keys(dimension, selection)) for dimension in dimensions) > MAX_CELLS:
        raise _too_large()
    found = (await session.execute(table_query(selection, dimensions))).all()
    if len(found) > MAX_CELLS:
        raise _too_large()
    all_of, of_rows, of_columns, cells = _by_level(found, len(dimensions))

    def figures(counts: Mapping[str, int], *keys: tuple[AppealDimension, str]) -> dict[str, Any]:
        return shown_figures(counts, selection, dict(keys))

    def groups(of: Sequence[Row[Any]], dimension: AppealDimension, place: int) -> list[TableGroup]:
        named = {_key(one, place): one for one in of}
        keys = _all_keys(dimension, selection) or list(named)
        return [
            TableGroup(
                key=key,
                name=named[key]._mapping[f"name{place}"] if key in named else None,
                **figures(_counts(named.get(key)), (dimension, key)),
            )
            for key in keys
        ]

    return AppealTable(
        start=selection.period.start,
        end=selection.period.end,
        time_zone=REGION_TIME_ZONE.key,
        row_dimension=rows,
        column_dimension=columns,
        total=AppealFigures(**figures(_counts(all_of))),
        rows=groups(of_rows, rows, 0),
        columns=[] if columns is None else groups(of_columns, columns, 1),
        cells=[
            TableCell(row=row, column=column, **figures(_counts(one), (rows, row), (columns, column)))
            for one in cells
            if columns is not None
            for row, column in [(_key(one, 0), _key(one, 1))]
        ],
    )


def csv_rows(table: AppealTable) -> Iterator[list[object]]:
    """Yield the rows of the table as CSV has it: the heading, then a row for each cell, without totals."""
    names = [figure.value for figure in SlaFigure]
    shares = ("share", "low", "high")
    with_columns = table.column_dimension is not None
    keys = [table.row_dimension, f"{table.row_dimension}_name"]
    if with_columns:
        keys += [f"{table.column_dimension}", f"{table.column_dimension}_name"]
    yield [*keys, *names, *(f"on_time_{share}" for share in shares), "appeals"]
    row_names = {row.key: row.name for row in table.rows}
    column_names = {column.key: column.name for column in table.columns}
    shown: Sequence[TableGroup | TableCell] = table.cells if with_columns else table.rows
    for one in shown:
        key: list[object] = (
            [one.row, row_names[one.row], one.column, column_names[one.column]]
            if isinstance(one, TableCell)
            else [one.key, one.name]
        )
        counts = [getattr(one, name) for name in names]
        yield [*key, *counts, *(getattr(one.on_time_share, share) for share in shares), one.appeals]


def _by_level(
    found: Sequence[Row[Any]], dimensions: int
) -> tuple[Row[Any] | None, list[Row[Any]], list[Row[Any]], list[Row[Any]]]:
    """Return the row of all, of the table's rows, of its columns and of its cells."""
    levels: dict[int, list[Row[Any]]] = {}
    for row in found:
        levels.setdefault(row.level, []).append(row)
    if dimensions == 1:
        return next(iter(levels.get(1, ())), None), levels.get(0, []), [], []
    return next(iter(levels.get(3, ())), None), levels.get(1, []), levels.get(2, []), levels.get(0, [])


def _too_large() -> Invalid:
    detail = f"More than {MAX_CELLS:,} cells: ask for a shorter period, or restrict by a filter"
    return Invalid(detail, errors=[FieldError(pointer="query/rows", detail=detail)])


def _key(row: Row[Any], place: int) -> str:
    key = row._mapping[f"key{place}"]
    return NO_GROUP if key is None else str(key)


def _counts(row: Row[Any] | None) -> Mapping[str, int]:
    return {} if row is None else {figure.value: row._mapping[figure.value] for figure in SlaFigure}


def _all_keys(dimension: AppealDimension, selection: AppealSelection) -> list[str]:
    """Return all days or weeks of the period that the filter allows; nothing for other dimensions."""
    period = selection.period
    first = period.start.date()
    last = (period.end - _MOMENT).date()
    if dimension is AppealDimension.DAY:
        keys = [(first + timedelta(days=day)).isoformat() for day in range((last - first).days + 1)]
    elif dimension is AppealDimension.WEEK:
        keys = [
            week.name
            for week in weeks_between(Week.containing(period.start), Week.containing(period.end - _MOMENT))
        ]
    else:
        return []
    wanted = selection.filters.keys.get(dimension)
    return [key for key in keys if wanted in (None, key)]
