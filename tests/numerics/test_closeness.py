from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthsift.numerics.closeness import NEAR_COPY, close_pairs, has_close, usual_spacing


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None].astype(np.float64) - b, axis=2)


def heaps(seed: int, n: int, dim: int, kind: type = np.float64) -> np.ndarray:
    """Rows of which many are equal, many almost equal, and some alone."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim))
    origin = rng.integers(0, max(1, n // 4), n)
    x = np.where((rng.random(n) < 0.7)[:, None], x[origin] + rng.choice([0, 1e-3, 0.05], n)[:, None] * x, x)
    return x.astype(kind)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.sampled_from([0.0, 0.01, 0.2])
)
def test_search_against_all_pairs(seed: int, n: int, m: int, dim: int, limit: float) -> None:
    rows = heaps(seed, n + m, dim)
    queries, bank = rows[:n], rows[n:]
    pairs = set(zip(*(places.tolist() for places in close_pairs(queries, bank, limit, most=m)), strict=True))
    assert pairs == set(zip(*(places.tolist() for places in np.nonzero(apart(queries, bank) <= limit)), strict=True))
    assert has_close(queries, bank, limit).tolist() == (apart(queries, bank) <= limit).any(axis=1).tolist()
    own = apart(bank, bank)
    np.fill_diagonal(own, np.inf)
    assert has_close(bank, bank, limit, same=True).tolist() == (own <= limit).any(axis=1).tolist()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_equal_rows_are_found_far_from_the_origin(kind: type, offset: float) -> None:
    rows = (np.random.default_rng(0).standard_normal((300, 40)) + offset).astype(kind)
    assert has_close(rows, rows[::3].copy(), 0.0).nonzero()[0].tolist() == list(range(0, 300, 3))


def test_a_dense_heap_is_searched_quickly_and_completely() -> None:
    """30,000 jittered copies of five rows: comparing all with all would be 200 million pairs a heap."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((5, 20))[rng.integers(0, 5, 30_000)] + 1e-5 * rng.standard_normal((30_000, 20))
    rows[-1] += 1
    close = has_close(rows, rows, 0.01, same=True)
    assert close[:-1].all() and not close[-1]


def test_nothing_to_compare_with() -> None:
    rows = np.ones((3, 2))
    assert not has_close(rows, rows[:0], 1.0).any() and not has_close(rows[:1], rows[:1], 1.0, same=True).any()
    assert has_close(rows[:0], rows, 1.0).shape == (0,)


def test_spacing() -> None:
    rng = np.random.default_rng(0)
    grid = np.arange(50.0)[:, None]
    assert usual_spacing(grid, rng).limit == pytest.approx(NEAR_COPY) and not usual_spacing(grid, rng).coarse
    assert usual_spacing(np.repeat(grid, 2, axis=0), rng).coarse
    assert not usual_spacing(grid[:1], rng).coarse


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_chance_is_not_taken_for_copies_and_copies_are_not_taken_for_chance(dim: int) -> None:
    """Fresh rows of one law: the rate of close pairs stays below the estimate; three or more copies stand out."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        bank, queries = rng.standard_normal((400, dim)), rng.standard_normal((600, dim))
        spacing = usual_spacing(bank, rng)
        close = has_close(queries, bank, spacing.limit)
        alarms += bool(close.any()) and spacing.is_excess(int(close.sum()), 600, 400)
    assert alarms == 0
    many = {1: 200, 2: 30, 5: 4}[dim]  # by chance 14, 0.6 and 0 rows in a thousand come that close
    assert spacing.is_excess(many, 600, 400)


def test_large_samples_are_drawn() -> None:
    rows = np.random.default_rng(0).standard_normal((1500, 6))
    exact = NEAR_COPY * np.median(np.sort(apart(rows, rows), axis=1)[:, 1])
    assert usual_spacing(rows, np.random.default_rng(1)).limit == pytest.approx(exact, rel=0.05)
