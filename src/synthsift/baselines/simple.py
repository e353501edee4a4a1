"""Policies that look at nothing but where a row comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthsift.records import Features, Mixture, Weigher, Weights
from synthsift.seeds import Seeds


@dataclass(frozen=True)
class RealOnly:
    """All real rows, no synthetic row: the reference of every comparison."""

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return weight 1 for real rows and 0 for synthetic ones."""
        return Weights((~mixture.is_synth).astype(float), mixture.ids, "RealOnly")


@dataclass(frozen=True)
class Everything:
    """All rows, each counted once: what most people do first."""

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return weight 1 for every row."""
        return Weights(np.ones(len(mixture.ids)), mixture.ids, "Everything")


@dataclass(frozen=True)
class RealTimes:
    """Real rows counted several times, on top of any other policy.

    Parameters
    ----------
    times : float
        How often a real row counts.
    of : Weigher
        The policy whose weights are taken; its real rows are multiplied.
    """

    times: float
    of: Weigher = Everything()

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return the weights of `of` with real rows multiplied by `times`."""
        return times_real(self.of(mixture, features, seeds), mixture, self.times)


def times_real(weights: Weights, mixture: Mixture, times: float) -> Weights:
    """Return `weights` with the weights of real rows multiplied by `times`."""
    factor = np.where(mixture.is_synth, 1.0, times)
    return replace(weights, values=weights.values * factor, made_by=f"{weights.made_by} real x{times:g}")


@dataclass(frozen=True)
class RandomSubset:
    """A random part of the synthetic rows: the control that any selection has to beat.

    Parameters
    ----------
    fraction : float
        Share of the synthetic rows that is kept, in (0, 1].
    """

    fraction: float = 0.5

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return weight 1 for real rows and for a random part of the synthetic ones."""
        keep = ~mixture.is_synth
        synth = np.flatnonzero(mixture.is_synth)
        if len(synth):
            count = max(1, round(self.fraction * len(synth)))
            keep[seeds.numpy("subset").choice(synth, count, replace=False)] = True
        return Weights(keep.astype(float), mixture.ids, "RandomSubset")
