"""Texts that name their own label (SS151), as language models that were asked for a label like to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthsift.check.contents import examples, percent, worst
from synthsift.numerics.fingerprints import normalize_text
from synthsift.numerics.intervals import share_difference, z_of_many
from synthsift.records import Finding, Mixture, Severity
from synthsift.seeds import Seeds

NAMED = 0.02  # share of texts that name their label, beyond that of real texts, which is said, with its whole interval
MAX_TEXTS = 5000  # of a source that are read
MIN_LETTERS = 3  # of a label that counts as a word


def named_labels(mixture: Mixture, seeds: Seeds) -> Finding | None:
    """SS151: sources whose texts hold the name of their own label more often than real texts do."""
    words = [_word(label) for label in mixture.classes]
    x = [part.x for part in mixture.parts]
    if not (isinstance(x[0], np.ndarray) and x[0].dtype == object) or not any(words):
        return None
    real_x, real_y = np.concatenate(x[:2]), mixture.y[~mixture.is_synth]
    some = _draw(np.arange(len(real_y)), seeds, "real")
    base = _names_own_label(real_x[some], real_y[some], words)
    seen, z = [], z_of_many(len(mixture.rows_of))
    for name, of_source in mixture.rows_of.items():
        rows = _draw(of_source, seeds, name)
        named = _names_own_label(mixture.synth.x[rows], mixture.synth.y[rows], words)
        low, high = share_difference(int(named.sum()), len(rows), int(base.sum()), len(base), z)
        if low > NAMED:
            shown = examples(mixture.synth.ids[rows][named])
            text = (
                f"{percent(named.mean())} of {len(rows):,} texts of {name} ({shown}), "
                f"{100 * (named.mean() - base.mean()):+.0f} points [{100 * low:.0f}, {100 * high:.0f}]"
            )
            seen.append((low, text))
    if not seen:
        return None
    return Finding(
        "SS151",
        Severity.warning,
        "Texts name their own label",
        f"The label stands in {percent(base.mean())} of {len(base):,} real texts, but in {worst(seen)}.",
        "A model learns to look for the word, which real texts do not offer.",
        "Forbid the label in the prompt, or cut the word out of the texts.",
    )


def _word(label: Any) -> str:
    """Return the label as it would stand in a normalized text; "" for numbers and codes."""
    word = normalize_text(str(label).replace("_", " ").replace("-", " ")) if isinstance(label, str) else ""
    return f" {word} " if sum(sign.isalpha() for sign in word) >= MIN_LETTERS else ""


def _names_own_label(texts: np.ndarray, y: np.ndarray, words: list[str]) -> np.ndarray:
    """Tell which texts (n,) hold the name of their label as a word of its own."""
    return np.array(
        [bool(words[k]) and words[k] in f" {normalize_text(text)} " for text, k in zip(texts, y, strict=True)], bool
    )


def _draw(places: np.ndarray, seeds: Seeds, name: str) -> np.ndarray:
    """Return at most `MAX_TEXTS` of the places, drawn at random, in order."""
    if len(places) <= MAX_TEXTS:
        return places
    return np.sort(seeds.numpy(f"texts {name}").choice(places, MAX_TEXTS, replace=False))
