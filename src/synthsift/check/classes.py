"""Classes of the parts and sources: another mix (SS142), classes that a source lacks (SS144), few real rows (SS148)."""

from __future__ import annotations

import numpy as np

from synthsift.check.contents import percent, worst
from synthsift.numerics.counts import same_mix_p_value
from synthsift.numerics.metrics import is_unbalanced
from synthsift.records import Finding, Mixture, Severity

LABEL_SHIFT = 0.05  # total variation between the class shares above which it is said,
SHIFT_LEVEL = 0.005  # where two draws of these sizes from one mix would hardly differ as much
LACK_LEVEL = 1e-3  # a class is lacking where chance leaves it out less often than this
#: Where classes are so unbalanced that a run counts them alike.
COUNTED_ALIKE = (
    " For balanced accuracy, the metric of such classes by default, models are trained with every class of the same "
    "total weight, and the mix alone does no harm."
)
FEW = 10  # real rows of a class: two in each of the five folds that are judged


def label_shift(mixture: Mixture) -> Finding | None:
    """SS142: the synthetic classes are mixed differently from the real ones."""
    real, synth = _counts(mixture)
    difference = synth / synth.sum() - real / real.sum()
    moved = 0.5 * float(np.abs(difference).sum())
    if moved <= LABEL_SHIFT or same_mix_p_value(real, synth) > SHIFT_LEVEL:
        return None
    most = int(np.argmax(np.abs(difference)))
    return Finding(
        "SS142",
        Severity.warning,
        "Classes are mixed differently",
        f"{100 * moved:.0f} % of the synthetic rows would need another class to match the real mix; class "
        f"{mixture.classes[most]} is {100 * real[most] / real.sum():.0f} % of the real and "
        f"{100 * synth[most] / synth.sum():.0f} % of the synthetic rows.{_by_source(mixture, real / real.sum())}",
        "A model trained on another mix of classes predicts the frequent synthetic classes too often.",
        "Prefer policies that count real rows several times or learn weights, or generate the real mix."
        + (COUNTED_ALIKE if is_unbalanced(real) else ""),
    )


def lacking_classes(mixture: Mixture) -> Finding | None:
    """SS144: classes of which a source has no row although its size would make some likely."""
    real, synth = _counts(mixture)
    share = real / real.sum()
    sources = list(dict.fromkeys(mixture.synth.source.tolist()))
    level = LACK_LEVEL / (len(sources) * mixture.num_classes)
    seen, whole = [], False
    for name in sources:
        own = np.bincount(mixture.synth.y[mixture.synth.source == name], minlength=mixture.num_classes)
        lacks = np.flatnonzero((own == 0) & ((1 - share) ** own.sum() < level))
        if len(lacks):
            whole |= bool((synth[lacks] == 0).any())
            classes = ", ".join(f"{mixture.classes[k]} ({percent(share[k])} of the real rows)" for k in lacks[:5])
            more = f" and {len(lacks) - 5} more" if len(lacks) > 5 else ""
            text = f"none of the {own.sum():,} rows of {name} is of class {classes}{more}"
            seen.append((float(share[lacks].sum()), text))
    if not seen:
        return None
    return Finding(
        "SS144",
        Severity.warning if whole else Severity.note,
        "Classes that a source lacks",
        f"{worst(seen)}.",
        "A model trained on such rows forgets the class, and the source gives itself away by its labels.",
        "Generate the class too, or use the source beside real rows only; nothing if other sources fill in.",
    )


def few_real_rows(mixture: Mixture) -> Finding | None:
    """SS148: classes with so few real rows that a judgment of them is luck."""
    real, _ = _counts(mixture)
    few = np.flatnonzero((real > 1) & (real < FEW))  # a single row is SS112
    if not len(few):
        return None
    shown = ", ".join(f"{mixture.classes[k]} ({real[k]})" for k in few[:5])
    return Finding(
        "SS148",
        Severity.warning,
        "Classes with very few real rows",
        f"{shown}{f' and {len(few) - 5} more' if len(few) > 5 else ''} have fewer than {FEW} real rows.",
        "Every split trains on a handful of them and judges by one or two, so what is said of these classes is luck.",
        "Label more real rows of them, merge them with other classes, or read the verdict without them.",
    )


def _counts(mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each class (c,) among real (training and validation) and among synthetic rows."""
    y, is_synth = mixture.y, mixture.is_synth
    real, synth = (np.bincount(y[rows], minlength=mixture.num_classes) for rows in (~is_synth, is_synth))
    return real, synth


def _by_source(mixture: Mixture, share: np.ndarray) -> str:
    """Say how far the mix of each source is off, if there are several."""
    sources = list(dict.fromkeys(mixture.synth.source.tolist()))
    if len(sources) < 2:
        return ""
    off = {}
    for name in sources:
        own = np.bincount(mixture.synth.y[mixture.synth.source == name], minlength=mixture.num_classes)
        off[name] = 0.5 * float(np.abs(own / own.sum() - share).sum())
    ranked = sorted(off.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {100 * value:.0f} %" for name, value in ranked[:5])
    return f" By source: {shown}{f' and {len(ranked) - 5} more' if len(ranked) > 5 else ''}."
