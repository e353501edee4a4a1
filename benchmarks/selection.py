"""Do learned weights find planted bad rows, leave good ones alone, and say nothing where nothing can be known?

    python -m benchmarks.selection                      # seeds 1000-1009, stores docs/results/selection.parquet
    python -m benchmarks.selection --control            # 20 permutations of the trusted labels, digits noise

Every world is described as in a split and weighed with the default settings; AUROC is that of the synthetic weights
for good against bad rows. "without" leaves out the columns made of neighbors' labels and of the trusted model.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.intervals import mean
from synthsift.bilevel.learned import LearnedWeights
from synthsift.bilevel.published import LearnToReweight, MetaWeightNet
from synthsift.data.worlds import WORLDS, World, permute_real_labels
from synthsift.records import Features, Weigher, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results"
LABEL_COLUMNS = ("margin", "trusted_loss", "knn_agreement", "mixed_agreement", "knn_shapley")


def describe(world: World, seed: int) -> Features:
    """Encode and describe the rows of a world."""
    mixture = world.mixture
    x = concat_x([part.x for part in mixture.parts if len(part)])
    embedding = fit_encoder(x).transform(x)
    return FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)})(mixture, Seeds(seed))


def without_labels_of_others(features: Features) -> Features:
    """Leave out what neighbors' labels and the trusted model say."""
    keep = [k for k, name in enumerate(features.names) if name not in LABEL_COLUMNS]
    return replace(features, values=features.values[:, keep], names=tuple(features.names[k] for k in keep))


def auroc(good: np.ndarray, weight: np.ndarray) -> float:
    """Probability that a good row weighs more than a bad one, ties counted half; NaN with one kind alone."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(good, weight)) if 0 < good.sum() < len(good) else float("nan")


def measure(world: World, features: Features, weigher: Weigher, seed: int) -> dict[str, Any]:
    """Weigh a world; return AUROC, effective fraction of the synthetic rows, and CPU seconds."""
    began = time.process_time()
    weights = weigher(world.mixture, features, Seeds(seed))
    seconds = time.process_time() - began
    w = weights.values[world.mixture.is_synth]
    fraction = float(w.sum() ** 2 / (len(w) * np.sum(w**2))) if w.any() else 0.0
    return {"auroc": auroc(~world.bad, w), "effective": fraction, "cpu_seconds": seconds}


def oracle(world: World) -> dict[str, Any]:
    """Weigh synthetic rows by how sure a classifier that was told which rows are bad is, from place and label alone.

    Of ``non_local_harm``, whose last column tells bad rows apart: a row's score is a matter of its other columns and its
    label, which good and bad rows share, so weights that follow scores find no more than this one does.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict

    began = time.process_time()
    synth = world.mixture.synth
    x = np.column_stack([np.asarray(synth.x)[:, :-1], synth.y])
    model = HistGradientBoostingClassifier(random_state=0)
    w = cross_val_predict(model, x, ~world.bad, cv=5, method="predict_proba")[:, 1]
    fraction = float(w.sum() ** 2 / (len(w) * np.sum(w**2)))
    return {"auroc": auroc(~world.bad, w), "effective": fraction, "cpu_seconds": time.process_time() - began}


def worlds(seeds: list[int], names: list[str]) -> pd.DataFrame:
    """One row a world, seed and way of weighing."""
    rows = []
    for name in names:
        for seed in seeds:
            world = WORLDS[name](Seeds(seed))
            began = time.process_time()
            features = describe(world, seed)
            seconds = time.process_time() - began
            ways: dict[str, tuple[Weigher, Features]] = {
                "LearnedWeights": (LearnedWeights(), features),
                "LearnedWeights without": (LearnedWeights(), without_labels_of_others(features)),
                "MetaWeightNet": (MetaWeightNet(), features),
                "LearnToReweight": (LearnToReweight(), features),
            }
            for way, (weigher, given) in ways.items():
                found = measure(world, given, weigher, seed)
                rows.append({"world": name, "seed": seed, "way": way, "describe_seconds": seconds, **found})
            if name == "non_local_harm":
                told = {"way": "oracle of place and label", "describe_seconds": 0.0, **oracle(world)}
                rows.append({"world": name, "seed": seed, **told})
            print(name, seed, {r["way"]: round(r["auroc"], 3) for r in rows[-len(ways) :]}, flush=True)
    return pd.DataFrame(rows)


def control(seeds: list[int]) -> pd.DataFrame:
    """Weigh the digits-noise world with the labels of its trusted rows permuted, once a seed."""
    rows = []
    for seed in seeds:
        world = permute_real_labels(WORLDS["digits_noise"](Seeds(seed)), Seeds(seed))
        rows.append({"seed": seed, **measure(world, describe(world, seed), LearnedWeights(), seed)})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1000, 1010)))
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS))
    parser.add_argument("--control", action="store_true")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    worlds_file, control_file = RESULTS / "selection.parquet", RESULTS / "selection-control.parquet"
    if arguments.control:
        rows = control(list(range(1000, 1020)))
        rows.to_parquet(control_file, index=False)
        print("AUROC x 100 with permuted trusted labels:", mean(100 * rows["auroc"]))
    else:
        worlds(arguments.seeds, arguments.worlds).to_parquet(worlds_file, index=False)


if __name__ == "__main__":
    main()
