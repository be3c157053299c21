"""Sparse matrices implemented with numpy alone give the results of scipy."""

from unittest import mock

import numpy as np
import pytest
from scipy import sparse

from services.appeals.classification.model import sparse_rows
from services.appeals.classification.model.sparse_rows import SparseRows


def _dense(rows: int, columns: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, columns)).astype(np.float32)
    values[random.random(size=values.shape) < 0.8] = 0
    values[rows // 2] = 0  # an empty row
    values[:, columns // 2] = 0  # an empty column
    return values


LEFT, RIGHT = _dense(40, 60, 1), _dense(60, 30, 2)


@pytest.mark.parametrize("pairs", [1, 50, 1_000_000])
def test_products_equal_those_of_scipy(pairs: int) -> None:
    ours, theirs = SparseRows.of_dense(LEFT), sparse.csr_matrix(LEFT)
    with mock.patch.object(sparse_rows, "_PAIRS", pairs):
        np.testing.assert_allclose(
            ours @ SparseRows.of_dense(RIGHT), (theirs @ sparse.csr_matrix(RIGHT)).toarray(), atol=1e-5
        )
        np.testing.assert_allclose(ours @ ours.T, (theirs @ theirs.T).toarray(), atol=1e-5)
        np.testing.assert_allclose(ours[3:9] @ ours.T, (theirs[3:9] @ theirs.T).toarray(), atol=1e-5)
    np.testing.assert_allclose(ours @ RIGHT, theirs @ RIGHT, atol=1e-5)


def test_joined_matrices_keep_the_order_of_columns() -> None:
    ours = SparseRows.beside([SparseRows.of_dense(LEFT), SparseRows.of_dense(RIGHT[:40])])
    theirs = sparse.hstack([sparse.csr_matrix(LEFT), sparse.csr_matrix(RIGHT[:40])], format="csr")
    assert ours.shape == theirs.shape
    assert ours.data.dtype == np.float32
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.indptr, theirs.indptr)
    np.testing.assert_array_equal(ours.toarray(), theirs.toarray())


@pytest.mark.parametrize("rows", [slice(0, 0), slice(5, 5), slice(38, 99), slice(-3, None), slice(0, 40)])
def test_slices_of_rows_equal_those_of_numpy(rows: slice) -> None:
    ours = SparseRows.of_dense(LEFT)
    np.testing.assert_array_equal(ours[rows].toarray(), LEFT[rows])
    np.testing.assert_array_equal(ours[rows].T.toarray(), LEFT[rows].T)
    assert (ours[rows] @ ours.T).shape == (len(LEFT[rows]), 40)
