"""How one optimizer step answers to the gradient it is given: J_U^T Gamma for SGD, Adam and AdamW.

The learner moves by theta' = theta - U(g), g = sum_i p_i grad l_i. The reward of a row is then
s_i = <grad l_i, J_U(g)^T Gamma> with Gamma the trusted gradient at theta' (Du, Zhao, Li 2026, the one-step
hypergradient). Weight decay and old buffers move theta' but do not depend on p, so they never enter J_U:

    SGD                 lr * c,  c = 1 | 1 - dampening | 1 + momentum (Nesterov)
    first momentum step the buffer is set to g, so dampening does not apply
    Adam, AdamW         a diagonal, the derivative of lr m_hat / (sqrt(v_hat) + eps) by g

All of it can be read off the optimizer after its step, but for three things that the step overwrites: the learning
rate a schedule may change, whether a momentum buffer existed, and the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthsift.bilevel.lowrank import Direction
from synthsift.bilevel.scores import Parameters
from synthsift.records import DataError

Pullback = Callable[[Parameters], Parameters]


@dataclass(frozen=True)
class GroupBefore:
    """What a step is about to overwrite, of one parameter: its group's settings and whether it has a buffer."""

    settings: dict[str, Any]
    rate: float
    had_buffer: bool


def check_optimizer(optimizer: Any) -> None:
    """Refuse an optimizer whose answer to the gradient is not known here.

    Raises
    ------
    DataError
        If it is neither SGD nor Adam nor AdamW of ``torch.optim`` itself.
    """
    if type(optimizer) not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):  # a subclass may step otherwise
        raise DataError(
            f"the optimizer is a {type(optimizer).__name__}; the meta-gradient is known through SGD, Adam and AdamW of "
            "torch.optim itself. Use one of them, or pass pullback=, a function from Gamma to J^T Gamma (dict to dict)"
        )


def before_step(optimizer: Any, names: dict[Tensor, str]) -> dict[str, GroupBefore]:
    """Read what the coming step will overwrite; parameters without a name in `names` are left out."""
    found = {}
    for group in optimizer.param_groups:
        settings = {key: value for key, value in group.items() if key != "params"}
        for p in group["params"]:
            if p in names:
                had = optimizer.state.get(p, {}).get("momentum_buffer") is not None
                found[names[p]] = GroupBefore(settings, float(group["lr"]), had)
    return found


def multipliers(
    optimizer: Any, names: dict[Tensor, str], before: dict[str, GroupBefore], old: Parameters
) -> dict[str, Tensor | float]:
    """Return the diagonal of J_U / lr, one tensor or number a parameter; call it right after the step.

    The learning rate is divided out (by the largest one where groups differ), so scores of steps with different rates
    can be compared and a rate of 0 in a warm-up does not silence them. A parameter that the step did not move because
    it had no gradient has no entry.

    Parameters
    ----------
    old : dict of Tensor
        Parameters before the step; read only for Adam with L2 weight decay.
    """
    top = max((b.rate for b in before.values()), default=0.0)
    found: dict[str, Tensor | float] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p not in names or p.grad is None:
                continue
            entry = before[names[p]]
            ratio = entry.rate / top if top > 0 else 1.0
            sign = -1.0 if entry.settings.get("maximize") else 1.0
            if isinstance(optimizer, torch.optim.SGD):
                found[names[p]] = sign * ratio * _sgd(entry)
            else:
                gradient = sign * p.grad
                if entry.settings["weight_decay"] and not _decoupled(optimizer, entry.settings):
                    gradient = gradient + entry.settings["weight_decay"] * old[names[p]]
                found[names[p]] = sign * ratio * _adam(optimizer.state[p], entry.settings, gradient)
    return found


def needs_old_parameters(optimizer: Any) -> bool:
    """Say whether `multipliers` reads the parameters before the step."""
    if not isinstance(optimizer, torch.optim.Adam):
        return False
    groups = optimizer.param_groups
    return any(group["weight_decay"] and not _decoupled(optimizer, group) for group in groups)


def pull_back(factors: dict[str, Tensor | float], gamma: Direction) -> Direction:
    """Return J_U^T Gamma; parameters that did not move are left out."""
    return {
        name: gamma[name] if isinstance(factor, float) and factor == 1.0 else factor * gamma[name]  # type: ignore[operator]
        for name, factor in factors.items()
        if name in gamma
    }


def _sgd(entry: GroupBefore) -> float:
    momentum, dampening = entry.settings["momentum"], entry.settings["dampening"]
    if not momentum:
        return 1.0
    share = 1.0 - dampening if entry.had_buffer else 1.0  # of g in the new buffer
    return 1.0 + momentum * share if entry.settings["nesterov"] else share


def _decoupled(optimizer: Any, settings: dict[str, Any]) -> bool:
    """AdamW decays the parameters, Adam the gradient (AdamW is a flag of Adam in newer versions of torch)."""
    return isinstance(optimizer, torch.optim.AdamW) or bool(settings.get("decoupled_weight_decay"))


def _adam(state: dict[str, Any], settings: dict[str, Any], gradient: Tensor) -> Tensor:
    """Derivative of m_hat / (sqrt(v_hat) + eps) by the gradient, from the moments after the step.

    With m = b1 m_old + (1 - b1) g, v = b2 v_old + (1 - b2) g^2, D = sqrt(v / c2) + eps and c_k = 1 - b_k^t:
    (1 - b1) / (c1 D) - m (1 - b2) g / (c1 sqrt(v c2) D^2).
    """
    b1, b2 = (float(b) for b in settings["betas"])
    t = float(state["step"])
    c1, c2 = 1 - b1**t, 1 - b2**t
    m, v, flows = state["exp_avg"], state["exp_avg_sq"], 1.0
    if settings.get("amsgrad"):
        top = state["max_exp_avg_sq"]
        flows = (v >= top).to(v.dtype)  # an old maximum does not depend on this gradient
        v = top
    root = v.sqrt()
    scale = root / c2**0.5 + settings["eps"]
    # where v is 0 the gradient was 0 from the start, and so is the second term
    slope = torch.where(root > 0, m * gradient * (1 - b2) / (root * c2**0.5 * scale**2), torch.zeros_like(root))
    return ((1 - b1) / scale - flows * slope) / c1
