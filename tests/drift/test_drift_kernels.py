"""Closed densities and scores of mixtures and samples against sums written out; divergences on the plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from synthsift.drift.closed_forms import chi2_gaussian, kl_gaussian
from synthsift.drift.kernels import Kernels, five_modes, points
from synthsift.drift.plane import Plane, chi2, kl, measure_plane, total_variation
from synthsift.records import DataError

RNG = np.random.default_rng(0)


def gaussian(mean: tuple[float, ...], variance: float) -> Kernels:
    return Kernels(np.ones(1), np.array([mean], dtype=float), np.array([variance]))


@pytest.fixture
def law() -> Kernels:
    return Kernels(np.array([0.2, 0.5, 0.3]), RNG.normal(size=(3, 3)), np.array([0.3, 1.0, 0.6]))


def density(law: Kernels, row: np.ndarray) -> float:
    """The slow twin."""
    return sum(
        w * multivariate_normal(m, v * np.eye(law.dim)).pdf(row)
        for w, m, v in zip(law.weights, law.centers, law.variances, strict=True)
    )


def test_density_and_score_equal_their_sums(law: Kernels) -> None:
    rows = 2 * RNG.normal(size=(20, 3))
    logs, scores = law.evaluate(rows)
    assert np.exp(logs) == pytest.approx([density(law, row) for row in rows], rel=1e-4)  # single precision inside
    step = 1e-5
    for row, score in zip(rows, scores, strict=True):
        for k in range(3):
            move = step * np.eye(3)[k]
            slope = (math.log(density(law, row + move)) - math.log(density(law, row - move))) / (2 * step)
            assert score[k] == pytest.approx(slope, abs=2e-4)


def test_equal_variances_take_the_short_way_to_the_same_values(law: Kernels) -> None:
    same = Kernels(law.weights, law.centers, np.full(3, 0.4))
    nearly = Kernels(law.weights, law.centers, np.array([0.4, 0.4, 0.4 + 1e-6]))
    rows = RNG.normal(size=(50, 3))
    for one, other in zip(same.evaluate(rows), nearly.evaluate(rows), strict=True):
        assert np.allclose(one, other, atol=1e-4)


def test_noising_is_what_the_forward_process_does() -> None:
    law, t = five_modes(2), 0.7
    x = law.sample(200_000, np.random.default_rng(1))
    x = math.exp(-t / 2) * x + math.sqrt(1 - math.exp(-t)) * np.random.default_rng(2).normal(size=x.shape)
    noised = law.noised(t)
    second = noised.weights @ (noised.variances[:, None] + noised.centers**2)
    assert (x**2).mean(axis=0) == pytest.approx(second, abs=4 * float((x**2).std()) / math.sqrt(len(x)))


def test_blends_keep_their_shares() -> None:
    data, rows = five_modes(2), RNG.normal(size=(40, 2))
    mix = data.blended(points(rows), 0.3)
    assert mix.weights[:5].sum() == pytest.approx(0.3) and len(mix.weights) == 45
    assert data.blended(points(rows), 1.0) is data and len(data.blended(points(rows), 0.0).weights) == 40
    drawn = mix.sample(20_000, np.random.default_rng(3))
    own = (drawn[:, None] == rows[None]).all(axis=2).any(axis=1).mean()
    assert own == pytest.approx(0.7, abs=4 * math.sqrt(0.21 / 20_000))


def test_bad_laws_are_refused() -> None:
    with pytest.raises(DataError, match="noise it first"):
        points(RNG.normal(size=(3, 2))).evaluate(np.zeros((1, 2)))
    with pytest.raises(DataError, match="shape"):
        points(np.zeros(3))
    with pytest.raises(DataError, match="not finite"):
        points(np.array([[0.0, np.nan]]))
    with pytest.raises(DataError, match="sum 1"):
        Kernels(np.array([0.5]), np.zeros((1, 2)), np.ones(1))
    with pytest.raises(DataError, match="at least 2 dimensions"):
        five_modes(1)
    with pytest.raises(DataError, match="alpha"):
        five_modes(2).blended(five_modes(2), 1.2)


def test_divergences_on_the_plane_equal_closed_forms_of_the_blurred_laws() -> None:
    plane = Plane(6.0, 120, blur=0.1)
    one, two = gaussian((0.3, -0.2), 0.9), gaussian((0.0, 0.0), 1.0)
    a, b = plane.masses(one), plane.masses(two)
    blurred = [0.3, -0.2], 1.0 * np.eye(2), [0.0, 0.0], 1.1 * np.eye(2)
    assert chi2(a, b) == pytest.approx(chi2_gaussian(*blurred), rel=1e-3)
    assert kl(a, b) == pytest.approx(kl_gaussian(*blurred), rel=1e-3)
    assert kl(a, b) < kl_gaussian([0.3, -0.2], 0.9 * np.eye(2), [0.0, 0.0], np.eye(2))  # data processing


def test_the_sampling_part_of_chi2_is_what_samples_of_the_reference_show() -> None:
    plane, law = Plane(4.5, 60), five_modes(2)
    reference = plane.masses(law)
    samples = [points(law.sample(400, np.random.default_rng(k))) for k in range(30)]
    found = np.array([chi2(plane.masses(s), reference) for s in samples])
    expected = np.array([plane.noise(s, reference) for s in samples])
    assert abs(found.mean() - expected.mean()) < 4 * float(np.hypot(found.std(), expected.std())) / math.sqrt(30)
    assert found.mean() > 5 * found.std() / math.sqrt(30)  # without the correction no drift would look like drift


def test_mixing_and_the_recursion_are_exact_on_the_plane() -> None:
    data, rng = five_modes(2), np.random.default_rng(5)
    old, new = points(1.1 * data.sample(300, rng)), points(0.9 * data.sample(300, rng))
    plane, alpha = Plane(5.0, 60), 0.4
    found = measure_plane(plane, data, old, new, alpha=alpha, t0=0.05)
    before = chi2(plane.masses(old), plane.masses(data))
    after = (1 - alpha) ** 2 * before + 2 * (1 - alpha) * found.cross + found.innovation
    assert found.drift == pytest.approx(after, rel=1e-9)
    mixed = plane.masses(data.blended(old, alpha))
    assert chi2(mixed, plane.masses(data)) == pytest.approx((1 - alpha) ** 2 * before, rel=1e-3)
    assert 0 < found.truncation < total_variation(plane.masses(new), plane.masses(data))
    with pytest.raises(DataError, match="positive reach"):
        Plane(0.0)
