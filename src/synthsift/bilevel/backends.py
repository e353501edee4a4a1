"""Ways to get the score s_i = <grad l_i, d> of every row of a batch, d = J_U^T Gamma, behind one call.

A backend is called as ``backend(of, at, direction, batch, known)`` and returns (n,):

    of         the row losses as a function of the parameters (`rowlosses.RowLosses`)
    at         parameters at which to differentiate
    direction  d, for the trainable parameters that the step moved
    known      the losses at `at`, where the step has computed them anyway

    JVP               exact, any model; about 3 forwards a row
    Ghost             exact, layers with linear parameters; 1 forward on the step's own batch, 3 on another (ghost.py)
    FiniteDifference  1 or 2 forwards; relative error about 1e-3 in float64, more in lower precision
    LastLayer         1 forward, 0 on the step's own batch; the last linear layer only (rank correlation about .95)

References
----------
Du, Zhao, Li 2026 (arXiv 2606.00571) use two-sided differences of length 1e-2 / |Gamma|; forward mode: Baydin et al.
2018 (arXiv 1502.05767); ghost products: Wang et al. 2025 (arXiv 2406.11011).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_map

from synthsift.bilevel.randomness import random_state, set_random_state
from synthsift.bilevel.rowlosses import Notices, RowLosses
from synthsift.bilevel.scores import FORWARD_MODE, Parameters
from synthsift.records import DataError

WIDE = "scores of the 16-bit model were taken in float32: forward mode mixes types in one of its operations"
SHORTEST = 50.0  # |theta| over the least length of differences whose scores rank rows right in bfloat16
ATTENTION = "attention was scored with torch's math kernel: the fused one has no forward-mode derivative"
PLAIN = "layers were scored without the libraries cuDNN and oneDNN: their kernels have no forward-mode derivative"


class ScoreBackend(Protocol):
    """What the engine asks of a backend; `notices` receives what it had to do differently."""

    notices: Notices

    @property
    def exact(self) -> bool:
        """Whether scores are right to rounding."""
        ...

    def __call__(
        self, of: RowLosses, at: Parameters, direction: Parameters, batch: Any, known: Tensor | None = None
    ) -> Tensor:
        """Return the scores (n,), detached."""
        ...


@dataclass
class JVP:
    """Forward-mode differentiation: the directional derivative itself, to rounding."""

    exact: bool = field(default=True, init=False)
    notices: Notices = field(default_factory=Notices, repr=False)
    _math: bool = field(default=False, init=False, repr=False)
    _plain: bool = field(default=False, init=False, repr=False)
    _wide: bool = field(default=False, init=False, repr=False)

    def __call__(
        self, of: RowLosses, at: Parameters, direction: Parameters, batch: Any, known: Tensor | None = None
    ) -> Tensor:
        """Return the scores (n,).

        Raises
        ------
        NoForwardModeError
            If an operation of the model has no forward-mode derivative.
        """
        if not self._wide:
            try:
                return self._derivative(of, at, direction, batch)
            except RuntimeError as error:
                is_short = any(value.element_size() == 2 for value in at.values())
                if not (is_short and "dtype" in str(error)):
                    raise
                self._wide = True
                self.notices.say(WIDE)
        others = {**dict(of.model.named_parameters()), **dict(of.model.named_buffers()), **at}
        return self._derivative(of, *(_widened(values) for values in (others, direction, batch)))

    def _derivative(self, of: RowLosses, at: Parameters, direction: Parameters, batch: Any) -> Tensor:
        """Return the derivative of the losses, with torch's own kernels where faster ones have none."""
        fixed = {name: value for name, value in at.items() if name not in direction}
        moving = {name: at[name] for name in direction}
        place = next(iter(at.values())).device
        before, is_plain = random_state(), self._plain

        def losses(params: Parameters) -> Tensor:
            return of({**fixed, **params}, batch)

        def derivative() -> Tensor:
            with ExitStack() as contexts:
                if self._math:
                    contexts.enter_context(sdpa_kernel(SDPBackend.MATH))
                if is_plain:
                    contexts.enter_context(plain_kernels())
                # some tangents come out of mixed precision in another type than their values
                for context in (torch.no_grad(), FORWARD_MODE, full_precision(place.type)):
                    contexts.enter_context(context)
                return torch.func.jvp(losses, (moving,), (direction,))[1]

        while True:
            try:
                found = derivative()
                break
            except RuntimeError as error:  # NotImplementedError is one
                if not self._math and "attention" in str(error):
                    self._math = True
                    self.notices.say(ATTENTION)
                elif not is_plain and _lacks_forward_mode(error):
                    is_plain = True
                else:
                    raise _no_forward_mode(error) from error
            set_random_state(before)  # the next try meets the dropout masks of the first
        if is_plain and not self._plain:
            self._plain = True
            self.notices.say(PLAIN)
        return found


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Let torch compute with its own kernels, without oneDNN and cuDNN."""
    libraries: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
    was = [library.enabled for library in libraries]
    try:
        for library in libraries:
            library.enabled = False
        yield
    finally:
        for library, enabled in zip(libraries, was, strict=True):
            library.enabled = enabled


def full_precision(kind: str) -> AbstractContextManager[Any]:
    """Return a context without mixed precision on this kind of device."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def _widened(values: Any) -> Any:
    """Return the same tree with tensors of 16 bits in float32."""

    def wide(value: Any) -> Any:
        is_short = isinstance(value, Tensor) and value.is_floating_point() and value.element_size() == 2
        return value.detach().float() if is_short else value

    return tree_map(wide, values)


class NoForwardModeError(DataError):
    """An operation of the model has no forward-mode derivative; `what` says which."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; use scores=FiniteDifference(), whose scores are approximate")
        self.what = what


def _lacks_forward_mode(error: Exception) -> bool:
    """Say whether this is torch's complaint about a missing rule."""
    words = ("forward", "functorch", "data pointer")  # the last where a recurrent layer looks for cuDNN's weights
    return isinstance(error, NotImplementedError) or any(word in str(error).lower() for word in words)


def _no_forward_mode(error: Exception) -> Exception:
    """Explain a missing forward-mode rule; any other error is the user's own and stays as it is."""
    if not _lacks_forward_mode(error):
        return error
    said = next(iter(str(error).splitlines()), type(error).__name__)
    return NoForwardModeError(f"the model has an operation without a forward-mode derivative ({said})")


@dataclass
class FiniteDifference:
    """Differences of row losses along d.

    Parameters
    ----------
    length : float
        Norm of the displacement, in parameter units: eps = length / |d|. 1e-2 suits float64, 1e-3 float32 with
        rectified units. Parameters of 16 bits are rounded by about |theta| / 500 themselves, so a length below
        |theta| / 50 scores that rounding: it is said.
    two_sided : bool
        Central differences; one-sided ones reuse the losses of the step where it has them.
    """

    length: float = 1e-2
    two_sided: bool = True
    exact: bool = field(default=False, init=False)
    notices: Notices = field(default_factory=Notices, repr=False)
    _last: Any = field(default=None, init=False, repr=False)
    _looked: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.length < math.inf:
            raise DataError(f"length is {self.length}; a displacement of the parameters is a positive number")

    def __call__(
        self, of: RowLosses, at: Parameters, direction: Parameters, batch: Any, known: Tensor | None = None
    ) -> Tensor:
        """Return (l(at + eps d) - l(at - eps d)) / 2 eps, or (l(at + eps d) - l(at)) / eps; 0 where d is."""
        if not self._looked:
            self._look_at_rounding(at, direction)
        steps = self._displaced(at, direction)
        if steps is None:
            return torch.zeros_like(self._losses(of, at, batch))
        eps, ahead, behind = steps
        state = random_state()
        losses = self._losses(of, ahead, batch)
        if not self.two_sided and known is not None:
            return (losses - known) / eps
        set_random_state(state)
        return (losses - self._losses(of, behind, batch)) / (2 * eps if self.two_sided else eps)

    def _displaced(self, at: Parameters, direction: Parameters) -> tuple[float, Parameters, Parameters] | None:
        """Return eps and the parameters to difference between; chunks of one meta-step share them."""
        if self._last is None or self._last[0] is not at or self._last[1] is not direction:
            norm = _norm(direction)
            eps = self.length / norm if norm > 0 else 0.0
            ahead, behind = (
                {name: torch.add(v, direction[name], alpha=a) if name in direction else v for name, v in at.items()}
                if a
                else at
                for a in (eps, -eps if self.two_sided else 0.0)
            )
            self._last = (at, direction, (eps, ahead, behind) if eps else None)
        return self._last[2]

    def _look_at_rounding(self, at: Parameters, direction: Parameters) -> None:
        """Say, once, that a displacement of 16-bit parameters is lost in their rounding."""
        self._looked = True
        least = shortest(at, direction)
        if self.length < least:
            self.notices.say(
                f"differences of length {self.length:g} are about as large as the rounding of 16-bit parameters; use "
                f"exact scores (Ghost, JVP), or FiniteDifference({least:.2g}) or more"
            )

    def release(self) -> None:
        """Let go of the displaced parameters when a meta-step is over."""
        self._last = None

    @staticmethod
    def _losses(of: RowLosses, at: Parameters, batch: Any) -> Tensor:
        with torch.no_grad(), full_precision(next(iter(at.values())).device.type):
            return of(at, batch)  # two losses that nearly cancel need all the digits that there are


def shortest(at: Parameters, direction: Parameters) -> float:
    """Return the least length whose differences are not the rounding of 16-bit parameters; 0 where there are none."""
    return _norm({name: at[name] for name in direction if at[name].element_size() == 2}) / SHORTEST


def _norm(values: Parameters) -> float:
    """Return the Euclidean norm of all of them together."""
    return math.sqrt(sum(float((value.double() ** 2).sum()) for value in values.values()))


@dataclass
class LastLayer:
    """The part of the score that the last linear layer carries: delta_i . (W_d x_i + b_d), delta the logit gradient."""

    exact: bool = field(default=False, init=False)
    notices: Notices = field(default_factory=Notices, repr=False)

    def __call__(
        self, of: RowLosses, at: Parameters, direction: Parameters, batch: Any, known: Tensor | None = None
    ) -> Tensor:
        """Return the approximate scores (n,).

        Raises
        ------
        DataError
            If the model has no linear layer that the step moved.
        """
        name, layer = last_linear(of.model, direction)
        seen: list[tuple[Tensor, Tensor]] = []

        def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            leaf = output.detach().requires_grad_()
            seen.append((inputs[0].detach(), leaf))
            return leaf.clone()  # the model may go on in place, which a leaf does not allow

        handle = layer.register_forward_hook(cut)
        try:
            with torch.enable_grad():
                losses = of({k: v.detach() for k, v in at.items()}, batch)
                deltas = torch.autograd.grad(losses.sum(), [leaf for _, leaf in seen])
        finally:
            handle.remove()
        total = torch.zeros_like(losses.detach())
        for (x, _), delta in zip(seen, deltas, strict=True):
            moved = nn.functional.linear(
                x, direction.get(f"{name}weight", torch.zeros_like(layer.weight)), direction.get(f"{name}bias")
            )
            total += (delta * moved).flatten(1).sum(dim=1)
        return total


def last_linear(model: nn.Module, direction: Parameters) -> tuple[str, nn.Linear]:
    """Return the last linear layer that `direction` moves, with the prefix of its parameters' names."""
    for name, module in reversed(list(model.named_modules())):
        prefix = f"{name}." if name else ""
        if isinstance(module, nn.Linear) and {f"{prefix}weight", f"{prefix}bias"} & direction.keys():
            return prefix, module
    raise DataError("the model has no trained linear layer to read last-layer scores from; use scores=JVP()")
