"""Class separation, spectrum and class mean from rows: right on average, honest intervals, planted truths."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.measure import measure_geometry, measure_moments
from synthsift.theory.measure_overlap import find_overlap
from synthsift.theory.measure_spectrum import effective_dimension, measure_spectrum
from synthsift.theory.mixing import predict_accuracy

RUNS = 300
BAND = 4 * np.sqrt(0.95 * 0.05 / RUNS)  # four standard errors of a coverage of .95 over so many studies


def decaying(dim: int) -> np.ndarray:
    values = np.arange(1, dim + 1) ** -0.7
    return values * dim / values.sum()


def draw(
    rng: np.random.Generator, counts: tuple[int, int], spectrum: np.ndarray, mean: np.ndarray, tails: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat([-1, 1], counts)
    noise = rng.standard_t(6, (len(y), len(mean))) / np.sqrt(1.5) if tails else rng.normal(size=(len(y), len(mean)))
    return 3.0 + y[:, None] * mean + noise * np.sqrt(spectrum), y


@pytest.mark.parametrize(
    ("counts", "dim", "length", "tails"),
    [((40, 40), 60, 1.2, False), ((20, 90), 30, 0.8, False), ((60, 60), 40, 1.0, True), ((30, 30), 50, 0.0, False)],
)
def test_separation_is_unbiased_and_its_interval_covers(
    counts: tuple[int, int], dim: int, length: float, tails: bool
) -> None:
    rng = np.random.default_rng(sum(counts) + dim)
    spectrum = decaying(dim)
    mean = np.full(dim, length / np.sqrt(dim))
    found = [measure_geometry(*draw(rng, counts, spectrum, mean, tails)) for _ in range(RUNS)]
    squares = np.array([geometry.mean_square.value for geometry in found])
    assert abs(squares.mean() - length**2) < 4 * squares.std() / np.sqrt(RUNS)
    raw = np.array([geometry.moments.mean @ geometry.moments.mean for geometry in found])
    if dim / min(counts) > 0.4:
        assert raw.mean() - length**2 > 4 * raw.std() / np.sqrt(RUNS)  # the raw square is inflated
    covered = np.mean([g.mean_square.low <= length**2 <= g.mean_square.high for g in found])
    assert covered > 0.95 - BAND - 0.01  # one point for the tails of a quadratic form
    held = np.mean([g.mean_norm.low <= length <= g.mean_norm.high for g in found])
    assert held >= covered - 1e-9


@pytest.mark.parametrize(("counts", "dim"), [((30, 30), 80), ((25, 120), 50)])
def test_moments_of_the_spectrum_are_unbiased(counts: tuple[int, int], dim: int) -> None:
    rng = np.random.default_rng(dim)
    spectrum, mean = decaying(dim), np.full(dim, 0.1)
    found = [measure_moments(*draw(rng, counts, spectrum, mean, tails=True)) for _ in range(RUNS)]
    for name, truth in (("trace", spectrum.sum()), ("trace_square", (spectrum**2).sum())):
        values = np.array([getattr(moments, name) for moments in found])
        assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(RUNS), name


def test_spectrum_has_the_measured_moments_and_beats_the_raw_one() -> None:
    rng = np.random.default_rng(3)
    spectrum = decaying(100)
    closer = []
    for _ in range(20):
        geometry = measure_geometry(*draw(rng, (60, 60), spectrum, np.zeros(100)))
        assert geometry.spectrum.sum() == pytest.approx(geometry.moments.trace)
        assert (geometry.spectrum**2).sum() == pytest.approx(geometry.moments.trace_square)
        assert (np.diff(geometry.spectrum) <= 1e-12).all() and geometry.spectrum.min() >= 0
        raw = np.linalg.eigvalsh(geometry.moments.covariance)[::-1]
        closer.append(np.linalg.norm(geometry.spectrum - spectrum) < np.linalg.norm(raw - spectrum))
    assert all(closer)


@pytest.mark.parametrize(("rows", "dim", "limit"), [(120, 150, 0.035), (400, 100, 0.015)])
@pytest.mark.parametrize("strongest", [True, False])
def test_measured_geometry_predicts_as_the_truth_does(rows: int, dim: int, limit: float, strongest: bool) -> None:
    """What it is for: accuracies predicted from the measurement are those of the planted world.

    The limits are measured biases; in a single sample of 120 rows the accuracy scatters by three points.
    """
    rng = np.random.default_rng(rows)
    spectrum = decaying(dim)
    place = np.arange(dim) < 3 if strongest else np.arange(dim) >= 5
    mean = 1.4 * place / np.sqrt(place.sum())
    sizes, differences = [0, 200, 2000], []
    options = {"label_noise": 0.15, "keep_wrong": 0.4, "generator_size": 1000}
    truth = predict_accuracy(rows, sizes, dim, None, 0.5, spectrum=spectrum, mean=mean, **options).mean
    for _ in range(30):
        geometry = measure_geometry(*draw(rng, (rows // 2, rows // 2), spectrum, mean))
        seen = predict_accuracy(
            rows, sizes, dim, None, 0.5, spectrum=geometry.spectrum, mean=geometry.mean, **options
        ).mean
        differences.append(seen - truth)
    assert np.abs(np.mean(differences, axis=0)).max() < limit
    gains = np.array(differences)[:, 1:] - np.array(differences)[:, :1]
    assert np.abs(gains.mean(axis=0)).max() < 0.01


def test_geometry_in_its_basis_gives_back_the_mean() -> None:
    rng = np.random.default_rng(0)
    geometry = measure_geometry(*draw(rng, (2000, 2000), np.ones(10), np.r_[2.0, np.zeros(9)]))
    assert np.linalg.norm(geometry.mean) == pytest.approx(geometry.mean_norm.value)
    assert abs(geometry.basis.T @ np.eye(10)[0]) @ geometry.mean == pytest.approx(2.0, abs=0.1)
    draws = geometry.mean_draws(4000, rng)
    np.testing.assert_allclose(draws.mean(), geometry.mean_norm.value, atol=0.01)


def test_no_separation_is_zero_with_a_note() -> None:
    found = [measure_geometry(*draw(np.random.default_rng(k), (30, 30), np.ones(40), np.zeros(40))) for k in range(12)]
    below = [geometry for geometry in found if geometry.mean_square.value <= 0]
    assert below and all(g.mean_norm.value == 0 and "noise" in g.mean_norm.note for g in below)
    assert all(np.isfinite(g.mean).all() for g in found)


def test_spectrum_of_all_rows() -> None:
    rng = np.random.default_rng(1)
    spectrum = decaying(60)
    sums = []
    for _ in range(RUNS // 3):
        x, _ = draw(rng, (40, 40), spectrum, np.zeros(60))
        values = measure_spectrum(x)
        sums.append([values.sum(), (values**2).sum()])
    mean, error = np.mean(sums, axis=0), np.std(sums, axis=0) / np.sqrt(len(sums))
    assert (np.abs(mean - [spectrum.sum(), (spectrum**2).sum()]) < 4 * error).all()


def test_effective_dimension() -> None:
    assert effective_dimension(np.r_[np.ones(30), np.zeros(10)]) == 30
    assert effective_dimension(np.ones(30), 1.0) == 15
    for bad in (np.zeros(3), np.array([1.0, -1.0]), np.array([1.0, np.nan])):
        with pytest.raises(DataError, match="spectrum"):
            effective_dimension(bad)
    with pytest.raises(DataError, match="ridge"):
        effective_dimension(np.ones(3), -1.0)


@pytest.mark.parametrize(
    ("x", "y", "word"),
    [
        (np.zeros((10, 2)), np.repeat([-1, 1], 5), "no feature varies"),
        (np.eye(10), np.repeat([0, 1], 5), "-1 or \\+1"),
        (np.full((10, 2), np.nan), np.repeat([-1, 1], 5), "missing"),
        (np.array([["a", "b"]] * 10), np.repeat([-1, 1], 5), "matrix of numbers"),
        (np.zeros((10, 0)), np.repeat([-1, 1], 5), "matrix of numbers"),
        (np.eye(10), np.repeat([-1, 1], (7, 3)), "a class has 3 rows"),
        (np.eye(10), np.ones(10), "a class has 0 rows"),
        (np.eye(10), np.ones(9), "one label"),
    ],
)
def test_bad_rows_are_refused(x: np.ndarray, y: np.ndarray, word: str) -> None:
    with pytest.raises(DataError, match=word):
        measure_geometry(x, y)


def test_overlap_is_found_and_an_independent_generator_is_not_accused() -> None:
    rng = np.random.default_rng(5)
    dim, spectrum, mean = 40, decaying(40), np.r_[1.2, np.zeros(39)]
    accused, caught = 0, 0
    for _ in range(200):
        x, y = draw(rng, (60, 60), spectrum, mean)
        other, _ = draw(rng, (60, 60), spectrum, mean)
        for rows, is_self in ((x, True), (other, False)):
            center, truth = rows.mean(axis=0), measure_moments(rows, y)
            synth = rng.multivariate_normal(np.zeros(dim), truth.covariance, 600)
            labels = rng.choice([-1, 1], 600, p=[0.3, 0.7])  # another mix of classes
            found = find_overlap(x, y, center + synth + labels[:, None] * truth.mean)
            caught += is_self and found.is_flagged
            accused += (not is_self) and found.is_flagged
    assert caught >= 190
    assert accused <= 200 * 0.01 + 4 * np.sqrt(200 * 0.01 * 0.99)


def test_overlap_refuses_what_it_cannot_judge() -> None:
    x, y = draw(np.random.default_rng(0), (20, 20), np.ones(3), np.ones(3))
    with pytest.raises(DataError, match="3 columns"):
        find_overlap(x, y, np.zeros((5, 2)))
    with pytest.raises(DataError, match="one column"):
        find_overlap(x[:, :1], y, np.zeros((5, 1)))
