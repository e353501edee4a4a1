"""The main job: files in; a fair comparison; a verdict, weights and a report out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from synthsift import __version__
from synthsift.bilevel.diagnostics import in_words
from synthsift.check.copies import test_copies
from synthsift.check.findings import check
from synthsift.cli.console import Console
from synthsift.cli.outputs import finish_outputs, write_outputs
from synthsift.cli.plan_run import write_plan
from synthsift.cli.settings import RunSettings
from synthsift.compare import Study, compare
from synthsift.crew import Crew
from synthsift.data.load import data_hash, load
from synthsift.records import Comparison, DataError, Features, Finding, Loaded, Verdict, Weights
from synthsift.represent.encoders import Encoder
from synthsift.represent.encoding import Encoded
from synthsift.represent.pretrained import check_encoder
from synthsift.runs import RunFolder
from synthsift.seeds import Seeds
from synthsift.splits import fold_count, pooled
from synthsift.studies.road import LEARNED, Plan, conclude, prepare, seen_of_test
from synthsift.together import Together, serve
from synthsift.training.learners import Learner, Model, find_learner

SPOILED_TEST = {  # what a finding says about the results on the test rows
    "SS130": "Copies of test rows took part (--allow-leaks), so results on the test rows are too good.",
    "SS131": "Some rows lie almost on test rows (SS131), so results on the test rows may be too good: leave them out.",
}


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
    features : Features
        The description of all rows of the mixture.
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
    features: Features
    num_inputs: int
    log: list[str]
    findings: tuple[Finding, ...]
    seconds: dict[str, float]


def execute(
    settings: RunSettings,
    out: Path,
    console: Console,
    *,
    overwrite: bool = False,
    before_report: Callable[[Path], None] | None = None,
    crew: Crew | None = None,
) -> int:
    """Run the whole road and write the run folder.

    Parameters
    ----------
    settings : RunSettings
    out : Path
        Run folder.
    console : Console
    overwrite : bool
        Replace an earlier run in the folder.
    before_report : callable, optional
        Called with the run folder when all results are in it and the page is not yet made.
    crew : Crew, optional
        Processes that share the comparison. All but number 0 read the data, work for it, and write nothing.

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
        encoded, study = prepare(loaded, _plan(settings, learner))
        seconds["encode"] = time.perf_counter() - started - seconds["load"]
        content = data_hash(settings.data)
        if crew is not None:
            crew.check = f"{__version__} {content}"
            if crew.rank:
                return serve(study, crew, seen_of_test(study, loaded, encoded.test))
        with RunFolder.open(out, settings.plain(), content, overwrite=overwrite) as folder:
            if folder.complete:
                console.say(f"{out} holds the finished run of these settings and data; nothing is left to do.")
            else:
                left = max(study.budget_seconds - (time.perf_counter() - started), 0.2 * study.budget_seconds)
                study = replace(study, budget_seconds=left)
                together = None if crew is None else Together(study, crew)
                told = together.widened(fold_count(pooled(study.mixture))) if together else study
                console.describe(loaded, told, settings)
                comparison = compare(study, store=folder, progress=console.progress, together=together)
                console.say_shortened(comparison, study, settings)
                seconds["compare"] = time.perf_counter() - started - sum(seconds.values())
                finished = _conclude(settings, loaded, study, comparison, encoded, seconds, console, together)
                finished.seconds["total"] = time.perf_counter() - started
                write_plan(folder.path, study)
                write_outputs(folder, settings, finished)
            if before_report is not None:
                before_report(out)
            finish_outputs(folder)
    console.close_with(out)
    return 0


def _check_parts(loaded: Loaded, settings: RunSettings) -> None:
    """Refuse what no comparison can be made of, before the run folder is touched."""
    if not len(loaded.mixture.synth):
        raise DataError(
            "there is no synthetic row to judge; name the files with --synthetic, or check the source column"
        )
    fold_count(pooled(loaded.mixture))  # refuses a single group


def _plan(settings: RunSettings, learner: Learner) -> Plan:
    """Return the settings that the road needs."""
    return Plan(
        learner=learner,
        inner=settings.learner,
        policies=settings.policies,
        num_seeds=settings.num_seeds,
        first_seed=settings.first_seed,
        budget_seconds=60 * settings.budget_minutes,
        pca=settings.pca,
        encoder=settings.encoder,
        metric=settings.metric,
        unseen=settings.generator_saw == "none",
    )


def _conclude(
    settings: RunSettings,
    loaded: Loaded,
    study: Study,
    comparison: Comparison,
    encoded: Encoded,
    seconds: dict[str, float],
    console: Console,
    together: Together | None,
) -> Finished:
    """Decide, fit the final models, open the test set once, and gather what is to be written."""
    started = time.perf_counter()
    console.say("Fitting the final models ...")
    found = conclude(study, loaded, comparison, encoded.test, together)
    verdict = found.verdict
    findings = check(
        loaded,
        Seeds(settings.first_seed).child("check"),
        saw=settings.generator_saw,
        encoded=encoded,
        compare_means=lambda *_: found.means,
    )
    for told in [SPOILED_TEST[finding.code] for finding in findings if finding.code in SPOILED_TEST][:1]:
        verdict = replace(verdict, sentence=f"{verdict.sentence} {told}")
    if LEARNED in found.weights and (told := in_words(found.weights[LEARNED].history)):
        console.say(told)
    seconds["final"] = time.perf_counter() - started
    return Finished(
        loaded=loaded,
        comparison=comparison,
        verdict=verdict,
        test=found.test,
        weights=dict(found.weights),
        models=dict(found.models),
        encoder=encoded.encoder,
        features=found.features,
        num_inputs=study.embedding.shape[1],
        log=console.lines,
        findings=findings,
        seconds=seconds,
    )
