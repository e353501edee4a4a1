"""The laboratory: run a loop whose laws are known, print formula beside simulation, write table, figure and record."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from synthsift.cli.console import Console
from synthsift.cli.whole_folder import check_above
from synthsift.drift.loops import GaussianLoop
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.laboratory import (
    Simulated,
    simulate_accumulate_study,
    simulate_gaussian_study,
    simulate_mixture_study,
    simulate_truncation_study,
)
from synthsift.studies.reproduction import Rebuilt, draw_files
from synthsift.writing import atomic_write, to_plain, write_csv, write_json

SETTINGS, RECORD = "settings.json", "simulate.json"
ROUNDS = "rounds"
FILES = (SETTINGS, RECORD, "simulate.csv", "simulate.svg", "simulate.png", ROUNDS)
MOST_LINES = 45


@dataclass(frozen=True)
class SimulateOutput:
    """Where results go; the flags that all kinds share."""

    out: Path | None = None
    seed: int = 0
    overwrite: bool = False


def execute_gaussian(where: SimulateOutput, console: Console, *, rounds: int, runs: int, dim: int, **loop: Any) -> int:
    """Refit a Gaussian; `loop` holds the fields of `GaussianLoop`."""
    asked = GaussianLoop(**loop)
    settings = {"kind": "gaussian", "rounds": rounds, "runs": runs, "dim": dim, "loop": asdict(asked)}
    return run_study(where, console, settings, lambda s: simulate_gaussian_study(asked, rounds, runs, s, dim))


def execute_accumulate(where: SimulateOutput, console: Console, *, rows: int, rounds: int, runs: int, dim: int) -> int:
    """Keep all data, or replace them."""
    settings = {"kind": "accumulate", "rows": rows, "rounds": rounds, "runs": runs, "dim": dim}
    return run_study(where, console, settings, lambda s: simulate_accumulate_study(rows, rounds, runs, s, dim))


def execute_mixture(
    where: SimulateOutput, console: Console, *, alpha: float, eps: float, rounds: int, runs: int
) -> int:
    """Errors of one size that line up in three ways."""
    settings = {"kind": "mixture", "alpha": alpha, "eps": eps, "rounds": rounds, "runs": runs}
    return run_study(where, console, settings, lambda s: simulate_mixture_study(alpha, eps, rounds, runs, s))


def execute_truncation(
    where: SimulateOutput, console: Console, *, alpha: float, t0: float, rounds: int, rows: int
) -> int:
    """A sampler that stops early."""
    settings = {"kind": "truncation", "alpha": alpha, "t0": t0, "rounds": rounds, "rows": rows}
    return run_study(where, console, settings, lambda s: simulate_truncation_study(alpha, t0, rounds, rows, s))


def run_study(
    where: SimulateOutput, console: Console, settings: dict[str, Any], work: Callable[[Seeds], Simulated]
) -> int:
    """Check the folder, run, print, write."""
    if where.seed < 0:
        raise DataError(f"--seed is {where.seed}; give a whole number of at least 0")
    settings = {**settings, "seed": where.seed}
    if where.out is not None:
        _open(where.out, settings, overwrite=where.overwrite)
    with threadpool_limits(2):
        done = work(Seeds(where.seed).child("simulate", settings["kind"]))
    record = {"kind": done.kind, "title": done.title, "settings": settings, "sentence": done.sentence}
    record |= {"columns": dict(done.columns), **done.more}
    if where.out is not None:
        write_csv(where.out / "simulate.csv", done.columns)
        figure = Rebuilt(done.kind, done.title, done.columns, done.draw, done.size)
        for ending, content in draw_files(figure).items():
            atomic_write(where.out / f"simulate.{ending}", content)
        write_json(where.out / RECORD, record)
    if console.as_json:
        sys.stdout.write(json.dumps(to_plain(record), indent=1, allow_nan=False) + "\n")
        return 0
    if not console.quiet:
        sys.stdout.write("\n".join(_table(done)) + "\n\n")
    sys.stdout.write(done.sentence + "\n")
    if where.out is not None and not console.quiet:
        sys.stdout.write(f"Figure: {where.out / 'simulate.png'}   Record: {where.out / RECORD}\n")
    return 0


def _open(out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make the folder or take up what it holds; nothing foreign is touched.

    Raises
    ------
    DataError
        If it is a file, holds other files, or a simulation with other settings and `overwrite` is False.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file and a folder is needed. Choose another --out")
    if out.is_dir():
        strange = sorted(entry.name for entry in out.iterdir() if entry.name not in FILES)
        strange += sorted(p.name for p in (out / ROUNDS).glob("*") if p.suffix != ".safetensors")
        if strange:
            raise DataError(
                f"{out} holds files that are not of `synthsift simulate` ({', '.join(strange[:3])}). Choose a new "
                "folder"
            )
        same = _stored(out) == json.loads(json.dumps(to_plain(settings)))
        if any(out.iterdir()) and not same and not overwrite:
            raise DataError(
                f"{out} holds a simulation with other settings. Choose another --out, or give --overwrite to replace it"
            )
        if overwrite:
            for path in [*(out / ROUNDS).glob("*.safetensors"), *(out / name for name in FILES if name != ROUNDS)]:
                path.unlink(missing_ok=True)
    check_above(out)
    (out / ROUNDS if settings["kind"] == "diffusion" else out).mkdir(parents=True, exist_ok=True)
    write_json(out / SETTINGS, settings)


def _stored(out: Path) -> Any:
    """Settings of the simulation in the folder, None where they cannot be read."""
    try:
        return json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _table(done: Simulated) -> list[str]:
    """Plain lines: all rows of a short table, evenly chosen ones of a long one; a wide one is turned on its side."""
    names, rows = list(done.columns), list(zip(*done.columns.values(), strict=True))
    if len(names) > 8:
        width = max(len(name) for name in names)
        return [f"{name:<{width}}" + "".join(f"{_cell(v):>11}" for v in done.columns[name]) for name in names]
    if len(rows) > MOST_LINES:
        rows = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, MOST_LINES).astype(int))]
    return ["".join(f"{name:>15}" for name in names), *("".join(f"{_cell(v):>15}" for v in row) for row in rows)]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
