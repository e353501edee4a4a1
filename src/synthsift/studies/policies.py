"""The names of the policies on the command line, simplest first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthsift.baselines.scored import KNNShapley, TrustedMargin
from synthsift.baselines.simple import Everything, RandomSubset, RealOnly, RealTimes
from synthsift.baselines.sources import BestSources
from synthsift.bilevel.learned import LearnedWeights
from synthsift.bilevel.published import LearnToReweight, MetaWeightNet
from synthsift.data.spec import nearest
from synthsift.records import REAL, DataError, Mixture, Weigher
from synthsift.splits import make_folds, pooled

MIN_LEARNED = (
    16  # real rows that stay while a fold is judged; LearnedWeights refuses fewer than 10, and copies leave, too
)
ALIKE = 1e-6  # difference of weights, as a share of the largest, below which all are called equal
TIMES = 5  # for combinations; plain up-weighting is tried with 3, 5, 10 and 20


def policy_names(learner: str, mixture: Mixture) -> dict[str, Weigher]:
    """Return the policies that make sense for a mixture, simplest first.

    `BestSources` needs two sources. `LearnedWeights` needs enough real rows, and trains the network learner inside
    where the learner is one.
    """
    inner = LearnedWeights(learner="mlp" if learner == "mlp" else "linear")
    enough = _enough(mixture)
    several = len({name for name in mixture.synth.source.tolist() if name != REAL}) > 1
    policies: dict[str, Weigher] = {
        "RealOnly": RealOnly(),
        "Everything": Everything(),
        "RealTimes3": RealTimes(3),
        "RealTimes5": RealTimes(5),
        "RealTimes10": RealTimes(10),
        "RealTimes20": RealTimes(20),
    }
    chosen: dict[str, Weigher] = {
        "RandomSubset": RandomSubset(),
        **({"BestSources": BestSources()} if several else {}),
        "TrustedMarginFilter": TrustedMargin("filter"),
        "TrustedMargin": TrustedMargin("weight"),
        "KNNShapley": KNNShapley(),
        **({"LearnedWeights": inner} if enough else {}),
    }
    for name, weigher in chosen.items():
        policies[name] = weigher
        policies[f"{name}+Real{TIMES}"] = RealTimes(TIMES, weigher)
    return policies


def _enough(mixture: Mixture) -> bool:
    """Whether learned weights have real rows enough in every split: 20 in five even folds, more in folds of groups."""
    pool = pooled(mixture)
    return len(pool) - int(np.bincount(make_folds(pool, 0)).max()) >= MIN_LEARNED


def on_request(learner: str, mixture: Mixture) -> dict[str, Weigher]:
    """Return policies that run only where they are named with --policies: published ones to compare with."""
    if not _enough(mixture):
        return {}
    if learner == "mlp":
        return {"MetaWeightNet": MetaWeightNet("mlp"), "LearnToReweight": LearnToReweight("mlp")}
    return {"MetaWeightNet": MetaWeightNet(), "LearnToReweight": LearnToReweight()}


def pick_policies(wanted: str | None, learner: str, mixture: Mixture) -> dict[str, Weigher]:
    """Return the policies named in a comma-separated list; RealOnly and Everything always take part.

    Raises
    ------
    DataError
        If a name is unknown.
    """
    known = policy_names(learner, mixture)
    if wanted is None:
        return known
    asked = on_request(learner, mixture)
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in known and name not in asked]
    if unknown:
        more = f", and only where they are named {', '.join(asked)}" if asked else ""
        raise DataError(
            f"unknown policy {', '.join(unknown)}; for this data there are {', '.join(known)}{more}."
            f"{nearest(unknown[0], [*known, *asked])}"
        )
    known |= asked
    return {name: weigher for name, weigher in known.items() if name in names or name in ("RealOnly", "Everything")}


def with_diagnostics(policies: dict[str, Weigher]) -> dict[str, Weigher]:
    """Return the same policies, with learned weights that record their training; their weights do not change."""

    def recording(weigher: Weigher) -> Weigher:
        if isinstance(weigher, RealTimes):
            return replace(weigher, of=recording(weigher.of))
        return replace(weigher, diagnose=True) if isinstance(weigher, LearnedWeights) else weigher

    return {name: recording(weigher) for name, weigher in policies.items()}


def words_of(weigher: Weigher, synth: np.ndarray) -> tuple[str, float]:
    """Return a policy in the words of the closing sentence, and how often a real row counts in it.

    Parameters
    ----------
    weigher : callable
    synth : ndarray (m,)
        Its final weights of the synthetic rows: learned ones that are all alike are called equal.
    """
    times = 1.0
    if isinstance(weigher, RealTimes):
        times, weigher = weigher.times, weigher.of
    if isinstance(weigher, TrustedMargin):
        return f"TrustedMargin {'weights' if weigher.mode == 'weight' else 'filter'}", times
    if isinstance(weigher, LearnedWeights) and len(synth) and np.ptp(synth) <= ALIKE * synth.max():
        return "equal weights", times
    words = {
        Everything: "equal weights",
        RealOnly: "no weight",
        RandomSubset: "equal weights, drawn at random",
        BestSources: "equal weights (best sources)",
        KNNShapley: "KNN-Shapley filter",
        LearnedWeights: "learned weights",
        MetaWeightNet: "Meta-Weight-Net weights",
        LearnToReweight: "learning-to-reweight weights",
    }
    return words[type(weigher)], times
