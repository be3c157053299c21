"""Suppression of small counts, so that they cannot be computed from published numbers.

Pure functions on plain data. First, categories below `k` are combined, so that every total is at least `k`. Then
cells are hidden: those below `k`, and more, until each hidden cell could have a range of values of at least `k`,
given the published numbers. Why this is enough: docs/decisions/0030-open-data-of-published-weeks.md.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

Counts = Sequence[Sequence[int]]
# The key of the combined category; no id, code, network or source has this value.
OTHER = "_other"


@dataclass(frozen=True)
class Combined:
    """Categories with their counts, largest first; the last one may be `OTHER`, the sum of the keys in
    `combined`.
    """

    counts: Sequence[tuple[str, int]]
    combined: frozenset[str]


def combine_small(counts: Mapping[str, int], k: int, unnamed: Set[str] = frozenset()) -> Combined | None:
    """Return the categories, with small and unnamed ones combined; None if the total is below `k`.

    Empty categories are dropped. While the combined category is below `k`, the next larger category is added to
    it: otherwise the difference to the total would reveal a single small category, or a small number.
    """
    ordered = sorted(
        ((key, count) for key, count in counts.items() if count), key=lambda item: (-item[1], item[0])
    )
    if sum(count for _, count in ordered) < k:
        return None
    shown = [item for item in ordered if item[1] >= k and item[0] not in unnamed]
    rest = [item for item in ordered if item not in shown]
    while rest and sum(count for _, count in rest) < k:
        rest.append(shown.pop())
    if not rest:
        return Combined(shown, frozenset())
    other = (OTHER, sum(count for _, count in rest))
    return Combined([*shown, other], frozenset(key for key, _ in rest))


def combine_table(cells: Iterable[tuple[str, str, int]], rows: Combined, columns: Combined) -> list[list[int]]:
    """Return the cells (row, column, count) as a table of the combined categories."""
    row_indexes = _indexes(rows)
    column_indexes = _indexes(columns)
    table = [[0] * len(columns.counts) for _ in rows.counts]
    for row, column, count in cells:
        if count:
            table[row_indexes[row]][column_indexes[column]] += count
    return table


def _indexes(categories: Combined) -> dict[str, int]:
    indexes = {key: index for index, (key, _) in enumerate(categories.counts)}
    return indexes | dict.fromkeys(categories.combined, len(categories.counts) - 1)


def hide_cells(table: Counts, k: int) -> list[list[bool]]:
    """Return which cells to hide in a table whose row and column totals are published.

    All totals are at least `k`. With at least two rows and two columns, hiding all cells gives each a range of
    `k`, so the loop ends. A single row or column is published as its totals only.
    """
    hidden = [[count < k for count in row] for row in table]
    unchecked = [(r, c) for r, cells in enumerate(hidden) for c, is_hidden in enumerate(cells) if is_hidden]
    while unchecked:
        cell = unchecked.pop()
        # Hiding more cells only widens the ranges of the cells checked before.
        while not _has_range(table, hidden, cell, k):
            unchecked.append(_hide_one_more(table, hidden, cell))
    return hidden


def _hide_one_more(table: Counts, hidden: list[list[bool]], cell: tuple[int, int]) -> tuple[int, int]:
    """Hide the smallest shown cell that may widen the range of this cell; return the newly hidden cell.

    A hidden cell that is the only one in its row or column could be computed from the total.
    """
    row, column = cell
    shown = [(r, c) for r, cells in enumerate(hidden) for c, is_hidden in enumerate(cells) if not is_hidden]
    in_row = [other for other in shown if other[0] == row]
    in_column = [other for other in shown if other[1] == column]
    if sum(hidden[row]) == 1:
        near = in_row
    elif sum(cells[column] for cells in hidden) == 1:
        near = in_column
    else:
        near = [*in_row, *in_column]
    found = min(near or shown, key=lambda other: (table[other[0]][other[1]], other))
    hidden[found[0]][found[1]] = True
    return found


def _has_range(table: Counts, hidden: list[list[bool]], cell: tuple[int, int], k: int) -> bool:
    """Return whether a hidden cell, given all published numbers, could have values with a range of `k` or more.

    The cell can grow if counts are moved along a cycle of hidden cells: one less elsewhere in its column, one more
    in that row, one less in another column …, one less in its own row. That is a flow in the graph of rows and
    columns, where a hidden cell can gain any number and lose at most its count. The cell can shrink by the
    opposite flow, at most by its count.
    """
    row, column = cell
    up = _max_flow(table, hidden, cell, from_row=False, enough=k)
    if up >= k:
        return True
    down = min(table[row][column], _max_flow(table, hidden, cell, from_row=True, enough=k - up))
    return up + down >= k


def _max_flow(
    table: Counts, hidden: list[list[bool]], cell: tuple[int, int], *, from_row: bool, enough: int
) -> int:
    """Return the largest flow between row and column of the cell through other hidden cells, but at most
    `enough`.
    """
    height = len(table)
    source, sink = (cell[0], height + cell[1]) if from_row else (height + cell[1], cell[0])
    capacity: dict[int, dict[int, float]] = {}
    for row, cells in enumerate(hidden):
        for column, is_hidden in enumerate(cells):
            if is_hidden and (row, column) != cell:
                capacity.setdefault(row, {})[height + column] = float("inf")
                capacity.setdefault(height + column, {})[row] = table[row][column]
    total = 0
    while total < enough and (path := _path(capacity, source, sink)):
        step = min(enough - total, *(capacity[tail][head] for tail, head in path))
        for tail, head in path:
            capacity[tail][head] -= step
            capacity[head][tail] += step
        total += int(step)
    return total


def _path(capacity: Mapping[int, Mapping[int, float]], source: int, sink: int) -> list[tuple[int, int]]:
    """Return the steps of a shortest path with remaining capacity; empty if there is none."""
    came_from: dict[int, int] = {source: source}
    queue = deque([source])
    while queue:
        node = queue.popleft()
        if node == sink:
            steps = []
            while node != source:
                steps.append((came_from[node], node))
                node = came_from[node]
            return steps
        for head, left in capacity.get(node, {}).items():
            if left > 0 and head not in came_from:
                came_from[head] = node
                queue.append(head)
    return []
