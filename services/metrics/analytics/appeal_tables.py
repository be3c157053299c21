"""Figures of appeals by one or two dimensions."""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.analytics.appeal_figures import shown_figures
from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.dimensions import KEYS, AppealSelection, read_names, select_appeals
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

# The limit of rows, columns and cells together: fits all organisations of a region, or half a year by day and
# topic group.
MAX_PARTS = 5_000
_COUNTED_COLUMNS = (
    "status", "closed_at", "first_response_at", "first_response_due_at", "final_answer_at", "outcome",
    "feedback_kind",
)  # fmt: skip
_MOMENT = timedelta(microseconds=1)
Cells = Mapping[tuple[str, ...], Counter[str]]


def table_query(selection: AppealSelection, dimensions: Sequence[AppealDimension]) -> Select[Any]:
    """Return the SQL query that counts the appeals by the keys of the dimensions.

    Totals of rows and columns are summed up from the cells: grouping by each dimension again would cost another
    sort.
    """
    names = [f"key{index}" for index in range(len(dimensions))]
    columns: list[Any] = [getattr(Appeal, name) for name in _COUNTED_COLUMNS]
    columns += [KEYS[dimension].label(name) for dimension, name in zip(dimensions, names, strict=True)]
    # A merged appeal is not counted: the appeal into which it was merged is.
    counted = select_appeals(columns, selection).where(Appeal.status != "merged")
    appeals = counted.subquery("appeals_of_period").c
    keys = [appeals[name] for name in names]
    figures = figure_conditions(appeals, selection.now)
    return select(*keys, *(func.count().filter(met).label(figure) for figure, met in figures.items())).group_by(
        *keys
    )


def counts_of(row: Row[Any]) -> Mapping[str, int]:
    """Return the figures of a row of `table_query` by name."""
    return {figure.value: row._mapping[figure.value] for figure in SlaFigure}


async def compute_table(
    session: AsyncSession, selection: AppealSelection, rows: AppealDimension, columns: AppealDimension | None
) -> AppealTable:
    """Return the table of the selected appeals. Raises `Invalid` if the table is too large."""
    if rows == columns:
        raise Invalid.field("query/columns", "«columns» and «rows» must be different dimensions")
    dimensions = [rows] if columns is None else [rows, columns]
    all_keys = [_all_keys(dimension, selection) for dimension in dimensions]
    if sum(map(len, all_keys)) > MAX_PARTS:
        raise _too_large()
    found = (await session.execute(table_query(selection, dimensions).limit(MAX_PARTS + 1))).all()
    cells = {tuple(_key(key) for key in row[: len(dimensions)]): Counter(counts_of(row)) for row in found}
    groups = [
        wanted or list(dict.fromkeys(keys[index] for keys in cells)) for index, wanted in enumerate(all_keys)
    ]
    if sum(map(len, groups)) + (0 if columns is None else len(cells)) > MAX_PARTS:
        raise _too_large()
    names = [
        await read_names(session, dimension, keys) for dimension, keys in zip(dimensions, groups, strict=True)
    ]
    return await asyncio.to_thread(_table_of_cells, selection, dimensions, cells, names)


def _table_of_cells(
    selection: AppealSelection,
    dimensions: Sequence[AppealDimension],
    cells: Cells,
    names: Sequence[Mapping[str, str | None]],
) -> AppealTable:
    """Return the table; `names` has the names by key of its rows and columns, in their order."""
    groups = [
        _groups(selection, dimension, names[index], _sums(cells, index))
        for index, dimension in enumerate(dimensions)
    ]
    return AppealTable(
        start=selection.period.start,
        end=selection.period.end,
        time_zone=REGION_TIME_ZONE.key,
        row_dimension=dimensions[0],
        column_dimension=dimensions[1] if len(dimensions) > 1 else None,
        total=AppealFigures(**shown_figures(sum(cells.values(), Counter()), selection, {})),
        rows=groups[0],
        columns=groups[1] if len(dimensions) > 1 else [],
        cells=[
            TableCell(
                row=keys[0],
                column=keys[1],
                **shown_figures(cells[keys], selection, dict(zip(dimensions, keys, strict=True))),
            )
            for keys in (itertools.product(*names) if len(dimensions) > 1 else ())
            if keys in cells
        ],
    )


def _sums(cells: Cells, index: int) -> Mapping[str, Counter[str]]:
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for keys, counts in cells.items():
        sums[keys[index]].update(counts)
    return sums


def _groups(
    selection: AppealSelection,
    dimension: AppealDimension,
    names: Mapping[str, str | None],
    sums: Mapping[str, Counter[str]],
) -> list[TableGroup]:
    return [
        TableGroup(key=key, name=name, **shown_figures(sums.get(key, {}), selection, {dimension: key}))
        for key, name in names.items()
    ]


def csv_rows(table: AppealTable) -> Iterator[list[object]]:
    """Yield the rows of the table for CSV: the heading, then a row for each cell, without totals."""
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


def _too_large() -> Invalid:
    detail = f"More than {MAX_PARTS:,} rows, columns and cells: request a shorter period, or restrict by a filter"
    return Invalid(detail, errors=[FieldError(pointer="query/rows", detail=detail)])


def _key(key: Any) -> str:
    return NO_GROUP if key is None else str(key)


def _all_keys(dimension: AppealDimension, selection: AppealSelection) -> list[str]:
    """Return all days or weeks of the period that match the filter; an empty list for other dimensions."""
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
