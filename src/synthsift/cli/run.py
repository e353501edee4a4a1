"""The main job: files in; a fair comparison; a verdict, weights and a report out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from synthsift.bilevel.diagnostics import in_words
from synthsift.check.copies import test_copies
from synthsift.check.findings import check
from synthsift.cli.console import Console
from synthsift.cli.outputs import finish_outputs, write_outputs
from synthsift.cli.policies import pick_policies, with_diagnostics, words_of
from synthsift.cli.settings import RunSettings
from synthsift.compare import Study, compare, final_fits, judge_test, make_folds, pooled
from synthsift.data.load import data_hash, load
from synthsift.records import Comparison, DataError, Finding, Images, Loaded, Verdict, Weights, concat_x
from synthsift.represent.encoders import Encoder
from synthsift.represent.encoding import Encoded, encode
from synthsift.represent.pretrained import check_encoder
from synthsift.represent.table import Description, FeatureTable
from synthsift.runs import RunFolder
from synthsift.seeds import Seeds
from synthsift.training.learners import Model, find_learner
from synthsift.verdict import decide, with_weights

LEARNED = "LearnedWeights"
COPIES = "SS130"
LEAKS_ALLOWED = "Copies of test rows took part (--allow-leaks), so results on the test rows are too good."


@dataclass(frozen=True)
class Finished:
    """Everything a run has found, before it is written.

    Parameters
    ----------
    loaded : Loaded
    comparison : Comparison
    verdict : Verdict
    test : list of dict
        Test metric of every policy, empty without test rows.
    weights : dict of str to Weights
        Final weights of the verdict's policy and of LearnedWeights where it took part.
    models : dict of str to Model
    encoder : Encoder
    features : dict of str to ndarray
        Id and the named features of all rows of the mixture.
    description : Description
        The state that describes new rows in the same way.
    num_inputs : int
        Width of the encoded rows.
    log : list of str
        What was said.
    findings : tuple of Finding
    seconds : dict
    """

    loaded: Loaded
    comparison: Comparison
    verdict: Verdict
    test: list[dict[str, Any]]
    weights: dict[str, Weights]
    models: dict[str, Model]
    encoder: Encoder
    features: dict[str, np.ndarray]
    description: Description
    num_inputs: int
    log: list[str]
    findings: tuple[Finding, ...]
    seconds: dict[str, float]


def execute(settings: RunSettings, out: Path, console: Console, *, overwrite: bool = False) -> int:
    """Run the whole road and write the run folder.

    Returns
    -------
    int
        Exit code: 0, or 1 where copies of test rows stop the run.

    Raises
    ------
    DataError
        For anything wrong with the input.
    """
    import torch

    torch.set_num_threads(1)
    started = time.perf_counter()
    learner = find_learner(settings.learner)
    if settings.encoder is not None:
        check_encoder(settings.encoder)
    console.say("Reading the data ...")
    loaded = load(settings.data)
    _check_parts(loaded, settings)
    copies = test_copies(loaded)
    if copies is not None and not settings.allow_leaks:
        console.finding(copies)
        return 1
    seconds = {"load": time.perf_counter() - started}
    with threadpool_limits(1):
        # Before the folder is touched: what is wrong with the input must not leave a begun run behind.
        encoded, study = _prepare(settings, loaded, learner)
        seconds["encode"] = time.perf_counter() - started - seconds["load"]
        with RunFolder.open(out, settings.plain(), data_hash(settings.data), overwrite=overwrite) as folder:
            if folder.complete:
                console.say(f"{out} holds the finished run of these settings and data; nothing is left to do.")
            else:
                left = max(study.budget_seconds - (time.perf_counter() - started), 0.2 * study.budget_seconds)
                study = replace(study, budget_seconds=left)
                console.describe(loaded, study, settings)
                comparison = compare(study, store=folder, progress=console.progress)
                seconds["compare"] = time.perf_counter() - started - sum(seconds.values())
                finished = _conclude(settings, loaded, study, comparison, encoded, seconds, console)
                finished.seconds["total"] = time.perf_counter() - started
                write_outputs(folder, settings, finished)
            finish_outputs(folder)
    console.close_with(out)
    return 0


def _check_parts(loaded: Loaded, settings: RunSettings) -> None:
    """Refuse what no comparison can be made of, before the run folder is touched."""
    if not len(loaded.mixture.synth):
        raise DataError(
            "there is no synthetic row to judge; name the files with --synthetic, or check the source column"
        )
    make_folds(pooled(loaded.mixture), settings.first_seed)  # refuses fewer groups than folds


def _prepare(settings: RunSettings, loaded: Loaded, learner: Any) -> tuple[Encoded, Study]:
    """Encode all rows once, without labels, and set up the comparison; the cnn learner sees the pixels instead."""
    mixture, inputs = loaded.mixture, None
    if settings.learner == "cnn":
        inputs = concat_x([part.x for part in mixture.parts if len(part)])
        if not isinstance(inputs, Images):
            raise DataError(
                "--learner cnn reads pictures, and the data are none. Give folders of images, one folder a class, or "
                "choose --learner logistic or mlp."
            )
    encoded = encode(loaded, settings.pca, settings.encoder)
    embedding = encoded.rows
    study = Study(
        policies=pick_policies(settings.policies, settings.learner, mixture),
        mixture=mixture,
        embedding=embedding,
        describe=FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)}),
        learner=learner,
        num_seeds=settings.num_seeds,
        first_seed=settings.first_seed,
        budget_seconds=60 * settings.budget_minutes,
        workers=max(1, min(2, os.cpu_count() or 1)),
        inputs=inputs,
    )
    return encoded, study


def choose_metric(settings: RunSettings, y: np.ndarray) -> str:
    """Return the metric asked for; else accuracy, or balanced accuracy for unbalanced real classes."""
    if settings.metric is not None:
        return settings.metric
    counts = np.bincount(y)
    counts = counts[counts > 0]
    return "balanced_accuracy" if counts.max() > 3 * counts.min() else "accuracy"


def _conclude(
    settings: RunSettings,
    loaded: Loaded,
    study: Study,
    comparison: Comparison,
    encoded: Encoded,
    seconds: dict[str, float],
    console: Console,
) -> Finished:
    """Decide, fit the final models, open the test set once."""
    started = time.perf_counter()
    metric = choose_metric(settings, comparison.y)
    verdict = decide(comparison, metric, Seeds(settings.first_seed).child("verdict"))
    console.say("Fitting the final models ...")
    study = replace(study, policies=with_diagnostics(dict(study.policies)))
    wanted = list(study.policies)
    if loaded.test is not None and encoded.test is not None:
        seen = encoded.test if study.inputs is None else loaded.test.x
        test, weights, models = judge_test(study, loaded.test, seen, metric, wanted)
    else:
        names = [name for name in wanted if name in (verdict.policy, LEARNED)]
        test, (weights, models) = [], final_fits(study, names)
    words, times = words_of(study.policies[verdict.policy])
    synth = weights[verdict.policy].values[study.mixture.is_synth]
    verdict = with_weights(verdict, synth, times, comparison, words)
    findings = check(loaded, Seeds(settings.first_seed).child("check"), saw=settings.generator_saw, encoded=encoded)
    if any(finding.code == COPIES for finding in findings):
        verdict = replace(verdict, sentence=f"{verdict.sentence} {LEAKS_ALLOWED}")
    kept = {name: weights[name] for name in {verdict.policy, LEARNED} & set(weights)}
    if LEARNED in kept:
        console.say(in_words(kept[LEARNED].history))
    seconds["final"] = time.perf_counter() - started
    described = study.describe(study.mixture, Seeds(settings.first_seed).child("final", "describe"))
    features = {"id": described.ids.astype(str), **{name: described.column(name) for name in described.names}}
    return Finished(
        loaded=loaded,
        comparison=comparison,
        verdict=verdict,
        test=test,
        weights=kept,
        models=models,
        encoder=encoded.encoder,
        features=features,
        description=described.state["description"],
        num_inputs=study.embedding.shape[1],
        log=console.lines,
        findings=findings,
        seconds=seconds,
    )
