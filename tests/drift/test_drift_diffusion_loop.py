"""A small loop of trained models keeps every identity and every rigorous bound, resumes, and survives its files."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from synthsift.drift.diffusion import DiffusionSettings
from synthsift.drift.diffusion_files import KIND, pack_step, unpack_step
from synthsift.drift.diffusion_loop import LoopSettings, LoopStep, run_loop
from synthsift.drift.diffusion_trace import LoopTrace, trace_loop
from synthsift.drift.kernels import five_modes
from synthsift.drift.laws import drift_law
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.laboratory_diffusion import judge_bounds

DATA = five_modes(2)
TINY = DiffusionSettings(width=32, depth=2, steps=250, batch=256, sampling_steps=40)
LOOP = LoopSettings(alpha=0.3, num_rounds=3, pool_rows=600, num_paths=200, model=TINY)
IDENTITY = {"alpha": 0.3, "number": 1}


@pytest.fixture(scope="module")
def steps() -> list[LoopStep]:
    return list(run_loop(DATA, LOOP, Seeds(0)))


@pytest.fixture(scope="module")
def trace(steps: list[LoopStep]) -> LoopTrace:
    return trace_loop(0.3, steps)


def test_every_rigorous_bound_holds_in_every_round(trace: LoopTrace) -> None:
    verdicts = judge_bounds(trace)
    rigorous = list(verdicts)[:6]
    assert all(all(verdicts[name]) for name in rigorous), verdicts
    assert len(rigorous) == 6 and "TV under its guarantee" in rigorous


def test_the_checks_can_fail(trace: LoopTrace) -> None:
    """Negative control: with the energies of a perfect model, the drift of this one breaks KL, TV and band."""
    perfect = tuple(
        replace(p, eps2=1e-6, epshat2=1e-6, sampler_energy=1e-6, sampler_error=0.0, epshat2_error=0.0, start_kl=0.0)
        for p in trace.paths
    )
    verdicts = judge_bounds(replace(trace, paths=perfect))
    assert {name for name, rows in verdicts.items() if not all(rows)} >= {
        "KL <= half the sampler's energy + start",
        "TV under its guarantee",
        "eta eps^2/4 <= I <= 4 eps^2 (small errors)",
    }
    crossed = tuple(replace(p, cross=p.cross + 0.1) for p in trace.plane)
    assert not any(judge_bounds(replace(trace, plane=crossed))["exact recursion of drift"])


def test_laws_are_those_of_the_theory(trace: LoopTrace) -> None:
    assert trace.discounted == pytest.approx(drift_law(0.3, trace.grid("innovation")))
    assert trace.heat.sum(axis=1) == pytest.approx(trace.discounted)
    assert (trace.discounted <= trace.coherent + 1e-12).all()
    assert trace.path("eps2")[0] > 0.05 and (trace.path("eta") <= 1).all()
    assert trace.grid("drift")[0] == pytest.approx(trace.grid("innovation")[0])  # round 0 starts at p_data
    columns = trace.columns()
    assert len({len(values) for values in columns.values()}) == 1 and columns["round"] == [1, 2, 3]


def test_fresh_data_only_has_no_memory() -> None:
    """At alpha = 1 every round is trained on p_data: D is the innovation, whatever came before."""
    short = replace(LOOP, alpha=1.0, num_rounds=2, model=replace(TINY, steps=30))
    told: list[tuple[int, int, int]] = []
    trace = trace_loop(1.0, list(run_loop(DATA, short, Seeds(1), measuring=lambda *at: told.append(at))))
    assert told == [(k, step + 1, 80) for k in range(2) for step in range(80)]  # 40 steps of paths, 40 of the sampler
    assert trace.grid("drift") == pytest.approx(trace.grid("innovation"))
    assert trace.coherent == pytest.approx(trace.grid("drift"))


def test_ten_dimensions_are_judged_by_two_and_the_ode_has_no_path_bound() -> None:
    model = replace(TINY, steps=30, sampler="ode")
    loop = LoopSettings(alpha=0.5, num_rounds=1, pool_rows=200, num_paths=100, model=model)
    trace = trace_loop(0.5, list(run_loop(five_modes(10), loop, Seeds(2))))
    assert np.isnan(trace.kl_ceilings).all() and np.isnan(trace.tv_ceilings).all()
    assert "TV under its guarantee" not in judge_bounds(trace) and np.isfinite(trace.drift).all()


def test_a_resumed_loop_gives_the_same_numbers(steps: list[LoopStep]) -> None:
    stored = [unpack_step(pack_step(step, IDENTITY), "file", IDENTITY) for step in steps[:2]]
    (last,) = run_loop(DATA, LOOP, Seeds(0), done=stored)
    assert np.array_equal(last.pool, steps[2].pool)
    assert last.paths == steps[2].paths and last.plane == steps[2].plane


def test_a_round_survives_its_file(steps: list[LoopStep]) -> None:
    read = unpack_step(pack_step(steps[0], IDENTITY), "file", IDENTITY)
    assert read.paths == steps[0].paths and read.plane == steps[0].plane and read.model.settings == TINY
    rows = DATA.sample(20, np.random.default_rng(0))
    assert np.array_equal(read.model(rows, 0.3), steps[0].model(rows, 0.3))


def test_foreign_damaged_and_other_files_are_refused(steps: list[LoopStep]) -> None:
    from safetensors.numpy import save

    sound = pack_step(steps[0], IDENTITY)
    flipped = bytearray(sound)
    flipped[-100] ^= 255
    header = {"kind": KIND, "schema": "1", "round": "{}", "digest": "0"}
    for content, word in (
        (b"", "no safetensors"),
        (sound[: len(sound) // 2], "no safetensors"),
        (pickle.dumps({"a": 1}), "no safetensors"),
        (bytes(flipped), "damaged"),
        (save({"x": np.zeros(2)}, metadata={"kind": "other"}), "no round of"),
        (save({"x": np.zeros(2)}), "no round of"),
        (save({"x": np.zeros(2)}, metadata=header), "damaged"),
    ):
        with pytest.raises(DataError, match=word):
            unpack_step(content, "file", IDENTITY)
    with pytest.raises(DataError, match="other settings"):
        unpack_step(sound, "file", {**IDENTITY, "alpha": 0.4})
    assert json.loads(json.dumps(IDENTITY)) == IDENTITY


@pytest.mark.parametrize(
    "change", [{"alpha": 1.01}, {"alpha": float("nan")}, {"num_rounds": 0}, {"pool_rows": 49}, {"num_paths": 99}]
)
def test_bad_loops_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(DataError):
        LoopSettings(**change)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no finished round"):
        trace_loop(0.3, [])
