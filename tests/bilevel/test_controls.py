"""Objectives against automatic differentiation, targets that are met, and splits that do not matter."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from synthsift.bilevel import controls
from synthsift.bilevel.controls import (
    EffectiveBatch,
    LearnToReweight,
    Objective,
    SelfNormalized,
    Sums,
    Unnormalized,
    ValueRegression,
    tempered,
)
from synthsift.bilevel.objective import meta_gradient
from synthsift.bilevel.processes import Processes
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError

ALONE = Processes.alone()
N = 40


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Z, S = -normal(N, seed=1).abs(), 3 + 5 * normal(N, seed=2)


def effective_size(p: Tensor) -> float:
    """1 / sum p^2."""
    return float(1 / (p * p).sum())


def relative_error(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


@pytest.mark.parametrize("strength", [0.0, 0.5, 3.0])
def test_self_normalized_is_the_meta_gradient_of_the_whole_batch(strength: float) -> None:
    found, numbers = SelfNormalized(strength).coefficients(Z, S, ALONE)
    assert relative_error(found, meta_gradient(Z, S, strength)) < 1e-12
    p = torch.softmax(Z, dim=0)
    assert numbers["effective_batch"] == pytest.approx(effective_size(p))
    assert numbers["mean_weight"] == pytest.approx(float(Z.exp().mean()))
    loss = -(p * (S - S.mean())).sum() / S.std() + strength * (p * torch.log(N * p)).sum()
    assert numbers["loss"] == pytest.approx(float(loss))


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_effective_batch_moves_towards_its_target(fraction: float) -> None:
    """The promised rate, by a small step of the flow of free logits; then the whole flow arrives."""
    goal = EffectiveBatch(fraction, least=0.0)
    z = Z.clone()

    def flow(z: Tensor) -> Tensor:
        p, s = torch.softmax(z, dim=0), (S - S.mean()) / S.std()
        log_p, strength = torch.log_softmax(z, dim=0), goal.strength(Sums.of(z, S, ALONE))
        return (s - (p * s).sum()) - strength * (log_p - (p * log_p).sum())

    def log_size(z: Tensor) -> float:
        return math.log(effective_size(torch.softmax(z, dim=0)) / N)

    step = 1e-5
    slope = (log_size(z + step * flow(z)) - log_size(z - step * flow(z))) / (2 * step)
    if goal.strength(Sums.of(z, S, ALONE)) > 0:
        assert slope == pytest.approx(math.log(fraction) - log_size(z), abs=1e-6)
    for _ in range(3000):
        z = z + 0.01 * flow(z)
    assert log_size(z) == pytest.approx(math.log(fraction), abs=0.03)


def test_the_bare_objective_ends_at_a_vertex_and_the_controlled_one_does_not() -> None:
    ends = {}
    for goal in (SelfNormalized(0.0), SelfNormalized(0.5), EffectiveBatch(0.5, least=0.0)):
        z = torch.zeros(N, dtype=torch.float64, requires_grad=True)
        for _ in range(4000):
            c, _ = goal.coefficients(z.detach(), S, ALONE)
            z.data -= 2.0 * c
        ends[repr(goal)] = effective_size(torch.softmax(z.detach(), dim=0)) / N
    bare, kl, target = ends.values()
    assert bare < 0.05 and kl > 0.1 and abs(target - 0.5) < 0.05


def test_value_regression_is_least_squares() -> None:
    v = normal(N, seed=3).requires_grad_()
    found, numbers = ValueRegression(0.5).coefficients(v.detach(), S, ALONE)
    loss = 0.5 * ((v - (S - S.mean()) / S.std()) ** 2).mean()
    assert relative_error(found, torch.autograd.grad(loss, v)[0]) < 1e-12
    assert numbers["loss"] == pytest.approx(float(loss.detach()))


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.5, 0.95])
def test_tempered_values_have_the_effective_fraction(fraction: float) -> None:
    v = 100 + 7 * normal(300, seed=4)
    z = tempered(v, fraction, ALONE)
    assert effective_size(torch.softmax(z, dim=0)) / 300 == pytest.approx(fraction, rel=1e-6)
    assert bool((torch.argsort(z) == torch.argsort(v)).all())
    assert torch.equal(tempered(torch.full((9,), 2.0, dtype=torch.float64), fraction, ALONE), torch.zeros(9).double())


def test_a_target_out_of_reach_gets_the_steepest_weights() -> None:
    v = torch.ones(100, dtype=torch.float64)
    v[0] = 0.0  # 99 of 100 rows share the top: no b brings the fraction below .99
    z = tempered(v, 0.5, ALONE)
    assert torch.isfinite(z.exp()).all() and effective_size(torch.softmax(z, dim=0)) == pytest.approx(99)


def test_unnormalized_pushes_all_weights_by_the_mean_score() -> None:
    z = Z.clone().requires_grad_()
    loss = -(z.exp() * S).mean() / (S**2).mean().sqrt()
    found, _ = Unnormalized().coefficients(Z, S, ALONE)
    assert relative_error(found, torch.autograd.grad(loss, z)[0]) < 1e-12
    assert float(found.sum()) < 0  # scores have a positive mean here; a normalized gradient sums to 0
    assert abs(float(SelfNormalized(0.0).coefficients(Z, S, ALONE)[0].sum())) < 1e-14


def test_learning_to_reweight() -> None:
    s = torch.tensor([1.0, -2.0, 3.0, 0.0])
    assert torch.equal(LearnToReweight().shares(s, ALONE), torch.tensor([0.25, 0, 0.75, 0], dtype=torch.float64))
    assert not LearnToReweight().shares(-s.abs(), ALONE).any()


GOALS: list[Objective] = [SelfNormalized(0.4), EffectiveBatch(0.6), ValueRegression(0.4), Unnormalized()]


@pytest.mark.parametrize("goal", GOALS, ids=repr)
def test_scale_does_not_matter(goal: Objective) -> None:
    small, large = (goal.coefficients(Z, factor * S, ALONE)[0] for factor in (1e-8, 1e8))
    assert relative_error(small, large) < 1e-12


@pytest.mark.parametrize("goal", GOALS, ids=repr)
def test_no_signal_is_no_reward(goal: Objective) -> None:
    """Equal scores: only the pull to equal weights is left."""
    c, numbers = goal.coefficients(Z, torch.zeros(N).double(), ALONE)
    assert torch.isfinite(c).all() and all(torch.isfinite(torch.tensor(list(numbers.values()))))


@pytest.mark.parametrize("goal", GOALS, ids=repr)
def test_chunks_of_the_selector_do_not_matter(goal: Objective, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes give the gradient of the one large batch; locally normalized chunks do not."""
    rows, scores = torch.arange(N), S
    found = {}
    for size in (1000, 7):
        monkeypatch.setattr("synthsift.bilevel.selector.ROWS_AT_ONCE", size)
        selector = Selector(normal(N, 5, seed=6), goal, hidden=4, dtype=torch.float64)
        with torch.no_grad():
            selector.network.last.weight.copy_(3 * normal(1, 4, seed=7))
        selector.gradient(rows, scores)
        found[size] = torch.cat([p.grad.reshape(-1) for p in selector.network.parameters()])  # type: ignore[union-attr]
    assert relative_error(found[7], found[1000]) < 1e-12
    local = torch.zeros_like(found[7])
    for part in rows.split(7):
        selector.gradient(part, scores[part])
        grads = [p.grad.reshape(-1) for p in selector.network.parameters()]  # type: ignore[union-attr]
        local += torch.cat(grads) * len(part) / N
    assert relative_error(local, found[1000]) > 1e-3


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_impossible_targets_are_refused(fraction: float) -> None:
    for make in (EffectiveBatch, ValueRegression):
        with pytest.raises(DataError, match="between 0 and 1"):
            make(fraction)


def test_the_search_for_b_does_not_depend_on_how_many_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the whole grid at once, (64, n) numbers."""
    v = normal(5000, seed=6)

    def whole(values: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        w = torch.exp((b[:, None] * values).clamp(max=300.0))
        return torch.stack([w.sum(dim=1), (w * w).sum(dim=1)])

    found = {}
    for rows in (1, 700, 4096):
        monkeypatch.setattr(controls, "ROWS_AT_ONCE", rows)
        found[rows] = tempered(v[:900] if rows == 1 else v, 0.3, ALONE)
    monkeypatch.setattr(controls, "_power_sums", whole)
    for rows, z in found.items():
        right = tempered(v[:900] if rows == 1 else v, 0.3, ALONE)
        assert float((z - right).abs().max()) < 1e-12


def test_the_search_for_b_holds_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """No array of it is larger than the grid times `ROWS_AT_ONCE`; with the whole grid it would be 16 times that."""
    largest, exp = [], torch.exp
    monkeypatch.setattr(torch, "exp", lambda values: (largest.append(values.numel()), exp(values))[1])  # type: ignore[func-returns-value]
    tempered(normal(16 * controls.ROWS_AT_ONCE, seed=1), 0.5, ALONE)
    assert max(largest) == controls.GRID * controls.ROWS_AT_ONCE


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_strengths_that_are_none(value: float) -> None:
    with pytest.raises(DataError, match=f"strength is {value}"):
        SelfNormalized(value)
    with pytest.raises(DataError, match=f"least is {value}"):
        EffectiveBatch(0.5, least=value)
