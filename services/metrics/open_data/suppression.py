"""Suppression of small counts, so that they cannot be computed from what is published either.

Pure functions on plain data. Categories with fewer than `k` are combined with others first, so that every total is
at least `k`. Then cells are hidden: those below `k`, and others, until the published numbers leave each hidden
cell a range of at least `k`. Why that is enough: docs/decisions/0030-open-data-of-published-weeks.md.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

Counts = Sequence[Sequence[int]]
# The key of the combined category; no id, code, network or source has it.
OTHER = "_other"


@dataclass(frozen=True)
class Combined:
    """Categories with their counts, largest first; the last may be `OTHER`, the sum of those in `combined`."""

    counts: Sequence[tuple[str, int]]
    combined: frozenset[str]


def combine_small(counts: Mapping[str, int], k: int, unnamed: Set[str] = frozenset()) -> Combined | None:
    """Return the categories with the small and the unnamed ones combined; None if all together are fewer than `k`.

    Empty categories are dropped. While the combined have fewer than `k` together, the next larger one is added:
    otherwise the rest to the total would be a single small category, or a small number.
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
    """Return which cells of a table with published totals of rows and columns are hidden.

    The totals are at least `k`. If there are two rows and two columns at least, hiding all cells leaves each a
    range of `k`, so the search for more cells to hide ends. A single row or column has no cells but its totals.
    """
    hidden = [[count < k for count in row] for row in table]
    unchecked = [(r, c) for r, cells in enumerate(hidden) for c, is_hidden in enumerate(cells) if is_hidden]
    while unchecked:
        cell = unchecked.pop()
        # Hiding more only widens the range of those that were checked before.
        while not _has_range(table, hidden, cell, k):
            unchecked.append(_hide_one_more(table, hidden, cell))
    return hidden


def _hide_one_more(table: Counts, hidden: list[list[bool]], cell: tuple[int, int]) -> tuple[int, int]:
    """Hide the smallest shown cell that may widen the range of this one; return it.

    A cell that alone is hidden in its row, or in its column, follows from the total there.
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
    """Return whether the possible values of a hidden cell, given all that is shown, span `k` or more.

    The cell can grow by what can be moved around: one less elsewhere in its column, one more in that row, one less
    in another column …, one less in its own row. That is a flow in the graph of rows and columns, where a hidden
    cell can take any number more, and give as many as it has. It can shrink by the opposite flow, and by what it
    has.
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
    """Return the largest flow between row and column of the cell through other hidden cells, or `enough`."""
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
    """Return the steps of a shortest path with capacity left; empty if there is none."""
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
