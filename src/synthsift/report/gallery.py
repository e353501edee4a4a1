"""Raw rows worth a look: the heaviest and the lightest of every source and class, cut to what a page can hold."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from synthsift.report.wording import LEAST_WEIGHT, is_number

KINDS = ("rows", "text", "image")
ENDS = ("highest", "lowest")
MAX_ITEMS = 400
MAX_TEXT = 500
MAX_CELL = 120
MAX_CELLS = 30
MAX_PICTURE_BYTES = 2_500_000
PNG = b"\x89PNG\r\n\x1a\n"


def collect_gallery(record: Any, planted: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Sort gallery.json by source, class and end.

    Parameters
    ----------
    record : dict or None
        ``kind`` ("rows", "text" or "image"), ``by`` (whose weight), ``num_pairs``, ``pairs`` (source, label, rows) and
        ``items``: id, source, label, weight, ``end`` ("highest" or "lowest"), ``notes`` (name -> value and the share
        of rows below it) and one of cells, text, png (base64). Without ``end``, the heavier half of a source's class
        is its highest.
    planted : dict, optional
        Content of planted.json, whose ``why`` says of an id what was spoiled.

    Returns
    -------
    dict or None
        ``kind``, ``by``, ``num_more`` (pairs that are not shown), ``num_skipped`` (rows whose content is missing, is no
        PNG, or for which there was no room), ``columns`` (names of the cells) and ``sources``: name and ``classes``
        (label, rows, ``light``: whether all weigh next to nothing, ``highest``, heaviest first, ``lowest``, lightest
        first). None when there is nothing to show.
    """
    if not isinstance(record, dict) or record.get("kind") not in KINDS or not isinstance(record.get("items"), list):
        return None
    kind, why = record["kind"], (planted or {}).get("why") or {}
    given = [item for item in record["items"] if isinstance(item, dict)]
    room, num_shown = MAX_PICTURE_BYTES, 0
    shown: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    ends = _ends(given)
    for pair, end, item in _fairly(ends):
        content = _content(kind, item)
        size = len(content) if kind == "image" and isinstance(content, str) else 0
        if content is None or size > room or num_shown >= MAX_ITEMS:
            continue
        room, num_shown = room - size, num_shown + 1
        row = {"id": item.get("id"), "weight": item.get("weight"), "content": content, "notes": _notes(item)}
        row["planted"] = why.get(str(item.get("id"))) if isinstance(why, dict) else None
        shown.setdefault(pair, {end: [] for end in ENDS})[end].append(row)
    if not num_shown:
        return None
    counts = _counts(record.get("pairs"))
    sources: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for pair in ends:
        if pair in shown:
            light = _are_light(shown[pair])
            sources[pair[0]].append({"label": pair[1], "rows": counts.get(pair), "light": light, **shown[pair]})
    num_pairs = record.get("num_pairs")
    return {
        "kind": kind,
        "by": str(record.get("by") or "weight"),
        "num_more": max(num_pairs - len(ends), 0) if isinstance(num_pairs, int) else 0,
        "num_skipped": len(record["items"]) - num_shown,
        "columns": _columns(shown) if kind == "rows" else [],
        "sources": [{"name": name, "classes": classes} for name, classes in sources.items()],
    }


def _ends(items: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]]:
    """Items by source and class and by end, each from the end inwards."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for item in items:
        found.setdefault((str(item.get("source")), str(item.get("label"))), []).append(item)
    ends = {}
    for pair, mine in found.items():
        mine.sort(key=lambda item: -_weight(item))
        if any(item.get("end") in ENDS for item in mine):
            high = [item for item in mine if item.get("end") == "highest"]
            low = [item for item in mine if item.get("end") == "lowest"]
        else:
            half = (len(mine) + 1) // 2
            high, low = mine[:half], mine[half:]
        ends[pair] = {"highest": high, "lowest": low[::-1]}
    return ends


def _are_light(ends: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Whether every row shown of a class is known to weigh next to nothing."""
    weights = [row["weight"] for end in ENDS for row in ends[end]]
    return all(is_number(weight) and weight < LEAST_WEIGHT for weight in weights)


def _fairly(
    ends: Mapping[tuple[str, str], Mapping[str, list[Mapping[str, Any]]]],
) -> list[tuple[tuple[str, str], str, Mapping[str, Any]]]:
    """All items, the outermost of every source and class first, so that a full page lacks the innermost ones."""
    ranked = [
        (rank, number, pair, end, item)
        for number, (pair, both) in enumerate(ends.items())
        for end in ENDS
        for rank, item in enumerate(both[end])
    ]
    ranked.sort(key=lambda entry: entry[:2])
    return [(pair, end, item) for _, _, pair, end, item in ranked]


def _counts(pairs: Any) -> dict[tuple[str, str], int]:
    """Rows of every source and class."""
    rows = [pair for pair in pairs or [] if isinstance(pair, dict)] if isinstance(pairs, list) else []
    return {
        (str(row.get("source")), str(row.get("label"))): row["rows"] for row in rows if isinstance(row.get("rows"), int)
    }


def _weight(item: Mapping[str, Any]) -> float:
    """Weight to sort by; unknown counts as 0."""
    return float(item["weight"]) if isinstance(item.get("weight"), int | float) else 0.0


def _notes(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Numbers that explain a weight: name, value and the share of rows below."""
    notes = item.get("notes")
    if not isinstance(notes, dict):
        return []
    pairs = [(name, pair) for name, pair in notes.items() if isinstance(pair, list) and len(pair) == 2]
    return [{"name": str(name), "value": value, "below": below} for name, (value, below) in pairs[:3]]


def _content(kind: str, item: Mapping[str, Any]) -> Any:
    """What is shown of one row, or None when it holds nothing that can be."""
    if kind == "text":
        return None if item.get("text") is None else _cut(item["text"], MAX_TEXT)
    if kind == "image":
        return item.get("png") if _is_png(item.get("png")) else None
    cells = item.get("cells")
    if not isinstance(cells, dict):
        return None
    shown = {str(name): _cut(value, MAX_CELL) for name, value in list(cells.items())[:MAX_CELLS]}
    more = item.get("num_more")
    return {"cells": shown, "num_more": max(len(cells) - MAX_CELLS, 0) + (more if isinstance(more, int) else 0)}


def _columns(shown: Mapping[Any, Mapping[str, list[dict[str, Any]]]]) -> list[str]:
    """Names of all cells that are shown, in their order."""
    rows = [row for both in shown.values() for end in ENDS for row in both[end]]
    return list(dict.fromkeys(name for row in rows for name in row["content"]["cells"]))[:MAX_CELLS]


def _cut(value: Any, limit: int) -> str:
    """Text of at most `limit` characters."""
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_png(data: Any) -> bool:
    """True for base64 text of a PNG file."""
    try:
        return isinstance(data, str) and base64.b64decode(data, validate=True).startswith(PNG)
    except (binascii.Error, ValueError):
        return False
