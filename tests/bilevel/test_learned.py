"""Learned weights find planted bad rows, leave good data alone, and keep judges and training rows apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from synthsift.bilevel import learned
from synthsift.bilevel.diagnostics import in_numbers, in_words
from synthsift.bilevel.inner import make_learner
from synthsift.bilevel.inputs import OF_REAL, UNKNOWN, NetworkInputs, source_codes
from synthsift.bilevel.learned import Chunk, HiddenSource, LearnedWeights, accumulate, collect
from synthsift.bilevel.metanet import Council
from synthsift.bilevel.objective import meta_gradient
from synthsift.bilevel.temper import mildest
from synthsift.bilevel.trust import relatives, trusted_rows
from synthsift.data.worlds import World, copies, digits_noise, harmful_labels, permute_real_labels, same_law
from synthsift.records import DataError, Features, Mixture, Outcome, Weights, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds

SMALL = {"num_real": 60, "num_valid": 0, "num_synth": 80, "dim": 4, "num_classes": 3}


def describe(mixture: Mixture, seed: int = 0) -> Features:
    x = concat_x([part.x for part in mixture.parts if len(part)])
    embedding = fit_encoder(x).transform(x)
    return FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)})(mixture, Seeds(seed))


def weigh(world: World, seed: int = 0, **settings: object) -> Weights:
    return LearnedWeights(**settings)(world.mixture, describe(world.mixture, seed), Seeds(seed))  # type: ignore


def good_over_bad(world: World, weights: Weights) -> float:
    """AUROC of the synthetic weights for good against bad rows."""
    return float(roc_auc_score(~world.bad, weights.values[world.mixture.is_synth]))


@cache
def small() -> tuple[Mixture, Features]:
    mixture = harmful_labels(Seeds(0), **SMALL).mixture
    return mixture, describe(mixture)


def shaped(num_real: int, num_valid: int, **shape: object) -> Mixture:
    return same_law(Seeds(0), **{**SMALL, "num_real": num_real, "num_valid": num_valid, **shape}).mixture


def with_groups(mixture: Mixture, size: int, share_with_valid: bool = False) -> Mixture:
    """Put real rows, in their order, into groups of `size`; validation rows into the same or into other groups."""

    def groups(num: int, kind: str) -> np.ndarray:
        return np.array([f"{kind}{k // size}" for k in range(num)], dtype=object)

    of_valid = groups(len(mixture.valid), "g" if share_with_valid else "v")
    valid = replace(mixture.valid, group=of_valid)
    return replace(mixture, real=replace(mixture.real, group=groups(len(mixture.real), "g")), valid=valid)


# ------------------------------------------------------------------------------------------------------ planted worlds


@pytest.mark.parametrize(
    ("make", "seed", "bound"), [(harmful_labels, 0, 0.8), (harmful_labels, 1, 0.8), (digits_noise, 0, 0.97)]
)
def test_planted_bad_rows_weigh_less(make: object, seed: int, bound: float) -> None:
    world = make(Seeds(seed))  # type: ignore
    weights = weigh(world, seed)
    assert good_over_bad(world, weights) > bound
    assert weights.outcome == Outcome.converged and weights.made_by == "LearnedWeights"


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # by torch's own first jvp
def test_the_network_learner_finds_them_too() -> None:
    world = harmful_labels(Seeds(0))
    assert good_over_bad(world, weigh(world, learner="mlp", steps=40)) > 0.8


def test_rows_of_the_real_law_keep_their_weight() -> None:
    """Mean effective fraction over worlds without harm; single worlds lie between .78 and 1."""
    found = []
    for seed in range(3):
        world = same_law(Seeds(seed))
        w = weigh(world, seed).values[world.mixture.is_synth]
        found.append(w.sum() ** 2 / (len(w) * np.sum(w**2)))
    assert np.mean(found) >= 0.8


@pytest.mark.parametrize("wrong", [0.5, 0.8])
def test_negative_control_labels_at_random_give_equal_weights(wrong: float) -> None:
    """No weights predict permuted labels, so none are believed, whichever way most synthetic rows are wrong."""
    for seed in range(3):
        world = harmful_labels(Seeds(seed), wrong=wrong, num_real=120, num_valid=0, num_synth=200)
        permuted = weigh(permute_real_labels(world, Seeds(seed)), seed, steps=20, members=2)
        assert permuted.history["temper"] == 0 and np.array_equal(permuted.values, np.ones(len(permuted.values)))


# --------------------------------------------------------------------------------------------------- the weights


def test_weights_are_finite_positive_and_repeatable() -> None:
    mixture, features = small()
    first, again, other = (LearnedWeights(steps=20)(mixture, features, Seeds(s)) for s in (3, 3, 4))
    assert np.isfinite(first.values).all() and (first.values > 0).all()
    assert np.array_equal(first.values, again.values) and np.array_equal(first.ids, mixture.ids)
    assert not np.array_equal(first.values, other.values)


def test_diagnosing_changes_nothing_but_the_history() -> None:
    mixture, features = small()
    plain, told = (LearnedWeights(steps=21, diagnose=d)(mixture, features, Seeds(0)) for d in (False, True))
    assert np.array_equal(plain.values, told.values)
    assert set(plain.history) == {"temper"}
    assert np.array_equal(told.history["step"], [0, 10, 20])
    assert set(told.history) > {"loss", "gsnr", "effective_batch", "effective_fraction", "mean_weight", "largest_share"}
    assert set(told.history) > {"gsnr_rows", "batch_rows", "trusted_rows", "rows_wanted", "trusted_wanted"}
    assert (told.history["gsnr"] <= told.history["gsnr_rows"]).all()  # the trusted rows' noise is in the former
    assert (told.history["trusted_rows"] == len(trusted_rows(mixture, Seeds(0)))).all()
    assert in_words(told.history).startswith("Learned weights: ")


def test_one_trusted_row_has_no_noise_to_measure() -> None:
    mixture, features = small()
    told = LearnedWeights(steps=3, diagnose=True, trusted_batch=1)(mixture, features, Seeds(0))
    assert set(told.history) == {"temper"} and told.outcome == Outcome.converged


def test_scores_that_never_tell_rows_apart_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def alike(self: object, direction: object, x: torch.Tensor, y: object) -> torch.Tensor:
        return torch.zeros(len(x))

    monkeypatch.setattr("synthsift.bilevel.inner.LinearLearner.scores", alike)
    mixture, features = small()
    weights = LearnedWeights(steps=5, diagnose=True)(mixture, features, Seeds(0))
    assert weights.outcome == Outcome.alike and np.ptp(weights.values) == 0
    assert "the real rows never told one from another" in in_words({**weights.history, "temper": np.array([1.0])})
    assert in_numbers(weights.history) == {}, "no ratio of signals is told where there was none"


def test_trusted_rows_weigh_as_much_as_the_other_real_rows_on_average() -> None:
    mixture, features = small()
    weights = LearnedWeights(steps=20)(mixture, features, Seeds(0)).values
    trusted = trusted_rows(mixture, Seeds(0))
    others = np.setdiff1d(np.flatnonzero(~mixture.is_synth), trusted)
    assert np.allclose(weights[trusted], weights[others].mean(), rtol=1e-12)


def test_scores_that_are_not_finite_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def broken(self: object, direction: object, x: object, y: object) -> torch.Tensor:
        return torch.full((1,), torch.nan)

    monkeypatch.setattr("synthsift.bilevel.inner.LinearLearner.scores", broken)
    mixture, features = small()
    weights = LearnedWeights(steps=20)(mixture, features, Seeds(0))
    assert weights.outcome == Outcome.nonfinite and np.isfinite(weights.values).all()


def test_inputs_of_the_network() -> None:
    mixture, features = small()
    names = np.array(["one", "two"], dtype=object)[np.arange(len(mixture.synth)) % 2]
    mixture = replace(mixture, synth=replace(mixture.synth, source=names))
    told = NetworkInputs.fit(mixture, features, 2)
    f = told(features.values, features.embedding, mixture.y, mixture.source)
    k = features.values.shape[1] + 2
    assert f.shape == (len(mixture.ids), k + 3 + 4) and f.dtype == np.float32
    assert np.abs(f[:, :k]).max() <= 5 and np.abs(f[:, :k].mean(axis=0)).max() < 0.2, "standardized and clipped"
    assert np.array_equal(f[:, k : k + 3].argmax(axis=1), mixture.y)
    assert np.array_equal(f[:, k + 3 :].argmax(axis=1), source_codes(mixture.source, ("one", "two")))
    assert source_codes(np.array(["two", "real", "strange"]), ("one", "two")).tolist() == [3, OF_REAL, UNKNOWN]
    again = NetworkInputs.restore(told.arrays(), 3, told.sources)
    assert np.array_equal(again(features.values, features.embedding, mixture.y, mixture.source), f)


def test_many_sources_share_the_code_of_an_unknown_one() -> None:
    mixture, features = small()
    names = np.array([f"s{k % 40}" for k in range(len(mixture.synth))], dtype=object)
    told = NetworkInputs.fit(replace(mixture, synth=replace(mixture.synth, source=names)), features, 0)
    assert told.num_sources == 22
    assert (source_codes(names, told.sources) == UNKNOWN).sum() == 40


def test_a_hidden_source_reads_as_unknown_and_real_rows_keep_theirs() -> None:
    import torch

    mixture, features = small()
    told = NetworkInputs.fit(mixture, features, 0)
    f = torch.as_tensor(told(features.values, features.embedding, mixture.y, mixture.source))
    hidden = HiddenSource(told, 0.5, torch.Generator().manual_seed(0))(f)
    before, after = f[:, -3:].argmax(dim=1).numpy(), hidden[:, -3:].argmax(dim=1).numpy()
    assert np.array_equal(before[~mixture.is_synth], after[~mixture.is_synth])
    assert 0.3 < np.mean(after[mixture.is_synth] == UNKNOWN) < 0.7
    assert torch.equal(hidden[:, :-3], f[:, :-3]) and torch.equal(HiddenSource(told, 0.0, torch.Generator())(f), f)


@pytest.mark.parametrize("size", [7, 50, 139])
def test_the_meta_gradient_does_not_depend_on_the_chunks(size: int) -> None:
    """Two passes with global normalization, against one backward through the whole batch (float64)."""
    import torch

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(140, 5, generator=generator, dtype=torch.float64), torch.arange(140) % 3
    told = torch.randn(140, 6, generator=generator, dtype=torch.float64)
    network = Council(2, 6, 4, generator).double()
    for member in network.members:
        torch.nn.init.normal_(member.last.weight, generator=generator)
    inner = make_learner("linear", x, 3, generator)
    inner.slope, inner.offset = inner.slope.double(), inner.offset.double()  # type: ignore
    inner.step(x, y, torch.full((140,), 1 / 140, dtype=torch.float64))
    direction = inner.trusted_gradient(x[:30], y[:30])
    gradients = []
    for length in (140, size):
        chunks = [Chunk(told[r], x[r], y[r]) for r in torch.arange(140).split(length)]
        log_weights, scores = collect(network, inner, direction, chunks)
        accumulate(network, chunks, torch.stack([meta_gradient(z, scores, 0.3) for z in log_weights]))
        gradients.append(torch.cat([p.grad.ravel() for p in network.parameters() if p.grad is not None]))
        network.zero_grad()
    assert float(gradients[0].norm()) > 1e-4
    assert float((gradients[1] - gradients[0]).norm() / gradients[0].norm()) < 1e-12


def test_the_selector_batch_is_independent_of_the_learners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "CHUNK", 16)
    mixture, features = small()
    weights = LearnedWeights(steps=10, batch=8, selector_batch=60, diagnose=True)(mixture, features, Seeds(0))
    assert weights.history["effective_batch"][0] == pytest.approx(60, abs=1e-3), "all weights start equal"


def test_the_mildest_power_within_one_standard_error() -> None:
    rng = np.random.default_rng(0)
    base, noise = rng.random(100), rng.standard_normal(100)
    tie = {1.0: base, 0.5: base + 0.1 * (noise - noise.mean()), 2.0: base - 1e-4, 0.0: base + 1}
    assert mildest(tie) == 0.5
    assert mildest({**tie, 2.0: base - 0.5}) == 2.0, "clearly better"
    assert mildest({**tie, 0.0: base - 1}) == 0.0
    assert mildest({1.0: base, 0.0: base, 0.5: base, 2.0: base}) in (0.5, 1.0), "no reason to be bold"


def test_the_state_weighs_the_same_rows_the_same_way() -> None:
    import torch

    mixture, features = small()
    weights = LearnedWeights(steps=10)(mixture, features, Seeds(0))
    told = NetworkInputs.fit(mixture, features, 8)
    network = Council(4, len(told.center) + 3 + told.num_sources, 32, torch.Generator(), 3, told.num_sources)
    saved = {
        k.removeprefix("network."): torch.as_tensor(v) for k, v in weights.state.items() if k.startswith("network.")
    }
    network.load_state_dict(saved)
    f = torch.as_tensor(told(features.values, features.embedding, mixture.y, mixture.source))
    with torch.no_grad():
        found = np.exp(weights.state["temper"] * network(f).double().numpy() - weights.state["shift"])
    rest = np.setdiff1d(np.arange(len(mixture.ids)), trusted_rows(mixture, Seeds(0)))
    np.testing.assert_allclose(found[rest], (weights.values / weights.values.mean())[rest], rtol=1e-5)


# -------------------------------------------------------------------------------------------------- judges and judged


def test_fewer_than_ten_real_rows_are_refused() -> None:
    mixture = shaped(6, 3)
    with pytest.raises(DataError, match="saw 9 real rows; it needs at least 10"):
        LearnedWeights()(mixture, describe(mixture), Seeds(0))


SIZES = [(n, 0) for n in (10, 11, 12, 15, 19, 21, 40, 97)]
SIZES += [(5, 5), (5, 60), (4, 30), (1, 9), (2, 8), (8, 3), (20, 8), (60, 10), (60, 30), (60, 200)]


@pytest.mark.parametrize(("num_real", "num_valid"), SIZES)
def test_trusted_rows(num_real: int, num_valid: int) -> None:
    """Validation rows first, about half of the real rows at least, spread over the classes, two left to train on."""
    mixture = shaped(num_real, num_valid, imbalance=3.0)
    trusted = trusted_rows(mixture, Seeds(0))
    total = num_real + num_valid
    assert np.array_equal(np.unique(trusted), np.sort(trusted)) and trusted.max() < total
    assert total - len(trusted) >= 2
    assert len(trusted) >= 0.8 * (total // 2)
    if num_real >= 5:
        assert np.isin(np.arange(num_real, total), trusted).all()
    of_real = trusted[trusted < num_real]
    if len(of_real) and num_real >= 5:
        share = len(of_real) / num_real
        for label in np.unique(mixture.real.y):
            members = np.flatnonzero(mixture.real.y == label)
            assert (
                abs(np.isin(members, of_real).sum() - share * len(members)) < 1.5
            )  # rounding of the class and of the whole


def test_many_small_classes_all_have_trusted_rows() -> None:
    mixture = shaped(80, 0, num_classes=8)
    trusted = trusted_rows(mixture, Seeds(0))
    assert set(mixture.y[trusted]) == set(range(8))


def test_other_seeds_trust_other_rows() -> None:
    mixture = shaped(60, 0)
    assert not np.array_equal(trusted_rows(mixture, Seeds(0)), trusted_rows(mixture, Seeds(1)))
    assert np.array_equal(trusted_rows(mixture, Seeds(0)), trusted_rows(mixture, Seeds(0)))


@pytest.mark.parametrize("size", [2, 4, 12, 20, 30])
def test_a_group_is_trusted_whole_or_not_at_all(size: int) -> None:
    mixture = with_groups(shaped(60, 0), size)
    trusted = trusted_rows(mixture, Seeds(0))
    inside = np.isin(np.arange(60), trusted)
    assert all(len(np.unique(inside[mixture.real.group == name])) == 1 for name in np.unique(mixture.real.group))
    assert 10 <= len(trusted) <= 50
    assert len(np.setdiff1d(np.arange(60), relatives(mixture, trusted))) >= 10


@pytest.mark.parametrize("size", [4, 30, 60])
@pytest.mark.parametrize("num_valid", [0, 60])
def test_groups_leave_real_rows_to_train_on(size: int, num_valid: int) -> None:
    """Even where all real rows are of one group, or of the groups of the validation rows."""
    mixture = with_groups(shaped(60, num_valid), size, share_with_valid=True)
    weights = LearnedWeights(steps=5)(mixture, describe(mixture), Seeds(0)).values
    assert np.isfinite(weights).all() and (weights > 0).all()


def spied_batches(mixture: Mixture, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Run a few steps; return all rows that trained and all rows that judged."""
    seen: list[np.ndarray] = []
    draw = learned.draw

    def spy(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        seen.append(draw(rows, count, rng))
        return seen[-1]

    monkeypatch.setattr(learned, "draw", spy)
    LearnedWeights(steps=5)(mixture, describe(mixture), Seeds(0))
    return np.unique(np.concatenate(seen[0::3])), np.unique(np.concatenate(seen[2::3]))


def test_relatives_of_trusted_rows_do_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = copies(Seeds(0), **SMALL).mixture
    trained, judged = spied_batches(mixture, monkeypatch)
    assert mixture.synth.parent is not None
    of_judged = np.flatnonzero(np.isin(mixture.synth.parent, mixture.ids[judged])) + len(mixture.real)
    assert np.array_equal(judged, np.sort(trusted_rows(mixture, Seeds(0))))
    assert len(of_judged) > 10 and not len(np.intersect1d(trained, np.concatenate([judged, of_judged])))
    assert len(trained) + len(judged) + len(of_judged) == len(mixture.ids)  # and all others do


def test_groups_of_trusted_rows_do_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = with_groups(shaped(60, 20), 6, share_with_valid=True)
    trained, judged = spied_batches(mixture, monkeypatch)
    assert not len(np.intersect1d(mixture.family[trained], mixture.family[judged]))
    assert np.isin(np.arange(60, 80), judged).all()
    assert (trained < 60).sum() >= 2


def test_relatives_by_hand() -> None:
    mixture = copies(Seeds(0), **{**SMALL, "num_real": 10, "num_synth": 4}).mixture
    parent = np.array(["real:3", "real:4", "", "real:3"], dtype=object)
    mixture = replace(mixture, synth=replace(mixture.synth, parent=parent))
    assert np.array_equal(relatives(mixture, np.array([3, 7])), [3, 7, 10, 13])
