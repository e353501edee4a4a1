"""The toy worlds keep what they promise: shapes, names, planted rows, repeatability and the sign of the gain."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from synthsift.data.laws import Shape, draw_law, plant_labels, plant_rule
from synthsift.data.worlds import WORLDS, World, non_local_harm, permute_real_labels, permute_synthetic_labels
from synthsift.data.worlds_random import best_accuracy, draw_difficulty, random_world
from synthsift.seeds import Seeds

TOY = [name for name in WORLDS if not name.startswith("digits")]


def equal(first: World, second: World) -> bool:
    parts = zip(first.mixture.parts, second.mixture.parts, strict=True)
    return all(np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y) for a, b in parts)


def accuracy(x: np.ndarray, y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> float:
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=0.05, max_iter=300, tol=1e-3).fit(scaler.transform(x), y)
    return float(model.score(scaler.transform(test_x), test_y))


def gain(world: World, keep: np.ndarray) -> float:
    """Points of accuracy on 2,000 fresh rows that the kept synthetic rows add to real + validation rows."""
    mixture, test = world.mixture, world.draw_test(2000, np.random.default_rng(0))
    x, y = (
        np.concatenate([mixture.real.x, mixture.valid.x]),
        np.concatenate([mixture.real.y, mixture.valid.y]),
    )
    more = np.concatenate([x, mixture.synth.x[keep]]), np.concatenate([y, mixture.synth.y[keep]])
    return 100 * (accuracy(*more, test.x, test.y) - accuracy(x, y, test.x, test.y))


def gains(name: str, good_only: bool = False, num: int = 6, **settings: object) -> tuple[float, float]:
    """Mean gain over seeds and its standard error."""
    found = []
    for seed in range(num):
        world = WORLDS[name](Seeds(seed), **settings)
        found.append(gain(world, ~world.bad if good_only else np.ones(len(world.bad), dtype=bool)))
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(num))


@pytest.mark.parametrize("name", TOY)
def test_shapes_and_names(name: str) -> None:
    world = WORLDS[name](Seeds(0), num_real=50, num_valid=20, num_synth=100, dim=12, num_classes=3)
    mixture = world.mixture
    assert world.name == name
    assert mixture.real.x.shape == (50, 12) and mixture.valid.x.shape == (20, 12) and mixture.synth.x.shape == (100, 12)
    assert mixture.real.ids[0] == "real:0" and mixture.valid.ids[-1] == "valid:19"
    assert all(i.split(":")[0] == s for i, s in zip(mixture.synth.ids, mixture.synth.source, strict=True))
    assert world.bad.shape == (100,) and world.bad.dtype == bool
    assert world.verdict in {"use", "harmful", "useless", "either"}
    assert mixture.y.dtype == np.int64 and set(mixture.y) <= {0, 1, 2} and mixture.real.x.dtype == np.float64


@pytest.mark.parametrize("name", list(WORLDS))
def test_same_seed_same_world_other_seed_other_world(name: str) -> None:
    assert equal(WORLDS[name](Seeds(3)), WORLDS[name](Seeds(3)))
    assert not equal(WORLDS[name](Seeds(3)), WORLDS[name](Seeds(4)))


@pytest.mark.parametrize("name", TOY)
def test_test_rows_are_fresh_and_follow_the_real_law(name: str) -> None:
    world = WORLDS[name](Seeds(1), num_real=2000)
    first, again, other = (world.draw_test(2000, np.random.default_rng(s)) for s in (0, 0, 1))
    assert np.array_equal(first.x, again.x)
    assert not np.isin(first.x[:, 0], np.concatenate([world.mixture.real.x[:, 0], other.x[:, 0]])).any()
    for k in np.unique(first.y):  # class means agree within five standard errors in every column
        a, b = first.x[first.y == k], world.mixture.real.x[world.mixture.real.y == k]
        error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * error).all()


@pytest.mark.parametrize("name", ["harmful_labels", "harmful_rule", "shifted_covariates", "noise", "one_good_source"])
def test_all_rows_of_a_harmful_world_hurt(name: str) -> None:
    mean, error = gains(name)
    assert mean + 3 * error < 0


def test_more_rows_of_the_same_law_help_and_many_help_more() -> None:
    few, few_error = gains("same_law", num_synth=300)
    many, many_error = gains("same_law", num_synth=3000)
    assert few - 2 * few_error > 0
    assert many - few > 2 * np.hypot(few_error, many_error)


def test_copies_change_little_and_name_their_parents() -> None:
    mean, error = gains("copies")
    assert abs(mean) < 1 + 3 * error
    mixture = WORLDS["copies"](Seeds(0)).mixture
    place = {name: i for i, name in enumerate(mixture.real.ids)}
    origin = np.array([place[name] for name in mixture.synth.parent])
    gap = np.abs(mixture.synth.x - mixture.real.x[origin]).max(axis=1)
    assert 0.3 < np.mean(gap == 0) < 0.7 and gap.max() < 0.02
    assert np.array_equal(mixture.synth.y, mixture.real.y[origin])


@pytest.mark.parametrize("name", ["one_good_source", "non_local_harm"])
def test_good_rows_alone_help(name: str) -> None:
    mean, error = gains(name, good_only=True, num=10)
    assert mean - 2 * error > 0


def test_one_good_source_is_good_as_a_whole_and_its_name_does_not_tell() -> None:
    good = set()
    for seed in range(12):
        world = WORLDS["one_good_source"](Seeds(seed))
        source = world.mixture.synth.source
        share = {name: world.bad[source == name].mean() for name in np.unique(source)}
        assert sorted(share.values()) == [0, 1, 1, 1, 1]
        good.add(min(share, key=share.__getitem__))
    assert len(good) > 2


def test_non_local_harm_hurts_but_its_neighbors_agree() -> None:
    mean, error = gains("non_local_harm")
    assert mean + 2 * error < 0
    world = non_local_harm(Seeds(0), num_real=3000)
    real, synth = world.mixture.real, world.mixture.synth
    near = NearestNeighbors(n_neighbors=10).fit(real.x).kneighbors(synth.x, return_distance=False)
    agree = (real.y[near] == synth.y[:, None]).mean(axis=1)
    assert agree[world.bad].mean() > agree[~world.bad].mean() - 0.01
    assert np.mean((np.abs(synth.x[:, -1]) > 1) == world.bad) > 0.9
    assert abs(np.corrcoef(synth.x[:, -1], synth.y)[0, 1]) < 4 / np.sqrt(len(synth))
    shares = [np.mean(synth.y[world.bad] == k) for k in (0, 1)]
    assert abs(shares[0] - 0.5) < 4 * 0.5 / np.sqrt(world.bad.sum())


def test_planted_shares_of_wrong_labels() -> None:
    law = draw_law(Shape(separation=6.0), np.random.default_rng(0))
    z, y, bad = plant_labels(law, 4000, np.random.default_rng(1), wrong=0.3)
    nearest = ((z[:, None] - law.centers[:, 0]) ** 2).sum(axis=2).argmin(axis=1)  # all but right at this separation
    assert abs(bad.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 4000)
    assert np.mean((nearest != y) == bad) > 0.99
    z, y, bad = plant_rule(law, 4000, np.random.default_rng(2), share=0.25)
    assert abs(bad.mean() - 0.25) < 1e-3
    nearest = ((z[:, None] - law.centers[:, 0]) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(((nearest + 1) % 3 == y)[bad]) > 0.99


def test_imbalance_is_the_ratio_of_the_largest_to_the_smallest_class() -> None:
    world = WORLDS["same_law"](Seeds(0), num_real=8000, imbalance=4.0)
    counts = np.bincount(world.mixture.real.y)
    assert abs(np.log(counts[0] / counts[-1] / 4.0)) < 4 * np.sqrt(1 / counts[0] + 1 / counts[-1])


def test_digits_worlds_have_the_published_sizes() -> None:
    noisy, flawed = WORLDS["digits_noise"](Seeds(0)), WORLDS["digits_flawed"](Seeds(0))
    assert [len(p) for p in noisy.mixture.parts] == [200, 0, 1000] and noisy.bad.sum() == 400
    assert set(noisy.mixture.synth.source) == {"noisy"}
    assert [len(p) for p in flawed.mixture.parts] == [300, 200, 700] and flawed.bad.sum() == 500
    for world in (noisy, flawed):
        test = world.draw_test(1, np.random.default_rng(0))
        assert len(test) == 597 and not set(map(bytes, test.x)) & set(map(bytes, world.mixture.real.x))
    assert gain(noisy, ~noisy.bad) > 0 > gain(flawed, np.ones(700, dtype=bool))


def test_permuted_labels() -> None:
    world = WORLDS["same_law"](Seeds(0))
    mixed = permute_synthetic_labels(world, Seeds(1))
    assert mixed.bad.all() and np.array_equal(mixed.mixture.synth.x, world.mixture.synth.x)
    assert np.array_equal(np.sort(mixed.mixture.synth.y), np.sort(world.mixture.synth.y))
    assert np.array_equal(mixed.mixture.real.y, world.mixture.real.y)
    assert 0.25 < np.mean(mixed.mixture.synth.y == world.mixture.synth.y) < 0.42  # chance for three classes
    trusted = permute_real_labels(world, Seeds(1))
    assert np.array_equal(trusted.mixture.synth.y, world.mixture.synth.y)
    assert np.mean(trusted.mixture.real.y == world.mixture.real.y) < 0.5
    assert np.mean(trusted.mixture.valid.y == world.mixture.valid.y) < 0.6


def test_random_worlds_are_valid_and_repeatable() -> None:
    kinds = set()
    for seed in range(20):
        world = random_world(Seeds(seed))
        kinds.add(world.name)
        total = len(world.mixture.real) + len(world.mixture.valid)
        assert 300 <= total <= 2000 and 0.5 * total - 1 <= len(world.mixture.synth) <= 4 * total + 1
        assert world.bad.shape == (len(world.mixture.synth),)
        assert len(np.unique(world.mixture.real.y)) == world.mixture.num_classes
    assert len(kinds) >= 5
    assert equal(random_world(Seeds(5)), random_world(Seeds(5)))
    fixed = random_world(Seeds(0), num_real=321).mixture
    assert len(fixed.real) + len(fixed.valid) == 321


def test_difficulty_is_what_was_asked_for() -> None:
    law = draw_difficulty(Shape(dim=20, num_classes=4, clusters=2), 0.75, Seeds(0))
    found = best_accuracy(law, np.random.default_rng(1), num=20_000)
    assert abs(found - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)  # the search rests on 2,000 rows
