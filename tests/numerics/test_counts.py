from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from synthsift.numerics.counts import same_mix_p_value


def test_equals_the_test_of_a_two_by_c_table() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        counts = rng.integers(1, 50, size=(2, 6))
        expected = chi2_contingency(counts, correction=False).pvalue
        assert same_mix_p_value(*counts) == pytest.approx(expected, rel=1e-6)


def test_one_mix_is_rejected_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    values = [same_mix_p_value(*(rng.multinomial(n, [0.1] * 10) for n in (300, 1500))) for _ in range(1000)]
    assert np.mean(np.array(values) < 0.01) < 0.02  # 1 % and three standard errors of 1,000 draws


def test_classes_without_rows_do_not_count() -> None:
    first, second = np.array([5, 0, 20]), np.array([30, 0, 30])
    assert same_mix_p_value(first, second) == same_mix_p_value(first[[0, 2]], second[[0, 2]])
    assert same_mix_p_value(np.array([5, 0]), np.array([7, 0])) == 1.0
