"""Permutation importance against the exact total-effect index, a control, and a trained network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from synthsift.bilevel.importance import PLACE, Importance, log_weights_of, weigh_inputs
from synthsift.bilevel.learned import LearnedWeights
from synthsift.records import Examples, Features, Mixture
from synthsift.seeds import Seeds

NAMES = ("strong", "weak", "unused")


def world(n: int = 3000, sources: int = 2) -> tuple[Mixture, Features]:
    """40 real and n synthetic rows with three independent features."""
    rng = np.random.default_rng(0)

    def rows(count: int, source: np.ndarray, name: str) -> Examples:
        ids = np.array([f"{name}{k}" for k in range(count)])
        return Examples(np.zeros((count, 1)), rng.integers(0, 3, count), ids, source)

    real, made = rows(40, np.full(40, "real"), "r"), rows(n, np.array([f"s{k % sources}" for k in range(n)]), "m")
    mixture = Mixture(real, made, real[:0], (0, 1, 2))
    values = rng.normal(size=(n + 40, 3))
    return mixture, Features(values, NAMES, mixture.ids, values[:, :2])


def additive(mixture: Mixture, features: Features) -> np.ndarray:
    """Log-weights with variance 4 from one feature, 1 from another, and 2/3 from the class."""
    return 2 * features.column("strong") - features.column("weak") + (mixture.y - 1.0)


def by_name(found: tuple[Importance, ...]) -> dict[str, Importance]:
    return {one.name: one for one in found}


def test_shares_are_those_of_the_variance_where_inputs_are_independent() -> None:
    mixture, features = world()
    found = weigh_inputs(additive, mixture, features, Seeds(0))
    assert [one.name for one in found][:3] == ["strong", "weak", "class"]
    shares = by_name(found)
    total = 4 + 1 + 2 / 3
    for name, exact in (("strong", 4 / total), ("weak", 1 / total), ("class", 2 / 3 / total)):
        # The variances of 3,000 drawn rows themselves are off by about 2.6 %; shuffles add less.
        assert shares[name].share == pytest.approx(exact, rel=4 * 0.026), name
        assert shares[name].low <= shares[name].share <= shares[name].high
    assert shares["strong"].direction == pytest.approx(0.8, abs=0.06) and shares["weak"].direction < -0.3
    assert shares["class"].direction is None


def test_an_input_that_is_not_used_has_no_share_at_all() -> None:
    shares = by_name(weigh_inputs(additive, *world(), Seeds(0)))
    assert (shares["unused"].share, shares["source"].share) == (0.0, 0.0)
    assert abs(shares["unused"].direction or 0) < 4 / np.sqrt(3000)


def test_rows_of_the_same_value_share_a_rank() -> None:
    """A count that is 0 but for 4 rows, in a file sorted by weight: the order of the rows says nothing."""
    mixture, features = world(400)
    rare = np.zeros(440)
    rare[[60, 200, 300, 430]] = 1, 2, 1, 3
    height = np.sort(features.values[:, 0])
    features = replace(features, values=np.stack([height, rare, features.values[:, 2]], axis=1))
    found = by_name(weigh_inputs(lambda m, f: f.column("strong") + 0.1 * f.column("weak"), mixture, features, Seeds(0)))
    exact = spearmanr(rare[40:], height[40:] + 0.1 * rare[40:]).statistic
    assert found["weak"].direction == pytest.approx(exact) and abs(exact) < 0.1


def test_an_interaction_counts_for_both_inputs() -> None:
    def product(mixture: Mixture, features: Features) -> np.ndarray:
        return features.column("strong") * features.column("weak")

    shares = by_name(weigh_inputs(product, *world(), Seeds(0)))
    for name in ("strong", "weak"):
        assert shares[name].share == pytest.approx(1.0, abs=0.15), "the total effect of either is the whole variance"


@pytest.mark.parametrize("sign", [1.0, -0.5])
def test_the_shares_of_inputs_that_say_the_same_sum_to_less_or_more(sign: float) -> None:
    """z = x + s x' with x' = x has variance (1 + s)^2; shuffling x moves it by a variance of 1, shuffling x' by s^2."""
    mixture, features = world()
    twins = replace(features, values=features.values[:, [0, 0, 2]])
    found = weigh_inputs(lambda m, f: f.column("strong") + sign * f.column("weak"), mixture, twins, Seeds(0))
    shares = by_name(found)
    right = (
        1 / (1 + sign) ** 2,
        sign**2 / (1 + sign) ** 2,
    )  # a quarter each, or 4 and 1
    assert (shares["strong"].share, shares["weak"].share) == pytest.approx(right, rel=4 * 0.026)


def test_the_encoded_row_counts_only_where_the_network_is_told() -> None:
    def placed(mixture: Mixture, features: Features) -> np.ndarray:
        return additive(mixture, features) + 2 * features.embedding[:, 0]

    mixture, features = world()
    features = replace(features, embedding=np.random.default_rng(5).normal(size=features.embedding.shape))
    assert PLACE not in by_name(weigh_inputs(additive, mixture, features, Seeds(0)))
    total = 4 + 4 + 1 + 2 / 3
    share = by_name(weigh_inputs(placed, mixture, features, Seeds(0)))[PLACE].share
    assert share == pytest.approx(4 / total, rel=4 * 0.026)


def test_same_seed_same_shares_and_other_seed_others() -> None:
    first, again, other = (weigh_inputs(additive, *world(200), Seeds(k)) for k in (0, 0, 1))
    assert first == again != other


def test_nothing_is_said_of_equal_weights_or_without_rows() -> None:
    mixture, features = world(50)
    assert weigh_inputs(lambda m, f: np.zeros(len(m.ids)), mixture, features, Seeds(0)) == ()
    few = Mixture(mixture.real, mixture.synth[:1], mixture.valid, mixture.classes)
    some = Features(features.values[:41], NAMES, features.ids[:41], features.embedding[:41])
    assert weigh_inputs(additive, few, some, Seeds(0)) == ()


def test_many_rows_are_drawn_from_and_every_source_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthsift.bilevel import importance

    monkeypatch.setattr(importance, "MAX_ROWS", 100)
    seen = []

    def spy(mixture: Mixture, features: Features) -> np.ndarray:
        seen.append((len(mixture.ids), len(set(mixture.source.tolist()))))
        return additive(mixture, features)

    weigh_inputs(spy, *world(2000, sources=30), Seeds(0))
    assert {sources for _, sources in seen} == {30} and max(rows for rows, _ in seen) <= 130
    names = [one.name for one in weigh_inputs(additive, *world(50, sources=1), Seeds(0))]
    assert "source" not in names, "one source tells nothing apart"


def test_the_network_of_a_run_is_rebuilt_exactly() -> None:
    rng = np.random.default_rng(1)
    mixture, features = world(300)
    values = np.where(mixture.is_synth, rng.normal(size=340), 1.0)
    features = Features(np.column_stack([features.values, values]), (*NAMES, "more"), features.ids, features.embedding)
    weights = LearnedWeights(steps=30)(mixture, features, Seeds(0))
    log_weights = log_weights_of(weights.state, mixture)(mixture, features)
    temper, synth = weights.state["temper"][0], mixture.is_synth
    ratio = np.log(weights.values[synth]) - temper * log_weights[synth]
    assert np.ptp(ratio) < 1e-5, "the same up to a factor and single precision"
