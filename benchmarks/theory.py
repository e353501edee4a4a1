"""Does the theory predict trained models on real data? The cases of `theory_cases`, one stored file a cell.

    python -m benchmarks.theory --data ../shared/data --out runs/theory --workers 2    # resumable, about 15 CPU minutes
    python -m benchmarks.theory --collect runs/theory      # -> docs/results/theory-*.parquet
    python -m benchmarks.tables                            # -> docs/results/theory.md and its figures
    python -m benchmarks.theory --development --out runs/theory-dev    # other cases, seeds below 100

A cell is one case and one seed; a killed run repeats at most the cells it was in. Processes run at low priority.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.theory_cases import (
    AFTERWARDS,
    DEVELOPMENT,
    FIRST_SEED,
    REPORTED,
    Case,
    CollapseCase,
    MixingCase,
    RowsCase,
    fingerprint,
)

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PARTS = {"MixingCase": "mixing", "CollapseCase": "collapse", "TextCase": "text", "RowsCase": "rows"}
MOST_WORKERS = 2
NICENESS = 12


@dataclass(frozen=True)
class Cell:
    """One case and one seed."""

    case: Case
    seed: int
    list_hash: str

    @property
    def part(self) -> str:
        """Which table the cell belongs to."""
        return PARTS[type(self.case).__name__]

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.part}-{re.sub('[^a-z0-9.]+', '-', self.case.name.lower())}-{self.seed}.json"


def all_cells(cases: Sequence[Case], first_seed: int) -> list[Cell]:
    """Every cell, the first seeds of all cases before the next ones: an early end leaves a balanced half."""
    longest = max(case.num_seeds for case in cases)
    list_hash = fingerprint(tuple(cases))
    return [Cell(case, first_seed + k, list_hash) for k in range(longest) for case in cases if k < case.num_seeds]


def is_done(cell: Cell, out: Path) -> bool:
    """True if the cell's file is whole and belongs to this list of cases."""
    try:
        stored = json.loads((out / cell.file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(stored, dict) and stored.get("list") == cell.list_hash


def run_cell(cell: Cell, data: Path, out: Path) -> str:
    """Compute a cell and store it; returns what to print."""
    began = time.process_time()
    rows = _compute(cell, data)
    seconds = time.process_time() - began
    stored = {"list": cell.list_hash, "case": cell.case.name, "seed": cell.seed, "seconds": seconds, "rows": rows}
    begun = out / f".{cell.file}.{os.getpid()}"
    begun.write_text(json.dumps(stored), encoding="utf-8")
    begun.replace(out / cell.file)
    return f"{cell.file} {seconds:.1f} s"


def _compute(cell: Cell, data: Path) -> list[dict[str, Any]]:
    """Rows of a cell; torch is loaded only by the parts that train networks."""
    if isinstance(cell.case, MixingCase):
        from benchmarks.theory_accuracy import run_mixing

        return run_mixing(cell.case, cell.seed, data)
    import torch

    torch.set_num_threads(1)
    if isinstance(cell.case, CollapseCase):
        from benchmarks.theory_networks import run_collapse

        return run_collapse(cell.case, cell.seed, data)
    if isinstance(cell.case, RowsCase):
        from benchmarks.theory_networks import run_rows

        return run_rows(cell.case, cell.seed, data)
    from benchmarks.theory_characters import run_text

    return run_text(cell.case, cell.seed, data)


def run(cells: Sequence[Cell], data: Path, out: Path, workers: int) -> int:
    """Compute the cells that are not stored yet; returns how many were computed."""
    out.mkdir(parents=True, exist_ok=True)
    left = [cell for cell in cells if not is_done(cell, out)]
    print(f"{len(cells) - len(left)} of {len(cells)} cells are stored", flush=True)
    if workers <= 1:
        for cell in left:
            print(run_cell(cell, data, out), flush=True)
        return len(left)
    with ProcessPoolExecutor(min(workers, MOST_WORKERS), initializer=os.nice, initargs=(NICENESS,)) as pool:
        for line in pool.map(run_cell, left, [data] * len(left), [out] * len(left)):
            print(line, flush=True)
    return len(left)


def collect(cells: Sequence[Cell], out: Path, results: Path) -> dict[str, int]:
    """Store the rows of the finished cells as theory-PART.parquet; returns rows by part."""
    import pandas as pd

    rows: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        if is_done(cell, out):
            stored = json.loads((out / cell.file).read_text(encoding="utf-8"))
            head = {"list": stored["list"], "case": cell.case.name, "seed": cell.seed, "seconds": stored["seconds"]}
            rows.setdefault(cell.part, []).extend(head | row for row in stored["rows"])
    results.mkdir(parents=True, exist_ok=True)
    for part, found in rows.items():
        frame = pd.DataFrame(found).sort_values(["case", "seed"], kind="stable")
        frame.to_parquet(results / f"theory-{part}.parquet", index=False)
    return {part: len(found) for part, found in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/theory"))
    parser.add_argument("--workers", type=int, default=1, choices=range(1, MOST_WORKERS + 1))
    parser.add_argument("--only", choices=sorted(PARTS.values()), help="one part of the list")
    parser.add_argument("--development", action="store_true", help="the development cases, seeds from 0")
    parser.add_argument("--collect", type=Path, help="store the finished cells of this folder for the page")
    arguments = parser.parse_args()
    lists = (DEVELOPMENT,) if arguments.development else (REPORTED, AFTERWARDS)
    cells = [cell for cases in lists for cell in all_cells(cases, 0 if arguments.development else FIRST_SEED)]
    if arguments.collect:
        if arguments.development:
            sys.exit("development cases are not reported")
        print(collect(cells, arguments.collect, RESULTS))
        return
    if arguments.workers == 1:
        os.nice(NICENESS)
    wanted = [cell for cell in cells if arguments.only in (None, cell.part)]
    run(wanted, arguments.data, arguments.out, arguments.workers)


if __name__ == "__main__":
    main()
