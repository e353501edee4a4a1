"""A learner that knows where rows lie, beside the one that is asked for.

Rows that stray from where their class lies hardly move a linear rule, so its scores do not tell them from good ones; a
learner of neighborhoods is hurt by them. It is softmax regression on random waves,

    z(x) = cos(x V / width + b),      V normal, b uniform,      z(x) . z(x') ~ (m / 2) exp(-|x - x'|^2 / 2 width^2)

so its steps, gradients and scores have the closed forms of the linear learner.

References
----------
Rahimi, Recht 2007, *Random features for large-scale kernel machines*, section 3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WAVES = 256
WIDTH = 0.3  # of the median distance between two rows
PAIRED_ROWS = 300  # whose distances are measured


def waves(x: Tensor, training: Tensor, generator: torch.Generator) -> Tensor:
    """Return the waves (n, WAVES) of rows (n, d), as long on average as the rows themselves.

    Parameters
    ----------
    x : Tensor (n, d)
    training : Tensor (k,)
        Places of the rows that the width and the scale are taken from.
    generator : torch.Generator
    """
    some = training[torch.randperm(len(training), generator=generator)[:PAIRED_ROWS]]
    apart = torch.pdist(x[some])
    apart = apart[apart > 0]
    width = WIDTH * float(apart.median()) if len(apart) else 1.0
    directions = torch.randn(x.shape[1], WAVES, generator=generator) / width
    phases = 2 * math.pi * torch.rand(WAVES, generator=generator)
    z = torch.cos(x @ directions + phases)
    return z * torch.sqrt(x[training].square().sum() / z[training].square().sum())


def say_of(explained: Tensor, spread: Tensor) -> Tensor:
    """Return the factor (k,) of each learner's scores when they are added up.

    Scores count in units of their spread (k,), and a learner in proportion to what it explains of the trusted rows
    (k,): one that predicts none of them has no opinion worth hearing. All count alike where none explains anything.
    """
    explained = explained.clamp(min=0)
    if not bool((explained > 0).any()):
        explained = torch.ones_like(explained)
    return explained / explained.max() / torch.where(spread > 0, spread, torch.inf)
