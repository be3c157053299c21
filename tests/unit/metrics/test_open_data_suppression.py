"""Open data against an attacker who solves all equations between published numbers."""

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from services.metrics.open_data.open_week import csv_rows, open_week
from services.metrics.open_data.suppression import OTHER, hide_cells, merge_small, merge_table
from services.metrics.schemas.open_data import OpenWeek
from tests.support.sample_report import empty_report, sample_report

K = 5
Published = list[list[int | None]]


def possible_values(
    cells: Published, row_totals: list[int], column_totals: list[int]
) -> Iterator[tuple[float, float]]:
    """Yield the least and greatest possible value of each hidden cell, with the sums that are published.

    A linear program finds the exact bounds: transportation problems have integer vertices.
    """
    places = [(r, c) for r, row in enumerate(cells) for c, count in enumerate(row) if count is None]
    equations = [
        ([place[0] == r for place in places], total - sum(count or 0 for count in cells[r]))
        for r, total in enumerate(row_totals)
    ] + [
        ([place[1] == c for place in places], total - sum(row[c] or 0 for row in cells))
        for c, total in enumerate(column_totals)
    ]
    matrix = np.array([left for left, _ in equations], dtype=float)
    sums = [right for _, right in equations]
    for place in range(len(places)):
        aim = np.zeros(len(places))
        aim[place] = 1
        least, most = (linprog(sign * aim, A_eq=matrix, b_eq=sums) for sign in (1, -1))
        assert least.success
        assert most.success
        yield least.fun, -most.fun


def generated(seed: int) -> dict[tuple[str, str], int]:
    """Return a skewed table: from nearly empty to full, with a few rows or many."""
    draw = random.Random(seed)
    rows, columns = draw.randint(1, 6), draw.randint(1, 6)
    typical = draw.choice((1, 4, 8, 30))
    return {
        (f"r{r}", f"c{c}"): int(typical * draw.paretovariate(1.2)) - typical // 2 if draw.random() < 0.8 else 0
        for r in range(rows)
        for c in range(columns)
    }


def totals(table: dict[tuple[str, str], int], side: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, count in table.items():
        found[key[side]] = found.get(key[side], 0) + count
    return found


def test_no_hidden_cell_can_be_computed_or_narrowed_down() -> None:
    hidden_cells = 0
    for seed in range(40):
        table = generated(seed)
        rows, columns = merge_small(totals(table, 0), K), merge_small(totals(table, 1), K)
        if rows is None or columns is None:
            assert sum(table.values()) < K
            continue
        counts = merge_table(((r, c, count) for (r, c), count in table.items()), rows, columns)
        hidden = hide_cells(counts, K)
        cells: Published = [
            [None if is_hidden else count for count, is_hidden in zip(row, flags, strict=True)]
            for row, flags in zip(counts, hidden, strict=True)
        ]
        assert all(count is None or count >= K for row in cells for count in row)
        row_totals, column_totals = [count for _, count in rows.counts], [count for _, count in columns.counts]
        assert [sum(row) for row in counts] == row_totals
        for least, most in possible_values(cells, row_totals, column_totals):
            hidden_cells += 1
            assert round(most - least) >= K, (seed, cells)
    assert hidden_cells > 200


def test_attacker_computes_cells_if_only_small_ones_are_hidden() -> None:
    # The control: without secondary suppression the same attacker succeeds.
    counts = [[2, 20, 30], [40, 3, 50], [60, 70, 80]]
    cells: Published = [[None if count < K else count for count in row] for row in counts]
    found = list(possible_values(cells, [sum(row) for row in counts], [sum(c) for c in zip(*counts, strict=True)]))
    assert found == [(2, 2), (3, 3)]
    assert sum(map(sum, hide_cells(counts, K))) > 2


def test_table_without_small_cells_is_published_completely() -> None:
    assert not any(map(any, hide_cells([[5, 6], [7, 8], [90, 5]], K)))


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"a": 50, "b": 20, "c": 0}, {"a": 50, "b": 20}),
        # One small category would be the rest to the total; two may sum to a small number.
        ({"a": 50, "b": 20, "c": 3}, {"a": 50, OTHER: 23}),
        ({"a": 50, "b": 20, "c": 1, "d": 1}, {"a": 50, OTHER: 22}),
        ({"a": 50, "c": 4, "d": 4}, {"a": 50, OTHER: 8}),
        ({"a": 6, "b": 1}, {OTHER: 7}),
    ],
)
def test_small_categories_are_merged_until_they_are_many(counts: dict[str, int], shown: dict[str, int]) -> None:
    merged = merge_small(counts, K)
    assert merged is not None
    assert dict(merged.counts) == shown
    assert len(merged.merged) != 1


def test_fewer_than_the_minimum_in_all_gives_no_table() -> None:
    assert merge_small({"a": 2, "b": 2}, K) is None


def numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, int):
        yield value


@pytest.mark.parametrize("minimum", [3, 5, 10])
def test_week_has_no_count_below_the_minimum_and_nothing_but_counts(minimum: int) -> None:
    report = sample_report().report
    week = open_week(report, minimum)
    assert {table.code for table in week.tables} == {
        "topics_by_municipality", "channels", "outcomes", "organisations"
    }  # fmt: skip
    plain = json.loads(week.model_dump_json())
    assert min(numbers(plain["tables"])) >= minimum
    text = week.model_dump_json()
    for appeal in report.hard_appeals:
        assert str(appeal.appeal_id) not in text
        assert appeal.text not in text
    # Comparisons would publish the cells of other weeks, which those hide.
    assert not {"last_week", "last_year", "change", "mean_of_8_weeks"} & set(text.split('"'))
    assert OpenWeek.model_validate_json(text) == week


def test_rows_columns_and_lists_sum_to_the_total() -> None:
    for table in open_week(sample_report().report, K).tables:
        assert sum(row.total for row in table.rows) == table.total
        if table.columns:
            assert sum(column.total for column in table.columns) == table.total
            assert [len(row) for row in table.cells] == [len(table.columns)] * len(table.rows)


def test_csv_has_a_line_for_each_total_and_cell() -> None:
    week = open_week(sample_report().report, K)
    lines = list(csv_rows(week))
    cells = sum(len(table.rows) * len(table.columns) for table in week.tables)
    sides = sum(1 + len(table.rows) + len(table.columns) for table in week.tables)
    assert len(lines) == 1 + sides + cells
    assert {len(line) for line in lines} == {8}


def test_empty_week_has_no_tables() -> None:
    assert open_week(empty_report().report, K).tables == []
