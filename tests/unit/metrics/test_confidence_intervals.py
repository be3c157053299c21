"""Confidence intervals of shares equal published values."""

import pytest

from services.metrics.fairness.intervals import wilson_interval


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
