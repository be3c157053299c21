"""Cohen's κ, against tables worked out by hand."""

import pytest

from services.metrics.grading.agreement import Pair, kappa


def pairs(*table: tuple[int, int, int]) -> list[Pair]:
    """Return the pairs of a table: rows are the scores of the first grader, columns those of the second."""
    return [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]


@pytest.mark.parametrize(
    ("table", "unweighted", "weighted"),
    [
        # O: 15/50 disagree; E: (25 · 20 + 25 · 30)/2500 = .5: κ = 1 − .3/.5, for 0 and 2 also weighted.
        (((20, 0, 5), (0, 0, 0), (10, 0, 15)), 0.4, 0.4),
        # All marginals are 10. O: 5/30 disagree, linearly (4 · .5 + 1)/30 = .1. E: 2/3, linearly
        # (4 · 100 · .5 + 2 · 100)/900 = 4/9. κ = 1 − (1/6)/(2/3) = .75; weighted 1 − .1/(4/9) = .775.
        (((8, 2, 0), (1, 8, 1), (1, 0, 9)), 0.75, 0.775),
        # Complete agreement on scores that vary, and complete disagreement of 0 and 2.
        (((5, 0, 0), (0, 3, 0), (0, 0, 2)), 1.0, 1.0),
        (((0, 0, 5), (0, 0, 0), (5, 0, 0)), -1.0, -1.0),
        # One grader always gives 2: agreement is what chance gives.
        (((0, 0, 5), (0, 0, 0), (0, 0, 5)), 0.0, 0.0),
    ],
)
def test_kappa_equals_the_value_worked_out_by_hand(
    table: tuple[tuple[int, int, int], ...], unweighted: float, weighted: float
) -> None:
    found = pairs(*table)
    assert kappa(found, weighted=False) == pytest.approx(unweighted)
    assert kappa(found, weighted=True) == pytest.approx(weighted)
    mirrored = [(other, one) for one, other in found]
    assert kappa(mirrored, weighted=True) == pytest.approx(weighted)


@pytest.mark.parametrize("found", [[], [(1, 1)] * 7, [(2, 2)]])
def test_kappa_without_expected_disagreement_is_undefined(found: list[Pair]) -> None:
    assert kappa(found, weighted=False) is None
    assert kappa(found, weighted=True) is None
