"""Raw synthetic rows at both ends of the weights, by source and class, for a human eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthsift.data.pictures import pictures_of
from synthsift.records import Examples, Table

EACH = {"image": 10, "text": 3, "rows": 4}  # rows at each end of a source's class, where there is room
TOTAL = {"image": 320, "text": 200, "rows": 320}  # rows in all: what a page of a few megabytes can hold
MAX_PAIRS = 40  # of a source and a class: those with most rows
MAX_CELLS = 12
MAX_TEXT = 500
MAX_NOTES = 3


def make_gallery(
    synth: Examples, classes: tuple[Any, ...], weight: np.ndarray, by: str, notes: Mapping[str, np.ndarray]
) -> dict[str, Any] | None:
    """Return the rows with the highest and the lowest weight of every source and class.

    Parameters
    ----------
    synth : Examples
    classes : tuple
        Label of each code.
    weight : ndarray (n,)
        Their weights, mean 1 over all rows of the run.
    by : str
        What the weight is called.
    notes : mapping of str to ndarray (n,)
        Numbers that explain the weight, most telling first; at most three are shown with a row, each with the share
        of rows that lie below.

    Returns
    -------
    dict or None
        ``kind`` ("rows", "text" or "image"), ``by``, ``pairs`` (source, label, rows; those shown), ``num_pairs`` (all)
        and ``items``: id, source, label, weight, ``end`` ("highest" or "lowest"), ``notes`` and one of cells, text,
        png. None where all rows weigh alike, so that there are no ends.
    """
    if not len(synth) or np.ptp(weight) == 0:
        return None
    kind = "rows" if isinstance(synth.x, Table) else "text" if synth.x.dtype == object else "image"
    pairs = _pairs(synth)
    shown = sorted(pairs, key=lambda pair: -len(pairs[pair]))[:MAX_PAIRS]
    each = int(np.clip(TOTAL[kind] // (2 * len(shown)), 1, EACH[kind]))
    picked = [(place, end) for pair in pairs if pair in shown for place, end in _ends(weight, pairs[pair], each)]
    content = _content(synth, kind, [place for place, _ in picked])
    if not content and kind == "image":
        kind, content = "rows", _numbers(synth.x, [place for place, _ in picked])
    told = _told(notes)
    items = [
        {
            "id": str(synth.ids[place]),
            "source": str(synth.source[place]),
            "label": str(classes[synth.y[place]]),
            "weight": float(weight[place]),
            "end": end,
            "notes": {name: [float(values[place]), float(rank[place])] for name, (values, rank) in told.items()},
            **content[place],
        }
        for place, end in picked
    ]
    rows = [
        {"source": source, "label": str(classes[code]), "rows": len(pairs[source, code])}
        for source, code in pairs
        if (source, code) in shown
    ]
    return {"kind": kind, "by": by, "num_pairs": len(pairs), "pairs": rows, "items": items}


def _pairs(synth: Examples) -> dict[tuple[str, int], np.ndarray]:
    """Places of the rows of every source and class that occur together, in their order."""
    names, source = np.unique(synth.source.astype(str), return_inverse=True)
    code = source * (int(synth.y.max()) + 1) + synth.y
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    return {(str(names[source[places[0]]]), int(synth.y[places[0]])): places for places in np.split(order, starts[1:])}


def _ends(weight: np.ndarray, places: np.ndarray, each: int) -> list[tuple[int, str]]:
    """The heaviest rows among `places`, heaviest first, then the lightest, lightest first; none is in both."""
    order = places[np.argsort(-weight[places], kind="stable")].tolist()
    top = min(each, (len(order) + 1) // 2)
    bottom = min(each, len(order) - top)
    lowest = order[: -bottom - 1 : -1]
    return [(place, "highest") for place in order[:top]] + [(place, "lowest") for place in lowest]


def _content(synth: Examples, kind: str, places: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What is shown of each row; empty for arrays that are no pictures."""
    if kind == "image":
        return {place: {"png": png} for place, png in pictures_of(synth, places).items()}
    if kind == "text":
        return {place: {"text": str(synth.x[place])[:MAX_TEXT]} for place in places}
    table = synth.x[np.asarray(places)]
    columns = [table.texts(k).tolist() for k in range(len(table.names))]
    return _cells(table.names, columns, places)


def _numbers(x: np.ndarray, places: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Rows of numbers as cells."""
    columns = [[f"{value:.4g}" for value in x[np.asarray(places), k].tolist()] for k in range(min(x.shape[1], 50))]
    return _cells([f"x{k}" for k in range(x.shape[1])], columns, places)


def _cells(names: Sequence[str], columns: Sequence[Sequence[Any]], places: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The first cells of each row, and how many columns there are beside them."""
    shown, more = list(names[:MAX_CELLS]), max(len(names) - MAX_CELLS, 0)
    return {
        place: {
            "cells": {name: str(column[i])[:MAX_TEXT] for name, column in zip(shown, columns, strict=False)},
            "num_more": more,
        }
        for i, place in enumerate(places)
    }


def _told(notes: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every note with the share of rows that lie below."""
    told = {}
    for name, values in list(notes.items())[:MAX_NOTES]:
        ordered = np.sort(values)
        told[name] = (values, np.searchsorted(ordered, values, side="left") / len(values))
    return told
