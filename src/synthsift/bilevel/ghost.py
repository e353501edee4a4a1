"""Ghost dot products: scores from activations and output gradients, without any gradient of a row.

The output of a linear, convolution, normalization or embedding layer is linear in its parameters, out = A(x) w. With
delta_i = d l_i / d out_i the part of a score that the layer carries is

    < grad_w l_i, d_w >  =  < delta_i, A(x_i) d_w >

one forward of the layer with the direction d_w in the place of its parameters. On the step's own batch x and delta are
at hand from the step itself; they are kept until Gamma, and with it d, is known. On another batch they cost a forward
and a backward that computes no parameter gradients.

The sum over rows has to be the directional derivative of the summed loss, which automatic differentiation gives for
any model. It is compared once a model, on the first batch; that finds every use of a parameter outside the layers that
were seen (tied weights, functional calls, wrapped layers). What does not pass is scored by forward mode instead.

References
----------
Wang et al. 2025, *Data Shapley in One Training Run* (arXiv 2406.11011).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from synthsift.bilevel.backends import JVP
from synthsift.bilevel.lowrank import Direction, LowRank, dense
from synthsift.bilevel.rowlosses import Notices, RowLosses, has_batch_statistics
from synthsift.bilevel.scores import Parameters

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)
SUPPORTED = (nn.Linear, *CONVOLUTIONS, *NORMS, nn.Embedding)
AGREES = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative, of the check; rounding of sums, 5e-2 in 16 bits


@dataclass(eq=False)
class Call:
    """One call of a layer: its input, and the gradient at its output once the backward has passed it."""

    module: nn.Module
    name: str
    owns: dict[str, str]  # "weight" and "bias" -> names of trainable parameters
    x: Tensor | None
    version: int
    shape: torch.Size
    delta: Tensor | None = None
    products: Tensor | None = None

    def products_with(self, direction: Direction) -> Tensor:
        """Return <delta_i, A(x_i) d> of every row (n,)."""
        assert self.x is not None and self.delta is not None
        moved = with_parameters(self.module, self.x, direction, self.owns)
        is_own = moved.dtype == self.delta.dtype and _is_dense(moved) and not isinstance(self.module, nn.Embedding)
        product = moved.mul_(self.delta) if is_own else self.delta * moved.to(self.delta.dtype)  # no third array
        wide = product.dtype if product.dtype == torch.float64 else torch.float32
        return product.flatten(1).sum(dim=1, dtype=wide)


def _is_dense(values: Tensor) -> bool:
    """Every number has a place of its own, in the usual order or with channels last."""
    return values.is_contiguous() or (values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last))


class Tape:
    """Hooks on the layers of a model that note inputs and output gradients until `close`.

    Parameters
    ----------
    of : RowLosses
        Whose trainable parameters are followed.
    direction : dict of Tensor, optional
        If known, products are taken as the backward passes and nothing is kept (stale Gamma).
    cut : bool
        Start the graph at the layers' outputs; for a forward whose parameters carry none.
    verify : bool
        Note the parameters' gradients, too.
    only : nn.Module, optional
        Follow this layer alone.
    """

    def __init__(
        self,
        of: RowLosses,
        direction: Direction | None = None,
        *,
        cut: bool = False,
        verify: bool = False,
        only: nn.Module | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self.roots: list[Tensor] = []
        self.gradients: Parameters = {}
        self.dtypes: set[torch.dtype] = set()  # of the output gradients: the step's arithmetic, mixed or not
        self.direction, self.cut = direction, cut
        self._handles: list[Any] = []
        for name, module in of.model.named_modules():
            if only is not None and module is not only:
                continue
            if isinstance(module, SUPPORTED) and (owns := own_parameters(module, of)):
                self._handles.append(module.register_forward_hook(self._noting(name, owns)))
        if verify:
            self._handles += [p.register_hook(self._adding(name)) for name, p in of.trainable.items()]

    def close(self) -> None:
        """Take the hooks off; what was noted stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _adding(self, name: str) -> Any:
        def add(gradient: Tensor) -> None:
            self.gradients[name] = self.gradients[name] + gradient if name in self.gradients else gradient.clone()

        return add

    def _noting(self, name: str, owns: dict[str, str]) -> Any:
        def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
            if not torch.is_grad_enabled():
                return None
            changed = None
            if self.cut and not output.requires_grad:
                # adding a zero makes the output a node of the graph that later layers may change in place
                root = torch.zeros((), dtype=output.dtype, device=output.device, requires_grad=True)
                self.roots.append(root)
                output = changed = output + root
            if output.requires_grad:
                x = inputs[0].detach()
                call = Call(module, name, owns, x, x._version, output.shape)
                self.calls.append(call)
                output.register_hook(self._receiving(call))
            return changed

        return note

    def _receiving(self, call: Call) -> Any:
        def receive(delta: Tensor) -> None:
            self.dtypes.add(delta.dtype)
            call.delta = delta.detach() if call.delta is None else call.delta + delta.detach()
            if self.direction is not None:
                with torch.no_grad():
                    call.products = call.products_with(self.direction)
                call.x = call.delta = None

        return receive

    def scores(self, direction: Direction, count: int) -> Tensor | str:
        """Return sum over layers of <delta_i, A(x_i) d> (n,), or why it cannot be had."""
        total: Tensor | None = None
        for call in self.calls:
            if call.delta is None and call.products is None:
                continue  # a forward that no backward followed
            if not call.shape or call.shape[0] != count:
                return f"the output of layer {call.name!r} has shape {tuple(call.shape)}, not one entry a row"
            if call.x is not None and call.x._version != call.version:
                return f"the input of layer {call.name!r} was changed in place"
            with torch.no_grad():
                part = call.products if call.products is not None else call.products_with(direction)
            total = part if total is None else total + part
        return total if total is not None else "no layer with linear parameters was passed by the backward"


def own_parameters(module: nn.Module, of: RowLosses) -> dict[str, str]:
    """Return a module's own trainable parameters under the names they have in the model; tied ones share a name."""
    return {own: of.names[p] for own, p in module.named_parameters(recurse=False) if p in of.names}


def with_parameters(module: nn.Module, x: Tensor, direction: Direction, owns: dict[str, str]) -> Tensor:
    """Return A(x) d: the layer's output with the direction in the place of its parameters."""
    w = direction.get(owns.get("weight", ""))
    b = cast(Tensor | None, direction.get(owns.get("bias", "")))
    as_input = x.is_floating_point() and not torch.is_autocast_enabled(x.device.type)
    b = b.to(x.dtype) if b is not None and as_input else b
    if isinstance(w, LowRank):  # of a linear layer
        moved = (w.to(x.dtype) if as_input else w).applied(x)
        return moved if b is None else moved + b
    own = module.weight
    if w is None and isinstance(own, Tensor):  # frozen, or without a gradient in this step
        w = torch.zeros_like(own)
    assert w is not None
    w = w.to(x.dtype) if as_input else w
    match module:
        case nn.Linear():
            return fn.linear(x, w, b)
        case nn.LayerNorm():
            return fn.layer_norm(x, module.normalized_shape, w, b, module.eps)
        case nn.RMSNorm():
            return fn.rms_norm(x, module.normalized_shape, w, module.eps)
        case nn.GroupNorm():
            return fn.group_norm(x, module.num_groups, w, b, module.eps)
        case nn.Embedding():
            rows = fn.embedding(x, w)
            return rows if module.padding_idx is None else rows * (x != module.padding_idx)[..., None]
        case nn.modules.batchnorm._BatchNorm():
            return fn.batch_norm(x, module.running_mean, module.running_var, w, b, False, 0.0, module.eps)
        case _:
            return module._conv_forward(x, w, b)  # type: ignore[operator]  # knows the padding modes


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
            self.verified = agree(found, named, dense(direction), tape.dtypes)
            found = (
                found if self.verified else "the check on the first batch failed; a parameter is used elsewhere, too"
            )
        return found if not isinstance(found, str) else self.give_up(found)(of, at, dense(direction), batch, known)
