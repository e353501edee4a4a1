"""Several data sources with any input covariances, and the few matrix operations their formulas need.

An operator is a vector (..., d) when all covariances are diagonal in one basis and a matrix (..., d, d) otherwise, with
a leading axis of t grid points where it depends on the point. `Algebra` hides the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from synthsift.records import DataError
from synthsift.theory.collapse_inputs import Setting, check_scalar


@dataclass(frozen=True)
class Source:
    """One data source k: rows x ~ N(0, Sigma_k) with labels x.(w_1 + delta_k) + noise.

    Parameters
    ----------
    num_rows : float
        n_k >= 0.
    covariance : ndarray (d,) or (d, d)
        Sigma_k, or its diagonal.
    noise_variance : float
        sigma_k^2 >= 0.
    shift : ndarray (d,) or (d, d), optional
        Delta_k = E[delta_k delta_k']; nothing for real rows.
    cross : ndarray (d,) or (d, d), optional
        C_k = E[delta_k w_1']; zero when the shift is independent of the truth. Labels of a shrunken model (ridge, early
        stopping, label smoothing) have a negative one, and leaving it out gives a wrong prediction.
    weight : float
        omega_k >= 0, the weight of each row.
    """

    num_rows: float
    covariance: np.ndarray
    noise_variance: float = 1.0
    shift: np.ndarray | None = None
    cross: np.ndarray | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("num_rows", "noise_variance", "weight"):
            check_scalar(getattr(self, name), name)
        check_operator(self.covariance, len(self.covariance), "covariance")
        if not np.any(self.covariance):
            raise DataError("covariance is all zero; at least one direction of the inputs must vary")
        if self.shift is not None:
            check_operator(self.shift, len(self.covariance), "shift")
        if self.cross is not None:
            check_operator(self.cross, len(self.covariance), "cross", is_moment=False)


@dataclass(frozen=True)
class Algebra:
    """Products, traces and inverses of operators that are all diagonal, or all dense."""

    is_dense: bool
    dim: int

    def times(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Product of two operators."""
        return left @ right if self.is_dense else left * right

    def dot(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """tr(left right) (...,)."""
        if self.is_dense:
            return np.sum(left * np.swapaxes(right, -1, -2), axis=(-1, -2))
        return np.asarray(np.einsum("...i,...i->...", left, right))

    def trace(self, operator: np.ndarray) -> np.ndarray:
        """Trace (...,)."""
        return np.trace(operator, axis1=-2, axis2=-1) if self.is_dense else operator.sum(axis=-1)

    def scale(self, factors: np.ndarray, operator: np.ndarray) -> np.ndarray:
        """Multiply an operator by factors (t,)."""
        return factors[..., None, None] * operator if self.is_dense else factors[..., None] * operator

    def transpose(self, operator: np.ndarray) -> np.ndarray:
        """Transposed operator."""
        return np.swapaxes(operator, -1, -2) if self.is_dense else operator

    @property
    def identity(self) -> np.ndarray:
        """The identity."""
        return np.eye(self.dim) if self.is_dense else np.ones(self.dim)

    def inverse(self, operator: np.ndarray) -> np.ndarray:
        """Inverse of a positive definite operator."""
        return np.linalg.inv(operator) if self.is_dense else 1 / operator

    def pseudo_inverse(self, operator: np.ndarray) -> np.ndarray:
        """Inverse on the range of a positive semi-definite operator, zero elsewhere."""
        if self.is_dense:
            return np.linalg.pinv(operator, hermitian=True)
        return np.divide(1.0, operator, out=np.zeros_like(operator), where=operator > 0)

    def rank(self, operator: np.ndarray) -> int:
        """Number of positive eigenvalues of one operator."""
        return int(np.linalg.matrix_rank(operator, hermitian=True)) if self.is_dense else int((operator > 0).sum())

    def lift(self, operator: np.ndarray) -> np.ndarray:
        """A diagonal given as a vector, in this algebra."""
        return np.diag(operator) if self.is_dense and np.ndim(operator) == 1 else np.asarray(operator, dtype=float)


Moments = dict[tuple[int, int], np.ndarray]


@dataclass(frozen=True)
class Stack:
    """K sources at t points, as arrays.

    Parameters
    ----------
    algebra : Algebra
        Diagonal or dense.
    rows, weights : ndarray (t, K)
        n_k and omega_k.
    ridge, width : ndarray (t,)
        lam, and m (infinite without a projection).
    projection_variance : float
        s2.
    covariances : tuple of operator
        Sigma_k.
    test_covariance : operator
        Sigma_T.
    noises : ndarray (K,)
        sigma_k^2.
    moments : dict
        E[v_i v_j'] for i >= j of v = (w_1, delta_2, ..., delta_K); absent means zero. (0, 0) is Gamma.
    """

    algebra: Algebra
    rows: np.ndarray
    weights: np.ndarray
    ridge: np.ndarray
    width: np.ndarray
    projection_variance: float
    covariances: tuple[np.ndarray, ...]
    test_covariance: np.ndarray
    noises: np.ndarray
    moments: Moments = field(default_factory=dict)

    @property
    def total(self) -> np.ndarray:
        """n, rows of all sources (t,)."""
        return self.rows.sum(axis=1)

    @property
    def num_sources(self) -> int:
        """K."""
        return len(self.covariances)

    def at(self, chosen: np.ndarray | slice) -> Stack:
        """The stack at some of its points."""
        return Stack(
            self.algebra,
            self.rows[chosen],
            self.weights[chosen],
            self.ridge[chosen],
            self.width[chosen],
            self.projection_variance,
            self.covariances,
            self.test_covariance,
            self.noises,
            self.moments,
        )


def check_operator(values: np.ndarray, dim: int, name: str, is_moment: bool = True) -> None:
    """Refuse a wrong shape, non-finite numbers and, for a second moment, negative diagonals and asymmetry."""
    array = np.asarray(values, dtype=float)
    if array.shape not in ((dim,), (dim, dim)):
        raise DataError(f"{name} has shape {array.shape}; give a diagonal ({dim},) or a matrix ({dim}, {dim})")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds numbers that are not finite")
    if not is_moment:
        return
    diagonal = array if array.ndim == 1 else np.diag(array)
    if (diagonal < 0).any():
        raise DataError(f"{name} has a negative diagonal entry ({diagonal.min():g}); a second moment has none")
    if array.ndim == 2 and not np.allclose(array, array.T, rtol=1e-8, atol=1e-12 * max(1.0, float(diagonal.max()))):
        raise DataError(f"{name} is not symmetric; a second moment is")


def stack_sources(
    sources: Sequence[Source],
    signal: np.ndarray,
    *,
    ridge: float,
    test_covariance: np.ndarray | None = None,
    width: float | None = None,
    projection_variance: float | None = None,
    between: Mapping[tuple[int, int], np.ndarray] | None = None,
) -> Stack:
    """Turn sources into arrays, checked against each other; the arguments are those of `predict_sources`.

    Raises
    ------
    DataError
        If there is no source, no row, or the shapes do not match.
    """
    if not sources:
        raise DataError("there is no source; give at least the real one")
    dim = len(sources[0].covariance)
    signal = np.asarray(signal, dtype=float)
    test = sources[0].covariance if test_covariance is None else np.asarray(test_covariance, dtype=float)
    check_operator(signal, dim, "signal")
    check_operator(test, dim, "test_covariance")
    moments = _moments_of(sources, signal, between or {})
    operators = [source.covariance for source in sources] + [test, *moments.values()]
    if any(len(operator) != dim for operator in operators):
        raise DataError(f"the sources have different dimensions: {sorted({len(o) for o in operators})}")
    if sum(source.num_rows for source in sources if source.weight > 0) <= 0:
        raise DataError("all sources are empty (or have weight 0); nothing is left to train on")
    if width is not None and not width >= 1:
        raise DataError(f"width is {width:g}; a projection needs a width of at least 1")
    algebra = Algebra(is_dense=any(np.ndim(operator) == 2 for operator in operators), dim=dim)
    return Stack(
        algebra,
        rows=np.array([[float(source.num_rows) for source in sources]]),
        weights=np.array([[float(source.weight) for source in sources]]),
        ridge=np.array([check_scalar(ridge, "ridge")]),
        width=np.array([np.inf if width is None else float(width)]),
        projection_variance=1.0 / dim if projection_variance is None else float(projection_variance),
        covariances=tuple(algebra.lift(source.covariance) for source in sources),
        test_covariance=algebra.lift(test),
        noises=np.array([source.noise_variance for source in sources]),
        moments={key: algebra.lift(value) for key, value in moments.items()},
    )


def _moments_of(
    sources: Sequence[Source], signal: np.ndarray, between: Mapping[tuple[int, int], np.ndarray]
) -> Moments:
    """Second moments of (w_1, delta_2, ..., delta_K) that are not zero."""
    if sources[0].shift is not None or sources[0].cross is not None:
        raise DataError(
            "the first source is the real one; its labels define the truth, so it has no shift and no cross"
        )
    moments: Moments = {(0, 0): signal}
    for k, source in enumerate(sources):
        if source.shift is not None:
            moments[k, k] = source.shift
        if source.cross is not None:
            moments[k, 0] = source.cross
    for (j, k), value in between.items():
        if not 1 <= k < j < len(sources):
            raise DataError(f"between has key ({j}, {k}); use (j, k) with 1 <= k < j < {len(sources)}")
        check_operator(value, len(signal), "between", is_moment=False)
        moments[j, k] = value
    return moments


def stack_setting(setting: Setting) -> Stack:
    """The two sources of a setting as a diagonal stack over its grid."""
    moments: Moments = {(0, 0): setting.signal, (1, 1): setting.shift}
    if setting.cross.any():
        moments[1, 0] = setting.cross
    return Stack(
        Algebra(is_dense=False, dim=setting.dim),
        rows=np.stack([setting.num_real, setting.num_synth], axis=1),
        weights=np.stack([np.ones_like(setting.synth_weight), setting.synth_weight], axis=1),
        ridge=setting.ridge,
        width=setting.width,
        projection_variance=setting.projection_variance,
        covariances=(setting.spectrum, setting.synth_spectrum),
        test_covariance=setting.spectrum,
        noises=np.array([setting.real_noise, setting.synth_noise]),
        moments=moments,
    )
