"""Monte-Carlo twins of the collapse formulas: draw data, fit, and measure the exact excess error of every fit.

Each repetition draws new inputs (and a new projection), and for them several draws of the truth w_1, the shifts and the
label noise. Because the fit is linear in the labels, the part of the fit due to each of the three is fitted on its own:
their squared sizes average to bias, variance and collapse, and the error of their sum is the total. (Where shifts are
correlated with the truth, their product counts as collapse.) Repetitions are independent, so the standard error comes
from their spread.

Equation (38) of docs/methods/theory.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.collapse_sources import Source, Stack, stack_sources

LABEL_DRAWS = 16
PARTS = ("total", "bias", "variance", "collapse")
# Below this share of the mean squared feature the normal equations lose half of all digits.
SMALL_RIDGE = 1e-10


def simulate_sources(
    sources: Sequence[Source],
    signal: np.ndarray,
    *,
    ridge: float = 0.0,
    test_covariance: np.ndarray | None = None,
    width: float | None = None,
    projection_variance: float | None = None,
    between: Mapping[tuple[int, int], np.ndarray] | None = None,
    seeds: Seeds | int,
    repeats: int,
) -> Prediction:
    """Draw and fit what `predict_sources` predicts; the arguments are the same. Lower is better.

    Source: docs/methods/theory.md, eq. (38); generalizes arXiv 2410.04840, Theorems 1 and 2.

    Parameters
    ----------
    seeds : Seeds or int
        Source of the random numbers.
    repeats : int
        Independent designs, at least 2.

    Returns
    -------
    Prediction
        Mean error with mean -+ 1.96 standard errors; `terms` has the parts and `<part>_se`, each of shape ().

    Raises
    ------
    DataError
        For inputs that do not fit, row counts or widths that are not whole, or fewer than 2 repeats.
    """
    stack = stack_sources(
        sources,
        signal,
        ridge=ridge,
        test_covariance=test_covariance,
        width=width,
        projection_variance=projection_variance,
        between=between,
    )
    errors = simulate_stack(stack, as_seeds(seeds).child("simulate_sources"), repeats)
    return prediction_from(errors[:, None], np.asarray(float(stack.total[0])))


def prediction_from(errors: np.ndarray, at: np.ndarray) -> Prediction:
    """Summarize errors (repeats, t, 4) of all points into a prediction of the shape of `at`."""
    repeats = len(errors)
    means, deviations = errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(repeats)
    terms: dict[str, np.ndarray] = {}
    for i, name in enumerate(PARTS):
        terms[name] = means[:, i].reshape(at.shape)
        terms[f"{name}_se"] = deviations[:, i].reshape(at.shape)
    mean, half = terms["total"], 1.96 * terms["total_se"]
    return Prediction(at, mean, mean - half, mean + half, terms, f"Monte Carlo, {repeats} independent designs")


def simulate_stack(stack: Stack, seeds: Seeds, repeats: int) -> np.ndarray:
    """Error and parts (repeats, 4) at the one point of a stack.

    Source: docs/methods/theory.md, eq. (38); generalizes arXiv 2410.04840, Theorems 1 and 2.
    """
    if repeats < 2:
        raise DataError(f"repeats is {repeats}; a standard error needs at least 2")
    draw = _Draw.of(stack)
    rng = seeds.numpy("designs")
    return np.array([draw.one(rng) for _ in range(repeats)])


@dataclass(frozen=True)
class _Draw:
    """What one repetition needs, computed once."""

    stack: Stack
    counts: tuple[int, ...]
    width: int | None
    input_roots: tuple[np.ndarray, ...]
    label_root: np.ndarray

    @staticmethod
    def of(stack: Stack) -> _Draw:
        """Prepare the repetitions of the one point of a stack."""
        width = float(stack.width[0])
        return _Draw(
            stack,
            tuple(whole_number(n, "a row count") for n in stack.rows[0]),
            whole_number(width, "width") if np.isfinite(width) else None,
            tuple(square_root(cov) for cov in stack.covariances),
            _label_root(stack),
        )

    def one(self, rng: np.random.Generator) -> np.ndarray:
        """Total, bias, variance and collapse of one design, averaged over label draws (4,)."""
        stack, dim = self.stack, self.stack.algebra.dim
        inputs = [
            _times_root(rng.standard_normal((n, dim)), r) for n, r in zip(self.counts, self.input_roots, strict=True)
        ]
        vectors = self._vectors(rng)  # (draws, K, d): w_1 and the shifts
        truth = np.concatenate([x @ vectors[:, 0].T for x in inputs])
        shift = np.concatenate(
            [x @ vectors[:, k].T if k else np.zeros((len(x), len(vectors))) for k, x in enumerate(inputs)]
        )
        spread = np.repeat(np.sqrt(stack.noises), self.counts)[:, None]
        noise = spread * rng.standard_normal(shift.shape)
        weights = np.repeat(stack.weights[0], self.counts)
        targets = np.concatenate([truth, noise, shift], axis=1)
        fit = self._fit(np.concatenate(inputs), targets, weights, rng)
        missed, noisy, shifted = fit.T.reshape(3, len(vectors), dim)
        missed = missed - vectors[:, 0]
        return self._measured(missed, noisy, shifted)

    def _measured(self, missed: np.ndarray, noisy: np.ndarray, shifted: np.ndarray) -> np.ndarray:
        """Total, bias, variance and collapse (4,), with the product of truth and shift where it has a mean."""
        test = self.stack.test_covariance
        total, bias = quadratic_mean(missed + noisy + shifted, test), quadratic_mean(missed, test)
        is_related = any(j == 0 < i for i, j in self.stack.moments)
        collapse = quadratic_mean(missed + shifted, test) - bias if is_related else quadratic_mean(shifted, test)
        return np.array([total, bias, quadratic_mean(noisy, test), collapse])

    def _fit(
        self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Weights of the fit (d, c), through a new projection where there is one."""
        ridge = float(self.stack.ridge[0])
        if self.width is None:
            return fit_ridge(inputs, targets, ridge, weights)
        scale = np.sqrt(self.stack.projection_variance)
        projection = scale * rng.standard_normal((self.width, self.stack.algebra.dim))
        return projection.T @ fit_ridge(inputs @ projection.T, targets, ridge, weights)

    def _vectors(self, rng: np.random.Generator) -> np.ndarray:
        """Draws of (w_1, delta_2, ..., delta_K) (draws, K, d)."""
        num, dim = self.stack.num_sources, self.stack.algebra.dim
        if self.stack.algebra.is_dense:
            return (rng.standard_normal((LABEL_DRAWS, num * dim)) @ self.label_root.T).reshape(LABEL_DRAWS, num, dim)
        return np.einsum("dkj,rjd->rkd", self.label_root, rng.standard_normal((LABEL_DRAWS, num, dim)))


def whole_number(value: float, name: str) -> int:
    """A whole number, or an error that says a simulation needs one."""
    if value != int(value):
        raise DataError(f"{name} is {value:g}; a simulation draws whole rows and features, round it first")
    return int(value)


def square_root(covariance: np.ndarray) -> np.ndarray:
    """L with L L' = covariance, for a diagonal (d,), a matrix (d, d) or a batch of matrices."""
    if covariance.ndim == 1:
        return np.sqrt(covariance)
    values, vectors = np.linalg.eigh(covariance)
    if values.min() < -1e-8 * max(values.max(), 1e-300):
        raise DataError(f"a second moment has the eigenvalue {values.min():.2g}; no random vectors have it")
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


def _times_root(normal: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Rows of covariance L L' from standard normal rows."""
    return normal * root if root.ndim == 1 else normal @ root.T


def _label_root(stack: Stack) -> np.ndarray:
    """Square root of the second moments of (w_1, delta_2, ..., delta_K): (K d, K d), or (d, K, K) when diagonal."""
    num, dim = stack.num_sources, stack.algebra.dim
    joint = np.zeros((dim, num, num) if not stack.algebra.is_dense else (num, num, dim, dim))
    for (i, j), moment in stack.moments.items():
        if stack.algebra.is_dense:
            joint[i, j], joint[j, i] = moment, moment.T
        else:
            joint[:, i, j] = joint[:, j, i] = moment
    if stack.algebra.is_dense:
        joint = joint.transpose(0, 2, 1, 3).reshape(num * dim, num * dim)
    return square_root(joint)


def quadratic_mean(vectors: np.ndarray, covariance: np.ndarray) -> float:
    """Mean of v'Cv over vectors (r, d); C is a diagonal (d,) or a matrix (d, d)."""
    image = vectors * covariance if covariance.ndim == 1 else vectors @ covariance
    return float(np.mean(np.sum(image * vectors, axis=1)))


def fit_ridge(inputs: np.ndarray, targets: np.ndarray, ridge: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Minimizer of (1/n) sum_i omega_i (y_i - x_i.w)^2 + ridge |w|^2 (p, c); the one of least norm for ridge 0.

    Parameters
    ----------
    inputs : ndarray (n, p)
        Rows.
    targets : ndarray (n, c)
        Label columns, fitted separately.
    ridge : float
        lam >= 0.
    weights : ndarray (n,), optional
        omega_i >= 0 (default 1); rows of weight 0 still count in n.
    """
    penalty = ridge * len(inputs)
    if weights is not None and not (weights == 1).all():
        used = weights > 0
        root = np.sqrt(weights[used])[:, None]
        inputs, targets = inputs[used] * root, targets[used] * root
    if penalty <= SMALL_RIDGE * np.sum(inputs**2) / inputs.shape[1]:
        return _least_norm(inputs, targets, penalty)
    if inputs.shape[1] <= len(inputs):
        gram = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
        return linalg.solve(gram, inputs.T @ targets, assume_a="pos")
    gram = inputs @ inputs.T + penalty * np.eye(len(inputs))
    return inputs.T @ linalg.solve(gram, targets, assume_a="pos")


def _least_norm(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Least-squares solution of least norm, with a tiny penalty as extra rows rather than squared."""
    if penalty > 0:
        inputs = np.vstack([inputs, np.sqrt(penalty) * np.eye(inputs.shape[1])])
        targets = np.vstack([targets, np.zeros((inputs.shape[1], targets.shape[1]))])
    # Behind a wide projection the features have rank d only, up to rounding that grows with the size of the matrix.
    return linalg.lstsq(inputs, targets, cond=np.finfo(float).eps * max(inputs.shape), lapack_driver="gelsy")[0]
