"""The worlds behind a mixing plan against slow twins, and the check that says when not to believe them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.cli.plan_check import check_verdict
from synthsift.cli.plan_mixing import MixingAsk, plan_mixing, plan_sizes
from synthsift.cli.plan_worlds import (
    FOLDS,
    RIDGES,
    NumberWorld,
    Rates,
    RowWorld,
    best_real_ridge,
    measured_world,
    with_intercept,
)
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.theory.measure import measure_geometry
from synthsift.theory.measure_audit import Audit
from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_conditional import predict_cross_validated, stratified_folds
from synthsift.theory.mixing_simulation import ridge_weights
from synthsift.theory.mixing_sources import pilot_source

SEEDS = Seeds(3)


def rows(n: int, seed: int, dim: int = 8, noise: float = 0.0, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < share, 1.0, -1.0)
    x = rng.standard_normal((n, dim)) + 0.4 * y[:, None]
    return with_intercept(x), np.where(rng.random(n) < noise, -y, y)


def world(**changes: object) -> RowWorld:
    x, y = rows(90, 0)
    z, t = rows(300, 1, noise=0.2)
    return RowWorld(**{"x": x, "y": y, "z": z, "t": t, "ridge": 0.3, "seeds": SEEDS, "num_draws": 25, **changes})  # type: ignore[arg-type]


def test_row_world_is_the_cross_validated_law() -> None:
    here = world()
    found = here.accuracy(np.array([0.0, 150.0, 300.0]), Rates.of(0.0))
    # 150 of 300 rows leave half of the noise: that of twice as many rows with half the weight, at the same penalty.
    source = replace(pilot_source(here.z, here.t, 300.0), weight=0.5)
    trains = {float((stratified_folds(here.y, FOLDS, SEEDS) != fold).sum()) for fold in range(FOLDS)}
    assert len(trains) == 1
    same_penalty = 0.3 * (min(trains) + 150.0) / (min(trains) + 300.0)
    slow = predict_cross_validated(here.x, here.y, [source], same_penalty, folds=FOLDS, seeds=SEEDS)
    assert found[1, 0] == pytest.approx(float(slow.mean), abs=1e-9)
    assert found[2, 0] == pytest.approx(here.trained(1.0, 0.3, 0.3)[1][0])  # of all rows nothing is left to chance
    right = 0
    place = stratified_folds(here.y, FOLDS, SEEDS)
    for fold in range(FOLDS):
        train = place != fold
        w = ridge_weights(here.x[train], here.y[train], np.ones(train.sum()), 0.3 * train.sum())
        right += int((here.y[~train] * (here.x[~train] @ w) > 0).sum())
    assert found[0, 0] == pytest.approx(right / 90)


def test_draws_scatter_around_the_plug_in_and_gains_are_paired() -> None:
    here = world(num_draws=200)
    values = here.accuracy(np.array([0.0, 300.0]), Rates.of(0.2, draw=np.arange(201)))
    spread = values[:, 1:].std(axis=1)
    assert (np.abs(values[:, 1:].mean(axis=1) - values[:, 0]) < 4 * spread / np.sqrt(200) + 0.002).all()
    # a bootstrap of 90 right and wrong answers
    assert spread[0] == pytest.approx(np.sqrt(values[0, 0] * (1 - values[0, 0]) / 90), rel=0.25)
    gain = values[1] - values[0]
    assert gain[1:].std() < np.hypot(*spread)


def test_best_real_ridge_has_the_lowest_loss_of_those_within_a_standard_error() -> None:
    x, y = rows(80, 5)
    place = stratified_folds(y, FOLDS, SEEDS)
    right, loss = [], []
    for ridge in RIDGES:
        found = np.empty(len(y))
        for fold in range(FOLDS):
            train = place != fold
            found[~train] = x[~train] @ ridge_weights(x[train], y[train], np.ones(train.sum()), ridge * train.sum())
        right.append(found * y > 0)
        loss.append(((y - found) ** 2).sum())
    first = min(range(len(RIDGES)), key=lambda k: (-right[k].sum(), loss[k]))
    equal = [
        k
        for k, seen in enumerate(right)
        if right[first].sum() - seen.sum() <= np.sqrt((seen != right[first]).sum())  # n^2 variance: so many differ
    ]
    assert 1 < len(equal) < len(RIDGES)
    assert best_real_ridge(x, y, SEEDS) == pytest.approx(RIDGES[min(equal, key=lambda k: loss[k])])


def test_an_intercept_lets_unequal_classes_shift_the_threshold() -> None:
    x, y = rows(400, 2, share=0.85)
    z, t = rows(400, 3, share=0.85)
    plain = world(x=x[:, :-1], y=y, z=z[:, :-1], t=t).accuracy(np.array([200.0]), Rates.of(0.0))[0, 0]
    shifted = world(x=x, y=y, z=z, t=t).accuracy(np.array([200.0]), Rates.of(0.0))[0, 0]
    assert shifted > plain + 0.005


def test_measured_world_redraws_the_separation() -> None:
    x, y = rows(200, 4)
    geometry = measure_geometry(x[:, :-1], y)
    here = measured_world(geometry, 200, 0.2, {}, SEEDS, 30)
    sizes = np.array([0.0, 100.0])
    values = here.accuracy(sizes, Rates.of(0.1, draw=np.arange(31)))
    exact = predict_accuracy(
        200, sizes, 8, None, 0.2, label_noise=0.1, spectrum=geometry.spectrum, mean=geometry.mean
    ).mean
    np.testing.assert_allclose(values[:, 0], exact, rtol=1e-12)
    assert values[0, 1:].std() > 0.002
    same = np.repeat(np.eye(8)[:1], 40, axis=0) + np.random.default_rng(0).standard_normal((40, 8))
    flat = measure_geometry(same, np.tile([-1.0, 1.0], 20))
    if flat.mean_norm.value == 0:
        with pytest.raises(DataError, match="no further apart than noise"):
            measured_world(flat, 40, 0.2, {}, SEEDS, 30)


def test_check_agrees_on_gaussian_rows_and_not_where_few_rows_decide() -> None:
    x, y = rows(300, 6, dim=30)
    z, t = rows(3000, 7, dim=30, noise=0.2)
    good = check_verdict(world(x=x, y=y, z=z, t=t, ridge=0.05).check())
    assert good["grade"] == "good" and len(good["points"]) == 3
    size = np.exp(3.0 * np.random.default_rng(0).standard_normal((3000, 1)))  # a few rows are a thousand times as long
    bad = check_verdict(world(x=x, y=y, z=z * size, t=t, ridge=0.05).check())
    assert bad["grade"] == "bad"


def test_grades() -> None:
    def graded(difference: float, error: float = 0.001) -> str:
        return str(check_verdict([{"difference": difference, "standard_error": error}])["grade"])

    assert check_verdict([])["grade"] == "none"
    assert [graded(d) for d in (0.009, -0.009, 0.02, -0.02, 0.04)] == ["good", "good", "rough", "rough", "bad"]
    assert [graded(d, 0.05) for d in (0.019, 0.021)] == ["good", "rough"]  # a wide error excuses two points at most


def test_the_amount_asked_about_is_on_the_grid() -> None:
    for asked in (None, 1.0, 777.0, 1e6):
        sizes = plan_sizes(200.0, asked)
        assert len(sizes) == 40 and sizes[0] == 0 and (np.diff(sizes) > 0).all()
        assert asked is None or asked in sizes


def test_intervals_cover_when_the_audit_is_redrawn() -> None:
    """Truth: eps .2, phi .9, rho .3. Audits of 100 rows; the interval of accuracy at 800 rows must hold the truth."""
    rng, covered, runs = np.random.default_rng(0), 0, 50
    here = NumberWorld(200.0, 200, {"generator_size": 4000}, 1.5, 1.0)
    truth = float(here.accuracy(np.array([800.0]), Rates.of(0.2, 0.9, 0.3))[0, 0])
    for _ in range(runs):
        wrong = int(rng.binomial(100, 0.2))
        kept_right, kept_wrong = int(rng.binomial(100 - wrong, 0.9)), int(rng.binomial(wrong, 0.3))
        audit = Audit(kept_right, 100 - wrong - kept_right, kept_wrong, wrong - kept_wrong)
        ask = MixingAsk(audit=audit, has_verifier=True, num_synth=800.0, num_sizes=4, num_draws=60, retune=False)
        plan = plan_mixing(here, ask, SEEDS)
        yours, at = plan["curves"]["yours"], plan["target"]["index"]
        covered += yours["low"][at] <= truth <= yours["high"][at]
    assert covered / runs > 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)
