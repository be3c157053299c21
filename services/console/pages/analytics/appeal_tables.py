"""Tables of figures: sorted rows, cells with links to their appeals, and a chart if the rows are days or weeks."""

from functools import cached_property
from typing import Any

from services.console.pages.analytics.selection import (
    DIMENSIONS,
    FIGURES,
    Selection,
    appeals_address,
    key_name,
    period_name,
)
from services.console.site.charts import LineChart, line_chart, part_of, sparkline
from services.console.words.formats import count

SHOWN_ROWS = 100
SHOWN_COLUMNS = 15
_TIMES = ("day", "week")
# The rows of the table that a row's link opens: organisations for a municipality, days for a week, weeks for
# others.
_INTO = {"location": "organisation", "municipality": "organisation", "week": "day"}
_SMALLEST_FIRST = frozenset({"name", "share"})
_OF_ROWS = ("opened", "answered", "on_time", "overdue", "waiting", "final_answered", "solved", "disputed")


class TableView:
    """A table of the API, prepared for the page."""

    def __init__(self, table: dict[str, Any], selection: Selection) -> None:
        self._table = table
        self._selection = selection
        self.figure = selection.query["figure"]
        self.row_dimension: str = table["row_dimension"]
        self.column_dimension: str | None = table["column_dimension"]
        self.period = period_name(table["from"], table["to"])
        self.total = table["total"]

    @property
    def row_title(self) -> str:
        """Return the heading of the row names."""
        return DIMENSIONS[self.row_dimension].capitalize()

    @property
    def shown_figures(self) -> dict[str, str]:
        """Return the figures shown in a table without columns: the usual ones and the chosen one."""
        names = _OF_ROWS if self.figure in _OF_ROWS else (*_OF_ROWS, self.figure)
        return {name: FIGURES[name] for name in names}

    @cached_property
    def columns(self) -> list[dict[str, Any]]:
        """Return the shown columns: the latest times in their order, otherwise those with the largest figures
        first.
        """
        found = self._table["columns"]
        if self.columns_are_times:
            found = found[-SHOWN_COLUMNS:]
        else:
            found = sorted(found, key=lambda column: -column[self.figure])[:SHOWN_COLUMNS]
        return [{**one, "title": self.title(self.column_dimension or "", one)} for one in found]

    @property
    def columns_are_times(self) -> bool:
        """Return whether the columns are days or weeks."""
        return self.column_dimension in _TIMES

    @property
    def left_out(self) -> int:
        """Return how many columns are left out of the page; the file has them."""
        return len(self._table["columns"]) - len(self.columns)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Return the shown rows, in the order that the address gives."""
        rows = self._sorted if "all" in self._selection.query else self._sorted[:SHOWN_ROWS]
        most = max((row[self.figure] for row in self._table["rows"]), default=0)
        return [self._row(row, most) for row in rows]

    @property
    def row_count(self) -> int:
        """Return how many rows there are."""
        return len(self._table["rows"])

    @cached_property
    def _sorted(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._table["rows"]
        by = self.sorted_by
        if by == "name":
            return list(reversed(rows)) if self.is_descending else rows
        if by == "share":
            known = [row for row in rows if row["on_time_share"]["share"] is not None]
            known.sort(key=lambda row: float(row["on_time_share"]["share"]), reverse=self.is_descending)
            return known + [row for row in rows if row["on_time_share"]["share"] is None]
        return sorted(rows, key=lambda row: float(row[by]), reverse=self.is_descending)

    @property
    def sorted_by(self) -> str:
        """Return the key by which the rows are sorted; `name` keeps the order of the API."""
        asked = self._selection.query.get("sort")
        if asked in {"name", "share", *FIGURES}:
            return asked
        return "name" if self.row_dimension in _TIMES else self.figure

    @property
    def is_descending(self) -> bool:
        """Return whether the largest value comes first. On-time shares begin with the smallest, which is the
        worst.
        """
        asked = self._selection.query.get("order")
        return asked == "desc" if asked in {"asc", "desc"} else self.sorted_by not in _SMALLEST_FIRST

    def sort_address(self, by: str) -> str:
        """Return the address of the table sorted by this key, in reverse if it is already sorted by it."""
        first = "asc" if by in _SMALLEST_FIRST else "desc"
        turned = "asc" if self.is_descending else "desc"
        return self._selection.with_(sort=by, order=turned if by == self.sorted_by else first)

    def sort_state(self, by: str) -> str:
        """Return the value of `aria-sort` of a heading."""
        if by != self.sorted_by:
            return "none"
        return "descending" if self.is_descending else "ascending"

    def title(self, dimension: str, group: dict[str, Any]) -> str:
        """Return the name of a row or column."""
        return key_name(dimension, group["key"], group["name"])

    def _row(self, row: dict[str, Any], most: float) -> dict[str, Any]:
        cells = [self._cells.get((row["key"], column["key"])) for column in self.columns]
        narrowed = {self.row_dimension: row["key"], "sort": None, "order": None, "all": None}
        return {
            **row,
            "title": self.title(self.row_dimension, row),
            "cells": cells,
            "length": part_of(row[self.figure], most),
            "line": sparkline([cell[self.figure] if cell else 0 for cell in cells]),
            "narrowed": self._selection.with_(rows=_INTO.get(self.row_dimension, "week"), **narrowed),
        }

    @cached_property
    def _cells(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(cell["row"], cell["column"]): cell for cell in self._table["cells"]}

    @property
    def lines_are_times(self) -> bool:
        """Return whether each row has a line over time: its columns are several days or weeks."""
        return self.columns_are_times and len(self.columns) > 1

    def address(self, group: dict[str, Any], figure: str | None = None) -> str:
        """Return the address of the list of appeals that a figure of a row, column or cell counts."""
        return appeals_address(group["appeals"], figure or self.figure)

    @property
    def chart(self) -> LineChart | None:
        """Return the chart of the chosen figure; None if the rows are not days or weeks."""
        rows = self._table["rows"]
        if self.row_dimension not in _TIMES or len(rows) < 2:
            return None
        name = FIGURES[self.figure]
        values = [(self.title(self.row_dimension, row), row[self.figure], count(row[self.figure])) for row in rows]
        return line_chart(f"{name} по времени", values)
