"""Error of a model that is trained on real plus synthetic rows whose label rule is a little off.

The excess error on the real distribution splits into bias (the ridge or the width hides part of the truth), variance
(label noise) and collapse (the synthetic label rule differs from the true one). Label noise averages out with more
rows; the collapse term does not: at a fixed synthetic fraction p_2 it levels off at p_2^2 c^2, so that even one
percent of synthetic rows ends every scaling curve at some size.

`predict_error` is the formula, `simulate_error` its Monte-Carlo twin. Formulas are in `collapse_equal` (equal input
covariances, one scalar equation) and `collapse_master` (everything else).

Equations (38), (39), (43), (44) of docs/methods/theory.md.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840. Its printed c^2 =
(1/d) tr(Sigma Delta) does not fit its own isotropic corollary; here c^2 = tr(Sigma Delta).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.collapse_equal import equal_terms
from synthsift.theory.collapse_inputs import Setting, read_setting
from synthsift.theory.collapse_master import ASSUMPTIONS, FORMULA, master_terms
from synthsift.theory.collapse_simulate import prediction_from, simulate_stack
from synthsift.theory.collapse_sources import stack_setting

EQUAL_FORMULA = (
    "Strong Model Collapse, arXiv 2410.04840, Theorems 1 and 2 with c^2 = tr(Sigma Delta), weighted rows added"
)


def predict_error(
    num_real: ArrayLike,
    num_synth: ArrayLike,
    dim: int,
    *,
    ridge: ArrayLike = 0.0,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
    mismatch: float = 0.0,
    spectrum: ArrayLike | None = None,
    signal: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    cross: ArrayLike | None = None,
    synth_spectrum: ArrayLike | None = None,
    synth_weight: ArrayLike = 1.0,
    width: ArrayLike | None = None,
    projection_variance: float | None = None,
) -> Prediction:
    """Excess error on the real distribution of a ridge fit on real plus synthetic rows. Lower is better.

    The fit minimizes (1/n) sum_i omega_i (y_i - x_i.w)^2 + ridge |w|^2 over all n = n_1 + n_2 rows, behind a frozen
    random projection x -> Sx when `width` is given. The noise of a fresh real label is not included: the total test
    error is this plus `real_noise_variance`.

    Source: docs/methods/theory.md, eq. (38), (39), (43), (44); generalizes arXiv 2410.04840, Theorems 1 and
    2.

    Parameters
    ----------
    num_real, num_synth : array_like
        Rows n_1 and n_2, at least 0, not both 0; need not be whole. Arrays give a curve; they broadcast with `ridge`,
        `synth_weight` and `width`.
    dim : int
        Input dimension d.
    ridge : array_like
        lam >= 0; 0 is least squares, or the interpolator of least norm.
    real_noise_variance, synth_noise_variance : float
        Label noise sigma_1^2 and sigma_2^2 (default: the real one).
    mismatch : float
        c^2 = tr(Sigma Delta), mean squared difference between the synthetic label rule and the true one.
    spectrum, signal, shift : array_like (d,), optional
        Diagonals of Sigma (default ones), Gamma = E[w_1 w_1'] (default 1/d each) and Delta = E[delta delta']
        (default: the mismatch spread evenly). With `shift` the mismatch follows from it.
    cross : array_like (d,), optional
        Diagonal of E[delta w_1'] (default 0); negative for labels made by a shrunken model.
    synth_spectrum : array_like (d,), optional
        Diagonal of Sigma_2, the covariance of the synthetic inputs (default: the real one).
    synth_weight : array_like
        omega_2 >= 0, weight of a synthetic row; real rows have 1. The ridge is divided by all rows, also those of
        weight 0.
    width : array_like, optional
        Width m >= 1 of the random projection.
    projection_variance : float, optional
        s2, variance of an entry of S (default 1/d). At a fixed ridge a larger width then weakens the ridge; use
        1/width to vary the width alone.

    Returns
    -------
    Prediction
        `mean` has the broadcast shape of the arguments, () for single numbers, and `low` = `high` = `mean`. `terms` has
        total, bias, variance, collapse and, in the same shape, kappa, a_real, a_synth, b_real, b_synth, residual; with
        equal covariances also df1, df2, chi, nu, u and share_synth (effective share S_2 of the synthetic rows), else
        tau_real, tau_synth and rho. kappa is that of ridge = kappa (1 - df1/n) with equal covariances and the added
        identity of (sum_k a_k Sigma_k + kappa I)^-1 otherwise.

    Raises
    ------
    DataError
        For impossible sizes, spectra, shapes or weights, and at a pole of the error: without ridge, rows = dim, rows =
        width < dim, or rows of one kind that just fill the directions in which the other kind does not vary.
    ArithmeticError
        If a fixed point cannot be solved to 1e-8.

    Examples
    --------
    >>> answer = predict_error(9900, 100, 100, mismatch=1.0)
    >>> float(answer.mean.round(6)), float(answer.terms["collapse"].round(6))
    (0.010301, 0.0002)
    """
    setting = read_setting(
        num_real,
        num_synth,
        dim,
        ridge=ridge,
        real_noise_variance=real_noise_variance,
        synth_noise_variance=synth_noise_variance,
        mismatch=mismatch,
        spectrum=spectrum,
        signal=signal,
        shift=shift,
        cross=cross,
        synth_spectrum=synth_spectrum,
        synth_weight=synth_weight,
        width=width,
        projection_variance=projection_variance,
    )
    shape = setting.at.shape
    terms = {name: np.reshape(value, shape) for name, value in _terms(setting).items()}
    total = terms["total"]
    formula = EQUAL_FORMULA if setting.is_equal else FORMULA
    return Prediction(setting.at, total, total, total, terms, formula, ASSUMPTIONS)


def _terms(setting: Setting) -> dict[str, np.ndarray]:
    """All terms at the points of a setting, each (t,)."""
    if setting.is_equal:
        return equal_terms(setting)
    terms = master_terms(stack_setting(setting))
    for name in ("a", "b", "tau"):
        pair = terms.pop(name)
        terms |= {f"{name}_real": pair[:, 0], f"{name}_synth": pair[:, 1]}
    return terms


def simulate_error(
    num_real: ArrayLike,
    num_synth: ArrayLike,
    dim: int,
    *,
    ridge: ArrayLike = 0.0,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
    mismatch: float = 0.0,
    spectrum: ArrayLike | None = None,
    signal: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    cross: ArrayLike | None = None,
    synth_spectrum: ArrayLike | None = None,
    synth_weight: ArrayLike = 1.0,
    width: ArrayLike | None = None,
    projection_variance: float | None = None,
    seeds: Seeds | int,
    repeats: int,
) -> Prediction:
    """Draw Gaussian data, fit, and measure what `predict_error` predicts; all other arguments are its.

    Source: docs/methods/theory.md, eq. (38); generalizes arXiv 2410.04840, Theorems 1 and 2.

    Parameters
    ----------
    seeds : Seeds or int
        Source of the random numbers; every point of a curve has its own stream.
    repeats : int
        Independent designs a point, at least 2; each carries sixteen draws of truth, shift and noise.

    Returns
    -------
    Prediction
        Mean error with mean -+ 1.96 standard errors; `terms` has total, bias, variance, collapse and `<part>_se`.

    Raises
    ------
    DataError
        As `predict_error`, but poles are simulated; also for row counts or widths that are not whole.

    Examples
    --------
    >>> drawn = simulate_error(60, 60, 20, mismatch=1.0, seeds=0, repeats=20)
    >>> bool(abs(drawn.mean - predict_error(60, 60, 20, mismatch=1.0).mean) < 4 * drawn.terms["total_se"])
    True
    """
    setting = read_setting(
        num_real,
        num_synth,
        dim,
        ridge=ridge,
        real_noise_variance=real_noise_variance,
        synth_noise_variance=synth_noise_variance,
        mismatch=mismatch,
        spectrum=spectrum,
        signal=signal,
        shift=shift,
        cross=cross,
        synth_spectrum=synth_spectrum,
        synth_weight=synth_weight,
        width=width,
        projection_variance=projection_variance,
    )
    stack, streams = stack_setting(setting), as_seeds(seeds).child("simulate_error")
    points = range(len(stack.rows))
    errors = [simulate_stack(stack.at(slice(i, i + 1)), streams.child(i), repeats) for i in points]
    return prediction_from(np.stack(errors, axis=1), setting.at)
