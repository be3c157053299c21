"""Cohen's κ equals the values worked out by hand."""

from math import sqrt

import pytest

from services.metrics.grading.agreement import Pair, agreement_of, kappa
from services.metrics.grading.rubrics import rubric_out
from services.metrics.settings import MetricsSettings
from shared.tables.metrics_grading import GradingRubric
from tests.unit.metrics.seeded_rubric import SEEDED


def pairs(*table: tuple[int, int, int]) -> list[Pair]:
    """Return the pairs of a table: rows are the scores of the first grader, columns those of the second."""
    return [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]


def value(found: list[Pair], *, weighted: bool) -> float | None:
    computed = kappa(found, weighted=weighted)
    return None if computed is None else computed.value


def of_criterion(found: list[Pair]) -> bool | None:
    """Return whether a criterion with these pairs is trusted."""
    config = MetricsSettings(grading_minimum_pairs=20, grading_minimum_kappa=0.4)
    return agreement_of(rubric_out(GradingRubric(**SEEDED)).criteria[1], found, config).trusted


@pytest.mark.parametrize(
    ("table", "unweighted", "weighted"),
    [
        # Observed: 15/50 disagree. Expected by chance: (25 · 20 + 25 · 30)/2500 = .5. κ = 1 − .3/.5. With weights
        # it is the same: all disagreements are between 0 and 2.
        (((20, 0, 5), (0, 0, 0), (10, 0, 15)), 0.4, 0.4),
        # All marginals are 10. O: 5/30 disagree, linearly (4 · .5 + 1)/30 = .1. E: 2/3, linearly
        # (4 · 100 · .5 + 2 · 100)/900 = 4/9. κ = 1 − (1/6)/(2/3) = .75; weighted 1 − .1/(4/9) = .775.
        (((8, 2, 0), (1, 8, 1), (1, 0, 9)), 0.75, 0.775),
        # Complete agreement on scores that vary, and complete disagreement of 0 and 2.
        (((5, 0, 0), (0, 3, 0), (0, 0, 2)), 1.0, 1.0),
        (((0, 0, 5), (0, 0, 0), (5, 0, 0)), -1.0, -1.0),
        # One grader always gives 2: agreement is as by chance.
        (((0, 0, 5), (0, 0, 0), (0, 0, 5)), 0.0, 0.0),
    ],
)
def test_kappa_equals_the_value_worked_out_by_hand(
    table: tuple[tuple[int, int, int], ...], unweighted: float, weighted: float
) -> None:
    found = pairs(*table)
    assert value(found, weighted=False) == pytest.approx(unweighted)
    assert value(found, weighted=True) == pytest.approx(weighted)
    mirrored = [(other, one) for one, other in found]
    assert value(mirrored, weighted=True) == pytest.approx(weighted)


@pytest.mark.parametrize("found", [[], [(1, 1)] * 7, [(2, 2)]])
def test_kappa_without_expected_disagreement_is_undefined(found: list[Pair]) -> None:
    assert kappa(found, weighted=False) is None
    assert kappa(found, weighted=True) is None


def test_lower_limit_of_kappa_equals_the_published_formula() -> None:
    # For two scores, with o = .7, e = .5, κ = .4, Fleiss, Cohen and Everitt have √((A + B − C) / n) / (1 − e):
    # A from the pairs that agree, B from the others, C = (κ − e(1 − κ))².
    a = 0.4 * (1 - (0.5 + 0.6) * 0.6) ** 2 + 0.3 * (1 - (0.5 + 0.4) * 0.6) ** 2
    b = 0.6**2 * (0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2)
    c = (0.4 - 0.5 * 0.6) ** 2
    found = kappa(pairs((20, 0, 5), (0, 0, 0), (10, 0, 15)), weighted=True)
    assert found is not None
    assert found.low == pytest.approx(0.4 - 1.959964 * sqrt((a + b - c) / 50) / 0.5)


def test_criterion_with_nearly_equal_scores_is_neither_trusted_nor_distrusted() -> None:
    rare = pairs((0, 0, 0), (0, 0, 1), (0, 1, 38))
    assert (value(rare, weighted=True) or 0) < 0
    assert of_criterion(rare) is None


def test_trust_follows_the_lower_limit_of_kappa() -> None:
    table = ((8, 2, 0), (1, 8, 1), (1, 0, 9))
    assert of_criterion(pairs(*table)) is True
    # With 25 pairs κ = .52 is compatible with .2.
    uncertain = pairs((9, 0, 3), (0, 0, 0), (3, 0, 10))
    assert (value(uncertain, weighted=True) or 0) > 0.4
    assert of_criterion(uncertain) is False
    assert of_criterion(uncertain * 20) is True
