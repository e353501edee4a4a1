"""Samplers and score errors against Gaussians whose every number is known; training against an untrained network."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from synthsift.drift.closed_forms import constant_push, kl_gaussian, linear_error
from synthsift.drift.diffusion import SAMPLERS, DiffusionSettings, ScoreModel, reverse_samples, train_score
from synthsift.drift.diffusion_loop import measure_paths, sampler_energy
from synthsift.drift.kernels import Kernels
from synthsift.records import DataError
from synthsift.seeds import Seeds

NORMAL = Kernels(np.ones(1), np.zeros((1, 2)), np.ones(1))
FINE = DiffusionSettings(t0=1e-6, horizon=4.0, sampling_steps=100)
TINY = DiffusionSettings(width=32, depth=2, steps=300, batch=128, sampling_steps=30)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_reach_the_laws_of_the_exact_families(sampler: str) -> None:
    s, rng, n = replace(FINE, sampler=sampler), np.random.default_rng(0), 20_000  # type: ignore[arg-type]
    start = rng.standard_normal((n, 1))
    error = 4 / math.sqrt(n)
    pushed = reverse_samples(lambda y, t: -y + 0.2, start, s, rng)
    # The ODE moves by half the score error for the same law at every time: it ends elsewhere than the SDE does.
    mean = constant_push(0.2, 4.0).mean if sampler == "sde" else 0.2 * 4.0 / 2
    assert pushed.mean() == pytest.approx(mean, abs=error + 0.005)
    widened = reverse_samples(lambda y, t: -y + 0.1 * y, start, s, rng)
    variance = linear_error(0.1, 4.0).variance if sampler == "sde" else math.exp(2 * 0.1 / 2 * 4.0)
    assert widened.var() == pytest.approx(variance, rel=math.sqrt(2) * error + 0.02)


def test_measured_energies_equal_the_exact_families() -> None:
    for score, exact in (
        (lambda y, t: -y + 0.2, constant_push(0.2, 4.0)),
        (lambda y, t: -y + 0.1 * y, linear_error(0.1, 4.0)),
    ):
        found = measure_paths(score, NORMAL, 3000, Seeds(1), FINE)
        assert found.eps2 == pytest.approx(2 * exact.eps2, abs=4 * found.eps2_error + 1e-3)
        assert found.epshat2 == pytest.approx(2 * exact.epshat2, abs=4 * found.epshat2_error + 2e-3)
        assert found.eta == pytest.approx(exact.eta, abs=0.06)
        assert 2 * exact.kl <= found.sampler_energy / 2 + 2 * found.sampler_error
        assert found.start_kl < 1e-6


@pytest.mark.parametrize("steps", [5, 20, 80])
def test_the_sampler_energy_covers_coarse_time_steps(steps: int) -> None:
    """Euler steps with the exact score of N(0, v): the chain's variance is a recursion, its KL is known."""
    v, t0, horizon, n = 0.3, 0.05, 4.0, 4000
    law = Kernels(np.ones(1), np.zeros((1, 1)), np.array([v]))
    s = DiffusionSettings(t0=t0, horizon=horizon, sampling_steps=steps)

    def variance(t: float) -> float:
        return math.exp(-t) * v + 1 - math.exp(-t)

    rng = np.random.default_rng(2)
    energy = sampler_energy(lambda y, t: -y / variance(t), law, rng.standard_normal((n, 1)), s, rng)
    chain, dt = 1.0, (horizon - t0) / steps
    for k in range(steps):
        chain = chain * (1 + dt * (0.5 - 1 / variance(horizon - (k + 0.5) * dt))) ** 2 + dt
    off = kl_gaussian(0.0, chain, 0.0, variance(t0))
    start = kl_gaussian(0.0, 1.0, 0.0, variance(horizon))
    assert 0 < off <= energy.mean() / 2 + start + 2 * energy.std() / math.sqrt(n)
    if steps == 5:
        assert off > start + 0.01  # without the energy of the frozen drift the bound would be false


@pytest.fixture(scope="module")
def trained() -> ScoreModel:
    law = Kernels(np.ones(1), np.array([[0.5, 0.0]]), np.array([0.4]))
    return train_score(law.sample, 2, TINY, Seeds(3))


def test_training_lowers_the_score_error_far_below_an_untrained_network(trained: ScoreModel) -> None:
    law = Kernels(np.ones(1), np.array([[0.5, 0.0]]), np.array([0.4]))
    blank = train_score(law.sample, 2, replace(TINY, steps=1, learning_rate=1e-9), Seeds(3))
    good, bad = (measure_paths(m, law, 300, Seeds(4)).eps2 for m in (trained, blank))
    assert good < 0.1 and bad > 5 and trained.losses[-30:].mean() < 0.7 * trained.losses[:10].mean()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_trained_model_samples_its_data(trained: ScoreModel, sampler: str) -> None:
    model = replace(trained, settings=replace(TINY, sampler=sampler))  # type: ignore[arg-type]
    rows = model.sample(3000, np.random.default_rng(5))
    keep = math.exp(-TINY.t0)
    assert rows.mean(axis=0) == pytest.approx([0.5 * math.sqrt(keep), 0.0], abs=0.12)
    assert rows.var(axis=0) == pytest.approx(2 * [0.4 * keep + 1 - keep], rel=0.3)


def test_training_repeats_with_its_seed_and_goes_on_from_a_model(trained: ScoreModel) -> None:
    law, short = Kernels(np.ones(1), np.zeros((1, 2)), np.ones(1)), replace(TINY, steps=20)
    one, two, other = (train_score(law.sample, 2, short, Seeds(k)) for k in (6, 6, 7))
    assert all(np.array_equal(one.arrays[name], two.arrays[name]) for name in one.arrays)
    assert not np.array_equal(one.losses, other.losses)
    before = {name: value.copy() for name, value in trained.arrays.items()}
    warm = train_score(law.sample, 2, short, Seeds(6), start=trained)
    assert warm.losses[:5].mean() < one.losses[:5].mean()
    assert all(np.array_equal(before[name], trained.arrays[name]) for name in before)


def test_progress_is_told_every_step() -> None:
    seen: list[tuple[int, int]] = []
    law = Kernels(np.ones(1), np.zeros((1, 2)), np.ones(1))
    train_score(law.sample, 2, replace(TINY, steps=3), Seeds(0), progress=lambda k, n: seen.append((k, n)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"width": 0}, "width = 0"),
        ({"steps": -1}, "steps = -1"),
        ({"sampling_steps": 0}, "sampling_steps = 0"),
        ({"t0": 0.0}, "t0 > 0"),
        ({"t0": 5.0}, "horizon > t0"),
        ({"horizon": math.inf}, "horizon"),
        ({"ema": 1.0}, "ema"),
        ({"learning_rate": 0.0}, "rate"),
        ({"sampler": "leapfrog"}, "leapfrog"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(DataError, match=word):
        DiffusionSettings(**change)  # type: ignore[arg-type]


def test_a_training_that_diverges_is_said() -> None:
    with pytest.raises(DataError, match="loss is nan at step 0"):
        train_score(lambda n, rng: np.full((n, 2), np.nan), 2, replace(TINY, steps=5), Seeds(0))
