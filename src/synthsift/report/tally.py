"""Counting rows of weights.parquet: what was kept of each source and class, and how the weights are distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthsift.records import REAL

NUM_BINS = 32
# Beyond this quantile a few heavy rows would squeeze all others into one bar; they are counted in the last one.
TOP_QUANTILE = 0.995


def count_kept(rows: Mapping[str, np.ndarray], classes: Sequence[Any] | None = None) -> dict[str, Any]:
    """Count the synthetic rows that were kept, by source, by class and by both.

    Parameters
    ----------
    rows : mapping
        ``source``, ``label`` (n,) of str, ``weight`` (n,), ``keep`` (n,) of bool, optionally ``learned_weight`` (n,).
    classes : sequence, optional
        The order in which classes are to appear; others follow by name.

    Returns
    -------
    dict
        ``real`` (rows, weight_share), ``sources`` (name, rows, kept, weight_share, mean_learned_weight; highest share
        of the weight first), ``classes`` (label, real, rows, kept) and ``cells`` (source, label, rows, kept).
    """
    is_real = rows["source"] == REAL
    total = max(float(rows["weight"].sum()), np.finfo(float).tiny)
    names, source = _codes(rows["source"][~is_real])
    labels, label = _codes(rows["label"])
    keep, weight = rows["keep"][~is_real], rows["weight"][~is_real]
    pair = source * len(labels) + label[~is_real]
    shape = (len(names), len(labels))
    num = np.bincount(pair, minlength=shape[0] * shape[1]).reshape(shape)  # (sources, classes)
    kept = np.bincount(pair[keep], minlength=shape[0] * shape[1]).reshape(shape)
    share = np.bincount(source, weights=weight, minlength=len(names)) / total
    learned = _mean_learned(rows, ~is_real, source, len(names))
    by_share = np.argsort(-share, kind="stable")
    by_class = _class_order(labels, classes)
    real = np.bincount(label[is_real], minlength=len(labels))
    return {
        "real": {"rows": int(is_real.sum()), "weight_share": float(rows["weight"][is_real].sum() / total)},
        "sources": [
            {
                "name": names[i],
                "rows": int(num[i].sum()),
                "kept": int(kept[i].sum()),
                "weight_share": float(share[i]),
                "mean_learned_weight": learned[i],
            }
            for i in by_share
        ],
        "classes": [
            {"label": labels[j], "real": int(real[j]), "rows": int(num[:, j].sum()), "kept": int(kept[:, j].sum())}
            for j in by_class
        ],
        "cells": [
            {"source": names[i], "label": labels[j], "rows": int(num[i, j]), "kept": int(kept[i, j])}
            for i in by_share
            for j in by_class
            if num[i, j]
        ],
    }


def count_weights(rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Histogram the verdict's weight and the learned weight, by source.

    Returns
    -------
    dict
        For ``weight`` and, when it is known, ``learned_weight``: ``edges`` (bins + 1,) and ``sources``, real rows
        first: name, rows, zero (how many have weight 0) and counts (bins,) of the positive weights, of which the last
        holds all larger ones.
    """
    names = [REAL, *sorted(set(rows["source"].tolist()) - {REAL})]
    columns = [name for name in ("weight", "learned_weight") if name in rows and (rows[name] > 0).any()]
    return {column: _histogram(rows["source"], rows[column], names) for column in columns}


def _histogram(source: np.ndarray, weight: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Counts of positive weights by source over common bins."""
    positive = weight > 0
    on_synth = positive & (source != REAL)
    shown = weight[on_synth if on_synth.any() else positive]
    top = float(np.quantile(shown, TOP_QUANTILE)) if len(shown) else 1.0
    edges = np.linspace(0.0, top * 1.05, NUM_BINS + 1)
    rows = []
    for name in names:
        mine = source == name
        if mine.any():
            values = np.minimum(weight[mine & positive], edges[-1])
            counts = np.histogram(values, edges)[0]
            zero = int((mine & (weight == 0)).sum())
            rows.append({"name": name, "rows": int(mine.sum()), "zero": zero, "counts": counts.tolist()})
    return {"edges": edges.tolist(), "sources": rows}


def _mean_learned(rows: Mapping[str, np.ndarray], part: np.ndarray, source: np.ndarray, n: int) -> list[float | None]:
    """Mean learned weight of each source; None where it is not known."""
    if "learned_weight" not in rows:
        return [None] * n
    learned = rows["learned_weight"][part]
    known = np.isfinite(learned)
    num = np.bincount(source[known], minlength=n)
    total = np.bincount(source[known], weights=learned[known], minlength=n)
    return [float(t / k) if k else None for t, k in zip(total, num, strict=True)]


def _codes(texts: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Distinct texts in order and the place of each text among them (n,); long texts are never padded or copied."""
    names = sorted(set(texts.tolist()))
    place = {name: i for i, name in enumerate(names)}
    return names, np.array([place[text] for text in texts.tolist()], dtype=np.int64)


def _class_order(labels: Sequence[str], classes: Sequence[Any] | None) -> list[int]:
    """Positions of `labels` in the order of `classes`, then by name."""
    place = {str(name): i for i, name in enumerate(classes or [])}
    return sorted(range(len(labels)), key=lambda j: (place.get(labels[j], len(place)), labels[j]))
