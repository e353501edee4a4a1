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

A layer may answer once for all rows, as position embeddings do, and a module that is no layer may have parameters of
its own. These are found in a forward of a few rows before the first batch, and copied for each row if that changes
neither the losses nor the use of random numbers (`copies`).

References
----------
Wang et al. 2025, *Data Shapley in One Training Run* (arXiv 2406.11011).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from synthsift.bilevel.backends import JVP, FiniteDifference, NoForwardModeError, shortest
from synthsift.bilevel.copies import Copies, can_be_copied
from synthsift.bilevel.lowrank import Direction, dense
from synthsift.bilevel.randomness import State, random_state, same_random_numbers
from synthsift.bilevel.rowlosses import Notices, RowLosses, has_batch_statistics
from synthsift.bilevel.scores import Parameters
from synthsift.bilevel.tape import Tape, is_supported, own_parameters

AGREES = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative, of the check; rounding of sums, 5e-2 in 16 bits
FEW = 4  # rows whose scores are compared one by one
ALIKE = {torch.float64: 1e-7, torch.float32: 1e-2}  # of single rows, whose rounding cancels less; .2 in 16 bits
MIXED = "the rows of a batch answer to one another (in the model's own code, or in the loss)"


def why_not(of: RowLosses) -> str | None:
    """Say why ghost products would not be exact for the model as it stands, or None."""
    for name, module in of.model.named_modules():
        if has_batch_statistics(module) and (module.training or module.running_mean is None):
            return f"layer {name!r} uses the statistics of the batch, which mixes its rows"
        owns = _owned_outside_layers(module, of)
        if owns and not can_be_copied({own: of.trainable[p] for own, p in owns.items()}):
            return _not_linear(name, module)
    return None


def _owned_outside_layers(module: nn.Module, of: RowLosses) -> dict[str, str]:
    """Return the own parameters of a module that is no layer which is known to be linear in them."""
    owns = own_parameters(module, of)
    is_plain = is_supported(module) and not _is_special(module) and owns.keys() <= {"weight", "bias"}
    return {} if is_plain else owns


def _not_linear(name: str, module: nn.Module) -> str:
    kind = type(module).__name__
    if not name:
        own = ", ".join(own for own, _ in module.named_parameters(recurse=False))
        return f"the model itself, a {kind}, holds parameters outside layers: {own}"
    return f"layer {name!r} is a {kind}, which is not known to be linear in its parameters"


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


def few_rows(batch: Any, count: int) -> Any:
    """Return the first rows of a batch of `count`, a single one twice; what has another length is left as it is."""
    if isinstance(batch, Mapping) and not isinstance(batch, dict):  # as tokenizers return them
        return type(batch)({name: few_rows(value, count) for name, value in batch.items()})  # type: ignore[call-arg]
    cut = [0, 0] if count == 1 else slice(FEW)  # one row alone does not show what answers once for all
    return tree_map(lambda v: v[cut] if isinstance(v, Tensor) and v.ndim and len(v) == count else v, batch)


def rows_of(batch: Any) -> int | None:
    """Return the common length of a batch's tensors, or None."""
    leaves = tree_leaves(dict(batch) if isinstance(batch, Mapping) else batch)
    lengths = {len(v) for v in leaves if isinstance(v, Tensor) and v.ndim}
    return lengths.pop() if len(lengths) == 1 else None


def find_copies(of: RowLosses, batch: Any, count: int | None) -> Copies | str:
    """Return what answers once for all `count` rows, if a copy for each row leaves the model what it is.

    That is, if a few rows have the same losses with copies as without, and draw as many random numbers: a mask of
    dropout that all rows share would become one a row. If not, or if the batch cannot be cut, the reason not to take
    ghost products, or no copies where that reason will show by itself.
    """
    modules = dict(of.model.named_modules())
    owners = {name: _not_linear(name, m) for name, m in modules.items() if _owned_outside_layers(m, of)}
    without: Copies | str = next(iter(owners.values())) if owners else Copies()
    if count is None:
        return without
    few, start, rows = few_rows(batch, count), random_state(), min(FEW, max(count, 2))
    buffers = [(buffer, buffer.clone()) for buffer in of.model.buffers()]  # a forward may count, or keep averages

    def passed(copies: Copies) -> tuple[Tensor, State, Tape]:
        tape = Tape(of, copies=copies, count=rows)
        try:
            with torch.enable_grad():
                losses = of.loss(of.model, few)
        finally:
            tape.close()
        after = random_state()
        if copies:  # forwards that the backward repeats meet no copies
            torch.autograd.grad(losses.sum(), list(of.trainable.values()), allow_unused=True)
        return losses.detach(), after, tape

    try:
        losses, after, tape = same_random_numbers(start, lambda: passed(Copies()))
        copies = Copies(tape.find_shared(rows), owners)
        if not copies or losses.shape != (rows,):
            return without
        copied, after_copies, _ = same_random_numbers(start, lambda: passed(copies))
    except Exception:  # the model's own: without copies it comes again from the step itself, where it belongs
        return without
    finally:
        with torch.no_grad():
            for buffer, was in buffers:
                if not torch.equal(buffer, was):
                    buffer.copy_(was)
    tolerance = max(AGREES.get(dtype, 5e-2) for dtype in {losses.dtype, *(p.dtype for p in of.trainable.values())})
    is_same = copied.shape == losses.shape and bool((copied - losses).abs().max() <= tolerance * losses.abs().max())
    draws_alike = all(a is b or torch.equal(a, b) for a, b in zip(after, after_copies, strict=True))
    return copies if is_same and draws_alike else without


def why_rows_differ(of: RowLosses, direction: Parameters, batch: Any, count: int, copies: Copies) -> str | None:
    """Compare the scores of a few rows with <grad l_i, d> of each one's own loss, all from one forward of these rows.

    It is taken at the parameters as they are, which serve as well as any, in the mode the model is in and with its
    dropout; the generators are left as they were.
    """
    few, state = few_rows(batch, count), random_state()
    try:
        return same_random_numbers(state, lambda: _why_they_differ(of, direction, few, min(FEW, max(count, 2)), copies))
    except (IndexError, KeyError, ValueError, RuntimeError):  # a batch that cannot be cut (a graph, say) is taken whole
        return same_random_numbers(state, lambda: _why_they_differ(of, direction, batch, count, copies))


def _why_they_differ(of: RowLosses, direction: Parameters, batch: Any, count: int, copies: Copies) -> str | None:
    wanted = [of.trainable[name] for name in direction]
    tape = Tape(of, copies=copies, count=count)
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
    """Ghost dot products, with forward mode for models they do not cover, and differences where that has no rule.

    Parameters
    ----------
    stale : bool
        Approximate: use the direction of the step before, so that products are taken as the backward passes and no
        activation is kept (rank correlation with the exact scores about .9 at ten steps' age).
    """

    stale: bool = False
    notices: Notices = field(default_factory=Notices, repr=False)
    fallback: JVP | FiniteDifference | None = field(default=None, init=False, repr=False)
    verified: bool = field(default=False, init=False, repr=False)
    on_one_row: bool = field(default=False, init=False, repr=False)  # which cannot tell whether rows answer to another
    copies: Copies | None = field(default=None, init=False, repr=False)  # None: not looked for yet

    @property
    def exact(self) -> bool:
        """False for the stale variant, and once scores come from differences."""
        return not (self.stale or isinstance(self.fallback, FiniteDifference))

    def give_up(self, reason: str) -> None:
        """Score by forward mode from now on, and say why."""
        self.notices.say(f"scores by forward mode instead of ghost products: {reason}")
        self.fallback = JVP(notices=self.notices)

    def gives_up(self, of: RowLosses, batch: Any, count: int | None) -> bool:
        """Look at the model, and on the first batch at what it does once for all rows; True for forward mode."""
        if self.on_one_row and count != 1:
            self.verified = self.on_one_row = False
        reason = why_not(of)
        if reason is None and self.copies is None:
            found = find_copies(of, batch, count)
            reason, self.copies = (found, None) if isinstance(found, str) else (None, found)
        if reason is None and self.copies and count is None:
            reason = "the batch does not show how many rows it has, and some layer answers once for all of them"
        if reason is not None:
            self.give_up(reason)
        return reason is not None

    def tape(
        self,
        of: RowLosses,
        count: int | None,
        direction: Direction | None = None,
        *,
        cut: bool = False,
        verify: bool = False,
    ) -> Tape:
        """Return a tape for a forward of `count` rows, with a copy for each of what answers once for all."""
        return Tape(of, direction, cut=cut, verify=verify, copies=self.copies, count=count or 1)

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
        reason = why_rows_differ(of, direction, batch, len(found), self.copies or Copies())
        self.verified, self.on_one_row = reason is None, len(found) == 1
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
        count = rows_of(batch) if known is None else len(known)
        if self.fallback is not None or self.gives_up(of, batch, count):
            return self._by_fallback(of, at, dense(direction), batch, known)
        tape = self.tape(of, count, cut=True)
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
        if not isinstance(found, str):
            return found
        self.give_up(found)
        return self._by_fallback(of, at, dense(direction), batch, known)

    def _by_fallback(
        self, of: RowLosses, at: Parameters, direction: Parameters, batch: Any, known: Tensor | None
    ) -> Tensor:
        """Return scores by forward mode, or by differences from the first time on that it lacks a rule."""
        assert self.fallback is not None
        state = random_state()
        try:
            return self.fallback(of, at, direction, batch, known)
        except NoForwardModeError as error:
            self.notices.say(f"scores are approximate from now on, by differences of losses: {error.what}")
        self.fallback = FiniteDifference(max(FiniteDifference.length, shortest(at, direction)), notices=self.notices)
        differences = self.fallback
        return same_random_numbers(state, lambda: differences(of, at, direction, batch, known))
