"""A collapse plan from numbers or from rows: measure the mismatch, plan, and check the plan by trained models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from synthsift.cli.plan import PlanSource
from synthsift.cli.plan_check import check_sentence, check_verdict, no_advice
from synthsift.cli.plan_collapse import CollapseAsk, plan_collapse
from synthsift.cli.plan_collapse_words import collapse_sentences
from synthsift.cli.plan_rows import PlanRows, least_squares_rows, load_rows, load_run, read_audit, read_numbers
from synthsift.cli.plan_sources import LIMITS, overlap_note, whole_draws
from synthsift.cli.plan_worlds import CHECK_DRAWS, FOLDS
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_master import ASSUMPTIONS
from synthsift.theory.measure import Estimate
from synthsift.theory.measure_audit import Audit
from synthsift.theory.measure_curve import fit_power_law, measure_learning_curve
from synthsift.theory.measure_mismatch import mismatch_by_fit, mismatch_from_disagreement
from synthsift.theory.measure_spectrum import measure_spectrum
from synthsift.theory.mixing_conditional import stratified_folds

MEASURED = (
    "num_real", "num_synth", "dim", "mismatch", "mismatch_error", "real_noise_variance", "synth_noise_variance",
    "spectrum", "ridge",
)  # fmt: skip
#: Real rows and splits behind the learning curve.
CURVE_ROWS, CURVE_SPLITS = 2000, 6
#: The synthetic inputs count as blind in a direction where they vary less than this share of the real ones.
BLIND = 0.05
SHARE = "% of the error"
CLASS_LIMITS = (
    "squared error of labels -1 and +1: a floor of the squared error is not a floor of the accuracy",
    "one generation; a generator that is retrained on such a mix drifts further",
)


def collapse_report(source: PlanSource, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan with sentences, notes, assumptions and the check on the user's rows.

    Raises
    ------
    DataError
        For anything wrong with the input.
    """
    source.refuse_mixed({name: numbers.get(name) for name in MEASURED})
    seeds = Seeds(int(numbers.get("seed") or 0)).child("plan collapse")
    if source.kind == "numbers":
        notes: list[str] = []
        ask = _ask_numbers(source, numbers, notes)
        return _assembled(ask, seeds, "numbers", notes, [], None)
    audit = None if source.audit is None else read_audit(source.audit)
    rows = load_run(source.run, positive=source.positive) if source.run else _loaded(source)
    ask, notes = _ask_rows(rows, numbers, audit)
    curve, note = _learning_curve(rows, seeds)
    report = _assembled(ask, seeds, source.kind, [*notes, note], _check(rows, ask, seeds), rows)
    return {**report, "learning_curve": curve}


def _loaded(source: PlanSource) -> PlanRows:
    rows = load_rows(source.spec, positive=source.positive)
    if not len(rows.t):
        raise DataError("a collapse plan from rows needs --synthetic FILE; without it, plan from numbers")
    return rows


def _assembled(
    ask: CollapseAsk,
    seeds: Seeds,
    kind: str,
    notes: list[str],
    checks: list[dict[str, float]],
    rows: PlanRows | None,
) -> dict[str, Any]:
    """Plan, sentences and what has to hold, in one dictionary."""
    plan = plan_collapse(ask, seeds)
    check = check_verdict(checks, good=0.05, rough=0.15)
    notes = [*notes, *([ask.mismatch.note] if ask.mismatch.note else [])]
    return {
        "schema": 1,
        "plan": "collapse",
        "from": kind,
        "positive": None if rows is None else rows.positive,
        "negative": None if rows is None else rows.negative,
        "sentences": no_advice(check, SHARE) or collapse_sentences(plan),
        "check": {**check, "sentence": check_sentence(check, SHARE, of_run=kind == "run")},
        "notes": notes,
        "assumptions": [*ASSUMPTIONS, *LIMITS, *(() if rows is None else CLASS_LIMITS)],
        **plan,
    }


def _ask_numbers(source: PlanSource, numbers: Mapping[str, Any], notes: list[str]) -> CollapseAsk:
    """The question in plain numbers; an audit of labels gives the mismatch where it is not given."""
    missing = [name for name in ("num_real", "num_synth", "dim") if numbers.get(name) is None]
    if numbers.get("mismatch") is None and source.audit is None:
        missing.append("mismatch")
    if missing:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise DataError(f"{flags} is missing; a plan from numbers needs it. Or give --real and --synthetic, or a RUN.")
    if source.audit is not None:
        if numbers.get("mismatch") is not None:
            raise DataError("--mismatch and --audit both say how wrong the labels are; give one of them")
        audit = read_audit(source.audit)
        mismatch = mismatch_from_disagreement(audit.kept_wrong, max(audit.kept_wrong + audit.kept_right, 1))
        notes.append(
            f"c^2 = 4 x {audit.kept_wrong}/{audit.kept_wrong + audit.kept_right} (share of kept labels that are wrong, "
            "coded -1 and +1), as if all of it were a wrong rule; what is random averages out and costs less"
        )
    else:
        error = 0.0 if numbers.get("mismatch_error") is None else float(numbers["mismatch_error"])
        value = float(numbers["mismatch"])
        if not (0 <= value < math.inf and 0 <= error < math.inf):
            raise DataError(f"--mismatch is {value:g} with error {error:g}; both must be at least 0 and finite")
        mismatch = Estimate.normal(value, error, 0)
    options: dict[str, Any] = {
        name: float(numbers[name])
        for name in ("ridge", "real_noise_variance", "synth_noise_variance")
        if numbers.get(name) is not None
    }
    if numbers.get("spectrum") is not None:
        spectrum = read_numbers(numbers["spectrum"], "spectrum")
        options |= {"spectrum": spectrum, "signal": np.full(len(spectrum), 1.0 / max(spectrum.sum(), 1e-300))}
    return CollapseAsk(
        numbers["num_real"],
        numbers["num_synth"],
        numbers["dim"],
        mismatch,
        options,
        numbers.get("width"),
        whole_draws(numbers.get("draws")),
    )


def _ask_rows(rows: PlanRows, numbers: Mapping[str, Any], audit: Audit | None = None) -> tuple[CollapseAsk, list[str]]:
    """Measure mismatch, noises, spectrum and signal from the rows, in as many directions as least squares can bear.

    An audit replaces the measured mismatch; what it calls a wrong rule is then no noise any more.
    """
    x, z, notes = least_squares_rows(rows)
    notes = [rows.subject, *rows.notes, *notes, *overlap_note(rows)]
    fitted = mismatch_by_fit(x, rows.y, z, rows.t)
    spectrum = np.append(measure_spectrum(x), 1.0)  # the last direction is the intercept
    signal = max(float(rows.y.var()) - fitted.real_noise_variance, 1e-6)
    blind = z.var(axis=0) < BLIND * x.var(axis=0)
    if blind.any():
        notes.append(
            f"the synthetic rows hardly vary in {int(blind.sum())} of {x.shape[1]} directions of the real ones: what "
            "lies there is learned from real rows only"
        )
    notes.append(
        f"measured: c^2 {fitted.mismatch.value:.3g} [{fitted.mismatch.low:.3g}, {fitted.mismatch.high:.3g}]; what a "
        f"linear rule leaves over (noise) {fitted.real_noise_variance:.3g} on real and "
        f"{fitted.synth_noise_variance:.3g} on synthetic labels"
    )
    mismatch, synth_noise = fitted.mismatch, fitted.synth_noise_variance
    if audit is not None:
        mismatch = mismatch_from_disagreement(audit.wrong, audit.num_rows)
        synth_noise = max(synth_noise + max(fitted.mismatch.value, 0.0) - mismatch.value, 0.0)
        notes.append(
            f"used instead: c^2 = 4 x {audit.wrong}/{audit.num_rows} (share of all audited labels that are wrong, kept "
            f"or not, since the rows are pooled as they are) and synthetic noise {synth_noise:.3g}, as if all of it "
            "were a wrong rule; what is random averages out and costs less"
        )
    ask = CollapseAsk(
        float(len(rows.y)),
        float(len(rows.t)),
        fitted.dim,
        mismatch,
        {
            "real_noise_variance": fitted.real_noise_variance,
            "synth_noise_variance": synth_noise,
            "spectrum": spectrum,
            "signal": np.full(fitted.dim, signal / spectrum.sum()),
        },
        numbers.get("width"),
        whole_draws(numbers.get("draws")),
    )
    return ask, notes


def _learning_curve(rows: PlanRows, seeds: Seeds) -> tuple[dict[str, Any], str]:
    """Error of real rows alone against their number, the power law through it, and what that says about the theory."""
    few = seeds.numpy("learning curve").permutation(len(rows.y))[:CURVE_ROWS]
    curve = measure_learning_curve(rows.x[few], rows.y[few], num_splits=CURVE_SPLITS, seeds=seeds)
    spread = np.maximum(curve.standard_errors, 1e-9)
    law = fit_power_law(curve.num_rows, curve.errors, standard_errors=spread, seeds=seeds)
    b = law.exponent
    fits = "as the theory has it (1)" if b.low <= 1 <= b.high else "not the 1 of the theory, so sizes are rough"
    told = f"{law.floor.value:.3g} + a n^-b with b {b.value:.2g} [{b.low:.2g}, {b.high:.2g}]"
    record = {"rows": curve.num_rows.tolist(), "error": curve.errors.tolist(), "standard_error": spread.tolist()}
    return {
        **record,
        **{name: vars(part) for name, part in vars(law).items()},
    }, f"real rows alone: squared error {told}, {fits}"


def _check(rows: PlanRows, ask: CollapseAsk, seeds: Seeds) -> list[dict[str, float]]:
    """Squared error of least squares with and without synthetic rows on held-out real rows, against the prediction.

    Differences are shares of the total error, label noise included, because that is what can be measured.
    """
    x, z, _ = least_squares_rows(rows)
    x, z = (np.hstack([part, np.ones((len(part), 1))]) for part in (x, z))
    place = stratified_folds(rows.y, FOLDS, seeds)
    train_rows = len(rows.y) * (1 - 1 / FOLDS)
    found = []
    for size in (0, len(rows.t) // 4, len(rows.t)):
        if train_rows + size < 1.2 * ask.dim:
            continue
        excess = predict_error(train_rows, float(size), ask.dim, mismatch=ask.c2, **ask.options).mean
        squares = _squares(x, rows.y, z, rows.t, size, place, seeds)
        measured, predicted = float(squares.mean()), float(excess) + ask.noise
        error = float(squares.std(ddof=1) / math.sqrt(len(squares))) / measured
        found.append(
            {"rows": float(size), "predicted": predicted, "measured": measured,
             "difference": predicted / measured - 1, "standard_error": error}
        )  # fmt: skip
    return found


def _squares(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, t: np.ndarray, size: int, place: np.ndarray, seeds: Seeds
) -> np.ndarray:
    """Squared error (n,) of pooled least squares on every real row, averaged over draws of the synthetic ones."""
    squares = np.zeros(len(y))
    repeats = 1 if size in (0, len(t)) else CHECK_DRAWS
    for repeat in range(repeats):
        taken = seeds.numpy(f"check-{size}-{repeat}").permutation(len(t))[:size]
        for fold in range(FOLDS):
            train = place != fold
            rows, labels = np.concatenate([x[train], z[taken]]), np.concatenate([y[train], t[taken]])
            w = np.linalg.lstsq(rows, labels, rcond=None)[0]
            squares[~train] += (y[~train] - x[~train] @ w) ** 2 / repeats
    return squares
