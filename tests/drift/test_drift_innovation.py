"""Innovations with their noise subtracted, the test for a repeating error, and the records they travel in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthsift.drift.forecast import TEST_PAIRS, measure_innovation
from synthsift.drift.innovation import (
    coherence_p_value,
    corrected_products,
    covariance_rank,
    error_rank,
    innovation_noise,
    innovations,
    split_energy,
    watch_features,
)
from synthsift.drift.laws import next_delta
from synthsift.drift.traces import DriftTrace, Measured, Track
from synthsift.records import DataError


def make_trace(
    rng: np.random.Generator,
    alpha: np.ndarray,
    *,
    share: float,
    width: int = 24,
    J: float = 0.01,
    noise: float = 0.001,
    reference: float = 0.0004,
) -> DriftTrace:
    """A stream with isotropic errors of which `share` repeats, measured with noise; starts without drift."""
    bias = rng.standard_normal(width)
    bias *= math.sqrt(share * J) / np.linalg.norm(bias)
    delta = [np.zeros(width)]
    for a in alpha:
        delta.append(next_delta(delta[-1], bias + math.sqrt((1 - share) * J / width) * rng.standard_normal(width), a))
    g = len(alpha) + 1
    seen = np.array(delta) + math.sqrt(noise / width) * rng.standard_normal((g, width))
    seen -= math.sqrt(reference / width) * rng.standard_normal(width)
    return DriftTrace(tuple(map(str, range(g))), np.asarray(alpha, float), seen, np.full(g, noise), reference, width)


def test_noise_matrix_against_its_formulas() -> None:
    alpha, v, ref = np.array([0.1, 0.4, 0.7]), np.array([1.0, 2.0, 3.0, 5.0]), 0.5
    got = innovation_noise(alpha, v, ref)
    slow = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            slow[i, j] = alpha[i] * alpha[j] * ref
            if i == j:
                slow[i, j] += v[i + 1] + (1 - alpha[i]) ** 2 * v[i]
            if abs(i - j) == 1:
                late = max(i, j)
                slow[i, j] -= (1 - alpha[late]) * v[late]
    np.testing.assert_allclose(got, slow, rtol=1e-12)
    # With equal alpha and v these are the formulas of the specification.
    same = innovation_noise(np.full(3, 0.3), np.full(4, 2.0), 0.5)
    assert same[0, 0] == pytest.approx((1 + 0.49) * 2 + 0.09 * 0.5)
    assert same[0, 1] == pytest.approx(-0.7 * 2 + 0.09 * 0.5) and same[0, 2] == pytest.approx(0.09 * 0.5)


def test_corrected_energies_are_unbiased_with_a_changing_fraction() -> None:
    rng, alpha = np.random.default_rng(0), np.array([0.1, 0.5, 0.3, 0.9, 0.0, 0.2])
    for share in (0.0, 0.6):
        got = [split_energy(corrected_products(make_trace(rng, alpha, share=share))) for _ in range(400)]
        error = np.std(got, axis=0) / math.sqrt(400)
        assert np.all(np.abs(np.mean(got, axis=0) - (0.01, share * 0.01)) <= 4 * error)


def test_innovations_undo_the_known_recursion() -> None:
    rng, alpha = np.random.default_rng(1), np.array([0.1, 0.5, 0.3])
    b, delta = rng.standard_normal((3, 4)), [rng.standard_normal(4)]
    for bias, a in zip(b, alpha, strict=True):
        delta.append(next_delta(delta[-1], bias, a))
    trace = DriftTrace(("0", "1", "2", "3"), alpha, np.array(delta), np.zeros(4), 0.0, 4.0)
    np.testing.assert_allclose(innovations(trace), b, atol=1e-12)


def test_watched_features_meet_their_definitions() -> None:
    rng = np.random.default_rng(2)
    real, first, second = rng.standard_normal((200, 3)), rng.standard_normal((90, 3)), rng.standard_normal((80, 3)) + 1
    trace = watch_features(real, [first, second], 0.3)
    np.testing.assert_allclose(trace.delta[1], second.mean(0) - real.mean(0))
    assert trace.noise[0] == pytest.approx(np.trace(np.cov(first.T)) / 90)
    assert trace.reference_noise == pytest.approx(np.trace(np.cov(real.T)) / 200)
    assert trace.drift[1] == pytest.approx(np.sum(trace.delta[1] ** 2) - trace.noise[1] - trace.reference_noise)
    assert trace.alpha.tolist() == [0.3] and trace.names == ("0", "1")
    eigenvalues = np.linalg.eigvalsh(np.cov(real.T))
    assert trace.noise_rank == pytest.approx(eigenvalues.sum() ** 2 / np.sum(eigenvalues**2), rel=1e-9)
    assert covariance_rank(real[:2]) == pytest.approx(1.0)


def test_measured_drift_is_zero_in_the_mean_without_drift() -> None:
    rng = np.random.default_rng(3)
    drift = [
        watch_features(rng.standard_normal((100, 5)), [rng.standard_normal((60, 5))], 0.5).drift[0] for _ in range(400)
    ]
    assert abs(np.mean(drift)) <= 4 * np.std(drift) / 20


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_random_errors_are_rarely_called_systematic(alpha: float) -> None:
    rng, calls = np.random.default_rng(4), 0
    for width in (3, 24):
        for _ in range(50):
            trace = make_trace(rng, np.full(5, alpha), share=0.0, width=width)
            calls += coherence_p_value(trace, error_rank(trace, TEST_PAIRS), rng, num_draws=500) < 0.05
    # 5 % of 100 is 5; 12 is three binomial deviations above.
    assert calls <= 12


def test_systematic_errors_are_found_with_their_coherence() -> None:
    rng, kappas = np.random.default_rng(5), []
    for r in range(16):
        found = measure_innovation(make_trace(rng, np.full(5, 0.3), share=0.8, noise=0.0003), seeds=r)
        assert found.verdict == "systematic" and found.kappa_low <= found.kappa <= found.kappa_high
        kappas.append(found.kappa)
    assert abs(np.mean(kappas) - 0.8) <= 4 * np.std(kappas) / 4


def test_verdict_is_unknown_where_nothing_can_be_said() -> None:
    rng = np.random.default_rng(6)
    assert measure_innovation(make_trace(rng, np.array([0.3]), share=1.0), seeds=0).verdict == "unknown"
    silent = make_trace(np.random.default_rng(8), np.full(4, 0.3), share=0.0, J=1e-9, noise=0.01)
    energies = split_energy(corrected_products(silent))
    found = measure_innovation(silent, seeds=0)
    assert found.kappa == 0 and (found.verdict == "unknown") == (energies[0] <= 0)


def test_error_rank_is_modest_with_few_rounds_and_right_with_many() -> None:
    rng = np.random.default_rng(7)
    few = [error_rank(make_trace(rng, np.full(3, 0.5), share=0.5), 1.0) for _ in range(30)]
    many = [error_rank(make_trace(rng, np.full(40, 0.5), share=0.5), 1.0) for _ in range(5)]
    assert max(few) <= 4.0 and np.mean(many) == pytest.approx(24, rel=0.15)
    assert error_rank(make_trace(rng, np.array([0.5]), share=0.5), 1.0) == 2.0


GOOD = {
    "names": ("a", "b"),
    "alpha": np.array([0.5]),
    "delta": np.zeros((2, 3)),
    "noise": np.ones(2),
    "reference_noise": 0.1,
    "noise_rank": 2.0,
}


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("alpha", np.array([0.5, 0.5]), "one per step"),
        ("alpha", np.array([1.5]), r"\[0, 1\]"),
        ("alpha", np.array([np.nan]), r"\[0, 1\]"),
        ("delta", np.full((2, 3), np.nan), "finite"),
        ("delta", np.zeros((3, 3)), "fit together"),
        ("noise", np.array([1.0, -1.0]), "not negative"),
        ("noise_rank", 0.5, "noise rank"),
        ("p_value", np.ones(3), "p_value"),
        ("tracks", {"x": Track(*np.zeros((4, 3)))}, "track"),
    ],
)
def test_trace_invariants(field: str, value: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        DriftTrace(**{**GOOD, field: value})  # type: ignore[arg-type]


def test_small_records_check_themselves() -> None:
    assert DriftTrace(**GOOD).drift.shape == (2,)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="track"):
        Track(np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="contain"):
        Measured(1.0, 0.0, low=2.0)


@pytest.mark.parametrize(
    ("generations", "alpha", "match"),
    [
        ([], 0.5, "no generation"),
        ([np.zeros((20, 3))], 0.5, "20 rows"),
        ([np.zeros((60, 4))], 0.5, "wide"),
        ([np.full((60, 3), np.inf)], 0.5, "infinite"),
        ([np.zeros((60, 3))] * 2, 1.2, "fresh fraction"),
        ([np.zeros((60, 3))] * 2, [0.5, 0.5], "1 training steps"),
        ([np.zeros((60, 3))] * 2, math.nan, "fresh fraction"),
    ],
)
def test_bad_streams_are_refused(generations: list[np.ndarray], alpha: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        watch_features(np.random.default_rng(0).standard_normal((60, 3)), generations, alpha)  # type: ignore[arg-type]
