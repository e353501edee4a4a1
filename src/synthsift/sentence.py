"""Verdict + final weights -> what share of the synthetic rows counts, and the closing sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthsift.numerics.metrics import BY_CLASS
from synthsift.records import Comparison, Verdict
from synthsift.verdict import UNDECIDED

METRIC_WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "auc": "AUC",
    "log_loss": "log-loss (x100)",
}


def with_weights(
    verdict: Verdict,
    synth_weights: np.ndarray,
    real_times: float,
    comparison: Comparison,
    words: str,
    seen_by: Sequence[str] = (),
) -> Verdict:
    """Add the fractions of the final weights and the closing sentence.

    Parameters
    ----------
    verdict : Verdict
        From `decide`.
    synth_weights : ndarray (m,)
        Final weights of the synthetic rows.
    real_times : float
        How often a real row counts in the recommended policy.
    comparison : Comparison
    words : str
        The recommended policy in words, e.g. "TrustedMargin weights".
    seen_by : sequence of str
        Sources whose generator saw the judged rows, where the reason is "seen".
    """
    keep, effective = keep_fraction(synth_weights), effective_fraction(synth_weights)
    filled = replace(verdict, keep_fraction=keep, effective_fraction=effective)
    return replace(filled, sentence=_sentence(filled, real_times, len(comparison.y), words, seen_by))


def keep_mask(weights: np.ndarray) -> np.ndarray:
    """Return which synthetic rows are kept (m,): weight above a tenth of the mean positive weight."""
    positive = weights[weights > 0]
    return weights > 0.1 * positive.mean() if len(positive) else np.zeros(len(weights), dtype=bool)


def keep_fraction(weights: np.ndarray) -> float:
    """Return the share of synthetic rows that are kept; 0 if no row has weight."""
    return float(keep_mask(weights).mean()) if len(weights) else 0.0


def effective_fraction(weights: np.ndarray) -> float:
    """Return (sum w)^2 / (m sum w^2) of the synthetic weights; 0 if no row has weight."""
    square = float(np.sum(weights**2))
    return float(weights.sum() ** 2 / (len(weights) * square)) if square > 0 else 0.0


def _sentence(verdict: Verdict, real_times: float, num_real: int, words: str, seen_by: Sequence[str]) -> str:
    """The closing sentence; it names the metric, the evidence and the number of splits."""
    metric = f"points {METRIC_WORDS[verdict.metric]}"
    basis = f"{verdict.num_splits} paired splits"
    unweighted = f"All of it unweighted: {verdict.everything}"
    if verdict.policy == "RealOnly":
        told = f"{unweighted} {metric} against real data alone ({basis})."
        if verdict.reason == "harmful":
            return (
                f"Do not use this synthetic data: as a whole it is harmful, and no part of it was shown to help. {told}"
            )
        if verdict.reason == "copies":
            return f"Do not use this synthetic data: every row of it copies a real row, so it holds nothing new. {told}"
        if verdict.reason == "useless":
            return f"Do not use this synthetic data: no way of using it was shown to be better. {told}"
        half = (verdict.everything.high - verdict.everything.low) / 2
        needed = int(np.ceil(num_real * (2 * half / UNDECIDED) ** 2 / 100) * 100)
        return (
            f"Do not use this synthetic data yet: {num_real:,} real rows are too few to tell. {told} "
            f"About {needed:,} rows are needed to see a gain of {UNDECIDED / 2:g} points."
        )
    times = f" and real rows x{real_times:g}" if real_times != 1 else ""
    share = f"{100 * verdict.keep_fraction:.0f} %" if not 0 < verdict.keep_fraction < 0.005 else "under 1 %"
    way = f"{share} of the synthetic rows with {words}{times}"
    loss = "class-balanced log-loss" if verdict.metric in BY_CLASS else "log-loss"
    opening = f"Use {way}"
    if not verdict.use:
        way = f"all of the synthetic rows with {words}{times}" if share == "100 %" else way
        opening = f"{_advice(verdict, seen_by)} The best bet is {way}"
        if verdict.gain.mean <= 0:  # ahead of real data alone by what chose it, not by what is reported
            opening = f"{_advice(verdict, seen_by)} The best bet by {loss} is {way}, which shows no gain"
    likely = f"likely: better in {loss}, not proven in {METRIC_WORDS[verdict.metric]}"
    sure = likely if verdict.evidence == "likely" else "optimistic" if verdict.reason == "seen" else verdict.evidence
    gain = f"{verdict.gain} {metric} over real data alone ({sure}; {basis})."
    calm = ""
    unsure = (verdict.gain.high - verdict.gain.low) / 2
    if not verdict.use and verdict.reason != "seen" and 2 * unsure > UNDECIDED:
        calm = f" {num_real:,} real rows can show no gain below about {unsure:.0f} points."
    return f"{opening}: {gain}{calm}" + ("" if verdict.policy == "Everything" else f" {unweighted}.")


def _advice(verdict: Verdict, seen_by: Sequence[str]) -> str:
    """What to do where the best bet has synthetic rows, and none are recommended."""
    if verdict.everything.high < 0:
        return "Do not use this synthetic data as it is: as a whole it is harmful, and no use of it was shown to help."
    if verdict.reason == "seen":
        shown = [
            name[:40] if name.isprintable() else repr(name)[1:-1][:40] for name in seen_by[:3]
        ]  # goes to a terminal
        who = ", ".join(shown) + (f" and {len(seen_by) - 3} more" if len(seen_by) > 3 else "")
        return (
            f"The synthetic rows are not shown to help: the generator{'s' * (len(seen_by) > 1)} of {who} "
            f"{'were' if len(seen_by) > 1 else 'was'} fitted on the very rows that judge them (SS154), so that gains "
            "are optimistic."
        )
    return (
        "The synthetic rows are not shown to help: stay with the real ones unless something else speaks for adding "
        "them."
    )
