"""What a forward and a backward leave at the layers with linear parameters: inputs, output gradients, their products.

The output of such a layer is out = A(x) w. A `Tape` notes x and delta_i = d l_i / d out_i of every call; with a
direction d_w in the place of the parameters the layer's part of row i's score is <delta_i, A(x_i) d_w>.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from synthsift.bilevel.copies import Copied, Copies, Shared, Swap, copy_of
from synthsift.bilevel.lowrank import Direction, LowRank
from synthsift.bilevel.rowlosses import RowLosses
from synthsift.bilevel.scores import Parameters

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)
SUPPORTED = (nn.Linear, *CONVOLUTIONS, *NORMS, nn.Embedding)
TRANSPOSED = ("transformers.pytorch_utils", "Conv1D")  # a linear layer whose weight is (in, out), as GPT-2 has it


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

    def has_rows(self, count: int) -> bool:
        """Whether the output has one entry for each of `count` rows."""
        return len(self.shape) > 1 and self.shape[0] == count

    def why_lost(self) -> str | None:
        """Say why the input is not what it was in the call, or None."""
        is_lost = self.x is not None and self.x._version != self.version
        return f"the input of layer {self.name!r} was changed in place" if is_lost else None

    def products_with(self, direction: Direction) -> Tensor:
        """Return <delta_i, A(x_i) d> of every row (n,)."""
        assert self.x is not None and self.delta is not None
        moved = with_parameters(self.module, self.x, direction, self.owns)
        is_same = moved.dtype == self.delta.dtype and moved.shape == self.delta.shape
        is_own = is_same and _is_dense(moved) and not isinstance(self.module, nn.Embedding)
        product = moved.mul_(self.delta) if is_own else self.delta * moved.to(self.delta.dtype)  # no third array
        wide = product.dtype if product.dtype == torch.float64 else torch.float32
        return product.sum(dim=list(range(1, product.ndim)), dtype=wide)  # to flatten channels last would copy them


def _is_dense(values: Tensor) -> bool:
    """Every number has a place of its own, in the usual order or with channels last."""
    return values.is_contiguous() or (values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last))


class Tape:
    """Hooks on the layers of a model that note inputs until `hold`, and gradients of these calls until `close`.

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
    copies : Copies, optional
        What is copied for each row, so that each row's gradient comes back by itself.
    count : int, optional
        Rows of the batch; needed for that.
    """

    def __init__(
        self,
        of: RowLosses,
        direction: Direction | None = None,
        *,
        cut: bool = False,
        verify: bool = False,
        only: nn.Module | None = None,
        copies: Copies | None = None,
        count: int = 1,
    ) -> None:
        self.calls: list[Call | Copied] = []
        self.roots: list[Tensor] = []
        self.gradients: Parameters = {}
        self.dtypes: set[torch.dtype] = set()  # of the output gradients: the step's arithmetic, mixed or not
        self.direction, self.cut, self.count = direction, cut, count
        self.shared = copies.layers if copies else {}
        self._handles: list[Any] = []
        self._forwards: list[Any] = []
        for name, module in of.model.named_modules():
            if only is not None and module is not only:
                continue
            if is_supported(module) and (owns := own_parameters(module, of)):
                self._forwards.append(module.register_forward_hook(self._noting(name, owns)))
            elif copies and name in copies.owners:
                swap = Swap(own_parameters(module, of), self._copy)
                self._forwards.append(module.register_forward_pre_hook(swap.before, with_kwargs=True))
                self._forwards.append(module.register_forward_hook(swap.after, always_call=True))
        if verify:
            self._handles += [p.register_hook(self._adding(name)) for name, p in of.trainable.items()]

    def hold(self) -> None:
        """The forward that is followed is over: other calls of the model in the same step are none of its rows."""
        for handle in self._forwards:
            handle.remove()
        self._forwards = []

    def close(self) -> None:
        """Take all hooks off; what was noted stays."""
        self.hold()
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _adding(self, name: str) -> Any:
        def add(gradient: Tensor) -> None:
            self.gradients[name] = self.gradients[name] + gradient if name in self.gradients else gradient.clone()

        return add

    def _rooted(self, output: Tensor) -> Tensor:
        """Return it with a zero added where the graph has to start here: a node, which may be changed in place."""
        if not self.cut or output.requires_grad:
            return output
        root = torch.zeros((), dtype=output.dtype, device=output.device, requires_grad=True)
        self.roots.append(root)
        return output + root

    def _copy(self, name: str, p: Tensor, inputs: tuple[Any, ...]) -> Tensor:
        copy = self._rooted(copy_of(p, self.count, inputs))
        if copy.requires_grad:
            call = Copied(name, copy.shape)
            self.calls.append(call)
            copy.register_hook(self._receiving(call, False))
        return copy

    def _noting(self, name: str, owns: dict[str, str]) -> Any:
        def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
            if not torch.is_grad_enabled():
                return None
            changed = None
            if name in self.shared:
                spread = self.shared[name].spread(output, self.count)
                if spread is not output:  # a copy, which later layers may change in place
                    output = changed = spread.clone(memory_format=torch.contiguous_format)
            rooted = self._rooted(output)
            if rooted is not output:
                output = changed = rooted
            if output.requires_grad:
                x = inputs[0].detach()
                call = Call(module, name, owns, x, x._version, output.shape)
                self.calls.append(call)
                is_last = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
                output.register_hook(self._receiving(call, is_last and not output.is_contiguous()))
            return changed

        return note

    def _receiving(self, call: Call | Copied, is_last: bool) -> Any:
        """Return what receives the gradient at the output of `call`, which has its channels last or not."""

        def receive(delta: Tensor) -> Tensor | None:
            self.dtypes.add(delta.dtype)
            changed = None
            if is_last and not delta.is_contiguous(memory_format=torch.channels_last):
                # of batch norm with fixed statistics, on a GPU: its neighbors would turn it, each for itself
                delta = changed = delta.contiguous(memory_format=torch.channels_last)
            call.delta = delta.detach() if call.delta is None else call.delta + delta.detach()
            if self.direction is not None:
                with torch.no_grad():
                    call.products = call.products_with(self.direction)
                call.x = call.delta = None
            return changed

        return receive

    def find_shared(self, count: int) -> dict[str, Shared]:
        """Return the layers whose output has no entry for each of `count` rows."""
        found = {}
        for call in self.calls:
            if isinstance(call, Call) and call.x is not None and not call.has_rows(count):
                is_list = isinstance(call.module, nn.Embedding) and call.x.ndim < 2  # the positions, once
                has_axis = not is_list and len(call.shape) > 1 and call.shape[0] == 1
                found[call.name] = Shared(has_axis, len(call.shape))
        return found

    def scores(self, direction: Direction, count: int) -> Tensor | str:
        """Return sum over layers of <delta_i, A(x_i) d> (n,), or why it cannot be had."""
        total: Tensor | None = None
        for call in self.calls:
            if call.delta is None and call.products is None:
                continue  # a forward that no backward followed
            if not call.has_rows(count):
                return f"the output of layer {call.name!r} has shape {tuple(call.shape)}, not one entry a row"
            if (reason := call.why_lost()) is not None:
                return reason
            with torch.no_grad():
                part = call.products if call.products is not None else call.products_with(direction)
            total = part if total is None else total + part
        return total if total is not None else "no layer with linear parameters was passed by the backward"


def is_supported(module: nn.Module) -> bool:
    """Whether the layer's output is known to be linear in its parameters."""
    return isinstance(module, SUPPORTED) or _is_transposed(module)


def _is_transposed(module: nn.Module) -> bool:
    """Whether it is this very class of transformers, which may not be installed here."""
    return (type(module).__module__, type(module).__name__) == TRANSPOSED


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
        case _ if _is_transposed(module):
            return x @ w if b is None else x @ w + b
        case _:
            return module._conv_forward(x, w, b)  # type: ignore[operator]  # knows the padding modes
