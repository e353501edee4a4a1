"""From loaded rows to a verdict: the road that the command line and the scikit-learn facade share.

`prepare` encodes and sets up the comparison, `compare.compare` runs it, `conclude` decides and fits the final models.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthsift.check.fitted import fitted_sources, means_of_sources
from synthsift.compare import Study, final_fits, judge_test
from synthsift.numerics.metrics import is_unbalanced
from synthsift.numerics.overlap import Nearness
from synthsift.paired import check_metric
from synthsift.records import Comparison, DataError, Features, Images, Loaded, Verdict, Weights, concat_x
from synthsift.represent.encoding import Encoded, encode
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds
from synthsift.sentence import with_weights
from synthsift.splits import all_copies, distinct_repetitions, find_leaks, name_relatives, pooled
from synthsift.studies.policies import pick_policies, with_diagnostics, words_of
from synthsift.together import Together
from synthsift.training.learners import Learner, Model
from synthsift.verdict import decide, only_copies, seen_before, verdict_seeds

LEARNED = "LearnedWeights"
LEAST_SHARE = 0.05  # of the synthetic weight: a source with less is not what a gain rests on


@dataclass(frozen=True)
class Plan:
    """How to compare.

    Parameters
    ----------
    learner : Learner
    inner : str
        The learner's name on the command line; "mlp" trains a network inside `LearnedWeights`.
    policies : str, optional
        Comma-separated names; all that make sense if None.
    num_seeds, first_seed : int
        Repetitions of the 5 folds (fewer where there are fewer groups), and the number of the first.
    budget_seconds : float
    metric : str, optional
        See `choose_metric`.
    pca : int, optional
        Directions kept of a table.
    encoder : str, optional
        A pretrained network, see `represent.pretrained`; None: the encoder that needs none.
    unseen : bool
        The user says that the generators saw no real row: means that are too close overrule no verdict.
    """

    learner: Learner
    inner: str
    policies: str | None = None
    num_seeds: int = 5
    first_seed: int = 0
    budget_seconds: float = 300.0
    metric: str | None = None
    pca: int | None = None
    encoder: str | None = None
    unseen: bool = False


def prepare(loaded: Loaded, plan: Plan) -> tuple[Encoded, Study]:
    """Encode all rows once, without labels, and set up the comparison; the cnn learner sees the pixels instead.

    Returns
    -------
    encoded : Encoded
    study : Study

    Raises
    ------
    DataError
        If the learner needs pictures and the data are none, or the metric cannot be judged on these rows or groups.
    """
    mixture, inputs = loaded.mixture, None
    pool = pooled(mixture)
    metric = choose_metric(plan.metric, pool.y)
    check_metric(metric, pool.y, pool.group)
    if plan.inner == "cnn":
        inputs = concat_x([part.x for part in mixture.parts if len(part)])
        if not isinstance(inputs, Images):
            raise DataError(
                "--learner cnn reads pictures, and the data are none. Give folders of images, one folder a class, or "
                "choose --learner logistic or mlp."
            )
    encoded = encode(loaded, plan.pca, plan.encoder)
    embedding = encoded.rows
    leaks = find_leaks(mixture, embedding)
    mixture = name_relatives(mixture, leaks, embedding)
    study = Study(
        policies=pick_policies(plan.policies, plan.inner, mixture),
        mixture=mixture,
        embedding=embedding,
        describe=FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)}),
        learner=plan.learner,
        num_seeds=distinct_repetitions(pool, plan.num_seeds),
        first_seed=plan.first_seed,
        budget_seconds=plan.budget_seconds,
        workers=max(1, min(2, os.cpu_count() or 1)),
        metric=metric,
        inputs=inputs,
        leaks=leaks,
        refitted=None if loaded.test is not None else (LEARNED,),
        unseen=plan.unseen,
    )
    return encoded, study


def choose_metric(wanted: str | None, y: np.ndarray) -> str:
    """Return the metric asked for; else accuracy, or balanced accuracy for unbalanced real classes."""
    if wanted is not None:
        return wanted
    return "balanced_accuracy" if is_unbalanced(np.bincount(y)) else "accuracy"


@dataclass(frozen=True)
class Concluded:
    """What was decided, and what was fitted on all rows.

    Parameters
    ----------
    verdict : Verdict
    weights : mapping of str to Weights
        Final weights of the verdict's policy and of LearnedWeights where it took part.
    models : mapping of str to Model
    test : list of dict
        Test metric of every policy, empty without test rows.
    features : Features
        The description of all rows, as the final fits saw it.
    means : mapping of str to Nearness
        How close the means of each source are to those of the real rows.
    """

    verdict: Verdict
    weights: Mapping[str, Weights]
    models: Mapping[str, Model]
    test: list[dict[str, Any]]
    features: Features
    means: Mapping[str, Nearness]


def seen_of_test(study: Study, loaded: Loaded, test_vectors: np.ndarray | None) -> Any:
    """Return what the learner sees of the test rows; None where there are none."""
    if loaded.test is None or test_vectors is None:
        return None
    return test_vectors if study.inputs is None else loaded.test.x


def conclude(
    study: Study,
    loaded: Loaded,
    comparison: Comparison,
    test_vectors: np.ndarray | None,
    together: Together | None = None,
) -> Concluded:
    """Decide, fit the final models, open the test set once; other processes share the fits that are only tested."""
    metric = study.metric
    verdict = decide(comparison, metric, verdict_seeds(comparison))
    if all_copies(study.mixture, study.known_leaks()):
        verdict = only_copies(verdict)
    study = replace(study, policies=with_diagnostics(dict(study.policies)))
    wanted = [name for name in study.policies if name in comparison.probabilities]  # the budget carries no others
    seen = seen_of_test(study, loaded, test_vectors)
    if loaded.test is not None and seen is not None:
        needed = (verdict.policy, LEARNED)
        test, weights, models = judge_test(study, loaded.test, seen, metric, wanted, together, needed)
    else:
        names = [name for name in wanted if name in (verdict.policy, LEARNED)]
        test, (weights, models) = [], final_fits(study, names)
    synth = weights[verdict.policy].values[study.mixture.is_synth]
    words, times = words_of(study.policies[verdict.policy], synth)
    means = means_of_sources(study.mixture, study.embedding)
    blamed = [] if study.unseen else rested_on(fitted_sources(means), study.mixture.synth.source, synth)
    if blamed:
        verdict = seen_before(verdict)
    return Concluded(
        verdict=with_weights(verdict, synth, times, comparison, words, blamed),
        weights={name: weights[name] for name in (verdict.policy, LEARNED) if name in weights},
        models=models,
        test=test,
        features=study.describe(study.mixture, Seeds(study.first_seed).child("final", "describe")),
        means=means,
    )


def rested_on(sources: Iterable[str], source: np.ndarray, weights: np.ndarray) -> list[str]:
    """Return those of the sources that hold a share worth speaking of of the weight."""
    return [name for name in sources if weights[source == name].sum() > LEAST_SHARE * weights.sum()]
