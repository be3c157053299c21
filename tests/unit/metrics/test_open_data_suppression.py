"""Open data withstand an attacker who solves all equations between published numbers."""

import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from scipy.optimize import linprog

from services.metrics.open_data.document import build_document, csv_rows
from services.metrics.open_data.suppression import OTHER, combine_small, combine_table, hide_cells
from services.metrics.schemas.open_data import OpenDataDocument
from tests.support.sample_report import empty_report, sample_report

K = 5
Published = list[list[int | None]]


def possible_values(
    cells: Published, row_totals: list[int], column_totals: list[int]
) -> Iterator[tuple[float, float]]:
    """Yield the least and greatest value of each hidden cell that the published sums allow.

    A linear program finds the exact bounds: transportation problems have integer vertices.
    """
    unknown = [(r, c) for r, row in enumerate(cells) for c, count in enumerate(row) if count is None]
    equations = [
        ([cell[0] == r for cell in unknown], total - sum(count or 0 for count in cells[r]))
        for r, total in enumerate(row_totals)
    ] + [
        ([cell[1] == c for cell in unknown], total - sum(row[c] or 0 for row in cells))
        for c, total in enumerate(column_totals)
    ]
    matrix = np.array([left for left, _ in equations], dtype=float)
    sums = [right for _, right in equations]
    for index in range(len(unknown)):
        aim = np.zeros(len(unknown))
        aim[index] = 1
        least, most = (linprog(sign * aim, A_eq=matrix, b_eq=sums) for sign in (1, -1))
        assert least.success
        assert most.success
        yield least.fun, -most.fun


def generated(seed: int) -> dict[tuple[str, str], int]:
    """Return a random skewed table: from nearly empty to full, with few rows or many."""
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
        rows, columns = combine_small(totals(table, 0), K), combine_small(totals(table, 1), K)
        if rows is None or columns is None:
            assert sum(table.values()) < K
            continue
        counts = combine_table(((r, c, count) for (r, c), count in table.items()), rows, columns)
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


def test_attacker_computes_hidden_cells_without_secondary_suppression() -> None:
    # A check of the attacker: without secondary suppression the attack succeeds.
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
        # One hidden category is the total minus the rest; two may sum to a small number.
        ({"a": 50, "b": 20, "c": 3}, {"a": 50, OTHER: 23}),
        ({"a": 50, "b": 20, "c": 1, "d": 1}, {"a": 50, OTHER: 22}),
        ({"a": 50, "c": 4, "d": 4}, {"a": 50, OTHER: 8}),
        ({"a": 6, "b": 1}, {OTHER: 7}),
    ],
)
def test_small_categories_are_combined_until_they_reach_the_minimum(
    counts: dict[str, int], shown: dict[str, int]
) -> None:
    categories = combine_small(counts, K)
    assert categories is not None
    assert dict(categories.counts) == shown
    assert len(categories.combined) != 1


def test_unnamed_categories_are_combined_whatever_their_size() -> None:
    found = combine_small({"vk": 50, "ok": 20, "other": 30, "pos": 2}, K, {"other"})
    assert found is not None
    assert dict(found.counts) == {"vk": 50, "ok": 20, OTHER: 32}


def test_table_with_a_total_below_the_minimum_is_not_published() -> None:
    assert combine_small({"a": 2, "b": 2}, K) is None


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
def test_week_contains_only_counts_and_none_below_the_minimum(minimum: int) -> None:
    report = sample_report().report
    document = build_document(report, minimum)
    assert {table.code for table in document.tables} == {
        "topics_by_municipality", "channels", "outcomes", "organisations"
    }  # fmt: skip
    plain = json.loads(document.model_dump_json())
    assert min(numbers(plain["tables"])) >= minimum
    text = document.model_dump_json()
    for appeal in report.hard_appeals:
        assert str(appeal.appeal_id) not in text
        assert appeal.text not in text
    # Comparisons would reveal cells that are hidden in other weeks.
    assert not {"last_week", "last_year", "change", "mean_of_8_weeks"} & set(text.split('"'))
    assert OpenDataDocument.model_validate_json(text) == document


def test_names_of_other_systems_are_not_published() -> None:
    report = sample_report().report
    channels = [
        report.totals[0],
        *(
            report.totals[1].model_copy(update={"channel": name, "label": name})
            for name in ("other", "_other", "Аноним: иванов@example.ru")
        ),
        *report.totals[2:],
    ]
    document = build_document(report.model_copy(update={"totals": channels}), K)
    (table,) = [table for table in document.tables if table.code == "channels"]
    assert [(row.key, row.total) for row in table.rows] == [("vk", 181), ("ok", 63), (OTHER, 3 * 264)]


def test_table_of_organisations_counts_appeals_and_not_responses() -> None:
    report = sample_report().report
    # A person who reopens an appeal five times gets five responses.
    groups = [
        group.model_copy(
            update={
                "organisations": [
                    one.model_copy(update={"responses": 5 * one.responses, "on_time": 5 * one.on_time})
                    for one in group.organisations
                ]
            }
        )
        for group in report.peer_groups
    ]
    document = build_document(report, K)
    assert build_document(report.model_copy(update={"peer_groups": groups}), K) == document
    (table,) = [table for table in document.tables if table.code == "organisations"]
    for row in table.rows:
        if row.key != OTHER:
            wanted = None if row.key == "none" else UUID(row.key)
            found = [cell.appeals for cell in report.cells if cell.organisation_id == wanted]
            assert row.total == sum(found) >= K
    assert table.total == report.outcomes.opened


def test_rows_columns_and_lists_sum_to_the_total() -> None:
    for table in build_document(sample_report().report, K).tables:
        assert sum(row.total for row in table.rows) == table.total
        if table.columns:
            assert sum(column.total for column in table.columns) == table.total
            assert [len(row) for row in table.cells] == [len(table.columns)] * len(table.rows)


def test_csv_has_a_line_for_each_total_and_cell() -> None:
    document = build_document(sample_report().report, K)
    lines = list(csv_rows(document))
    cells = sum(len(table.rows) * len(table.columns) for table in document.tables)
    sides = sum(1 + len(table.rows) + len(table.columns) for table in document.tables)
    assert len(lines) == 1 + sides + cells
    assert {len(line) for line in lines} == {7}


def test_empty_week_has_no_tables() -> None:
    assert build_document(empty_report().report, K).tables == []
