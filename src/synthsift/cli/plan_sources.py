"""A mixing plan from numbers, from real rows alone, from real and synthetic rows: the world, the plan, the check."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.cli.plan import PlanSource
from synthsift.cli.plan_check import check_sentence, check_verdict
from synthsift.cli.plan_mixing import RETUNED, MixingAsk, plan_mixing
from synthsift.cli.plan_phrases import POINTS
from synthsift.cli.plan_reading import target_direction
from synthsift.cli.plan_rows import PlanRows, load_rows, load_run, read_audit, read_numbers
from synthsift.cli.plan_words import mixing_sentences
from synthsift.cli.plan_worlds import (
    FOLDS,
    NumberWorld,
    Rates,
    RowWorld,
    best_real_ridge,
    measured_world,
    with_intercept,
)
from synthsift.cli.plan_worth import label_noises, row_worth
from synthsift.records import DataError
from synthsift.report.plan_section import beside_verdict
from synthsift.seeds import Seeds
from synthsift.theory.measure import measure_geometry
from synthsift.theory.measure_audit import RATES, Audit
from synthsift.theory.measure_overlap import find_overlap
from synthsift.theory.mixing import ASSUMPTIONS
from synthsift.theory.mixing_conditional import stratified_folds
from synthsift.theory.mixing_curve import LARGEST_NOISE
from synthsift.theory.mixing_simulation import ridge_weights

GEOMETRY = ("num_real", "dim", "mean_norm", "spectrum", "mean")
LIMITS = (
    "a linear model on fixed features; for fine-tuned deep networks take it as a ranking to check with a small run",
)
ROW_LIMITS = (
    "two classes, ridge regression on labels +-1 with an intercept, penalty ridge * (real + synthetic rows)",
    "wrong labels and the verifier's mistakes do not depend on the features; synthetic rows are independent draws",
    "trained on four fifths of the real rows and judged on the rest, so all numbers are slightly pessimistic",
    "intervals hold the audit's posterior and the rows that judge; not another draw of all real rows",
    "more synthetic rows than at hand are more of the same kind",
)


def mixing_report(source: PlanSource, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan with sentences, notes, assumptions and the check on the user's rows.

    Raises
    ------
    DataError
        For anything wrong with the input.
    """
    source.refuse_mixed({name: numbers.get(name) for name in GEOMETRY})
    ask = _ask(source, numbers)
    seeds = Seeds(int(numbers.get("seed") or 0)).child("plan mixing")
    if source.kind == "numbers":
        return _assembled(_number_world(numbers), ask, seeds, "numbers", [], [])
    rows = (
        load_run(source.run, positive=source.positive)
        if source.run
        else load_rows(source.spec, positive=source.positive)
    )
    report = rows_report(rows, ask, seeds, numbers, kind=source.kind)
    if (
        source.run is None
        or report["target"]["rows"] != len(rows.t)
        or report["own"] != "none"
        or ask.synth_weight != 1
    ):
        return report  # nothing of this was measured
    return {**report, "beside_verdict": beside_verdict(report, _verdict(source.run))}


def rows_report(
    rows: PlanRows,
    ask: MixingAsk,
    seeds: Seeds,
    numbers: Mapping[str, Any],
    *,
    kind: str,
) -> dict[str, Any]:
    """Plan from rows: with synthetic ones by their moments, else by the geometry of the real ones.

    Raises
    ------
    DataError
        For options that the rows contradict, and rows that no plan can be made from.
    """
    has_synth = len(rows.t) > 0
    x, z = (with_intercept(rows.x), with_intercept(rows.z)) if has_synth else (rows.x, rows.z)
    ridge = numbers.get("ridge")
    ridge = best_real_ridge(x, rows.y, seeds) if ridge is None else float(ridge)
    notes = list(rows.notes)
    if not has_synth:
        geometry = measure_geometry(rows.x, rows.y)
        world = measured_world(geometry, len(rows.y), ridge, _generator(numbers), seeds, ask.num_draws)
        notes.append(
            f"measured: |mu| {geometry.mean_norm.value:.3g} [{geometry.mean_norm.low:.3g}, "
            f"{geometry.mean_norm.high:.3g}], {geometry.dim} features, effective dimension "
            f"{geometry.moments.effective_dimension:.0f}"
        )
        checks = _check_geometry(rows, ridge, seeds)
        return _assembled(world, ask, seeds, kind, notes, checks, rows)
    for name in ("generator", "generator_size"):
        if numbers.get(name) is not None:
            raise DataError(f"--{name.replace('_', '-')} is for plans without synthetic rows; the rows at hand show it")
    if ask.audit is None and not ask.knows_noise and ask.has_verifier:
        raise DataError("--keep-right or --keep-wrong is given without --label-noise; give it, or an --audit")
    if ask.knows_noise and ask.rates[0] > LARGEST_NOISE:
        raise DataError(
            f"{100 * ask.rates[0]:.0f} % of the synthetic labels are wrong; above {100 * LARGEST_NOISE:.0f} % they do "
            "not tell the classes apart: label them anew"
        )
    notes += overlap_note(rows)
    row_world = RowWorld(x, rows.y, z, rows.t, ridge, seeds, ask.num_draws)
    ask = ask if ask.num_synth else replace(ask, num_synth=float(len(rows.t)))
    return _assembled(row_world, ask, seeds, kind, notes, row_world.check(), rows)


def _assembled(
    world: NumberWorld | RowWorld,
    ask: MixingAsk,
    seeds: Seeds,
    kind: str,
    notes: list[str],
    checks: list[dict[str, float]],
    rows: PlanRows | None = None,
) -> dict[str, Any]:
    """Plan, sentences and what has to hold, in one dictionary."""
    plan, check = plan_mixing(world, ask, seeds), check_verdict(checks)
    towards, of_run = target_direction(plan, check), kind == "run"
    plan["worth"] = row_worth(world, plan, towards)
    plan["left_over"] = label_noises(world, plan, rows)
    notes = list(notes)
    if ask.audit is not None:
        notes += ask.audit.notes
    elif ask.knows_noise:
        notes.append("no audit was given: label noise and verifier are taken as exact and have no interval")
    if isinstance(world, NumberWorld) and _is_ideal(world.options):
        notes.append("--generator-size was not given: the generator is taken as good as the truth, an upper bound")
    lines = [*(ROW_LIMITS if isinstance(world, RowWorld) else ASSUMPTIONS), *LIMITS]
    return {
        "schema": 1,
        "plan": "mixing",
        "from": kind,
        "positive": None if rows is None else rows.positive,
        "negative": None if rows is None else rows.negative,
        "subject": "" if rows is None else rows.subject,
        "num_synth": None if rows is None else len(rows.t),
        "direction": towards,
        "sentences": mixing_sentences(plan, check, of_run=of_run),
        "check": {**check, "sentence": check_sentence(check, POINTS, of_run=of_run)},
        "notes": notes,
        "assumptions": lines,
        **plan,
    }


def _verdict(run: Path) -> dict[str, Any]:
    """What a run measured; empty for one that is not finished, because a plan needs its rows only."""
    try:
        verdict = json.loads((run / "summary.json").read_text("utf-8"), parse_constant=lambda _: None)["verdict"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return verdict if isinstance(verdict, dict) else {}


def _ask(source: PlanSource, numbers: Mapping[str, Any]) -> MixingAsk:
    """What is known about labels and verifier."""
    rates = {name: numbers.get(name) for name in RATES}
    audit = None
    if source.audit is not None:
        if any(value is not None for value in rates.values()) or numbers.get("audited") is not None:
            raise DataError("--audit says label noise and keep rates itself; drop the other flags, or drop --audit")
        audit = read_audit(source.audit)
    elif numbers.get("audited") is not None:
        audit = _counted(rates, int(numbers["audited"]))
    has_rows = source.kind != "numbers" and bool(source.spec.synthetic or source.spec.data or source.run)
    plain = {name: value for name, value in rates.items() if value is not None}
    size = numbers.get("num_synth")
    if size is not None and not 0 < size < math.inf:
        raise DataError(f"--num-synth is {size:g}; it must be above 0 and finite")
    return MixingAsk(
        **plain,
        audit=audit,
        knows_noise=audit is not None or rates["label_noise"] is not None or not has_rows,
        has_verifier=audit.has_verifier if audit is not None else len(plain.keys() - {"label_noise"}) > 0,
        num_synth=size,
        synth_weight=1.0 if numbers.get("synth_weight") is None else float(numbers["synth_weight"]),
        num_draws=whole_draws(numbers.get("draws")),
    )


def _counted(rates: Mapping[str, float | None], audited: int) -> Audit:
    """Counts of an audit that is known by its rates."""
    if audited < 1:
        raise DataError(f"--audited is {audited}; give the number of rows that were looked at, at least 1")
    for name, value in rates.items():
        if value is not None and not 0 <= value <= 1:
            raise DataError(f"--{name.replace('_', '-')} is {value:g}; it must be between 0 and 1")
    eps = rates["label_noise"] or 0.0
    phi, rho = (1.0 if rates[name] is None else float(rates[name] or 0.0) for name in ("keep_right", "keep_wrong"))
    wrong = round(eps * audited)
    kept_right, kept_wrong = round(phi * (audited - wrong)), round(rho * wrong)
    has_verifier = rates["keep_right"] is not None or rates["keep_wrong"] is not None
    return Audit(kept_right, audited - wrong - kept_right, kept_wrong, wrong - kept_wrong, has_verifier)


def _number_world(numbers: Mapping[str, Any]) -> NumberWorld:
    """The world of plain numbers."""
    missing = [name for name in ("num_real", "dim") if numbers.get(name) is None]
    if numbers.get("mean_norm") is None and numbers.get("mean") is None:
        missing.append("mean_norm")
    if missing:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise DataError(f"{flags} is missing; a plan from numbers needs it. Or give --real FILE, or a RUN.")
    options = _generator(numbers)
    for name in ("spectrum", "mean"):
        if numbers.get(name) is not None:
            options[name] = read_numbers(numbers[name], name)
    if numbers.get("real_label_noise") is not None:
        options["real_label_noise"] = float(numbers["real_label_noise"])
    size, ridge = numbers["num_real"], numbers.get("ridge")
    if not 0 <= size < math.inf:
        raise DataError(f"--num-real is {size:g}; it must be at least 0 and finite")
    world = NumberWorld(float(size), numbers["dim"], options, numbers.get("mean_norm"), 1.0 if ridge is None else ridge)
    if ridge is None and size > 0:  # rows that only make up for a poor ridge are not worth their price
        alone = world.accuracy(np.zeros(len(RETUNED)), Rates.of(0.0), RETUNED)[:, 0]
        world = replace(world, ridge=float(RETUNED[int(np.argmax(alone))]))
    return world


def _is_ideal(options: Mapping[str, Any]) -> bool:
    """Whether the generator is taken to know everything, because nobody said otherwise."""
    return options.get("generator", "fresh") == "fresh" and math.isinf(options.get("generator_size", math.inf))


def _generator(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Options about the generator that were given."""
    return {name: numbers[name] for name in ("generator", "generator_size") if numbers.get(name) is not None}


def whole_draws(value: int | None) -> int:
    """Return the number of draws behind an interval, 300 by default.

    Raises
    ------
    DataError
        For fewer than 20.
    """
    if value is not None and value < 20:
        raise DataError(f"--draws is {value}; at least 20 are needed for an interval")
    return 300 if value is None else int(value)


def overlap_note(rows: PlanRows) -> list[str]:
    """Warn where the generator was fitted on the real rows that judge."""
    if rows.x.shape[1] < 2:
        return []
    found = find_overlap(rows.x, rows.y, rows.z)
    if not found.is_flagged:
        return []
    return [
        f"the synthetic mean lies {found.ratio:.2f} times as far (squared) from your real rows' as an independent "
        f"generator's would (p = {found.p_value:.1g}): the generator was probably fitted on these very rows, and the "
        "predicted gain is optimistic"
    ]


def _check_geometry(rows: PlanRows, ridge: float, seeds: Seeds) -> list[dict[str, float]]:
    """Cross-validated accuracy of the real rows against the prediction from the geometry of each training part."""
    place = stratified_folds(rows.y, FOLDS, seeds)
    right, predicted = np.zeros(len(rows.y)), []
    for fold in range(FOLDS):
        train = place != fold
        w = ridge_weights(rows.x[train], rows.y[train], np.ones(train.sum()), ridge * train.sum())
        right[~train] = rows.y[~train] * (rows.x[~train] @ w) > 0
        geometry = measure_geometry(rows.x[train], rows.y[train])
        if geometry.mean_norm.value == 0:
            return []
        world = measured_world(geometry, int(train.sum()), ridge, {}, seeds, 20)
        predicted.append(float(world.accuracy(np.zeros(1), Rates.of(0.0))[0, 0]))
    measured = float(right.mean())
    error = float(right.std(ddof=1) / math.sqrt(len(right)))
    mean = float(np.mean(predicted))
    return [
        {"rows": 0.0, "predicted": mean, "measured": measured, "difference": mean - measured, "standard_error": error}
    ]
