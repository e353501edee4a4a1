"""Ghost dot products: scores from activations and output gradients, without any gradient of a row.

The output of a linear, convolution, normalization or embedding layer is linear in its parameters, out = A(x) w. With
delta_i = d l_i / d out_i the part of a score that the layer carries is

    < grad_w l_i, d_w >  =  < delta_i, A(x_i) d_w >

one forward of the layer with the direction d_w in the place of its parameters. On the step's own batch x and delta are
at hand from the step itself; they are kept until Gamma, and with it d, is known. On another batch they cost a forward
and a backward that computes no parameter gradients.

Two things are compared with automatic differentiation, once a model, on the first batch. The sum over rows has to be
the directional derivative of the summed loss; that finds every use of a parameter outside the layers that were seen
(tied weights, functional calls, wrapped layers) and every other term of the step's loss. And the score of each of a few
rows has to be that of its own loss; that finds models and losses in which rows answer to one another, whose sum is
right nevertheless. What does not pass is scored by forward mode instead.

References
----------
Wang et al. 2025, *Data Shapley in One Training Run* (arXiv 2406.11011).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from synthsift.bilevel.backends import JVP, random_state, same_random_numbers
from synthsift.bilevel.lowrank import Direction, dense
from synthsift.bilevel.rowlosses import Notices, RowLosses, has_batch_statistics
from synthsift.bilevel.scores import Parameters
from synthsift.bilevel.tape import SUPPORTED, Tape, own_parameters

AGREES = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative, of the check; rounding of sums, 5e-2 in 16 bits
FEW = 4  # rows whose scores are compared one by one
ALIKE = {torch.float64: 1e-7, torch.float32: 1e-2}  # of single rows, whose rounding cancels less; .2 in 16 bits
MIXED = "the rows of a batch answer to one another (in the model's own code, or in the loss)"


def why_not(of: RowLosses) -> str | None:
    """Say why ghost products would not be exact for the model as it stands, or None."""
    for name, module in of.model.named_modules():
        owns = own_parameters(module, of)
        if has_batch_statistics(module) and (module.training or module.running_mean is None):
            return f"layer {name!r} uses the statistics of the batch, which mixes its rows"
        is_plain = isinstance(module, SUPPORTED) and not _is_special(module)
        if owns and not (is_plain and owns.keys() <= {"weight", "bias"}):
            return f"layer {name!r} is a {type(module).__name__}, which is not known to be linear in its parameters"
    return None


def _is_special(module: nn.Module) -> bool:
    """Embeddings whose gradient is not the plain one."""
    is_odd = isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq)
    return is_odd or getattr(module, "sparse", False) is True


def agree(found: Tensor, gradients: Parameters, direction: Parameters, dtypes: set[torch.dtype]) -> bool:
    """Compare the sum of weighted scores (n,) with <gradient of the summed loss, d>, relative to their size.

    `dtypes` are those of the arithmetic, which is less than the parameters' in mixed precision.
    """
    right = sum((gradients[name].double() * d.double()).sum() for name, d in direction.items() if name in gradients)
    size = found.double().abs().sum()
    tolerance = max(AGREES.get(dtype, 5e-2) for dtype in dtypes | {d.dtype for d in direction.values()})
    return bool((found.double().sum() - right).abs() <= tolerance * size) or bool(size == 0 and right == 0)


def why_rows_differ(of: RowLosses, direction: Parameters, batch: Any, count: int) -> str | None:
    """Compare the scores of a few rows with <grad l_i, d> of each one's own loss, all from one forward of these rows.

    It is taken at the parameters as they are, which serve as well as any, in the mode the model is in and with its
    dropout; the generators are left as they were.
    """
    few = tree_map(lambda v: v[:FEW] if isinstance(v, Tensor) and v.ndim and len(v) == count else v, batch)
    try:
        return same_random_numbers(random_state(), lambda: _why_they_differ(of, direction, few))
    except (IndexError, KeyError, ValueError, RuntimeError):  # a batch that cannot be cut (a graph, say) is taken whole
        return same_random_numbers(random_state(), lambda: _why_they_differ(of, direction, batch))


def _why_they_differ(of: RowLosses, direction: Parameters, batch: Any) -> str | None:
    wanted = [of.trainable[name] for name in direction]
    tape = Tape(of)
    try:
        with torch.enable_grad():
            losses = of.loss(of.model, batch)
            torch.autograd.grad(losses.sum(), wanted, allow_unused=True, retain_graph=True)
    finally:
        tape.close()
    found = tape.scores(direction, len(losses))
    if isinstance(found, str):
        return found
    right = []
    for loss in losses[:FEW]:
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True, retain_graph=True)
        moves = zip(direction.values(), gradients, strict=True)
        right.append(sum(float((d.double() * g.double()).sum()) for d, g in moves if g is not None))
    size = found.double().square().mean().sqrt()
    tolerance = max(ALIKE.get(dtype, 0.2) for dtype in tape.dtypes | {d.dtype for d in direction.values()})
    errors = (found[:FEW].double() - found.new_tensor(right).double()).abs()
    return None if bool((errors <= tolerance * size).all()) else MIXED


@dataclass
class Ghost:
    """Ghost dot products, with forward mode for models they do not cover.

    Parameters
    ----------
    stale : bool
        Approximate: use the direction of the step before, so that products are taken as the backward passes and no
        activation is kept (rank correlation with the exact scores about .9 at ten steps' age).
    """

    stale: bool = False
    notices: Notices = field(default_factory=Notices, repr=False)
    fallback: JVP | None = field(default=None, init=False, repr=False)
    verified: bool = field(default=False, init=False, repr=False)

    @property
    def exact(self) -> bool:
        """False for the stale variant."""
        return not self.stale

    def give_up(self, reason: str) -> JVP:
        """Score by forward mode from now on, and say why."""
        self.notices.say(f"scores by forward mode instead of ghost products: {reason}")
        self.fallback = JVP(notices=self.notices)
        return self.fallback

    def check(
        self,
        of: RowLosses,
        direction: Parameters,
        batch: Any,
        found: Tensor,
        gradients: Parameters,
        dtypes: set[torch.dtype],
    ) -> str | None:
        """Compare the first scores with automatic differentiation; return what differs, or None for good."""
        if not agree(found, gradients, direction, dtypes):
            return (
                "the check on the first batch failed: a parameter acts outside the layers that were followed, or the "
                "step's loss has another term"
            )
        reason = why_rows_differ(of, direction, batch, len(found))
        self.verified = reason is None
        return reason

    def __call__(
        self,
        of: RowLosses,
        at: Parameters,
        direction: Direction,
        batch: Any,
        known: Tensor | None = None,
    ) -> Tensor:
        """Return the scores (n,) of a batch that no training step has passed."""
        if self.fallback is None and (reason := why_not(of)) is not None:
            self.give_up(reason)
        if self.fallback is not None:
            return self.fallback(of, at, dense(direction), batch, known)
        tape = Tape(of, cut=True)
        leaves = {name: v.detach().requires_grad_(not self.verified) for name, v in at.items()}
        try:
            with torch.enable_grad():
                losses = of(leaves, batch)
                inputs = [*leaves.values()] if not self.verified else tape.roots
                gradients = torch.autograd.grad(losses.sum(), inputs, allow_unused=True) if inputs else ()
        finally:
            tape.close()
        found = tape.scores(direction, len(losses))
        if not isinstance(found, str) and not self.verified:
            named = {k: g for k, g in zip(leaves, gradients, strict=True) if g is not None}
            reason = self.check(of, dense(direction), batch, found, named, tape.dtypes)
            found = found if reason is None else reason
        return found if not isinstance(found, str) else self.give_up(found)(of, at, dense(direction), batch, known)
