"""Which rows leave the training part of a split because they give judged rows away: children, groups, copies, twins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.data.worlds import copies, same_law
from synthsift.numerics.closeness import NEAR_COPY
from synthsift.records import Mixture
from synthsift.seeds import Seeds
from synthsift.splits import all_copies, find_leaks, name_relatives, pooled
from test_compare import SMALL, Spy, in_groups, make_study, small, trained_and_judged, vectors


def test_children_of_judged_rows_never_train() -> None:
    world, spy = copies(Seeds(0), jitter=3.0, near=1.0, **SMALL), Spy()  # moved so far that only the parent tells
    mixture = world.mixture
    assert mixture.synth.parent is not None
    parent = dict(zip(mixture.synth.ids, mixture.synth.parent, strict=True))
    assert find_leaks(mixture, vectors(mixture)).num_parents == len(mixture.synth)
    for trained, judged in trained_and_judged(make_study(mixture, {"Spy": spy}), spy):
        assert trained == {name for name in mixture.ids if name not in judged and parent.get(name) not in judged}


def planted_copies(mixture: Mixture, shift: float) -> Mixture:
    """Synthetic row k becomes real row k, moved by `shift` usual distances between neighbors; k = 0 ... 19."""
    x = vectors(mixture)[:52]
    apart = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(apart, np.inf)
    step = np.random.default_rng(0).standard_normal((20, x.shape[1]))
    step *= shift * np.median(apart.min(axis=1)) / np.linalg.norm(step, axis=1, keepdims=True)
    made = mixture.synth.x.copy()
    made[:20] = x[:20] + step
    return replace(mixture, synth=replace(mixture.synth, x=made))


@pytest.mark.parametrize("shift", [0.0, 0.8 * NEAR_COPY])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_copies_of_judged_rows_never_train(shift: float, kind: type) -> None:
    """Exact and near copies among synthetic rows, and one among real rows."""
    mixture, spy = planted_copies(small(), shift), Spy()
    mixture.real.x[1] = mixture.real.x[2]
    study = make_study(mixture, {"Spy": spy})
    study = replace(study, embedding=study.embedding.astype(kind))
    copied = {f"synthetic:{k}": f"real:{k}" for k in range(20) if k != 1} | {"real:1": "real:2", "real:2": "real:1"}
    for trained, judged in trained_and_judged(study, spy):
        assert not [name for name in trained if copied.get(name) in judged]
        assert len(trained) > len(mixture.ids) - len(judged) - 20


def test_synthetic_rows_of_a_judged_group_never_train() -> None:
    mixture, spy = in_groups(6), Spy()
    made = np.where(np.arange(len(mixture.synth)) % 2, "", "g4").astype(object)
    made[:3] = "another"  # no real row has it
    mixture = replace(mixture, synth=replace(mixture.synth, group=made))
    real = dict(zip(mixture.ids[: len(mixture.y) - len(made)], pooled(mixture).group, strict=True))  # type: ignore
    for trained, judged in trained_and_judged(make_study(mixture, {"Spy": spy}), spy):
        gone = mixture.synth.ids[made == "g4"] if "g4" in {real[name] for name in judged} else []
        assert trained == set(mixture.ids) - judged - set(gone)
    same = mixture.family[np.flatnonzero(pooled(mixture).group == "g4")[0]]  # type: ignore[operator]
    family = mixture.family[mixture.is_synth]
    assert (family[made == "g4"] == same).all() and (family[made == ""] == -1).all()
    assert len(set(family[made == "another"].tolist())) == 1


def named_relatives(mixture: Mixture) -> Mixture:
    return name_relatives(mixture, find_leaks(mixture, vectors(mixture)), vectors(mixture))


@pytest.mark.parametrize("shift", [0.0, 0.8 * NEAR_COPY])
def test_copies_become_children_of_their_originals(shift: float) -> None:
    mixture = planted_copies(small(), shift)
    named = named_relatives(mixture)
    assert named.synth.parent is not None
    assert named.synth.parent.tolist() == [f"real:{k}" if k < 20 else "" for k in range(len(named.synth))]
    assert np.array_equal(named.family[named.is_synth][:20], named.family[:20]) and (named.family[72:] == -1).all()
    said = np.full(len(mixture.synth), "", dtype=object)
    said[3], said[4], said[30] = "real:30", "gone", "real:31"  # what is said counts, unless nobody has that name
    told = replace(mixture, synth=replace(mixture.synth, parent=said.astype(str)))
    parent = named_relatives(told).synth.parent
    assert parent is not None and parent[[2, 3, 4, 30, 31]].tolist() == ["real:2", "real:30", "real:4", "real:31", ""]
    apart = planted_copies(small(), 5 * NEAR_COPY)
    assert named_relatives(apart) is apart


def test_synthetic_twins_are_a_family() -> None:
    mixture = small()
    mixture.synth.x[[5, 9, 30]] = mixture.synth.x[5]
    mixture.synth.x[[6, 40]] = mixture.synth.x[6]
    named = named_relatives(mixture)
    family, num_pool = named.family, 52
    assert len(set(family[num_pool + np.array([5, 9, 30])])) == len(set(family[num_pool + np.array([6, 40])])) == 1
    assert (family >= 0).sum() == num_pool + 5 and len(np.unique(family)) == num_pool + 3
    assert len(np.unique(family[:num_pool])) == num_pool
    grouped = replace(mixture, synth=replace(mixture.synth, group=np.full(len(mixture.synth), "mine")))
    again = named_relatives(grouped)
    assert again is grouped and len(np.unique(again.family[num_pool:])) == 1, "groups that are given are kept"


def test_rows_that_are_merely_close_may_train() -> None:
    mixture = planted_copies(small(), 5 * NEAR_COPY)
    leaks = find_leaks(mixture, vectors(mixture))
    assert leaks.num_copies == leaks.num_parents == len(leaks.row) == 0 and not leaks.coarse


def test_synthetic_rows_that_are_all_copies_are_known() -> None:
    """Exact and jittered ones; a single row of its own makes the difference."""
    mixture = copies(Seeds(0), **SMALL).mixture
    assert all_copies(mixture, find_leaks(mixture, vectors(mixture)))
    moved = vectors(mixture)
    moved[-1] += 1.0
    assert not all_copies(mixture, find_leaks(mixture, moved))
    assert not all_copies(small(), find_leaks(small(), vectors(small())))
    none = replace(mixture, synth=mixture.synth[:0])
    assert not all_copies(none, find_leaks(none, moved[: len(moved) - len(mixture.synth)]))


def test_all_copies_of_a_large_cluster_are_found() -> None:
    """More equal rows than neighbors are looked at first, and still too few for the data to count as coarse."""
    mixture = same_law(Seeds(0), **{**SMALL, "num_real": 500, "num_valid": 0}).mixture
    mixture.real.x[:20] = mixture.real.x[0]
    mixture.synth.x[:3] = mixture.real.x[0]
    leaks = find_leaks(mixture, vectors(mixture))
    assert not leaks.coarse
    pairs = set(zip(leaks.row.tolist(), leaks.judged.tolist(), strict=True))
    assert pairs == {(a, b) for a in [*range(20), 500, 501, 502] for b in range(20) if a != b}
    is_judged = np.arange(500) == 19
    assert np.array_equal(np.flatnonzero(~leaks.keep(560, is_judged)), [*range(20), 500, 501, 502])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_coarse_data_are_not_searched_for_copies(kind: type, offset: float) -> None:
    """A few distinct rows: equal content proves nothing, and leaving it out would leave nothing to train on."""
    mixture = copies(Seeds(0), **SMALL).mixture
    x = (np.random.default_rng(0).standard_normal((len(mixture.ids), 24)) + offset).astype(kind)
    x[:2] = x[2:4]  # 4 of 52 real rows have a twin: just enough
    leaks = find_leaks(mixture, x)
    assert leaks.coarse and leaks.num_copies == 0
    assert leaks.num_parents == len(leaks.row) == 60  # named parents still count
    x[0] += 1  # and 2 of 52 are not
    leaks = find_leaks(mixture, x)
    assert not leaks.coarse and leaks.num_copies == 2
