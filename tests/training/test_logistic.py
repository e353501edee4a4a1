"""One weighted softmax fit against scikit-learn, and the meaning of its weights."""

from __future__ import annotations

import numpy as np
import pytest

from reference import logistic_by_sklearn
from synthsift.training.choosing import usual_strength
from synthsift.training.logistic import LinearModel, fit_logistic, softmax

SHARP = 1e-8  # a tolerance at which the optimum is reached but for rounding; predictions then agree to 1e-4

Problem = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw(num_classes: int, n: int = 150, d: int = 5) -> Problem:
    """Inputs (n, d), labels of a softmax law, and weights between 0.1 and 3."""
    rng = np.random.default_rng(num_classes)
    x, slopes = rng.standard_normal((n, d)), rng.standard_normal((d, num_classes))
    return x, (x @ slopes + rng.gumbel(size=(n, num_classes))).argmax(axis=1), rng.uniform(0.1, 3, n)


@pytest.mark.parametrize("strength", [4.0**-5, 1 / 16, 1.0, 64.0])
@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_the_model_is_the_one_sklearn_finds(num_classes: int, strength: float) -> None:
    x, y, weight = draw(num_classes)
    want = logistic_by_sklearn(x, y, weight, num_classes, strength)(x)
    # the default tolerance promises predictions within 2e-3
    got = fit_logistic(x, y, weight, num_classes, strength).predict_proba(x)
    np.testing.assert_allclose(got, want, atol=2e-3)
    got = fit_logistic(x, y, weight, num_classes, strength, tolerance=SHARP).predict_proba(x)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_where_the_search_begins_does_not_matter() -> None:
    x, y, weight = draw(3)
    far = LinearModel(np.full((5, 3), 2.0) * [1, -1, 0], np.array([1.0, 0.0, -1.0]), 1.0)
    cold = fit_logistic(x, y, weight, 3, 1.0, tolerance=SHARP)
    warm = fit_logistic(x, y, weight, 3, 1.0, far, tolerance=SHARP)
    np.testing.assert_allclose(warm.predict_proba(x), cold.predict_proba(x), atol=1e-4)
    unusable = LinearModel(np.zeros((5, 3)), np.array([0.0, 0.0, -np.inf]), 1.0)  # did not know the last class
    assert np.array_equal(fit_logistic(x, y, weight, 3, 1.0, unusable).coef, fit_logistic(x, y, weight, 3, 1.0).coef)


def test_a_weight_of_k_is_k_copies() -> None:
    x, y, _ = draw(3)
    times = np.arange(len(y)) % 4 + 1
    rows = np.repeat(np.arange(len(y)), times)
    weighted = fit_logistic(x, y, times.astype(float), 3, 0.5, tolerance=SHARP)
    copied = fit_logistic(x[rows], y[rows], np.ones(len(rows)), 3, 0.5, tolerance=SHARP)
    np.testing.assert_allclose(weighted.predict_proba(x), copied.predict_proba(x), atol=1e-4)


def test_a_weight_of_zero_is_removal() -> None:
    x, y, weight = draw(3)
    weight[::3] = 0.0
    kept = weight > 0
    weighted = fit_logistic(x, y, weight, 3, 0.5, tolerance=SHARP)
    removed = fit_logistic(x[kept], y[kept], weight[kept], 3, 0.5, tolerance=SHARP)
    np.testing.assert_allclose(weighted.predict_proba(x), removed.predict_proba(x), atol=1e-4)


def test_a_class_without_rows_has_no_chance_and_changes_nothing() -> None:
    x, y, weight = draw(3)
    wide = fit_logistic(x, np.array([0, 2, 4])[y], weight, 6, 1.0).predict_proba(x)
    assert np.all(wide[:, [1, 3, 5]] == 0)
    assert np.array_equal(wide[:, [0, 2, 4]], fit_logistic(x, y, weight, 3, 1.0).predict_proba(x))


def test_one_class_alone_is_certain() -> None:
    x, _, weight = draw(3)
    model = fit_logistic(x, np.full(len(x), 1), weight, 3, 1.0)
    assert np.array_equal(model.predict_proba(x), np.tile([0.0, 1.0, 0.0], (len(x), 1)))


def test_the_intercept_is_not_penalized() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.2).astype(int)
    model = fit_logistic(rng.standard_normal((400, 2)), y, np.ones(400), 2, 4.0**-7, tolerance=SHARP)
    # slopes are held near 0 (|w| <= C n / 2 = .012), so that what is left is the class share
    assert model.predict_proba(np.zeros((1, 2)))[0, 1] == pytest.approx(y.mean(), abs=1e-3)


def test_single_precision_inputs_are_enough() -> None:
    x, y, weight = draw(3)
    single = fit_logistic(x.astype(np.float32), y, weight, 3, 1.0).predict_proba(x)
    np.testing.assert_allclose(single, logistic_by_sklearn(x, y, weight, 3, 1.0)(x), atol=2e-3)


def test_softmax_of_large_and_of_missing_logits() -> None:
    logits = np.array([[1e4, 0.0, -np.inf], [0.0, 0.0, -np.inf], [-1e4, -1e4, -np.inf]])
    assert softmax(logits).tolist() == [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]
    assert logits[0, 0] == 1e4, "what is passed in stays as it is"


def test_the_usual_strength_follows_the_size_of_the_inputs() -> None:
    x = np.random.default_rng(0).standard_normal((500, 16))  # E|x|^2 = 16: strength 1
    assert [usual_strength(x * size) - usual_strength(x) for size in (1, 2, 0.5, 4)] == [0, -1, 1, -2]
    assert usual_strength(np.zeros((3, 2))) == usual_strength(np.full((3, 2), 1e-9)), "the weakest of the path"
