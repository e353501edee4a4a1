"""The residual network: one meaning of weights, the same numbers from the same seeds, and it learns shapes."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthsift.baselines.simple import Everything, RealOnly
from synthsift.compare import Study, compare, judge_test
from synthsift.numerics.metrics import row_losses
from synthsift.records import DataError, Examples, Images, Mixture, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds
from synthsift.training import cnn
from synthsift.training.adamw import AdamW
from synthsift.training.cnn import CNN, weighted_passes
from synthsift.training.convnet import CHUNK, ResidualNet, as_inputs, shifted
from synthsift.training.learners import Rows, find_learner, fit_weighted

TINY = CNN(width=8, steps=8, batch=8)
QUICK = CNN(width=8, steps=48, batch=16)


def bars(count: int, seed: int, wrong: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 16, 16, 3) of a lying (0) or standing (1) bar on noise, and labels of which a share is wrong."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = rng.normal(60, 15, (count, 16, 16))
    for picture, label in zip(x, y, strict=True):
        start = rng.integers(1, 13)
        (picture.T if label else picture)[start : start + 2] += 120
    shown = np.where(rng.random(count) < wrong, 1 - y, y)
    return np.repeat(x.clip(0, 255).astype(np.uint8)[..., None], 3, axis=3), shown


def mixed_rows(seed: int = 0) -> tuple[Rows, np.ndarray]:
    """24 real pictures between 36 synthetic ones, as `Images`; and fresh pictures."""
    x, y = bars(60, seed)
    is_real = np.random.default_rng(seed).permutation(60) < 24
    family = np.where(is_real, np.arange(60), -1)
    weight = np.random.default_rng(seed).uniform(0.5, 2, 60)
    return Rows(Images(x, np.arange(60)), y, weight, is_real, family), bars(20, seed + 1)[0]


# ----------------------------------------------------------------------------------------- the contract of learners


def test_real_only_through_weights_is_a_fit_on_the_real_rows_alone() -> None:
    rows, fresh = mixed_rows()
    real = rows.is_real
    zeros = Rows(rows.x, rows.y, real.astype(float), real, rows.family)
    alone = Rows(np.asarray(rows.x[real]), rows.y[real], np.ones(24), np.ones(24, bool), rows.family[real])
    through = fit_weighted(TINY, zeros, 3, Seeds(0)).predict_proba(fresh)
    directly = TINY.fit(alone, 3, Seeds(0)).predict_proba(Images(fresh, np.arange(20)))
    assert np.array_equal(through, directly), "and Images and arrays are the same to it"
    assert through.shape == (20, 3)
    np.testing.assert_allclose(through.sum(axis=1), 1.0, atol=1e-6)


def test_only_ratios_of_weights_matter() -> None:
    rows, fresh = mixed_rows()
    fourfold = replace(rows, weight=4 * rows.weight)  # a power of two: the same bits
    first, second = (fit_weighted(TINY, r, 2, Seeds(0)).predict_proba(fresh) for r in (rows, fourfold))
    assert np.array_equal(first, second)


def test_the_weight_of_a_class_moves_its_probability() -> None:
    rows, fresh = mixed_rows()
    heavy = replace(rows, weight=np.where(rows.y == 1, 20.0, 1.0))
    more, less = (fit_weighted(TINY, r, 2, Seeds(0)).predict_proba(fresh)[:, 1].mean() for r in (heavy, rows))
    assert more > less + 0.1


def test_the_same_seeds_give_the_same_network_and_nothing_else_plays_a_part() -> None:
    rows, fresh = mixed_rows()
    first = TINY.fit(rows, 2, Seeds(0)).predict_proba(fresh)
    torch.rand(7), np.random.default_rng().random(3)
    state = torch.get_rng_state()
    again, other = (TINY.fit(rows, 2, Seeds(k)).predict_proba(fresh) for k in (0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_learner_is_found_and_refuses_what_are_no_pictures() -> None:
    assert find_learner("cnn") == CNN()
    for x in (np.zeros((20, 5)), np.zeros((20, 16, 16, 3)), np.zeros((20, 16, 12, 3), np.uint8)):
        with pytest.raises(DataError, match="pictures are needed"):
            TINY.fit(Rows(x, np.arange(20) % 2, np.ones(20), np.ones(20, bool), np.arange(20)), 2, Seeds(0))


def test_few_real_rows_take_all_steps() -> None:
    rows, _ = mixed_rows()
    few = np.cumsum(rows.is_real) <= 11
    kept = Rows(rows.x[few], rows.y[few], rows.weight[few], rows.is_real[few], rows.family[few])
    assert kept.is_real.sum() == 11 and TINY.fit(kept, 2, Seeds(0)).steps == TINY.steps


# ---------------------------------------------------------------------------------------------------- it learns


def test_shapes_are_learned_and_noise_is_stopped_early() -> None:
    x, y = bars(120, 0)
    fresh, fresh_y = bars(200, 1)
    real = np.ones(120, bool)
    model = QUICK.fit(Rows(x, y, np.ones(120), real, np.arange(120)), 2, Seeds(0))
    assert np.mean(model.predict_proba(fresh).argmax(axis=1) == fresh_y) > 0.95
    noise = np.random.default_rng(2).integers(2, size=120)
    stopped = replace(QUICK, rate=0.01).fit(Rows(x, noise, np.ones(120), real, np.arange(120)), 2, Seeds(0))
    assert stopped.steps < QUICK.steps / 2 < model.steps
    loss = row_losses(stopped.predict_proba(fresh), np.random.default_rng(3).integers(2, size=200)).mean()
    assert loss < 1.0, "labels without a pattern are not learned by heart"


def test_real_pictures_win_where_synthetic_labels_are_wrong() -> None:
    (real_x, real_y), (made_x, made_y), (test_x, test_y) = bars(60, 0), bars(120, 1, wrong=0.9), bars(100, 2)
    store = np.concatenate([real_x, made_x])
    names = np.array([f"r{k}" for k in range(60)]), np.array([f"s{k}" for k in range(120)])
    real = Examples(Images(store, np.arange(60)), real_y, names[0], np.full(60, "real"))
    synth = Examples(Images(store, np.arange(60, 180)), made_y, names[1], np.full(120, "made"))
    mixture = Mixture(real, synth, real[:0], ("lying", "standing"))
    pictures = concat_x([part.x for part in mixture.parts])
    encoder = fit_encoder(pictures)
    embedding = encoder.transform(pictures)
    study = Study(
        policies={"RealOnly": RealOnly(), "Everything": Everything()},
        mixture=mixture,
        embedding=embedding,
        describe=FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)}),
        learner=replace(QUICK, steps=24),
        num_seeds=1,
        inputs=pictures,
    )
    found = compare(study)
    right = {name: prob[0].argmax(axis=1) == found.y for name, prob in found.probabilities.items()}
    gap = right["RealOnly"].astype(float) - right["Everything"]
    assert gap.mean() > 4 * gap.std(ddof=1) / np.sqrt(60)
    test = Examples(
        Images(test_x, np.arange(100)), test_y, np.array([f"t{k}" for k in range(100)]), np.full(100, "real")
    )
    rows, *_ = judge_test(study, test, test.x, "accuracy")
    value = {row["name"]: row["value"] for row in rows}
    assert value["RealOnly"] > 0.85 > 0.5 > value["Everything"]


# ------------------------------------------------------------------------------------------------------ its parts


def test_passes_hold_a_row_as_often_as_its_weight_says() -> None:
    rng = np.random.default_rng(0)
    assert sorted(weighted_passes(np.ones(7), 14, rng).tolist()) == sorted([*range(7)] * 2)
    weight = np.array([3.0, 1.0, 0.25, 0.75, 5.0])
    drawn = weighted_passes(weight, 20_000, rng)
    share = np.bincount(drawn, minlength=5) / 20_000
    # a pass of 5 rows rounds each count by less than one: standard error below sqrt(.25 / 4000) / 5 = .0016
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.008)
    counts = Counter(weighted_passes(np.array([2.0, 1.0, 1.0, 4.0]) / 2, 4000, rng).tolist())
    assert (counts[0], counts[3]) == (1000, 2000), "whole numbers of copies are exact"


def test_a_shift_moves_the_picture_and_repeats_its_border() -> None:
    x = np.arange(2 * 16 * 16 * 3, dtype=np.int64).reshape(2, 16, 16, 3)
    seen = set()
    for seed in range(30):
        for moved, plain in zip(shifted(x, 1, np.random.default_rng(seed)), x, strict=True):
            padded = np.pad(plain, ((1, 1), (1, 1), (0, 0)), mode="edge")
            fits = [(i, j) for i in range(3) for j in range(3) if (padded[i : i + 16, j : j + 16] == moved).all()]
            assert len(fits) == 1
            seen.update(fits)
    assert len(seen) == 9


def test_bytes_become_centered_channels_first() -> None:
    x = np.zeros((1, 16, 16, 3), np.uint8)
    x[0, 3, 5] = (255, 0, 127)
    found = as_inputs(x)
    assert found.shape == (1, 3, 16, 16) and found.dtype == torch.float32
    np.testing.assert_allclose(found[0, :, 3, 5], [127.5 / 64, -127.5 / 64, -0.5 / 64])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # by torch's own first jvp
@pytest.mark.parametrize("pixels", [16, 32, 64])
def test_the_network_is_a_function_of_its_parameters(pixels: int) -> None:
    net = ResidualNet(pixels, 5, 8)
    start = net.start(torch.Generator().manual_seed(0))
    x = torch.randn(6, 3, pixels, pixels, generator=torch.Generator().manual_seed(1))
    y = torch.arange(6) % 5

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(net.logits(parameters, x), y)

    assert loss(start).item() == pytest.approx(np.log(5)), "the last layer starts at zero"
    some = {name: value + 0.01 * torch.randn(value.shape, generator=torch.Generator().manual_seed(2))
            for name, value in start.items()}  # fmt: skip
    gradient = torch.func.grad(loss)(some)
    direction = {name: torch.randn(g.shape, generator=torch.Generator().manual_seed(3)) for name, g in gradient.items()}
    _, forward = torch.func.jvp(loss, (some,), (direction,))
    backward = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
    assert float(forward) == pytest.approx(backward, rel=1e-3)  # float32 sums of ten thousands of terms
    alone = torch.cat([net.logits(some, x[k : k + 1]) for k in range(6)])
    np.testing.assert_allclose(net.logits(some, x), alone, atol=1e-4)  # no picture depends on the ones beside it


def test_fits_side_by_side_do_not_disturb_each_other() -> None:
    rows, fresh = mixed_rows()
    alone = [TINY.fit(rows, 2, Seeds(k)) for k in range(2)]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda k: TINY.fit(rows, 2, Seeds(k)), range(2)))
        first, again = threads.map(lambda _: together[0].predict_proba(fresh), range(2))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
    assert np.array_equal(first, again) and np.array_equal(first, alone[0].predict_proba(fresh))


def test_sizes_that_do_not_fit_are_refused() -> None:
    for pixels, width in ((20, 8), (32, 12)):
        with pytest.raises(ValueError, match="multiple of"):
            ResidualNet(pixels, 2, width)


def test_prediction_in_chunks_is_prediction_at_once_and_nothing_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, fresh = mixed_rows()
    model = TINY.fit(rows, 2, Seeds(0))
    whole = model.predict_proba(fresh)
    assert len(fresh) < CHUNK
    monkeypatch.setattr("synthsift.training.convnet.CHUNK", 7)
    np.testing.assert_allclose(model.predict_proba(fresh), whole, atol=1e-6)
    assert model.predict_proba(fresh[:0]).shape == (0, 2)


def test_the_average_starts_near_the_parameters_and_then_follows_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rate of nothing the average stays at the start; a jump is followed by a fiftieth at each step."""
    rows, _ = mixed_rows()
    net = ResidualNet(16, 2, 8)
    monkeypatch.setattr(AdamW, "step", lambda self: [setattr(p, "grad", None) for p in self.parameters])
    *_, (_, average) = TINY._train(net, rows, np.arange(60), Seeds(0))
    start = net.start(Seeds(0).torch("init"))
    assert all(torch.allclose(average[name], start[name]) for name in start)
    assert cnn.AVERAGE == 0.98
