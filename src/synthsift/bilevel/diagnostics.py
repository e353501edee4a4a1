"""Is the meta-network of `LearnedWeights` learning, and from how many rows? One step in numbers, its end in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from synthsift.bilevel.controls import Sums
from synthsift.bilevel.live import WANTED, Noise, measure_council
from synthsift.bilevel.metanet import Council
from synthsift.bilevel.processes import Processes

MANY = 20.0  # times more real rows beyond which the number is not told
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
    """Return how `LearnedWeights` spread its weight, and what the user can do where they are unsure, for the terminal.

    The numbers behind it are in the history, and in words on the report's page.
    """
    temper = float(history["temper"][0])
    if temper == 0:
        return "Learned weights: all rows weigh alike, as real rows that had no part in them saw no gain from others."
    if not len(history.get("effective_batch", ())):
        return ""
    last = {name: float(values[-1]) for name, values in history.items()}
    softened = "" if temper == 1 else f", before they are taken to the power {temper:g}"
    told = (
        f"Learned weights: worth {last['effective_batch']:,.0f} of {last['batch_rows']:,.0f} rows that weigh alike, "
        f"the heaviest {100 * last['largest_share']:.2g} % of all{softened}."
    )
    if temper >= 1:  # real rows that had no part in the training were predicted best with all that the weights say
        return told
    return f"{told} {_advice(Noise.of_history(history))}".rstrip()


def _advice(noise: Noise) -> str:
    """What the user can do about weights that are mostly noise; "" where they are not, or where nothing can be done."""
    wanted = noise.wanted()
    if wanted is None:
        return "The real rows give no clear hint which synthetic rows are better; more real rows may."
    times = wanted[1] / noise.num_trusted
    if noise.gsnr >= WANTED or times <= 1:
        return ""
    more = f"about {times:.2g} times as many" if times < MANY else "very many more"
    return f"They are unsure, as the real rows are few: {more} would make them follow the data more than chance."
