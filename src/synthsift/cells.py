"""Numeric arrays that survive a kill: each named cell is a file of its own, with a digest of what was put."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.numerics.fingerprints import fingerprint_arrays
from synthsift.writing import atomic_write, explained


def write_cell(folder: Path, name: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write the cell called `name` (JSON-safe) into `folder`, which is made when missing.

    Raises
    ------
    TypeError
        If an array holds objects or text.
    RunError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    # safetensors writes the memory as it lies: a transposed array would come back in the wrong order.
    ordered = {key: np.array(value, order="C") for key, value in arrays.items()}
    for key, value in ordered.items():
        if value.dtype.kind not in "biuf":
            raise TypeError(f"cell array {key!r} has dtype {value.dtype}; store numbers or codes, not objects or text")
    key = json.dumps(name)
    with explained(folder, 0):
        folder.mkdir(exist_ok=True)
    atomic_write(_place(folder, key), save(ordered, metadata={"key": key, "digest": fingerprint_arrays(ordered)}))


def read_cell(folder: Path, name: list[Any]) -> dict[str, np.ndarray] | None:
    """Return the cell called `name`; anything but the very arrays that were written counts as absent."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    key = json.dumps(name)
    try:
        data = _place(folder, key).read_bytes()
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        whole = header["key"] == key and header["digest"] == fingerprint_arrays(arrays)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    return arrays if whole else None


def _place(folder: Path, key: str) -> Path:
    """File of the cell called `key`."""
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.safetensors"
