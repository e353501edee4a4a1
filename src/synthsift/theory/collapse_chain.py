"""Ridge generations with any spectrum, and the Monte-Carlo twin of every generation scheme.

Ridge errors point against the truth, so that the next generation needs two second moments of the last fit, E[e e'] as
its shift and E[e w_1'] as its cross moment (`collapse_master.predict_spread`). Leaving the second one out predicts
wrongly.

Equations (63), (68) of docs/methods/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.collapse_generations import count_generations
from synthsift.theory.collapse_inputs import Setting, read_setting
from synthsift.theory.collapse_master import predict_spread
from synthsift.theory.collapse_simulate import LABEL_DRAWS, fit_ridge, prediction_from, quadratic_mean, whole_number
from synthsift.theory.collapse_sources import Source, stack_sources

Scheme = Literal["replace", "accumulate", "fresh_real", "fixed_real"]

FORMULA = "ridge deterministic equivalent with its second moments, iterated; Strong Model Collapse, arXiv 2410.04840"


def predict_ridge_chain(
    num_generations: int,
    num_real: float,
    num_synth: float,
    dim: int,
    *,
    ridge: float = 0.0,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
    spectrum: ArrayLike | None = None,
    signal: ArrayLike | None = None,
) -> Prediction:
    """Error of generations of ridge fits with fresh real rows each round. Lower is better.

    Generation 0 is fitted on n_1 + n_2 real rows, every later one on n_1 fresh real rows and n_2 fresh inputs
    labelled by the last fit plus noise. n_1 = 0 is the replace scheme.

    Source: docs/methods/theory.md, eq. (68); derived there.

    Parameters
    ----------
    num_generations : int
        Rounds G after the first fit.
    num_real, num_synth, dim
        n_1, n_2 and d.
    ridge : float
        lam of every round.
    real_noise_variance, synth_noise_variance : float
        sigma_1^2 and sigma_2^2 (default: the real one).
    spectrum, signal : array_like (d,), optional
        Diagonals of Sigma (default ones) and Gamma (default 1/d each).

    Returns
    -------
    Prediction
        `mean` (G + 1,) for generations 0..G; `terms` has total.

    Raises
    ------
    DataError
        As `predict_error`.
    """
    setting = read_setting(
        num_real,
        num_synth,
        dim,
        ridge=ridge,
        real_noise_variance=real_noise_variance,
        synth_noise_variance=synth_noise_variance,
        spectrum=spectrum,
        signal=signal,
    )
    length = count_generations(num_generations) + 1
    errors = []
    source = Source(0.0, setting.spectrum, setting.synth_noise)
    real = Source(num_real + num_synth, setting.spectrum, setting.real_noise)
    for _ in range(length):
        spread = predict_spread(stack_sources([real, source], setting.signal, ridge=float(setting.ridge[0])))
        errors.append(float(setting.spectrum @ spread.error))
        real = Source(num_real, setting.spectrum, setting.real_noise)
        source = Source(num_synth, setting.spectrum, setting.synth_noise, spread.error, spread.cross)
    mean = np.array(errors)
    return Prediction(np.arange(len(mean), dtype=float), mean, mean, mean, {"total": mean}, FORMULA)


@dataclass(frozen=True)
class _Chain:
    """What the simulated schemes share; r draws of truth and noise go through the same inputs."""

    setting: Setting
    num_real: int
    num_synth: int
    rng: np.random.Generator

    def inputs(self, num_rows: int) -> np.ndarray:
        """New input rows (n, d)."""
        return self.rng.standard_normal((num_rows, self.setting.dim)) * np.sqrt(self.setting.spectrum)

    def noise(self, num_rows: int, variance: float) -> np.ndarray:
        """New label noise (n, r)."""
        return np.sqrt(variance) * self.rng.standard_normal((num_rows, LABEL_DRAWS))

    def truth(self) -> np.ndarray:
        """New draws of w_1 (d, r)."""
        return self.vectors(self.setting.signal)

    def vectors(self, moment: np.ndarray) -> np.ndarray:
        """New random vectors (d, r) with a diagonal second moment (d,)."""
        return np.sqrt(moment)[:, None] * self.rng.standard_normal((self.setting.dim, LABEL_DRAWS))

    def fit(self, inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Ridge weights (d, r)."""
        return fit_ridge(inputs, labels, float(self.setting.ridge[0]))

    def real_set(self, truth: np.ndarray, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """New real rows and their labels."""
        x = self.inputs(num_rows)
        return x, x @ truth + self.noise(num_rows, self.setting.real_noise)

    def synth_set(self, model: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """New inputs labelled by a model, with noise."""
        x = self.inputs(self.num_synth)
        return x, x @ model + self.noise(self.num_synth, self.setting.synth_noise)


def _replace(chain: _Chain, truth: np.ndarray) -> Iterator[np.ndarray]:
    """Generations that train on labels of the last one only; the first on real labels."""
    model = chain.fit(*chain.real_set(truth, chain.num_synth))
    while True:
        yield model
        model = chain.fit(*chain.synth_set(model))


def _accumulate(chain: _Chain, truth: np.ndarray) -> Iterator[np.ndarray]:
    """Generations that train on all label sets so far, over the same inputs."""
    x, labels = chain.real_set(truth, chain.num_synth)
    total, count = labels, 1
    while True:
        model = chain.fit(x, total / count)
        yield model
        total, count = total + x @ model + chain.noise(len(x), chain.setting.synth_noise), count + 1


def _fresh_real(chain: _Chain, truth: np.ndarray) -> Iterator[np.ndarray]:
    """Generations that pool new real rows with rows labelled by the last one; the first labeller is w_1 + delta."""
    if chain.setting.mismatch:
        model = truth + chain.vectors(chain.setting.shift)
    else:
        model = chain.fit(*chain.real_set(truth, chain.num_real + chain.num_synth))
    while True:
        yield model
        model = _pooled(chain, chain.real_set(truth, chain.num_real), model)


def _fixed_real(chain: _Chain, truth: np.ndarray) -> Iterator[np.ndarray]:
    """Generations that pool the same real rows with new rows labelled by the last one."""
    real = chain.real_set(truth, chain.num_real)
    model = chain.fit(*real)
    while True:
        yield model
        model = _pooled(chain, real, model)


def _pooled(chain: _Chain, real: tuple[np.ndarray, np.ndarray], model: np.ndarray) -> np.ndarray:
    """Fit on real rows together with rows labelled by a model."""
    x, labels = chain.synth_set(model)
    return chain.fit(np.concatenate([real[0], x]), np.concatenate([real[1], labels]))


_SCHEMES: dict[str, Callable[[_Chain, np.ndarray], Iterator[np.ndarray]]] = {
    "replace": _replace,
    "accumulate": _accumulate,
    "fresh_real": _fresh_real,
    "fixed_real": _fixed_real,
}


def simulate_generations(
    scheme: Scheme,
    num_generations: int,
    num_real: int,
    num_synth: int,
    dim: int,
    *,
    ridge: float = 0.0,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
    mismatch: float = 0.0,
    spectrum: ArrayLike | None = None,
    signal: ArrayLike | None = None,
    seeds: Seeds | int,
    repeats: int,
) -> Prediction:
    """Draw and fit a chain of generations. Lower is better.

    Source: docs/methods/theory.md, eq. (63), (68); arXiv 2402.07712.

    Parameters
    ----------
    scheme : {"replace", "accumulate", "fresh_real", "fixed_real"}
        "replace" and "accumulate" use n_2 rows a round (n_1 is not used) and start with a fit on n_2 real ones.
        "fresh_real" starts with the labeller w_1 + delta of the given mismatch, or without one with a fit on
        n_1 + n_2 real rows. "fixed_real" starts with a fit on its n_1 real rows.
    num_generations : int
        The last generation G; the starting model is generation 0 (for "replace" and "accumulate", 1).
    repeats : int
        Independent chains of inputs, at least 2; each carries sixteen draws of truth and noise.

    Returns
    -------
    Prediction
        Mean error with mean -+ 1.96 standard errors of every generation; `terms` has total and total_se.

    Raises
    ------
    DataError
        For an unknown scheme or inputs that do not fit.
    """
    if scheme not in _SCHEMES:
        raise DataError(f"scheme is {scheme!r}; it must be one of {', '.join(get_args(Scheme))}")
    last = count_generations(num_generations)
    if repeats < 2:
        raise DataError(f"repeats is {repeats}; a standard error needs at least 2")
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
    )
    sizes = whole_number(num_real, "num_real"), whole_number(num_synth, "num_synth")
    chain = _Chain(setting, *sizes, as_seeds(seeds).child("simulate_generations", scheme).numpy("chains"))
    first = 1 if scheme in ("replace", "accumulate") else 0
    at = np.arange(first, last + 1, dtype=float)
    errors = np.array([_one_chain(chain, _SCHEMES[scheme], len(at)) for _ in range(repeats)])
    answer = prediction_from(np.repeat(errors[:, :, None], 4, axis=2), at)
    terms = {name: answer.terms[name] for name in ("total", "total_se")}
    return Prediction(at, answer.mean, answer.low, answer.high, terms, answer.formula)


def _one_chain(chain: _Chain, scheme: Callable[[_Chain, np.ndarray], Iterator[np.ndarray]], length: int) -> list[float]:
    """Errors of the generations of one chain, averaged over its label draws."""
    truth = chain.truth()
    models = scheme(chain, truth)
    return [quadratic_mean((next(models) - truth).T, chain.setting.spectrum) for _ in range(length)]
