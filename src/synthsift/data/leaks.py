"""Copies of test rows in the data that a model would train on: the one leak that stops a run."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from synthsift.numerics.fingerprints import copies_of, fingerprint_rows, normalize_text
from synthsift.records import Finding, Images, Loaded, Severity, Table

COARSE = 0.05  # share of test rows with a twin among themselves above which equal content proves nothing


def fingerprints(x: Any) -> np.ndarray:
    """Return the content hash (n,) of inputs: a table, texts (case and punctuation ignored), pictures or an array."""
    if isinstance(x, Table):
        return fingerprint_rows([x.texts(k) if names else x.values[k] for k, names in enumerate(x.categories)])
    if isinstance(x, Images):  # pixel by pixel would hash thousands of columns
        return np.array([_picture_hash(np.asarray(x[[row]])) for row in range(len(x))], np.uint64)
    if x.dtype == object:
        return fingerprint_rows([np.array([normalize_text(text) for text in x], dtype=object)])
    return fingerprint_rows(list(x.reshape(len(x), -1).T))


def _picture_hash(picture: np.ndarray) -> int:
    """Return 64 bits that stand for the pixels of one decoded picture."""
    return int.from_bytes(hashlib.blake2b(picture.tobytes(), digest_size=8).digest(), "little")


def test_copies(loaded: Loaded) -> Finding | None:
    """Return a finding if training, validation or synthetic rows have the content of a test row.

    Where test rows repeat each other anyway (few distinct categories), equal content is no leak and nothing is said.
    """
    if loaded.test is None or not len(loaded.test):
        return None
    test = fingerprints(loaded.test.x)
    counts = np.unique(test, return_counts=True)[1]
    if 1 - len(counts) / len(test) > COARSE:
        return None
    seen = []
    for name, part in (
        ("real", loaded.mixture.real),
        ("validation", loaded.mixture.valid),
        ("synthetic", loaded.mixture.synth),
    ):
        if len(part):
            copies = copies_of(test, fingerprints(part.x))
            if copies.any():
                seen.append(f"{copies.sum():,} {name} rows (such as {part.ids[copies.argmax()]})")
    if not seen:
        return None
    return Finding(
        "SS130",
        Severity.error,
        "Copies of test rows",
        f"{' and '.join(seen)} have the content of a test row.",
        "A model that trains on test rows is judged too well.",
        "Take them out of the files; or add --allow-leaks, and the verdict will mention it.",
    )
