"""What a model trained on the real rows alone thinks of a row's label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.metrics import row_losses
from synthsift.records import Mixture
from synthsift.seeds import Seeds
from synthsift.training.choosing import fit_chosen
from synthsift.training.logistic import LinearModel

NAMES = ("margin", "trusted_loss")


@dataclass(frozen=True)
class Trusted:
    """A softmax model of the real rows.

    Parameters
    ----------
    coef, intercept : ndarray (d, c), (c,)
    """

    coef: np.ndarray
    intercept: np.ndarray

    @staticmethod
    def fit(x: np.ndarray, mixture: Mixture, seeds: Seeds) -> tuple[Trusted, np.ndarray]:
        """Fit the model; return it with the columns (n, 2), real rows judged by models that did not see them."""
        y, real = mixture.y, np.flatnonzero(~mixture.is_synth)
        fit = fit_chosen(
            x[real],
            y[real],
            np.ones(len(real)),
            np.ones(len(real), bool),
            mixture.num_classes,
            seeds.child("trusted"),
            family=mixture.family[real],
        )
        made = Trusted(fit.model.coef, fit.model.intercept)
        prob = fit.model.predict_proba(x)
        prob[real] = fit.out_of_fold
        return made, _columns(prob, y)

    def describe(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the columns (n, 2) of new rows."""
        return _columns(LinearModel(self.coef, self.intercept, 0.0).predict_proba(x), y)


def _columns(prob: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probability of the label minus the best other one, in [-1, 1], and the log-loss of the label."""
    rows = np.arange(len(y))
    own, others = prob[rows, y], prob.copy()
    others[rows, y] = -1
    return np.stack([own - others.max(axis=1), row_losses(prob, y)], axis=1)
