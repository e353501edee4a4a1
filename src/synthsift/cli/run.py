"""The main job: files in; a fair comparison; a verdict, weights and a report out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from synthsift.cli.console import Console
from synthsift.cli.outputs import finish_outputs, write_outputs
from synthsift.cli.policies import pick_policies, with_diagnostics, words_of
from synthsift.cli.settings import RunSettings
from synthsift.compare import Study, compare, final_fits, find_leaks, judge_test, make_folds, pooled
from synthsift.data.leaks import test_copies
from synthsift.data.load import data_hash, load
from synthsift.numerics.counts import same_mix_p_value
from synthsift.records import Comparison, DataError, Finding, Images, Loaded, Severity, Verdict, Weights, concat_x
from synthsift.represent.encoders import Encoder, fit_encoder
from synthsift.represent.position import Position
from synthsift.represent.pretrained import check_encoder
from synthsift.runs import RunFolder
from synthsift.seeds import Seeds
from synthsift.training.learners import Model, find_learner
from synthsift.verdict import decide, with_weights

LEARNED = "LearnedWeights"
COPIES = "SS130"
LEAKS_ALLOWED = "Copies of test rows took part (--allow-leaks), so results on the test rows are too good."
LABEL_SHIFT = 0.05  # total variation between the class shares above which it is said,
SHIFT_LEVEL = 0.01  # where two draws of these sizes from one mix would hardly differ as much


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
    findings = loaded.findings + (() if copies is None else (copies,))
    seconds = {"load": time.perf_counter() - started}
    with threadpool_limits(1):
        # Before the folder is touched: what is wrong with the input must not leave a begun run behind.
        encoder, study, test_inputs = _prepare(settings, loaded, learner)
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
                finished = _conclude(
                    settings, loaded, study, comparison, encoder, test_inputs, findings, seconds, console
                )
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


def _prepare(settings: RunSettings, loaded: Loaded, learner: Any) -> tuple[Encoder, Study, Any]:
    """Encode all rows once, without labels, and set up the comparison; the last is what the learner sees of test rows.

    The cnn learner sees pixels, every other one the encoded rows.
    """
    mixture = loaded.mixture
    if loaded.embeddings is not None:
        vectors, given = loaded.embeddings.astype(np.float32), loaded.test_embeddings
        encoder = fit_encoder(vectors)
        embedding = encoder.transform(vectors)
        test_vectors = None if given is None else encoder.transform(given.astype(np.float32))
    else:
        x = concat_x([part.x for part in mixture.parts if len(part)])
        encoder = fit_encoder(x, pca=settings.pca, name=settings.encoder)
        embedding = encoder.transform(x)
        test_vectors = None if loaded.test is None else encoder.transform(loaded.test.x)
    study = Study(
        policies=pick_policies(settings.policies, settings.learner, mixture),
        mixture=mixture,
        embedding=embedding,
        describe=Position(embedding, {name: k for k, name in enumerate(mixture.ids)}),
        learner=learner,
        num_seeds=settings.num_seeds,
        first_seed=settings.first_seed,
        budget_seconds=60 * settings.budget_minutes,
        workers=max(1, min(2, os.cpu_count() or 1)),
    )
    if settings.learner != "cnn":
        return encoder, study, test_vectors
    pictures = concat_x([part.x for part in mixture.parts if len(part)])
    if not isinstance(pictures, Images):
        raise DataError(
            "--learner cnn reads pictures, and the data are none. Give folders of images, one folder a class, or "
            "choose --learner logistic or mlp."
        )
    return encoder, replace(study, inputs=pictures), None if loaded.test is None else loaded.test.x


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
    encoder: Encoder,
    test_inputs: Any,
    findings: tuple[Finding, ...],
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
    if loaded.test is not None and test_inputs is not None:
        test, weights, models = judge_test(study, loaded.test, test_inputs, metric, wanted)
    else:
        names = [name for name in wanted if name in (verdict.policy, LEARNED)]
        test, (weights, models) = [], final_fits(study, names)
    words, times = words_of(study.policies[verdict.policy])
    synth = weights[verdict.policy].values[study.mixture.is_synth]
    verdict = with_weights(verdict, synth, times, comparison, words)
    if any(finding.code == COPIES for finding in findings):
        verdict = replace(verdict, sentence=f"{verdict.sentence} {LEAKS_ALLOWED}")
    kept = {name: weights[name] for name in {verdict.policy, LEARNED} & set(weights)}
    findings = (*findings, *_leak_findings(settings, study), *_label_shift(study))
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
        encoder=encoder,
        features=features,
        num_inputs=study.embedding.shape[1],
        log=console.lines,
        findings=findings,
        seconds=seconds,
    )


def _leak_findings(settings: RunSettings, study: Study) -> tuple[Finding, ...]:
    """What the comparison could and could not do about leaks."""
    leaks = find_leaks(study.mixture, study.embedding)
    found = []
    if leaks.num_copies:
        rows = len(np.unique(leaks.row))
        found.append(
            Finding(
                "SS140",
                Severity.warning,
                "Copies of real rows",
                f"{rows} training or synthetic rows are exact or near copies of pooled real rows.",
                "A model that has seen a copy of a judged row is judged too well.",
                "They were left out of the splits that judge their originals; take them out if they are not meant.",
            )
        )
    if settings.generator_saw in ("train", "all") and not leaks.num_parents:
        found.append(
            Finding(
                "SS141",
                Severity.warning,
                "The generator has seen the judged rows",
                f"--generator-saw {settings.generator_saw}, and no row names its parent.",
                "Synthetic rows may carry what the generator remembers of judged rows, so the gain is optimistic.",
                "Give --parent, or judge on real rows that the generator never saw.",
            )
        )
    return tuple(found)


def _label_shift(study: Study) -> tuple[Finding, ...]:
    """Say so where the synthetic classes are mixed differently from the real ones."""
    mixture = study.mixture
    real = np.bincount(mixture.y[~mixture.is_synth], minlength=mixture.num_classes)
    synth = np.bincount(mixture.y[mixture.is_synth], minlength=mixture.num_classes)
    difference = synth / synth.sum() - real / real.sum()
    moved = 0.5 * float(np.abs(difference).sum())
    if moved <= LABEL_SHIFT or same_mix_p_value(real, synth) > SHIFT_LEVEL:
        return ()
    most = int(np.argmax(np.abs(difference)))
    return (
        Finding(
            "SS142",
            Severity.warning,
            "Classes are mixed differently",
            f"{100 * moved:.0f} % of the synthetic rows would need another class to match the real mix; class "
            f"{mixture.classes[most]} is {100 * real[most] / real.sum():.0f} % of the real and "
            f"{100 * synth[most] / synth.sum():.0f} % of the synthetic rows.",
            "A model trained on another mix of classes predicts the frequent synthetic classes too often.",
            "Prefer policies that count real rows several times or learn weights, or generate the real mix.",
        ),
    )
