"""The U-Net against plain loops, on Gaussian pictures whose score is known, and the sampler's steps in log time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthsift.drift.audit import audit_score
from synthsift.drift.closed_forms import kl_gaussian
from synthsift.drift.diffusion import DiffusionSettings, ScoreModel, layer_shapes, reverse_samples, train_score
from synthsift.drift.score_networks import new_layers, residual_block, unet_noise, unet_shapes
from synthsift.records import DataError
from synthsift.seeds import Seeds

TINY = DiffusionSettings(side=4, width=8, steps=150, batch=64, sampling_steps=30, log_steps=True, t0=0.05, ema=0.98)


def slow_conv(h: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Same-size convolution (c, p, p) by loops over places."""
    size, pad = weight.shape[-1], weight.shape[-1] // 2
    wide = np.pad(h, ((0, 0), (pad, pad), (pad, pad)))
    found = np.empty((len(weight), *h.shape[1:]))
    for i in range(h.shape[1]):
        for j in range(h.shape[2]):
            found[:, i, j] = (weight * wide[None, :, i : i + size, j : j + size]).sum(axis=(1, 2, 3)) + bias
    return found


def slow_norm(h: np.ndarray, gain: np.ndarray, bias: np.ndarray, groups: int) -> np.ndarray:
    parts = [(g - g.mean()) / math.sqrt(g.var() + 1e-5) for g in np.split(h, groups)]
    return np.concatenate(parts) * gain[:, None, None] + bias[:, None, None]


def silu(h: np.ndarray) -> np.ndarray:
    return h / (1 + np.exp(-h))


def test_a_residual_block_equals_plain_loops() -> None:
    shapes = {k: v for k, v in unet_shapes(4, 6).items() if k.startswith("join.")}  # 12 -> 6 channels, with a shortcut
    layers = {k: torch.randn(v, generator=torch.Generator().manual_seed(3)) for k, v in shapes.items()}
    rng = np.random.default_rng(0)
    h, told = rng.standard_normal((2, 12, 4, 4)).astype(np.float32), rng.standard_normal((2, 24)).astype(np.float32)
    found = residual_block("join", torch.from_numpy(h), torch.from_numpy(told), layers).numpy()
    p = {k.removeprefix("join."): v.numpy() for k, v in layers.items()}
    for n in range(2):
        inner = slow_conv(
            silu(slow_norm(h[n], p["norm1.gain"], p["norm1.bias"], 4)), p["conv1.weight"], p["conv1.bias"]
        )
        scale, shift = np.split(p["time.weight"] @ told[n] + p["time.bias"], 2)
        inner = slow_norm(inner, p["norm2.gain"], p["norm2.bias"], 2)
        inner = slow_conv(
            silu(inner * (1 + scale[:, None, None]) + shift[:, None, None]), p["conv2.weight"], p["conv2.bias"]
        )
        assert found[n] == pytest.approx(inner + slow_conv(h[n], p["pass.weight"], p["pass.bias"]), abs=2e-3)


@pytest.mark.parametrize("side", [4, 8, 14, 20, 28])
def test_rows_do_not_depend_on_each_other_and_time_matters(side: int) -> None:
    layers = new_layers(unet_shapes(side, 8), torch.Generator().manual_seed(0))
    x, phase = torch.randn((3, side * side), generator=torch.Generator().manual_seed(1)), torch.tensor([0.1, 0.5, 0.9])
    sigma = torch.tensor([0.2, 0.6, 0.95])
    # A new network knows unit variance only: z is expected to be sigma x.
    assert torch.allclose(unet_noise(x, phase, sigma, layers, side), sigma[:, None] * x)
    layers["end.weight"] = torch.ones_like(layers["end.weight"])
    together = unet_noise(x, phase, sigma, layers, side)
    alone = torch.cat([unet_noise(*(v[k : k + 1] for v in (x, phase, sigma)), layers, side) for k in range(3)])
    assert together.shape == x.shape and torch.allclose(together, alone, atol=1e-4)
    assert not torch.allclose(unet_noise(x[:1], phase[2:], sigma[:1], layers, side), together[:1], atol=1e-3)


def gaussian_pictures(n: int, rng: np.random.Generator) -> np.ndarray:
    """Pictures (n, 16) of independent pixels with a common mean pattern and variance 0.4."""
    return MEAN + math.sqrt(0.4) * rng.standard_normal((n, 16))


MEAN = np.linspace(-1, 1, 16)


def exact_score(x: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    keep = np.exp(-np.asarray(t))[..., None] if np.ndim(t) else math.exp(-float(t))
    return -(x - np.sqrt(keep) * MEAN) / (0.4 * keep + 1 - keep)


@pytest.fixture(scope="module")
def trained() -> ScoreModel:
    return train_score(gaussian_pictures, 16, TINY, Seeds(0))


def test_training_finds_the_score_of_gaussian_pictures(trained: ScoreModel) -> None:
    blank = train_score(gaussian_pictures, 16, replace(TINY, steps=1, learning_rate=1e-9), Seeds(0))
    held = gaussian_pictures(500, np.random.default_rng(1))
    good, bad = (
        audit_score(m, held, exact_score, reference_is_exact=True, t0=TINY.t0, num_rows=2000).eps2
        for m in (trained, blank)
    )
    assert bad > 2 and good < 0.1 * bad


def test_its_samples_have_the_means_of_the_pictures(trained: ScoreModel) -> None:
    rows = trained.sample(800, np.random.default_rng(2))
    keep = math.exp(-TINY.t0)
    assert rows.shape == (800, 16) and trained.dim == 16
    assert np.abs(rows.mean(axis=0) - math.sqrt(keep) * MEAN).max() < 0.2
    assert rows.var(axis=0).mean() == pytest.approx(0.4 * keep + 1 - keep, rel=0.2)


@pytest.mark.parametrize("sampler", ["sde", "ode"])
def test_log_steps_end_nearer_to_the_law_at_a_small_t0_than_even_ones(sampler: str) -> None:
    """Both with the exact score of N(0, v): the KL of the end law to the law at t0 is known."""
    v, ends = 0.05, {}
    for log_steps in (True, False):
        s = DiffusionSettings(t0=0.01, sampling_steps=40, log_steps=log_steps, sampler=sampler)  # type: ignore[arg-type]
        assert s.times[0] == pytest.approx(4.0) and s.times[-1] == pytest.approx(0.01) and len(s.times) == 41
        assert (np.diff(s.times) < 0).all()
        rng = np.random.default_rng(3)
        rows = reverse_samples(
            lambda y, t: -y / (math.exp(-t) * v + 1 - math.exp(-t)), rng.standard_normal((20_000, 1)), s, rng
        )
        ends[log_steps] = kl_gaussian(0.0, float(rows.var()), 0.0, math.exp(-0.01) * v + 1 - math.exp(-0.01))
    assert ends[True] < 0.003 and ends[False] > 3 * ends[True]


@pytest.mark.parametrize(
    ("change", "word"),
    [({"side": 3}, "3 x 3"), ({"side": 9}, "9 x 9"), ({"side": 18}, "multiple of 4"), ({"side": -2}, "even side"),
     ({"device": "tpu"}, "device 'tpu'")],
)  # fmt: skip
def test_bad_sides_and_devices_are_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(DataError, match=word):
        DiffusionSettings(**change)  # type: ignore[arg-type]


def test_rows_that_are_no_pictures_are_refused() -> None:
    assert layer_shapes(16, TINY)["stem.weight"] == (8, 1, 3, 3)
    with pytest.raises(DataError, match="rows of 15 numbers are no pictures of 4 x 4"):
        train_score(lambda n, rng: np.zeros((n, 15)), 15, TINY, Seeds(0))
