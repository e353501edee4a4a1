"""One step of the learner as the inner step of the bi-level problem: what is kept of it, and the scores it gives.

The real step theta -> theta' serves as the look-ahead, so no step is simulated. Of theta only what the score backend
needs is kept: nothing but activations for ghost products, one copy of the parameters for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthsift.bilevel import updates
from synthsift.bilevel.backends import FiniteDifference, LastLayer, ScoreBackend, last_linear
from synthsift.bilevel.ghost import ALIKE, Ghost
from synthsift.bilevel.lowrank import Direction, dense
from synthsift.bilevel.randomness import random_state, same_random_numbers
from synthsift.bilevel.rowlosses import RowLosses, has_batch_statistics, scoring_mode
from synthsift.bilevel.schedule import RowSource
from synthsift.bilevel.scores import Parameters
from synthsift.bilevel.tape import Tape
from synthsift.records import DataError

APART = (
    "batch norm mixes the rows of the step, so its own rows are scored by ghost products of a second pass with frozen "
    "statistics, as fresh ones are"
)


@dataclass
class Part:
    """Rows that the coming step rests on: all of its batch, or one of several accumulated parts."""

    rows: Tensor
    batch: Any
    tape: Tape | None
    random: Any
    mixed: bool  # precision; losses then have fewer digits than the parameters
    losses: Tensor | None = None
    coefficients: Tensor | None = None
    passed: bool = False  # by a backward

    def watch(self, loss: Tensor) -> None:
        """Note when the backward of the part's weighted loss comes by."""

        def note(_: Tensor) -> None:
            self.passed = True

        loss.register_hook(note)


class LookAhead:
    """Follows the learner's optimizer around one step at a time.

    Parameters
    ----------
    of : RowLosses
        The learner.
    optimizer : torch.optim.Optimizer
        Gets two hooks around its step.
    backend : ScoreBackend
        How scores are taken.
    pullback : callable, optional
        Replaces `updates`.
    """

    def __init__(
        self, of: RowLosses, optimizer: Any, backend: ScoreBackend, pullback: updates.Pullback | None = None
    ) -> None:
        self.of, self.backend, self.pullback = of, backend, pullback
        self.optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        if pullback is None:
            updates.check_optimizer(self.optimizer)
        if not {p for group in self.optimizer.param_groups for p in group["params"]} & set(of.names):
            raise DataError("the optimizer holds none of the model's trainable parameters; make it from this model")
        self.stale: Parameters | None = None
        self.clear()
        self.expected = self.unread = False
        self.optimizer.register_step_pre_hook(self._before)
        self.optimizer.register_step_post_hook(self._after)

    def close(self) -> None:
        """The learner's forwards and backwards of this step are over: later ones are not its business."""
        for part in self.parts:
            if part.tape is not None:
                part.tape.close()

    def clear(self) -> None:
        """Forget the step."""
        differences = getattr(self.backend, "fallback", self.backend)
        if isinstance(differences, FiniteDifference):
            differences.release()
        self.parts: list[Part] = []
        self._old: Parameters | None = None
        self._entries: dict[str, updates.GroupBefore] | None = None
        self._factors: dict[str, Tensor | float] = {}
        self.expected = self.unread = False  # a step of the optimizer; the step that came and that nobody has read

    def follow(self, rows: Tensor, batch: Any, *, own: bool) -> Part:
        """Get ready for a forward and backward on a batch; `own`: its rows will be scored."""
        if self.parts and self.parts[-1].tape is not None:
            self.parts[-1].tape.close()  # its backward has passed
        random = random_state() if own and self.of.model.training else None
        mixed = any(torch.is_autocast_enabled(kind) for kind in {p.device.type for p in self.of.trainable.values()})
        self.parts.append(Part(rows, batch, self._tape(batch, len(rows)) if own else None, random, mixed))
        return self.parts[-1]

    def _tape(self, batch: Any, count: int) -> Tape | None:
        ghost = self.backend
        if isinstance(ghost, LastLayer):  # what it needs passes by anyway
            return Tape(self.of, only=last_linear(self.of.model, self.of.trainable)[1])
        if not isinstance(ghost, Ghost) or ghost.fallback is not None:
            return None
        if any(has_batch_statistics(m) and (m.training or m.running_mean is None) for m in self.of.model.modules()):
            self.backend.notices.say(APART)
            return None
        if ghost.gives_up(self.of, batch, count):
            return None
        stale = self.stale if ghost.stale and ghost.verified else None
        return ghost.tape(self.of, count, stale, verify=not ghost.verified)

    def _before(self, *_: Any) -> None:
        """Keep what the optimizer is about to overwrite."""
        self.unread = self.expected
        if not self.parts:
            return
        self._entries = updates.before_step(self.optimizer, self.of.names)
        is_sure = isinstance(self.backend, LastLayer) or (isinstance(self.backend, Ghost) and self.backend.verified)
        is_ghostly = is_sure and all(part.tape for part in self.parts)
        if not is_ghostly or updates.needs_old_parameters(self.optimizer):
            self._old = {name: p.detach().clone() for name, p in self.of.trainable.items()}

    def _after(self, *_: Any) -> None:
        """Read how the step answers to its gradient, while the gradient is there."""
        if self._entries is not None and self.pullback is None:
            self._factors = updates.multipliers(self.optimizer, self.of.names, self._entries, self._old or {})

    @property
    def stepped(self) -> bool:
        """Whether the optimizer has stepped since `follow`."""
        return self._entries is not None

    def drop_unpassed(self) -> bool:
        """Forget parts whose loss no backward has passed; return whether any is left."""
        self.parts = [part for part in self.parts if part.passed]
        return bool(self.parts)

    @property
    def takes_factors(self) -> bool:
        """Whether `direction` may be given a Gamma with `LowRank` entries: nothing but ghost products will see it."""
        is_ghost = isinstance(self.backend, Ghost) and self.backend.verified and not self.backend.stale
        is_sure = is_ghost and self.backend.fallback is None  # type: ignore[attr-defined]
        return is_sure and self.pullback is None and all(isinstance(f, float) for f in self._factors.values())

    def direction(self, gamma: Direction) -> Direction:
        """Return J_U^T Gamma."""
        if self.pullback is not None:
            return {**self.pullback(dense(gamma))}
        return updates.pull_back(self._factors, gamma)

    def keep(self, share: Sequence[float], directions: Sequence[Direction]) -> None:
        """Keep the mean of directions, each of which stands for a share of the trusted rows, for stale products."""
        if isinstance(self.backend, Ghost) and self.backend.stale:
            parts = [dense(direction) for direction in directions]
            self.stale = {k: sum(a * d[k] for a, d in zip(share, parts, strict=True)) for k in parts[0]}  # type: ignore[misc]

    def own_scores(self, direction: Direction) -> Tensor:
        """Return the scores (n,) of the step's own rows along `direction`, part by part in order."""
        return torch.cat([self._of_part(part, direction) for part in self.parts])

    def _of_part(self, part: Part, direction: Direction) -> Tensor:
        assert part.losses is not None and part.coefficients is not None
        if part.tape is not None and getattr(self.backend, "fallback", None) is None:
            found = self._by_tape(part, direction)
            if isinstance(found, Tensor):
                return found
            if isinstance(self.backend, Ghost):
                self.backend.give_up(found)
        if self._old is None:
            return torch.full_like(
                part.losses, torch.nan
            )  # ghost products failed late: this step is lost, not the next
        by_batch = any(has_batch_statistics(m) and m.training for m in self.of.model.modules())
        known = None if by_batch or part.mixed else part.losses
        takes_thin = isinstance(self.backend, Ghost) and self.backend.fallback is None
        given: Any = direction if takes_thin else dense(direction)
        with scoring_mode(self.of.model, everything=False):
            return same_random_numbers(
                part.random, lambda: self.backend(self.of, self._old or {}, given, part.batch, known).detach()
            )

    def _by_tape(self, part: Part, direction: Direction) -> Tensor | str:
        """Return the scores, or why they cannot be had; the backward was of sum_i coefficient_i l_i."""
        assert part.tape is not None and part.coefficients is not None
        found = part.tape.scores(direction, len(part.rows))
        if isinstance(found, str):
            return found
        c = part.coefficients.to(found.dtype)
        scores = torch.where(c != 0, found / torch.where(c != 0, c, 1.0), torch.zeros_like(found))
        if isinstance(self.backend, Ghost) and not self.backend.verified:
            gradients, dtypes = part.tape.gradients, part.tape.dtypes
            reason = self.backend.check(self.of, dense(direction), part.batch, found, gradients, dtypes)
            if reason is not None and not self._agrees_alone(part, direction, scores):
                return reason
            self.backend.verified = True
        return scores

    def _agrees_alone(self, part: Part, direction: Direction, scores: Tensor) -> bool:
        """Compare with a pass of the batch without the step's other terms, which passes the check by itself."""
        alone = Ghost()
        with scoring_mode(self.of.model, everything=False):
            right = same_random_numbers(
                part.random, lambda: alone(self.of, self._old or {}, direction, part.batch).to(scores.dtype)
            )
        tolerance = ALIKE.get(scores.dtype, 0.2) if not part.mixed else 0.2
        counts = part.coefficients != 0
        is_same = (scores - right)[counts].norm() <= tolerance * right[counts].norm()
        return alone.verified and bool(is_same)

    def other_scores(self, direction: Direction, source: RowSource, rows: Tensor, chunk: int) -> Tensor:
        """Return the scores (n,) of any rows at the parameters before the step, a chunk in memory at a time."""
        return scores_at(self.of, self.backend, self._old or {}, direction, source, rows, chunk)


def scores_at(
    of: RowLosses,
    backend: ScoreBackend,
    at: Parameters,
    direction: Direction,
    source: RowSource,
    rows: Tensor,
    chunk: int,
) -> Tensor:
    """Return the scores (n,) of the rows at these places, in evaluation mode, `chunk` rows at a time."""
    given: Any = direction if isinstance(backend, Ghost) else dense(direction)
    with scoring_mode(of.model, everything=True):
        parts = [backend(of, at, given, source.fetch(part)).detach() for part in rows.split(chunk)]
    return torch.cat(parts)
