"""The strength is chosen by rows the models did not see, and out-of-fold predictions are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds
from synthsift.training import choosing
from synthsift.training.choosing import STRENGTHS, CrossFit, family_folds, fit_chosen
from synthsift.training.logistic import fit_logistic

Rows = tuple[np.ndarray, np.ndarray]


def draw(num: int, rng: np.random.Generator, *, d: int = 20, num_classes: int = 3, signal: float = 0.25) -> Rows:
    """Rows of a softmax law with fixed slopes of size `signal`."""
    slopes = signal * np.random.default_rng(99).standard_normal((d, num_classes))
    x = rng.standard_normal((num, d))
    return x, (x @ slopes + rng.gumbel(size=(num, num_classes))).argmax(axis=1)


def choose(x: np.ndarray, y: np.ndarray, is_real: np.ndarray | None = None, **more: np.ndarray | float) -> CrossFit:
    real = np.ones(len(y), dtype=bool) if is_real is None else is_real
    return fit_chosen(x, y, np.ones(len(y)), real, int(y.max()) + 1, Seeds(0), **more)


def mean_and_error(prob: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    losses = row_losses(prob, y)
    return float(losses.mean()), float(losses.std() / np.sqrt(len(losses)))


@pytest.mark.parametrize("signal", [0.05, 0.25, 1.0])
@pytest.mark.parametrize("way", ["leave one out", "three folds"])
def test_the_chosen_strength_is_better_than_both_ends_of_the_path(
    signal: float, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "three folds":
        monkeypatch.setattr(choosing, "_choose_by_leave_one_out", None)
    rng = np.random.default_rng(1)
    x, y = draw(150, rng, signal=signal)
    fresh_x, fresh_y = draw(4000, rng, signal=signal)
    # every row alone: leave one out; in pairs: folds
    family = np.arange(150) // 2 if way == "three folds" else np.arange(150)
    chosen = choose(x, y, family=family).model
    losses = row_losses(chosen.predict_proba(fresh_x), fresh_y)
    for end in (STRENGTHS[0], STRENGTHS[-1]):
        model = fit_logistic(x, y, np.ones(150), 3, end)
        worse = row_losses(model.predict_proba(fresh_x), fresh_y) - losses
        # 1e-3: predictions of one and the same model differ by so much between Newton and L-BFGS
        assert worse.mean() > -2 * worse.std() / np.sqrt(4000) - 1e-3, f"{chosen.strength} against {end}"


@pytest.mark.parametrize("way", ["leave one out", "three folds"])
def test_rows_judge_as_much_as_they_are_told_to(way: str) -> None:
    """Class 0 is a matter of the inputs, 1 and 2 are of chance: who hears class 0 alone takes a weaker penalty."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((160, 20))
    y = np.where(x[:, 0] > 1.0, 0, rng.integers(1, 3, size=160))
    family = np.arange(160) // 2 if way == "three folds" else np.arange(160)
    heard = {k: choose(x, y, family=family, judging=(y == k).astype(float)).model.strength for k in (0, 1)}
    assert heard[0] > choose(x, y, family=family).model.strength >= heard[1]


def test_a_given_strength_is_kept() -> None:
    x, y = draw(60, np.random.default_rng(0))
    assert choose(x, y, strength=STRENGTHS[9]).model.strength == STRENGTHS[9]
    want = fit_logistic(x, y, np.ones(60), 3, STRENGTHS[9]).predict_proba(x)
    np.testing.assert_allclose(choose(x, y, strength=STRENGTHS[9]).model.predict_proba(x), want, atol=2e-3)


def copied_rows(times: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Real rows followed by `times` exact copies of each as synthetic rows, with their families."""
    x, y = draw(120, np.random.default_rng(2), signal=0.15)
    rows = np.concatenate([np.arange(120)] * (times + 1))
    return x[rows], y[rows], np.arange(len(rows)) < 120, rows


def test_relatives_of_a_judged_row_never_train() -> None:
    x, y, is_real, family = copied_rows()
    leaky, honest = choose(x, y, is_real), choose(x, y, is_real, family=family)
    fresh_x, fresh_y = draw(4000, np.random.default_rng(3), signal=0.15)
    assert honest.model.strength < leaky.model.strength, "copies in training let a judge be learned by heart"
    loss, error = mean_and_error(honest.out_of_fold, y[is_real])
    fresh, fresh_error = mean_and_error(honest.model.predict_proba(fresh_x), fresh_y)
    # the folds train on two thirds of the families, so they may be a little worse than the final model, never better
    assert loss > fresh - 4 * np.hypot(error, fresh_error)
    assert mean_and_error(leaky.out_of_fold, y[is_real])[0] < fresh - 4 * np.hypot(error, fresh_error)
    assert fresh < mean_and_error(leaky.model.predict_proba(fresh_x), fresh_y)[0] - 4 * fresh_error


def test_a_few_relatives_leave_the_judging_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the real rows has ten copies each: one fit a strength still, and no row is judged beside a copy."""
    monkeypatch.setattr(choosing, "_choose_by_folds", None)
    x, y = draw(200, np.random.default_rng(4), signal=0.15)
    rows = np.r_[np.arange(200), np.tile(np.arange(20), 10)]
    x, y, is_real = x[rows], y[rows], np.arange(len(rows)) < 200
    leaky, honest = choose(x, y, is_real), choose(x, y, is_real, family=rows)
    fresh_x, fresh_y = draw(4000, np.random.default_rng(5), signal=0.15)
    assert honest.model.strength < leaky.model.strength
    fresh, _ = mean_and_error(honest.model.predict_proba(fresh_x), fresh_y)
    assert fresh < mean_and_error(leaky.model.predict_proba(fresh_x), fresh_y)[0]
    copied, error = mean_and_error(honest.out_of_fold[:20], y[:20])
    assert copied > fresh - 4 * error > mean_and_error(leaky.model.predict_proba(x[:20]), y[:20])[0]
    same = choose(x, y, is_real, strength=honest.model.strength)
    # found on a path and found at once: both stop within a step of the optimum
    np.testing.assert_allclose(honest.out_of_fold[20:], same.out_of_fold[20:], atol=2e-3)
    np.testing.assert_allclose(honest.model.coef, same.model.coef, atol=2e-3)


def test_only_families_that_have_relatives_change_anything() -> None:
    x, y = draw(100, np.random.default_rng(0))
    plain, alone = choose(x, y), choose(x, y, family=np.arange(100))
    assert np.array_equal(plain.model.coef, alone.model.coef)
    assert np.array_equal(plain.out_of_fold, choose(x, y, family=np.full(100, -1)).out_of_fold)


@pytest.mark.parametrize("size", ["small", "folds", "one holdout"])
def test_out_of_fold_losses_are_those_of_fresh_rows(size: str) -> None:
    # 200 parameters or fewer are judged by leaving one out, then by 3 folds; from 1e6 entries on by one fold of 3
    num, d = {"small": (400, 40), "folds": (400, 250), "one holdout": (1500, 340)}[size]
    rng = np.random.default_rng(4)
    x, y = draw(num, rng, d=d, num_classes=2, signal=1.5 / np.sqrt(d))
    fresh_x, fresh_y = draw(4000, rng, d=d, num_classes=2, signal=1.5 / np.sqrt(d))
    fit = choose(x, y)
    loss, error = mean_and_error(fit.out_of_fold, y)
    fresh, fresh_error = mean_and_error(fit.model.predict_proba(fresh_x), fresh_y)
    seen = mean_and_error(fit.model.predict_proba(x), y)[0]
    assert seen < fresh - 2 * error, "rows that were seen are predicted much better"
    assert abs(loss - fresh) < 3 * np.hypot(error, fresh_error)


@pytest.mark.parametrize("num_synth", [0, 30])
def test_a_handful_of_real_rows_is_predicted_out_of_fold_too(num_synth: int) -> None:
    # every real row is the only one of its kind: no model that did not see it can know its class
    x = np.concatenate([100 * np.eye(5), np.zeros((num_synth, 5))])
    y = np.r_[[0, 1, 0, 1, 0], np.arange(num_synth) % 2]
    fit = choose(x, y, np.arange(len(y)) < 5)
    assert fit.model.predict_proba(x[:5])[np.arange(5), y[:5]].min() > 0.85
    assert fit.out_of_fold[np.arange(5), y[:5]].max() < 0.8


def test_out_of_fold_predictions_follow_the_order_of_the_real_rows() -> None:
    x, y = draw(300, np.random.default_rng(5), signal=2.0)
    for family in (np.arange(300), np.arange(300) // 2):
        is_real = np.random.default_rng(0).random(300) < 0.5
        out = choose(x, y, is_real, family=family).out_of_fold
        assert out.shape == (is_real.sum(), 3)
        assert np.mean(out.argmax(axis=1) == y[is_real]) > 0.7
        np.testing.assert_allclose(out.sum(axis=1), 1.0, atol=1e-9)


def test_a_class_of_synthetic_rows_only_is_trained() -> None:
    x, y = draw(90, np.random.default_rng(0))
    fit = choose(x, y, y < 2)
    assert fit.out_of_fold.shape == (np.count_nonzero(y < 2), 3) and fit.out_of_fold[:, 2].max() > 0


def test_one_class_needs_no_choice() -> None:
    x, _ = draw(20, np.random.default_rng(0))
    fit = fit_chosen(x, np.ones(20, dtype=int), np.ones(20), np.ones(20, dtype=bool), 3, Seeds(0))
    assert np.array_equal(fit.out_of_fold, np.tile([0.0, 1.0, 0.0], (20, 1)))


def test_inner_folds_keep_families_together() -> None:
    rng = np.random.default_rng(0)
    y, real = rng.integers(2, size=60), np.arange(30)
    family = np.r_[np.arange(30) // 2, np.repeat(np.arange(15), 1), np.full(15, -1)]  # pairs, a child each, strangers
    fold = family_folds(y, real, family, 3, Seeds(0))
    assert set(fold[:30].tolist()) == {0, 1, 2}
    for name in range(15):
        assert len(set(fold[family == name].tolist())) == 1
    assert np.all(fold[45:] == -1), "rows that belong to nobody always train"


def test_two_families_make_two_inner_folds() -> None:
    y, real = np.tile([0, 1], 10), np.arange(12)
    fold = family_folds(y, real, np.r_[np.repeat([0, 1], 6), np.full(8, -1)], 3, Seeds(0))
    assert sorted([set(fold[:6].tolist()), set(fold[6:12].tolist())], key=min) == [{0}, {1}] and np.all(fold[12:] == -1)
    x, _ = draw(20, np.random.default_rng(0))
    family = np.r_[np.repeat([0, 1], 6), np.full(8, -1)]
    fit = fit_chosen(x, y, np.ones(20), np.arange(20) < 12, 2, Seeds(0), family=family)
    assert np.allclose(fit.out_of_fold.sum(axis=1), 1) and len(fit.out_of_fold) == 12


def test_a_single_family_is_folded_row_by_row() -> None:
    y, real = np.tile([0, 1], 10), np.arange(12)
    fold = family_folds(y, real, np.zeros(20, dtype=int), 3, Seeds(0))
    assert np.bincount(fold[real]).tolist() == [4, 4, 4] and np.all(fold[12:] == -1)


def test_the_same_seeds_give_the_same_folds_and_other_seeds_others() -> None:
    y, real = np.tile([0, 1], 30), np.arange(60)
    first, again, other = (family_folds(y, real, None, 3, Seeds(k)) for k in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
