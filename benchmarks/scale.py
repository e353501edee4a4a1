"""How long and how much memory for large pools: `run` on 200,000 synthetic rows, `score` on a million.

    python -m benchmarks.scale --out runs/scale     # stores docs/results/scale.parquet; about 7 minutes on 2 cores

Rows have 64 columns and half of the synthetic labels are wrong (``worlds.harmful_labels``). Every line is a command in a
process of its own; memory is its peak resident size.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from synthsift.bilevel.learned import LearnedWeights
from synthsift.data.worlds import World, harmful_labels
from synthsift.records import Examples, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results"
# A process starts with the peak memory of the one that starts it, so a small one stands between.
LAUNCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""
DIM = 64
SEED = 1000


def make_world(num_real: int, num_synth: int) -> World:
    """A world of three classes with wrong labels among its synthetic rows."""
    return harmful_labels(Seeds(SEED), wrong=0.5, num_real=num_real, num_synth=num_synth, dim=DIM)


def write(rows: Examples, file: Path) -> Path:
    """Store rows as Parquet, unless the file is there."""
    if not file.exists():
        table = pd.DataFrame(np.asarray(rows.x), columns=[f"x{k}" for k in range(DIM)])
        table["label"] = rows.y
        table.to_parquet(file, index=False)
    return file


def measure(name: str, rows: int, arguments: list[str]) -> dict[str, object]:
    """Run a command; return wall and CPU seconds and the peak memory of its process."""
    began = time.perf_counter()
    line = [sys.executable, "-c", LAUNCH, sys.executable, "-m", "synthsift", *arguments]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"synthsift {' '.join(arguments)} failed")
    cpu, peak = map(float, done.stdout.split())
    print(name, f"{seconds:.0f} s, {peak / 2**20:.2f} GiB", flush=True)
    return {"what": name, "rows": rows, "seconds": seconds, "cpu_seconds": cpu, "peak_gib": peak / 2**20}


def learned_weights(rows: int) -> dict[str, object]:
    """CPU seconds of `LearnedWeights` alone on a described pool."""
    import torch

    torch.set_num_threads(1)
    mixture = make_world(200, rows).mixture
    x = concat_x([part.x for part in mixture.parts if len(part)])
    embedding = fit_encoder(x).transform(x)
    features = FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)})(mixture, Seeds(SEED))
    LearnedWeights(steps=1)(mixture, features, Seeds(SEED))  # what torch loads at its first use is not counted
    began, cpu = time.perf_counter(), time.process_time()
    LearnedWeights()(mixture, features, Seeds(SEED))
    return {
        "what": "LearnedWeights, described rows",
        "rows": rows,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gib": float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=int, default=200_000)
    parser.add_argument("--scored", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("runs/scale"))
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    mixture = make_world(1_000, arguments.synthetic).mixture
    real = write(mixture.real, out / "real.parquet")
    synthetic = write(mixture.synth, out / f"synthetic-{arguments.synthetic}.parquet")
    sizes = (arguments.scored // 10, arguments.scored)  # memory is to be the same for both
    pools = [write(make_world(1_000, size).mixture.synth, out / f"pool-{size}.parquet") for size in sizes]
    folder, label = out / f"run-{arguments.synthetic}", ["--label", "label"]
    run = ["run", "--real", str(real), "--synthetic", str(synthetic), *label, "--out", str(folder), "--quiet"]
    score = ["score", "--run", str(folder), "--out", str(out / "scored.parquet"), "--overwrite", "--quiet"]
    found = [
        learned_weights(2_000),
        measure("run, default budget", arguments.synthetic, run),
        *(measure("score", n, [*score, "--synthetic", str(pool)]) for n, pool in zip(sizes, pools, strict=True)),
    ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(found).to_parquet(RESULTS / "scale.parquet", index=False)


if __name__ == "__main__":
    main()
