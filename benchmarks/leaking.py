"""Generators that were fitted on the rows that judge: are they found (SS154), and what would the verdict say without?

    python -m benchmarks.leaking --first 1000 --worlds 24    # stores docs/results/leaking.parquet; nine minutes

In every world a generator is fitted on some rows of the real law and makes ten times as many: normal draws around each class,
a bootstrap with noise, or rows interpolated between two of a class. "The judged rows" are those that the comparison judges
by; the control is the same generator, fitted on as many other rows of the law. Truth: accuracy on 20,000 fresh rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.intervals import mean, share
from synthsift.check.fitted import fitted_sources
from synthsift.compare import compare
from synthsift.data.worlds import as_examples, same_law
from synthsift.records import Examples, Loaded
from synthsift.seeds import Seeds
from synthsift.studies.road import Plan, conclude, prepare
from synthsift.training.learners import Logistic
from synthsift.verdict import decide, verdict_seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results"
GENERATORS = ("normal", "bootstrap", "interpolated")
FITTED_ON = ("the judged rows", "other rows")
TIMES, NUM_TEST = 10, 20_000


def generate(kind: str, rows: Examples, rng: np.random.Generator) -> Examples:
    """Return rows of a generator that knows nothing but `rows`."""
    first = rng.integers(len(rows), size=TIMES * len(rows))
    y = rows.y[first]
    of_class = {label: np.flatnonzero(rows.y == label) for label in np.unique(rows.y).tolist()}
    if kind == "normal":
        x = np.empty((len(y), rows.x.shape[1]))
        for label, mine in of_class.items():
            own = rows.x[mine]
            spread = np.cov(own.T) if len(own) > 1 else np.zeros((own.shape[1],) * 2)
            x[y == label] = rng.multivariate_normal(own.mean(axis=0), spread, int(np.sum(y == label)))
    elif kind == "bootstrap":
        x = rows.x[first] + 0.3 * rows.x.std(axis=0) * rng.standard_normal((len(y), rows.x.shape[1]))
    else:
        second = np.array([rng.choice(of_class[label]) for label in y.tolist()])
        x = rows.x[first] + rng.random((len(y), 1)) * (rows.x[second] - rows.x[first])
    return as_examples((x, y), kind)


def judge(seed: int, kind: str, fitted_on: str) -> dict[str, object]:
    """Compare with and without the generator's rows; what the verdict is with SS154, and what it would be without."""
    rng = np.random.default_rng(seed)
    shape = {
        "num_real": int(rng.integers(100, 500)),
        "dim": int(rng.integers(8, 40)),
        "num_classes": int(rng.integers(2, 5)),
    }
    world = same_law(Seeds(seed), num_valid=0, num_synth=10, separation=float(rng.uniform(0.4, 1.2)), **shape)
    real = world.mixture.real
    learned = real if fitted_on == FITTED_ON[0] else world.draw_test(len(real), rng)
    synth = generate(kind, learned, rng)
    loaded = Loaded(replace(world.mixture, synth=synth), world.draw_test(NUM_TEST, rng))
    encoded, study = prepare(
        loaded, Plan(Logistic(), "logistic", "RealTimes5,RealTimes20", num_seeds=2, metric="accuracy")
    )
    comparison = compare(study)
    without, found = (
        decide(comparison, "accuracy", verdict_seeds(comparison)),
        conclude(study, loaded, comparison, encoded.test),
    )
    test = {row["name"]: 100 * row["value"] for row in found.test if row["metric"] == "accuracy"}
    return {
        "seed": seed,
        "generator": kind,
        "fitted_on": fitted_on,
        **shape,
        "found": bool(fitted_sources(found.means)),
        "use_without": without.use,
        "use": found.verdict.use,
        "everything": without.everything.mean,
        "true_everything": test["Everything"] - test["RealOnly"],
        "true_gain": test[without.policy] - test["RealOnly"],
    }


def table(rows: pd.DataFrame) -> str:
    """How often a generator is found, and what is claimed of its rows beside the truth."""
    lines = [
        "| generator | fitted on | found | 'use' without SS154 | 'use' | everything over RealOnly, claimed | the same, true |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (kind, fitted_on), part in rows.groupby(["generator", "fitted_on"], sort=False):
        shares = " | ".join(share(part[name]) for name in ("found", "use_without", "use"))
        gains = " | ".join(mean(part[name]) for name in ("everything", "true_everything"))
        lines.append(f"| {kind} | {fitted_on} | {shares} | {gains} |")
    wrong = rows[rows["fitted_on"] == FITTED_ON[0]]
    harm, left = (wrong[name] & (wrong["true_gain"] < 0) for name in ("use_without", "use"))
    lines += [
        "",
        f"Fitted on the judged rows, 'use' although the true gain is below 0: {share(harm)} without SS154, "
        f"{share(left)} with it.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--worlds", type=int, default=24)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.worlds)
    rows = pd.DataFrame([judge(seed, kind, rest) for seed in seeds for kind in GENERATORS for rest in FITTED_ON])
    rows.to_parquet(RESULTS / "leaking.parquet", index=False)
    print(table(rows))


if __name__ == "__main__":
    main()
