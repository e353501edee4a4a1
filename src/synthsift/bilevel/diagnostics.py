"""Is the meta-network of `LearnedWeights` learning, and from how many rows? Steps in numbers, the whole in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synthsift.bilevel.controls import Sums
from synthsift.bilevel.live import measure_council
from synthsift.bilevel.metanet import Council
from synthsift.bilevel.noise import FEW_EFFECTIVE, WANTED, Noise, in_digits
from synthsift.bilevel.processes import Processes

SETTLED = 0.9  # share of the way of the log-weights within which they are said to have moved
STILL = 1e-6  # of log-weights, whose rounding is smaller
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
    there: tuple[int, int],
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
    there : tuple of int
        Rows and trusted rows that a step could have at most.

    Returns
    -------
    dict
        ``loss`` of the meta-objective against equal weights; ``effective_batch`` 1/sum p^2 and ``effective_fraction``
        of the batch; ``mean_weight``; and `Noise.numbers`: signal to noise with both noises and with that of the rows
        alone, ``largest_share`` max p, rows and trusted rows of the step, those wanted and those that there are.
    """
    with torch.no_grad():
        z = council(features).double()
    concentration = Sums.of(z, scores.double(), Processes.alone()).numbers(strength)
    del concentration["strength"]  # does not change
    noise = measure_council(council, features, some, halves, num_trusted)
    return concentration | replace(noise, rows_there=float(there[0]), trusted_there=float(there[1])).numbers()


class Movement:
    """How far the log-weights of some rows go between two looks.

    Parameters
    ----------
    council : Council
        Looked at as it is then.
    features : Tensor (m, k)
        Of the rows.
    """

    def __init__(self, council: Council, features: Tensor) -> None:
        self.council, self.features = council, features
        self.last = self._log_weights()

    def _log_weights(self) -> Tensor:
        with torch.no_grad():
            return self.council(self.features).double()

    def __call__(self) -> float:
        """Return the standard deviation over the rows of the change since the last look; a common factor is none."""
        before, self.last = self.last, self._log_weights()
        return float((self.last - before).std(correction=0))


@dataclass(frozen=True)
class Course:
    """Signal and noise of a training while the weights moved, and after that.

    A step is worth following while it moves the weights. Later the gradient of what is learned is gone, and the ratio
    low, whether the weights are good or bad.

    Parameters
    ----------
    num_steps : int
        Steps of the first part.
    moving : Noise
        Up to `lost`, where that is known.
    after : Noise or None
        None where nothing was measured after the first part.
    lost : int or None
        The step from which on the ratio was below `WANTED` while the weights still moved; None where it never was above
        or was so again.
    """

    num_steps: int
    moving: Noise
    after: Noise | None
    lost: int | None

    @staticmethod
    def of(history: Mapping[str, np.ndarray]) -> Course:
        """Split the history of `LearnedWeights`, which has the movement up to each of its points."""
        way = np.append(np.cumsum(history["moved"])[1:], np.sum(history["moved"]))  # up to the next point
        last = int(np.argmax(way >= SETTLED * way[-1]))
        end = history["step"][min(last + 1, len(way) - 1)]
        has_more = last + 1 < len(way)
        after = Noise.of_history(history, slice(last + 1, None)) if has_more else None
        to_next = np.append(history["moved"][1:], 0.0)[: last + 1]  # most of the way may be that of a few steps
        moving = Noise.of_history(history, slice(0, last + 1), to_next)
        strong = np.flatnonzero(history["gsnr"][: last + 1] >= WANTED)
        if moving.gsnr < WANTED or strong[-1] == last:
            return Course(max(int(end), 1), moving, after, None)
        lost = int(strong[-1]) + 1
        moving = Noise.of_history(history, slice(0, lost), to_next[:lost])
        return Course(max(int(end), 1), moving, after, int(history["step"][lost]))

    def sentence(self, effective: float) -> str:
        """Say it in words; `effective` is the effective batch at the end."""
        steps = f"In the first {self.num_steps:,} step{'s' * (self.num_steps > 1)}, in which the weights moved,"
        noise = self.moving
        if self.lost is not None:
            told = (
                f"Before step {self.lost:,} the meta-gradient had a signal-to-noise ratio of {noise.ratio()} From then "
                f"to step {self.num_steps:,}, while the weights still moved, it was below {WANTED:g}."
            )
        elif noise.wanted() is None:
            told = f"{steps} no signal showed in the meta-gradient from {noise.seen}: {noise.advice()}."
        else:
            told = f"{steps} the meta-gradient had a signal-to-noise ratio of {noise.ratio()} {noise.advice()}."
        if effective < FEW_EFFECTIVE:
            told += f" {noise.warning(effective)}"
        if self.after is None:
            return told
        told += f" After that it was {in_digits(self.after.gsnr)}"
        if self.after.gsnr < WANTED <= noise.gsnr and self.lost is None:
            return f"{told}, which may only mean that nothing was left to learn."
        return f"{told}."


def in_numbers(history: Mapping[str, np.ndarray]) -> dict[str, float | str]:
    """Return signal and noise while the weights moved, the ratio after that, and words; none if they did not move.

    ``gsnr_lost`` is the step from which on the ratio was below `WANTED` while they moved, if there is one.
    """
    if max(history.get("moved", ()), default=0.0) < STILL:
        return {}
    course = Course.of(history)
    words = {"noise": course.sentence(float(history["effective_batch"][-1])), "noise_advice": course.moving.advice()}
    after = {} if course.after is None else {"gsnr_after": course.after.gsnr}
    after |= {} if course.lost is None else {"gsnr_lost": float(course.lost)}
    numbers = course.moving.numbers()
    del numbers["largest_share"]  # that of the end is told beside the effective batch of the end
    return words | numbers | after


def in_words(history: Mapping[str, np.ndarray]) -> str:
    """Return how far the weights of `LearnedWeights` are trusted, and what the user can do, for the terminal.

    The numbers behind it are in the history, under the table of the policies, and in words on the report's page.
    """
    temper = float(history["temper"][0])
    if temper == 0:
        return "Learned weights: all rows weigh alike, as real rows that had no part in them saw no gain from others."
    if not len(history.get("moved", ())):
        return ""
    if max(history["moved"]) < STILL:
        return "Learned weights: all rows weigh alike, as the real rows never told one from another."
    if temper >= 1:  # real rows that had no part in the training were predicted best with all that the weights say
        strength = "as they are" if temper == 1 else f"to the power {temper:g}"
        return f"Learned weights: taken {strength}, as real rows that had no part in them were predicted well by that."
    advice = _advice(Course.of(history).moving)
    return f"Learned weights: softened, taken to the power {temper:g}. {advice}".rstrip()


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
