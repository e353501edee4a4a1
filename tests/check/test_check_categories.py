"""Categories of one side only: told where rows prove it, and silent where rare values are missed by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.check.categories import lacking_levels, new_levels
from synthsift.records import Examples, Mixture, Severity, Table

TAILS = (0.3, 0.6, 1.0, 1.6)  # of power laws: a handful of frequent values ... thousands of rare ones


def part(rng: np.random.Generator, n: int, source: str, mix: tuple[float, ...], group: str = "") -> Examples:
    """Rows with four columns of 3, 40, 400 and 5,000 values, whose frequencies depend on the class."""
    y = rng.choice(len(mix), n, p=mix)
    columns = []
    for size, tail in zip((3, 40, 400, 5000), TAILS, strict=True):
        share = 1.0 / np.arange(1, size + 1) ** (2 - tail / 2)
        columns.append(((rng.choice(size, n, p=share / share.sum()) + 7 * y) % size).astype(np.int32))
    columns[1][rng.random(n) < 0.1] = -1  # missing cells
    texts = tuple(tuple(f"v{k}" for k in range(size)) for size in (3, 40, 400, 5000))
    ids = np.array([f"{source}{group}:{k}" for k in range(n)], dtype=object)
    return Examples(Table(("a", "b", "c", "d"), tuple(columns), texts), y, ids, np.full(n, source, dtype=object))


def world(seed: int, *, num_real: int = 300, num_synth: int = 900) -> Mixture:
    """All rows follow one law within classes; in every second world the classes are mixed otherwise."""
    rng = np.random.default_rng(seed)
    real, valid = (part(rng, n, "real", (0.8, 0.2), group) for n, group in ((num_real, ""), (num_real // 5, "v")))
    return Mixture(real, part(rng, num_synth, "made", (0.5, 0.5) if seed % 2 else (0.8, 0.2)), valid, ("no", "yes"))


def replaced(mixture: Mixture, part: str, column: int, rows: np.ndarray | slice, code: np.ndarray | int) -> Mixture:
    """Some cells of a column hold another value."""
    old = getattr(mixture, part)
    values = [v.copy() for v in old.x.values]
    values[column][rows] = code
    return replace(mixture, **{part: replace(old, x=replace(old.x, values=tuple(values)))})


@pytest.mark.parametrize("sizes", [(300, 900), (1000, 300), (60, 2000)])
def test_hardly_a_clean_world_of_a_hundred_raises_an_alarm(sizes: tuple[int, int]) -> None:
    fired, missed = 0, 0
    for seed in range(1000, 1100):
        mixture = world(seed, num_real=sizes[0], num_synth=sizes[1])
        missed += bool(set(mixture.synth.x.values[3].tolist()) - set(mixture.real.x.values[3].tolist()))
        fired += (new_levels(mixture) is not None) + (lacking_levels(mixture) is not None)
    assert missed == 100, "every world has synthetic rows with values that no real row has"
    assert fired <= 1


def test_one_strange_value_among_many_rare_ones_is_found() -> None:
    found = 0
    for seed in range(20):
        mixture = replaced(world(seed), "synth", 1, slice(60), 39)
        for name in ("real", "valid"):
            codes = getattr(mixture, name).x.values[1]
            mixture = replaced(mixture, name, 1, codes == 39, 0)
        finding = new_levels(mixture)
        found += finding is not None and "'v39'" in finding.seen
    assert found == 20


def test_many_values_that_are_new_once_each_are_found() -> None:
    """A generator that invents names: 300 of 900 cells, each different, in a column of few values."""
    mixture = world(0)
    mixture = replaced(mixture, "synth", 2, slice(300), np.arange(100, 400))
    for name in ("real", "valid"):
        codes = getattr(mixture, name).x.values[2]
        mixture = replaced(mixture, name, 2, codes >= 100, 0)
    finding = new_levels(mixture)
    assert finding is not None and finding.severity is Severity.warning and " more" in finding.seen


def test_a_column_of_names_is_none_of_categories() -> None:
    mixture, rng = world(1), np.random.default_rng(0)
    for name, first in (("real", 0), ("valid", 300), ("synth", 400)):
        mixture = replaced(mixture, name, 3, slice(None), first + rng.permutation(len(getattr(mixture, name))))
    assert new_levels(replaced(mixture, "synth", 3, slice(None), 4999)) is None and lacking_levels(mixture) is None


def test_another_spelling_is_named() -> None:
    mixture = world(2)
    texts = (("Male", "Female", "female"), *mixture.real.x.categories[1:])
    for name in ("real", "valid", "synth"):
        old = getattr(mixture, name)
        code = np.where(old.x.values[0] == 2, 1 + (name == "synth"), old.x.values[0]).astype(np.int32)
        x = Table(old.x.names, (code, *old.x.values[1:]), texts)
        mixture = replace(mixture, **{name: replace(old, x=x)})
    finding = new_levels(mixture)
    assert finding is not None and "'female'" in finding.seen and "spelled 'Female' in real rows" in finding.seen


def test_a_value_that_another_source_has_is_a_note() -> None:
    mixture = world(3)
    mixture = replaced(mixture, "synth", 0, slice(0, 450), np.arange(450) % 2)
    source = np.where(np.arange(900) < 450, "narrow", "wide").astype(object)
    finding = lacking_levels(replace(mixture, synth=replace(mixture.synth, source=source)))
    assert finding is not None and finding.severity is Severity.note
    assert "narrow: a 'v2'" in finding.seen and "wide" not in finding.seen
    alone = lacking_levels(replaced(mixture, "synth", 0, slice(None), np.arange(900) % 2))
    assert alone is not None and alone.severity is Severity.warning


def test_rows_of_a_group_count_once() -> None:
    """Six groups of 60 real rows, each with a value of its own: that fresh rows have others proves nothing."""
    rng = np.random.default_rng(4)
    mixture = world(4)
    mixture = replaced(mixture, "real", 2, slice(None), np.arange(300) // 60)
    mixture = replaced(mixture, "valid", 2, slice(None), 5)
    mixture = replaced(mixture, "synth", 2, slice(None), rng.integers(0, 12, 900))
    assert new_levels(mixture) is not None
    groups = {
        name: replace(old, group=old.x.values[2].astype(str).astype(object))
        for name, old in (("real", mixture.real), ("valid", mixture.valid))
    }
    assert new_levels(replace(mixture, **groups)) is None
