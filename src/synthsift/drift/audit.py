"""How wrong is the score of a user's own diffusion model, and what does that allow a retraining loop to do.

The denoising loss of any score s is E|s - true|^2 plus a constant, so the difference of two losses on the *same* noised
rows is the difference of their squared errors, whatever the true score is. With the true score as reference that is
eps^2 itself; with any other reference it is eps^2 of the model minus eps^2 of the reference: a lower bound of eps^2.

References
----------
Vincent 2011 (denoising score matching); Section 5 of the specification of drift; arXiv:2602.16601v2, Prop. 3.1.
"""

from __future__ import annotations

import math
import numbers as numbers_of
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synthsift.drift.arguments import check_features
from synthsift.drift.diffusion import log_times, noise_rows
from synthsift.drift.guarantees import kl_ceiling, one_round_tv, steady_tv, tv_guarantee
from synthsift.drift.kernels import points
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds

TimedScore = Callable[[np.ndarray, np.ndarray], ArrayLike]
PART = 4096  # rows of one call


@dataclass(frozen=True)
class ScoreAudit:
    """Score error energy of a model, integrated over [t0, T] with unit weight.

    Parameters
    ----------
    eps2, error : float
        Paired gap and its standard error; may be below 0 when the reference is no better than the model.
    low, high : float
        95 % interval, normal.
    unpaired_error : float
        Standard error without pairing, to see what pairing brings.
    is_exact : bool
        Whether the reference is the true score. If not, eps2 is a lower bound and nothing is guaranteed: every bound
        on a total variation is 1 and the one on KL infinite.
    num_rows : int
        Noised rows.
    t0, horizon : float
        Times.
    by_time : ndarray (b, 2)
        Middle of each eighth of the range of log times, and the share of eps2 that comes from it.
    """

    eps2: float
    error: float
    low: float
    high: float
    unpaired_error: float
    is_exact: bool
    num_rows: int
    t0: float
    horizon: float
    by_time: np.ndarray

    @property
    def eps2_ceiling(self) -> float:
        """Most that eps^2 is: the upper end of the interval, infinite unless the reference is the true score.

        A gap to another score bounds eps^2 from below only: a model as bad as its reference has none.
        """
        return max(self.high, 0.0) if self.is_exact else math.inf

    @property
    def kl(self) -> float:
        """Most that KL(q_{t0}||phat) is, eps^2/2; infinite, which says nothing, unless the reference is exact."""
        return kl_ceiling(self.eps2_ceiling) if self.is_exact else math.inf

    @property
    def tv(self) -> float:
        """Most that TV(phat, q_{t0}) is, eps/2; 1, which says nothing, if beyond or unless the reference is exact."""
        return min(one_round_tv(self.eps2_ceiling), 1.0) if self.is_exact else 1.0

    def loop_tv(self, alpha: float, num_rounds: int) -> np.ndarray:
        """TV(phat_N, p_data) after N = 1..num_rounds rounds whose models all have this error (num_rounds,), Eq. 13.

        Clipped at 1, where the bound says nothing: no two laws are further apart. All 1 unless the reference is exact.
        """
        if num_rounds < 1:
            raise DataError(f"{num_rounds} rounds were asked for; at least 1 is needed")
        eps = math.sqrt(self.eps2_ceiling) if self.is_exact else 2.0  # TV <= eps/2 is empty from 2 on
        return np.minimum(tv_guarantee(alpha, np.full(num_rounds, eps)), 1.0)

    def steady_tv(self, alpha: float) -> float:
        """The same in the long run, eps/(2 alpha), clipped at 1; 1, which says nothing, unless the reference is exact.

        Raises
        ------
        DataError
            If alpha is 0, which has no steady state, or outside [0, 1].
        """
        return min(steady_tv(alpha, math.sqrt(self.eps2_ceiling) if self.is_exact else 2.0), 1.0)

    def __str__(self) -> str:
        kind = "" if self.is_exact else " at least (the reference is not the true score: no guarantee)"
        said = f"eps^2 = {self.eps2:.3g} [{self.low:.3g}, {self.high:.3g}]{kind}, from {self.num_rows:,} noised rows"
        if not self.is_exact and self.high <= 0:
            return f"{said}; the reference is worse than the model: use a larger or longer-trained one"
        nothing = " (says nothing)" if self.tv == 1 else ""
        return f"{said}; one round: TV <= {self.tv:.3g}{nothing}, KL <= {self.kl:.3g}" if self.is_exact else said


def audit_score(
    model: TimedScore,
    data: ArrayLike,
    reference: TimedScore | None = None,
    *,
    reference_is_exact: bool = False,
    t0: float = 0.05,
    horizon: float = 4.0,
    num_rows: int = 20_000,
    seeds: Seeds | int = 0,
) -> ScoreAudit:
    """Measure the score error of a model on held-out rows of its training mix.

    Parameters
    ----------
    model : callable (x (n, d), t (n,)) -> (n, d)
        Learned score of X_t = e^{-t/2} X_0 + sqrt(1-e^{-t}) z (a network that predicts z has the score
        -z/sqrt(1-e^{-t})). Called with float64 arrays of at most 4,096 rows; may return a torch tensor.
    data : array_like (m, d)
        Rows of the training mix q that the model was not trained on.
    reference : callable, optional
        Score to compare with: the exact one, or a larger or longer-trained model. By default the kernel score of one
        half of `data`, judged on the other half: always honest, weak in many dimensions.
    reference_is_exact : bool
        Whether `reference` is the true score of q.
    t0, horizon : float
        Times between which the sampler runs.
    num_rows : int
        Noised rows (at least 100); each takes a row of `data`, a time and a noise.
    seeds : Seeds or int
        Randomness.

    Returns
    -------
    ScoreAudit
        eps^2 with its interval, and the guarantees that follow from it where the reference is exact, without start
        and time steps of the sampler.

    Raises
    ------
    DataError
        If data, times or sizes cannot be used, or a score fails, has the wrong shape or is not finite.
    """
    rows = check_features("data", data)
    _check_sizes(t0, horizon, num_rows)
    for name, score in (("model", model), ("reference", reference)):
        if not callable(score) and not (name == "reference" and score is None):
            raise DataError(f"the {name} is a {type(score).__name__}; a callable (x, t) -> scores is needed")
    if reference is None and reference_is_exact:
        raise DataError("reference_is_exact is set without a reference; give the exact score")
    rng = as_seeds(seeds).numpy("audit")
    if reference is None:
        rows = rng.permutation(rows)
        kernel, rows = points(rows[: len(rows) // 2]), rows[len(rows) // 2 :]
    low, high = log_times(t0, horizon)
    u = low + (high - low) * (rng.permutation(num_rows) + rng.random(num_rows)) / num_rows  # stratified
    # Whole passes over the data first: every row is used equally often, up to one.
    chosen = np.concatenate([rng.permutation(len(rows)) for _ in range(math.ceil(num_rows / len(rows)))])[:num_rows]
    x, z = noise_rows(rows[chosen], u, rng)
    t = np.log1p(np.exp(u))
    sigma = np.sqrt(-np.expm1(-t))[:, None]
    ours = _scores("model", model, x, t) * sigma
    if reference is None:
        theirs = kernel_scores(kernel.centers, x, t) * sigma
    else:
        theirs = _scores("reference", reference, x, t) * sigma
    losses = (high - low) * np.stack([((part + z) ** 2).sum(axis=1) for part in (ours, theirs)])
    if reference_is_exact:
        gap = (high - low) * ((ours - theirs) ** 2).sum(axis=1)  # the same mean without the noise of z
    else:
        gap = losses[0] - losses[1]
    # A row of data that is used often counts once in the error.
    error, unpaired = _clustered_error(gap, chosen), math.sqrt(sum(_clustered_error(v, chosen) ** 2 for v in losses))
    eps2 = float(gap.mean())
    eighth = np.minimum(((u - low) / (high - low) * 8).astype(int), 7)
    parts = np.bincount(eighth, weights=gap, minlength=8) / num_rows
    middles = np.log1p(np.exp(low + (high - low) * (np.arange(8) + 0.5) / 8))
    return ScoreAudit(
        eps2,
        error,
        eps2 - 1.96 * error,
        eps2 + 1.96 * error,
        unpaired,
        reference_is_exact,
        num_rows,
        float(t0),
        float(horizon),
        np.stack([middles, parts], axis=1),
    )


def _check_sizes(t0: float, horizon: float, num_rows: int) -> None:
    """Refuse times and sizes that mean nothing."""
    numbers = all(isinstance(v, numbers_of.Real) and not isinstance(v, bool) for v in (t0, horizon))
    if not numbers or not 0 < t0 < horizon or not math.isfinite(horizon):
        raise DataError(f"t0 = {t0!r}, horizon = {horizon!r}: two times with horizon > t0 > 0 are needed")
    if isinstance(num_rows, bool) or not isinstance(num_rows, numbers_of.Integral) or num_rows < 100:
        raise DataError(f"num_rows = {num_rows!r}: a whole number of at least 100 rows is needed")


def _scores(name: str, score: TimedScore, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Scores of all rows as float64 (n, d), asked for in parts that a network's memory can hold."""
    found = []
    for start in range(0, len(x), PART):
        part = slice(start, start + PART)
        try:
            values: Any = score(x[part], t[part])
            if hasattr(values, "detach"):  # a torch tensor, which may carry gradients or lie on a GPU
                values = values.detach().cpu().double().numpy()
            values = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise DataError(
                f"the {name} failed with {type(error).__name__}: {str(error)[:200]}. It is called with NumPy arrays x "
                f"(n, d) and t (n,) of float64 and returns scores (n, d); a torch module needs a wrapper, see "
                f"docs/laboratory.md"
            ) from error
        found.append(_checked(name, values, x[part]))
    return np.concatenate(found)


def _checked(name: str, found: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A score of the rows `x`, which has their shape and is finite."""
    if found.shape != x.shape:
        raise DataError(f"the {name} returned shape {found.shape} for rows of shape {x.shape}; both must be the same")
    if not np.isfinite(found).all():
        raise DataError(f"the {name} returned a score that is not finite; check it at small and large times")
    return found


def _clustered_error(values: np.ndarray, clusters: np.ndarray) -> float:
    """Standard error of the mean when values of one cluster depend on each other."""
    sums = np.bincount(clusters, weights=values - values.mean())
    return math.sqrt(float((sums**2).sum())) / len(values)


def kernel_scores(centers: np.ndarray, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Score at rows x (n, d) of `centers` noised to each row's own time t (n,)."""
    found = np.empty(x.shape)
    size = max(1, 2_000_000 // len(centers))
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        keep = np.exp(-t[part])[:, None]
        shrunk = np.sqrt(keep) * x[part]  # |x - a c|^2 = |x|^2 - 2 a x.c + a^2 |c|^2; |x|^2 is common to all centers
        exponent = (shrunk @ centers.T - keep / 2 * (centers**2).sum(axis=1)) / (1 - keep)
        exponent -= exponent.max(axis=1, keepdims=True)
        np.exp(exponent, out=exponent)
        mean = exponent @ centers / exponent.sum(axis=1, keepdims=True)
        found[part] = (np.sqrt(keep) * mean - x[part]) / (1 - keep)
    return found
