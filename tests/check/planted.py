"""Small data sets for the detectors: a clean one, and changes that plant one fault each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from synthsift.check.findings import check
from synthsift.data.worlds import same_law
from synthsift.records import Examples, Finding, Loaded, Mixture, Table
from synthsift.seeds import Seeds

SHAPE = {"num_real": 120, "num_valid": 60, "num_synth": 150, "dim": 8}


def clean(seed: int = 3, **shape: Any) -> Loaded:
    """Arrays: synthetic, validation and 80 test rows follow the law of the real rows."""
    world = same_law(Seeds(seed), **{**SHAPE, **shape})
    return Loaded(world.mixture, world.draw_test(80, np.random.default_rng(3)))


def changed(loaded: Loaded, part: str, **columns: Any) -> Loaded:
    """Replace columns of the real, valid, synth or test rows; a function is given the old column."""
    old = loaded.test if part == "test" else getattr(loaded.mixture, part)
    new = replace(old, **{k: v(getattr(old, k).copy()) if callable(v) else v for k, v in columns.items()})
    if part == "test":
        return replace(loaded, test=new)
    return replace(loaded, mixture=replace(loaded.mixture, **{part: new}))


def with_rows(x: np.ndarray, rows: slice, values: np.ndarray) -> np.ndarray:
    """A copy of `x` with some rows replaced."""
    x = x.copy()
    x[rows] = values
    return x


def as_table(loaded: Loaded, names: str = "abcdefgh") -> Loaded:
    """The same rows as a table of numbers and one column of three categories."""

    def convert(part: Examples) -> Examples:
        kind = (np.arange(len(part)) % 3).astype(np.int32)
        columns = (*(column.astype(np.float64) for column in part.x.T), kind)
        return replace(
            part, x=Table((*names[: part.x.shape[1]], "kind"), columns, (*[None] * part.x.shape[1], tuple("uvw")))
        )

    mixture = loaded.mixture
    parts = {name: convert(getattr(mixture, name)) for name in ("real", "valid", "synth")}
    return replace(
        loaded, mixture=replace(mixture, **parts), test=None if loaded.test is None else convert(loaded.test)
    )


def texts(num: int = 90, classes: tuple[Any, ...] = ("sports", "world"), **of_synth: Any) -> Loaded:
    """Distinct texts of ten words, some of which go with the class."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"{a}{b}" for a in "bdfgklmn" for b in ("ar", "el", "ion", "os", "um")], dtype=object)

    def part(n: int, source: str, prefix: str) -> Examples:
        y = np.arange(n) % 2
        words = [rng.choice(vocabulary[:30] if k else vocabulary[10:], 10) for k in y]
        x = np.array([" ".join(some) + "." for some in words], dtype=object)
        ids = np.array([f"{prefix}:{i}" for i in range(n)], dtype=object)
        return Examples(x, y, ids, np.full(n, source, dtype=object))

    real, synth = part(num, "real", "real"), part(num, "llm", "llm")
    loaded = Loaded(Mixture(real, synth, real[:0], classes), part(40, "real", "test"))
    return changed(loaded, "synth", **of_synth) if of_synth else loaded


def found(loaded: Loaded, saw: str = "unknown") -> dict[str, Finding]:
    """Findings by code."""
    return {finding.code: finding for finding in check(loaded, Seeds(0), saw=saw)}
