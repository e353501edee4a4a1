"""Learned weights inside an own training loop.

    reweighter = Reweighter(model, optimizer, features, trusted=(x_valid, y_valid))
    for rows, batch in loader:                        # rows: places in `features`
        optimizer.zero_grad()
        reweighter.loss(rows, batch).backward()       # sum_i p_i l_i
        optimizer.step()                              # theta -> theta'
        reweighter.step()                             # Gamma at theta', scores at theta, one step of the selector

The learner's own step is the inner step of the bi-level problem: nothing is unrolled, no step is simulated, and one
number a row passes from the learner to the selector.

References
----------
Du, Zhao, Li 2026 (arXiv 2606.00571); Shu et al. 2019 (arXiv 1902.07379); Ren et al. 2018 (arXiv 1803.09050).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.backends import ScoreBackend
from synthsift.bilevel.controls import LearnToReweight, Objective
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.given import check_kinds, check_pool, make_selector, say_few
from synthsift.bilevel.judging import Judge
from synthsift.bilevel.live import drawn_rows, measure
from synthsift.bilevel.lookahead import LookAhead
from synthsift.bilevel.lowrank import dense
from synthsift.bilevel.noise import Noise
from synthsift.bilevel.progress import restore, state_of, summarize
from synthsift.bilevel.rowlosses import CrossEntropy, Loss, Notices, RowLosses, check_losses, scoring_mode
from synthsift.bilevel.sameness import share
from synthsift.bilevel.schedule import Keeper, Replay, Schedule, as_source, checked_rows, draw, split
from synthsift.bilevel.selector import Selector
from synthsift.bilevel.updates import Pullback
from synthsift.records import DataError, Outcome
from synthsift.seeds import as_seeds

LOST = 10  # meta-steps in a row that came to nothing, until it is no accident


class Reweighter:
    """Trains a selector beside a learner, and weighs the learner's rows by it.

    Parameters
    ----------
    model : nn.Module
        The learner; wrapped in DistributedDataParallel or not.
    optimizer : torch.optim.SGD, Adam or AdamW
        The learner's.
    features : ndarray or Tensor (rows, k), or Selector
        What is known about each row that may be trained on; or a selector, to set more about it or to share one.
    trusted : tuple or dict of Tensor, or RowSource
        Rows that judge, as `loss` takes them.
    loss : callable
        ``loss(model, batch) -> (n,)``, one number a row; by default cross-entropy of (inputs, labels). If it has a
        method ``outer(model, batch) -> (m,)``, that judges trusted rows.
    objective : Objective or LearnToReweight
        See `controls`; by default an effective batch of half the rows.
    scores : ScoreBackend
        See `backends`; by default ghost products, which give way to forward mode where they are not exact.
    schedule : Schedule
        When the selector learns, and from how much.
    pool : tuple or dict of Tensor, or RowSource, optional
        All rows that `features` describes; needed for ``Schedule(batch="fresh")``.
    pullback : callable, optional
        From Gamma to J^T Gamma, for an optimizer that is not known here.
    seeds : Seeds or int
        Everything random.
    group : ProcessGroup, optional
        The processes that share the batch; by default all of ``torch.distributed``. Gradients of the learner must be
        averaged over them, as DistributedDataParallel does. Each needs the same features, trusted rows, seeds and
        settings, and starts with the selector of the first.

    Raises
    ------
    DataError
        If there is nothing to train or to judge with, if features are not finite, the optimizer is not known, or
        processes were given different things.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        features: np.ndarray | Tensor | Selector,
        trusted: Any,
        *,
        loss: Loss | None = None,
        objective: Objective | LearnToReweight | None = None,
        scores: ScoreBackend | None = None,
        schedule: Schedule | None = None,
        pool: Any = None,
        pullback: Pullback | None = None,
        seeds: Any = 0,
        group: Any = None,
    ) -> None:
        check_kinds(objective, scores, schedule)
        self.wrapped, self.loss_of = model, CrossEntropy() if loss is None else loss
        self.of = RowLosses(model, self.loss_of)
        self.schedule, seeds = schedule or Schedule(), as_seeds(seeds)
        self.notices = Notices()
        self.backend: ScoreBackend = Ghost() if scores is None else scores
        self.backend.notices = self.notices
        self.ahead = LookAhead(self.of, optimizer, self.backend, pullback)
        self.l2r = objective if isinstance(objective, LearnToReweight) else None
        self.selector = make_selector(features, objective, self.of, seeds, group)
        self.processes = self.selector.processes
        self.trusted = as_source(trusted, "trusted")
        self.judge = Judge(self.of, self._outer, self.trusted)
        self.held, self.judges = split(self.trusted.count, self.schedule.held, seeds.torch("held"))
        say_few(self.judges, self.schedule, self.notices)
        self.pool = None if pool is None else as_source(pool, "pool")
        if self.schedule.batch == "fresh":
            check_pool(self.pool, self.selector, self.schedule, self.notices)
        self.generator = seeds.torch("reweighter")
        self.replay, self.keeper = Replay(self.schedule.replay), Keeper(self.schedule.patience)
        self.time, self.lost, self.waiting_rows, self.outcome = 0, 0, 0, Outcome.converged
        self.noise: Noise | None = None
        share(self)

    def loss(self, rows: Any, batch: Any, *, within: Any = None) -> Tensor:
        """Return the weighted loss of a batch, to be differentiated by the caller.

        Parameters
        ----------
        rows : Tensor or sequence (n,)
            Places of the rows in `features`.
        batch : Any
            The rows themselves, as the loss takes them.
        within : Tensor or sequence, optional
            Places of all rows of the step, where gradients of several parts are accumulated before it.

        Raises
        ------
        DataError
            If rows and batch do not fit, the loss is not one finite number a row, or `step` was forgotten after ten
            steps of the optimizer.
        """
        rows = checked_rows(rows, self.selector.count)
        if self.l2r:
            return self._learn_to_reweight(self.l2r, rows, batch)
        w = self._weights_of(rows)
        total = w if within is None else self._weights_of(checked_rows(within, self.selector.count))
        if not self._warming and not self.selector.objective.normalized:
            total = torch.ones_like(total)
        coefficients = self.processes.count * w / self.processes.sum(total.sum())  # DDP divides by the count
        if self.ahead.unread and torch.is_grad_enabled():
            self.ahead.clear()
            self._lose("step() was not called after the optimizer's step")
        part = self.ahead.follow(rows, batch, own=self.schedule.batch == "own") if self._due else None
        self.ahead.expected |= torch.is_grad_enabled() and not self.selector.frozen
        try:
            losses = check_losses(self.loss_of(self.wrapped, batch), len(rows))
        finally:
            if part is not None and part.tape is not None:
                part.tape.hold()  # a second term of the step's loss has other rows
        coefficients = coefficients.to(losses.device)
        loss = (coefficients.to(losses.dtype) * losses).sum()
        if part is not None:
            part.losses, part.coefficients = losses.detach(), coefficients
            part.watch(loss)
        return loss

    @property
    def _warming(self) -> bool:
        return self.time < self.schedule.warmup

    @property
    def _due(self) -> bool:
        return torch.is_grad_enabled() and not self.selector.frozen and self.schedule.is_due(self.time)

    def _weights_of(self, rows: Tensor) -> Tensor:
        """Weights (n,), all 1 during the warm-up."""
        if self._warming:
            return torch.ones(len(rows), dtype=torch.float64, device=self.selector.device)
        return self.selector.log_weights(rows).exp()

    def _learn_to_reweight(self, rule: LearnToReweight, rows: Tensor, batch: Any) -> Tensor:
        """Weigh the batch by its own scores at the learner as it is."""
        ((_, gamma),) = self.judge.gradients(self._draw(), 1)
        with scoring_mode(self.of.model, everything=True):
            scores = self.backend(self.of, self.of.parameters(), dense(gamma), batch)
        p = rule.shares(scores, self.processes)
        losses = check_losses(self.loss_of(self.wrapped, batch), len(rows))
        if not p.any():
            self.notices.say("in some batch no row had a positive score; it leaves the learner where it is")
        return (self.processes.count * p.to(losses.dtype) * losses).sum()

    def _draw(self) -> Tensor:
        """Places of this meta-step's trusted rows, in random order."""
        places = self.judges[draw(len(self.judges), self.schedule.trusted_rows, self.generator)]
        return places[torch.randperm(len(places), generator=self.generator)]

    @property
    def _outer(self) -> Loss:
        return getattr(self.loss_of, "outer", self.loss_of)

    def step(self) -> None:
        """Let the selector learn from the learner's last step, if the schedule says so. Call it after the optimizer's.

        Raises
        ------
        DataError
            If the selector's gradient is zero, or ten meta-steps in a row came to nothing.
        """
        self.ahead.close()
        try:
            if self.ahead.parts and not self.ahead.stepped:
                self._lose("the optimizer took no step between loss() and step()")
            elif self.ahead.parts and not self.ahead.drop_unpassed():
                self._lose("no backward passed the loss that loss() returned")
            elif self.ahead.parts:
                self._meta_step()
        finally:
            self.ahead.clear()
            self.time += 1

    def _meta_step(self) -> None:
        is_first = not self.replay.waiting  # of the steps that one step of the selector waits for
        is_measured = bool(self.schedule.diagnose) and is_first and self.selector.updates % self.schedule.diagnose == 0
        places = self._draw()
        gammas = self.judge.gradients(places, 2 if is_measured else 1, factored=self.ahead.takes_factors)
        share = [m / len(places) for m, _ in gammas]
        rows = self._rows_to_score()
        directions = [self.ahead.direction(gamma) for _, gamma in gammas]
        found = [self._scores(direction, rows) for direction in directions]
        self.ahead.keep(share, directions)
        scores = torch.stack([a * s for a, s in zip(share, found, strict=True)]).sum(dim=0)
        is_bad = (~torch.isfinite(scores)).sum().double()
        counts = torch.stack([is_bad, torch.full_like(is_bad, len(scores))])
        num_bad, num_rows = self.processes.sum(counts).tolist()
        if num_bad:
            self._lose("scores were not finite", Outcome.nonfinite)
            return
        if len(found) == 2:
            self.noise = measure(self.selector, rows, found, len(places), len(self.judges)).mixed(self.noise)
        self.replay.add(rows, scores)
        self.waiting_rows += round(num_rows)
        if self.waiting_rows < self.schedule.least_rows:
            return
        self.waiting_rows = 0
        steps = self.replay.steps
        numbers = self.selector.update(*self.replay.take())
        if numbers is None:
            self._lose("the gradient of the selector was not finite", Outcome.nonfinite)
            return
        self.lost = 0
        if self.noise is not None and "effective_batch" in numbers:
            total = round(numbers["effective_batch"] / numbers["effective_fraction"])
            self.noise = self.noise.pooled(total, drawn_rows(len(places), len(self.judges), steps))
        self.selector.history.append(self.time, numbers | ({} if self.noise is None else self.noise.numbers()))
        self._look_at_held()

    def _rows_to_score(self) -> Tensor:
        if self.schedule.batch == "own":
            return torch.cat([part.rows for part in self.ahead.parts])
        rows = draw(self.selector.count, self.schedule.fresh_rows, self.generator)
        return rows[self.processes.rank :: self.processes.count]

    def _scores(self, direction: Any, rows: Tensor) -> Tensor:
        if self.schedule.batch == "own":
            return self.ahead.own_scores(direction)
        assert self.pool is not None
        return self.ahead.other_scores(direction, self.pool, rows, self.schedule.chunk)

    def _lose(self, reason: str, outcome: Outcome = Outcome.degenerate) -> None:
        """A meta-step came to nothing; many in a row freeze the selector, or are a mistake in the loop."""
        self.lost += 1
        self.notices.say(f"a meta-step was left out: {reason}")
        if self.lost >= LOST and outcome is Outcome.nonfinite:
            self.selector.frozen, self.outcome = True, outcome
            self.notices.say(f"the selector was frozen after {LOST} such meta-steps in a row")
        elif self.lost >= LOST:
            raise DataError(
                f"{LOST} meta-steps in a row came to nothing: {reason}. Call loss(), backward(), optimizer.step() and "
                "step() in this order, with the optimizer that was given"
            )

    def _look_at_held(self) -> None:
        """Stop when the rows that no meta-step sees have not gained for a while."""
        if not len(self.held) or self.selector.updates % self.schedule.check:
            return
        with torch.no_grad(), scoring_mode(self.of.model, everything=True):
            loss = float(check_losses(self._outer(self.of.model, self.trusted.fetch(self.held)), len(self.held)).mean())
        self.selector.history.columns.setdefault("held_loss", []).append(loss)
        if self.keeper.look(loss, self.selector.network):
            assert self.keeper.state is not None
            self.selector.network.load_state_dict(self.keeper.state)
            self.selector.frozen = True
            self.notices.say(f"the selector stopped at step {self.time}: its best held loss was {self.keeper.best:.4g}")

    def weights(self) -> np.ndarray:
        """Return the weight of every row (rows,), mean 1.

        Raises
        ------
        DataError
            With `LearnToReweight`, whose weights live for one batch.
        """
        if self.l2r:
            raise DataError("LearnToReweight weighs batches, not rows; use another objective to get weights of rows")
        return self.selector.weights()

    def summary(self) -> list[str]:
        """Return sentences on how the selection is going: concentration, noise and what to change, notices."""
        return summarize(self)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the loop changes, but for the learner and its optimizer; see `checkpoint.save`."""
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state_dict` returned; the next steps repeat bit for bit on a CPU."""
        restore(self, state)
