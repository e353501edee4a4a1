"""Every real row both trains and judges: several learners, each judged by the fold it does not train on, one selector.

A learner has memorized its own training rows, so their gradients say little about others (and reward the rows that
look like them). With K folds of the real rows, learner k trains on all rows but fold k and its relatives, and fold k
judges it. The learners take turns, so a step costs what a step of one learner costs; all of them teach one selector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.controls import Objective
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.schedule import RowSource, as_source
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds


class CrossFit:
    """Learners that judge each other's training rows.

    Parameters
    ----------
    make : callable
        ``make() -> (model, optimizer)``, a new learner.
    features : ndarray or Tensor (rows, k), or Selector
        What is known about each row.
    pool : tuple or dict of Tensor, or RowSource
        All rows, in the order of `features`.
    real : sequence of int
        Places of the rows that judge, each for one learner, and train the others.
    folds : int
        How many learners, at least 2.
    family : array (rows,), optional
        Rows with the same number (0 or more) are relatives: they never train a learner that one of them judges.
    objective, seeds
        Of the selector; see `Reweighter`.
    **settings
        Of every `Reweighter`.

    Raises
    ------
    DataError
        If there are too few real rows or families for the folds.
    """

    def __init__(
        self,
        make: Callable[[], tuple[nn.Module, Any]],
        features: Any,
        pool: Any,
        real: Any,
        *,
        folds: int = 4,
        family: Any = None,
        objective: Objective | None = None,
        seeds: Seeds | int = 0,
        **settings: Any,
    ) -> None:
        seeds, self.pool = as_seeds(seeds), as_source(pool, "pool")
        self.selector = features if isinstance(features, Selector) else Selector(features, objective, seeds=seeds)
        if self.pool.count != self.selector.count:
            raise DataError(
                f"features describe {self.selector.count} rows, the pool has {self.pool.count}; needed is one each"
            )
        relatives = _families(family, self.pool.count)
        self.folds = _split_families(np.asarray(real, dtype=np.int64), relatives, folds, seeds.numpy("folds"))
        self.reweighters: list[Reweighter] = []
        self.allowed: list[Tensor] = []  # places that may train each learner,
        self._barred: list[np.ndarray] = []  # and whether a place (rows,) may not
        for k, fold in enumerate(self.folds):
            kin = np.isin(relatives, relatives[fold])
            self.allowed.append(torch.as_tensor(np.flatnonzero(~kin)))
            self._barred.append(kin)
            model, optimizer = make()
            own = seeds.child("learner", k)
            source = self._judges(torch.as_tensor(fold))
            self.reweighters.append(
                Reweighter(model, optimizer, self.selector, source, pool=pool, seeds=own, **settings)
            )
        if min(map(len, self.allowed)) < 2:
            raise DataError("a fold and its relatives leave fewer than two rows to train on; use more folds or rows")
        self.generator, self.turn = seeds.torch("turns"), 0

    def _judges(self, fold: Tensor) -> RowSource:
        return RowSource(len(fold), lambda places: self.pool.fetch(fold[places]))

    def draw(self, batch: int) -> tuple[int, Tensor]:
        """Return whose turn it is, and `batch` places that this learner may train on."""
        k = self.turn % len(self.reweighters)
        self.turn += 1
        allowed = self.allowed[k]
        return k, allowed[torch.randperm(len(allowed), generator=self.generator)[:batch]]

    def step(self, k: int, rows: Tensor) -> float:
        """Let learner k take a step on these rows and the selector learn from it; return the weighted loss.

        Raises
        ------
        DataError
            If a row, or a relative of it, judges this learner, or there is no such row.
        """
        places = rows.numpy()
        known = (places >= 0) & (places < self.pool.count)
        strange = np.unique(places[~known | self._barred[k][np.where(known, places, 0)]])
        if len(strange):
            raise DataError(f"rows {strange[:5].tolist()} judge learner {k} or are relatives of its judges; use draw()")
        reweighter = self.reweighters[k]
        optimizer = reweighter.ahead.optimizer
        optimizer.zero_grad()
        loss = reweighter.loss(rows, self.pool.fetch(rows))
        loss.backward()
        optimizer.step()
        reweighter.step()
        return float(loss.detach())

    def train(self, steps: int, batch: int) -> np.ndarray:
        """Take `steps` steps, each learner in its turn; return the weights of all rows, mean 1."""
        for _ in range(steps):
            self.step(*self.draw(batch))
        return self.weights()

    def weights(self) -> np.ndarray:
        """Return the weight of every row (rows,), mean 1."""
        return self.selector.weights()

    def state_dict(self) -> dict[str, Any]:
        """Return all that training changes, but for the learners and their optimizers."""
        states = [reweighter.state_dict() for reweighter in self.reweighters]
        return {"reweighters": states, "generator": self.generator.get_state(), "turn": self.turn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state_dict` returned."""
        for reweighter, of in zip(self.reweighters, state["reweighters"], strict=True):
            reweighter.load_state_dict(of)
        self.generator.set_state(state["generator"])
        self.turn = state["turn"]


def _families(family: Any, count: int) -> np.ndarray:
    """One number a row; rows without a family get one of their own."""
    if family is None:
        return np.arange(count)
    family = np.asarray(family, dtype=np.int64)
    if family.shape != (count,):
        raise DataError(f"family has shape {family.shape} for {count} rows; needed is one number a row")
    alone = family < 0
    return np.where(alone, family.max(initial=0) + 1 + np.cumsum(alone), family)


def _split_families(real: np.ndarray, family: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Deal the families of the real rows to folds, largest first into the smallest fold."""
    if folds < 2:
        raise DataError(f"folds is {folds}; a learner must not judge its own rows, so at least 2 are needed")
    if len(real) != len(np.unique(real)) or (len(real) and (real.min() < 0 or real.max() >= len(family))):
        raise DataError(f"real rows must be different places from 0 to {len(family) - 1}")
    names, sizes = np.unique(family[real], return_counts=True)
    if len(names) < folds:
        raise DataError(f"the real rows are {len(names)} families for {folds} folds; use fewer folds or more real rows")
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    home, size = np.zeros(len(names), dtype=np.int64), np.zeros(folds)
    for name in order:
        home[name] = size.argmin()
        size[home[name]] += sizes[name]
    of = home[np.searchsorted(names, family[real])]
    return [real[of == k] for k in range(folds)]
