"""Numbers and names as a reader meets them: one sign for minus, one for "not known", no control characters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from synthsift.records import limits

UNKNOWN = "–"
MINUS = "−"
MAX_ITEMS = 20
LEAST_WEIGHT = 0.01  # a row below it weighs next to nothing: the mean over all rows is 1
METRICS = {"log_loss": "log-loss", "macro_f1": "macro-F1", "auc": "AUC", "gsnr": "GSNR"}
WORDS = {"knn": "kNN", "el2n": "EL2N", "gsnr": "GSNR"}  # inside a name
LOSSES = ("log_loss", "log-loss", "logloss", "brier")
# Control characters but line breaks and tabs; lone surrogates; and signs that turn the direction of writing, by which
# a name could make a line read as something else.
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(value: Any, limit: int | None = None) -> str:
    """Return `value` as text that cannot move a cursor, turn a line or break an encoder.

    Parameters
    ----------
    value : Any
        A name or a text of the user's; None becomes the sign for "not known".
    limit : int, optional
        Longest length in characters; what is longer ends in an ellipsis.
    """
    if value is None:
        return UNKNOWN
    text = str(value)
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return HARMFUL.sub("\ufffd", text)


def one_line(value: Any, limit: int | None = None) -> str:
    """Return `value` like `printable`, with every run of white space as one space."""
    return printable(None if value is None else " ".join(str(value).split()), limit)


def is_number(value: Any) -> bool:
    """Return True for a finite number; booleans are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def signed(value: Any, digits: int = 1) -> str:
    """Return a difference with its sign, as in +2.1."""
    if not is_number(value):
        return UNKNOWN
    text = f"{value:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", MINUS)


def true_minus(text: str) -> str:
    """Return a sentence whose negative numbers have the same sign as those of the tables."""
    return re.sub(r"(?<![^\s\[(])-(?=\d)", MINUS, text)


def prose(text: Any) -> str:
    """Return a sentence with the sign for minus, and with no line break between a number and its "%"."""
    return re.sub(r"(?<=\d) %", "\u00a0%", true_minus(printable(text)))


def weight(value: Any) -> str:
    """Return the weight of one row: two digits, and no more for what is next to nothing."""
    if not is_number(value):
        return UNKNOWN
    return f"{value:.2f}" if value == 0 or value >= LEAST_WEIGHT else f"< {LEAST_WEIGHT:g}"


def points(metric: Any) -> str:
    """Return what gains are counted in, as in points of accuracy."""
    return f"points of {title(metric)}{' (x100)' if is_loss(metric) else ''}"


def interval(gain: Mapping[str, Any] | None) -> str:
    """Return the ends of an interval, as in [1.3, 2.9]; "" when it is not known.

    None is known of a policy against itself, which is stored with both ends at 0; every other one has a width.
    """
    if not gain or not (is_number(gain.get("low")) and is_number(gain.get("high"))) or gain["low"] == gain["high"]:
        return ""
    return limits(gain["low"], gain["high"]).replace("-", MINUS)


def percent(fraction: Any, digits: int = 0) -> str:
    """Return a fraction in [0, 1] as a percentage."""
    return f"{100 * fraction:.{digits}f} %" if is_number(fraction) else UNKNOWN


def count(value: Any) -> str:
    """Return a number of things with separators, as in 12,000."""
    return f"{value:,.0f}" if is_number(value) else UNKNOWN


def measured(value: Any, metric: Any) -> str:
    """Return a metric's value: a loss with three digits, everything else as a percentage.

    The sign of a loss is dropped: no loss is negative, and where a run compares by one it stores it negated, so that
    higher is better.
    """
    if not is_number(value):
        return UNKNOWN
    return f"{abs(value):.3f}" if is_loss(metric) else percent(value, 1)


def title(name: Any) -> str:
    """Return the name of a metric or a column as words, as in balanced accuracy."""
    words = one_line(name, 40).replace("_", " ").removeprefix("num ").split(" ")
    return METRICS.get(str(name), " ".join(WORDS.get(word, word) for word in words))


#: Beside a column of log-losses where the metric counts classes alike.
BALANCED_LOSS = "the log-loss counts every class alike, as the metric does, however few rows it has"

#: Where training does so, too: who trains on the weights alone would get another model.
BALANCED_TRAINING = (
    "All models were trained with every class of the same total weight; the command export writes weights that have it"
)


def is_loss(metric: Any) -> bool:
    """Return True when lower is better."""
    return str(metric) in LOSSES


def setting(value: Any) -> str:
    """Return any plain value on one line; of a mapping, the entries that are set."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        filled = {name: item for name, item in value.items() if item is not None and item != []}
        return ", ".join(f"{one_line(name)}: {setting(item)}" for name, item in filled.items()) or "none"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - MAX_ITEMS} more" if len(value) > MAX_ITEMS else ""
        return (", ".join(map(setting, value[:MAX_ITEMS])) + more) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(value, 300)
