"""Small data files with a real signal, for whole runs of the command line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from synthsift import writing

QUICK = ("--policies", "Everything", "--seeds", "1")
WEIGHTS = ["id", "source", "split", "label", "weight", "learned_weight", "keep", "file", "row"]  # of weights.parquet
Columns = dict[str, Any]


def draw(n: int, seed: int, *, flipped: float = 0.0, labels: tuple[Any, ...] = ("no", "yes")) -> Columns:
    """Columns a, b (numbers), kind (category) and label; the share `flipped` of the labels is wrong."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(labels)
    a, b = rng.normal(size=n) + 1.5 * y, rng.normal(size=n) - 0.7 * y
    shown = np.where(rng.random(n) < flipped, (y + 1) % len(labels), y)
    return {
        "a": [round(v, 4) for v in a.tolist()],
        "b": [round(v, 4) for v in b.tolist()],
        "kind": ["uvw"[k] for k in rng.integers(3, size=n)],
        "label": [labels[k] for k in shown],
    }


def write(path: Path, columns: Columns) -> str:
    """Write columns as CSV and return the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def two_files(
    folder: Path,
    *more: object,
    real: Any = None,
    synthetic: Any = None,
    out: str = "run",
    label: str = "label",
    quick: tuple[str, ...] = QUICK,
) -> list[str]:
    """Write real.csv and made.csv, or take given columns or paths, and return the arguments of a quick run."""
    files = []
    for name, given, seed in (("real.csv", real, 1), ("made.csv", synthetic, 2)):
        columns = draw(40, seed) if given is None else given
        files.append(write(folder / name, columns) if isinstance(columns, dict) else str(columns))
    words = ["run", "--real", files[0], "--synthetic", files[1], "--label", label, "--out", str(folder / out)]
    return [*words, *quick, *map(str, more)]


def run_folder(arguments: list[str]) -> Path:
    """The --out of a command."""
    return Path(arguments[arguments.index("--out") + 1])


def columns_of(file: Path) -> dict[str, list[Any]]:
    """A Parquet file as lists."""
    import pyarrow.parquet as pq

    return pq.read_table(file).to_pydict()


def finished_run(folder: Path) -> Path:
    """A finished run that keeps rows of two files."""
    files = [write(folder / f"{name}.csv", draw(10, seed)) for seed, name in enumerate(("real", "made"))]
    run = folder / "run"
    run.mkdir()
    columns = {"file": np.repeat(files, 10), "row": np.tile(np.arange(10), 2), "weight": np.ones(20)}
    columns |= {"source": np.repeat(["real", "made"], 10), "split": np.repeat(["train", "synthetic"], 10)}
    columns |= {"label": np.tile(["a", "b"], 10), "keep": np.arange(20) % 3 > 0}
    writing.write_parquet(run / "weights.parquet", columns)
    writing.write_json(run / "summary.json", {"schema": 1, "verdict": {"sentence": "Use it."}})
    return run
