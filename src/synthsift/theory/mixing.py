"""Accuracy of a ridge classifier trained on real and verified synthetic rows, before any row is generated.

`predict_accuracy` is the formula, `simulate_accuracy` (in `mixing_simulation`) draws the data and trains. Companions:
`mixing_moments` (any sources), `mixing_conditional` (the user's own real rows), `mixing_linear` (labels and checks that
come from linear models), `mixing_limits` (closed forms), `mixing_advice` (break-even, ceiling, best choices).

Equations (8) to (11) of docs/methods/theory.md.

References
----------
A. El Firdoussi, M. E. A. Seddik, S. Hayou, R. Alami, A. Alzubaidi, H. Hacid (2024), "Maximizing the Potential of
Synthetic Data: Insights from Random Matrix Theory", arXiv 2410.08942 (ICLR 2025): the model.
Y. Feng, E. Dohmatob, P. Yang, F. Charton, J. Kempe (2024), "Beyond Model Collapse: Scaling Up with Synthesized Data
Requires Verification", arXiv 2406.07515 (ICLR 2025): its limit of infinitely many rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import Prediction
from synthsift.theory.mixing_families import Terms, normal_accuracy, weight_terms
from synthsift.theory.mixing_settings import GeneratorCovariance, GeneratorKind, Setting, make_setting
from synthsift.theory.mixing_simulation import simulate_accuracy as simulate_accuracy

#: Grid points times different eigenvalues that are worked on at once: two megabytes stay in the processor's cache.
BLOCK = 2**18

FORMULA = (
    "Phi(a/sqrt(v)) with the high-dimensional limits of a = mu.w and v = w'Cw; model of El Firdoussi et al. 2024 "
    "(arXiv 2410.08942), derived anew: pruning is not soft weighting (no keep rate inside delta_s), the estimated "
    "covariance enters as tr(C_s R C_s R), and the class mean is estimated too unless exact_mean is set"
)
ASSUMPTIONS = (
    "two classes with means +mu and -mu around their midpoint and one covariance",
    "ridge regression on labels +-1 without intercept, penalty ridge * (num_real + num_synth)",
    "wrong labels and the verifier's mistakes do not depend on the features",
    "synthetic rows are independent draws from the generator; no duplicates, no top-k selection",
    "dim and the numbers of rows are large (below about 30 dimensions expect errors of 1-2 points)",
)


def predict_accuracy(
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
) -> Prediction:
    """Predict the test accuracy of w = argmin 1/N [sum_real (y - w.x)^2 + omega sum_kept (t - w.x)^2] + gamma |w|^2.

    The weights behave like N(w_bar, Sigma_w), so the accuracy is Phi(a/sqrt(v)) with a = mu.w_bar and
    v = w_bar'C w_bar + tr(C Sigma_w); both come from a fixed point for delta_r = tr(C R)/N, delta_s = tr(C_s R)/N,
    R = (gamma I + pi C/(1 + delta_r) + alpha omega (1 - pi) C_s/(1 + omega delta_s))^{-1}.

    In scikit-learn's terms: ``Ridge(alpha=ridge * (num_real + num_synth), fit_intercept=False)``. At a fixed `ridge`
    more rows, even pruned ones, mean a larger penalty; for a fixed penalty P give ``ridge=P / (num_real + num_synth)``.

    Source: docs/methods/theory.md, eq. (8) to (11); derived there for the model of arXiv 2410.08942.

    Parameters
    ----------
    num_real, num_synth : float or array
        Rows n >= 0 and m >= 0, m *before* verification. Either may be infinite (the ceiling), not both.
    dim : int
        Number of features p.
    mean_norm : float or None
        Distance |mu| of either class mean from their midpoint, in units of C. None takes it from `mean`.
    ridge : float or array
        Ridge parameter gamma > 0, at least 1e-12 of the mean eigenvalue of C.
    label_noise : float or array
        Fraction eps of synthetic labels that are wrong.
    keep_right, keep_wrong : float or array
        Fractions phi and rho of rightly and wrongly labelled synthetic rows that the verifier keeps.
    generator_size : float or array
        Rows n_hat >= 1 that a "fresh" generator was fitted on; infinite means exact moments.
    generator : {"fresh", "exact", "self"}
        Fitted on `generator_size` further rightly labelled real rows, exact moments, or fitted on the training rows
        with their observed labels.
    synth_weight : float or array
        Weight omega >= 0 of a kept synthetic row in the loss.
    real_label_noise : float or array
        Fraction eps_r of real labels that are wrong.
    spectrum : array (dim,), optional
        Eigenvalues of the within-class covariance C; ones by default.
    mean : array (dim,), optional
        Class mean mu in the eigenbasis of C; by default all of `mean_norm` lies in the first direction.
    exact_mean : bool
        A "fresh" generator knows mu and estimates only its covariance (as in the published figures, which thereby
        hand information about the test distribution to the synthetic rows).
    generator_covariance : {"estimated", "exact", "isotropic"}
        How a "fresh" generator gets C_s: from its rows, it knows C, or it uses `isotropic_variance` times identity.
    isotropic_variance : float, optional
        Variance of an "isotropic" generator; the mean of `spectrum` by default.

    Returns
    -------
    Prediction
        `mean` is the accuracy (higher is better), shaped like the arrays given together; `at` is `num_synth`; `low`
        and `high` equal `mean`, because a formula has no sampling error (one data set at dim 200 scatters by 0.004 to
        0.04). `terms`: a, v, risk = (1-a)^2 + v, delta_r, delta_s, delta_g = D - 1, alpha (kept fraction), lam
        (signed kept fraction), eps_prime (label noise among kept rows, 0 when none is kept).

    Raises
    ------
    DataError
        If an input is out of range, shapes do not match, or options contradict each other.
    ArithmeticError
        If the ridge is so small at an interpolation threshold that double precision cannot resolve the fixed point.

    References
    ----------
    El Firdoussi et al. (2024), arXiv 2410.08942 (model and symbols). Their code puts alpha inside delta_s (the law of
    soft weights, up to 9 points off at a small ridge), replaces tr(C_s R C_s R) by tr(R C_s R), and gives the
    generator the exact class mean. The form here agrees with simulation in all three respects.

    Examples
    --------
    >>> prediction = predict_accuracy(200, [0, 800], 200, 1.5, 1.0, label_noise=0.2, keep_wrong=0.3)
    >>> prediction.mean.round(3)
    array([0.876, 0.909])
    """
    setting = make_setting(
        num_real,
        num_synth,
        dim,
        mean_norm,
        ridge,
        label_noise=label_noise,
        keep_right=keep_right,
        keep_wrong=keep_wrong,
        generator_size=generator_size,
        generator=generator,
        synth_weight=synth_weight,
        real_label_noise=real_label_noise,
        spectrum=spectrum,
        mean=mean,
        exact_mean=exact_mean,
        generator_covariance=generator_covariance,
        isotropic_variance=isotropic_variance,
    )
    terms = _all_terms(setting)
    accuracy = normal_accuracy(terms["a"], terms["v"])
    shaped = {name: value.reshape(setting.shape) for name, value in terms.items()}
    mean_accuracy = accuracy.reshape(setting.shape)
    at = setting.num_synth.reshape(setting.shape)
    return Prediction(at, mean_accuracy, mean_accuracy, mean_accuracy, shaped, FORMULA, ASSUMPTIONS)


def _all_terms(setting: Setting) -> Terms:
    """Every named quantity (t,), computed in blocks of grid points."""
    size = len(setting.num_synth)
    rows = max(1, BLOCK // len(np.unique(setting.spectrum)))
    parts = [weight_terms(setting.rows(slice(start, start + rows))) for start in range(0, size, rows)]
    terms = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    a, v = terms["a"], terms["v"]
    derived = {"risk": (1.0 - a) ** 2 + v, "alpha": setting.alpha, "lam": setting.lam, "eps_prime": setting.eps_prime}
    return {**terms, **derived}
