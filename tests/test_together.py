"""Shared splits: processes (threads here, joined by queues) find what one process finds, and tell what fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthsift.baselines.simple import Everything, RandomSubset, RealTimes
from synthsift.compare import MemoryStore, Study, compare, judge_test
from synthsift.crew import FOREVER, Arrays, Crew, Job, LostProcess, cut, parts_of, speed_up
from synthsift.records import DataError, Features, Mixture, Weigher, Weights
from synthsift.seeds import Seeds
from synthsift.splits import NUM_FOLDS
from synthsift.together import Together, kin, serve
from test_compare import Spy, WatchedStore, equal, make_study, small

MORE: dict[str, Weigher] = {
    "Subset": RandomSubset(),
    "Real x3": RealTimes(3, RandomSubset()),
    "Real x2": RealTimes(2),
    "Real x9": RealTimes(9, RandomSubset()),
}


@dataclass
class Wired(Crew):
    """A process that is a thread."""

    wires: dict[tuple[int, int], Queue[Any]] = field(default_factory=dict)
    asked: list[tuple[int, Job]] = field(default_factory=list)

    def _send(self, record: Job, arrays: Arrays, other: int, patience: timedelta = FOREVER) -> None:
        if "job" in record:
            self.asked.append((other, record["job"]))
        self.wires[self.rank, other].put((json.dumps(record), {k: v.copy() for k, v in arrays.items()}))

    def _receive(self, other: int) -> tuple[Job, Arrays]:
        record, arrays = self.wires[other, self.rank].get(timeout=60)
        if record is None:
            raise LostProcess(self._gone(other))
        return json.loads(record), arrays


@contextmanager
def crew_of(
    size: int, make: Callable[[int], Study], *, check: str = "same", test_inputs: Any = None
) -> Iterator[Wired]:
    """Process 0 of a crew whose others serve the study that `make` gives them, and end with its code."""
    wires: dict[tuple[int, int], Queue[Any]] = {(a, b): Queue() for a in range(size) for b in range(size)}
    crews = [Wired(rank, size, 2, check if rank else "same", wires=wires) for rank in range(size)]
    others = [Thread(target=serve, args=(make(one.rank), one, test_inputs), daemon=True) for one in crews[1:]]
    for other in others:
        other.start()
    yield crews[0]
    crews[0].end(5)
    for other in others:
        other.join(60)
    assert [one.ended for one in crews[1:]] == [5] * (size - 1)


# ----------------------------------------------------------------------------------------------- who does what


@given(st.lists(st.floats(0.1, 9), max_size=12), st.integers(1, 5))
def test_parts_are_about_equal(costs: list[float], num: int) -> None:
    parts = cut(costs, num)
    assert sorted(place for part in parts for place in part) == list(range(len(costs))) and all(parts)
    sums = [sum(costs[place] for place in part) for part in parts]
    assert len(parts) == min(num, len(costs))
    assert not sums or max(sums) - min(sums) <= max(costs) + 1e-9, "else the last of the largest would be elsewhere"


@pytest.mark.parametrize(
    ("splits", "processes", "parts", "times"),
    [
        (5, 1, [1] * 5, 1),
        (5, 2, [1, 1, 1, 1, 2], 2),
        (4, 2, [1] * 4, 2),
        (5, 3, [1] * 5, 2.5),
        (5, 4, [1, 1, 1, 1, 4], 4),
        (5, 8, [1] * 5, 5),
        (5, 10, [2] * 5, 10),
        (1, 3, [3], 3),
    ],
)
def test_a_split_is_cut_only_for_processes_that_would_wait(
    splits: int, processes: int, parts: list[int], times: float
) -> None:
    assert parts_of(splits, processes) == parts
    assert speed_up(splits, processes) == pytest.approx(times)


def test_nothing_is_left_to_cut() -> None:
    assert parts_of(0, 3) == [] and cut([], 3) == []


def test_what_builds_on_the_same_policy_stays_together() -> None:
    assert kin({"Everything": Everything(), **MORE}, ["Real x9", "Real x2", "Subset", "Everything", "Real x3"]) == [
        ["Real x9", "Subset", "Real x3"], ["Real x2", "Everything"]
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- the same as one


@pytest.mark.parametrize(("size", "workers"), [(2, 1), (2, 2), (3, 1), (7, 1)])
def test_processes_find_what_one_finds(size: int, workers: int) -> None:
    study, store = make_study(small(), MORE, workers=workers), WatchedStore()
    alone = MemoryStore()
    right = compare(study, store=alone)
    told: list[tuple[str, int, int, float]] = []
    with crew_of(size, lambda rank: make_study(small(), MORE)) as crew:
        together = Together(study, crew)
        found = compare(study, store=store, together=together, progress=lambda *what: told.append(what))
    assert equal(found, right) and found.stopped == right.stopped
    assert len(store.puts) == len(set(store.puts)) and store.cells.keys() == alone.cells.keys()
    for key, cell in alone.cells.items():
        assert cell["probabilities"].tobytes() == store.cells[key]["probabilities"].tobytes()
        assert cell["probabilities"].dtype == store.cells[key]["probabilities"].dtype
    assert {other for other, _ in crew.asked} == set(range(1, min(size, NUM_FOLDS + 1))), "each was asked"
    assert (0, 0) not in {(job["seed"], job["fold"]) for _, job in crew.asked}, "the first split decides what follows"
    ends = [done for what, done, _, _ in told if what == "splits"]
    assert ends == list(range(1, 2 * NUM_FOLDS + 1))
    assert any("policies of the next 4" in what for what, *_ in told)
    assert all(left < np.inf for what, done, _, left in told if done)


def test_only_what_the_store_lacks_is_asked() -> None:
    study, full = make_study(small(), MORE, num_seeds=1), MemoryStore()
    right = compare(study, store=full)
    lacking = {("Subset", 0, 2), ("RealOnly", 0, 2), ("Real x2", 0, 4)}
    store = WatchedStore({key: cell for key, cell in full.cells.items() if key not in lacking})
    with crew_of(3, lambda rank: make_study(small(), MORE)) as crew:
        assert equal(right, compare(study, store=store, together=Together(study, crew)))
    assert set(store.puts) == lacking and len(store.puts) == 3
    asked = [(name, job["seed"], job["fold"]) for _, job in crew.asked for name in job["names"]]
    assert max(Counter(asked).values(), default=1) == 1 and set(asked) <= lacking


def test_final_fits_are_shared_and_those_needed_are_returned() -> None:
    mixture = small()
    study, test = make_study(mixture, MORE, workers=2), mixture.real
    rows, weights, models = judge_test(study, test, test.x, "log_loss")
    with crew_of(2, lambda rank: make_study(small(), MORE), test_inputs=test.x) as crew:
        found = judge_test(study, test, test.x, "log_loss", None, Together(study, crew), ("Subset",))
    assert found[0] == rows
    assert {"Subset", "Real x3", "Real x9"} <= found[1].keys() == found[2].keys()
    for name, given_weights in found[1].items():
        assert np.array_equal(given_weights.values, weights[name].values)
        assert np.array_equal(found[2][name].predict_proba(test.x), models[name].predict_proba(test.x))


def test_the_budget_is_that_of_all_workers() -> None:
    """What the first split took of two workers is missing for all of them, wherever seconds are divided by workers."""
    study = make_study(small(), workers=2, budget_seconds=100.0)
    wide = Together(study, Crew(0, 4, 2)).widened(NUM_FOLDS, 30.0)
    assert wide.workers == 8
    assert wide.budget_seconds - 30 / wide.workers == pytest.approx(100 - 30 / 2)
    shared = Together(study, Crew(0, 2, 1)).widened(NUM_FOLDS, 30.0)
    assert (shared.workers, shared.budget_seconds) == (2, 100), "two processes of one thread are two threads"


# ------------------------------------------------------------------------------------------------ what fails


@dataclass(frozen=True)
class Breaks:
    """A policy that cannot."""

    error: type[Exception] | None

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        if self.error is not None:
            raise self.error("no such thing")
        return Weights(np.ones(len(mixture.ids)), mixture.ids, "Breaks")


@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        (DataError, DataError, "process 1 of 2: no such thing"),
        (ValueError, RuntimeError, "process 1 of 2: ValueError: no such thing"),
        (MemoryError, MemoryError, "process 1 of 2: MemoryError"),
    ],
)
def test_an_error_of_another_process_is_told_as_what_it_is(
    error: type[Exception], raised: type[Exception], text: str
) -> None:
    study = make_study(small(), {"Breaks": Breaks(None)})
    with (
        crew_of(2, lambda rank: make_study(small(), {"Breaks": Breaks(error)})) as crew,
        pytest.raises(raised, match=text),
    ):
        compare(study, together=Together(study, crew))


def test_an_error_of_process_0_stays_its_own() -> None:
    study = make_study(small(), {"Breaks": Breaks(DataError)})
    with (
        crew_of(2, lambda rank: make_study(small(), {"Breaks": Breaks(None)})) as crew,
        pytest.raises(DataError, match=r"^no such thing"),
    ):
        compare(study, together=Together(study, crew))


def test_other_data_are_refused() -> None:
    study = make_study(small())
    with (
        crew_of(2, lambda rank: make_study(small()), check="different") as crew,
        pytest.raises(DataError, match="process 1 of 2: it reads other data"),
    ):
        compare(study, together=Together(study, crew))


def test_a_lost_process_ends_the_comparison() -> None:
    study, store = make_study(small(), {"Spy": Spy()}), WatchedStore()
    wires: dict[tuple[int, int], Queue[Any]] = {(a, b): Queue() for a in range(2) for b in range(2)}
    wires[1, 0].put((None, {}))
    with pytest.raises(LostProcess, match=r"Process 1 of 2 is gone\. Finished cells are kept"):
        compare(study, store=store, together=Together(study, Wired(0, 2, 1, wires=wires)))
    assert {("Spy", 0, 0), ("RealOnly", 0, 0)} <= store.cells.keys()
    right = compare(study)
    assert equal(compare(study, store=store), right), "and another one goes on from there"


def test_without_process_0_another_one_ends() -> None:
    wires: dict[tuple[int, int], Queue[Any]] = {(a, b): Queue() for a in range(2) for b in range(2)}
    wires[0, 1].put((None, {}))
    assert serve(make_study(small()), Wired(1, 2, 1, wires=wires), None) == 3
