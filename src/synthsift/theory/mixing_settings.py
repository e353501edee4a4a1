"""The inputs of the mixing theory: checked once, laid out on one grid, with the symbols derived from them.

Model (El Firdoussi et al. 2024): two classes y = +-1, a real row of class y is N(y mu, C) and a synthetic one
N(y mu_s, C_s) with generator moments (mu_s, C_s). A synthetic label is wrong with probability eps; a verifier keeps a
row with probability phi when its label is right and rho when it is wrong. The classifier is ridge regression on the
labels, without intercept, and its loss is divided by N = n + m: rows that the verifier drops still count in N.

References
----------
A. El Firdoussi, M. E. A. Seddik, S. Hayou, R. Alami, A. Alzubaidi, H. Hacid (2024), "Maximizing the Potential of
Synthetic Data: Insights from Random Matrix Theory", arXiv 2410.08942.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError
from synthsift.theory.mixing_checks import (
    GRID_RANGES,
    check_generator,
    check_ridge,
    check_sizes,
    checked_mean,
    checked_range,
    checked_spectrum,
    generator_sizes,
)

GeneratorKind = Literal["fresh", "exact", "self"]
GeneratorCovariance = Literal["estimated", "exact", "isotropic"]


class MixingOptions(TypedDict, total=False):
    """The keyword options of `synthsift.theory.mixing.predict_accuracy`, all optional, with the same meaning."""

    label_noise: ArrayLike
    keep_right: ArrayLike
    keep_wrong: ArrayLike
    generator_size: ArrayLike
    generator: GeneratorKind
    synth_weight: ArrayLike
    real_label_noise: ArrayLike
    spectrum: ArrayLike | None
    mean: ArrayLike | None
    exact_mean: bool
    generator_covariance: GeneratorCovariance
    isotropic_variance: float | None


@dataclass(frozen=True)
class Setting:
    """Checked inputs; every array that is not `spectrum` or `mean` has one entry per grid point.

    Parameters
    ----------
    num_real, num_synth, ridge, label_noise, keep_right, keep_wrong, generator_size, synth_weight, real_label_noise
        Arrays (t,): n, m, gamma, eps, phi, rho, n_hat, omega, eps_r.
    spectrum : ndarray (dim,)
        Eigenvalues of C.
    mean : ndarray (dim,)
        Class mean mu in the eigenbasis of C.
    generator : str
        "fresh", "exact" or "self".
    exact_mean : bool
        True where the generator knows mu.
    generator_covariance : str
        "estimated", "exact" or "isotropic".
    isotropic_variance : float
        s^2 of an isotropic generator covariance s^2 I.
    shape : tuple of int
        Shape of the grid as the caller gave it.
    """

    num_real: np.ndarray
    num_synth: np.ndarray
    ridge: np.ndarray
    label_noise: np.ndarray
    keep_right: np.ndarray
    keep_wrong: np.ndarray
    generator_size: np.ndarray
    synth_weight: np.ndarray
    real_label_noise: np.ndarray
    spectrum: np.ndarray
    mean: np.ndarray
    generator: str
    exact_mean: bool
    generator_covariance: str
    isotropic_variance: float
    shape: tuple[int, ...]

    @property
    def real_share(self) -> np.ndarray:
        """Share pi = n/N of real rows (t,)."""
        finite = np.isfinite(self.num_real) & np.isfinite(self.num_synth)
        share = np.where(np.isfinite(self.num_synth), 1.0, 0.0)
        return np.divide(self.num_real, self.num_real + self.num_synth, out=share, where=finite)

    @property
    def inverse_total(self) -> np.ndarray:
        """1/N (t,), 0 where the number of rows is infinite."""
        return 1.0 / (self.num_real + self.num_synth)

    @property
    def alpha(self) -> np.ndarray:
        """Fraction of synthetic rows that the verifier keeps (t,): phi (1 - eps) + rho eps."""
        return self.keep_right * (1.0 - self.label_noise) + self.keep_wrong * self.label_noise

    @property
    def lam(self) -> np.ndarray:
        """Signed kept fraction (t,): phi (1 - eps) - rho eps."""
        return self.keep_right * (1.0 - self.label_noise) - self.keep_wrong * self.label_noise

    @property
    def eps_prime(self) -> np.ndarray:
        """Label noise among the kept rows (t,): rho eps/alpha, 0 where nothing is kept."""
        wrong = self.keep_wrong * self.label_noise
        return np.divide(wrong, self.alpha, out=np.zeros_like(wrong), where=self.alpha > 0)

    @property
    def lam_r(self) -> np.ndarray:
        """Signed fraction of right real labels (t,): 1 - 2 eps_r."""
        return 1.0 - 2.0 * self.real_label_noise

    def rows(self, part: slice) -> Setting:
        """Return the grid points in `part`."""
        grid = {f.name: getattr(self, f.name)[part] for f in fields(self) if f.name in GRID_RANGES}
        return replace(self, **grid)


def make_setting(
    num_real: ArrayLike,
    num_synth: ArrayLike,
    dim: int,
    mean_norm: float | None,
    ridge: ArrayLike,
    *,
    label_noise: ArrayLike = 0.0,
    keep_right: ArrayLike = 1.0,
    keep_wrong: ArrayLike = 1.0,
    generator_size: ArrayLike = math.inf,
    generator: GeneratorKind = "fresh",
    synth_weight: ArrayLike = 1.0,
    real_label_noise: ArrayLike = 0.0,
    spectrum: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    exact_mean: bool = False,
    generator_covariance: GeneratorCovariance = "estimated",
    isotropic_variance: float | None = None,
) -> Setting:
    """Check the inputs of `synthsift.theory.mixing.predict_accuracy` and spread them over one grid.

    Raises
    ------
    DataError
        If an input is out of range, shapes do not match, or options contradict each other.
    """
    given: dict[str, ArrayLike] = {
        "num_real": num_real,
        "num_synth": num_synth,
        "ridge": ridge,
        "label_noise": label_noise,
        "keep_right": keep_right,
        "keep_wrong": keep_wrong,
        "generator_size": generator_size,
        "synth_weight": synth_weight,
        "real_label_noise": real_label_noise,
    }
    shape, grid = _spread({name: checked_range(name, value) for name, value in given.items()})
    check_sizes(grid["num_real"], grid["num_synth"])
    values = checked_spectrum(dim, spectrum)
    check_ridge(grid["ridge"], values)
    variance = float(values.mean()) if isotropic_variance is None else float(isotropic_variance)
    check_generator(generator, exact_mean, generator_covariance, variance)
    return Setting(
        num_real=grid["num_real"],
        num_synth=grid["num_synth"],
        ridge=grid["ridge"],
        label_noise=grid["label_noise"],
        keep_right=grid["keep_right"],
        keep_wrong=grid["keep_wrong"],
        generator_size=generator_sizes(generator, grid["generator_size"], grid["num_real"]),
        synth_weight=grid["synth_weight"],
        real_label_noise=grid["real_label_noise"],
        spectrum=values,
        mean=checked_mean(len(values), mean_norm, mean),
        generator=generator,
        exact_mean=bool(exact_mean),
        generator_covariance=generator_covariance,
        isotropic_variance=variance,
        shape=shape,
    )


def _spread(arrays: dict[str, np.ndarray]) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    """Return the common shape and every array spread over it, flat."""
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        seen = ", ".join(f"{name} {a.shape}" for name, a in arrays.items() if a.ndim)
        raise DataError(f"the arrays do not share a shape: {seen}; give arrays of one length, or numbers") from None
    if 0 in shape:
        raise DataError("an array of inputs is empty; give at least one value")
    return shape, {name: np.broadcast_to(a, shape).ravel() for name, a in arrays.items()}
