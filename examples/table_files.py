"""A table in CSV files: real wines, wines drawn from a sound generator, and wines from a broken one.

    python examples/table_files.py --out wines

Writes the files, then runs what a user would type: `synthsift run`, and `synthsift export` for the kept rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine


def draw_wines(real: pd.DataFrame, n: int, rng: np.random.Generator, *, mixed_up: bool = False) -> pd.DataFrame:
    """A normal law for each class; the broken generator has forgotten which law belongs to which class."""
    x = real.drop(columns="kind")
    laws = {
        label: (x[real["kind"] == label].mean(), x[real["kind"] == label].cov()) for label in sorted(set(real["kind"]))
    }
    labels = rng.choice(list(laws), n)
    if mixed_up:
        first, *others = laws.values()
        laws = dict(zip(laws, [*others, first], strict=True))
    rows = [rng.multivariate_normal(*laws[label]) for label in labels]
    return pd.DataFrame(rows, columns=x.columns).assign(kind=labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("wines"), help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    bunch = load_wine(as_frame=True)
    wines = bunch.data.assign(kind=bunch.target_names[bunch.target]).sample(frac=1, random_state=0)
    real, test = wines[:90], wines[90:]
    real.to_csv(out / "real.csv", index=False)
    test.to_csv(out / "test.csv", index=False)
    draw_wines(real, 150, rng).to_csv(out / "sound.csv", index=False)
    draw_wines(real, 150, rng, mixed_up=True).to_csv(out / "broken.csv", index=False)

    command = [sys.executable, "-m", "synthsift", "run", "--label", "kind", "--out", str(out / "run")]
    command += ["--real", str(out / "real.csv"), "--test", str(out / "test.csv")]
    command += ["--synthetic", str(out / "sound.csv"), "--synthetic", str(out / "broken.csv")]
    command += ["--policies", "BestSources,TrustedMargin,LearnedWeights", "--seeds", "1"]
    subprocess.run(command, check=True)
    export = [sys.executable, "-m", "synthsift", "export", str(out / "run"), "--out", str(out / "kept")]
    subprocess.run(export, check=True)

    weights = pd.read_parquet(out / "run" / "weights.parquet")
    learned = weights.groupby("source")["learned_weight"].mean()
    print(learned.round(2).to_string())
    summary = json.loads((out / "run" / "summary.json").read_text())
    everything = next(row for row in summary["comparison"] if row["name"] == "Everything")
    assert everything["gain"]["high"] < 0, "using all of it is shown to be harmful"
    assert learned["sound"] > 2 * learned["broken"]
    assert (out / "run" / "report.html").stat().st_size < 5_000_000


if __name__ == "__main__":
    main()
