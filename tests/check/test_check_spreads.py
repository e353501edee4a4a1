"""SS156 finds columns in another unit and with other missing cells, and is not misled by chance or by the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import hypergeom

from synthsift.check.spreads import other_spreads
from synthsift.numerics.counts import other_share_p_value
from synthsift.records import Examples, Mixture, Table

Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def table(draw: Draw, y: np.ndarray, seed: int, source: str, group: np.ndarray | None = None) -> Examples:
    x = Table(("a", "kind"), (draw(y, np.random.default_rng(seed)), np.zeros(len(y), np.int32)), (None, ("u",)))
    ids = np.array([f"{source}:{k}" for k in range(len(y))])
    return Examples(x, y, ids, np.full(len(y), source), group=group)


def said(real: Draw, synth: Draw, num: int = 200, share: float = 0.5, group: np.ndarray | None = None) -> str:
    """What SS156 says of `num` real rows, half of them of class 1, and 300 synthetic ones with a share of it."""
    first = table(real, np.arange(num) % 2, 0, "real", group)
    second = table(synth, (np.arange(300) < 300 * share).astype(np.int64), 1, "made")
    found = other_spreads(Mixture(first, second, first[:0], ("no", "yes")))
    return found.seen if found else ""


def normal(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=len(y))


def times(factor: float) -> Draw:
    return lambda y, rng: factor * normal(y, rng)


def gaps(share: float) -> Draw:
    return lambda y, rng: np.where(rng.random(len(y)) < share, np.nan, normal(y, rng))


def wide_and_empty_class(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Class 1 has numbers 20 times as large, and half of its cells are missing."""
    return np.where((y == 1) & (rng.random(len(y)) < 0.5), np.nan, (1 + 19 * y) * normal(y, rng))


def mostly_zero(share: float) -> Draw:
    return lambda y, rng: np.where(rng.random(len(y)) < share, 0.0, rng.lognormal(size=len(y)))


@pytest.mark.parametrize(
    ("real", "synth", "words"),
    [
        (normal, times(0.01), "a has a middle half 0.0117 wide (real rows: 1.32)"),
        (normal, times(4.0), "a has a middle half 4.68 wide (real rows: 1.32)"),
        (normal, gaps(0.67), "a is missing in 67 % of the rows (real rows: 0 %)"),
        (gaps(0.67), normal, "a is missing in 0 % of the rows (real rows: 61 %)"),
    ],
)
def test_other_units_and_missing_cells_are_named_with_both_numbers(real: Draw, synth: Draw, words: str) -> None:
    assert words in said(real, synth)


@pytest.mark.parametrize(
    ("real", "synth"),
    [
        (normal, times(2.0)),
        (gaps(0.1), gaps(0.12)),
        (wide_and_empty_class, wide_and_empty_class),
        (mostly_zero(0.74), mostly_zero(0.7)),  # the middle half is of no width here, of some there
        (normal, lambda y, rng: np.full(len(y), np.nan)),  # SS146
        (normal, lambda y, rng: np.zeros(len(y))),  # SS146
    ],
)
def test_what_chance_the_classes_or_another_finding_explain_is_not_said(real: Draw, synth: Draw) -> None:
    assert said(real, synth, share=0.9) == ""


def test_few_rows_or_one_group_prove_nothing() -> None:
    assert said(normal, times(100.0), num=6) == ""
    assert said(gaps(1 / 3), gaps(0.9), group=np.arange(200) % 4) == ""


def test_of_many_columns_and_sources_the_worst_are_told_first() -> None:
    first = table(normal, np.arange(200) % 2, 0, "real")
    parts = [table(draw, np.arange(200) % 2, 5, name) for draw, name in ((gaps(0.3), "old"), (times(100.0), "new"))]
    source = np.repeat(["old", "new"], 200)
    x = Table(("a", "kind"), tuple(np.concatenate(v) for v in zip(*(p.x.values for p in parts), strict=True)),
              (None, ("u",)))  # fmt: skip
    synth = Examples(x, np.tile(np.arange(200) % 2, 2), np.arange(400).astype(str), source)
    found = other_spreads(Mixture(first, synth, first[:0], ("no", "yes")))
    assert found is not None and list(found.sources) == ["new", "old"]
    assert other_spreads(Mixture(first, synth[:0], first[:0], ("no", "yes"))) is None
    more = replace(synth, source=np.array([f"s{k % 100}" for k in range(400)]))
    assert other_spreads(Mixture(first, more, first[:0], ("no", "yes"))) is None, "four rows of a source"


def test_the_bound_is_above_the_exact_chance_and_near_it() -> None:
    """One class: the tail of the hypergeometric law; several: marks dealt anew within classes."""
    for total, marked, size in ((100, 30, 40), (1000, 400, 700), (60, 50, 30)):
        for w in range(max(0, marked + size - total), min(marked, size) + 1, 3):
            law = hypergeom(total, marked, size)
            exact = min(1.0, 2 * min(law.sf(w - 1), law.cdf(w)))
            second = np.array([[size - w], [w]])
            bound = other_share_p_value(np.array([[total - size - marked + w], [marked - w]]), second)
            assert exact <= bound + 1e-12, (total, marked, size, w)
            assert exact > 1e-12 or bound < 1e-4, "beyond a false alarm of few columns"
    rng = np.random.default_rng(0)
    dealt = [rng.hypergeometric([30, 5], [70, 45], [60, 20]) for _ in range(2000)]
    values = [
        other_share_p_value(np.array([[70, 45], [30, 5]]) - s, s)
        for w in dealt
        for s in [np.stack([np.array([60, 20]) - w, w])]
    ]
    assert np.mean(np.array(values) < 0.05) <= 0.05
