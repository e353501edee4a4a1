"""Nearest neighbors against double loops, KNN-Shapley against its definition as an average over all orders."""

from __future__ import annotations

import numpy as np
import pytest

from reference import nearest_by_loops, neighbor_utility, shapley_by_orders
from synthsift.numerics import neighbors
from synthsift.numerics.neighbors import ascending, knn_shapley, nearest, related_pairs, squared_distances


def test_squared_distances_agree_with_the_definition_and_are_never_negative() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 3)) + 1e3, rng.standard_normal((9, 3)) + 1e3
    slow = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)
    # |a|^2 + |b|^2 - 2ab loses the digits of |a|^2 = 3e6: float64 keeps 1e-16 of that, a few times
    np.testing.assert_allclose(squared_distances(a, b), slow, atol=3e6 * 1e-15)
    assert squared_distances(a, a).min() >= 0


@pytest.mark.parametrize("k", [1, 3, 11])
@pytest.mark.parametrize("chunk", [1, 4 * 11 * 8, 2**26])
def test_nearest_agrees_with_loops(k: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_BYTES", chunk)  # one row a block, four rows a block, all rows
    rng = np.random.default_rng(k)
    queries, bank = rng.standard_normal((10, 3)), rng.standard_normal((11, 3))
    slow_distances, slow_places = nearest_by_loops(queries, bank, k)
    distances, places = nearest(queries, bank, k)
    np.testing.assert_array_equal(places, slow_places)
    np.testing.assert_allclose(distances, slow_distances, rtol=1e-7)  # half the digits of float64: a root of a sum


@pytest.mark.parametrize("chunk", [1, 2**26])
def test_nearest_leaves_out_the_skipped_row_only(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_BYTES", chunk)
    bank = np.random.default_rng(0).standard_normal((9, 2))
    skip = np.where(np.arange(9) % 3 == 0, -1, np.arange(9))
    distances, places = nearest(bank, bank, 4, skip=skip)
    slow_distances, slow_places = nearest_by_loops(bank, bank, 4, skip.tolist())
    np.testing.assert_array_equal(places, slow_places)
    # a distance of exactly 0 comes out as the root of the rounding of |a|^2
    np.testing.assert_allclose(distances, slow_distances, rtol=1e-7, atol=1e-7)
    assert np.array_equal(places[::3, 0], np.arange(9)[::3]) and not (places == np.arange(9)[:, None])[skip >= 0].any()


def test_nearest_lowers_a_k_that_is_larger_than_the_bank() -> None:
    bank = np.arange(4.0)[:, None]
    assert nearest(bank[:2], bank, 9)[1].tolist() == [[0, 1, 2, 3], [1, 0, 2, 3]]
    distances, places = nearest(bank, bank, 9, skip=np.arange(4))
    assert places.shape == (4, 3) and np.isfinite(distances).all()


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_knn_shapley_is_the_shapley_value_of_the_neighbor_utility(k: int) -> None:
    rng = np.random.default_rng(k)
    x, y = rng.standard_normal((5, 2)), np.array([0, 1, 2, 0, 1])
    judge_x, judge_y = rng.standard_normal((8, 2)), np.arange(8) % 3
    utilities = [neighbor_utility(x, y, a, b, k) for a, b in zip(judge_x, judge_y, strict=True)]
    slow = np.mean([shapley_by_orders(5, utility) for utility in utilities], axis=0)
    fast = knn_shapley(x, y, judge_x, judge_y, k)
    np.testing.assert_allclose(fast, slow, atol=1e-12)  # sums of five terms of size 1 in float64
    # the value is shared out completely: its sum is the share of hits among the k nearest, the (soft) accuracy
    everyone = frozenset(range(5))
    assert fast.sum() == pytest.approx(np.mean([utility(everyone) for utility in utilities]), abs=1e-12)


@pytest.mark.parametrize("chunk", [1, 2**26])
def test_a_skipped_row_is_valued_by_the_other_judges(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_BYTES", chunk)
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((5, 2)), np.array([0, 1, 1, 0, 1])
    judges, skipped = np.array([0, 0, 1, 3]), np.array([0, 2, 1, 4])
    values: list[list[float]] = [[] for _ in x]
    for judge in range(4):
        left = np.setdiff1d(np.arange(5), skipped[judges == judge])
        slow = shapley_by_orders(len(left), neighbor_utility(x[left], y[left], x[judge], y[judge], 2))
        for row, value in zip(left, slow, strict=True):
            values[row].append(value)
    fast = knn_shapley(x, y, x[:4], y[:4], 2, skip=lambda rows: of_slice(judges, skipped, rows))
    np.testing.assert_allclose(fast, [np.mean(seen) for seen in values], atol=1e-12)


def test_a_row_that_no_judge_may_value_is_worth_nothing() -> None:
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([0, 0, 1])
    pairs = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    value = knn_shapley(x, y, x[:2], y[:2], 1, skip=lambda rows: of_slice(*pairs, rows))
    assert value.tolist() == [0.0, 0.0, 0.0]


def test_a_judge_whose_relatives_are_all_rows_judges_none() -> None:
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([0, 0, 1])
    pairs = np.array([0, 0, 0]), np.arange(3)
    value = knn_shapley(x, y, x[:2], y[:2], 1, skip=lambda rows: of_slice(*pairs, rows))
    np.testing.assert_array_equal(value, knn_shapley(x, y, x[1:2], y[1:2], 1))


def of_slice(judges: np.ndarray, related: np.ndarray, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of some judges, as `related_pairs` gives them."""
    mine = (judges >= rows.start) & (judges < rows.stop)
    return judges[mine] - rows.start, related[mine]


@pytest.mark.parametrize("seed", range(4))
def test_related_pairs_are_rows_themselves_and_relatives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    family, own = rng.integers(-1, 5, 30), rng.permutation(60)[:30]
    bank_own = rng.permutation(60)[:20]
    of = dict(zip(own.tolist(), family.tolist(), strict=True))  # a row has one family, wherever it stands
    bank_family = np.array([of.get(row, rng.integers(-1, 5)) for row in bank_own.tolist()])
    find = related_pairs(family, own, bank_family, bank_own)
    for rows in (slice(0, 7), slice(7, 99), np.array([2, 3, 19])):
        mine = np.arange(30)[rows]
        same = (family[mine, None] == bank_family) & (family[mine, None] >= 0) | (own[mine, None] == bank_own)
        found = list(zip(*(pair.tolist() for pair in find(rows)), strict=True))
        assert sorted(found) == list(map(tuple, np.argwhere(same).tolist())) and len(set(found)) == len(found)


def test_a_row_of_the_wrong_label_is_worth_less_than_none() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    x = rng.standard_normal((200, 2)) + 8.0 * y[:, None]
    said = y.copy()
    said[:20] = 1 - said[:20]
    value = knn_shapley(x[:100], said[:100], x[100:], y[100:], 5)
    assert value[:20].mean() < 0 < value[20:].mean() and value[:20].max() < value[20:].mean()


def test_ascending_is_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    block = rng.integers(0, 40, (20, 300)) / 8.0  # exact in single precision, with many ties
    block[3, 7:20] = np.inf
    assert np.array_equal(ascending(block), np.argsort(block, axis=1, kind="stable"))
    tiny = np.array([[3e38, 0.0, 1e-45, 1e-38, 2.0]])  # also below the smallest normal number
    assert ascending(tiny).tolist() == [[1, 2, 3, 4, 0]]
