"""The meta-objective: reward rows that point where the trusted loss falls, but not without bound.

With log-weights z, shares p_i = exp(z_i) / sum_j exp(z_j) and standardized scores s_i, the network minimizes

    - sum_i p_i s_i + strength * KL(p || uniform),      KL = sum_i p_i log(n p_i)

The first term alone has exactly the one-step meta-gradient - Cov_p(s, grad z), and its optimum is a vertex: all
weight on one row. The second is what keeps an effective batch alive. The scale of s is divided out, so the strength
means the same for every learner, learning rate and stage of training.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shares(log_weights: Tensor) -> Tensor:
    """Return p (n,), the weights normalized to sum 1."""
    return torch.softmax(log_weights, dim=0)


def standardized_scores(scores: Tensor, p: Tensor) -> Tensor:
    """Return scores (n,) with p-weighted mean 0 and uniform standard deviation 1 (all 0 if they do not vary)."""
    spread = scores.std()
    if not torch.isfinite(spread) or spread <= 0:
        return torch.zeros_like(scores)
    return (scores - (p.detach() * scores).sum()) / spread


def meta_gradient(log_weights: Tensor, scores: Tensor, strength: float) -> Tensor:
    """Return the derivative (n,) of the objective above by the log-weights, in closed form; scores carry no gradient.

    With E the mean under p:  - p_i (s_i - E s) + strength * p_i (log p_i - E log p). Passing it to
    ``log_weights.backward`` gives the meta-gradient without a graph through the normalization.
    """
    logs = torch.log_softmax(log_weights, dim=0)
    p = logs.exp()
    s = standardized_scores(scores, p)
    return p * (strength * (logs - (p * logs).sum()) - (s - (p * s).sum()))
