"""The fast curve against the slow law, one question at a time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.mixing_conditional import predict_cross_validated
from synthsift.theory.mixing_curve import JudgedRows, Questions, accuracy_curve
from synthsift.theory.mixing_sources import GaussianSource, Source, pilot_source


def world(n: int = 60, dim: int = 12, pilot: int = 150, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray, Source]:
    rng = np.random.default_rng(n)
    y = np.repeat([-1.0, 1.0], [n // 3, n - n // 3])
    x = rng.standard_normal((n, dim)) * np.linspace(1.5, 0.5, dim) + y[:, None] * 0.35
    labels = rng.choice([-1.0, 1.0], pilot)
    z = rng.standard_normal((pilot, dim)) + labels[:, None] * 0.3
    return x, y, pilot_source(z, np.where(rng.random(pilot) < noise, -labels, labels), 0.0)


def verified(source: Source, count: float, alpha: float, signal: float, weight: float) -> Source:
    return Source(count, alpha, signal * source.h, alpha * source.S, None, weight)


def test_equals_the_law_for_one_question_at_a_time() -> None:
    x, y, source = world()
    eps, phi, rho, omega = (np.array(v) for v in ([0.2, 0.2, 0.3], [1.0, 0.9, 1.0], [1.0, 0.3, 0.0], [1.0, 1.0, 0.4]))
    questions = Questions.of_rates(eps, phi, rho, batch_noise=0.2, synth_weight=omega)
    sizes, ridges = np.array([0.0, 30.0, 500.0]), np.array([0.05, 0.05, 2.0])
    fast = accuracy_curve(JudgedRows(x, y, source, seeds=4), sizes, ridges, questions)
    for k, (size, ridge) in enumerate(zip(sizes, ridges, strict=True)):
        for j in range(3):
            one = verified(source, size, questions.alpha[j], questions.signal[j], omega[j])
            slow = predict_cross_validated(x, y, [one], float(ridge), seeds=4)
            assert fast[k, j] == pytest.approx(float(slow.mean), abs=1e-9)


def test_moments_of_a_batch_count_its_noise_once() -> None:
    """Predictions from batches of 120 rows against models trained on fresh rows, judged on the held-out real ones."""
    dim, batch, ridge = 60, 120, 0.05
    mean, rng = np.full(dim, 0.17), np.random.default_rng(60)
    y = np.repeat([-1.0, 1.0], 100)
    x = rng.standard_normal((200, dim)) + y[:, None] * mean
    sizes, gaps = np.array([30.0, 60.0, 120.0]), []
    # As they are, with more wrong labels than the batch has, and thinned by a verifier that knows nothing.
    asked = {"as": (0.15, 1.0), "noisier": (0.35, 1.0), "thinned": (0.15, 0.5)}
    noises, keeps = np.array(list(asked.values())).T
    questions = Questions.of_rates(noises, keeps, keeps, batch_noise=0.15)

    def draw(count: int, noise: float = 0.15, keep: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        t = rng.choice([-1.0, 1.0], count)
        z, kept = rng.standard_normal((count, dim)) + t[:, None] * mean, rng.random(count) < keep
        return z[kept], np.where(rng.random(count) < noise, -t, t)[kept]

    for _ in range(60):
        source = pilot_source(*draw(batch), 0.0)
        once, twice = (
            accuracy_curve(JudgedRows(x, y, source, batch_rows=rows), sizes, ridge, questions)
            for rows in (batch, np.inf)
        )
        place = JudgedRows(x, y, source).fold
        measured = np.array(
            [[trained(x, y, *draw(int(n), *how), ridge * (160 + n), place) for how in asked.values()] for n in sizes]
        )
        gaps.append((once - measured, twice - measured))
    mean_gap, error = np.mean(gaps, axis=0), np.std(gaps, axis=0, ddof=1) / np.sqrt(60)
    assert (np.abs(mean_gap[0]) <= np.maximum(3 * error[0], 0.004)).all(), mean_gap[0]
    assert mean_gap[1, 2, 0] < -3 * error[1, 2, 0]  # at all rows of the batch, its noise counted twice is too much


def trained(x: np.ndarray, y: np.ndarray, z: np.ndarray, t: np.ndarray, penalty: float, place: np.ndarray) -> float:
    """Accuracy over the folds of models trained on the other folds and all rows z."""
    right = 0
    for fold in range(5):
        fitted, labels = np.concatenate([x[place != fold], z]), np.concatenate([y[place != fold], t])
        w = np.linalg.solve(fitted.T @ fitted + penalty * np.eye(x.shape[1]), fitted.T @ labels)
        right += int((y[place == fold] * (x[place == fold] @ w) > 0).sum())
    return right / len(y)


def test_rates_are_those_of_a_gaussian_source() -> None:
    """Noise and verification scale the moments of an unverified batch as the Gaussian model says."""
    mean, cov = np.array([1.0, 0.5]), np.diag([1.0, 2.0])
    batch = GaussianSource(1, mean, cov, 0.2).moments
    wanted = GaussianSource(1, mean, cov, 0.3, 0.9, 0.25).moments
    asked = Questions.of_rates(0.3, 0.9, 0.25, batch_noise=0.2)
    np.testing.assert_allclose(asked.signal[0] * batch.h, wanted.h)
    np.testing.assert_allclose(asked.alpha[0] * batch.S, wanted.S)


def test_row_weights_are_counts() -> None:
    x, y, source = world()
    rows = JudgedRows(x, y, source, folds=3)
    questions = Questions.of_rates([0.1, 0.1])
    counts = np.ones((len(y), 2))
    counts[:10, 1] = 0.0
    weighted = accuracy_curve(rows, [100.0], 0.3, questions, row_weight=counts)
    assert weighted[0, 0] == pytest.approx(accuracy_curve(rows, [100.0], 0.3, questions)[0, 0])
    assert weighted[0, 1] != weighted[0, 0]


def test_few_judges_are_a_sample_of_all() -> None:
    x, y, source = world(n=400)
    rows = JudgedRows(x, y, source, max_judges=100)
    assert (rows.fold >= 0).sum() == 100
    few = accuracy_curve(rows, [50.0], 0.3, Questions.of_rates(0.2))[0, 0]
    every = accuracy_curve(JudgedRows(x, y, source), [50.0], 0.3, Questions.of_rates(0.2))[0, 0]
    assert abs(few - every) < 4 * np.sqrt(0.25 / 100)


def test_nothing_kept_and_no_weight_equal_real_rows_alone_at_that_penalty() -> None:
    x, y, source = world()
    rows = JudgedRows(x, y, source)
    nothing = Questions.of_rates([0.2, 0.2], [0.0, 1.0], [0.0, 1.0], synth_weight=[1.0, 0.0])
    found = accuracy_curve(rows, [80.0], 0.1, nothing)[0]
    # gamma N with N = 48 + 80 rows is the penalty of 48 rows at gamma (48 + 80)/48
    alone = accuracy_curve(rows, [0.0], 0.1 * 128 / 48, Questions.of_rates(0.0))[0]
    np.testing.assert_allclose(found, alone[0], atol=1e-12)


def test_more_features_than_rows_and_a_singular_batch() -> None:
    x, y, source = world(n=30, dim=40, pilot=20)
    found = accuracy_curve(JudgedRows(x, y, source), [0, 1, 1e6], 1e-6, Questions.of_rates([0.0, 0.2]))
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()


def test_full_size_is_fast() -> None:
    """40 amounts x 900 questions at 200 features: 20 s is what a whole plan may take on one idle core."""
    x, y, source = world(n=400, dim=200, pilot=2000)
    started = time.process_time()
    accuracy_curve(JudgedRows(x, y, source), np.geomspace(10, 1e5, 4), 0.5, Questions.of_rates(np.full(900, 0.1)))
    assert (time.process_time() - started) * 10 < 40  # twice the goal, for a busy machine


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"folds": 1}, "folds"),
        ({"source": Source(1, 0.5, np.zeros(12), np.eye(12))}, "unverified"),
        ({"source": Source(1, 1.0, np.zeros(3), np.eye(3))}, "as many features"),
    ],
)
def test_bad_rows(change: dict, word: str) -> None:
    x, y, source = world()
    with pytest.raises(DataError, match=word):
        JudgedRows(**{"x": x, "y": y, "source": source, **change})


def test_bad_questions() -> None:
    x, y, source = world()
    with pytest.raises(DataError, match="label them anew"):
        Questions.of_rates(0.1, batch_noise=0.5)
    with pytest.raises(DataError, match="finite"):
        accuracy_curve(JudgedRows(x, y, source), [np.inf], 0.1, Questions.of_rates(0.1))
    with pytest.raises(DataError, match="ridge"):
        accuracy_curve(JudgedRows(x, y, source), [1.0], 0.0, Questions.of_rates(0.1))
    one = np.outer(y, np.arange(1.0, x.shape[1] + 1))  # every row a multiple of one direction
    with pytest.raises(DataError, match="too much alike"):
        accuracy_curve(JudgedRows(one, y, source), [1.0], 1e-18, Questions.of_rates(0.1))
