"""Every finding of `check`: it speaks up in a planted case, is silent on clean data, and where nothing can be said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted import as_table, changed, clean, found, texts, with_rows

from synthsift.check.contents import worst
from synthsift.records import Examples, Loaded, Severity


def copied(loaded: Loaded, part: str, into: str, num: int, apart: float = 0.0) -> Loaded:
    """The first rows of `into` become the first ones of `part`, moved by `apart`."""
    origin = loaded.test if part == "test" else getattr(loaded.mixture, part)
    return changed(loaded, into, x=lambda x: with_rows(x, slice(num), origin.x[:num] + apart))


def coarse(loaded: Loaded) -> Loaded:
    """Real rows repeat one another: their first column takes one of three values and the others are 0."""
    for part in ("real", "valid", "synth", "test"):
        loaded = changed(loaded, part, x=lambda x: np.sign(np.round(x)) * (np.arange(x.shape[1]) == 0))
    return loaded


def two_sources(loaded: Loaded, size: int) -> Loaded:
    """The last `size` synthetic rows come from another source, which lacks class 2."""
    synth = loaded.mixture.synth
    source, y = synth.source.copy(), synth.y.copy()
    source[-size:], y[-size:] = "other", np.arange(size) % 2
    return changed(loaded, "synth", source=source, y=y)


def few_of_class_two(num: int) -> Loaded:
    """All real rows of class 2 but `num` become class 0."""

    def relabel(y: np.ndarray) -> np.ndarray:
        y[np.flatnonzero(y == 2)[num:]] = 0
        return y

    return changed(changed(clean(), "real", y=relabel), "valid", y=lambda y: np.where(y == 2, 0, y))


def column(loaded: Loaded, k: int, value: float, *parts: str) -> Loaded:
    """Column k holds one value in some parts."""
    for part in parts:
        loaded = changed(loaded, part, x=lambda x: np.where(np.arange(x.shape[1]) == k, value, x))
    return loaded


def table_without(name: str) -> Loaded:
    """A table in which all synthetic cells of a column are missing."""
    loaded = as_table(clean())
    x = loaded.mixture.synth.x
    values = tuple(np.full(len(v), np.nan) if n == name else v for n, v in zip(x.names, x.values, strict=True))
    return changed(loaded, "synth", x=replace(x, values=values))


def with_labels(num: int, classes: tuple[Any, ...] = ("sports", "world")) -> Loaded:
    """The first `num` synthetic texts hold their label."""
    loaded = texts(classes=classes)
    synth = loaded.mixture.synth
    named = [f"{t} A {('SPORTS,', 'World!')[k]} story" for t, k in zip(synth.x[:num], synth.y[:num], strict=True)]
    return changed(loaded, "synth", x=lambda x: with_rows(x, slice(num), np.array(named, dtype=object)))


def with_parents() -> Loaded:
    mixture = clean().mixture
    return changed(clean(), "synth", parent=np.resize(mixture.real.ids, len(mixture.synth)))


def kinds(part: str, *changes: tuple[slice, str]) -> Loaded:
    """Rows of `part` have another kind; the real ones are evenly u, v and w."""
    loaded = as_table(clean())
    for name in ("real", "valid", "synth", "test"):
        table = (loaded.test if name == "test" else getattr(loaded.mixture, name)).x
        loaded = changed(loaded, name, x=replace(table, categories=(*table.categories[:-1], tuple("uvwxy"))))
    table = getattr(loaded.mixture, part).x
    code = table.values[-1].copy()
    for rows, kind in changes:
        code[rows] = table.categories[-1].index(kind)
    return changed(loaded, part, x=replace(table, values=(*table.values[:-1], code)))


def refitted(*, parents: bool = False) -> Loaded:
    """Synthetic rows are normal draws around every class of the real and validation rows, which a generator learned."""
    mixture = clean().mixture
    rows = np.concatenate([mixture.real.x, mixture.valid.x])
    y, rng = np.concatenate([mixture.real.y, mixture.valid.y]), np.random.default_rng(0)
    made, names = np.arange(900) % 3, np.concatenate([mixture.real.ids, mixture.valid.ids])
    x = np.stack([rng.multivariate_normal(rows[y == k].mean(axis=0), np.cov(rows[y == k].T)) for k in made])
    parent = np.array([names[y == k][0] for k in made]) if parents else None
    ids = np.array([f"made:{k}" for k in range(900)])
    return replace(clean(), mixture=replace(mixture, synth=Examples(x, made, ids, np.full(900, "made"), parent)))


def scaled_alone() -> Loaded:
    """Every part has mean 0 and spread 1, each by constants of its own."""
    mixture = clean().mixture
    scaled = {
        name: replace(part, x=(part.x - part.x.mean(axis=0)) / part.x.std(axis=0))
        for name, part in (("real", mixture.real), ("valid", mixture.valid), ("synth", mixture.synth))
    }
    return replace(clean(), mixture=replace(mixture, **scaled))


def in_units(times: float, loaded: Loaded) -> Loaded:
    """Synthetic values of the first column of a table are so many times as large."""
    x = loaded.mixture.synth.x
    return changed(loaded, "synth", x=replace(x, values=(x.values[0] * times, *x.values[1:])))


NOTHING: dict[str, str] = {}
TRAIN = {"saw": "train"}
Make = Callable[[], Loaded]
# code: (planted case, words of what was seen, case where nothing can be said)
CASES: dict[str, tuple[Make, str, Make]] = {
    "SS130": (
        lambda: copied(clean(), "test", "synth", 3),
        "3 synthetic rows (such as synthetic:0) have the content of a test row",
        lambda: replace(copied(clean(), "test", "synth", 3), test=None),
    ),
    "SS131": (
        lambda: copied(clean(), "test", "real", 4, 1e-4),
        "4 of 120 real rows (real:0, real:1, real:2 and 1 more) lie almost on a test row",
        lambda: replace(copied(clean(), "test", "real", 4, 1e-4), test=None),
    ),
    "SS132": (
        lambda: copied(clean(), "valid", "real", 2),
        "2 of 120 real rows (real:0, real:1) repeat a validation row",
        lambda: clean(num_valid=0),
    ),
    "SS140": (
        lambda: copied(copied(clean(), "real", "synth", 8, 1e-4), "real", "synth", 3),
        "3 synthetic rows equal a real row (3 of 150 of synthetic; synthetic:0, synthetic:1, synthetic:2); "
        "5 of 150 synthetic rows (synthetic:3, ",
        lambda: coarse(copied(clean(), "real", "synth", 3)),
    ),
    "SS141": (clean, "--generator-saw train, and no row names its parent", with_parents),
    "SS142": (
        lambda: changed(clean(), "synth", y=lambda y: np.where(y == 2, 0, y)),
        "class 0 is",
        lambda: changed(clean(num_synth=3), "synth", y=np.zeros(3, dtype=np.int64)),
    ),
    "SS143": (
        lambda: changed(clean(), "synth", x=lambda x: with_rows(x, slice(30, 60), x[:30])),
        "synthetic: of 150 rows 30 repeat an earlier one (synthetic:30, synthetic:31, synthetic:32 and 27 more), 20 %",
        lambda: coarse(clean()),
    ),
    "SS144": (
        lambda: two_sources(clean(), 75),
        "none of the 75 rows of other is of class 2 (",
        lambda: two_sources(clean(), 3),
    ),
    "SS145": (
        lambda: column(clean(), 4, 1.5, "real", "valid"),
        "1 of 8 columns have one value in all real rows: '4'",
        texts,
    ),
    "SS146": (
        lambda: column(clean(), 5, 0.0, "synth"),
        "of 8 columns synthetic has 1 with a single value ('5')",
        texts,
    ),
    "SS147": (
        lambda: changed(clean(), "synth", x=lambda x: with_rows(x, slice(7, 9), np.nan)),
        "2 synthetic rows (such as synthetic:7)",
        lambda: table_without("c"),  # NaN is a missing cell
    ),
    "SS148": (lambda: few_of_class_two(4), "2 (4) have fewer than 10 real rows", lambda: few_of_class_two(1)),
    "SS149": (
        lambda: changed(clean(), "synth", x=lambda x: x + 3),
        "synthetic AUC ",
        lambda: changed(clean(num_synth=20), "synth", x=lambda x: x + 3),
    ),
    "SS150": (
        lambda: changed(clean(), "synth", y=lambda y: (y + 1) % 3),
        "of 150 labels of synthetic, where real rows with its mix of classes give",
        lambda: changed(clean(num_synth=3), "synth", y=lambda y: (y + 1) % 3),
    ),
    "SS151": (
        lambda: with_labels(12),
        "of 90 texts of llm (llm:0, llm:1, llm:2 and 9 more)",
        lambda: with_labels(12, (3, 7)),
    ),
    "SS152": (
        lambda: kinds("synth", (slice(30), "x"), (slice(30, 40), "y")),
        "rows of a source: synthetic: kind 'x' (20 %), 'y' (6.7 %).",
        lambda: changed(clean(), "synth", x=lambda x: x + 3),  # arrays have no categories
    ),
    "SS153": (
        lambda: kinds("synth", (slice(2, None, 3), "v")),
        "share of the real rows: synthetic: kind 'w' (33 %).",
        lambda: kinds("synth", (slice(None), "v")),  # a single value is SS146
    ),
    "SS155": (scaled_alone, "synthetic: 8 columns with the same mean as the real rows", clean),
    "SS154": (refitted, "would be for a generator that has not seen them: made: 0.", lambda: refitted(parents=True)),
    "SS156": (
        lambda: in_units(100.0, as_table(clean())),
        "in synthetic: a has a middle half 110 wide (real rows: 0.974)",
        lambda: changed(clean(), "synth", x=lambda x: x * 100),  # arrays have no columns with units
    ),
}


def flags(code: str) -> dict[str, str]:
    return TRAIN if code == "SS141" else NOTHING


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_planted_case_fires(code: str) -> None:
    make, words, _ = CASES[code]
    findings = found(make(), **flags(code))
    assert code in findings and words in findings[code].seen, findings.get(code)
    assert all((findings[code].title, findings[code].why, findings[code].advice))


@pytest.mark.parametrize("code", sorted(CASES))
def test_nothing_is_said_where_nothing_can_be_said(code: str) -> None:
    assert code not in found(CASES[code][2](), **flags(code))


@pytest.mark.parametrize("make", [clean, lambda: as_table(clean()), texts, lambda: clean(num_valid=0)])
def test_clean_data_give_no_finding(make: Make) -> None:
    assert found(make(), "none") == {}


def test_errors_come_first() -> None:
    loaded = copied(changed(clean(), "synth", y=lambda y: (y + 1) % 3), "test", "synth", 3)
    severities = [finding.severity for finding in found(loaded).values()]
    assert severities[0] is Severity.error
    assert severities == sorted(severities, key=lambda severity: -severity.value) and len(set(severities)) > 1


def test_a_column_without_any_value_in_a_source() -> None:
    assert "synthetic has 1 without any value ('c')" in found(table_without("c"))["SS146"].seen


def test_texts_that_differ_in_case_and_punctuation_are_copies() -> None:
    real = texts().mixture.real.x[:3]
    loud = np.array([f"  {text.upper().replace(' ', '   ')}!?" for text in real], dtype=object)
    seen = found(changed(texts(), "synth", x=lambda x: with_rows(x, slice(3), loud)))["SS140"].seen
    assert seen.startswith("3 synthetic rows equal a real row (3 of 90 of llm; llm:0, llm:1, llm:2)")


def test_near_copies_are_named_from_the_source_that_has_most_of_them() -> None:
    source = np.where(np.arange(len(clean().mixture.synth)) < 1, "few", "many")
    near = changed(
        clean(), "synth", x=lambda x: with_rows(x, slice(9), clean().mixture.real.x[:9] + 1e-5), source=source
    )
    seen = found(near)["SS140"].seen
    assert "9 of 150 synthetic rows (synthetic:1, synthetic:2, synthetic:3 and 6 more; 8 of many; 1 of few) lie" in seen


def test_another_mix_of_classes_is_no_contradiction() -> None:
    """Rare classes are contradicted more often; a source that holds many of them is not blamed for it."""
    world = {"imbalance": 12.0, "separation": 0.8, "num_real": 400, "num_synth": 900}
    loaded = clean(**world)
    y = loaded.mixture.synth.y
    rare = np.flatnonzero(y == 2)
    often = np.concatenate([rare, np.flatnonzero(y == 0)[: len(rare)]])
    loaded = replace(loaded, mixture=replace(loaded.mixture, synth=loaded.mixture.synth[often]))
    findings = found(loaded)
    assert "SS142" in findings and "SS150" not in findings


@pytest.mark.parametrize("dim", [1, 2])
def test_rows_that_come_close_by_chance_are_no_copies(dim: int) -> None:
    """In one or two columns many rows lie nearer than 2 % of the usual distance."""
    findings = found(clean(dim=dim, num_real=500, num_valid=200, num_synth=1500))
    assert [f.seen for f in findings.values() if "almost" in f.seen] == []


def test_a_lacking_class_is_worse_when_no_source_has_it() -> None:
    assert found(two_sources(clean(), 75))["SS144"].severity is Severity.note
    alone = changed(clean(), "synth", y=lambda y: np.where(y == 2, 0, y))
    assert found(alone)["SS144"].severity is Severity.warning


@pytest.mark.parametrize(("count", "tail"), [(5, "4"), (6, "4; and 1 more source"), (7, "4; and 2 more sources")])
def test_of_many_sources_the_first_five_are_told(count: int, tail: str) -> None:
    assert worst([(-float(k), str(k)) for k in range(count)]) == f"0; 1; 2; 3; {tail}"
