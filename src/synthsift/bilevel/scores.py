"""Scores s_i = <gradient of row i's loss, gradient of the trusted loss>: all that the meta-network needs to know.

If the learner takes the step theta' = theta - lr * sum_i p_i grad l_i(theta), then

    d L_trusted(theta') / d p_i = - lr * < grad l_i(theta), grad L_trusted(theta') >

so with G = grad L_trusted(theta') only one number a row crosses from the learner to the meta-network, and that number
is a directional derivative of l_i: exact by forward-mode differentiation, and in closed form for a linear learner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
LogitsOf = Callable[[Mapping[str, Tensor], Tensor], Tensor]

# torch counts the levels of forward-mode differentiation for the whole process: two threads at it lose each other's.
FORWARD_MODE = Lock()


def jvp_scores(logits_of: LogitsOf, params: Parameters, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """Return <grad l_i(params), direction> for every row (n,), for any model.

    Parameters
    ----------
    logits_of : callable
        ``logits_of(params, x) -> (n, c)``.
    params, direction : dict of Tensor
        Where to differentiate and the direction G, with the same names and shapes.
    x, y : Tensor (n, ...), (n,)
    """

    def losses(at: Parameters) -> Tensor:
        return torch.nn.functional.cross_entropy(logits_of(at, x), y, reduction="none")

    with FORWARD_MODE:
        return torch.func.jvp(losses, (params,), (direction,))[1]


def linear_scores(residual: Tensor, x: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
    """Return the same for logits x W + b: s_i = (p_i - y_i) . (x_i dW + db).

    Parameters
    ----------
    residual : Tensor (n, c)
        Predicted probabilities minus the one-hot label.
    x : Tensor (n, d)
    slope, offset : Tensor (d, c), (c,)
        The direction G.
    """
    return (residual * (x @ slope + offset)).sum(dim=1)
