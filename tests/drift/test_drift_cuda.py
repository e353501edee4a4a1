"""Diffusion models on a GPU: the numbers of the CPU up to rounding. Skipped where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from synthsift.drift.diffusion import DiffusionSettings, ScoreModel, train_score
from synthsift.drift.diffusion_loop import LoopSettings
from synthsift.drift.picture_loop import run_pictures
from synthsift.seeds import Seeds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

PICTURES = DiffusionSettings(side=8, width=8, steps=40, batch=32, sampling_steps=8, log_steps=True, ema=0.9)
PLAIN = DiffusionSettings(width=16, steps=60, batch=64, sampling_steps=10)


@pytest.fixture(autouse=True)
def _full_precision() -> None:
    """No shortened mantissas in convolutions: the comparison is with a CPU."""
    torch.backends.cudnn.allow_tf32 = False


@pytest.mark.parametrize("settings", [PLAIN, PICTURES, replace(PICTURES, sampler="ode")], ids=["plain", "sde", "ode"])
def test_a_model_trained_on_a_gpu_is_that_of_the_cpu(settings: DiffusionSettings) -> None:
    """Same rows, noise and start; rounding grows over 60 steps of Adam, to far less than a change of seed."""
    dim = settings.side**2 or 3
    rows = np.random.default_rng(0).normal(size=(500, dim)).astype(np.float32)

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        return rows[rng.integers(len(rows), size=n)]

    def trained(device: str, seed: int) -> ScoreModel:
        return train_score(draw, dim, replace(settings, device=device), Seeds(seed))

    cpu, gpu, other = trained("cpu", 0), trained("cuda", 0), trained("cpu", 1)
    assert np.allclose(cpu.losses, gpu.losses, rtol=2e-3)
    assert np.abs(cpu.losses - other.losses).mean() > 10 * np.abs(cpu.losses - gpu.losses).mean()
    a, b = (model.sample(200, np.random.default_rng(2)) for model in (cpu, gpu))
    assert np.abs(a - b).mean() < 0.02 * a.std()


def test_a_loop_of_pictures_runs_on_a_gpu() -> None:
    rows = np.random.default_rng(1).normal(size=(460, 64)).astype(np.float32)
    loop = LoopSettings(0.5, 2, 60, 200, model=replace(PICTURES, device="cuda"))
    steps = list(run_pictures(rows[:300], rows[300:], loop, Seeds(0)))
    assert len(steps) == 2 and all(np.isfinite(step.pool).all() for step in steps)
    assert steps[1].audit.low <= steps[1].audit.gap <= steps[1].audit.high
