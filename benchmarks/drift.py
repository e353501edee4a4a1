"""Does the forecast hold in real retraining loops? The cases of `drift_cases`, one stored file a finished loop.

    python -m benchmarks.drift --data ../shared/data --out runs/drift     # resumable, at most 2 --workers
    python -m benchmarks.drift --out runs/drift --collect                 # docs/results/drift-*.parquet, drift.md and its figures
    python -m benchmarks.drift --check                                    # compares the page with what is stored
    python -m benchmarks.drift --quick --out runs/drift-quick             # a stand-in of seconds, printed only
    python -m benchmarks.drift --development --out runs/drift-dev         # seeds below 100, printed only

Loops: census rows by a Gaussian copula, 8 x 8 digits by the laboratory's diffusion network, MNIST by a variational
autoencoder, text by a character model. In each the generator is retrained ten times on a mix of fresh real rows and its own;
`drift.monitor` watches every generation, `drift.forecast` and `drift.planner` look ahead after generation 4. A killed run
repeats at most the loops it was in; loops of the first seed come first. Processes run at low priority.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drift_cases import FIRST_SEED, QUICK, REPORTED, LoopCase, fingerprint
from benchmarks.drift_loop import Stored, forecast_loop, run_loop
from synthsift.writing import write_json

MOST_WORKERS = 2
NICENESS = 5


@dataclass(frozen=True)
class Cell:
    """One loop of one seed."""

    case: LoopCase
    seed: int
    list_hash: str

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.case.name}-{self.seed}.json"


def all_cells(cases: Sequence[LoopCase], first_seed: int) -> list[Cell]:
    """Every loop, the first seeds of all cases before the next ones: an early end leaves a balanced part."""
    longest, list_hash = max(case.num_seeds for case in cases), fingerprint(tuple(cases))
    return [Cell(case, first_seed + k, list_hash) for k in range(longest) for case in cases if k < case.num_seeds]


def stored_cell(cell: Cell, out: Path) -> Stored | None:
    """What is stored of a loop, if the file is whole and belongs to this list of cases."""
    try:
        stored = json.loads((out / cell.file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) and stored.get("list") == cell.list_hash else None


def run_cell(cell: Cell, data: Path, out: Path) -> str:
    """Run a loop and store it; returns what to print."""
    began = time.process_time()
    stored = {"list": cell.list_hash, "seed": cell.seed, **run_loop(cell.case, cell.seed, data)}
    write_json(out / cell.file, stored | {"cpu_seconds": time.process_time() - began})
    made = forecast_loop(cell.case, cell.seed, stored)
    return (
        f"{cell.file} {time.process_time() - began:.0f} s: forecast {made['forecast']:.4f} "
        f"[{made['low']:.4f}, {made['high']:.4f}], measured {made['truth']:.4f} (floor {made['floor']:.4f})"
    )


def run(cells: Sequence[Cell], data: Path, out: Path, workers: int) -> int:
    """Run the loops that are not stored yet; returns how many."""
    out.mkdir(parents=True, exist_ok=True)
    left = [cell for cell in cells if stored_cell(cell, out) is None]
    print(f"{len(cells) - len(left)} of {len(cells)} loops are stored", flush=True)
    if workers <= 1:
        for cell in left:
            print(run_cell(cell, data, out), flush=True)
        return len(left)
    with ProcessPoolExecutor(min(workers, MOST_WORKERS), initializer=os.nice, initargs=(NICENESS,)) as pool:
        for line in pool.map(run_cell, left, [data] * len(left), [out] * len(left)):
            print(line, flush=True)
    return len(left)


def collect(cells: Sequence[Cell], out: Path) -> int:
    """Store the finished loops for the page; returns how many."""
    from benchmarks.drift_collect import store

    finished = [(c.case, c.seed, stored) for c in cells if (stored := stored_cell(c, out)) is not None]
    if not finished:
        sys.exit(f"{out} holds no finished loop of this list of cases")
    store(finished)
    return len(finished)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/drift"))
    parser.add_argument("--workers", type=int, default=1, choices=range(1, MOST_WORKERS + 1))
    parser.add_argument("--only", nargs="+", metavar="WORLD", help="loops of these worlds: adult, digits, mnist, text")
    parser.add_argument("--seeds", type=int, nargs="+", help="loops of these seeds alone")
    parser.add_argument("--quick", action="store_true", help="small stand-ins, seed 0, printed only")
    parser.add_argument("--development", action="store_true", help="the reported cases on seeds from 0, printed only")
    parser.add_argument("--collect", action="store_true", help="store the finished loops of --out and write the page")
    parser.add_argument("--check", action="store_true", help="exit code 1 if the page is not what is stored")
    arguments = parser.parse_args()
    if arguments.check or arguments.collect:
        from benchmarks import drift_page

        if arguments.quick or arguments.development:
            sys.exit("stand-ins and development loops are not reported")
        if arguments.collect:
            collect(all_cells(REPORTED, FIRST_SEED), arguments.out)
            drift_page.write()
        sys.exit(drift_page.complaint() if arguments.check else 0)
    is_reported = not (arguments.quick or arguments.development)
    cells = all_cells(QUICK if arguments.quick else REPORTED, FIRST_SEED if is_reported else 0)
    cells = [c for c in cells if not arguments.only or c.case.world.name in arguments.only]
    cells = [c for c in cells if not arguments.seeds or c.seed in arguments.seeds]
    if arguments.workers == 1:
        os.nice(NICENESS)
    run(cells, arguments.data, arguments.out, arguments.workers)


if __name__ == "__main__":
    main()
