"""Is the meta-network of `LearnedWeights` learning, and from how many rows? One step in numbers, its end in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from synthsift.bilevel.controls import Sums
from synthsift.bilevel.live import Noise, measure_council
from synthsift.bilevel.metanet import Council
from synthsift.bilevel.processes import Processes

MAX_ROWS = 512  # per-row gradients are taken of at most so many rows of a batch


def describe_step(
    council: Council,
    features: Tensor,
    scores: Tensor,
    some: Tensor,
    halves: Sequence[Tensor],
    num_trusted: int,
    strength: float,
) -> dict[str, float]:
    """Describe one step.

    Parameters
    ----------
    features, scores : Tensor (n, k), (n,)
        Of the selector's batch.
    some : Tensor (m,)
        Places in the batch whose gradients are looked at.
    halves : two Tensor (m,)
        Their scores by the first and by the second half of the trusted rows.
    num_trusted : int
        Trusted rows of the step.
    strength : float
        Of KL(p || uniform).

    Returns
    -------
    dict
        ``loss`` of the meta-objective against equal weights; ``effective_batch`` 1/sum p^2 and ``effective_fraction``
        of the batch; ``mean_weight``; and `Noise.numbers`: signal to noise with both noises and with that of the rows
        alone, ``largest_share`` max p, rows and trusted rows of the step and those wanted.
    """
    with torch.no_grad():
        z = council(features).double()
    concentration = Sums.of(z, scores.double(), Processes.alone()).numbers(strength)
    del concentration["strength"]  # does not change
    return concentration | measure_council(council, features, some, halves, num_trusted).numbers()


def in_words(history: Mapping[str, np.ndarray]) -> str:
    """Return what `LearnedWeights` recorded as a few sentences for the terminal: concentration, signal, advice."""
    temper = float(history["temper"][0])
    if not len(history.get("effective_batch", ())):
        return f"Learned weights: power {temper:g} of what the meta-network says."
    last = {name: float(values[-1]) for name, values in history.items()}
    concentration = (
        f"Learned weights: {last['effective_batch']:,.0f} effective of {last['batch_rows']:,.0f} rows, mean weight "
        f"{last['mean_weight']:.2f}, largest share {100 * last['largest_share']:.2g} %; used to the power {temper:g}."
    )
    return f"{concentration} {Noise.of_history(history).sentence()}"
