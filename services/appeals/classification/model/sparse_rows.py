"""Sparse matrices: the part of scipy's `csr_matrix` that services need, with numpy alone."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
Places = npt.NDArray[np.integer[Any]]

# Number of value pairs that a product handles at a time, or the pairs of one row if these are more: their arrays
# stay in the processor's cache.
_PAIRS = 20_000


class SparseRows:
    """A sparse matrix: row i has the values, and their columns, from `indptr[i]` to `indptr[i + 1]`."""

    def __init__(self, data: Values, indices: Places, indptr: Places, column_count: int) -> None:
        self.data = data
        # numpy converts any other type again for each selection and each count.
        self.indices = indices.astype(np.intp, copy=False)
        self.indptr = indptr.astype(np.intp, copy=False)
        self.shape = (len(indptr) - 1, column_count)

    @staticmethod
    def of_dense(values: Values) -> "SparseRows":
        """Return the sparse form of a dense matrix."""
        rows, columns = np.nonzero(values)
        return SparseRows(values[rows, columns], columns, _ends(rows, values.shape[0]), values.shape[1])

    @staticmethod
    def beside(parts: Sequence["SparseRows"]) -> "SparseRows":
        """Return the matrices, which have the same number of rows, joined side by side."""
        offsets = np.cumsum([0, *(part.shape[1] for part in parts)])
        rows = np.concatenate([part._row_of_each() for part in parts])
        order = np.argsort(rows, kind="stable")
        columns = np.concatenate([part.indices + offset for part, offset in zip(parts, offsets, strict=False)])
        data = np.concatenate([part.data for part in parts])
        return SparseRows(data[order], columns[order], _ends(rows, parts[0].shape[0]), int(offsets[-1]))

    def __getitem__(self, rows: slice) -> "SparseRows":
        """Return a slice of rows."""
        start, stop, _ = rows.indices(self.shape[0])
        ends = self.indptr[start : max(start, stop) + 1]
        values = slice(ends[0], ends[-1])
        return SparseRows(self.data[values], self.indices[values], ends - ends[0], self.shape[1])

    @property
    def T(self) -> "SparseRows":  # noqa: N802 - the name that numpy has for it
        """Return the transposed matrix."""
        order = np.argsort(self.indices, kind="stable")
        return SparseRows(
            self.data[order], self._row_of_each()[order], _ends(self.indices, self.shape[1]), self.shape[0]
        )

    def __matmul__(self, other: "SparseRows | Values") -> Values:
        """Return the product as a dense matrix."""
        if isinstance(other, SparseRows):
            parts = list(self._products(other))
            return np.concatenate(parts) if parts else np.zeros((0, other.shape[1]))
        found = np.zeros((self.shape[0], other.shape[1]), dtype=np.result_type(self.data, other))
        for at in range(self.shape[0]):
            values = slice(self.indptr[at], self.indptr[at + 1])
            found[at] = self.data[values] @ other[self.indices[values]]
        return found

    def _products(self, other: "SparseRows") -> Iterator[Values]:
        """Yield the rows of the product in blocks."""
        counts = other._row_lengths[self.indices]
        pairs_before = np.concatenate([[0], np.cumsum(counts)])[self.indptr]
        start = 0
        while start < self.shape[0]:
            end = int(np.searchsorted(pairs_before, pairs_before[start] + _PAIRS, side="right")) - 1
            end = max(end, start + 1)
            values = slice(self.indptr[start], self.indptr[end])
            many = counts[values]
            pairs = np.repeat(other.indptr[self.indices[values]] - (np.cumsum(many) - many), many)
            pairs += np.arange(len(pairs))
            cells = other.indices[pairs]
            if end > start + 1:
                row_starts = np.arange(end - start) * other.shape[1]
                cells += np.repeat(np.repeat(row_starts, self._row_lengths[start:end]), many)
            products = other.data[pairs] * np.repeat(self.data[values], many)
            size = (end - start) * other.shape[1]
            yield np.bincount(cells, products, minlength=size).reshape(end - start, other.shape[1])
            start = end

    def toarray(self) -> Values:
        """Return the dense matrix."""
        found = np.zeros(self.shape, dtype=self.data.dtype)
        found[self._row_of_each(), self.indices] = self.data
        return found

    @cached_property
    def _row_lengths(self) -> Places:
        return np.diff(self.indptr)

    def _row_of_each(self) -> Places:
        return np.repeat(np.arange(self.shape[0]), self._row_lengths)


def _ends(rows: Places, row_count: int) -> Places:
    """Return the end index of each row's values; `rows` has the row of each value."""
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=row_count))])
