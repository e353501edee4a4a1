"""The meta-training in sentences: what each curve means, and what this run's curve says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthsift.records import Outcome
from synthsift.report import wording

# Where a curve's name contains the key, this is what the curve is.
MEANINGS = {
    "moved": "How far the log-weights went since the point before: the standard deviation over rows of their change.",
    "rows_there": "How many rows a step could have at most.",
    "trusted_there": "How many trusted rows a step could have at most.",
    "trusted_wanted": "How many trusted rows a signal as strong as the noise takes, together with the rows wanted.",
    "rows_wanted": "How many rows of a batch it takes, together with these trusted rows.",
    "gsnr_rows": "The same if there were trusted rows without end: what is left is the noise of the batch.",
    "batch_rows": "How many rows were scored in a step.",
    "trusted_rows": "How many trusted rows judged in a step.",
    "effective_batch": "How many rows of a batch really count, (sum w)² / sum w². As many as the batch has: all alike; "
    "near 1: a single row decides.",
    "effective_fraction": "The same as a share of the batch.",
    "gsnr": "Signal over noise of one step's meta-gradient. Above 1 the step follows the trusted rows more than "
    "chance. It counts while the weights move; once they have learned what there is, it is low for good weights, too.",
    "largest_share": "The part of a batch's weight that its heaviest row holds.",
    "mean_weight": "How much of a batch is used at all.",
    "grad": "Length of a gradient; it should become small and must not explode.",
    "rate": "Length of a step; it is lowered towards the end.",
}
OBJECTIVE = (
    "What the meta-network lowers: a price for concentrating the weight, less what the weights do for the loss on "
    "trusted real rows beyond equal weights. Below 0 they gain more than they cost."
)
ALIKE = (
    "To the learner that was trained on them, every row was worth the same to the trusted rows, so nothing was learned "
    "about any: the learned weights say neither good nor bad of the synthetic rows. Look whether the rows differ in "
    "what the learner sees, and whether all have one label."
)
LOSS = "A loss; lower is better."
FEW, MANY = 0.1, 0.3  # effective shares of a batch below and above which the weight is called concentrated and spread


def curve_meanings(curves: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return name and meaning of every curve that is known by name."""
    found = []
    for name in curves:
        known = [words for key, words in MEANINGS.items() if key in name]
        if known:
            found.append({"name": name, "meaning": known[0]})
        elif name == "loss":
            found.append({"name": name, "meaning": OBJECTIVE})
        elif "loss" in name:
            found.append({"name": name, "meaning": LOSS})
    return found


def explain_curves(history: Mapping[str, Any] | None, diagnostics: Mapping[str, Any]) -> list[str]:
    """Return what the curves of one run say, in sentences; empty without curves.

    Parameters
    ----------
    history : dict or None
        ``step`` and ``curves`` from `collect`.
    diagnostics : dict
        Those of summary.json; ``temper``, ``learned_outcome`` and ``noise`` are used.
    """
    if not history:
        return []
    curves = {name: [v for v in values if wording.is_number(v)] for name, values in history["curves"].items()}
    curves = {name: values for name, values in curves.items() if values}
    if diagnostics.get("learned_outcome") == Outcome.alike.value:
        return [_ended(history["step"], diagnostics), ALIKE]
    told = [
        _ended(history["step"], diagnostics),
        _concentration(curves),
        str(diagnostics.get("noise") or ""),
        *_losses(curves),
    ]
    return [words for words in [*told, _temper(diagnostics.get("temper"))] if words]


def _ended(steps: Sequence[float], diagnostics: Mapping[str, Any]) -> str:
    """How many steps there were and how they ended."""
    outcome = diagnostics.get("learned_outcome")
    words = f"The meta-network took {wording.count(steps[-1] + 1)} steps" if steps else ""
    return f"{words} and {wording.one_line(outcome, 200)}." if outcome and words else f"{words}." if words else ""


def _concentration(curves: Mapping[str, Sequence[float]]) -> str:
    """How many rows of a batch count at the end, and what the heaviest holds."""
    if not curves.get("effective_fraction"):
        return ""
    share = curves["effective_fraction"][-1]
    rows = f" ({wording.count(curves['effective_batch'][-1])} rows)" if curves.get("effective_batch") else ""
    judged = (
        "so a small part of the rows decides, which is a risk"
        if share < FEW
        else "so no small group of rows decides"
        if share > MANY
        else "so the weight is gathered on a part of the rows"
    )
    largest = curves.get("largest_share")
    heaviest = f" The heaviest row holds {100 * largest[-1]:.2g} % of its batch." if largest else ""
    return f"At the end, before any power, {wording.percent(share)} of a batch really counts{rows}, {judged}.{heaviest}"


def _losses(curves: Mapping[str, Sequence[float]]) -> list[str]:
    """Whether each named loss fell, by the means of its first and last fifth."""
    told = []
    for name, values in curves.items():
        if "loss" not in name or name == "loss" or len(values) < 5:
            continue
        part = len(values) // 5
        first, last = sum(values[:part]) / part, sum(values[-part:]) / part
        way = "fell" if last < first else "rose" if last > first else "stayed"
        told.append(f"The {wording.title(name)} {way} from {first:.3g} to {last:.3g}.")
    return told


def _temper(temper: Any) -> str:
    """What the chosen power of the weights says."""
    if not wording.is_number(temper):
        return ""
    if temper == 0:
        return (
            "Real rows that had no part in the training saw no gain from these weights, so their power was set to 0: "
            "all rows weigh alike."
        )
    strength = "as they are" if temper == 1 else f"to the power {temper:g}"
    return f"Real rows that had no part in the training were predicted best with the weights taken {strength}."
