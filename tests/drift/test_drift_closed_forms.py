"""Closed forms: acceptance numbers of the specification, quadrature and simulation twins, infinite cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthsift.drift.closed_forms import (
    chi2_gaussian,
    constant_push,
    coverage_null,
    eta_hermite,
    eta_random_steps,
    frechet_gaussian,
    frechet_null,
    gaussian_chi2_null,
    kl_gaussian,
    linear_error,
    nearest_neighbor_null,
    start_mismatch,
    variance_ratio,
)
from synthsift.records import DataError

# The tables give six significant digits; half a unit of the last is 5e-6 relative at worst.
REL = 5e-6
MEAN, COV = [0.3, -0.2], [[1.2, 0.3], [0.3, 0.8]]


def normal(x: np.ndarray, mean: float, variance: float) -> np.ndarray:
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def test_chi2_acceptance() -> None:
    assert chi2_gaussian(0.3, 1.2, 0, 1) == pytest.approx(0.142148, rel=REL)
    assert chi2_gaussian(0.5, 1, 0, 1) == pytest.approx(0.284025, rel=REL)
    assert chi2_gaussian(0, 0.5, 0, 1) == pytest.approx(0.154701, rel=REL)
    assert chi2_gaussian(0, 2, 0, 1) == math.inf and chi2_gaussian(0, 2.5, 0, 1) == math.inf
    assert math.isfinite(chi2_gaussian(0, 1.999, 0, 1))
    assert chi2_gaussian(MEAN, COV, [0, 0], np.eye(2)) == pytest.approx(0.295378, rel=REL)


@pytest.mark.parametrize(("mean", "variance"), [(0.3, 1.2), (-0.7, 0.4), (0.1, 1.7)])
def test_divergences_against_quadrature(mean: float, variance: float) -> None:
    x = np.linspace(-30, 30, 60001)
    p, q = normal(x, mean, variance), normal(x, 0.2, 1.1)
    h = x[1] - x[0]
    assert chi2_gaussian(mean, variance, 0.2, 1.1) == pytest.approx(h * np.sum(p * (p / q)) - 1, rel=1e-8)
    logs = -((x - mean) ** 2) / (2 * variance) + (x - 0.2) ** 2 / 2.2 + 0.5 * math.log(1.1 / variance)
    assert kl_gaussian(mean, variance, 0.2, 1.1) == pytest.approx(h * np.sum(p * logs), rel=1e-8)


def test_chi2_is_infinite_when_one_direction_doubles() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    base = root @ root.T + np.eye(3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    for largest, finite in [(1.9, True), (2.1, False)]:
        cholesky = np.linalg.cholesky(base)
        cov = cholesky @ turn @ np.diag([0.5, 1.0, largest]) @ turn.T @ cholesky.T
        assert math.isfinite(chi2_gaussian(np.zeros(3), cov, np.zeros(3), base)) == finite
        assert variance_ratio(cov, base) == pytest.approx(largest, rel=1e-9)


def test_frechet_acceptance() -> None:
    assert frechet_gaussian([0.3, 0], COV, [0, 0], np.eye(2)) == pytest.approx(0.157837, rel=REL)
    assert frechet_gaussian(1.0, 4.0, 0.0, 1.0) == pytest.approx(2.0, rel=1e-12)
    assert frechet_null(np.eye(10), 1000, 1000) == pytest.approx(0.075, rel=1e-12)
    assert frechet_null(np.diag([0.5, 2]), 200, 300) == pytest.approx(0.0345833, rel=REL)
    assert frechet_null([0.5, 2], 200, 300) == pytest.approx(0.0345833, rel=REL)


def test_constant_push_acceptance() -> None:
    got = constant_push(0.2, 4)
    assert got.eps2 == got.epshat2 == pytest.approx(0.16, rel=1e-12)
    assert (got.eta, got.chi2, got.kl) == pytest.approx((0.747645, 0.127072, 0.0598116), rel=REL)
    assert got.eta * got.eps2 == pytest.approx(got.mean**2, rel=1e-12)


@pytest.mark.parametrize(
    ("a", "eps2", "epshat2", "variance", "chi2", "kl"),
    [(0.1, 0.04, 0.0470024, 1.239809, 0.0300571, 0.0124259), (-0.2, 0.16, 0.1224188, 0.715342, 0.0431562, 0.0251682)],
)
def test_linear_error_acceptance(
    a: float, eps2: float, epshat2: float, variance: float, chi2: float, kl: float
) -> None:
    got = linear_error(a, 4)
    assert (got.eps2, got.epshat2, got.variance, got.chi2, got.kl) == pytest.approx(
        (eps2, epshat2, variance, chi2, kl), rel=REL
    )
    assert got.eta == pytest.approx(0.481852, rel=REL) and got.kl <= got.epshat2 / 2


def test_small_score_error_does_not_make_chi2_finite() -> None:
    got = linear_error(0.3, 4)
    assert got.eps2 == pytest.approx(0.36) and got.variance == pytest.approx(2.1972, rel=5e-5)
    assert got.chi2 == math.inf and got.kl == pytest.approx(0.205, abs=5e-4)


def test_linear_error_is_smooth_where_its_formula_is_singular() -> None:
    near = [linear_error(0.5 + shift, 4) for shift in (-1e-4, 0.0, 1e-4)]
    for name in ("variance", "epshat2"):
        low, middle, high = (getattr(r, name) for r in near)
        assert middle == pytest.approx((low + high) / 2, rel=1e-6)
    assert near[1].variance == pytest.approx(1 + 4)


def test_linear_error_against_its_moment_equation() -> None:
    # dV/dtau = 1 - lam V from V = 1 at the start, Euler with a step small enough for 1e-3.
    variance, energy, steps = 1.0, 0.0, 200_000
    for _ in range(steps):
        energy += 0.2**2 * variance * 4 / steps
        variance += (1 - (1 - 2 * 0.2) * variance) * 4 / steps
    got = linear_error(0.2, 4)
    assert (variance, energy) == pytest.approx((got.variance, got.epshat2), rel=1e-4)


def test_eta_acceptance() -> None:
    got = [eta_hermite(k, 4) for k in range(5)]
    np.testing.assert_allclose(got, [0.74765, 0.48185, 0.33168, 0.24983, 0.19998], atol=5.1e-6)
    assert eta_random_steps(1, 4) == pytest.approx(eta_hermite(0, 4), rel=1e-12)
    assert eta_random_steps(500, 4) == pytest.approx(-math.expm1(-4) / 500, rel=1e-3)
    assert start_mismatch(0.5, 4) == pytest.approx(0.5 * math.exp(-4))


def test_null_acceptance() -> None:
    assert coverage_null(200, 400, 3) == pytest.approx(0.9637, abs=5e-5)
    assert nearest_neighbor_null(200, 400) == pytest.approx(0.5548, abs=2e-4)
    assert nearest_neighbor_null(100, 100) < 0.5
    assert gaussian_chi2_null(10, 1000, 1000) == pytest.approx(65 * 0.002)


def test_plug_in_gaussian_chi2_has_its_null_bias() -> None:
    rng = np.random.default_rng(7)
    values = []
    for _ in range(300):
        x, y = rng.standard_normal((2, 2000, 2))
        values.append(chi2_gaussian(y.mean(0), np.cov(y.T), x.mean(0), np.cov(x.T)))
    error = np.std(values) / math.sqrt(300)
    assert abs(np.mean(values) - gaussian_chi2_null(2, 2000, 2000)) <= 4 * error


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="one width"):
        chi2_gaussian([0, 0], np.eye(2), [0], [[1]])
    with pytest.raises(DataError, match="not finite"):
        kl_gaussian(math.nan, 1, 0, 1)
    with pytest.raises(DataError, match="rows"):
        frechet_null(np.eye(2), 1, 10)
    with pytest.raises(DataError, match="neighbors"):
        coverage_null(10, 10, 10)
    with pytest.raises(DataError, match="order"):
        eta_hermite(-1, 4)
