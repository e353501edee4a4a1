"""Policies that read one named column of the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthsift.records import Features, Mixture, Outcome, Weights
from synthsift.seeds import Seeds


def _on_synthetic(mixture: Mixture, values: np.ndarray, name: str) -> Weights:
    """Weight 1 for real rows, `values` for synthetic ones; nothing positive is a degenerate result."""
    weights = np.where(mixture.is_synth, values, 1.0)
    empty = mixture.is_synth.any() and not (weights[mixture.is_synth] > 0).any()
    return Weights(weights, mixture.ids, name, Outcome.degenerate if empty else Outcome.converged)


@dataclass(frozen=True)
class TrustedMargin:
    """Synthetic rows whose label a model trained on real rows finds likely.

    Parameters
    ----------
    mode : {"weight", "filter"}
        "weight": (1 + margin)/2, in [0, 1]; "filter": 1 where the trusted model agrees with the label, else 0.
    """

    mode: Literal["weight", "filter"] = "weight"

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return weight 1 for real rows and the mode's weight for synthetic ones."""
        margin = features.column("margin")
        values = (margin > 0).astype(float) if self.mode == "filter" else np.clip((1 + margin) / 2, 0, 1)
        return _on_synthetic(mixture, values, f"TrustedMargin {self.mode}")


@dataclass(frozen=True)
class KNNShapley:
    """Synthetic rows with a positive KNN-Shapley value for predicting the real rows (Jia et al. 2019)."""

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return weight 1 for real rows and for synthetic rows of positive value, else 0."""
        return _on_synthetic(mixture, (features.column("knn_shapley") > 0).astype(float), "KNNShapley")
