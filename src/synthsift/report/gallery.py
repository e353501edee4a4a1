"""Raw rows worth a look: those with the highest and the lowest weight, cut to what a page can hold."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

KINDS = ("rows", "text", "image")
MAX_TEXT = 500
MAX_CELLS = 30
MAX_PICTURE_BYTES = 3_000_000
PNG = b"\x89PNG\r\n\x1a\n"


def collect_gallery(record: Any) -> dict[str, Any] | None:
    """Split gallery.json into the heavier and the lighter half of its rows.

    Parameters
    ----------
    record : dict or None
        ``kind`` ("rows", "text" or "image") and ``items``: id, source, label, weight and one of cells, text, png
        (base64).

    Returns
    -------
    dict or None
        ``kind``, ``highest`` (heaviest first), ``lowest`` (lightest first) and ``num_skipped``, the rows whose content
        is missing, is no PNG, or for which there was no room. None when there is nothing to show.
    """
    if not isinstance(record, dict) or record.get("kind") not in KINDS or not isinstance(record.get("items"), list):
        return None
    room, items, num_skipped = MAX_PICTURE_BYTES, [], 0
    for item in record["items"]:
        content = _content(record["kind"], item) if isinstance(item, dict) else None
        size = len(content) if record["kind"] == "image" and isinstance(content, str) else 0
        if content is None or size > room:
            num_skipped += 1
            continue
        room -= size
        items.append({**{name: item.get(name) for name in ("id", "source", "label", "weight")}, "content": content})
    if not items:
        return None
    items.sort(key=lambda item: -_weight(item))
    half = (len(items) + 1) // 2
    return {"kind": record["kind"], "highest": items[:half], "lowest": items[half:][::-1], "num_skipped": num_skipped}


def _weight(item: Mapping[str, Any]) -> float:
    """Weight to sort by; unknown counts as 0."""
    return float(item["weight"]) if isinstance(item["weight"], int | float) else 0.0


def _content(kind: str, item: Mapping[str, Any]) -> Any:
    """What is shown of one row, or None when it holds nothing that can be."""
    if kind == "text":
        return None if item.get("text") is None else _cut(item["text"])
    if kind == "image":
        return item.get("png") if _is_png(item.get("png")) else None
    cells = item.get("cells")
    if not isinstance(cells, dict):
        return None
    shown = {str(name): _cut(value) for name, value in list(cells.items())[:MAX_CELLS]}
    return {"cells": shown, "num_more": max(len(cells) - MAX_CELLS, 0)}


def _cut(value: Any) -> str:
    """Text of at most `MAX_TEXT` characters."""
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _is_png(data: Any) -> bool:
    """True for base64 text of a PNG file."""
    try:
        return isinstance(data, str) and base64.b64decode(data, validate=True).startswith(PNG)
    except (binascii.Error, ValueError):
        return False
