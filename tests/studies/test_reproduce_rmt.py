"""Figures of the mixing paper: the public code's formula at known values, ours beside it, MNIST's table in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies import reproduce_rmt, reproduce_rmt_mnist
from synthsift.studies.published_mixing import published_accuracy
from synthsift.studies.reproduce_rmt_mnist import LINES, SIZES, Setting, Trial, rebuild_mnist
from synthsift.theory.mixing import predict_accuracy

SEEDS = Seeds(3)


@pytest.mark.parametrize(("setting", "printed"), reproduce_rmt.SOFT_PRINTED.items())
def test_the_published_formula_gives_the_published_values(setting: tuple[float, ...], printed: float) -> None:
    dim, size, mean_norm, ridge, noise, phi, rho = setting
    rates = {"label_noise": noise, "keep_right": phi, "keep_wrong": rho}
    theirs = published_accuracy(0, size, int(dim), mean_norm, ridge, **rates)
    ours = float(predict_accuracy(0, size, int(dim), mean_norm, ridge, **rates).mean)  # type: ignore[arg-type]
    assert theirs == pytest.approx(printed, abs=6e-5)  # four digits are printed
    assert ours - theirs > 0.002


def test_the_published_toy_formula_gives_the_published_value() -> None:
    theirs = published_accuracy(200, 800, 200, 1.5, 1.0, generator_size=100)
    assert theirs == pytest.approx(0.9132, abs=6e-5)
    ours = predict_accuracy(200, 800, 200, 1.5, 1.0, generator_size=100, exact_mean=True).mean
    assert ours == pytest.approx(0.9145, abs=6e-5)


@pytest.mark.parametrize("size", [40.0, 150.0, 3000.0, np.inf])
@pytest.mark.parametrize("ridge", [0.05, 1.0])
def test_without_its_two_differences_the_published_formula_is_ours(size: float, ridge: float) -> None:
    rates = {"label_noise": 0.3, "keep_right": 0.8, "keep_wrong": 0.2, "generator_size": size}
    theirs = published_accuracy(200, 800, 200, 1.5, ridge, is_soft=False, is_short=False, **rates)
    ours = predict_accuracy(200, 800, 200, 1.5, ridge, exact_mean=True, **rates).mean  # type: ignore[arg-type]
    assert theirs == pytest.approx(float(ours), abs=1e-9)


def test_where_nothing_is_pruned_and_moments_are_known_the_two_agree() -> None:
    theirs = published_accuracy(100, 300, 80, 1.0, 0.3, label_noise=0.2)
    assert theirs == pytest.approx(float(predict_accuracy(100, 300, 80, 1.0, 0.3, label_noise=0.2).mean), abs=1e-9)


def test_the_phase_transition_has_the_printed_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce_rmt, "PHASE_NOISE", reproduce_rmt.PHASE_NOISE[::4])
    printed = {ratio: values[::4] for ratio, values in reproduce_rmt.PHASE_PRINTED.items()}
    monkeypatch.setattr(reproduce_rmt, "PHASE_PRINTED", printed)
    phase = reproduce_rmt.rebuild_phase(SEEDS, quick=True)
    assert len(phase.checks) == 4 * 3 + 4 and len(phase.simulated) == 6
    for check in phase.checks:
        assert check.ours == pytest.approx(check.printed, abs=6e-5), check.what
    assert phase.disagreeing == []


def test_the_toy_predictions_are_the_points_of_the_published_figure() -> None:
    size, options = 19_000, {"keep_wrong": 0.0}
    clean = predict_accuracy(0, size, 500, 0.7, 1.0, generator_size=1000, exact_mean=True).mean
    found = reproduce_rmt._toy_predictions(size, 500, {**options, "label_noise": 1.0 - float(clean)})
    assert found["published"] == pytest.approx(0.7455, abs=5e-4)  # read off the figure
    assert found["exact_mean"] == pytest.approx(0.7457, abs=6e-5)
    assert found["estimated_mean"] == pytest.approx(0.6875, abs=2e-4)
    assert found["fitted_on_training_rows"] == pytest.approx(0.6804, abs=2e-4)


def test_eigenvalues_of_the_estimated_covariance_follow_their_law() -> None:
    values = reproduce_rmt._wishart_eigenvalues(300, 3000, SEEDS.numpy("wishart"))
    low, high = reproduce_rmt._law_edges(0.1)
    assert low - 0.03 < values.min() and values.max() < high + 0.05
    grid = np.linspace(low, high, 4001)
    density = np.array([reproduce_rmt._marchenko_pastur(x, 0.1) for x in grid])
    step = grid[1] - grid[0]
    assert density.sum() * step == pytest.approx(1.0, abs=1e-3)
    assert values.var() == pytest.approx(((grid - 1) ** 2 * density).sum() * step, rel=0.05)


def test_without_mnist_the_table_is_left_out_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left_out = rebuild_mnist(SEEDS, None, "no data folder is given")
    assert left_out.note == "Left out: no data folder is given" and left_out.checks == ()
    monkeypatch.delenv("SYNTHSIFT_DATA", raising=False)
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        next(reproduce_rmt.rebuild(SEEDS, data=tmp_path))


def _small_trial() -> Trial:
    """Ten classes, each with a bright stripe of its own."""
    rng = np.random.default_rng(0)
    digits = {}
    for c in range(10):
        rows = rng.random((80, 784)) * 0.2
        rows[:, c * 78 : (c + 1) * 78] += 0.7
        digits[c] = rows
    test = np.concatenate([part[60:] for part in digits.values()])
    return Trial({c: part[:60] for c, part in digits.items()}, (test, np.repeat(np.arange(10), 20)))


def test_synthetic_digits_have_the_stated_labels_and_moments() -> None:
    trial = _small_trial()
    x, y = trial._synthetic(Setting(None, False, 0.3, 0.9, 0.1), 200, SEEDS)
    stripe = x.reshape(len(x), 784)[:, :780].reshape(len(x), 10, 78).mean(axis=2).argmax(axis=1)
    wrong = stripe != y
    assert np.array_equal(y[wrong], (stripe[wrong] + 1) % 10)  # a wrong label is the next digit
    kept = 0.9 * 0.7 + 0.1 * 0.3
    assert len(y) / 2000 == pytest.approx(kept, abs=4 * (kept * (1 - kept) / 2000) ** 0.5)
    assert wrong.mean() == pytest.approx(0.03 / kept, abs=4 * (0.05 * 0.95 / len(y)) ** 0.5)
    own = x[stripe == 4].mean(axis=0)
    assert np.abs(own - trial.digits[4].mean(axis=0)).max() < 0.06
    identity, _ = trial._synthetic(Setting(is_mean_only=True), 100, SEEDS)
    assert identity.std() == pytest.approx((1.0 + trial.digits[0].mean(axis=0).var()) ** 0.5, abs=0.02)


def test_the_network_learns_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce_rmt_mnist, "STEPS", 400)
    monkeypatch.setattr(reproduce_rmt_mnist, "PEAK", 0.1)
    trial = _small_trial()
    assert trial.accuracy(Setting(), 5, SEEDS) > 95.0
    assert trial.accuracy(Setting(), 5, SEEDS) == trial.accuracy(Setting(), 5, SEEDS)


def test_the_rate_rises_and_falls_as_published() -> None:
    rates = [reproduce_rmt_mnist._schedule(step) for step in range(reproduce_rmt_mnist.STEPS)]
    assert np.argmax(rates) == pytest.approx(300, abs=1) and max(rates) == pytest.approx(1.0)
    assert rates[0] == pytest.approx(1 / 300) and rates[-1] == pytest.approx(0.1, abs=1e-4)


def test_every_line_of_the_mnist_table_has_a_value_for_every_size() -> None:
    assert {len(printed) for _, printed in LINES.values()} == {len(SIZES)}
    assert {printed[0] for _, printed in LINES.values()} == {76.0}
