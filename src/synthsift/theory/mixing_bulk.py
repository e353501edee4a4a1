"""Averages over the bulk of the feature space: the resolvent r_i and the traces made of it.

Everything random that has many directions (training noise, estimated covariance) enters the theory through
r_i = 1/(gamma + g_r d_i + kappa c_i/D) and a handful of sums over i, with d the eigenvalues of C, c those of the
synthetic covariance, and D the inflation by a covariance estimated from n_hat rows (D = 1 when it is known).

Equation (9) of docs/methods/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.theory.mixing_fixedpoint import solve_inflation
from synthsift.theory.mixing_settings import Setting


@dataclass(frozen=True)
class Spectrum:
    """Directions with equal eigenvalues, taken together.

    Parameters
    ----------
    d : ndarray (u,)
        Different eigenvalues of the real covariance C.
    c : ndarray (u,)
        Eigenvalues of the synthetic covariance in the same directions (before estimation).
    count : ndarray (u,)
        How often each occurs.
    power : ndarray (u,)
        Squared length of the class mean in those directions.
    """

    d: np.ndarray
    c: np.ndarray
    count: np.ndarray
    power: np.ndarray


def group_spectrum(setting: Setting) -> Spectrum:
    """Group equal eigenvalues: an isotropic covariance costs as much as one dimension."""
    d, place, count = np.unique(setting.spectrum, return_inverse=True, return_counts=True)
    is_isotropic = setting.generator_covariance == "isotropic"
    c = np.full_like(d, setting.isotropic_variance) if is_isotropic else d
    return Spectrum(d, c, count.astype(float), np.bincount(place.ravel(), weights=setting.mean**2, minlength=len(d)))


@dataclass(frozen=True)
class Bulk:
    """Sums over the resolvent at t grid points; every field but `inflation` and `hbar` is a sum over directions.

    Parameters
    ----------
    inflation, hbar : ndarray (t,)
        D, and the factor 1 - kappa^2 tr(C R C R)/(n_hat D^2) that an estimated covariance costs.
    trace_d, trace_c : ndarray (t,)
        sum d r, sum c r.
    trace_dd, trace_dc, trace_cc : ndarray (t,)
        sum d^2 r^2, sum d c r^2, sum c^2 r^2.
    form : ndarray (t,)
        sum r mu^2.
    form_d, form_c : ndarray (t,)
        sum d r^2 mu^2, sum c r^2 mu^2.
    kappa, inverse_size : ndarray (t,)
        What the sums were made with: kappa (theta for a self generator) and 1/n_hat of the covariance.
    """

    inflation: np.ndarray
    hbar: np.ndarray
    trace_d: np.ndarray
    trace_c: np.ndarray
    trace_dd: np.ndarray
    trace_dc: np.ndarray
    trace_cc: np.ndarray
    form: np.ndarray
    form_d: np.ndarray
    form_c: np.ndarray
    kappa: np.ndarray
    inverse_size: np.ndarray

    @property
    def synth_traces(self) -> tuple[np.ndarray, np.ndarray]:
        """N times the mean of tr(C R C_s R)/N and of tr(C_s R C_s R)/N over generators (t,).

        The published "toy" formula has tr(R C_s R) in place of the second one, which is right only for n_hat -> inf.
        """
        square = self.inflation**2
        cross = self.trace_dc / (square * self.hbar)
        spread = self.trace_c * self.inverse_size / square * (self.trace_c - self.kappa * cross)
        return cross, self.trace_cc / (square * self.inflation * self.hbar) + spread


def average_bulk(
    spectrum: Spectrum,
    ridge: np.ndarray,
    g_r: np.ndarray,
    kappa: np.ndarray,
    inverse_size: np.ndarray,
    guess: np.ndarray | None = None,
) -> Bulk:
    """Solve D and sum the resolvent over all directions, at t points.

    Source: docs/methods/theory.md, eq. (9); derived there for the model of arXiv 2410.08942.

    Parameters
    ----------
    spectrum : Spectrum
        Eigenvalues and mean.
    ridge, g_r, kappa : ndarray (t,)
        gamma, weight of the real covariance, weight of the synthetic covariance.
    inverse_size : ndarray (t,)
        1/n_hat of the synthetic covariance, 0 where it is known (it has to be where c differs from d).
    guess : ndarray (t,), optional
        Where to start looking for D.
    """
    d, c, count, power = spectrum.d, spectrum.c, spectrum.count, spectrum.power
    inflation = solve_inflation(ridge, g_r, kappa, inverse_size, d, count, guess)
    base = ridge[:, None] + g_r[:, None] * d + (kappa / inflation)[:, None] * c  # (t, u)
    r = 1.0 / base
    plain, square = r @ np.stack([count * d, count * c, power], axis=1), r * r
    second = square @ np.stack([count * d * d, count * d * c, count * c * c, d * power, c * power], axis=1)
    return Bulk(
        inflation=inflation,
        hbar=1.0 - kappa**2 * inverse_size * second[:, 2] / inflation**2,
        trace_d=plain[:, 0],
        trace_c=plain[:, 1],
        trace_dd=second[:, 0],
        trace_dc=second[:, 1],
        trace_cc=second[:, 2],
        form=plain[:, 2],
        form_d=second[:, 3],
        form_c=second[:, 4],
        kappa=kappa,
        inverse_size=inverse_size,
    )
