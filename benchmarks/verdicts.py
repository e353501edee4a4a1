"""How often is the verdict right? Random worlds whose truth can be measured.

    python -m benchmarks.verdicts --first 6000 --worlds 700 --max-cost 1e6 --out runs/verdicts
    python -m benchmarks.verdicts --collect runs/verdicts     # stores docs/results/verdicts-random.parquet
    python -m benchmarks.verdicts --first 5000 --worlds 277 --max-cost 1e6 --permute --out runs/permuted  # --kind permuted
    python -m benchmarks.verdicts --first 9000 --worlds 150 --min-real 1000 --min-gain 3 --out runs/power  # --kind power
    python -m benchmarks.verdicts --first 4001 --worlds 273 --max-cost 2.5e5 --unbalanced --out runs/mix  # --kind unbalanced
    python -m benchmarks.verdicts --first 4502 --worlds 397 --max-cost 1.2e5 --unbalanced --permute --out runs/control
    python -m benchmarks.verdicts --collect runs/control --kind unbalanced-permuted

Every world is judged by the default policies; its truth is the metric of the final fits on 20,000 fresh rows: accuracy,
or balanced accuracy with ``--unbalanced``, as a run takes by default there. Worlds are resumable (one file each).
``--permute`` permutes the labels of all synthetic rows: the negative control.
``--min-gain`` looks at the truth first and goes on only where there is much to gain, which is rare with many real rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthsift.compare import Study, compare, final_fits
from synthsift.data.worlds import World, permute_synthetic_labels
from synthsift.data.worlds_random import random_world
from synthsift.numerics.metrics import metric_value
from synthsift.records import Comparison, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds
from synthsift.studies.policies import policy_names
from synthsift.training.learners import Logistic
from synthsift.verdict import decide

RESULTS = Path(__file__).parents[1] / "docs" / "results"
TEST_ROWS = 20_000
KINDS = ("random", "permuted", "power", "unbalanced", "unbalanced-permuted")
MAX_COST = 4e6  # rows x inputs x classes of the worlds that take part; the 1 % of draws beyond are skipped and counted


def judge_world(
    world: World, num_seeds: int, seed: int, min_gain: float = -np.inf, metric: str = "accuracy"
) -> dict[str, object] | None:
    """Return the verdict on a world beside the truth; None if no policy's true gain reaches `min_gain` points."""
    mixture = world.mixture
    x = concat_x([part.x for part in mixture.parts if len(part)])
    encoder = fit_encoder(x)
    embedding = encoder.transform(x)
    describe = FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)})
    policies = policy_names("logistic", mixture)
    study = Study(policies, mixture, embedding, describe, Logistic(), num_seeds, 100 * seed, metric=metric)
    test = world.draw_test(TEST_ROWS, np.random.default_rng([seed, 7]))
    vectors = encoder.transform(test.x)
    _, models = final_fits(study, list(policies))
    ones = np.ones(len(test))
    truth = {
        name: 100 * metric_value(metric, test.y, model.predict_proba(vectors), ones) for name, model in models.items()
    }
    gains = {name: value - truth["RealOnly"] for name, value in truth.items()}
    if max(gain for name, gain in gains.items() if name != "RealOnly") < min_gain:
        return None
    comparison = compare(study)
    verdict, without = (decide(c, metric, Seeds(seed).child("verdict")) for c in (comparison, unlearned(comparison)))
    return {
        "seed": seed,
        "world": world.name,
        "num_real": len(mixture.real) + len(mixture.valid),
        "num_synth": len(mixture.synth),
        "dim": int(x.shape[1]),
        "num_classes": mixture.num_classes,
        "policy": verdict.policy,
        "use": verdict.use,
        "evidence": verdict.evidence,
        "policy_unlearned": without.policy,
        "use_unlearned": without.use,
        "gain": [verdict.gain.mean, verdict.gain.low, verdict.gain.high],
        "everything": [verdict.everything.mean, verdict.everything.low, verdict.everything.high],
        "truth": gains,
        "real_only": truth["RealOnly"],
    }


def unlearned(comparison: Comparison) -> Comparison:
    """Return the same folds without learned weights among the candidates."""
    others = {name: prob for name, prob in comparison.probabilities.items() if not name.startswith("Learned")}
    return replace(comparison, probabilities=others)


def run(
    first: int,
    worlds: int,
    out: Path,
    num_seeds: int,
    permute: bool,
    num_real: int | None,
    max_cost: float,
    min_real: int,
    min_gain: float,
    unbalanced: bool,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + worlds):
        file = out / f"{seed}.json"
        if file.exists():
            continue
        world = random_world(Seeds(seed), num_real=num_real, unbalanced=unbalanced)
        mixture = world.mixture
        cost = len(mixture.ids) * mixture.real.x.shape[1] * mixture.num_classes
        if cost > max_cost or len(mixture.real) + len(mixture.valid) < min_real:
            if cost > MAX_COST:
                file.write_text("null")
            continue
        if permute:
            world = permute_synthetic_labels(world, Seeds(seed).child("permute"))
        started = time.perf_counter()
        record = judge_world(world, num_seeds, seed, min_gain, "balanced_accuracy" if unbalanced else "accuracy")
        file.write_text(json.dumps(record))
        found = (record["policy"], record["evidence"]) if record else ("little to gain",)
        print(seed, world.name, *found, f"{time.perf_counter() - started:.1f} s", flush=True)


def collect(folder: Path, kind: str) -> None:
    """Store the finished worlds of a folder as docs/results/verdicts-KIND.parquet."""
    import pandas as pd

    texts = [file.read_text() for file in sorted(folder.glob("*.json"))]
    rows = []
    for record in (json.loads(text) for text in texts if text != "null"):
        truth = record.pop("truth")
        gain, everything = record.pop("gain"), record.pop("everything")
        rows.append(
            record
            | dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True))
            | dict(zip(("everything", "everything_low", "everything_high"), everything, strict=True))
            | {"true_gain": truth[record["policy"]], "true_everything": truth["Everything"]}
            | {"best_gain": max(value for name, value in truth.items() if name != "RealOnly")}
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(RESULTS / f"verdicts-{kind}.parquet", index=False)
    print(f"{len(rows)} worlds -> {RESULTS / f'verdicts-{kind}.parquet'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2, help="repetitions of the 5 folds")
    parser.add_argument("--num-real", type=int)
    parser.add_argument("--max-cost", type=float, default=MAX_COST, help="leave larger draws to a later call")
    parser.add_argument("--min-real", type=int, default=0, help="leave draws with fewer real rows to another call")
    parser.add_argument("--min-gain", type=float, default=-np.inf, help="leave worlds out whose best true gain is less")
    parser.add_argument("--permute", action="store_true")
    parser.add_argument("--unbalanced", action="store_true", help="classes of other sizes, judged by balanced accuracy")
    parser.add_argument("--out", type=Path, default=Path("runs/verdicts"))
    parser.add_argument("--collect", type=Path, help="store the finished worlds of this folder")
    parser.add_argument("--kind", choices=KINDS, default="random", help="name to store under")
    arguments = parser.parse_args()
    if arguments.collect:
        collect(arguments.collect, arguments.kind)
        return
    import torch

    torch.set_num_threads(1)
    run(
        arguments.first,
        arguments.worlds,
        arguments.out,
        arguments.seeds,
        arguments.permute,
        arguments.num_real,
        arguments.max_cost,
        arguments.min_real,
        arguments.min_gain,
        arguments.unbalanced,
    )


if __name__ == "__main__":
    main()
