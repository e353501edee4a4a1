"""Findings of the drift monitor, SS4xx. Every code has a section in docs/findings.md."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthsift.drift.losses import Change, name_change
from synthsift.drift.monitor import Alarms, Seen
from synthsift.drift.spread import NEAR
from synthsift.drift.state import Stream
from synthsift.records import Finding, Severity

FITTED = {
    "chi2_bound": "the lower bound of chi2",
    "frechet": "the Frechet distance",
    "tv_bound": "the lower bound of total variation",
}


def find_notices(stream: Stream) -> tuple[Finding, ...]:
    """What must be known about the stream, judged by its last generation; worst first."""
    last, found = stream.seen[-1], []
    if any(stream.alarms.sounds(s) for s in stream.seen):
        found.append(_alarm(stream.seen, stream.alarms))
    wide = last.measures["widest"]
    if wide.low > NEAR:
        found.append(_wide(last))
    lost = [c for c in last.changes if c.is_loss and c.kind in ("mode", "class", "category")]
    if lost and last.p_value <= stream.alarms.level:
        found.append(_lost(last, lost, stream.reference.mode_names))
    if stream.alpha and stream.alpha[-1] == 0:
        found.append(_no_fresh(stream.accumulate))
    if stream.assumed:
        found.append(_taken_over(stream))
    if len(stream.seen) > stream.alarms.horizon:
        found.append(_past_horizon(len(stream.seen), stream.alarms))
    if len(stream.reference.rows) < max(s.num_rows for s in stream.seen):
        found.append(_small_reference(stream))
    missing = sorted(name for name, m in last.measures.items() if np.isnan(m.value))
    if missing:
        found.append(_not_measured(missing, last))
    return tuple(sorted(found, key=lambda f: -f.severity.value))


def _alarm(seen: tuple[Seen, ...], alarms: Alarms) -> Finding:
    loud = [s for s in seen if alarms.sounds(s)]
    has, lies = ("has", "lies") if len(loud) == 1 else ("have", "lie")
    over = f" and {lies} above the tolerated drift {alarms.tolerated:.4g}" if alarms.tolerated > 0 else ""
    return Finding(
        "SS401",
        Severity.error,
        "Generations differ from real data",
        f"{len(loud)} of {len(seen)} generations {has} a permutation p-value of at most "
        f"{alarms.level:.2g}{over}; the first is {loud[0].name} (p = {loud[0].p_value:.2g}).",
        f"Without drift any alarm within {alarms.horizon} generations has a probability of {100 * alarms.rate:.3g} % "
        "at most.",
        "See what is lost, raise the fresh fraction or mend the trainer, and do not train on the generation yet.",
    )


def _wide(last: Seen) -> Finding:
    ratio = last.measures["widest"]
    if np.isinf(ratio.value):
        seen = (
            f"{last.name} varies where {ratio.num_rows[0]:,} real rows do not: in a column that is constant there, or "
            "outside of all directions in which they vary. The ratio of variances is infinite."
        )
    else:
        seen = (
            f"In its widest direction {last.name} has {_times(ratio.value)} times the variance of real data "
            f"(95 % interval {_times(ratio.low)} to {_times(ratio.high)})."
        )
    return Finding(
        "SS402",
        Severity.warning,
        "Variance nears the point where chi2 is infinite",
        seen,
        "From 2 on the chi2 divergence of Gaussians is infinite, and its estimates jump from one sample to the next.",
        "Read the bounded measures (MMD, energy, total variation), and shorten or sharpen the sampler.",
    )


def _times(ratio: float) -> str:
    """A ratio in three digits: more of them say nothing where the interval is wide."""
    return f"{float(f'{ratio:.3g}'):,.{2 if ratio < 10 else 0}f}"


def _lost(last: Seen, lost: list[Change], mode_names: Mapping[str, str]) -> Finding:
    worst = min(lost, key=lambda c: c.synth / max(c.real, 1e-12))
    parts = "cluster, class or category is" if len(lost) == 1 else "clusters, classes or categories are"
    return Finding(
        "SS403",
        Severity.warning,
        "Parts of the real data are getting lost",
        f"{len(lost)} {parts} rarer in {last.name} than in real data; the worst is "
        f"{name_change(worst, mode_names)} with {100 * worst.synth:.2g} % instead of {100 * worst.real:.2g} %.",
        "What a generation lacks the next one cannot learn from it; only fresh data brings it back.",
        "Add fresh rows of these parts first, or generate them on purpose.",
    )


def _no_fresh(accumulate: bool) -> Finding:
    seen = "The last training mix had a fresh fraction of 0."
    why = "Without fresh data drift never stops growing: N J after N rounds of random errors, N^2 J of repeated ones."
    advice = "Add fresh real rows to every round, or keep the rows of all earlier rounds."
    if accumulate:
        seen = "The last training set held no real rows; the rows of all rounds are kept."
        why = "Keeping all rows slows drift down, but an error that repeats still adds up like the logarithm of rounds."
        advice = "Add fresh real rows to every round."
    return Finding("SS404", Severity.warning, "No fresh data: there is no steady state", seen, why, advice)


def _taken_over(stream: Stream) -> Finding:
    names = [stream.seen[k].name for k in stream.assumed]
    last = stream.assumed[-1]
    shown, before = ", ".join(names[-3:]), f" and {len(names) - 3} before" if len(names) > 3 else ""
    return Finding(
        "SS408",
        Severity.note,
        "A fresh fraction was taken over from the step before",
        f"No --fresh-fraction came with {shown}{before}: taken to go on at {stream.alpha[last - 1]:.3g}.",
        "Forecast and plan rest on this number; where the mix has changed, the change passes for an error of the "
        "trainer.",
        "If the mix did change, start anew with --real, all generations and a --fresh-fraction for each step.",
    )


def _past_horizon(count: int, alarms: Alarms) -> Finding:
    return Finding(
        "SS405",
        Severity.note,
        "The stream is longer than its horizon",
        f"{count} generations were watched; the false-alarm rate of {100 * alarms.rate:.3g} % was promised for "
        f"{alarms.horizon}.",
        "Every further generation adds its own small chance of a false alarm.",
        f"Expect a false alarm in at most {100 * alarms.rate:.3g} % of streams for each further {alarms.horizon} "
        "generations, or start a new state with a longer --horizon.",
    )


def _small_reference(stream: Stream) -> Finding:
    largest = max(s.num_rows for s in stream.seen)
    return Finding(
        "SS406",
        Severity.note,
        "The reference is smaller than a generation",
        f"{len(stream.reference.rows):,} real rows are compared with up to {largest:,} generated ones "
        f"({stream.reference.num_real:,} were given, a third taught the feature space, at most 10,000 are kept).",
        "The noise of the smaller sample decides what can be seen; more generated rows do not help.",
        "Give more real rows, unless 10,000 are compared already.",
    )


def _not_measured(missing: list[str], last: Seen) -> Finding:
    return Finding(
        "SS407",
        Severity.note,
        "Some measures need more rows",
        f"In {last.name} with {last.num_rows:,} rows, "
        f"{', '.join(FITTED.get(name, name) for name in missing)} could not be computed.",
        "Held-out functions need 100 rows of each sample, the Frechet distance more rows than features.",
        "Generate more rows, or read the other measures.",
    )
