"""The weighted distributed sampler: frequencies, shards, changed weights, resuming, and the order for any number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from torch.utils.data import DataLoader

from synthsift.bilevel.sampler import WeightedDistributedSampler
from synthsift.records import DataError

WEIGHTS = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 0.0])


def make(rank: int = 0, count: int = 1, weights: object = WEIGHTS, **settings: object) -> WeightedDistributedSampler:
    return WeightedDistributedSampler(weights, rank=rank, count=count, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_global_order_does_not_depend_on_the_number_of_processes(count: int, replacement: bool) -> None:
    weights = np.random.default_rng(0).random(48)
    alone = list(make(weights=weights, replacement=replacement))
    shards = [list(make(r, count, weights, replacement=replacement)) for r in range(count)]
    together = [place for places in zip(*shards, strict=True) for place in places]
    assert together == alone and len(alone) == 48
    if not replacement:
        assert sorted(alone) == list(range(48))


def test_frequencies_with_replacement() -> None:
    """Within four standard errors of the weights; rows of weight 0 never."""
    drawn = np.bincount(list(make(num_rows=40_000)), minlength=6) / 40_000
    share = WEIGHTS / WEIGHTS.sum()
    assert (np.abs(drawn - share) <= 4 * np.sqrt(share * (1 - share) / 40_000)).all()


def test_order_without_replacement_follows_the_weights() -> None:
    """The first two places have the probabilities of drawing one after the other, w_i/W * w_j/(W - w_i)."""
    sampler, counts, total = make(replacement=False, num_rows=2), np.zeros((6, 6)), 6000
    for epoch in range(total):
        sampler.set_epoch(epoch)
        first, second = sampler.global_order()
        counts[first, second] += 1
    for i, j in itertools.permutations(range(1, 5), 2):
        share = WEIGHTS[i] / 10 * WEIGHTS[j] / (10 - WEIGHTS[i])
        assert abs(counts[i, j] / total - share) < 4 * np.sqrt(share * (1 - share) / total)
    assert counts.sum() == total and not counts[[0, 5]].any()


def test_uneven_shards() -> None:
    every = [make(r, 4, num_rows=10) for r in range(4)]
    assert [len(s) for s in every] == [3, 3, 3, 3] == [len(list(s)) for s in every]
    order = every[0].global_order()
    dropped = [make(r, 4, num_rows=10, drop_last=True) for r in range(4)]
    assert [len(list(s)) for s in dropped] == [2, 2, 2, 2]
    assert len(order) == 12
    few = [list(make(r, 5, num_rows=2)) for r in range(5)]
    assert [len(s) for s in few] == [1] * 5


def test_epochs_differ_and_repeat() -> None:
    sampler = make(num_rows=50)
    first, second = list(sampler), list(sampler)
    assert first != second and sampler.epoch == 2
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(make(num_rows=50, seed=1)) != first


def test_weights_change_between_epochs_only() -> None:
    sampler, new = make(num_rows=30), np.array([1.0, 0, 0, 0, 0, 0])
    reading = iter(sampler)
    begun = [next(reading) for _ in range(10)]
    sampler.set_weights(new)
    assert set(begun + list(reading)) <= {1, 2, 3, 4}
    assert set(sampler) == {0}
    sampler.set_weights(WEIGHTS)  # at the border of an epoch: at once
    assert 0 not in set(sampler)


def test_resuming_in_the_middle() -> None:
    whole = make(1, 2, num_rows=40)
    expected = list(whole) + list(whole)
    sampler = make(1, 2, num_rows=40)
    reading = iter(sampler)
    start = [next(reading) for _ in range(7)]
    sampler.set_weights(WEIGHTS)
    other = make(1, 2, num_rows=40, weights=np.ones(6))
    other.load_state_dict(sampler.state_dict())
    assert start + list(other) + list(other) == expected
    ahead = make(1, 2, num_rows=40)
    ahead.load_state_dict(sampler.state_dict(unread=3))
    assert list(ahead) == expected[4:20]


def test_in_a_loader() -> None:
    sampler = make(num_rows=20)
    batches = [batch.tolist() for batch in DataLoader(np.arange(6), batch_size=4, sampler=sampler)]  # type: ignore[arg-type]
    assert [k for batch in batches for k in batch] == list(make(num_rows=20)) and len(batches) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": [1.0, np.nan]}, "finite"),
        ({"weights": [1.0, -1.0]}, "not negative"),
        ({"weights": [0.0, 0.0]}, "positive"),
        ({"weights": []}, "one number a row"),
        ({"weights": [[1.0]]}, "one number a row"),
        ({"num_rows": 5, "replacement": False}, "only 4 rows have a positive weight"),
        ({"num_rows": 0}, "at least one row"),
        ({"num_rows": 2.5}, "num_rows is 2.5"),
        ({"rank": 2, "count": 2}, "rank is 2 of 2"),
    ],
)
def test_bad_input(settings: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**settings)  # type: ignore[arg-type]


def test_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="rows are fixed"):
        make().set_weights([1.0])


def test_huge_and_tiny_weights() -> None:
    for weights in ([1e-300, 1e300, 1e-300], [5e-324, 5e-324]):
        for replacement in (True, False):
            assert len(list(make(weights=weights, replacement=replacement))) == len(weights)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (1, 3), (3, 1), (2, 3)])
def test_going_on_with_another_number_of_processes(before: int, after: int, replacement: bool) -> None:
    """The global order of the rest is that of an epoch that nobody interrupted."""
    weights, read = np.random.default_rng(1).random(48), 12
    alone = list(make(weights=weights, replacement=replacement))
    samplers = [make(r, before, weights, replacement=replacement) for r in range(before)]
    for sampler in samplers:
        reading = iter(sampler)
        for _ in range(read // before):
            next(reading)
    state = samplers[0].state_dict()
    later = [make(r, after, np.ones(48), replacement=replacement) for r in range(after)]
    for sampler in later:
        sampler.load_state_dict(state)
        sampler.set_epoch(0)  # as loops do at the start of every epoch
    together = [place for places in zip(*map(list, later), strict=True) for place in places]
    assert together == alone[read:]


def test_places_that_cannot_be_shared_equally() -> None:
    sampler = make(0, 2, num_rows=40)
    reading = iter(sampler)
    for _ in range(5):
        next(reading)
    with pytest.raises(DataError, match="10 rows were read by 2 processes, which 4 cannot have read equally"):
        make(0, 4, num_rows=40).load_state_dict(sampler.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 2}, "seed=0 instead of 2"),
        ({"weights": np.ones(9)}, "rows=6 instead of 9"),
        ({"num_rows": 30}, "num_rows=40 instead of 30"),
        ({"num_rows": 4, "replacement": False}, "replacement=1 instead of 0"),
    ],
)
def test_states_of_other_samplers(settings: dict[str, object], message: str) -> None:
    state = make(num_rows=40).state_dict()
    with pytest.raises(DataError, match=message):
        make(**{"num_rows": 40, **settings}).load_state_dict(state)  # type: ignore[arg-type]
    del state["order"]
    with pytest.raises(DataError, match="another sampler"):
        make(num_rows=40).load_state_dict(state)


def test_a_resumed_place_outlives_set_epoch_of_the_same_epoch_alone() -> None:
    sampler = make(num_rows=40)
    reading = iter(sampler)
    for _ in range(10):
        next(reading)
    whole = make(num_rows=40)
    expected, following = list(whole), list(whole)
    later = make(num_rows=40)
    later.load_state_dict(sampler.state_dict())
    later.set_epoch(0)
    assert later.state_dict()["place"] == 10 and list(later) == expected[10:]
    later.set_epoch(1)
    assert list(later) == following
    later.load_state_dict(sampler.state_dict())
    later.set_epoch(1)
    assert list(later) == following


def test_a_look_at_the_first_row_leaves_no_trace() -> None:
    sampler, expected = make(num_rows=40), list(make(num_rows=40))
    assert next(iter(sampler)) == expected[0]
    assert list(sampler) == expected and sampler.epoch == 1
