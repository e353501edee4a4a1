"""The general moment form and the form conditional on real rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthsift.seeds import Seeds
from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_conditional import (
    predict_cross_validated,
    predict_on_points,
    simulate_on_points,
    stratified_folds,
)
from synthsift.theory.mixing_moments import (
    accuracy_on_points,
    predict_from_sources,
    risk_on_points,
    simulate_from_sources,
    weight_law,
)
from synthsift.theory.mixing_sources import GaussianSource, Source, pilot_source

DIM = 60
RATES = {"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.3}


def _covariance(rng: np.random.Generator, dim: int = DIM) -> np.ndarray:
    x = rng.standard_normal((2 * dim, dim)) * np.linspace(0.4, 1.5, dim)
    return x.T @ x / len(x)


def _rows(rng: np.random.Generator, size: int, mean: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y = np.where(rng.random(size) < 0.5, 1.0, -1.0)
    return y[:, None] * mean + rng.standard_normal((size, len(mean))) @ root, y


@pytest.mark.parametrize("ridge", [1e-4, 0.1, 3.0])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_moment_form_reproduces_the_scalar_form(ridge: float, weight: float) -> None:
    spectrum, mean = np.linspace(0.3, 2.0, DIM), np.linspace(0.4, 0.0, DIM)
    sources = [
        GaussianSource(80, mean, np.diag(spectrum), label_noise=0.1).moments,
        GaussianSource(200, mean, np.diag(spectrum), **RATES, weight=weight).moments,
    ]
    found = predict_from_sources(sources, ridge, mean, np.diag(spectrum))
    scalar = predict_accuracy(
        80, 200, DIM, None, ridge, spectrum=spectrum, mean=mean, real_label_noise=0.1, synth_weight=weight, **RATES
    )
    assert float(found.mean) == pytest.approx(float(scalar.mean), abs=1e-9)
    for name in ("a", "v", "risk"):
        assert found.terms[name] == pytest.approx(float(scalar.terms[name]), rel=1e-8)
    np.testing.assert_allclose(found.terms["delta"], [scalar.terms["delta_r"], scalar.terms["delta_s"]], rtol=1e-8)


def test_isotropic_generator_is_a_source_with_another_covariance() -> None:
    spectrum, mean = np.linspace(0.3, 2.0, DIM), np.linspace(0.4, 0.0, DIM)
    sources = [
        GaussianSource(80, mean, np.diag(spectrum)).moments,
        GaussianSource(200, mean, 0.7 * np.eye(DIM), **RATES).moments,
    ]
    found = predict_from_sources(sources, 0.1, mean, np.diag(spectrum))
    options: dict[str, Any] = {"generator_covariance": "isotropic", "isotropic_variance": 0.7, "exact_mean": True}
    scalar = predict_accuracy(80, 200, DIM, None, 0.1, spectrum=spectrum, mean=mean, **RATES, **options)
    assert float(found.mean) == pytest.approx(float(scalar.mean), abs=1e-9)


def test_three_sources_of_any_covariance_against_training() -> None:
    rng = np.random.default_rng(1)
    mean = np.linspace(0.4, 0.0, DIM)
    shifted = mean + 0.1 * rng.standard_normal(DIM)
    sources = [
        GaussianSource(90, mean, _covariance(rng)),
        GaussianSource(150, shifted, _covariance(rng), label_noise=0.2, keep_right=0.9, keep_wrong=0.3, weight=0.5),
        GaussianSource(60, -0.2 * mean, _covariance(rng), label_noise=0.4, keep_right=0.7, weight=2.0),
    ]
    test_covariance = _covariance(rng)
    predicted = predict_from_sources([s.moments for s in sources], 0.1, mean, test_covariance)
    simulated = simulate_from_sources(sources, 0.1, mean, test_covariance, seeds=2, repeats=400)
    # Four standard errors; .01 is the finite size of dim = 60.
    assert float(simulated.mean) == pytest.approx(
        float(predicted.mean), abs=max(4 * float(simulated.terms["SE"]), 0.01)
    )
    assert float(simulated.terms["risk"]) == pytest.approx(predicted.terms["risk"], rel=0.05)


def test_weight_law_matches_trained_weights() -> None:
    rng = np.random.default_rng(3)
    covariance, mean = _covariance(rng, 30), np.linspace(0.5, 0.0, 30)
    source = GaussianSource(150, mean, covariance, label_noise=0.2)
    law = weight_law([source.moments], 0.2)
    root = np.linalg.cholesky(covariance).T
    weights = []
    for _ in range(600):
        x, y = _rows(rng, 150, mean, root)
        t = y * np.where(rng.random(150) < 0.2, -1, 1)
        weights.append(np.linalg.solve(x.T @ x / 150 + 0.2 * np.eye(30), x.T @ t / 150))
    fitted = np.array(weights)
    error = fitted.std(axis=0) / np.sqrt(600)
    assert np.all(np.abs(fitted.mean(axis=0) - law.w_bar) < 5 * error + 0.01 * np.abs(law.w_bar).max())
    # The total fluctuation is known to 1/sqrt(600 * 30) of itself; 5 % is the finite size of dim = 30.
    assert fitted.var(axis=0).sum() == pytest.approx(np.trace(law.Sigma_w), rel=0.05)


def test_points_form_agrees_with_the_gaussian_form_on_gaussian_points() -> None:
    rng = np.random.default_rng(4)
    covariance, mean = _covariance(rng), np.linspace(0.4, 0.0, DIM)
    sources = [GaussianSource(90, mean, covariance).moments, GaussianSource(150, mean, np.eye(DIM), **RATES).moments]
    law = weight_law(sources, 0.1)
    x, y = _rows(rng, 20_000, mean, np.linalg.cholesky(covariance).T)
    correct = accuracy_on_points(law, x, y)
    gaussian = predict_from_sources(sources, 0.1, mean, covariance)
    # Four standard errors, and .01 because |x| varies at dim = 60.
    assert correct.mean() == pytest.approx(float(gaussian.mean), abs=4 * correct.std() / np.sqrt(20_000) + 0.01)
    # Points carry their mean into x' Sigma_w x, a term of order 1/rows that the Gaussian form leaves out.
    risks, expected = risk_on_points(law, x, y), gaussian.terms["risk"] + mean @ law.Sigma_w @ mean
    assert risks.mean() == pytest.approx(expected, abs=4 * risks.std() / np.sqrt(20_000))


def _conditional_case() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    mean = np.linspace(0.35, 0.0, DIM)
    x_real, y_real = _rows(rng, 50, mean, np.eye(DIM))
    x_real = x_real + 0.3 * rng.standard_t(5, x_real.shape)  # not Gaussian
    x_test, y_test = _rows(rng, 300, mean, np.eye(DIM))
    own = x_real * y_real[:, None]
    fitted = GaussianSource(200, own.mean(axis=0), np.cov(own.T, bias=True) * 0.9 + 0.1 * np.eye(DIM), **RATES)
    return {"real": (x_real, y_real), "test": (x_test, y_test), "source": fitted}


@pytest.mark.parametrize("ridge", [0.05, 0.5])
def test_given_real_rows_against_training(ridge: float) -> None:
    case = _conditional_case()
    arguments = (*case["real"],)
    predicted = predict_on_points(*arguments, [case["source"].moments], ridge, *case["test"])
    simulated = simulate_on_points(*arguments, [case["source"]], ridge, *case["test"], seeds=6, repeats=300)
    assert float(predicted.mean) == pytest.approx(
        float(simulated.mean), abs=max(4 * float(simulated.terms["SE"]), 0.005)
    )
    assert float(predicted.terms["risk"]) == pytest.approx(float(simulated.terms["risk"]), rel=0.03)
    assert predicted.low < predicted.mean < predicted.high
    assert predicted.terms["correct"].shape == (300,)


def test_without_synthetic_rows_the_law_given_real_rows_is_one_fit() -> None:
    case = _conditional_case()
    (x, y), (x_test, y_test) = case["real"], case["test"]
    predicted = predict_on_points(x, y, [], 0.1, x_test, y_test)
    w = np.linalg.solve(x.T @ x / 50 + 0.1 * np.eye(DIM), x.T @ y / 50)
    assert float(predicted.mean) == pytest.approx((y_test * (x_test @ w) > 0).mean(), abs=1e-12)
    assert float(predicted.terms["risk"]) == pytest.approx(((y_test - x_test @ w) ** 2).mean(), rel=1e-9)


def test_cross_validation_judges_every_row_by_the_others() -> None:
    case = _conditional_case()
    x, y = case["test"]

    def fit(x_train: np.ndarray, y_train: np.ndarray) -> list[Source]:
        assert len(x_train) == 240
        own = x_train * y_train[:, None]
        return [GaussianSource(200, own.mean(axis=0), np.cov(own.T, bias=True), **RATES).moments]

    judged = predict_cross_validated(x, y, fit, 0.1, folds=5, seeds=1)
    assert judged.terms["correct"].shape == (300,)
    place = stratified_folds(y, 5, Seeds(1))
    rest, held = place != 2, place == 2
    direct = predict_on_points(x[rest], y[rest], fit(x[rest], y[rest]), 0.1, x[held], y[held])
    np.testing.assert_allclose(judged.terms["correct"][held], direct.terms["correct"], rtol=1e-12)
    fixed = predict_cross_validated(x, y, [case["source"].moments], 0.1)
    assert 0.5 < float(fixed.mean) < 1.0 and float(fixed.at) == 200


def test_folds_are_even_in_each_class() -> None:
    y = np.r_[np.ones(23), -np.ones(11)]
    place = stratified_folds(y, 4, Seeds(0))
    for label in (1, -1):
        counts = np.bincount(place[y == label], minlength=4)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("size", "value"), [(100, 0.771), (300, 0.839), (1000, 0.897), (3000, 0.913)])
def test_pilot_batch_is_a_lower_bound(size: int, value: float) -> None:
    rng, dim = np.random.default_rng(size), 100
    mean = np.r_[1.5, np.zeros(dim - 1)]
    real = GaussianSource(150, mean, np.eye(dim)).moments
    exact = predict_from_sources(
        [real, GaussianSource(3000, mean, np.eye(dim), **RATES).moments], 0.1, mean, np.eye(dim)
    )
    assert float(exact.mean) == pytest.approx(0.923, abs=5.1e-4)  # three decimals are printed
    found = []
    for _ in range(8):
        x, y = _rows(rng, size, mean, np.eye(dim))
        flips = np.where(rng.random(size) < 0.2, -1.0, 1.0)
        kept = rng.random(size) < np.where(flips > 0, 0.9, 0.3)
        source = pilot_source(x, y * flips, 3000, kept=kept)
        found.append(float(predict_from_sources([real, source], 0.1, mean, np.eye(dim)).mean))
    # Four standard errors of these pilots, and as much rounding as three decimals of a stated average have.
    assert np.mean(found) == pytest.approx(value, abs=4 * np.std(found, ddof=1) / np.sqrt(8) + 0.0005)
    assert max(found) < float(exact.mean)


BAD_SOURCES: list[dict[str, Any]] = [
    {"count": -1.0},
    {"count": np.inf},
    {"alpha": 1.2},
    {"S": np.eye(3)},
    {"S": np.triu(np.ones((2, 2)))},
    {"S": np.full((2, 2), np.nan)},
    {"B": np.eye(3)},
    {"h": np.array([np.nan, 0.0])},
    {"weight": -1.0},
]


@pytest.mark.parametrize("change", BAD_SOURCES)
def test_bad_sources(change: dict[str, Any]) -> None:
    valid: dict[str, Any] = {"count": 10.0, "alpha": 1.0, "h": np.zeros(2), "S": np.eye(2)}
    with pytest.raises(ValueError):
        Source(**{**valid, **change})


def test_bad_combinations() -> None:
    small, large = (GaussianSource(10, np.ones(d), np.eye(d)).moments for d in (2, 3))
    x, y = np.ones((4, 2)), np.array([1.0, -1.0, 1.0, -1.0])
    with pytest.raises(ValueError, match="one dimension"):
        weight_law([small, large], 0.1)
    with pytest.raises(ValueError, match="0 rows"):
        weight_law([Source(0.0, 1.0, np.zeros(2), np.eye(2))], 0.1)
    with pytest.raises(ValueError, match="ridge"):
        weight_law([small], 0.0)
    with pytest.raises(ValueError, match="test mean"):
        predict_from_sources([small], 0.1, np.ones(3), np.eye(3))
    with pytest.raises(ValueError, match="label_noise"):
        GaussianSource(10, np.ones(2), np.eye(2), label_noise=1.5)
    with pytest.raises(ValueError, match="per label"):
        predict_on_points(x, y[:3], [small], 0.1, x, y)
    with pytest.raises(ValueError, match="recode"):
        predict_on_points(x, y * 2, [small], 0.1, x, y)
    with pytest.raises(ValueError, match="no rows to judge"):
        predict_on_points(x, y, [small], 0.1, x[:0], y[:0])
    with pytest.raises(ValueError, match="folds is 9"):
        predict_cross_validated(x, y, [small], 0.1, folds=9)
    with pytest.raises(ValueError, match="not 0"):
        pilot_source(x[:0], y[:0], 10.0)


def test_a_source_that_keeps_nothing_changes_only_the_penalty() -> None:
    mean = np.linspace(0.4, 0.0, DIM)
    real = GaussianSource(80, mean, np.eye(DIM)).moments
    nothing = pilot_source(np.ones((5, DIM)), np.ones(5), 120, kept=np.zeros(5, dtype=bool))
    with_nothing = predict_from_sources([real, nothing], 0.1, mean, np.eye(DIM))
    alone = predict_from_sources([real], 0.1 * 200 / 80, mean, np.eye(DIM))
    assert float(with_nothing.mean) == pytest.approx(float(alone.mean), abs=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_handwritten_digits_given_the_real_rows(seed: int) -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    y = np.where(digits.target % 2 == 1, 1.0, -1.0)
    x = digits.data[:, digits.data.std(axis=0) > 0.5]
    order = np.random.default_rng(seed).permutation(len(y))
    x, y = x[order], y[order]
    x = (x - (x[y > 0].mean(axis=0) + x[y < 0].mean(axis=0)) / 2) / x.std(axis=0)
    x_real, y_real, x_test, y_test = x[:100], y[:100], x[100:], y[100:]
    own = x_real * y_real[:, None]
    covariance = np.cov(own.T, bias=True)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    source = GaussianSource(300, own.mean(axis=0), shrunk, **RATES)
    predicted = predict_on_points(x_real, y_real, [source.moments], 0.1, x_test, y_test)
    simulated = simulate_on_points(x_real, y_real, [source], 0.1, x_test, y_test, seeds=seed, repeats=40)
    # Four standard errors and .004, the largest error known for this case: the real rows are not Gaussian.
    assert float(predicted.mean) == pytest.approx(float(simulated.mean), abs=4 * float(simulated.terms["SE"]) + 0.004)
    assert 0.75 < float(simulated.mean) < 0.95
