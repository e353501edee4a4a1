"""A generator that is retrained on its own output, watched: tumor measurements, generation after generation.

    python examples/drift_loop.py --out loop

Half of a real table trains a small generator, the other half is what `synthsift drift` compares with. Each generation
learns from 30 % real rows and 70 % rows of the one before, and prefers the typical a little, as many samplers do.
Takes seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

FRESH, GENERATIONS, ROWS = 0.3, 5, 400
CAUTION = 0.85  # spread of the samples over that of the fitted law: below 1 the generator prefers the typical


def generate(train: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of a normal law for each class, fitted to `train`, a little too near to its middle."""
    counts = rng.multinomial(n, train["diagnosis"].value_counts(normalize=True, sort=False))
    parts = []
    for (label, group), count in zip(train.groupby("diagnosis", sort=False), counts, strict=True):
        x = group.drop(columns="diagnosis")
        rows = rng.multivariate_normal(x.mean(), CAUTION**2 * x.cov(), count)
        parts.append(pd.DataFrame(rows, columns=x.columns).assign(diagnosis=label))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("loop"), help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.iloc[:, :8].assign(diagnosis=bunch.target_names[bunch.target]).sample(frac=1, random_state=0)
    train, real = table[:284], table[284:]
    real.to_csv(out / "real.csv", index=False)

    files, mix = [], train
    for k in range(GENERATIONS):
        made = generate(mix, ROWS, rng)
        files.append(out / f"gen{k}.csv")
        made.to_csv(files[-1], index=False)
        fresh = train.sample(round(FRESH * ROWS), replace=True, random_state=k)
        # Rows that train the next generation are others than those that are watched.
        mix = pd.concat([fresh, generate(mix, ROWS - len(fresh), rng)], ignore_index=True)

    command = [sys.executable, "-m", "synthsift", "drift", "--real", str(out / "real.csv"), *map(str, files)]
    command += ["--label", "diagnosis", "--fresh-fraction", str(FRESH), "--out", str(out / "run"), "--overwrite"]
    ended = subprocess.run(command, check=False)
    assert ended.returncode in (0, 1), "1 says that a generation alarms"

    record = json.loads((out / "run" / "drift.json").read_text(encoding="utf-8"))
    drift = [generation["measures"]["mmd2"]["value"] for generation in record["generations"]]
    assert record["verdict"]["alarm"] and drift[-1] > 2 * drift[0] > 0
    assert (out / "run" / "report.html").stat().st_size < 5_000_000


if __name__ == "__main__":
    main()
