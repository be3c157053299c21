"""Values of the incomplete beta function equal those of scipy."""

import numpy as np
from scipy.special import betainc
from scipy.stats import nbinom

from services.metrics.pulse.beta_function import incomplete_beta
from services.metrics.pulse.rate_test import Expected


def test_values_equal_those_of_scipy() -> None:
    random = np.random.default_rng(3)
    a = np.concatenate([random.integers(1, 5_000, 2_000), [1.0, 1.0, 3.0, 1e5]])
    b = np.concatenate([random.uniform(0.01, 60, 2_000), [1.0, 0.5, 50.0, 40.0]])
    x = np.concatenate([random.uniform(0, 1, 2_000), [0.0, 1.0, 1e-12, 0.9999]])
    np.testing.assert_allclose(incomplete_beta(a, b, x), betainc(a, b, x), rtol=1e-9, atol=1e-200)


def test_tails_equal_those_of_the_negative_binomial_distribution() -> None:
    mean, size = np.array([0.01, 3.0, 40.0, 900.0]), np.array([0.2, 5.0, 20.0, 50.0])
    counts = np.array([1.0, 9.0, 80.0, 1_000.0])
    expected = nbinom.sf(counts - 1, size, size / (mean + size))
    np.testing.assert_allclose(Expected(mean, size).at_least(counts), expected, rtol=1e-9)
    assert Expected(mean, size).at_least(np.zeros(4)).tolist() == [1.0] * 4
