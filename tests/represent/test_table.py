"""What is known about a row: real rows as if they were new, synthetic ones without help from their parents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.data.worlds import WORLDS, copies, harmful_labels, permute_real_labels, same_law, shifted_covariates
from synthsift.numerics.neighbors import knn_shapley, related_pairs
from synthsift.records import REAL, DataError, Examples, Features, Mixture
from synthsift.represent import dynamics, position, trusted, value
from synthsift.represent.table import NAMES, Description, FeatureTable, RowDescriber
from synthsift.seeds import Seeds

SMALL = {"num_real": 60, "num_valid": 30, "num_synth": 120, "dim": 6}


def describe(mixture: Mixture, seed: int = 0) -> Features:
    """Features with the inputs themselves as the embedding."""
    x = np.concatenate([part.x for part in mixture.parts])
    return FeatureTable(x, {name: k for k, name in enumerate(mixture.ids)})(mixture, Seeds(seed))


def examples(x: np.ndarray, y: np.ndarray, source: str, **columns: np.ndarray) -> Examples:
    ids = np.array([f"{source}:{i}" for i in range(len(y))], dtype=object)
    return Examples(x, y.astype(np.int64), ids, np.full(len(y), source, dtype=object), **columns)


def mixture_of(real: Examples, synth: Examples, num_classes: int = 2) -> Mixture:
    return Mixture(real, synth, replace(real[:0]), tuple(range(num_classes)))


def blobs(num: int, rng: np.random.Generator, gap: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, `gap` standard deviations apart."""
    y = np.arange(num) % 2
    return rng.standard_normal((num, 3)) + gap * y[:, None] * [1, 0, 0], y


NOTHING = examples(np.zeros((0, 3)), np.zeros(0), "made")


@pytest.mark.parametrize("name", [name for name in WORLDS if not name.startswith("digits")])
def test_features_are_named_finite_and_in_the_order_of_the_rows(name: str) -> None:
    mixture = WORLDS[name](Seeds(1), **SMALL).mixture
    features = describe(mixture)
    assert features.names == NAMES and features.values.shape == (210, 25) and np.isfinite(features.values).all()
    assert np.array_equal(features.ids, mixture.ids)
    assert np.array_equal(features.embedding, np.concatenate([part.x for part in mixture.parts]))


def test_ranges_and_units_of_the_columns() -> None:
    mixture = same_law(Seeds(0), **SMALL).mixture
    features, real = describe(mixture), ~mixture.is_synth
    margin, loss = features.column("margin"), features.column("trusted_loss")
    assert np.abs(margin).max() <= 1 and np.all(loss[margin > 0] < np.log(3)), "the most likely of three has over 1/3"
    assert np.all((features.column("knn_agreement") >= 0) & (features.column("knn_agreement") <= 1))
    assert np.median(features.column("own_class_distance")[real]) == pytest.approx(1.0)
    assert np.median(features.column("center_distance")[real]) == pytest.approx(1.0)


def test_the_embedding_may_hold_more_rows_in_another_order() -> None:
    mixture = same_law(Seeds(0), **SMALL).mixture
    x = np.concatenate([part.x for part in mixture.parts])
    order = np.random.default_rng(0).permutation(210)
    shuffled = np.concatenate([np.full((3, 6), 9.0), x[order]])
    place = {mixture.ids[row]: k + 3 for k, row in enumerate(order)}
    assert np.array_equal(FeatureTable(shuffled, place)(mixture, Seeds(0)).values, describe(mixture).values)


def test_a_copy_of_a_real_row_lies_in_its_class() -> None:
    x, y = blobs(80, np.random.default_rng(0))
    synth = examples(np.concatenate([x[:20], x[:20]]), np.concatenate([y[:20], 1 - y[:20]]), "made")
    features = describe(mixture_of(examples(x, y, REAL), synth))
    right, wrong = features.values[80:100], features.values[100:]
    column = {name: k for k, name in enumerate(NAMES)}
    assert right[:, column["class_gap"]].min() > 0 > wrong[:, column["class_gap"]].max()
    assert right[:, column["margin"]].min() > 0 > wrong[:, column["margin"]].max()
    assert right[:, column["knn_agreement"]].min() > 0.9 and wrong[:, column["knn_agreement"]].max() < 0.1
    assert right[:, column["own_class_distance"]].max() < 1e-2 < 1 < wrong[:, column["own_class_distance"]].min()
    assert right[:, column["knn_shapley"]].mean() > 0 > wrong[:, column["knn_shapley"]].mean()


def test_real_rows_are_described_out_of_sample() -> None:
    world = permute_real_labels(same_law(Seeds(0), num_real=200, num_valid=100, num_synth=50, dim=6), Seeds(7))
    mixture = world.mixture
    features, real = describe(mixture), ~mixture.is_synth
    margin, agreement = features.column("margin")[real], features.column("knn_agreement")[real]
    # nobody can know a shuffled label: who is not helped by the row itself is right once in three times
    assert margin.mean() <= 2 * margin.std() / np.sqrt(300)
    assert abs(agreement.mean() - 1 / 3) < 4 * agreement.std() / np.sqrt(300)
    assert features.column("trusted_loss")[real].mean() > np.log(3) - 0.01
    own, other = features.column("own_class_distance")[real], features.column("class_gap")[real]
    assert own.min() > 0.01 and other.mean() < 0, "a class has one row less for its own member"


def test_rows_of_one_group_do_not_speak_for_each_other() -> None:
    # 60 scenes, each seen twice: the label of one frame gives away that of the other
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal((60, 20)), 2, axis=0) + 0.01 * rng.standard_normal((120, 20))
    y, scene = np.repeat(rng.integers(2, size=60), 2), np.repeat(np.arange(60), 2).astype(str)
    synth = examples(x[:0], y[:0], "made")
    alone = describe(mixture_of(examples(x, y, REAL), synth))
    grouped = describe(mixture_of(examples(x, y, REAL, group=scene), synth))
    for name, chance in (("margin", 0.0), ("knn_shapley", 0.5)):
        # 60 independent labels; the margin is at most 1 in size
        assert grouped.column(name).mean() < chance + 3 * grouped.column(name).std() / np.sqrt(60), name
        assert grouped.column(name).mean() < alone.column(name).mean() - 0.03, name


def test_the_parent_of_a_synthetic_row_is_not_its_neighbor() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 5)), rng.integers(3, size=150)  # labels say nothing about places
    real = examples(x, y, REAL)
    known = examples(x, y, "made", parent=real.ids)
    without, with_parent = (describe(mixture_of(real, synth, 3)) for synth in (replace(known, parent=None), known))
    agreement = with_parent.column("knn_agreement")[150:]
    assert without.column("knn_agreement")[150:].min() > 0.9, "the copied row outweighs nine others"
    assert abs(agreement.mean() - 1 / 3) < 4 * agreement.std() / np.sqrt(150)
    np.testing.assert_allclose(agreement, with_parent.column("knn_agreement")[:150], atol=1e-9)
    assert (
        without.column("own_class_distance")[150:].max() < 1e-2 < with_parent.column("own_class_distance")[150:].min()
    )
    value = with_parent.column("knn_shapley")[150:].mean()
    assert value < without.column("knn_shapley")[150:].mean() - 0.1
    assert value == pytest.approx(with_parent.column("knn_shapley")[:150].mean(), abs=1e-9)


def test_a_parent_outside_the_mixture_changes_nothing() -> None:
    mixture = copies(Seeds(0), **SMALL).mixture
    strangers = replace(mixture.synth, parent=np.full(120, "real:99999", dtype=object))
    unknown = replace(mixture.synth, parent=None)
    first, second = (describe(replace(mixture, synth=synth)).values for synth in (strangers, unknown))
    assert np.array_equal(first, second)


def test_permuting_synthetic_rows_permutes_their_features() -> None:
    mixture = harmful_labels(Seeds(0), **SMALL).mixture
    order = np.random.default_rng(0).permutation(120)
    before, after = describe(mixture), describe(replace(mixture, synth=mixture.synth[order]))
    for name in (*trusted.NAMES, *position.NAMES, *value.NAMES):  # the others are made by probes of random folds
        np.testing.assert_allclose(after.column(name)[:90], before.column(name)[:90], atol=2e-5, err_msg=name)
        np.testing.assert_allclose(after.column(name)[90:], before.column(name)[90:][order], atol=2e-5, err_msg=name)


def test_the_same_seeds_give_the_same_features() -> None:
    mixture = harmful_labels(Seeds(0), **SMALL).mixture
    assert np.array_equal(describe(mixture).values, describe(mixture).values)
    assert not np.array_equal(describe(mixture, 1).column("density_ratio"), describe(mixture).column("density_ratio"))


def test_moved_rows_look_synthetic_and_rows_of_the_real_law_do_not() -> None:
    moved = shifted_covariates(Seeds(0), share=1.0, **SMALL).mixture
    odds = describe(moved).column("density_ratio")
    assert odds[:90].mean() > 0.2 and odds[90:].mean() < -0.2
    alike = same_law(Seeds(0), **SMALL).mixture
    odds = describe(alike).column("density_ratio")
    assert abs(odds[:90].mean() - odds[90:].mean()) < 0.2


def test_many_judges_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = harmful_labels(Seeds(0), num_real=200, num_valid=100, num_synth=300).mixture
    every = describe(mixture).column("knn_shapley")
    monkeypatch.setattr(value, "MAX_JUDGES", 150)
    some = describe(mixture).column("knn_shapley")
    assert not np.array_equal(some, every) and np.corrcoef(some, every)[0, 1] > 0.8
    assert np.array_equal(some, describe(mixture).column("knn_shapley"))


def test_without_synthetic_rows_real_ones_are_described_all_the_same() -> None:
    x, y = blobs(40, np.random.default_rng(0))
    features = describe(mixture_of(examples(x, y, REAL), NOTHING))
    assert np.isfinite(features.values).all() and np.all(features.column("density_ratio") == 0)
    assert features.column("margin").min() > 0


@pytest.mark.parametrize("case", ["a class of one real row", "no real row of a class", "one class"])
def test_thin_classes_are_described_too(case: str) -> None:
    rng = np.random.default_rng(0)
    x, y = blobs(40, rng)
    if case == "a class of one real row":
        y = np.where(np.arange(40) == 39, 2, y)
    if case == "one class":
        y = np.zeros(40)
    synth = examples(rng.standard_normal((20, 3)), np.arange(20) % 3, "made")
    features = describe(mixture_of(examples(x, y, REAL), synth, 3))
    assert np.isfinite(features.values).all()


# ---------------------------------------------------------------------------------------------- rows that come later


def stored(features: Features) -> RowDescriber:
    """What is left of a description when the run is over."""
    description = features.state["description"]
    assert isinstance(description, Description)
    return RowDescriber.restore({name: np.array(array) for name, array in description.arrays().items()})


@pytest.mark.parametrize("name", ["harmful_labels", "one_good_source", "copies"])
def test_a_training_row_that_comes_again_has_its_stored_features(name: str) -> None:
    mixture = WORLDS[name](Seeds(1), **SMALL).mixture
    features = describe(mixture)
    again = stored(features)(features.embedding, mixture.y)
    _, first, count = np.unique(features.embedding, axis=0, return_index=True, return_counts=True)
    alone = first[count == 1]  # of equal rows, one stands for all
    assert len(alone) >= 90
    assert np.array_equal(again[alone], features.values[alone])


def test_a_label_that_changed_makes_a_row_new() -> None:
    mixture = harmful_labels(Seeds(1), **SMALL).mixture
    features = describe(mixture)
    other = stored(features)(features.embedding, (mixture.y + 1) % 3)
    column = NAMES.index("margin")
    assert np.mean(other[:90, column]) < 0 < np.mean(features.values[:90, column])


def test_a_new_row_is_described_as_a_row_of_its_law_is() -> None:
    """Fresh good rows and fresh bad rows look like those of the mixture, column by column."""
    world = harmful_labels(Seeds(1), num_real=150, num_valid=50, num_synth=400, dim=6)
    features = describe(world.mixture)
    fresh = harmful_labels(Seeds(1), num_real=150, num_valid=50, num_synth=800, dim=6)
    new = slice(400, 800)  # of the same law, not in the first mixture
    x, y = fresh.mixture.synth.x[new], fresh.mixture.synth.y[new]
    found = stored(features)(x, y)
    inside = features.values[world.mixture.is_synth]
    for bad in (False, True):
        a, b = inside[world.bad == bad], found[fresh.bad[new] == bad]
        spread = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b)) + 1e-9
        off = np.abs(a.mean(axis=0) - b.mean(axis=0)) / features.values.std(axis=0)
        # means of new rows are averaged over three probes, so only their size in units of the column is compared
        assert np.all((off < 5 * spread / features.values.std(axis=0)) | (off < 0.25)), dict(
            zip(NAMES, off, strict=True)
        )


def test_scales_come_from_the_rows_of_the_mixture_alone() -> None:
    mixture = same_law(Seeds(0), **SMALL).mixture
    x = np.concatenate([part.x for part in mixture.parts])
    place = {name: k for k, name in enumerate(mixture.ids)}
    far = np.concatenate([x, 1e6 * np.ones((5, 6))])  # rows of the study that are not in this split
    assert np.array_equal(FeatureTable(far, place)(mixture, Seeds(0)).values, describe(mixture).values)


def test_the_last_description_is_kept() -> None:
    mixture = same_law(Seeds(0), **SMALL).mixture
    x = np.concatenate([part.x for part in mixture.parts])
    table = FeatureTable(x, {name: k for k, name in enumerate(mixture.ids)})
    first = table(mixture, Seeds(0))
    assert table(mixture, Seeds(0)) is first and table(mixture, Seeds(1)) is not first
    assert table(replace(mixture), Seeds(0)) is not first


def test_without_real_rows_nothing_is_described() -> None:
    mixture = same_law(Seeds(0), **SMALL).mixture
    nobody = replace(mixture, real=mixture.real[:0], valid=mixture.valid[:0])
    with pytest.raises(DataError, match="no real row"):
        describe(nobody)


# ------------------------------------------------------------------------------------------------------- the parts


def test_every_row_is_judged_by_a_probe_that_saw_neither_it_nor_its_family() -> None:
    """Labels at random: a probe that saw the row, or its twin in the other frame, would know them."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal((150, 30)), 2, axis=0)
    y, scene = np.repeat(rng.integers(2, size=150), 2), np.repeat(np.arange(150), 2).astype(str)
    mixture = mixture_of(examples(x, y, REAL, group=scene), examples(x[:0], y[:0], "made"))
    el2n = describe(mixture).column("el2n")[::2]
    grouped = el2n.mean()
    alone = describe(replace(mixture, real=replace(mixture.real, group=None))).column("el2n").mean()
    # |p - onehot| of p = 1/2 is sqrt(1/2); a confident probe that knows nothing is worse on average
    assert grouped > np.sqrt(0.5) - 3 * el2n.std() / np.sqrt(150)
    assert alone < grouped - 0.05, "the twin gives the label away"


def test_gradient_norm_by_differentiation() -> None:
    import torch

    mixture = same_law(Seeds(0), **SMALL).mixture
    x = np.concatenate([part.x for part in mixture.parts]).astype(np.float32)
    made, _ = dynamics.Dynamics.fit(x, mixture, Seeds(0))
    found = made.by_probe(1, x[:4], mixture.y[:4])[:, dynamics.NAMES.index("gradient_norm")]
    norms = np.zeros(4)
    for t in range(made.probes.num_checkpoints):
        for i in range(4):
            net = [
                torch.tensor(part[t, 1], requires_grad=True)
                for part in (made.probes.hidden, made.probes.bias, made.probes.slope, made.probes.offset)
            ]
            logits = torch.relu(torch.tensor(x[i]) @ net[0] + net[1]) @ net[2] + net[3]
            torch.nn.functional.cross_entropy(logits[None], torch.tensor(mixture.y[i : i + 1])).backward()
            norms[i] += float(torch.cat([p.grad.ravel() for p in net if p.grad is not None]).norm())
    np.testing.assert_allclose(found, norms / made.probes.num_checkpoints, rtol=1e-4)


def slow_position(x: np.ndarray, mixture: Mixture) -> dict[str, np.ndarray]:
    """Cosines row by row, self and family excluded; an obvious twin."""
    z = x - x.mean(axis=0)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    y, family, synth, n = mixture.y, mixture.family, mixture.is_synth, len(x)
    out = {name: np.zeros(n) for name in ("real_center", "synth_center", "real_top1", "real_top3", "synth_top1")}
    for i in range(n):
        others = np.arange(n) != i
        if family[i] >= 0:
            others &= family != family[i]
        for kind, prefix in ((~synth, "real"), (synth, "synth")):
            bank = others & kind & (y == y[i])
            center = z[bank].mean(axis=0)
            out[f"{prefix}_center"][i] = unit[i] @ center / np.linalg.norm(center)
            alike = np.sort(unit[bank] @ unit[i])[::-1]
            out[f"{prefix}_top1"][i] = alike[0]
            if prefix == "real":
                out["real_top3"][i] = alike[2]
    return out


@pytest.mark.parametrize("name", ["harmful_labels", "copies"])
def test_cosines_leave_out_the_row_and_its_family(name: str) -> None:
    mixture = WORLDS[name](Seeds(2), **SMALL).mixture
    x = np.concatenate([part.x for part in mixture.parts])
    features = describe(mixture, 2)
    for column, right in slow_position(x, mixture).items():
        np.testing.assert_allclose(features.column(column), right, atol=1e-4, err_msg=column)


def test_the_value_of_a_new_row_is_its_shapley_value_when_it_joins() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 4)).astype(np.float32), rng.integers(3, size=60)
    kept = np.arange(0, 60, 3)
    themselves = related_pairs(np.full(20, -1), kept, np.full(61, -1), np.arange(61))  # none plays before itself
    made = value.Game(x, y, kept).state()
    new_x, new_y = rng.standard_normal((5, 4)).astype(np.float32), rng.integers(3, size=5)
    for i in range(5):
        joined_x, joined_y = np.concatenate([x, new_x[i : i + 1]]), np.append(y, new_y[i])
        right = knn_shapley(joined_x, joined_y, x[kept], y[kept], value.NEIGHBORS, skip=themselves)[-1] * 60
        found = made.describe(new_x[i : i + 1], new_y[i : i + 1])[0, 0]
        assert found == pytest.approx(right, abs=1e-4)


def test_percentile_is_the_rank_in_the_class() -> None:
    mixture = same_law(Seeds(3), **SMALL).mixture
    rank = describe(mixture).column("median_percentile")
    for label in range(3):
        mine = np.sort(rank[mixture.y == label])
        np.testing.assert_allclose(mine, np.linspace(0, 1, len(mine)), atol=1.5 / len(mine))


def test_banks_are_thinned_out_evenly_over_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "MAX_REAL", 30)
    monkeypatch.setattr(position, "MAX_SYNTH", 45)
    mixture = same_law(Seeds(0), **{**SMALL, "imbalance": 3.0}).mixture
    x = np.concatenate([part.x for part in mixture.parts]).astype(np.float32)
    made, values = position.Position.fit(x, mixture, Seeds(0))
    assert len(made.bank) == 75 and np.isfinite(values).all()
    share = np.diff(made.starts[0]) / 30 - np.bincount(mixture.y[:90], minlength=3) / 90
    assert np.abs(share).max() < 0.05
