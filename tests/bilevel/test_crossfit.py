"""Real rows that train and judge, and values from two models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthsift.bilevel.controls import ValueRegression
from synthsift.bilevel.crossfit import CrossFit
from synthsift.bilevel.rowlosses import CrossEntropy
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector
from synthsift.bilevel.values import difference_of_models, fit_values, row_losses_of, trusted_and_training_loss
from synthsift.records import DataError

REAL, SYNTH, DIM = 80, 320, 6
ROWS = REAL + SYNTH


def each(**settings: Any) -> Schedule:
    """A schedule whose selector steps with every step of the learner, however small the batch."""
    return Schedule(**{"least_rows": 1, **settings})


def world(seed: int = 0) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Real rows first; 60 % of the synthetic ones have the wrong label, and a noisy feature tells which."""
    rng = np.random.default_rng(seed)
    means, y = rng.normal(0, 0.8, (2, DIM)), rng.integers(2, size=ROWS)
    x = torch.tensor(means[y] + rng.normal(0, 1, (ROWS, DIM)), dtype=torch.float32)
    bad = (np.arange(ROWS) >= REAL) & (rng.random(ROWS) < 0.6)
    features = np.stack([bad + rng.normal(0, 0.5, ROWS), rng.normal(0, 1, ROWS)], axis=1)
    return x, torch.tensor(np.where(bad, 1 - y, y)), bad, features


def learner() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = nn.Linear(DIM, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def auroc(weights: np.ndarray, bad: np.ndarray) -> float:
    w, b = weights[REAL:], bad[REAL:]
    return float(np.mean(w[~b][:, None] > w[b][None]))


def make(**settings: Any) -> CrossFit:
    x, y, _, features = world()
    settings = {"pool": (x, y), "real": np.arange(REAL), "schedule": each(diagnose=0), **settings}
    return CrossFit(learner, settings.pop("features", features), **settings)


def test_wrong_labels_are_found_without_a_validation_set() -> None:
    bad = world()[2]
    cross = make()
    weights = cross.train(160, 64)
    assert auroc(weights, bad) > 0.85  # the feature itself: .92
    assert cross.selector.updates == 160 and weights.shape == (ROWS,)


def test_every_real_row_judges_one_learner_and_trains_the_others() -> None:
    cross = make(folds=3)
    judged = np.concatenate(cross.folds)
    assert np.array_equal(np.sort(judged), np.arange(REAL)) and max(map(len, cross.folds)) == 27
    for k, fold in enumerate(cross.folds):
        assert np.array_equal(cross.allowed[k].numpy(), np.setdiff1d(np.arange(ROWS), fold))
    for turn in range(7):
        k, rows = cross.draw(50)
        assert k == turn % 3 and len(rows) == 50 and np.isin(rows, cross.allowed[k]).all()


def test_relatives_of_judges_do_not_train() -> None:
    family = np.full(ROWS, -1)
    family[:REAL] = np.arange(REAL) // 4
    family[REAL : REAL + 20] = np.arange(20)  # synthetic rows made from them
    cross = make(family=family)
    for fold, allowed in zip(cross.folds, cross.allowed, strict=True):
        assert set(family[fold]).isdisjoint(family[allowed[np.isin(allowed, np.flatnonzero(family >= 0))]])
        assert len(allowed) == ROWS - len(fold) - len(set(family[fold]))
    with pytest.raises(DataError, match="judge learner 0 or are relatives"):
        cross.step(0, torch.as_tensor(cross.folds[0][:3]))
    own, ok = int(cross.folds[0][0]), int(cross.allowed[0][0])
    for strange in (ROWS, -1, own, REAL + int(family[own])):  # the last one was made from a judge
        with pytest.raises(DataError, match=rf"rows \[{strange}\] judge learner 0"):
            cross.step(0, torch.as_tensor([ok, strange, strange]))


def test_resuming() -> None:
    found = []
    for resume in (False, True):
        cross = make(folds=2)
        cross.train(4, 30)
        if resume:
            again = make(folds=2)
            again.load_state_dict(cross.state_dict())
            for old, new in zip(cross.reweighters, again.reweighters, strict=True):
                new.of.model.load_state_dict(old.of.model.state_dict())
                new.ahead.optimizer.load_state_dict(old.ahead.optimizer.state_dict())
            cross = again
        found.append(cross.train(3, 30))
    assert np.array_equal(*found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "at least 2"),
        ({"real": [0, 1, 2], "folds": 4}, "3 families for 4 folds"),
        ({"real": [0, 0, 1]}, "different places"),
        ({"real": [0, ROWS]}, "different places"),
        ({"family": np.zeros(3)}, "one number a row"),
        ({"family": np.zeros(ROWS)}, "1 families for 4 folds"),
        ({"features": np.eye(5)}, "describe 5 rows"),
    ],
)
def test_bad_input(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**settings)


# ---------------------------------------------------------------------------------------------- difference of models


def fit(x: Tensor, y: Tensor, alpha: float | None) -> nn.Module:
    """U (alpha None: all rows) or W, by full-batch descent from the same start."""
    model, optimizer = learner()
    for _ in range(60):
        optimizer.zero_grad()
        losses = CrossEntropy()(model, (x, y))
        (losses.mean() if alpha is None else trusted_and_training_loss(losses[:REAL], losses, alpha)).backward()
        optimizer.step()
    return model


def test_difference_of_models_finds_wrong_labels() -> None:
    x, y, bad, features = world()
    u, w = fit(x, y, None), fit(x, y, 0.1)
    targets = difference_of_models(u, w, CrossEntropy(), (x, y))
    right = CrossEntropy()(u, (x, y)) - CrossEntropy()(w, (x, y))
    assert torch.allclose(targets, right.detach(), atol=1e-6) and not targets.requires_grad
    selector = Selector(features, ValueRegression(0.5))
    losses: list[float] = []
    weights = fit_values(selector, targets, 120, watch=lambda numbers: losses.append(numbers["loss"]))
    assert auroc(weights, bad) > 0.85 and losses[-1] < 0.9 * losses[0]
    assert weights.sum() ** 2 / (weights**2).sum() / ROWS == pytest.approx(0.5, rel=1e-3)
    shuffled = targets[torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))]
    control = fit_values(Selector(features, ValueRegression(0.5)), shuffled, 120)
    assert abs(auroc(control, bad) - 0.5) < 0.25  # a fit of noise has some order; .92 is possible


def test_values_that_do_not_fit() -> None:
    x, y, _, features = world()
    with pytest.raises(DataError, match="fitted by ValueRegression"):
        fit_values(Selector(features), torch.zeros(ROWS), 1)
    for targets in (torch.zeros(3), torch.full((ROWS,), torch.nan)):
        with pytest.raises(DataError, match="finite numbers, one a row"):
            fit_values(Selector(features, ValueRegression()), targets, 1)
    with pytest.raises(DataError, match="all scores are zero"):
        fit_values(Selector(features, ValueRegression()), torch.zeros(ROWS), 1)
    with pytest.raises(DataError, match="reduction='none'"):
        row_losses_of(nn.Linear(DIM, 2), lambda m, b: m(b[0]).mean(), (x, y))
