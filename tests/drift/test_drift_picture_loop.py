"""A tiny loop of retrained U-Nets: mixes, score differences, resume, files, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.drift.diffusion import DiffusionSettings
from synthsift.drift.diffusion_files import pack_step, unpack_step
from synthsift.drift.diffusion_loop import LoopSettings, run_loop
from synthsift.drift.kernels import five_modes
from synthsift.drift.picture_loop import PictureStep, mixed_draw, run_pictures, score_gap
from synthsift.records import DataError
from synthsift.seeds import Seeds

MODEL = DiffusionSettings(side=4, width=8, steps=30, batch=32, sampling_steps=8, log_steps=True, ema=0.9)
LOOP = LoopSettings(alpha=0.4, num_rounds=3, pool_rows=80, num_paths=200, model=MODEL)
IDENTITY = {"alpha": 0.4, "number": 1}


def stripes(n: int, seed: int) -> np.ndarray:
    """Pictures (n, 16) with one bright row or column."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(-0.5, 0.1, (n, 4, 4))
    for picture in rows:
        np.moveaxis(picture, rng.integers(2), 0)[rng.integers(4)] += 2
    return rows.reshape(n, 16).astype(np.float32)


TRAIN, HELD = stripes(300, 0), stripes(160, 1)


@pytest.fixture(scope="module")
def steps() -> list[PictureStep]:
    return list(run_pictures(TRAIN, HELD, LOOP, Seeds(0)))


def test_mixes_hold_the_fresh_share_and_whole_rows() -> None:
    real, own = np.zeros((50, 3)), np.ones((20, 3))
    rng = np.random.default_rng(0)
    rows = mixed_draw(real, own, 0.3)(20_000, rng)
    assert set(np.unique(rows.sum(axis=1))) == {0.0, 3.0} and rows.mean() == pytest.approx(0.7, abs=0.015)
    assert not mixed_draw(real, None, 0.3)(100, rng).any()  # the first generation knows real rows only
    assert not mixed_draw(real, own, 1.0)(100, rng).any() and mixed_draw(real, own, 0.0)(100, rng).all()


def test_the_score_gap_of_the_first_generation_is_zero_and_that_of_a_blank_network_is_not(
    steps: list[PictureStep],
) -> None:
    assert steps[0].audit.gap == steps[0].audit.error == 0.0
    blank = replace(steps[0].model, arrays={k: np.zeros_like(v) for k, v in steps[0].model.arrays.items()})
    worse = score_gap(blank, steps[0].model, HELD, 1000, Seeds(1))
    assert worse.low > 0 and worse.low < worse.gap < worse.high
    back = score_gap(steps[0].model, blank, HELD, 1000, Seeds(1))
    assert back.gap == pytest.approx(-worse.gap)


def test_a_resumed_loop_gives_the_same_numbers_and_rounds_survive_their_files(steps: list[PictureStep]) -> None:
    stored = [unpack_step(pack_step(step, IDENTITY), "file", IDENTITY) for step in steps[:2]]
    assert all(isinstance(s, PictureStep) for s in stored) and stored[1].audit == steps[1].audit  # type: ignore[union-attr]
    (last,) = run_pictures(TRAIN, HELD, LOOP, Seeds(0), done=stored)  # type: ignore[arg-type]
    assert np.array_equal(last.pool, steps[2].pool) and last.audit == steps[2].audit
    assert last.pool.dtype == np.float32 and last.pool.shape == (80, 16)
    content = pack_step(steps[0], IDENTITY)
    with pytest.raises(DataError, match="other settings"):
        unpack_step(content, "file", {**IDENTITY, "alpha": 0.5})
    with pytest.raises(DataError, match="no safetensors"):
        unpack_step(content[: len(content) // 2], "file", IDENTITY)


def test_a_warm_start_goes_on_from_the_last_network(steps: list[PictureStep]) -> None:
    warm = list(run_pictures(TRAIN, HELD, replace(LOOP, num_rounds=2, warm_start=True), Seeds(0)))
    assert np.array_equal(warm[0].pool, steps[0].pool)
    assert warm[1].model.losses[:5].mean() < steps[1].model.losses[:5].mean()


def test_progress_is_told() -> None:
    told: list[tuple[int, int, int]] = []
    short = replace(LOOP, num_rounds=2, model=replace(MODEL, steps=2, sampling_steps=2))
    list(run_pictures(TRAIN, HELD, short, Seeds(0), progress=lambda *at: told.append(at)))
    assert told == [(0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 2)]


def test_what_cannot_be_a_loop_of_pictures_is_refused() -> None:
    with pytest.raises(DataError, match="16 numbers are no pictures of 8 x 8"):
        next(run_pictures(TRAIN, HELD, replace(LOOP, model=replace(MODEL, side=8)), Seeds(0)))
    with pytest.raises(DataError, match="149 pictures are held out; at least 150"):
        next(run_pictures(TRAIN, HELD[:149], LOOP, Seeds(0)))
    with pytest.raises(DataError, match="even time steps"):
        next(run_loop(five_modes(2), LOOP, Seeds(0)))


def test_a_sampler_that_runs_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthsift.drift.picture_loop.FAR", 0.5)
    with pytest.raises(DataError, match="samples of generation 1 run to"):
        next(run_pictures(TRAIN, HELD, LOOP, Seeds(0)))
