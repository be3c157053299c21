"""Confidence intervals of shares and medians, against published values."""

from fractions import Fraction
from math import comb

import pytest

from services.metrics.fairness.intervals import median_interval, wilson_interval


@pytest.mark.parametrize(
    ("agreed", "compared", "low", "high"),
    # Newcombe (1998), table I, method 3, and values of R's `prop.test(correct = FALSE)`.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_interval_equals_published_wilson_values(agreed: int, compared: int, low: float, high: float) -> None:
    found = wilson_interval(agreed, compared)
    assert found == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson_interval(compared - agreed, compared)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_interval_of_empty_sample_is_none() -> None:
    assert wilson_interval(0, 0) is None


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # The places of the limits in a sample of this size, as in tables of the sign test.
    [(6, 1, 6), (9, 2, 8), (10, 2, 9), (20, 6, 15), (25, 8, 18)],
)
def test_interval_of_the_median_equals_published_places(count: int, low: int, high: int) -> None:
    values = [float(place) for place in range(count, 0, -1)]
    assert median_interval(values) == (low, high)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_median_of_too_few_values_has_no_interval(count: int) -> None:
    assert median_interval([1.0] * count) is None


@pytest.mark.parametrize("count", [7, 100, 5000])
def test_interval_of_the_median_covers_it_and_no_narrower_one_does(count: int) -> None:
    found = median_interval([float(place) for place in range(1, count + 1)])
    assert found is not None
    below = int(found[0]) - 1

    def beyond(outside: int) -> Fraction:
        return Fraction(2 * sum(comb(count, places) for places in range(outside + 1)), 2**count)

    assert beyond(below) <= Fraction(5, 100) < beyond(below + 1)
